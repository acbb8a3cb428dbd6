"""A room in which somebody speaks at a steady pace: how long messages take beside other load."""

from __future__ import annotations

import time
from typing import Final

from benchmark.crowd import Crowd, Target
from benchmark.pace import Saying, say, stamped

__all__ = ["Room"]

CHANNEL: Final = "#paced"

AT_ONCE: Final = 16
"""Handshakes under way at a time."""


class Room:
    """People in one room, the first of whom speaks. Owned by one thread.

    :param deadline: for all waiting, by the monotonic clock.
    """

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline

    def gather(self, members: int) -> None:
        """Have so many connect and join."""
        self._crowd.connect(members, AT_ONCE)
        self._crowd.join(CHANNEL)
        self._crowd.settle()

    def talk(self, messages: int, per_s: float) -> list[int]:
        """Have so many messages said, evenly spaced; return how long each took to each hearer.

        In nanoseconds, from when it was to be said: if that was late, it counts.
        """
        speaker, *hearers = self._crowd.clients.values()
        began, step = time.monotonic_ns(), 1e9 / per_s
        times = (began + round(number * step) for number in range(messages))
        sayings = (Saying(due, speaker, stamped(CHANNEL, due)) for due in times)
        return say(self._crowd, sayings, messages * len(hearers)).latencies_ns.tolist()

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()
