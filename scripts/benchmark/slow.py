"""A room in which some stop reading: what that costs those who read, and the relay."""

from __future__ import annotations

import secrets
import socket
import statistics
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from benchmark.children import Child, Children
from benchmark.crowd import Client, Crowd, LoadError, Target
from benchmark.pace import FULL_TEXT_BYTES, Heard, Saying, percentile_ms, say, stamped, take
from benchmark.relay import memory_bytes

__all__ = ["BURST", "measure_slow"]

AT_ONCE: Final = 16
"""Handshakes under way at a time."""

BURST: Final = 20
"""Messages said at a time, as by those who paste: the queues of those who do not read fill soon,
while those who read need not do so for each message."""

BURSTS_PER_S: Final = 50

OPTIONS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1460),
    (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),
)
"""Of the sockets of those who will not read. The kernel keeps a multiple of what a connection has
carried at a time, over loopback megabytes, before the relay notices anything; with segments as over
Ethernet, and little room to receive them, it is a tenth of a megabyte."""

WATCH_S: Final = 0.02
"""How often the relay's memory is read."""

ALL_READ: Final = "all read"
SOME_STALL: Final = "some do not read"


@dataclass(slots=True)
class _Runs:
    """The figures of the rounds of one kind."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    grown_bytes: list[int] = field(default_factory=list)
    disconnected: int = 0
    deliveries: int = 0


def measure_slow(
    target: Target,
    pid: int,
    *,
    members: int,
    stalled: int,
    messages: int,
    rounds: int,
    sendq_bytes: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures, from ``rounds`` in which both take turns: a new room in which all read,
    and a new one in which ``stalled`` of the ``members`` do not.

    :param pid: of the relay.
    :param messages: said in each room; a multiple of ``BURST``.
    :param sendq_bytes: what the relay keeps for one client at most, by its configuration.
    """
    runs = {ALL_READ: _Runs(), SOME_STALL: _Runs()}
    with Children(timeout_s) as children:
        room = children.start(partial(_Room, target, "b" + secrets.token_hex(2)[:3]))
        # To warm up: what the relay sets up or keeps once is not due to either kind.
        _run(room, pid, _Runs(), members, 0, max(BURST, messages // 10 // BURST * BURST))
        for _ in range(rounds):
            _run(room, pid, runs[ALL_READ], members, 0, messages)
            _run(room, pid, runs[SOME_STALL], members, stalled, messages)
    readers = 2 * (members - 1) - stalled  # in both rooms of a round
    return {
        "members": members,
        "stalled": stalled,
        "messages": messages,
        "messages_per_s": BURST * BURSTS_PER_S,
        "bytes": FULL_TEXT_BYTES,
        "rounds": rounds,
        "deliveries": sum(each.deliveries for each in runs.values()),
        "deliveries_expected": rounds * messages * readers,
        "latency": {
            name: {
                "p50_ms": round(statistics.median(each.p50_ms), 3),
                "p99_ms": round(statistics.median(each.p99_ms), 3),
            }
            for name, each in runs.items()
        },
        "relay_bytes_grown": {name: max(each.grown_bytes) for name, each in runs.items()},
        "sendq_bytes": sendq_bytes,
        "relay_bytes_bound": sendq_bytes * stalled,
        "disconnected": runs[SOME_STALL].disconnected,
        "stalled_in_all_rounds": rounds * stalled,
    }


def _run(
    room: Child[_Room], pid: int, runs: _Runs, members: int, stalled: int, messages: int
) -> None:
    """Fill a new room, have it talk, and let all read again; add the figures to ``runs``."""
    room.do(_Room.gather, members, stalled)
    before = most = memory_bytes(pid)
    talk = room.begin(_Room.talk, messages)
    while not room.answered:
        time.sleep(WATCH_S)
        most = max(most, memory_bytes(pid))
    heard = talk()
    runs.disconnected += room.do(_Room.release, messages)
    latencies = sorted(heard.latencies_ns)
    runs.p50_ms.append(percentile_ms(latencies, 50))
    runs.p99_ms.append(percentile_ms(latencies, 99))
    runs.grown_bytes.append(most - before)
    runs.deliveries += len(latencies)


class _Room:
    """People in a room, the first of whom speaks. Owned by one process; one room at a time."""

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._target = target
        self._prefix = prefix
        self._deadline = deadline
        self._first = 0  # of the numbers that nobody has had yet
        self._crowd: Crowd | None = None
        self._channel = ""
        self._stalled: list[Client] = []

    def gather(self, members: int, stalled: int) -> None:
        """Have so many new people join a new room, and so many of them stop reading."""
        self.close()
        crowd = Crowd(self._target, self._prefix, self._first)
        crowd.deadline = self._deadline
        self._crowd = crowd
        self._channel = f"#{self._prefix}-{self._first}"
        self._first += members
        crowd.connect(members - stalled, AT_ONCE)
        crowd.connect(stalled, AT_ONCE, OPTIONS)
        crowd.join(self._channel)
        crowd.settle()
        self._stalled = list(crowd.clients.values())[members - stalled :]
        for client in self._stalled:
            crowd.pause(client)

    def talk(self, messages: int) -> Heard:
        """Have so many messages said, and heard by all who read."""
        crowd = self._gathered()
        hearers = len(crowd.clients) - 1 - len(self._stalled)
        return say(crowd, self._sayings(messages), messages * hearers)

    def release(self, messages: int) -> int:
        """Let all read again; return how many of them the relay has disconnected.

        The others must then have all that was said, if late.
        """
        crowd = self._gathered()
        disconnected = 0
        for client in self._stalled:
            client.got = 0
            crowd.resume(client)
        waiting = set(self._stalled)
        while waiting:
            for descriptor, events in crowd.poll():
                client = crowd.clients[descriptor]
                try:
                    client.got += take(crowd, client, events, array("q"))
                except LoadError:
                    if client not in waiting:
                        raise
                    disconnected += 1
                    crowd.drop(client)
                    waiting.remove(client)
                    continue
                if client.got == messages:
                    waiting.discard(client)
        self._stalled = []
        return disconnected

    def close(self) -> None:
        """Close all connections."""
        if self._crowd is not None:
            self._crowd.close()

    def _gathered(self) -> Crowd:
        if self._crowd is None:
            raise LoadError("nobody is in the room")
        return self._crowd

    def _sayings(self, messages: int) -> Iterator[Saying]:
        speaker = next(iter(self._gathered().clients.values()))
        began_ns = time.monotonic_ns()
        for number in range(messages // BURST):
            due_ns = began_ns + number * 1_000_000_000 // BURSTS_PER_S
            yield Saying(due_ns, speaker, BURST * stamped(self._channel, due_ns, FULL_TEXT_BYTES))
