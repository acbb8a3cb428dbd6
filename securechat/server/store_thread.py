"""The thread that owns the database and shares one commit among all that is waiting.

A commit is one fsync, whatever it holds. So the thread takes all the work that has queued up
while it was busy, does it in one transaction, and reports each piece only after the commit: what
was reported is on the disk. The slower the disk, the larger the groups; nobody sets a delay.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from securechat.errors import StoreBusy, StoreError
from securechat.net.locks import make_lock
from securechat.net.threads import start_thread
from securechat.store.database import open_database

__all__ = ["STORE_QUEUE_LIMIT", "STORE_TURN_LIMIT", "Outcome", "StoreThread"]

# Pieces of work that may wait. A stalling disk (a cheap SSD or SD card tidying up) stands still for
# a second or two; at 5,000 messages a second that is 10,000 of them, at about 1 KB each.
STORE_QUEUE_LIMIT = 16384

# Pieces of work in one transaction. At some 10 µs each the last is done about 10 ms after the
# first, which bounds how much longer the first waits. Inserts of 100 bytes, on an SSD: 90,000 a
# second with 64, 133,000 with 1,024, no more with 4,096.
STORE_TURN_LIMIT = 1024

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
class _Task:
    work: Callable[[sqlite3.Connection], Any]
    done: Callable[[Outcome[Any]], None]


class StoreThread:
    """The store thread and its queue. Safe from any thread; the connection never leaves its own.

    The constructor returns when the database is open, or raises ``StoreError`` if it cannot be.
    """

    def __init__(
        self,
        path: Path,
        *,
        queue_limit: int = STORE_QUEUE_LIMIT,
        turn_limit: int = STORE_TURN_LIMIT,
    ) -> None:
        self._path = path
        self._queue_limit = queue_limit
        self._turn_limit = turn_limit
        self._lock = make_lock("store queue", tier=1)  # guards _queue and _closing
        self._queue: deque[_Task] = deque()
        self._closing = False
        self._wake = threading.Event()  # set after _queue was empty no more, or _closing was set
        self._opened = threading.Event()
        self._open_error: BaseException | None = None
        self._thread = start_thread("store", self._run)
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
        4. MUST NOT act outside the database: it may yet be undone with its group.

        ``done`` runs on the store thread after the commit. It MUST only post the outcome to where
        it is wanted. If it raises, that is logged and changes nothing.

        The outcome's error is what ``work`` raised, with an error of SQLite turned into
        ``StoreError``; or a ``StoreError`` if the group could not be committed.
        """
        with self._lock:
            if self._closing:
                raise StoreBusy("the store is closed")
            if len(self._queue) >= self._queue_limit:
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
        with contextlib.closing(connection):
            while True:
                self._wake.wait()
                self._wake.clear()
                while group := self._take():
                    _do_turn(connection, group)
                with self._lock:
                    if self._closing and not self._queue:
                        return

    def _take(self) -> list[_Task]:
        with self._lock:
            count = min(len(self._queue), self._turn_limit)
            return [self._queue.popleft() for _ in range(count)]


def _do_turn(connection: sqlite3.Connection, group: Sequence[_Task]) -> None:
    outcomes: list[Outcome[Any]]
    try:
        outcomes = _commit(connection, group)
    except BaseException as error:  # noqa: BLE001 - the thread's safety net: on to the next group
        _log.exception("the store lost a group of %d pieces of work", len(group))
        _roll_back(connection)
        outcomes = [Outcome(error=_store_error("nothing was kept", error)) for _ in group]
    for task, outcome in zip(group, outcomes, strict=True):
        try:
            task.done(outcome)
        except BaseException:  # noqa: BLE001 - others' code: it must not stop the store
            _log.exception("the receiver of a store outcome failed")


def _commit(connection: sqlite3.Connection, group: Sequence[_Task]) -> list[Outcome[Any]]:
    """Do all of the group in one transaction. If this raises, nothing of it was done."""
    connection.execute("BEGIN IMMEDIATE")
    outcomes = [_attempt(connection, task) for task in group]
    connection.execute("COMMIT")
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
