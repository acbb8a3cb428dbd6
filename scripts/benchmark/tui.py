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
from itertools import accumulate
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Final

from benchmark.children import Child, Children
from benchmark.crowd import Crowd, Target
from benchmark.relay import cpu_s, settled_memory_bytes
from benchmark.terminal import COLUMNS, LINES, Terminal, running_screen

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
"""Messages said in one piece."""

TURN_S: Final = 0.05
"""How often is looked whether they are said. What is drawn meanwhile is taken at once."""

TO_THE_ROOM: Final = b"\x1b[50;3u"  # Alt-2, as kitty says it: Alt-1 is the relay itself
TO_THE_PERSON: Final = b"\x1b[51;3u"

ENTER: Final = "\r"

REST_S: Final = 0.3
"""Between two openings: what the last one has brought is done by then."""

KEY_PAUSE_S: Final = (0.02, 0.08)
"""Between two keys, evenly spread: somebody who types fast."""

MARGIN_S: Final = 1.0
"""How long the crowd talks before the first key and after the last one."""

LISTEN_S: Final = 3.0
"""How long it talks while no key is pressed, for the processor time."""

ALONE_KEYS: Final = 50
"""Keys pressed while nobody talks."""

LETTERS: Final = [
    letter for letter in map(chr, range(0x100, 0x530)) if letter.isalpha() and letter.islower()
]
"""What is typed: each letter once, none that others say, so that it is drawn first as typed."""

MESSAGE_LETTERS: Final = 40
"""Then Enter is pressed, with the letter that follows: it waits until the message is sent."""

KEYS_LIMIT: Final = len(LETTERS) - ALONE_KEYS


def measure_tui(
    target: Target, *, messages: int, openings: int, keys: int, timeout_s: float
) -> dict[str, Any]:
    """Return the figures.

    :param messages: in the room, before it is opened.
    :param openings: how often it is.
    :param keys: pressed while the crowd talks; at most ``KEYS_LIMIT``.
    """
    tag = secrets.token_hex(2)[:3]
    with (
        Children(timeout_s) as children,
        tempfile.TemporaryDirectory(prefix="securechat-bench-") as name,
    ):
        speaker = children.start(partial(Speaker, target, f"b{tag}"))
        speaker.do(Speaker.join)
        with running_screen(target, Path(name), f"s{tag}", CHANNEL, children.deadline) as terminal:
            terminal.see(f"b{tag}0")  # among those in the room
            screen = _Screen(terminal, speaker, f"s{tag}")
            return {
                "messages": messages,
                "columns": COLUMNS,
                "lines": LINES,
                "bytes": TEXT_BYTES,
                **screen.fill(messages),
                "opening": screen.open(messages, openings),
                "messages_per_s": PER_S,
                "client_cpu_us_per_message": screen.listen(),
                "key_to_drawn": {
                    "alone": screen.type_keys(LETTERS[:ALONE_KEYS]),
                    "crowd talking": screen.type_beside(LETTERS[ALONE_KEYS:][:keys]),
                },
            }


class _Screen:
    """The client at work: what is done with it, and what that takes."""

    def __init__(self, terminal: Terminal, speaker: Child[Speaker], nick: str) -> None:
        self._terminal = terminal
        self._speaker = speaker
        self._nick = nick

    def fill(self, messages: int) -> dict[str, Any]:
        """Have the room filled, while the conversation with the speaker is shown."""
        terminal, speaker = self._terminal, self._speaker
        speaker.do(Speaker.tell, self._nick, "hello")
        self._press(TO_THE_PERSON)
        terminal.see("hello")
        before, cpu_before = settled_memory_bytes(terminal.pid), cpu_s(terminal.pid)
        began = time.monotonic()
        for first in range(0, messages, BATCH):
            end = min(first + BATCH, messages)
            said = speaker.begin(Speaker.say, range(first, end))
            while not speaker.answered:
                terminal.rest(TURN_S)
            said()
            speaker.do(Speaker.tell, self._nick, _told(end))
            terminal.see(_told(end))
        seconds, used_s = time.monotonic() - began, cpu_s(terminal.pid) - cpu_before
        grown = settled_memory_bytes(terminal.pid) - before
        return {
            "filled_per_s": round(messages / seconds),
            "client_cpu_us_per_message_unseen": round(used_s / messages * 1e6, 1),
            "client_bytes_per_message": round(grown / messages),
        }

    def open(self, messages: int, openings: int) -> dict[str, float]:
        """Open the room again and again; the time is until its last message is drawn. It stays
        open.
        """
        times = []
        for opening in range(openings):
            if opening:
                self._press(TO_THE_PERSON)
                self._terminal.see(_told(messages))
            began = self._press(TO_THE_ROOM)
            times.append(self._terminal.see(f"m{messages - 1} ") - began)
        return {
            "first_ms": _ms(times[0]),
            "median_ms": _ms(statistics.median(times)),
            "worst_ms": _ms(max(times)),
        }

    def listen(self) -> float:
        """Have the crowd talk; return the client's processor time for each message."""
        self._terminal.rest(REST_S)
        messages = round(PER_S * LISTEN_S)
        before = cpu_s(self._terminal.pid)
        said = self._speaker.begin(Speaker.talk, messages, PER_S, "listened")
        self._terminal.see("listened ")
        said()
        return round((cpu_s(self._terminal.pid) - before) / messages * 1e6, 1)

    def type_keys(self, letters: Sequence[str]) -> dict[str, float]:
        """Press keys at irregular intervals."""
        keys = [
            f"{ENTER}{letter}" if number and number % MESSAGE_LETTERS == 0 else letter
            for number, letter in enumerate(letters)
        ]
        due = accumulate(_pauses(len(keys)))
        times = sorted(self._terminal.type_keys(list(zip(due, keys, strict=True))))
        return {
            "median_ms": _ms(statistics.median(times)),
            "p99_ms": _ms(times[len(times) * 99 // 100]),
            "worst_ms": _ms(times[-1]),
        }

    def type_beside(self, letters: Sequence[str]) -> dict[str, float]:
        """Do so while the crowd talks."""
        seconds = sum(_pauses(len(letters))) + 2 * MARGIN_S
        said = self._speaker.begin(Speaker.talk, round(seconds * PER_S), PER_S, "typed")
        self._terminal.rest(MARGIN_S)
        times = self.type_keys(letters)
        self._terminal.see("typed ")  # all that was said has arrived
        said()
        return times

    def _press(self, key: bytes) -> int:
        """Press a key, once all that was done before is over; return when, in nanoseconds."""
        self._terminal.rest(REST_S)
        began = time.monotonic_ns()
        self._terminal.press(key)
        return began


def _told(end: int) -> str:
    return f"that was {end}."


def _pauses(count: int) -> list[float]:
    chance = random.Random(SEED)
    return [chance.uniform(*KEY_PAUSE_S) for _ in range(count)]


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

    def say(self, numbers: range) -> None:
        """Say a message of each number, as fast as the relay takes them."""
        for at in range(0, len(numbers), PORTION):
            portion = numbers[at : at + PORTION]
            self._send("".join(self._line(f"m{number}") for number in portion))
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
