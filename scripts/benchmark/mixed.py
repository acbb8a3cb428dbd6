"""The same room under other circumstances: members with other capabilities, no history, a file."""

from __future__ import annotations

import secrets
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from benchmark.children import Child, Children
from benchmark.crew import share
from benchmark.crowd import Crowd, LoadError, Target
from benchmark.fanout import Exchange, Receipts
from benchmark.pace import percentile_ms
from benchmark.peers import Meeting, files_folder, make_file
from benchmark.relay import cpu_s

__all__ = ["measure_mixed"]

AT_ONCE: Final = 16
"""Handshakes under way at a time."""

USUAL: Final = "account-tag batch message-tags server-time"
"""What all ask for where they are alike: what clients of today do."""

OTHERS: Final = (
    "",
    "server-time",
    "message-tags",
    "message-tags server-time",
    "account-tag message-tags server-time",
    "batch echo-message labeled-response message-tags server-time",
    "account-tag batch draft/multiline echo-message labeled-response message-tags server-time",
    "away-notify extended-join multi-prefix server-time userhost-in-names",
)
"""What the others ask for, in turn, where half of them are others."""

ALIKE: Final = "all alike"
MIXED: Final = "half with other capabilities"
NO_HISTORY: Final = "all alike, no history"
BESIDE: Final = "all alike, beside a file"


@dataclass(slots=True)
class _Runs:
    """The figures of the rounds of one kind."""

    per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    deliveries: int = 0


def measure_mixed(
    target: Target,
    pid: int,
    *,
    without_history: tuple[Target, int] | None,
    members: int,
    window: int,
    text_bytes: int,
    messages: int,
    file_bytes: int,
    rounds: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Return the figures, from ``rounds`` in which all that is compared takes turns.

    :param pid: of the relay.
    :param without_history: the same of a relay that keeps none, if there is one.
    :param messages: said in each room in each round.
    :param file_bytes: size of the file that goes through the relay, over and over.
    """
    with files_folder(file_bytes) as folder, Children(timeout_s) as children:
        meeting = Meeting(
            children, target, folder, make_file(folder / "file", file_bytes), "relayed"
        )

        def gather(where: Target, others: int) -> Child[_Room]:
            room = children.start(partial(_Room, where, "b" + secrets.token_hex(2)[:3]))
            room.do(_Room.gather, members, others)
            room.do(_Room.prepare, window, text_bytes)
            room.do(_Room.talk, max(window, messages // 10))  # to warm up
            return room

        alike = gather(target, 0)
        kinds: dict[str, Callable[[_Runs], None]] = {
            ALIKE: partial(_talk, alike, pid, messages),
            MIXED: partial(_talk, gather(target, members // 2), pid, messages),
        }
        if without_history is not None:
            where, other_pid = without_history
            kinds[NO_HISTORY] = partial(_talk, gather(where, 0), other_pid, messages)
        kinds[BESIDE] = partial(_talk_beside, alike, pid, messages, partial(meeting.copy, {}))
        runs = {name: _Runs() for name in kinds}
        for _ in range(rounds):
            for name, talk in kinds.items():
                talk(runs[name])
    return {
        "members": members,
        "sorts": len(OTHERS) + 1,
        "window": window,
        "bytes": text_bytes,
        "messages": messages,
        "rounds": rounds,
        "deliveries": sum(each.deliveries for each in runs.values()),
        "kinds": {name: _figures(each, runs[ALIKE]) for name, each in runs.items()},
    }


def _talk(room: Child[_Room], pid: int, messages: int, runs: _Runs) -> None:
    before = cpu_s(pid)
    _note(room.do(_Room.talk, messages), cpu_s(pid) - before, runs)


def _talk_beside(
    room: Child[_Room], pid: int, messages: int, copy: Callable[[], object], runs: _Runs
) -> None:
    """The same, while a file goes through the relay; it may have to be said more than once."""
    before = cpu_s(pid)
    heard = room.begin(_Room.talk, messages)
    while not room.answered:
        copy()
    _note(heard(), cpu_s(pid) - before, runs)


def _note(receipts: Receipts, used_s: float, runs: _Runs) -> None:
    seconds = (receipts.last_received_ns - receipts.first_sent_ns) / 1e9
    latencies = sorted(receipts.latencies_ns)
    runs.per_s.append(receipts.deliveries / seconds)
    runs.p50_ms.append(percentile_ms(latencies, 50))
    runs.p99_ms.append(percentile_ms(latencies, 99))
    runs.cpu_us.append(used_s / receipts.deliveries * 1e6)
    runs.deliveries += receipts.deliveries


class _Room:
    """A room, the first of whose members speaks. Owned by one process."""

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline
        self._channel = f"#{prefix}"
        self._exchange: Exchange | None = None

    def gather(self, members: int, others: int) -> None:
        """Have so many join, of whom so many have other capabilities than is usual."""
        crowd = self._crowd
        crowd.capabilities = USUAL
        crowd.connect(members - others, AT_ONCE)
        for capabilities, count in zip(OTHERS, share(others, len(OTHERS)), strict=True):
            crowd.capabilities = capabilities
            crowd.connect(count, AT_ONCE)
        crowd.join(self._channel)
        crowd.settle()

    def prepare(self, window: int, text_bytes: int) -> None:
        """Say how they are to talk."""
        self._exchange = Exchange(
            self._crowd, self._channel, senders=1, window=window, text_bytes=text_bytes
        )

    def talk(self, messages: int) -> Receipts:
        """Have so many messages said, and received by all others."""
        if self._exchange is None:
            raise LoadError("nothing is prepared")
        return self._exchange.run(messages)

    def close(self) -> None:
        """Close all connections."""
        self._crowd.close()


def _figures(runs: _Runs, usual: _Runs) -> dict[str, float]:
    """The medians; against those of the usual room, the medians of the rounds' own ratios."""
    return {
        "deliveries_per_s": round(statistics.median(runs.per_s)),
        "relay_cpu_us_per_delivery": round(statistics.median(runs.cpu_us), 3),
        "p50_ms": round(statistics.median(runs.p50_ms), 3),
        "p99_ms": round(statistics.median(runs.p99_ms), 3),
        "deliveries_to_usual": _ratio(runs.per_s, usual.per_s),
        "p99_to_usual": _ratio(runs.p99_ms, usual.p99_ms),
    }


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    pairs = zip(these, those, strict=True)
    return round(statistics.median(one / other for one, other in pairs), 3)
