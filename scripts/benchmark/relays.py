"""Many relays that are one chat, against one relay: what it costs, and how long it takes."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from benchmark.chats import Chat, Chats, Usage, running_chats
from benchmark.children import Child, Children
from benchmark.crowd import LoadError
from benchmark.pace import percentile_ms
from benchmark.spread import CHANGES, Places, Spoken, Spread

__all__ = ["GROWTH_MEMBERS", "MEMBERS", "measure_relays"]

EMBEDDED: Final = "embedded"

LOG: Final = "log"
"""The chat of which another relay is started."""

LEAD_NS: Final = 50_000_000
"""From the order to speak until the first message is due: all processes have it by then."""

QUIET_PER_S: Final = 50
"""Messages each second at which hardly one waits for another."""

MEMBERS: Final = 6
"""Of each room."""

GROWTH_ROOMS: Final = (10, 100, 1000)
GROWTH_MEMBERS: Final = 3
GROWTH: Final = 10
"""Of these numbers of rooms, those up to so many times the usual one."""

CHANGING: Final = 30
"""People who change the state at the same time."""

FILLING: Final = 500
"""Changes between two looks at how long the stream is."""

SNAPSHOT_EVENTS: Final = 20_000
"""As in ``securechat.server.cluster.snapshots``."""

MARGIN_EVENTS: Final = 600
"""Before there is a snapshot: the stream must not become longer than it is to be."""

SNAPSHOT_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
IDLE_S: Final = 1.0

LEAST: Final = 3
"""Messages that are said in any case: by one person on each of some relays."""


def measure_relays(
    tls: str,
    *,
    relays: int,
    people: int,
    rooms: int,
    per_s: int,
    seconds: float,
    messages: int,
    changes: int,
    events: int,
    lease_s: int,
    rounds: int,
    processes: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures, from ``rounds`` in which chats of one relay and of more take turns.

    :param relays: of the largest chat.
    :param people: in each chat; in rooms of ``MEMBERS``.
    :param rooms: at most so many.
    :param per_s: messages in all rooms of a chat, for ``seconds``.
    :param messages: that are said as fast as can be.
    :param changes: of the state, as fast as some people can.
    :param events: in the log when another relay starts.
    :param lease_s: after how many seconds of silence a relay is lost.
    :raises Missing: NATS or PostgreSQL are not installed.
    """
    places = Places(min(rooms, people // MEMBERS), MEMBERS)
    with running_chats(tls, lease_s) as chats, Children(timeout_s) as children:
        sizes = {_name(count): count for count in sorted({1, 2, relays})}
        started = chats.start({EMBEDDED: 1, **sizes, LOG: 1}, alone=EMBEDDED)
        log = started.pop(LOG)
        groups = {
            name: _Group(chats, chat, children, people, processes) for name, chat in started.items()
        }
        for group in groups.values():
            group.gather(places)
            group.talk(max(1, per_s // 4), per_s)  # to warm up
        largest = groups[_name(relays)]
        idle = _idle(largest)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in groups}
        for _ in range(rounds):
            for name, group in groups.items():
                figures = {
                    "quiet": group.paced(seconds, QUIET_PER_S, idle),
                    "paced": group.paced(seconds, per_s, idle),
                    "full": group.full(messages, idle),
                    "changes": group.changes(changes),
                }
                found[name].append(figures)
                _compare(figures, found[EMBEDDED][-1])
        growth = [
            _grown(largest, number, per_s, seconds, idle)
            for number in GROWTH_ROOMS
            if number <= GROWTH * rooms
        ]
        start = _starts(chats, log, children, events)
        loss = _loss(largest, relays - 1)
    return {
        "relays": relays,
        "people": people,
        "rooms": places.rooms,
        "members": places.members,
        "messages_per_s": per_s,
        "quiet_messages_per_s": QUIET_PER_S,
        "rounds": rounds,
        "idle_processors": {
            "relays": round(idle.relays, 4),
            "nats": round(idle.nats, 4),
            "postgres": round(idle.postgres, 4),
        },
        "chats": {name: _medians(each) for name, each in found.items()},
        "growth": growth,
        "start": start,
        "loss": {"lease_s": lease_s, **loss},
    }


class _Group:
    """The people of one chat, in load processes. Owned by the main thread."""

    def __init__(
        self, chats: Chats, chat: Chat, children: Children, people: int, processes: int
    ) -> None:
        self._chats = chats
        self.chat = chat
        prefix = "b" + secrets.token_hex(2)[:3]
        self._load: list[Child[Spread]] = [
            children.start(partial(Spread, chat.targets, prefix, part, processes))
            for part in range(processes)
        ]
        self._all(Spread.connect, people)

    def gather(self, places: Places) -> None:
        """Have people join rooms, and leave all others."""
        self._all(Spread.gather, places)

    def talk(self, messages: int, per_s: int) -> tuple[int, list[Spoken]]:
        """Have so many messages said at a rate. Return when the first was due, and how it went."""
        began_ns = time.monotonic_ns() + LEAD_NS
        return began_ns, self._all(Spread.talk, began_ns, messages, per_s)

    def paced(self, seconds: float, per_s: int, idle: Usage) -> dict[str, Any]:
        """Return the figures of messages at a rate."""
        messages = max(LEAST, round(seconds * per_s))
        before = self.usage()
        began_ns, spoken = self.talk(messages, per_s)
        found = self._figures(messages, began_ns, spoken, self.usage().since(before), idle)
        late = sorted(late for part in spoken for late in part.late_ns)
        return {**found, "sent_late_p99_ms": percentile_ms(late, 99)}

    def full(self, messages: int, idle: Usage) -> dict[str, Any]:
        """Return the figures of so many messages as fast as can be."""
        before, began_ns = self.usage(), time.monotonic_ns()
        spoken = self._all(Spread.exchange, messages)
        return self._figures(messages, began_ns, spoken, self.usage().since(before), idle)

    def changes(self, changes: int) -> dict[str, Any]:
        """Return the figures of some so many changes of the state."""
        before, began_ns = self.usage(), time.monotonic_ns()
        took = self._all(Spread.change, max(1, changes // (CHANGING * len(CHANGES))), CHANGING)
        seconds = (time.monotonic_ns() - began_ns) / 1e9
        used = self.usage().since(before)
        kinds = {kind: [each for part in took for each in part[kind]] for kind in CHANGES}
        done = sum(map(len, kinds.values()))
        return {
            "changes": done,
            "per_s": round(done / seconds),
            "relays_cpu_us": round(used.relays / done * 1e6, 1),
            "latency": {kind: _percentiles(latencies) for kind, latencies in kinds.items()},
        }

    def meet(self) -> None:
        """Have all join one room."""
        self._all(Spread.meet)

    def lose(self, relay: int) -> tuple[list[float], list[float]]:
        """Kill a relay. Return after how many seconds each of its people was gone, and back."""
        waits = [child.begin(Spread.lose, relay) for child in self._load]
        began_ns = time.monotonic_ns()
        self.chat.relays[relay].kill()
        losses = [wait() for wait in waits]
        gone = [(each - began_ns) / 1e9 for loss in losses for each in loss.gone_ns]
        back = [(each - began_ns) / 1e9 for loss in losses for each in loss.back_ns]
        return sorted(gone), sorted(back)

    def usage(self) -> Usage:
        """Return the processor time that was used until now."""
        return self._chats.usage(self.chat)

    def _figures(
        self, messages: int, began_ns: int, spoken: Sequence[Spoken], used: Usage, idle: Usage
    ) -> dict[str, Any]:
        seconds = (max(part.ended_ns for part in spoken) - began_ns) / 1e9
        within = [latency for part in spoken for latency in part.within_ns]
        across = [latency for part in spoken for latency in part.across_ns]
        deliveries = len(within) + len(across)
        costs = {"relays": used.relays}
        if not self.chat.alone:  # the servers are there for the other chats too, all the time
            costs["nats"] = max(0.0, used.nats - idle.nats * seconds)
            costs["postgres"] = max(0.0, used.postgres - idle.postgres * seconds)
        return {
            "messages": messages,
            "deliveries": deliveries,
            "messages_per_s": round(messages / seconds),
            "deliveries_per_s": round(deliveries / seconds),
            **({"within": _percentiles(within)} if within else {}),
            **({"across": _percentiles(across)} if across else {}),
            "cpu_us_per_message": _each(costs, messages),
            "cpu_us_per_delivery": _each(costs, deliveries),
        }

    def _all(self, work: Callable[..., Any], *given: Any) -> list[Any]:
        waits = [child.begin(work, *given) for child in self._load]
        return [wait() for wait in waits]


# ---- what is measured ----


def _name(relays: int) -> str:
    return f"cluster-{relays}"


def _idle(group: _Group) -> Usage:
    """Return how many processors are in use while nobody says anything."""
    before, began_s = group.usage(), time.monotonic()
    time.sleep(IDLE_S)
    used, seconds = group.usage().since(before), time.monotonic() - began_s
    return Usage(used.relays / seconds, used.nats / seconds, used.postgres / seconds)


def _grown(group: _Group, rooms: int, per_s: int, seconds: float, idle: Usage) -> dict[str, Any]:
    """Return what messages in so many rooms cost, each room on one relay, or on several."""
    found: dict[str, Any] = {"rooms": rooms}
    for where, local in (("local", True), ("spread", False)):
        group.gather(Places(rooms, GROWTH_MEMBERS, local))
        found[where] = group.paced(seconds, per_s, idle)
    return found


def _starts(chats: Chats, chat: Chat, children: Children, events: int) -> dict[str, Any]:
    """Return how long a relay needs to start: with a short log, a long one, and from a snapshot."""
    group = _Group(chats, chat, children, CHANGING, 1)
    found: dict[str, Any] = {"empty_s": round(chats.start_late(chat), 3)}
    began = chats.last_event(chat)
    _fill(group, chats, chat, min(events, SNAPSHOT_EVENTS - MARGIN_EVENTS))
    found["events"] = chats.last_event(chat)
    found["log_s"] = round(chats.start_late(chat), 3)
    found["filled"] = found["events"] - began
    if events >= SNAPSHOT_EVENTS:
        _fill(group, chats, chat, SNAPSHOT_EVENTS + MARGIN_EVENTS)
        _wait_for_snapshot(chat)
        found["snapshot_s"] = round(chats.start_late(chat), 3)
    return found


def _fill(group: _Group, chats: Chats, chat: Chat, events: int) -> None:
    while (left := events - chats.last_event(chat)) > 0:
        group.changes(min(left, FILLING))


def _wait_for_snapshot(chat: Chat) -> None:
    deadline = time.monotonic() + SNAPSHOT_TIMEOUT_S
    while "snapshot at event" not in chat.relays[0].log:
        if time.monotonic() > deadline:
            raise LoadError("the relay has made no snapshot")
        time.sleep(POLL_S)


def _loss(group: _Group, relay: int) -> dict[str, Any]:
    group.meet()
    gone, back = group.lose(relay)
    return {
        "people": len(gone),
        "gone_s": {"first": round(gone[0], 3), "last": round(gone[-1], 3)},
        "elsewhere_s": {"median": round(statistics.median(back), 3), "last": round(back[-1], 3)},
    }


# ---- figures ----


def _compare(figures: dict[str, Any], embedded: dict[str, Any]) -> None:
    for name, key in (("full", "deliveries_per_s"), ("changes", "per_s")):
        figures[name]["to_embedded"] = round(figures[name][key] / embedded[name][key], 3)


def _each(costs_s: Mapping[str, float], count: int) -> dict[str, float]:
    return {who: round(cost_s / count * 1e6, 1) for who, cost_s in costs_s.items()}


def _percentiles(latencies_ns: list[int]) -> dict[str, float]:
    latencies_ns.sort()
    return {"p50_ms": percentile_ms(latencies_ns, 50), "p99_ms": percentile_ms(latencies_ns, 99)}


def _medians(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The medians of all figures, whose names are those of any round."""
    return {
        name: _medians([each[name] for each in rounds])
        if isinstance(value, dict)
        else round(statistics.median(each[name] for each in rounds), 3)
        for name, value in rounds[0].items()
    }
