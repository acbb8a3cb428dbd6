"""The full-screen client with a long conversation: how soon it is open, and how soon a key is
answered while a crowd talks.
"""

from __future__ import annotations

import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final

from _bench_children import Child, Children
from _bench_crowd import Crowd, Target
from _bench_relay import cpu_s, settled_memory_bytes
from _bench_terminal import COLUMNS, LINES, Terminal

__all__ = ["KEYS_LIMIT", "measure_tui"]

CHANNEL: Final = "#crowd"
PER_S: Final = 1000.0
TEXT_BYTES: Final = 100
WORD_LETTERS: Final = (2, 10)
SEED: Final = 3

BATCH: Final = 5_000
"""Messages said before it is waited until they are drawn: the client gives up a relay that is over
20,000 ahead."""

PORTION: Final = 100
"""Messages that a speaker says in one piece."""

TO_THE_ROOM: Final = b"\x1b[50;3u"  # Alt-2, as kitty says it: Alt-1 is the relay itself
TO_THE_PERSON: Final = b"\x1b[51;3u"

REST_S: Final = 0.3
"""Between two openings: what the last one has brought is done by then."""

KEY_PAUSE_S: Final = (0.02, 0.08)
"""Between two keys, evenly spread: somebody who types fast."""

MARGIN_S: Final = 1.0
"""How long the crowd talks before the first key and after the last one."""

TALK_S: Final = 3.0
"""How long it talks while no key is pressed, for the processor time."""

LETTERS: Final = [
    letter for letter in map(chr, range(0x100, 0x530)) if letter.isalpha() and letter.islower()
]
"""What is typed: each letter once, none that is in a message, so that it is drawn only as typed."""

KEYS_LIMIT: Final = len(LETTERS)


def measure_tui(
    target: Target, *, messages: int, openings: int, keys: int, timeout_s: float
) -> dict[str, Any]:
    """Return the figures.

    :param messages: in the room, before it is opened.
    :param openings: how often it is.
    :param keys: pressed while the crowd talks; at most ``KEYS_LIMIT``.
    """
    tag = secrets.token_hex(2)[:3]
    nick, deadline = f"s{tag}", time.monotonic() + timeout_s
    with (
        Children(timeout_s) as children,
        tempfile.TemporaryDirectory(prefix="securechat-bench-") as name,
    ):
        crowd = children.start(partial(Speaker, target, f"b{tag}"))
        crowd.do(Speaker.join)
        with Terminal(target, Path(name), nick, CHANNEL, deadline) as terminal:
            terminal.see(f"b{tag}0")  # among those in the room
            crowd.do(Speaker.tell, nick, "hello")
            _look_away(terminal, "hello")
            filling = _fill(crowd, terminal, nick, messages)
            return {
                "messages": messages,
                "columns": COLUMNS,
                "lines": LINES,
                "bytes": TEXT_BYTES,
                **filling,
                "opening": _open(terminal, f"m{messages - 1}", openings),
                "talking": {
                    "messages_per_s": PER_S,
                    "client_cpu_us_per_message": _listen(crowd, terminal, round(PER_S * TALK_S)),
                    "keys": keys,
                    "key_to_drawn": _type(crowd, terminal, keys),
                },
            }


def _look_away(terminal: Terminal, text: str) -> None:
    """Show the conversation with the speaker."""
    terminal.rest(REST_S)
    terminal.press(TO_THE_PERSON)
    terminal.see(text)


def _fill(crowd: Child[Speaker], terminal: Terminal, nick: str, messages: int) -> dict[str, Any]:
    """Have the room filled, while another conversation is shown."""
    before, cpu_before = settled_memory_bytes(terminal.pid), cpu_s(terminal.pid)
    began = time.monotonic()
    for first in range(0, messages, BATCH):
        count = min(BATCH, messages - first)
        said = crowd.begin(Speaker.say, first, count)
        while not crowd.answered:
            terminal.rest(0.05)
        said()
        crowd.do(Speaker.tell, nick, f"filled{first}.")
        terminal.see(f"filled{first}.")
    seconds = time.monotonic() - began
    used_s = cpu_s(terminal.pid) - cpu_before
    grown = settled_memory_bytes(terminal.pid) - before
    return {
        "filled_per_s": round(messages / seconds),
        "client_cpu_us_per_message_unseen": round(used_s / messages * 1e6, 1),
        "client_bytes_per_message": round(grown / messages),
    }


def _open(terminal: Terminal, last: str, openings: int) -> dict[str, float]:
    """Open the room again and again; the time is until the last message is drawn."""
    times = []
    for _ in range(openings):
        terminal.rest(REST_S)
        began = time.monotonic_ns()
        terminal.press(TO_THE_ROOM)
        times.append(terminal.see(last) - began)
        terminal.rest(REST_S)
        terminal.press(TO_THE_PERSON)
        terminal.see("hello")
    return {
        "first_ms": _ms(times[0]),
        "median_ms": _ms(statistics.median(times)),
        "worst_ms": _ms(max(times)),
    }


def _listen(crowd: Child[Speaker], terminal: Terminal, messages: int) -> float:
    """Show the room while the crowd talks; return the processor time for each message."""
    terminal.rest(REST_S)
    terminal.press(TO_THE_ROOM)
    terminal.rest(REST_S)
    before = cpu_s(terminal.pid)
    said = crowd.begin(Speaker.talk, messages, PER_S, "listened.")
    terminal.press(b"")
    terminal.see("listened.")
    said()
    return round((cpu_s(terminal.pid) - before) / messages * 1e6, 1)


def _type(crowd: Child[Speaker], terminal: Terminal, keys: int) -> dict[str, float]:
    """Press keys while the crowd talks."""
    chance = random.Random(SEED)
    pauses = [chance.uniform(*KEY_PAUSE_S) for _ in range(keys)]
    messages = round((sum(pauses) + 2 * MARGIN_S) * PER_S)
    said = crowd.begin(Speaker.talk, messages, PER_S, "typed.")
    terminal.rest(MARGIN_S)
    at, due = time.monotonic(), []
    for pause, letter in zip(pauses, LETTERS, strict=False):
        at += pause
        due.append((at, letter))
    times = sorted(terminal.type(due))
    terminal.see("typed.")
    said()
    return {
        "median_ms": _ms(statistics.median(times)),
        "p99_ms": _ms(times[min(len(times) - 1, len(times) * 99 // 100)]),
        "worst_ms": _ms(times[-1]),
    }


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 2)


class Speaker:
    """Somebody who says as much as a crowd. It is one: several would be told what the others say,
    at the cost of the processors that all share. Owned by one thread.

    :param deadline: for all waiting, by the monotonic clock.
    """

    def __init__(self, target: Target, prefix: str, deadline: float) -> None:
        self._crowd = Crowd(target, prefix, 0)
        self._crowd.deadline = deadline
        self._chance = random.Random(SEED)

    def join(self) -> None:
        """Connect, and enter the room."""
        self._crowd.connect(1, 1)
        self._crowd.join(CHANNEL)
        self._crowd.settle()

    def tell(self, nick: str, text: str) -> None:
        """Say something to one person."""
        self._send(f"PRIVMSG {nick} :{text}\r\n")
        self._crowd.settle()

    def say(self, first: int, count: int) -> None:
        """Say so many messages, numbered from ``first``, as fast as the relay takes them."""
        for at in range(first, first + count, PORTION):
            numbers = range(at, min(at + PORTION, first + count))
            self._send("".join(self._line(f"m{number}") for number in numbers))
            self._crowd.settle()

    def talk(self, messages: int, per_s: float, last: str) -> None:
        """Say so many, evenly spaced, the last of which begins with ``last``."""
        began = time.monotonic()
        for number in range(messages):
            time.sleep(max(0.0, began + number / per_s - time.monotonic()))
            self._send(self._line(last if number == messages - 1 else f"t{number}"))
        self._crowd.settle()

    def close(self) -> None:
        """Close the connection."""
        self._crowd.close()

    def _line(self, start: str) -> str:
        words = [start]
        while sum(map(len, words)) + len(words) <= TEXT_BYTES:
            letters = self._chance.randint(*WORD_LETTERS)
            words.append("".join(self._chance.choices(ascii_lowercase, k=letters)))
        return f"PRIVMSG {CHANNEL} :{' '.join(words)[:TEXT_BYTES]}\r\n"

    def _send(self, lines: str) -> None:
        (client,) = self._crowd.clients.values()
        self._crowd.send(client, lines.encode())
