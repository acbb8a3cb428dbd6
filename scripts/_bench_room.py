"""A room in which somebody speaks at a steady pace: how long messages take beside other load."""

from __future__ import annotations

import select
import time
from typing import Final

from _bench_crowd import TIME_DIGITS, Client, Crowd, Target

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
        crowd = self._crowd
        speaker, *hearers = crowd.clients.values()
        latencies: list[int] = []
        began, step = time.monotonic_ns(), 1e9 / per_s
        sent = 0
        while len(latencies) < messages * len(hearers):
            while sent < messages and (due := began + round(sent * step)) <= time.monotonic_ns():
                crowd.send(speaker, f"PRIVMSG {CHANNEL} :{due:0{TIME_DIGITS}x}\r\n".encode())
                sent += 1
            next_s = (began + sent * step) / 1e9 if sent < messages else None
            for descriptor, events in crowd.poll(next_s):
                self._take(crowd.clients[descriptor], events, latencies)
        return latencies

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()

    def _take(self, client: Client, events: int, latencies: list[int]) -> None:
        crowd = self._crowd
        if events & select.EPOLLOUT:
            crowd.flush(client)
        if events & ~select.EPOLLOUT and crowd.receive(client):
            while size := crowd.decrypt(client):
                crowd.times(client, crowd.plain[:size], latencies)
