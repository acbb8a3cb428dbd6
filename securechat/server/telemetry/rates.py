"""How much passes each second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Final

from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.net.traffic import Traffic

__all__ = ["RATE_S", "Passed", "Rates"]

RATE_S: Final = 60.0
"""Over how long the rates are taken, in seconds: what a person means by "now"."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What has passed, or passes each second. Immutable.

    Messages are lines of IRC. ``deliveries`` are what is said or done, for each session that is
    told of it; sent messages are these and the lines that answer commands. Bytes are those inside
    TLS.
    """

    received_messages: float = 0
    sent_messages: float = 0
    deliveries: float = 0
    received_bytes: float = 0
    sent_bytes: float = 0

    def plus(self, traffic: Traffic) -> Passed:
        """Return this and what one I/O thread has counted."""
        return Passed(
            self.received_messages + traffic.received_messages,
            self.sent_messages + traffic.answers + traffic.deliveries,
            self.deliveries + traffic.deliveries,
            self.received_bytes + traffic.received_bytes,
            self.sent_bytes + traffic.sent_bytes,
        )

    def per_second(self, before: Passed, seconds: float) -> Passed:
        """Return what passed each second, of the ``seconds`` since it was ``before``."""
        pairs = zip(astuple(self), astuple(before), strict=True)
        return Passed(*((new - old) / seconds for new, old in pairs))


class Rates:
    """Keeps what had passed, for a while. Safe from any thread (own lock, tier 1).

    :param read: returns what has passed up to now.
    """

    def __init__(self, read: Callable[[], Passed], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = make_lock("Rates", tier=1)  # guards _marks
        self._marks = deque([(clock(), read())])  # the oldest first; that of the start at once

    def tick(self) -> None:
        """Take a mark; about every second."""
        now, passed = self._clock(), self._read()
        with self._lock:
            self._marks.append((now, passed))
            # The second is the one to compare with as soon as it is old enough itself.
            while len(self._marks) > 2 and self._marks[1][0] <= now - RATE_S:
                self._marks.popleft()

    def per_second(self) -> Passed:
        """Return what passes each second: over ``RATE_S`` up to the last tick, or since the start.

        All zero before the first tick.
        """
        with self._lock:
            (began, before), (ended, after) = self._marks[0], self._marks[-1]
        return after.per_second(before, ended - began) if ended > began else Passed()
