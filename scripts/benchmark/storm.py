"""All come back at once, as after a restart: how long that takes, and what those who are in see."""

from __future__ import annotations

import secrets
import select
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmark.children import Child, Children
from benchmark.crew import share
from benchmark.crowd import Client, Crowd, LoadError, Target
from benchmark.pace import Heard, Saying, percentile_ms, say, stamped
from benchmark.relay import cpu_s, memory_bytes
from benchmark.returning import Returned, Returning

__all__ = ["measure_storm"]

ROOM: Final = 100
"""Who come back to one room, at most: each hears of all who join after them."""

CIRCLE: Final = 20
"""People of the audience in one room."""

PER_S: Final = 100
"""Messages of the whole audience each second, evenly spaced."""

LEAD_S: Final = 0.1
"""How long the audience talks before all come back, in seconds."""

AT_ONCE: Final = 16
"""Handshakes under way at a time, of those who are in already."""

WATCH_S: Final = 0.02
"""How often the accept queue is looked at, in seconds."""

NUMBERS: Final = 20_000
"""Of each process, for its clients' nicks: they do not meet."""


def measure_storm(
    target: Target,
    pid: int,
    *,
    storm: int,
    audience: int,
    idle: int,
    quiet_s: int,
    processes: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures.

    :param pid: of the relay.
    :param storm: clients that connect at once, from so many ``processes``.
    :param audience: people who are in already, and talk.
    :param idle: connections that are there as well, and say nothing.
    :param quiet_s: how long the audience talks before, to compare.
    """
    prefix = "b" + secrets.token_hex(2)[:3]
    rooms = -(-storm // ROOM)
    ears, hush = socket.socketpair()
    with ears, hush, Children(timeout_s) as children:
        people = children.start(partial(_Audience, target, prefix, ears))
        load = [
            children.start(partial(_Storm, target, prefix, (part + 1) * NUMBERS, rooms))
            for part in range(processes)
        ]
        people.do(_Audience.gather, audience, idle)
        quiet = people.do(_Audience.talk, quiet_s * PER_S)
        talk = people.begin(_Audience.talk)
        time.sleep(LEAD_S)
        overflows = _accept_overflows()
        before, before_bytes = cpu_s(pid), memory_bytes(pid)
        shares = zip(load, share(storm, processes), strict=True)
        waits = [child.begin(_Storm.come_back, count) for child, count in shares]
        queued = _longest_accept_queue(target.address[1], load)
        parts = [wait() for wait in waits]
        used_s, grown = cpu_s(pid) - before, memory_bytes(pid) - before_bytes
        hush.send(b"\0")
        beside = talk()
    return {
        "storm": storm,
        "rooms": rooms,
        "audience": audience,
        "idle": idle,
        "messages_per_s": PER_S,
        **_returned(parts),
        "accept_queue_longest": queued,
        "accept_queue_overflows": _accept_overflows() - overflows,
        "relay_cpu_us_per_connection": round(used_s / storm * 1e6, 1),
        "relay_bytes_per_connection": round(grown / storm),
        "latency": {"quiet": _latency(quiet), "storm": _latency(beside)},
    }


class _Audience:
    """People who talk in their rooms, by turns. Owned by one process.

    :param ears: readable when they are to stop.
    """

    def __init__(self, target: Target, prefix: str, ears: socket.socket, deadline: float) -> None:
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline
        self._prefix = prefix
        self._ears = ears
        self._circles: list[list[Client]] = []

    def gather(self, audience: int, idle: int) -> None:
        """Have so many connect, and the audience join its rooms."""
        self._crowd.connect(audience + idle, AT_ONCE)
        people = iter(list(self._crowd.clients.values()))
        for number, size in enumerate(share(audience, -(-audience // CIRCLE))):
            circle = [next(people) for _ in range(size)]
            self._crowd.join(self._channel(number), circle)
            self._circles.append(circle)
        self._crowd.settle()

    def talk(self, messages: int | None = None) -> Heard:
        """Have so many messages said, or go on until told to stop; wait until all are heard."""
        heard = say(self._crowd, self._sayings(messages), 0)
        hearers = [len(circle) - 1 for circle in self._circles]
        said = share(len(heard.late_ns), len(hearers))
        expected = sum(count * each for count, each in zip(said, hearers, strict=True))
        rest = say(self._crowd, iter(()), expected - len(heard.latencies_ns))
        heard.latencies_ns += rest.latencies_ns
        return heard

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()

    def _sayings(self, messages: int | None) -> Iterator[Saying]:
        began_ns = time.monotonic_ns()
        number = 0
        while number != messages and not self._hushed():
            turn, at = divmod(number, len(self._circles))
            circle = self._circles[at]
            due_ns = began_ns + number * 1_000_000_000 // PER_S
            speaker = circle[turn % len(circle)]
            yield Saying(due_ns, speaker, stamped(self._channel(at), due_ns))
            number += 1

    def _hushed(self) -> bool:
        return bool(select.select([self._ears], [], [], 0)[0])

    def _channel(self, number: int) -> str:
        return f"#{self._prefix}-audience-{number}"


class _Storm:
    """Those who come back. Owned by one process."""

    def __init__(
        self, target: Target, prefix: str, first: int, rooms: int, deadline: float
    ) -> None:
        self._crowd = Returning(target, prefix, first, rooms)
        self._crowd.deadline = deadline

    def come_back(self, count: int) -> Returned:
        """Have so many come back at once."""
        return self._crowd.come_back(count)

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()


def _returned(parts: Sequence[Returned]) -> dict[str, Any]:
    took = sorted(took for part in parts for took in part.took_ns)
    shaken = sorted(took for part in parts for took in part.shaken_ns)
    seconds = (max(part.ended_ns for part in parts) - min(part.began_ns for part in parts)) / 1e9
    return {
        "joined": len(took),
        "seconds": round(seconds, 3),
        "joined_p50_s": round(percentile_ms(took, 50) / 1000, 3),
        "handshake_p50_s": round(percentile_ms(shaken, 50) / 1000, 3),
        "handshake_max_s": round(percentile_ms(shaken, 100) / 1000, 3),
        "refused": sum(part.refused for part in parts),
        "reset": sum(part.reset for part in parts),
        "sent_again": sum(part.sent_again for part in parts),
    }


def _latency(heard: Heard) -> dict[str, float]:
    latencies, late = sorted(heard.latencies_ns), sorted(heard.late_ns)
    return {
        "messages": len(late),
        "p50_ms": percentile_ms(latencies, 50),
        "p99_ms": percentile_ms(latencies, 99),
        "max_ms": percentile_ms(latencies, 100),
        "sent_late_p99_ms": percentile_ms(late, 99),
    }


# ---- what Linux knows of the accept queue ----


def _accept_overflows() -> int:
    """How often an accept queue was full when a connection was to go into it: of all programs."""
    lines = Path("/proc/net/netstat").read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(dict(zip(names, values, strict=True))["ListenOverflows"])


def _longest_accept_queue(port: int, load: Sequence[Child[_Storm]]) -> int:
    """Watch the accept queue of ``port`` until the ``load`` has done its work."""
    longest = 0
    while not all(child.answered for child in load):
        longest = max(longest, _accept_queue(port))
        time.sleep(WATCH_S)
    return longest


def _accept_queue(port: int) -> int:
    """How many connections to ``port`` wait to be accepted.

    The first lines of the table are those of the sockets that listen.
    """
    for table in ("tcp", "tcp6"):
        with Path(f"/proc/net/{table}").open(encoding="ascii") as lines:
            next(lines)
            for line in lines:
                _, local, _, state, queues, *_ = line.split()
                if state != "0A":
                    break
                if int(local.rpartition(":")[2], 16) == port:
                    return int(queues.partition(":")[2], 16)
    raise LoadError(f"nobody listens on port {port}")
