"""The thread that reads and writes files, so that a slow disk stops no connection."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from securechat.errors import SecureChatError
from securechat.net.locks import make_lock
from securechat.net.threads import Thread, start_thread

__all__ = ["DISK_TASKS", "Disk", "DiskBusy", "Result"]

DISK_TASKS: Final = 4_096
"""Pieces of work that may wait. A transfer has one or two of them, so this is some thousand
transfers; each reads or writes a few MiB at most, which a disk does in a fraction of a second."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class DiskBusy(SecureChatError):
    """Too much waits for the disk, or it is closed. The work was not done."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """How a piece of work ended: with a value or with an error. Immutable."""

    value: T | None = None
    error: BaseException | None = None

    def get(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast(T, self.value)


@dataclass(frozen=True, slots=True)
class _Task:
    work: Callable[[], Any]
    done: Callable[[Result[Any]], None]


class Disk:
    """One thread for the disk, and its queue. Safe from any thread.

    The thread starts with the first piece of work: a client that moves no files has none.

    :param post: calls what it is given on the I/O thread; safe from any thread, never blocks.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], None]], object],
        *,
        name: str = "peer disk",
        tasks_limit: int = DISK_TASKS,
    ) -> None:
        self._post = post
        self._name = name
        self._lock = make_lock("disk queue", tier=1)  # guards _closed, _thread, putting into _queue
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._tasks_limit = tasks_limit
        self._closed = False
        self._thread: Thread | None = None

    def submit(self, work: Callable[[], T], done: Callable[[Result[T]], None]) -> None:
        """Have ``work`` done on the disk thread, then ``done`` told on the I/O thread how it ended.

        Never blocks. Work is done in the order of its submission. ``done`` is called exactly once,
        never from within ``submit``; with ``DiskBusy`` where the queue was full or the disk closed.
        """
        with self._lock:
            refused = self._closed or self._queue.qsize() >= self._tasks_limit
            if not refused:
                self._queue.put(_Task(work, done))
                if self._thread is None:  # it does not take this lock, so it may start under it
                    self._thread = start_thread(self._name, self._run)
        if refused:
            self._post(partial(done, Result(error=DiskBusy("too much waits for the disk"))))

    def close(self) -> None:
        """Finish what is queued and join the thread. Blocks for that; may be called again."""
        with self._lock:
            first, self._closed = not self._closed, True
            thread = self._thread
        if thread is not None:
            if first:
                self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            self._post(partial(task.done, _attempt(task.work)))


def _attempt(work: Callable[[], T]) -> Result[T]:
    try:
        return Result(work())
    except SecureChatError as error:
        return Result(error=error)
    except BaseException as error:  # noqa: BLE001 - one transfer's failure must not end the others'
        _log.exception("work on the disk failed")
        return Result(error=error)
