"""What the word at the cursor may be completed to: nicks, rooms, commands and what they take,
emoji, files. No user interface and, but for the names of files, no I/O.

What a command takes is read off its usage: ``/send NICK FILE`` takes a nick, then a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain, islice
from typing import Final

from securechat.client.chat.emoji_names import EmojiNames, emoji_names
from securechat.client.commands.table import Command
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _

__all__ = ["CANDIDATES_LIMIT", "NICK_END", "Candidate", "Completer", "Completion"]

CANDIDATES_LIMIT: Final = 50
"""Most candidates of one completion: who is offered more types another letter."""

NICK_END: Final = ": "
"""What follows a nick at the beginning of a line, where somebody is addressed."""

PATHS_LIMIT: Final = 10_000
"""Most entries of a folder that are looked at; the user waits for them."""

_ROOM_PREFIXES: Final = ("#", "&")

_WORD: Final = re.compile(r"\S*\Z")
_EMOJI: Final = re.compile(r":([^\W\d_]{2}[\w+-]*)\Z")

_CHOICES: Final = {
    "WHAT": (
        "ask",
        "always",
        "never",
        "addresses on",
        "addresses off",
        "files on",
        "files off",
        "new-device",
    )
}
"""What can be said where a usage has only a name for it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may stand there instead. Immutable.

    ``text`` replaces the word, with the space that follows; ``label`` and ``hint``, which may be
    empty, describe it in a list. All are safe.
    """

    text: str
    label: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """The candidates, at least one, for the text from ``start`` to before ``end``. Immutable."""

    start: int
    end: int
    candidates: tuple[Candidate, ...]


class _Kind(Enum):
    """What is completed."""

    COMMAND = auto()
    COMMAND_NAME = auto()  # without its slash
    CHOICE = auto()
    EMOJI = auto()
    NICK = auto()
    ROOM = auto()
    FILE = auto()
    FOLDER = auto()


_UNASKED: Final = frozenset({_Kind.COMMAND, _Kind.COMMAND_NAME, _Kind.CHOICE, _Kind.EMOJI})
"""What is worth a list while somebody is typing; it takes no time to find."""

_KINDS: Final[dict[str, tuple[_Kind, ...]]] = {
    "#ROOM": (_Kind.ROOM,),
    "COMMAND": (_Kind.COMMAND_NAME,),
    "FILE": (_Kind.FILE,),
    "FOLDER": (_Kind.FOLDER,),
    "NICK": (_Kind.NICK,),
    "TARGET": (_Kind.NICK, _Kind.ROOM),
}
"""What the words of a usage stand for. What is not here is free text."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """One argument of a command. Immutable."""

    kinds: tuple[_Kind, ...]
    choices: tuple[str, ...]
    skipped: bool  # if it is not a room

    @property
    def takes_rest(self) -> bool:
        """Whether spaces are part of it."""
        is_path = _Kind.FILE in self.kinds or _Kind.FOLDER in self.kinds
        return is_path or any(" " in choice for choice in self.choices)


@dataclass(frozen=True, slots=True)
class _Place:
    """What stands before the cursor, and what it may be. Immutable."""

    start: int
    word: str
    kinds: tuple[_Kind, ...]
    choices: tuple[str, ...] = ()
    nick_end: str = " "
    prefix: str = ""  # before a nick


class Completer:
    """Finds candidates. Owned by the user interface's thread; only files make it block.

    :param commands: those that can be typed, in the order in which they are offered.
    :param nicks: called for the nicks of the room, those that spoke last first.
    :param rooms: called for the rooms that are known.
    :param emoji: the names of emoji; all that there are unless given.
    """

    def __init__(
        self,
        commands: Iterable[Command],
        nicks: Callable[[], Iterable[str]],
        rooms: Callable[[], Iterable[str]],
        *,
        emoji: EmojiNames | None = None,
    ) -> None:
        self._commands = tuple(commands)
        self._nicks = nicks
        self._rooms = rooms
        self._emoji = emoji
        self._slots = {
            name: _slots(command.usage)
            for command in self._commands
            for name in (command.name, *command.aliases)
        }

    def complete(self, text: str, cursor: int, *, asked: bool = True) -> Completion | None:
        """Return what the word that ends at ``cursor`` may be completed to, best first.

        :param asked: the user wants it. Otherwise only what is worth showing unasked is looked for:
            commands, the words that they know, and emoji.
        """
        if text.strip() == "exit":  # leaves the program
            return None
        place = self._place(text[:cursor])
        kinds = [kind for kind in place.kinds if asked or kind in _UNASKED]
        found = chain.from_iterable(self._candidates(kind, place) for kind in kinds)
        candidates = tuple(islice(found, CANDIDATES_LIMIT))
        if not candidates:
            return None
        return Completion(place.start, cursor, candidates)

    # ---- where the cursor is ----

    def _place(self, head: str) -> _Place:
        if not head.startswith("/") or head.startswith("//"):
            return _place_in_text(head)
        name, space, _rest = head[1:].partition(" ")
        if not space:
            return _Place(0, head, (_Kind.COMMAND,))
        return self._argument_place(self._slots.get(name.lower(), ()), head, len(name) + 1)

    def _argument_place(self, slots: tuple[_Slot, ...], head: str, position: int) -> _Place:
        for number, slot in enumerate(slots, 1):
            start = len(head) - len(head[position:].lstrip(" "))
            end = head.find(" ", start)
            if slot.skipped and start < len(head) and not head.startswith(_ROOM_PREFIXES, start):
                continue
            if end < 0 or slot.takes_rest:
                if not slot.kinds:
                    break
                nick_end = " " if number < len(slots) else ""
                return _Place(start, head[start:], slot.kinds, slot.choices, nick_end)
            position = end
        return _place_in_text(head)

    # ---- what there is ----

    def _candidates(self, kind: _Kind, place: _Place) -> Iterator[Candidate]:
        match kind:
            case _Kind.COMMAND:
                return self._matching_commands(place.word.removeprefix("/"), "/")
            case _Kind.COMMAND_NAME:
                return self._matching_commands(place.word, "")
            case _Kind.CHOICE:
                return _choices(place)
            case _Kind.EMOJI:
                return self._matching_emoji(place.word)
            case _Kind.NICK:
                return _names(self._nicks(), place)
            case _Kind.ROOM:
                return _rooms(self._rooms(), place.word)
            case _Kind.FILE | _Kind.FOLDER:
                return iter(_paths(place, folders_only=kind is _Kind.FOLDER))

    def _matching_commands(self, word: str, slash: str) -> Iterator[Candidate]:
        wanted = word.casefold()
        for command in self._commands:
            names = [name for name in (command.name, *command.aliases) if name.startswith(wanted)]
            if names:
                end = " " if slash and command.most else ""
                label, hint = _(command.usage), _(command.description)
                yield Candidate(f"{slash}{names[0]}{end}", label, hint)

    def _matching_emoji(self, word: str) -> Iterator[Candidate]:
        names = self._emoji or emoji_names()
        for character, name in names.find(word, CANDIDATES_LIMIT):
            yield Candidate(character, f"{character} {name}")


def _slots(usage: str) -> tuple[_Slot, ...]:
    return tuple(_slot(word) for word in usage.split()[1:])


def _slot(word: str) -> _Slot:
    names = word.strip("[]").split("|")
    choices = tuple(
        choice for name in names for choice in _CHOICES.get(name, (name,) if name.islower() else ())
    )
    kinds = tuple(kind for name in names for kind in _KINDS.get(name, ()))
    return _Slot(
        (*kinds, _Kind.CHOICE) if choices else kinds,
        choices,
        skipped=word.startswith("[") and names == ["#ROOM"],
    )


def _place_in_text(head: str) -> _Place:
    word = _WORD.search(head)
    assert word is not None  # it may be empty
    start, found = word.start(), word[0]
    emoji = _EMOJI.fullmatch(found)
    if emoji:
        return _Place(start, emoji[1], (_Kind.EMOJI,))
    if found.startswith(_ROOM_PREFIXES):
        return _Place(start, found, (_Kind.ROOM,))
    if not found:
        return _Place(start, found, ())
    at_line_start = start == 0 or head[start - 1] == "\n"
    prefix = "@" if found.startswith("@") else ""
    end = NICK_END if at_line_start else " "
    return _Place(start, found.removeprefix("@"), (_Kind.NICK,), nick_end=end, prefix=prefix)


def _names(names: Iterable[str], place: _Place) -> Iterator[Candidate]:
    wanted = place.word.casefold()
    for name in names:
        if name.casefold().startswith(wanted) and _is_safe(name):
            yield Candidate(f"{place.prefix}{name}{place.nick_end}", name)


def _rooms(rooms: Iterable[str], word: str) -> Iterator[Candidate]:
    wanted = word.casefold()
    for room in rooms:
        if room.casefold().startswith(wanted) and _is_safe(room):
            yield Candidate(f"{room} ", room)


def _choices(place: _Place) -> Iterator[Candidate]:
    for choice in place.choices:
        if choice.startswith(place.word.casefold()) and choice != place.word:
            yield Candidate(f"{choice} ", choice)


def _paths(place: _Place, *, folders_only: bool) -> list[Candidate]:
    name = os.path.basename(place.word)
    folder = place.word[: len(place.word) - len(name)]
    wanted = name.casefold()
    found = []
    try:
        with os.scandir(os.path.expanduser(folder) or os.curdir) as entries:
            for entry in islice(entries, PATHS_LIMIT):
                hidden = entry.name.startswith(".") and not name.startswith(".")
                if hidden or not entry.name.casefold().startswith(wanted):
                    continue
                is_folder = entry.is_dir()
                if _is_safe(entry.name) and (is_folder or not folders_only):
                    found.append(entry.name + (os.sep if is_folder else ""))
    except (OSError, ValueError):  # ValueError: not a name that a file can have
        return []
    found.sort(key=str.casefold)
    return [Candidate(folder + entry, entry) for entry in found]


def _is_safe(name: str) -> bool:
    """Whether ``name`` can be shown as it is; what cannot is not offered."""
    return make_safe(name) == name
