"""The thread that owns the database and shares one commit among all that is waiting.

A commit is one fsync, whatever it holds. So the thread takes all the work that has queued up
while it was busy, does it in one transaction, and reports each piece only after the commit: what
was reported is on the disk. The slower the disk, the larger the groups; nobody sets a delay.

When the disk is full, or may not be written, a group fails as a whole. Then each piece of it is
done by itself, so that what only reads (a login, say) still works, and the others are told alone.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from securechat.errors import StoreBusy, StoreError
from securechat.net.locks import make_lock
from securechat.net.threads import start_thread
from securechat.server.telemetry.histogram import Distribution, Histogram
from securechat.store.database import BUSY_TIMEOUT_MS, open_database

__all__ = [
    "COMMIT_BOUNDS_S",
    "STORE_QUEUE_LIMIT",
    "STORE_TURN_LIMIT",
    "Outcome",
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

_TROUBLES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""What SQLite says when it is not the work that is wrong, but the disk, the file or the machine."""

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
    work: Callable[[sqlite3.Connection], Any]
    done: Callable[[Outcome[Any]], None]


class StoreThread:
    """The store thread and its queue. Safe from any thread; the connection never leaves its own.

    The constructor returns when the database is open, or raises ``StoreError`` if it cannot be.

    :param on_crash: called with the exception should the thread itself fail; what waited gets an
        error then, and nothing more is taken.
    """

    def __init__(
        self,
        path: Path,
        *,
        queue_limit: int = STORE_QUEUE_LIMIT,
        turn_limit: int = STORE_TURN_LIMIT,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._path = path
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

    def submit(
        self, work: Callable[[sqlite3.Connection], T], done: Callable[[Outcome[T]], None]
    ) -> None:
        """Have ``work(connection)`` done on the store thread, and ``done`` told how it ended.

        Safe from any thread, and under any lock of tier 2 or 3; never blocks for long. Pieces of
        work run in the order of their submission; each is undone alone if it raises. Raises
        ``StoreBusy`` if the queue is full or the store is closed: then ``done`` is never called.
        Otherwise it is called exactly once.

        ``work``

        1. MUST NOT begin, commit or roll back; savepoints of its own are fine.
        2. MUST NOT wait for anything: the whole store waits with it.
        3. MUST return plain values, no cursor or generator, and finish those it uses.
        4. MUST NOT act outside the database: it may yet be undone with its group, and then is
           called again, alone.

        ``done`` runs on the store thread after the commit. It MUST only post the outcome to where
        it is wanted. If it raises, that is logged and changes nothing.

        The outcome's error is what ``work`` raised, with an error of SQLite turned into
        ``StoreError``; or a ``StoreError`` if the group could not be committed.
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

    def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
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
            self.submit(_write_nothing, self._tried)

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
            connection = open_database(self._path)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the constructor raises it
            self._open_error = error
            return
        finally:
            self._opened.set()
        try:
            with contextlib.closing(connection):
                self._serve(connection)
        finally:
            self._abandon()

    def _serve(self, connection: sqlite3.Connection) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._answer_pings()
            while group := self._take():
                try:
                    outcomes = self._do(connection, group)
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

    def _do(self, connection: sqlite3.Connection, group: Sequence[_Task]) -> list[Outcome[Any]]:
        """Do a group; return how it went for each."""
        try:
            outcomes = self._commit(connection, group)
        except BaseException as error:  # noqa: BLE001 - the thread's safety net: on to the next
            self._failures += 1
            _roll_back(connection)
            # It has waited for whatever lock there is, and others wait for it.
            _wait_for_locks(connection, 0)
            outcomes = self._each(_do_alone, connection, group)
            self._note_trouble(error)
            if not self._trouble:
                _wait_for_locks(connection, BUSY_TIMEOUT_MS)
        for outcome in outcomes:
            if _is_trouble(outcome.error):
                self._note_trouble(cast(BaseException, outcome.error))
        return outcomes

    def _each(
        self,
        do: Callable[[sqlite3.Connection, _Task], Outcome[Any]],
        connection: sqlite3.Connection,
        group: Sequence[_Task],
    ) -> list[Outcome[Any]]:
        outcomes = []
        for task in group:
            outcomes.append(do(connection, task))
            self._answer_pings()  # all of a group may take long: searches, commits one by one
        return outcomes

    def _note_trouble(self, error: BaseException) -> None:
        """Take note of why a group failed; said once, until a write succeeds."""
        if not _is_trouble(error):
            _log.error("a group of work of the store failed", exc_info=error)
        elif not self._trouble:
            self._trouble = str(error)
            _log.error("the store cannot write: %s", error)

    def _tried(self, outcome: Outcome[sqlite3.Connection]) -> None:
        if self._trouble and outcome.error is None:
            self._trouble = ""
            _log.warning("the store can write again")
            _wait_for_locks(outcome.result(), BUSY_TIMEOUT_MS)

    def _commit(self, connection: sqlite3.Connection, group: Sequence[_Task]) -> list[Outcome[Any]]:
        """Do all of the group in one transaction. If this raises, nothing of it was done."""
        changes = connection.total_changes
        connection.execute("BEGIN IMMEDIATE")
        outcomes = self._each(_attempt, connection, group)
        began = time.perf_counter()
        connection.execute("COMMIT")
        self._groups += 1
        if connection.total_changes != changes:  # else there was nothing to bring to the disk
            self._commits.observe(time.perf_counter() - began)
        return outcomes


def _attempt(connection: sqlite3.Connection, task: _Task) -> Outcome[Any]:
    """Do one task so that it alone is undone if it raises. Raises if the transaction is gone."""
    outcome: Outcome[Any]
    connection.execute("SAVEPOINT task")
    try:
        outcome = Outcome(task.work(connection))
    except BaseException as error:  # the submitter's to judge, and handed over
        # A full disk and a few other errors make SQLite roll back the whole transaction at once
        # (https://www.sqlite.org/lang_transaction.html, 2.3), and the tasks before with it.
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO task")
        if isinstance(error, sqlite3.Error):
            error = _store_error("the store refused", error)
        outcome = Outcome(error=error)
    connection.execute("RELEASE task")
    return outcome


def _do_alone(connection: sqlite3.Connection, task: _Task) -> Outcome[Any]:
    """Do one of a group that has failed, by itself."""
    try:
        connection.execute("BEGIN")  # not IMMEDIATE: what only reads, can
        outcome = _attempt(connection, task)
        connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - told to whom it concerns
        _roll_back(connection)
        return Outcome(error=_store_error("nothing was kept", error))
    return outcome


def _wait_for_locks(connection: sqlite3.Connection, most_ms: int) -> None:
    connection.execute(f"PRAGMA busy_timeout = {most_ms}")


def _write_nothing(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Write what is there already. Returns the connection: only its own thread is told."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


def _is_trouble(error: BaseException | None) -> bool:
    """Whether an error of SQLite, or what was made of it, is one of ``_TROUBLES``."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = error.__cause__
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _TROUBLES


def _ended(group: Sequence[_Task]) -> list[Outcome[Any]]:
    return [Outcome(error=StoreError("the store has ended")) for _ in group]


def _tell(group: Sequence[_Task], outcomes: Sequence[Outcome[Any]]) -> None:
    for task, outcome in zip(group, outcomes, strict=True):
        try:
            task.done(outcome)
        except BaseException:  # noqa: BLE001 - others' code: it must not stop the store
            _log.exception("the receiver of a store outcome failed")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            _log.exception("the store could not roll back")


def _store_error(what: str, cause: BaseException) -> StoreError:
    error = StoreError(f"{what}: {cause}")
    error.__cause__ = cause
    return error
