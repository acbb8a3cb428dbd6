"""Messages that the relay must keep before it acknowledges them: how many, and after how long."""

from __future__ import annotations

import secrets
import statistics
import time
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from benchmark.children import Child, Children
from benchmark.crowd import Client, Crowd, Target
from benchmark.pace import Heard, Saying, percentile_ms, say, stamped, take
from benchmark.relay import cpu_s
from benchmark.returning import CAPABILITIES

__all__ = ["Relays", "measure_writes"]

Relays = Mapping[str, tuple[Target, int]]
"""What is compared: relays and their processes, by what is told of them."""

AT_ONCE: Final = 16
"""Handshakes under way at a time."""

TEXT_BYTES: Final = 100

WARM_UP: Final = 20
"""Messages of each writer before those that count."""


@dataclass(slots=True)
class _Runs:
    """The figures of the rounds of one relay."""

    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    full: list[tuple[float, float]] = field(default_factory=list)
    paced: list[tuple[float, float]] = field(default_factory=list)
    paced_cpu_us: list[float] = field(default_factory=list)


def measure_writes(
    relays: Relays,
    *,
    writers: int,
    window: int,
    messages: int,
    per_s: int,
    rounds: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures, from ``rounds`` in which the relays take turns.

    :param window: messages of each writer that are not acknowledged yet, at most.
    :param messages: of all writers: as fast as they can, and then again at a rate.
    :param per_s: that rate.
    """
    runs = {name: _Runs() for name in relays}
    with Children(timeout_s) as children:
        desks = {
            name: children.start(partial(_Desk, target, "b" + secrets.token_hex(2)[:3]))
            for name, (target, _) in relays.items()
        }
        for desk in desks.values():
            desk.do(_Desk.gather, writers)
            desk.do(_Desk.write, writers * WARM_UP, window)
        for _ in range(rounds):
            for name, desk in desks.items():
                _run(desk, relays[name][1], runs[name], messages, window, per_s)
    return {
        "writers": writers,
        "window": window,
        "messages": messages,
        "bytes": TEXT_BYTES,
        "messages_per_s": per_s,
        "rounds": rounds,
        "relays": {name: _figures(each) for name, each in runs.items()},
    }


def _run(desk: Child[_Desk], pid: int, runs: _Runs, messages: int, window: int, per_s: int) -> None:
    before, began_ns = cpu_s(pid), time.monotonic_ns()
    heard = desk.do(_Desk.write, messages, window)
    runs.cpu_us.append((cpu_s(pid) - before) / messages * 1e6)
    runs.per_s.append(messages / (heard.ended_ns - began_ns) * 1e9)
    runs.full.append(_percentiles(heard))
    before = cpu_s(pid)
    runs.paced.append(_percentiles(desk.do(_Desk.write_at, messages, per_s)))
    runs.paced_cpu_us.append((cpu_s(pid) - before) / messages * 1e6)


class _Desk:
    """Writers, each alone in a room, who want to hear that what they say is kept. Owned by one
    process.
    """

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline
        self._crowd.capabilities = CAPABILITIES
        self._writers: list[Client] = []

    def gather(self, writers: int) -> None:
        """Have so many connect, and each join a room."""
        self._crowd.connect(writers, AT_ONCE)
        self._writers = list(self._crowd.clients.values())
        for client in self._writers:
            self._crowd.join(f"#{client.nick}", [client])
        self._crowd.settle()

    def write(self, messages: int, window: int) -> Heard:
        """Have so many messages written in all, each writer going on when one is acknowledged."""
        crowd, heard = self._crowd, Heard()
        left = messages
        for client in self._writers:
            left -= self._send(client, min(window, left))
        while len(heard.latencies_ns) < messages:
            for descriptor, events in crowd.poll():
                client = crowd.clients[descriptor]
                came = take(crowd, client, events, heard.latencies_ns)
                left -= self._send(client, min(came, left))
        heard.ended_ns = time.monotonic_ns()
        return heard

    def write_at(self, messages: int, per_s: int) -> Heard:
        """Have so many messages written by turns, at a rate, whatever is acknowledged."""
        return say(self._crowd, self._sayings(messages, per_s), messages)

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()

    def _send(self, client: Client, count: int) -> int:
        if count:
            line = stamped(f"#{client.nick}", time.monotonic_ns(), TEXT_BYTES)
            self._crowd.send(client, count * line)
        return count

    def _sayings(self, messages: int, per_s: int) -> Iterator[Saying]:
        began_ns = time.monotonic_ns()
        for number in range(messages):
            writer = self._writers[number % len(self._writers)]
            due_ns = began_ns + number * 1_000_000_000 // per_s
            yield Saying(due_ns, writer, stamped(f"#{writer.nick}", due_ns, TEXT_BYTES))


def _percentiles(heard: Heard) -> tuple[float, float]:
    latencies: array[int] | list[int] = sorted(heard.latencies_ns)
    return percentile_ms(latencies, 50), percentile_ms(latencies, 99)


def _figures(runs: _Runs) -> dict[str, Any]:
    """The medians."""
    return {
        "messages_per_s": round(statistics.median(runs.per_s)),
        "relay_cpu_us_per_message": round(statistics.median(runs.cpu_us), 1),
        "p50_ms": statistics.median(p50 for p50, _ in runs.full),
        "p99_ms": statistics.median(p99 for _, p99 in runs.full),
        "at_rate": {
            "relay_cpu_us_per_message": round(statistics.median(runs.paced_cpu_us), 1),
            "p50_ms": statistics.median(p50 for p50, _ in runs.paced),
            "p99_ms": statistics.median(p99 for _, p99 in runs.paced),
        },
    }
