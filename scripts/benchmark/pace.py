"""What is said at planned times, and how long after these it is heard."""

from __future__ import annotations

import select
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmark.crowd import TIME_DIGITS, Client, Crowd

__all__ = [
    "FULL_TEXT_BYTES",
    "Heard",
    "Saying",
    "percentile_ms",
    "say",
    "sayings",
    "stamped",
    "take",
]

FULL_TEXT_BYTES: Final = 400
"""Of a text that leaves room for all else in a line of 512 bytes."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One or more whole lines, and when somebody is to send them. Immutable."""

    due_ns: int
    speaker: Client
    lines: bytes


def sayings(
    began_ns: int,
    messages: int,
    per_s: int,
    rooms: int,
    members: Mapping[int, Sequence[Client]],
    line: Callable[[int, Client, int], bytes],
) -> Iterator[Saying]:
    """Yield, of so many messages to all rooms in turn, those to rooms with ``members`` here.

    The first is due at ``began_ns``; ``line`` makes one of its room, speaker and time.
    """
    for number in range(messages):
        turn, room = divmod(number, rooms)
        if here := members.get(room):
            due_ns = began_ns + number * 1_000_000_000 // per_s
            speaker = here[turn % len(here)]
            yield Saying(due_ns, speaker, line(room, speaker, due_ns))


@dataclass(slots=True)
class Heard:
    """How it went. Times are of the monotonic clock, in nanoseconds.

    Latencies are of all receipts, each from when the message was to be sent; ``late_ns`` says how
    much later each ``Saying`` was sent: that much is this program's own.
    """

    ended_ns: int = 0
    latencies_ns: array[int] = field(default_factory=lambda: array("q"))
    late_ns: array[int] = field(default_factory=lambda: array("q"))


def stamped(channel: str, due_ns: int, text_bytes: int = TIME_DIGITS) -> bytes:
    """The line that says a text of so many bytes, which begins with the time it was due."""
    text = f"{due_ns:0{TIME_DIGITS}x}".ljust(text_bytes, "x")
    return f"PRIVMSG {channel} :{text}\r\n".encode()


def say(crowd: Crowd, sayings: Iterator[Saying], deliveries: int) -> Heard:
    """Send each of ``sayings`` when it is due, until there were so many receipts of messages.

    What is sent late is sent at once, and nothing after it is put off.

    :param sayings: earliest first.
    """
    heard = Heard()
    coming = next(sayings, None)
    while coming is not None or len(heard.latencies_ns) < deliveries:
        while coming is not None and (late := time.monotonic_ns() - coming.due_ns) >= 0:
            crowd.send(coming.speaker, coming.lines)
            heard.late_ns.append(late)
            coming = next(sayings, None)
        for descriptor, events in crowd.poll(coming.due_ns / 1e9 if coming is not None else None):
            take(crowd, crowd.clients[descriptor], events, heard.latencies_ns)
    heard.ended_ns = time.monotonic_ns()
    return heard


def take(crowd: Crowd, client: Client, events: int, latencies: array[int]) -> int:
    """Do what ``events`` ask for. Return how many messages have come; add their latencies."""
    messages = 0
    if events & select.EPOLLOUT:
        crowd.flush(client)
    if events & ~select.EPOLLOUT and crowd.receive(client):
        while size := crowd.decrypt(client):
            messages += crowd.times(client, crowd.plain[:size], latencies)
    return messages


def percentile_ms(values: Sequence[int], percent: int) -> float:
    """The percentile of sorted nanoseconds, in milliseconds."""
    return round(values[min(len(values) - 1, len(values) * percent // 100)] / 1e6, 3)
