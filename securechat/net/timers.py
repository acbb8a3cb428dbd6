"""Timers and deadlines on the monotonic clock."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Clock", "Deadline", "Timer", "Timers"]

Clock = Callable[[], float]
"""Seconds of a clock that only goes forward; ``time.monotonic`` but in tests."""


_FEW: Final = 64
"""Cancelled timers that are not worth looking for."""


class Timer:
    """One call to come. Owned by the thread of its ``Timers``; ``cancel`` is all one does to it."""

    __slots__ = ("_callback", "_timers")

    def __init__(self, timers: Timers, callback: Callable[[], None]) -> None:
        self._timers = timers
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call. Does nothing when it has been called already."""
        if self._callback is not None:
            self._callback = None
            self._timers.note_cancelled()

    @property
    def cancelled(self) -> bool:
        """Whether nothing is left to call."""
        return self._callback is None

    def fire(self) -> None:
        """Call, unless cancelled or called before."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Timers:
    """Calls to come, in the order of their time. Owned by one thread.

    Most timers guard against what hardly ever happens, and are cancelled. Of those no more are kept
    than of others.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = itertools.count()
        self._cancelled = 0  # in the heap

    def add(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in the first ``run`` at or after ``when`` (seconds of the clock)."""
        timer = Timer(self, callback)
        heapq.heappush(self._heap, (when, next(self._sequence), timer))
        return timer

    def next_in(self, now: float) -> float | None:
        """Return the seconds until the next call, at least 0; ``None`` when there is none."""
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def run(self, now: float) -> None:
        """Make the calls that are due. A call may add timers; those due run too."""
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            self._cancelled -= timer.cancelled
            timer.fire()

    def note_cancelled(self) -> None:
        """Take note that a timer of the heap was cancelled."""
        self._cancelled += 1
        if self._cancelled > max(_FEW, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if not entry[2].cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0


class Deadline:
    """One time limit over several steps. Immutable; safe from any thread.

    :param timeout_s: seconds from now.
    """

    __slots__ = ("_clock", "_end")

    def __init__(self, timeout_s: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + timeout_s

    def left_s(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self._end - self._clock())

    def over(self) -> bool:
        """Whether the time has run out."""
        return self._clock() >= self._end
