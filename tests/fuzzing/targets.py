"""All targets of the fuzzer: what each is fed, and how much of all inputs it gets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from securechat.irc.capabilities import BITS
from securechat.server.config_file import print_default_config
from tests.fuzzing.frames import run_websocket
from tests.fuzzing.logins import run_sasl
from tests.fuzzing.made_streams import make_hello, make_records
from tests.fuzzing.relay import run_relay
from tests.fuzzing.relay_words import WORDS, escape, make_line, make_script
from tests.fuzzing.streams import run_framing, run_hello, run_records
from tests.fuzzing.texts import run_config, run_invites, run_parser

__all__ = ["CORPUS", "DICTIONARIES", "TARGETS", "Target", "read_corpus"]

CORPUS: Final = Path(__file__).parent / "corpus"
"""Inputs that are worth to be tried every time: a folder for each target."""


DICTIONARIES: Final = Path(__file__).parent / "dictionaries"


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed. ``run`` takes any bytes, and raises only when something is wrong.

    ``words``: what inputs are often made of. ``share``: of all inputs, in thousandths; ``most``:
    the longest input that is made, in bytes. ``make`` makes one up.
    """

    name: str
    run: Callable[[bytes], None]
    words: Sequence[bytes]
    share: int
    most: int = 400
    make: Callable[[Random], bytes] | None = None

    def make_input(self, random: Random) -> bytes:
        """Return an input that is made up of nothing."""
        if self.make is not None:
            return self.make(random)
        parts = [random.randbytes(1)]
        for _ in range(random.randrange(1, 12)):
            chance = random.random()
            if chance < 0.75:
                parts.append(random.choice(self.words))
            elif chance < 0.9:
                parts.append(random.randbytes(random.randrange(1, 6)))
            else:
                parts.append(random.choice(self.words) * random.randrange(1, 60))
        return b"".join(parts)[: self.most]


def read_corpus(name: str) -> list[bytes]:
    """Return the inputs that are kept for the target ``name``, in a fixed order."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def _words(name: str) -> tuple[bytes, ...]:
    """Return the dictionary of a target: a quoted word on each line, as libFuzzer reads it."""
    lines = (DICTIONARIES / f"{name}.dict").read_text(encoding="ascii").splitlines()
    return tuple(ast.literal_eval(f"b{line}") for line in lines)


_SETTINGS: Final = tuple(
    f"{line}\n".encode()
    for line in print_default_config().splitlines()
    if line[:1] not in ("#", "")
)

_SAID: Final = (
    *(b"\n%d" % slot for slot in range(8)),
    *(b"\n" + bytes((letter,)) for letter in b"abcdefgh=+-?~!|%^.sp"),
    *(escape(word.encode()) for word in WORDS),
    *(name.encode() for name in BITS),
    *(escape(make_line(Random(seed)).encode()) for seed in range(200)),
)

TARGETS: Final = {
    target.name: target
    for target in (
        Target("framing", run_framing, _words("framing"), 120),
        Target("parser", run_parser, _words("parser"), 340),
        Target("sasl", run_sasl, _words("sasl"), 190, 512),
        Target("records", run_records, _words("records"), 40, 1_200, make_records),
        Target("hello", run_hello, _words("hello"), 60, 400, make_hello),
        Target("invites", run_invites, _words("invites"), 200),
        Target("websocket", run_websocket, _words("websocket"), 10, 1_500),
        Target("config", run_config, (*_SETTINGS, *_words("config")), 10, 1_500),
        Target("relay", run_relay, _SAID, 30, 300, make_script),
    )
}
