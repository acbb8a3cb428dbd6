"""Many rooms that all together have a fixed rate of messages."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from benchmark.children import Children
from benchmark.crew import share
from benchmark.crowd import Client, Crowd, Target
from benchmark.pace import Heard, percentile_ms, say, sayings, stamped
from benchmark.relay import cpu_s

__all__ = ["Layout", "measure_rooms"]

AT_ONCE: Final = 16
"""Handshakes under way at a time in each process."""

LEAD_NS: Final = 50_000_000
"""From the order to speak until the first message is due: all processes have it by then."""

NUMBERS: Final = 20_000
"""Of each process, for its clients' nicks: they do not meet."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Who is where, and who speaks when. Immutable.

    The rooms take turns in the order of their numbers, and so do the members of each. Room and
    members are all in one process; these take turns at the rooms.
    """

    people: int
    rooms: int
    processes: int

    def members(self, part: int) -> dict[int, int]:
        """The rooms of one process, by their numbers, and how many people are in each."""
        sizes = share(self.people, self.rooms)
        return {number: sizes[number] for number in range(part, self.rooms, self.processes)}

    def deliveries(self, part: int, messages: int) -> int:
        """How often messages are received in one process, of so many in all rooms."""
        spoken = share(messages, self.rooms)
        return sum(spoken[number] * (size - 1) for number, size in self.members(part).items())


def measure_rooms(
    target: Target,
    pid: int,
    layout: Layout,
    *,
    per_s: int,
    seconds: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures.

    :param pid: of the relay.
    :param per_s: messages in all rooms together.
    """
    messages = per_s * seconds
    expected = sum(layout.deliveries(part, messages) for part in range(layout.processes))
    prefix = "b" + secrets.token_hex(2)[:3]
    with Children(timeout_s) as children:
        load = [
            children.start(partial(_Rooms, target, prefix, layout, part))
            for part in range(layout.processes)
        ]
        for gathered in [child.begin(_Rooms.gather) for child in load]:
            gathered()

        def talk(count: int) -> tuple[int, list[Heard]]:
            began_ns = time.monotonic_ns() + LEAD_NS
            waits = [child.begin(_Rooms.talk, began_ns, count, per_s) for child in load]
            return began_ns, [wait() for wait in waits]

        talk(max(1, messages // 10))  # to warm up
        pids = [child.pid for child in load]
        before, load_before = cpu_s(pid), sum(map(cpu_s, pids))
        began_ns, heard = talk(messages)
        used_s, load_used_s = cpu_s(pid) - before, sum(map(cpu_s, pids)) - load_before
    took_s = (max(part.ended_ns for part in heard) - began_ns) / 1e9
    latencies = sorted(latency for part in heard for latency in part.latencies_ns)
    late = sorted(late for part in heard for late in part.late_ns)
    return {
        "connections": layout.people,
        "rooms": layout.rooms,
        "messages_per_s": per_s,
        "messages": len(late),
        "deliveries": len(latencies),
        "deliveries_expected": expected,
        "seconds": round(took_s, 4),
        "deliveries_per_s": round(len(latencies) / took_s),
        "relay_cpu_us_per_delivery": round(used_s / len(latencies) * 1e6, 3),
        "relay_processors": round(used_s / took_s, 4),
        "load_processors": round(load_used_s / took_s, 4),
        "latency_p50_ms": percentile_ms(latencies, 50),
        "latency_p99_ms": percentile_ms(latencies, 99),
        "latency_max_ms": percentile_ms(latencies, 100),
        "sent_late_p99_ms": percentile_ms(late, 99),
    }


class _Rooms:
    """The rooms of one process, and who is in them. Owned by that process."""

    def __init__(
        self, target: Target, prefix: str, layout: Layout, part: int, deadline: float
    ) -> None:
        self._crowd = Crowd(target, prefix, part * NUMBERS)
        self._crowd.deadline = deadline
        self._prefix = prefix
        self._layout = layout
        self._part = part
        self._rooms: dict[int, list[Client]] = {}

    def gather(self) -> None:
        """Have all connect, and join their rooms."""
        sizes = self._layout.members(self._part)
        self._crowd.connect(sum(sizes.values()), AT_ONCE)
        people = iter(list(self._crowd.clients.values()))
        for number, size in sizes.items():
            members = [next(people) for _ in range(size)]
            self._crowd.join(self._channel(number), members)
            self._rooms[number] = members
        self._crowd.settle()

    def talk(self, began_ns: int, messages: int, per_s: int) -> Heard:
        """Say what of so many messages in all rooms is said in these, the first at ``began_ns``."""
        deliveries = self._layout.deliveries(self._part, messages)
        said = sayings(began_ns, messages, per_s, self._layout.rooms, self._rooms, self._line)
        return say(self._crowd, said, deliveries)

    def close(self) -> None:
        self._crowd.close()

    def _line(self, room: int, speaker: Client, due_ns: int) -> bytes:
        return stamped(self._channel(room), due_ns)

    def _channel(self, number: int) -> str:
        return f"#{self._prefix}-{number}"
