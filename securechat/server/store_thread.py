"""The thread that owns the database and shares one commit among all that is waiting.

A commit is one fsync, whatever it holds. So the thread takes all the work that has queued up
while it was busy, does it in one transaction, and reports each piece only after the commit: what
was reported is on the disk. The slower the disk, the larger the groups; nobody sets a delay.

When the disk is full, or may not be written, a group fails as a whole. Then each piece of it is
done by itself, so that what only reads (a login, say) still works, and the others are told alone.

Whether it is SQLite or PostgreSQL is the ``Database``'s. A server can be away: a group waits for it
for some seconds, and what comes meanwhile queues up. Then its pieces fail, and those that come
after at once, until it is back.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from securechat.errors import StoreBusy, StoreError
from securechat.net.locks import make_lock
from securechat.net.threads import start_thread
from securechat.server.telemetry.histogram import Distribution, Histogram
from securechat.store.connection import Connection
from securechat.store.engine import Database, OutcomeUnknown

__all__ = [
    "COMMIT_BOUNDS_S",
    "STORE_QUEUE_LIMIT",
    "STORE_TURN_LIMIT",
    "Outcome",
    "Store",
    "StoreFigures",
    "StoreThread",
]

# Pieces of work that may wait. A stalling disk (a cheap SSD or SD card tidying up) stands still for
# a second or two; at 5,000 messages a second that is 10,000 of them, at about 1 KB each.
STORE_QUEUE_LIMIT = 16384

# Pieces of work in one transaction. At some 10 µs each the last is done about 10 ms after the
# first, which bounds how much longer the first waits. Inserts of 100 bytes, on an SSD: 90,000 a
# second with 64, 133,000 with 1,024, no more with 4,096.
STORE_TURN_LIMIT = 1024

COMMIT_BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Buckets for the times of commits, in seconds: an SSD with a capacitor needs less than 1 ms, a
disk some 10, an SD card that is tidying up seconds."""

_ATTEMPTS: Final = 5
"""How often a group is done where another relay was in the way each time, or the server was lost:
each time somebody gets on."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How a piece of work ended: with a value, committed, or with an error, undone. Immutable."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast(T, self.value)


class Store(Protocol):
    """What does work on a database: a ``StoreThread``, or who passes it on to one."""

    def submit(self, work: Callable[[Connection], T], done: Callable[[Outcome[T]], None]) -> None:
        """Have ``work`` done, and ``done`` told how it ended: see ``StoreThread.submit``."""

    def call(self, work: Callable[[Connection], T]) -> T:
        """Have ``work`` done, and return its value: see ``StoreThread.call``."""


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """How the store has done since it was opened. Immutable.

    ``groups`` were committed; ``commits`` has the times of those that wrote something, in seconds.
    ``failures`` are groups that could not be kept, ``refusals`` pieces of work that found the queue
    full, ``queue_length`` those that wait now. ``trouble`` is why nothing can be written, often
    empty.
    """

    groups: int
    commits: Distribution
    failures: int
    refusals: int
    queue_length: int
    trouble: str


@dataclass(frozen=True, slots=True)
class _Task:
    work: Callable[[Connection], Any]
    done: Callable[[Outcome[Any]], None]


class StoreThread:
    """The store thread and its queue. Safe from any thread; the connection never leaves its own.

    The constructor returns when the database is open, or raises ``StoreError`` if it cannot be.

    :param database: not open yet; the thread opens and closes it, and nobody else uses it.
    :param on_crash: called with the exception should the thread itself fail; what waited gets an
        error then, and nothing more is taken.
    """

    def __init__(
        self,
        database: Database,
        *,
        queue_limit: int = STORE_QUEUE_LIMIT,
        turn_limit: int = STORE_TURN_LIMIT,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._database = database
        self._queue_limit = queue_limit
        self._turn_limit = turn_limit
        self._lock = make_lock("store queue", tier=1)  # guards _queue, _pings, _refusals, _closing
        self._queue: deque[_Task] = deque()
        self._pings: list[Callable[[], None]] = []
        self._refusals = 0
        self._groups = self._failures = 0  # these and _commits: of the store thread
        self._commits = Histogram(COMMIT_BOUNDS_S)
        self._closing = False
        self._trouble = ""  # of the store thread
        self._wake = threading.Event()  # set after _queue was empty no more, or _closing was set
        self._opened = threading.Event()
        self._open_error: BaseException | None = None
        self._thread = start_thread("store", self._run, on_crash=on_crash)
        self._opened.wait()
        if self._open_error is not None:
            self._thread.join()
            raise self._open_error

    def submit(self, work: Callable[[Connection], T], done: Callable[[Outcome[T]], None]) -> None:
        """Have ``work(connection)`` done on the store thread, and ``done`` told how it ended.

        Safe from any thread, and under any lock of tier 2 or 3; never blocks for long. Pieces of
        work run in the order of their submission; each is undone alone if it raises. Raises
        ``StoreBusy`` if the queue is full or the store is closed: then ``done`` is never called.
        Otherwise it is called exactly once.

        ``work``

        1. MUST NOT begin, commit or roll back; savepoints of its own are fine.
        2. MUST NOT wait for anything: the whole store waits with it.
        3. MUST return plain values, no cursor or generator, and finish those it uses.
        4. MUST NOT act outside the database: it may yet be undone, and then is called again, with
           its group or alone.
        5. MUST NOT go on after an error of the database, but raise it.

        ``done`` runs on the store thread after the commit. It MUST only post the outcome to where
        it is wanted. If it raises, that is logged and changes nothing.

        The outcome's error is what ``work`` raised, with an error of the database turned into
        ``StoreError``; or a ``StoreError`` if the group could not be committed. Nothing was kept
        then, unless it is ``OutcomeUnknown``: who does the work again allows for that.
        """
        with self._lock:
            if self._closing:
                raise StoreBusy("the store is closed")
            if len(self._queue) >= self._queue_limit:
                self._refusals += 1
                raise StoreBusy(f"{self._queue_limit} pieces of work wait for the store already")
            self._queue.append(_Task(work, done))
            was_empty = len(self._queue) == 1
        if was_empty:
            self._wake.set()

    def call(self, work: Callable[[Connection], T]) -> T:
        """Submit ``work``, wait until it is committed, and return its value or raise its error.

        Blocks: for starting up, for tools and tests; not on an I/O thread. Raises ``StoreBusy`` as
        ``submit`` does.
        """
        assert threading.current_thread() is not self._thread, "the store would wait for itself"
        outcomes: queue.SimpleQueue[Outcome[T]] = queue.SimpleQueue()
        self.submit(work, outcomes.put)
        return outcomes.get().result()

    def ping(self, answer: Callable[[], None]) -> None:
        """Have ``answer`` called on the store thread when it is done with the piece at hand.

        Safe from any thread; never blocks. It touches neither the queue nor the database, so that
        neither a full queue nor a broken disk keeps it from answering, but only a thread that is
        stuck. Once the store is closed it is never called. It MUST only post, as ``done`` above.
        """
        with self._lock:
            self._pings.append(answer)
        self._wake.set()

    @property
    def trouble(self) -> str:
        """Why nothing can be written at the moment; empty if it can. Safe from any thread.

        It ends with the first write that succeeds: see ``try_again``.
        """
        return self._trouble

    def try_again(self) -> None:
        """Try to write, for the sake of ``trouble``. Safe from any thread; never blocks."""
        with contextlib.suppress(StoreBusy):  # then there is enough to try with
            self.submit(self._write_nothing, self._tried)

    def figures(self) -> StoreFigures:
        """Return how it has done. Safe from any thread; never blocks."""
        with self._lock:
            waiting, refusals = len(self._queue), self._refusals
        return StoreFigures(
            self._groups,
            self._commits.snapshot(),
            self._failures,
            refusals,
            waiting,
            self._trouble,
        )

    def close(self) -> None:
        """Finish what is queued, close the database and join the thread. May be called again.

        Blocks for as long as that takes. Not for the store thread itself.
        """
        with self._lock:
            self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._database.open(self._answer_pings)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the constructor raises it
            self._open_error = error
            return
        finally:
            self._opened.set()
        try:
            with contextlib.closing(self._database):
                self._serve()
        finally:
            self._abandon()

    def _serve(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._answer_pings()
            while group := self._take():
                try:
                    outcomes = self._do(group)
                except BaseException:
                    _tell(group, _ended(group))
                    raise
                _tell(group, outcomes)
                self._answer_pings()
            with self._lock:
                if self._closing and not self._queue:
                    return

    def _abandon(self) -> None:
        """Take no more; tell those that wait. There is nobody unless the thread has crashed."""
        with self._lock:
            self._closing = True
            waiting, self._queue = list(self._queue), deque()
        _tell(waiting, _ended(waiting))

    def _take(self) -> list[_Task]:
        with self._lock:
            count = min(len(self._queue), self._turn_limit)
            return [self._queue.popleft() for _ in range(count)]

    def _answer_pings(self) -> None:
        if not self._pings:  # seen the next time, if one comes now
            return
        with self._lock:
            pings, self._pings = self._pings, []
        for answer in pings:
            try:
                answer()
            except BaseException:  # noqa: BLE001 - others' code: it must not stop the store
                _log.exception("who pinged the store failed")

    def _do(self, group: Sequence[_Task]) -> list[Outcome[Any]]:
        """Do a group; return how it went for each."""
        try:
            outcomes = self._transaction(group)
        except OutcomeUnknown as error:
            self._failures += 1
            outcomes = [Outcome(error=error) for _ in group]
        except BaseException as error:  # noqa: BLE001 - the thread's safety net: on to the next
            self._failures += 1
            # It has waited for whatever lock or server there is, and others wait for it.
            self._database.hurry(True)
            outcomes = self._each(self._do_alone, group)
            self._note_trouble(error)
            if not self._trouble:
                self._database.hurry(False)
        for outcome in outcomes:
            if self._database.is_trouble(outcome.error):
                self._note_trouble(cast(BaseException, outcome.error))
        return outcomes

    def _each(
        self, do: Callable[[_Task], Outcome[Any]], group: Sequence[_Task]
    ) -> list[Outcome[Any]]:
        outcomes = []
        for task in group:
            outcomes.append(do(task))
            self._answer_pings()  # all of a group may take long: searches, commits one by one
        return outcomes

    def _do_alone(self, task: _Task) -> Outcome[Any]:
        """Do one of a group that has failed, by itself."""
        try:
            (outcome,) = self._transaction([task], alone=True)
        except OutcomeUnknown as error:
            return Outcome(error=error)
        except BaseException as error:  # noqa: BLE001 - told to whom it concerns
            return Outcome(error=_store_error("nothing was kept", error))
        return outcome

    def _transaction(self, group: Sequence[_Task], *, alone: bool = False) -> list[Outcome[Any]]:
        """Do all of the group in one transaction, again if it may succeed then.

        If this raises nothing of it was done, but for ``OutcomeUnknown``.
        """
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                return self._commit(group, alone=alone)
            except BaseException as error:
                self._database.roll_back()
                if not attempts_left or not self._database.is_passing(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _commit(self, group: Sequence[_Task], *, alone: bool) -> list[Outcome[Any]]:
        connection = self._database.begin(writing=not alone)  # what only reads, can
        outcomes = self._each(partial(self._attempt, connection), group)
        began = time.perf_counter()
        wrote = self._database.commit()
        if not alone:
            self._groups += 1
            if wrote:  # else there was nothing to bring to the disk
                self._commits.observe(time.perf_counter() - began)
        return outcomes

    def _attempt(self, connection: Connection, task: _Task) -> Outcome[Any]:
        """Do one task so that it alone is undone if it raises. Raises if all is undone with it."""
        database = self._database
        outcome: Outcome[Any]
        database.save()
        try:
            outcome = Outcome(task.work(connection))
        except BaseException as error:  # the submitter's to judge, and handed over
            if not database.in_transaction or database.is_passing(error):
                raise
            database.undo()
            if database.is_error(error):
                error = _store_error("the store refused", error)
            outcome = Outcome(error=error)
        database.release()
        return outcome

    def _note_trouble(self, error: BaseException) -> None:
        """Take note of why a group failed; said once, until a write succeeds."""
        if not self._database.is_trouble(error):
            _log.error("a group of work of the store failed", exc_info=error)
        elif not self._trouble:
            self._trouble = str(error)
            _log.error("the store cannot write: %s", error)

    def _write_nothing(self, connection: Connection) -> None:
        self._database.write_nothing(connection)

    def _tried(self, outcome: Outcome[None]) -> None:
        if self._trouble and outcome.error is None:
            self._trouble = ""
            _log.warning("the store can write again")
            self._database.hurry(False)


def _ended(group: Sequence[_Task]) -> list[Outcome[Any]]:
    return [Outcome(error=StoreError("the store has ended")) for _ in group]


def _tell(group: Sequence[_Task], outcomes: Sequence[Outcome[Any]]) -> None:
    for task, outcome in zip(group, outcomes, strict=True):
        try:
            task.done(outcome)
        except BaseException:  # noqa: BLE001 - others' code: it must not stop the store
            _log.exception("the receiver of a store outcome failed")


def _store_error(what: str, cause: BaseException) -> StoreError:
    error = StoreError(f"{what}: {cause}")
    error.__cause__ = cause
    return error
