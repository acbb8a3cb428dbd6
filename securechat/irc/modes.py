"""Mode strings: ``+ov-l alice bob`` and back.

https://modern.ircdocs.horse/#mode-message
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "CHANNEL_MODES",
    "PREFIXES",
    "USER_MODES",
    "ModeChange",
    "ModeKinds",
    "format_modes",
    "lowest_rank",
    "parse_modes",
    "prefixes",
]

ModeKind = Literal["list", "always", "set", "flag", "prefix"]
"""Types A, B, C, D of Modern IRC, and those of PREFIX, which take a nick."""


@dataclass(frozen=True, slots=True)
class ModeKinds:
    """Which mode letters exist and whether they take a parameter. Immutable."""

    list: str = ""  # A: always with a parameter; without one, a question
    always: str = ""  # B
    set: str = ""  # C: a parameter only when set
    flag: str = ""  # D: never
    prefix: str = ""  # as in PREFIX, highest first

    def kind(self, letter: str) -> ModeKind | None:
        """Return the kind of ``letter``, ``None`` if there is no such mode."""
        if letter in self.flag:
            return "flag"
        if letter in self.prefix:
            return "prefix"
        if letter in self.list:
            return "list"
        if letter in self.always:
            return "always"
        return "set" if letter in self.set else None

    def isupport(self) -> str:
        """Return the value of the CHANMODES token."""
        return ",".join((self.list, self.always, self.set, self.flag))


PREFIXES: Final = {"q": "~", "a": "&", "o": "@", "h": "%", "v": "+"}
"""The ranks of the relay's channels and what marks them in lists of names, highest first: founder,
admin, operator, half-op, voice."""

_MARKS: Final = "".join(PREFIXES.values())
_LOWEST_FIRST: Final = tuple(reversed(PREFIXES.items()))

CHANNEL_MODES: Final = ModeKinds(
    list="beI", always="k", set="l", flag="CMRimnst", prefix="".join(PREFIXES)
)
"""The channel modes of the relay."""

USER_MODES: Final = ModeKinds(flag="BRiow")
"""The user modes of the relay; ``server.help_topics`` tells what each means."""


@dataclass(frozen=True, slots=True)
class ModeChange:
    """One letter of a mode string. Immutable. ``param`` is ``None`` where none was given."""

    adding: bool
    letter: str
    param: str | None = None


def parse_modes(modestring: str, params: Iterable[str], kinds: ModeKinds) -> list[ModeChange]:
    """Return the changes of ``modestring``; each takes its parameter from ``params`` in order.

    A letter that needs a parameter and finds none left has ``param=None``, and so has an unknown
    letter: the caller decides what that means. Letters before any sign are added.
    """
    waiting = iter(params)
    adding = True
    changes = []
    for letter in modestring:
        if letter in "+-":
            adding = letter == "+"
            continue
        kind = kinds.kind(letter)
        takes = kind in ("list", "always", "prefix") or (kind == "set" and adding)
        changes.append(ModeChange(adding, letter, next(waiting, None) if takes else None))
    return changes


def format_modes(changes: Iterable[ModeChange]) -> tuple[str, ...]:
    """Return ``changes`` as the parameters of a MODE message: the mode string, then its params."""
    letters = []
    params = []
    sign = None
    for change in changes:
        if change.adding is not sign:
            sign = change.adding
            letters.append("+" if sign else "-")
        letters.append(change.letter)
        if change.param is not None:
            params.append(change.param)
    return ("".join(letters), *params)


def prefixes(ranks: Iterable[str]) -> str:
    """Return the marks of ``ranks`` (mode letters) "in order of 'rank', from highest to lowest"."""
    held = set(ranks)
    return "".join(mark for letter, mark in PREFIXES.items() if letter in held)


def lowest_rank(target: str) -> tuple[str, str]:
    """Split ``@#room`` into the letter of its mark, of several the lowest, and ``#room``.

    The letter is empty where there is no mark. https://modern.ircdocs.horse/#statusmsg-parameter
    """
    name = target.lstrip(_MARKS)
    marks = target[: len(target) - len(name)]
    return next((letter for letter, mark in _LOWEST_FIRST if mark in marks), ""), name
