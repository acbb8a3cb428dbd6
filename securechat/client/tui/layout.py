"""How an entry of a buffer is laid out in lines.

A line has columns, and what others have written gets into none but its own::

    🔒 direct  12:34           ann hello, this is a text
                                   of two lines
                                 ╭ ann: hello, this is a …
    »          12:35           bob hi carl
                                 ╰ 👍 1 (ann)
    gutter     time           nick text

So a lock in the gutter is a lock, and a text that looks like a message of somebody else has neither
time nor nick, nor the mark of a note. Where there is little room the nick stands before the text,
that mark in the gutter, and all further lines are indented.

Colours are for whoever draws the lines: each piece has a *role*, one of ``ROLES``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from rich.cells import cell_len
from textual.cache import LRUCache

from securechat.client.chat.buffers import Entry
from securechat.client.tui.entry_words import (
    deleted_words,
    file_words,
    presence_words,
    reactions_words,
    state_words,
)
from securechat.client.tui.links import find_links
from securechat.client.tui.themes import NICK_COLOURS, nick_number
from securechat.client.tui.wrapping import cells, fit, wrap
from securechat.client.words.peer_wording import LOCK
from securechat.client.words.translation import _, gettext_noop
from securechat.peer.events import PathKind

__all__ = [
    "COLUMNS_WIDTH",
    "NICK_WIDTH",
    "PATH_WIDTH",
    "ROLES",
    "Layout",
    "Line",
    "Piece",
    "text_of",
]

NICK_WIDTH: Final = 16
"""Widest column of nicks, in cells; longer nicks are cut there."""

COLUMNS_WIDTH: Final = 60
"""From this width on there is a column of nicks. Below it would leave too little for the text."""

PATH_WIDTH: Final = 72
"""From this width on the gutter says in words how a text came from a peer, beside the lock."""

_TIMES_WIDTH: Final = 32
"""Below this width there is no time: the text needs the room."""

_QUOTE_WIDTH: Final = 120
"""Most cells of a line on the text that is answered: enough to recognise it by."""

_CACHE_SIZE: Final = 250
"""Entries whose lines are kept: some screens in both directions."""

ROLES: Final = (
    "text",
    "action",
    "notice",
    "info",
    "warning",
    "presence",
    "file",
    "time",
    "own-nick",
    *(f"nick-{number}" for number in range(1, NICK_COLOURS + 1)),
    "mention",
    "lock",
    "link",
    "reply",
    "reaction",
    "own-reaction",
    "deleted",
    "sent",
    "waiting",
    "unsure",
    "refused",
    "day",
    "new",
    "edge",
)
"""What a piece of a line can be."""

_PATHS: Final[dict[PathKind, str]] = {
    "direct": gettext_noop("direct"),
    "relayed": gettext_noop("relayed"),
}

_MENTION: Final = "»"
_REPLY: Final = "╭"
_REACTION: Final = "╰"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line. ``link`` is the whole of a link that it is a part of."""

    text: str
    role: str
    link: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line of at most the width of its layout. ``reply_to`` is the msgid that it shows."""

    pieces: tuple[Piece, ...]
    reply_to: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces)


class Layout:
    """Lays entries out for one width. The lines of an entry are kept until it changes.

    :param width: in cells.
    :param private: whether the texts can be those of a peer.
    :param own_nick: ours, made safe.
    """

    def __init__(self, width: int, *, show_times: bool, private: bool, own_nick: str) -> None:
        self._width = width
        self._own_nick = own_nick
        self._times = show_times and width >= _TIMES_WIDTH
        self._paths = private and width >= PATH_WIDTH
        self._nick_width = min(NICK_WIDTH, width // 6) if width >= COLUMNS_WIDTH else 0
        self._gutter_width = cell_len(LOCK) + 1
        if self._paths:
            self._gutter_width += max(cell_len(_(_PATHS[path])) for path in get_args(PathKind)) + 1
        before = self._gutter_width + 6 * self._times
        self._first = before + self._nick_width + bool(self._nick_width)
        self._further = self._first if self._nick_width else before + 2
        self._entries: LRUCache[tuple[object, ...], tuple[Line, ...]] = LRUCache(_CACHE_SIZE)
        self._rules: LRUCache[tuple[str, str], Line] = LRUCache(_CACHE_SIZE)

    def lines(self, entry: Entry, answered: Entry | None) -> tuple[Line, ...]:
        """Return the lines of ``entry``; there is at least one.

        :param answered: the text it replies to, if that is known.
        """
        key = (entry, entry.version, answered, answered.version if answered is not None else 0)
        lines = self._entries.get(key)
        if lines is None:
            lines = tuple(self._lay_out(entry, answered))
            self._entries.set(key, lines)
        return lines

    def rule(self, words: str, role: str) -> Line:
        """Return a line across, with ``words`` in its middle."""
        line = self._rules.get((words, role))
        if line is None:
            shown = f" {fit(words, max(self._width - 4, 1))} "
            left = (self._width - cells(shown)) // 2
            right = self._width - cells(shown) - left
            line = Line((Piece(f"{'─' * left}{shown}{'─' * right}", role),))
            self._rules.set((words, role), line)
        return line

    def _lay_out(self, entry: Entry, answered: Entry | None) -> Iterator[Line]:
        if entry.reply_to is not None and not entry.redacted_by:
            yield self._reply_line(entry.reply_to, answered)
        yield from self._flow(self._start(entry), self._said(entry))
        if entry.reactions:
            pieces = [
                Piece(words, "own-reaction" if own else "reaction")
                for words, own in reactions_words(entry, self._own_nick)
            ]
            yield from self._flow(self._mark(_REACTION, "reaction"), _joined(pieces), further=True)

    def _start(self, entry: Entry) -> tuple[Piece, ...]:
        """Return what stands before the first line of the text."""
        mark, role = "", "text"
        if entry.via is not None:
            mark, role = LOCK, "lock"
            if self._paths:
                mark += f" {_(_PATHS[entry.via])}"
        elif entry.mention:
            mark, role = _MENTION, "mention"
        elif not self._nick_width:
            mark, role = _note_mark(entry), _kind_role(entry)
        pieces = [Piece(_padded(mark, self._gutter_width), role)]
        if self._times:
            pieces.append(Piece(f"{entry.time.astimezone():%H:%M} ", "time"))
        if self._nick_width:
            nick = _note_mark(entry) or _nick(entry, self._nick_width)
            blanks = " " * (self._nick_width - cells(nick))
            pieces.append(Piece(f"{blanks}{nick} ", _nick_role(entry)))
        return tuple(pieces)

    def _said(self, entry: Entry) -> list[Piece]:
        """Return the text, with the nick where that has no column."""
        pieces = []
        if not self._nick_width and entry.sender and not _note_mark(entry):
            pieces.append(Piece(f"{_nick(entry, NICK_WIDTH)} ", _nick_role(entry)))
        if entry.redacted_by:
            return [*pieces, Piece(f"[{deleted_words(entry)}]", "deleted")]
        role = "mention" if entry.mention else _kind_role(entry)
        pieces.extend(_linked(text_of(entry), role))
        state = state_words(entry)
        if state:
            pieces.append(Piece(f" {state}", entry.state))
        return pieces

    def _reply_line(self, msgid: str, answered: Entry | None) -> Line:
        words = _("a message that is not loaded")
        if answered is not None:
            first = text_of(answered).partition("\n")[0]
            words = f"{answered.sender}: {first}"
        words = fit(words, min(max(self._width - self._further, 1), _QUOTE_WIDTH))
        return Line((*self._mark(_REPLY, "reply"), Piece(words, "reply")), reply_to=msgid)

    def _mark(self, mark: str, role: str) -> tuple[Piece, ...]:
        """Return a mark before the column of the text, where no text can be."""
        return (Piece(" " * (self._further - 2), "text"), Piece(f"{mark} ", role))

    def _flow(
        self,
        start: tuple[Piece, ...],
        pieces: Sequence[Piece],
        *,
        further: bool = False,
    ) -> Iterator[Line]:
        """Yield the lines of ``pieces``, the first one behind ``start``.

        :param further: whether ``start`` goes as far as further lines are indented.
        """
        text = "".join(piece.text for piece in pieces)
        begin = self._further if further else self._first
        room = max(self._width - begin, 1)
        blank = (Piece(" " * self._further, "text"),)
        for number, part in enumerate(
            _sliced(pieces, wrap(text, room, indent=self._further - begin))
        ):
            yield Line((*(blank if number else start), *part))


def text_of(entry: Entry) -> str:
    """Return what ``entry`` says, for copying: without time and nick. Lines are separated by line
    feeds.
    """
    if entry.redacted_by:
        return deleted_words(entry)
    if entry.presences is not None:
        return presence_words(entry)
    if entry.file is not None:
        return file_words(entry.file)
    if entry.kind == "ctcp" and not entry.own:
        return _("asks by CTCP, and is not answered: {text}", text=entry.text)
    return entry.text


def _note_mark(entry: Entry) -> str:
    """Return the mark of what nobody has said, empty for others."""
    if entry.kind == "warning":
        return "!"
    nobody = not entry.sender and entry.kind != "presence"
    return "*" if nobody or entry.kind == "info" else ""


def _nick(entry: Entry, width: int) -> str:
    """Return who it is of, and what it is, in so many cells."""
    match entry.kind:
        case "action":
            return f"* {fit(entry.sender, width - 2)}"
        case "notice" | "ctcp":
            return f"-{fit(entry.sender, width - 2)}-"
        case _:
            return fit(entry.sender, width)


def _kind_role(entry: Entry) -> str:
    match entry.kind:
        case "message":
            return "text"
        case "ctcp":
            return "notice"
        case kind:
            return kind


def _nick_role(entry: Entry) -> str:
    if not entry.sender:
        return _kind_role(entry)
    return "own-nick" if entry.own else f"nick-{nick_number(entry.sender)}"


def _linked(text: str, role: str) -> Iterator[Piece]:
    done = 0
    for start, end in find_links(text):
        if start > done:
            yield Piece(text[done:start], role)
        yield Piece(text[start:end], "link", link=text[start:end])
        done = end
    yield Piece(text[done:], role)


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        joined += [Piece("  ", "text"), piece] if joined else [piece]
    return joined


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _sliced(
    pieces: Sequence[Piece], spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[Piece, ...]]:
    """Yield for each span of the whole text the pieces that it is made of. Spans are in order."""
    index, offset = 0, 0  # of the first piece that may be in the span
    for start, end in spans:
        found = []
        while index < len(pieces):
            piece = pieces[index]
            text = piece.text[max(start - offset, 0) : max(end - offset, 0)]
            if text:
                found.append(Piece(text, piece.role, piece.link))
            if offset + len(piece.text) > end:
                break
            offset += len(piece.text)
            index += 1
        yield tuple(found)
