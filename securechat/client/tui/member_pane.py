"""The pane with the members of a room, by their ranks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Final

from rich.segment import Segment
from textual.message import Message

from securechat.client.chat.routing import SessionState
from securechat.client.tui.header import WARNING, without_signs
from securechat.client.tui.row_list import RowList, spread
from securechat.client.tui.themes import NICK_COLOURS, nick_number
from securechat.client.words.peer_wording import LOCK
from securechat.client.words.translation import _, gettext_noop, ngettext

__all__ = ["MemberPane", "MemberRow"]

_RANKS: Final = {
    "~": gettext_noop("Founders"),
    "&": gettext_noop("Admins"),
    "@": gettext_noop("Operators"),
    "%": gettext_noop("Half-operators"),
    "+": gettext_noop("Voiced"),
    "": gettext_noop("Members"),
}
"""The ranks by their marks, highest first."""

_ORDER: Final = {mark: number for number, mark in enumerate(_RANKS)}

_REACHABLE: Final = "⇄"

_SESSIONS: Final[dict[SessionState, str]] = {
    "direct": gettext_noop("you have a session, direct"),
    "relayed": gettext_noop("you have a session, relayed"),
    "lost": gettext_noop("you have a session, without a path now"),
}


@dataclass(frozen=True, slots=True)
class MemberRow:
    """What the pane shows of a member. Immutable.

    ``marks`` are those of the ranks, highest first. ``reachable``: a session can be asked for.
    """

    nick: str
    marks: str = ""
    away: bool = False
    reachable: bool = False
    me: bool = False
    session: SessionState | None = None

    @property
    def rank(self) -> str:
        """The mark of the highest rank; one that is not known here counts as none."""
        return self.marks[:1] if self.marks[:1] in _RANKS else ""


@dataclass(frozen=True, slots=True)
class _Line:
    """A member, or a heading."""

    member: MemberRow | None
    heading: str = ""


class MemberPane(RowList[_Line]):
    """Shows the members. Posts ``Chosen`` when the user wants one.

    Everything from others is made safe here.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "member-pane--total",
        "member-pane--rank",
        "member-pane--me",
        "member-pane--away",
        "member-pane--safe",
        *(f"member-pane--nick-{number}" for number in range(1, NICK_COLOURS + 1)),
    }

    DEFAULT_CSS = (
        """
    MemberPane {
        width: 18;
        height: 1fr;
        padding-left: 1;
        background: $surface;
        & > .member-pane--total { text-style: bold; }
        & > .member-pane--rank { color: $muted; text-style: $muted-style; }
        & > .member-pane--me { color: $own-nick; text-style: bold; }
        & > .member-pane--away { color: $muted; text-style: $muted-style italic; }
        & > .member-pane--safe { color: $safe; }
    """
        + "\n".join(
            f"& > .member-pane--nick-{number} {{ color: $nick-{number}; }}"
            for number in range(1, NICK_COLOURS + 1)
        )
        + "\n}"
    )

    class Chosen(Message):
        """The user wants something with that member."""

        def __init__(self, nick: str) -> None:
            super().__init__()
            self.nick = nick

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._members: tuple[MemberRow, ...] = ()

    def show(self, members: Sequence[MemberRow]) -> None:
        """Show ``members`` from now on, in any order."""
        given = tuple(members)
        if given != self._members:
            self._members = given
            self.set_rows(_lines(given))

    # ---- what a row is ----

    def key_of(self, row: _Line) -> Hashable | None:
        """Return the nick; a heading cannot be chosen."""
        return row.member.nick if row.member is not None else None

    def choose(self, row: _Line) -> None:
        """Post ``Chosen``."""
        if row.member is not None:
            self.post_message(self.Chosen(row.member.nick))

    def describe(self, row: _Line) -> str:
        """Return in words what the row says in signs."""
        return _describe(row.member) if row.member is not None else ""

    def draw(self, row: _Line, width: int) -> list[Segment]:
        """Return the row: the mark of the rank, the nick, and whether a session is possible."""
        member = row.member
        if member is None:
            part = "member-pane--total" if row is self.rows[0] else "member-pane--rank"
            return spread([], Segment(row.heading, self.part(part)), [], width)
        nick = without_signs(member.nick)
        if member.away:
            nick = f"({nick})"
        title = Segment(nick, self.part(f"member-pane--{_part(member)}"))
        return spread([Segment(member.rank or " ")], title, self._signs(member), width)

    def _signs(self, member: MemberRow) -> list[Segment]:
        if member.session == "lost":
            return [Segment(f" {WARNING}")]
        if member.session is not None:
            return [Segment(f" {LOCK}", self.part("member-pane--safe"))]
        return [Segment(f" {_REACHABLE}")] if member.reachable else []


def _lines(members: Sequence[MemberRow]) -> list[_Line]:
    """Return the members in order, with headings."""

    def rank(member: MemberRow) -> int:
        return _ORDER[member.rank]

    ordered = sorted(members, key=lambda member: (rank(member), member.nick.casefold()))
    lines = [_Line(None, ngettext("{count} person", "{count} people", len(members)))]
    for _number, group in groupby(ordered, rank):
        found = [_Line(member) for member in group]
        first = found[0].member
        assert first is not None
        title = _(_RANKS[first.rank])
        lines += [_Line(None, _("{rank} {count}", rank=title, count=len(found))), *found]
    return lines


def _part(member: MemberRow) -> str:
    if member.me:
        return "me"
    return "away" if member.away else f"nick-{nick_number(member.nick)}"


def _describe(member: MemberRow) -> str:
    lines = [without_signs(member.nick)]
    if member.me:
        lines.append(_("this is you"))
    if member.away:
        lines.append(_("away"))
    if member.session is not None:
        lines.append(_(_SESSIONS[member.session]))
    elif member.reachable:
        lines.append(_("can be reached for a session"))
    return "\n".join(lines)
