"""The thread that does what must be done from time to time, and what others may not do themselves.

An I/O thread does no file I/O, and a signal handler does nothing: they leave it here. The thread
looks at the certificate's files, at the health of the other threads, and at nothing of the chat.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from securechat.errors import SecureChatError
from securechat.net.threads import Thread, start_thread
from securechat.server.store_thread import Outcome

__all__ = ["CARETAKER_QUEUE_LIMIT", "Caretaker", "CaretakerBusy", "Duty"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

CARETAKER_QUEUE_LIMIT: Final = 16
"""Pieces of work that may wait: people ask for a reload, and one at a time is sensible."""


class CaretakerBusy(SecureChatError):
    """Too much work waits already, or the relay is about to stop; nothing was begun."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What is done again and again: ``work`` every ``interval_s`` seconds, first at once."""

    interval_s: float
    work: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Task:
    work: Callable[[], Any]
    done: Callable[[Outcome[Any]], None]


class Caretaker:
    """Does its duties and what it is given. Made, started and stopped by one thread."""

    def __init__(self, duties: Iterable[Duty]) -> None:
        self._due = dict.fromkeys(duties, 0.0)  # when, in seconds of the monotonic clock
        self._queue: queue.Queue[_Task | None] = queue.Queue(CARETAKER_QUEUE_LIMIT)
        self._thread: Thread | None = None
        self._ended = False

    def start(self, on_crash: Callable[[BaseException], None]) -> None:
        """Begin."""
        self._thread = start_thread("caretaker", self._run, on_crash=on_crash)

    def submit(self, work: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        """Have ``work`` done, and ``done`` told how it ended. Safe from any thread; never blocks.

        Both are called on the caretaker's thread; ``done`` must only post.

        :raises CaretakerBusy: nothing was begun.
        """
        try:
            self._queue.put_nowait(_Task(work, done))
        except queue.Full:
            raise CaretakerBusy("the relay is busy with the last such commands") from None
        if self._ended:  # perhaps after the thread has looked for the last time
            self._refuse_waiting()

    def call(self, work: Callable[[], T]) -> T:
        """Have ``work`` done; return its value or raise its error. Blocks; safe from any other
        thread, while the caretaker runs.

        :raises CaretakerBusy: nothing was begun.
        """
        outcomes: queue.SimpleQueue[Outcome[T]] = queue.SimpleQueue()
        self.submit(work, outcomes.put)
        return outcomes.get().result()

    def stop(self) -> None:
        """End, when what was given before is done. Blocks."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._ended = True
            self._refuse_waiting()  # or whoever waits would do so for ever

    def _work(self) -> None:
        while True:
            for duty, due in self._due.items():
                if time.monotonic() >= due:
                    self._due[duty] = time.monotonic() + duty.interval_s
                    self._do_duty(duty)
            next_due = min(self._due.values(), default=None)
            try:
                wait_s = None if next_due is None else max(0.0, next_due - time.monotonic())
                task = self._queue.get(timeout=wait_s)
            except queue.Empty:
                continue
            if task is None:
                return
            self._do(task)

    def _do_duty(self, duty: Duty) -> None:
        try:
            duty.work()
        except Exception:  # noqa: BLE001 - it is tried again; the relay lives on
            _log.exception("a duty of the caretaker failed")

    def _do(self, task: _Task) -> None:
        outcome: Outcome[Any] = _never_done()
        try:
            outcome = Outcome(task.work())
        except Exception as error:  # noqa: BLE001 - for whoever has asked
            if not isinstance(error, SecureChatError):
                _log.exception("work of the caretaker failed")
            outcome = Outcome(error=error)
        finally:
            _tell(task, outcome)

    def _refuse_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                task = self._queue.get_nowait()
                if task is not None:
                    _tell(task, _never_done())


def _never_done() -> Outcome[Any]:
    return Outcome(error=CaretakerBusy("the relay is about to stop"))


def _tell(task: _Task, outcome: Outcome[Any]) -> None:
    try:
        task.done(outcome)
    except Exception:  # noqa: BLE001 - others' code
        _log.exception("the receiver of an outcome failed")
