"""The pane with all conversations: of each network its rooms and people, and what is unread there.

Rows do not jump about under the mouse: while it is over the pane, and a moment after, each row
keeps its place, and what is new comes to the end of its group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message

from securechat.client.chat.buffers import BufferKind
from securechat.client.tui.header import WARNING, Connection, without_signs
from securechat.client.tui.row_list import RowList, spread
from securechat.client.words.peer_wording import LOCK
from securechat.client.words.translation import _, gettext_noop, ngettext

__all__ = [
    "CLICK_HOLD_S",
    "HOVER_HOLD_S",
    "NUMBERED",
    "BufferPane",
    "BufferRow",
    "PeerState",
    "Sort",
    "next_unread",
    "order",
]

PeerState = Literal["", "direct", "relayed", "lost", "asked"]
"""Of a session with a person; ``asked``: they ask for one. Empty: there is none."""

Sort = Literal["activity", "name"]
"""How the rooms and the people of a network are sorted: by mentions, then unread texts, then the
last activity; or by name."""

NUMBERED: Final = 9
"""How many rows show the number by which a key goes there: there are no more digits."""

CLICK_HOLD_S: Final = 1.0
"""How long rows keep their places after a click, or after the mouse has left: a second click, or a
mouse that slips out, finds them where they were."""

HOVER_HOLD_S: Final = 10.0
"""How long they keep them while the mouse rests on the pane. A pointer that has left the terminal
there is not heard of, and would hold them for ever."""

_SETTLE_S: Final = CLICK_HOLD_S + 0.1
"""When rows are sorted after the mouse has left: a timer may be a little early."""

_COUNT_LIMIT: Final = 999
"""Higher counts are shown as more than that: they would take the room of the name."""

_KINDS: Final[dict[BufferKind, int]] = {"server": 0, "room": 1, "person": 2}

_GROUPS: Final = {"room": gettext_noop("Rooms"), "person": gettext_noop("People")}

_CONNECTIONS: Final[dict[Connection, tuple[str, str]]] = {
    "online": ("●", ""),
    "connecting": ("…", gettext_noop("connecting")),
    "offline": ("○", gettext_noop("offline")),
}

_PEER_WORDS: Final[dict[PeerState, str]] = {
    "direct": gettext_noop("direct"),
    "relayed": gettext_noop("relayed"),
    "lost": gettext_noop("no path"),
    "asked": gettext_noop("asks"),
}

_PEER_TEXTS: Final[dict[PeerState, str]] = {
    "direct": gettext_noop("session, direct: end to end"),
    "relayed": gettext_noop("session, relayed: end to end through the relay"),
    "lost": gettext_noop("session without a path: what you say waits"),
    "asked": gettext_noop("asks for a session"),
}

_ACTIVE: Final = "▌"
_DRAFT: Final = "✎"
_MUTED: Final = "⊘"
_VERIFIED: Final = {True: "✓", False: "?"}


@dataclass(frozen=True, slots=True)
class BufferRow:
    """What the pane shows of one conversation. Immutable.

    ``key`` is what the row stands for, one of a kind, and comes back when it is chosen.
    ``connection`` is that of the network; ``joined`` counts for rooms only, ``peer`` and
    ``verified`` for people. ``last_activity`` is in seconds, of any clock.
    """

    key: Hashable
    network: str
    title: str
    kind: BufferKind
    connection: Connection = "online"
    unread: int = 0
    mentions: int = 0
    active: bool = False
    joined: bool = True
    muted: bool = False
    peer: PeerState = ""
    verified: bool = False
    draft: bool = False
    last_activity: float = field(default=0.0, compare=False)  # it is not shown


def order(
    rows: Sequence[BufferRow], sort: Sort = "activity", held: Mapping[Hashable, int] | None = None
) -> list[BufferRow]:
    """Return the rows by network, in the order in which these appear, and kind, then by ``sort``.

    :param held: the places of those that keep them in their group, by key.
    """
    networks = {row.network: number for number, row in reversed(list(enumerate(rows)))}
    places = held or {}

    def place(row: BufferRow) -> tuple[object, ...]:
        group = (networks[row.network], _KINDS[row.kind], places.get(row.key, len(places)))
        if sort == "name":
            return (*group, row.title.casefold())
        wanted = not row.mentions, row.muted or not row.unread
        return (*group, *wanted, -row.last_activity, row.title.casefold())

    return sorted(rows, key=place)


def next_unread(rows: Sequence[BufferRow], current: int) -> int | None:
    """Return the index of the row to go to from that at ``current``: the next one where we are
    mentioned, if there is none the next with something unread; ``None`` if there is nothing new.

    After the last row comes the first. What is unread in a muted conversation does not count.
    """
    others = [(current + step) % len(rows) for step in range(1, len(rows))]
    mentioned = (index for index in others if rows[index].mentions)
    unread = (index for index in others if rows[index].unread and not rows[index].muted)
    return next(mentioned, next(unread, None))


@dataclass(frozen=True, slots=True)
class _Line:
    """A conversation, or a heading: that of a network may be its server's conversation."""

    row: BufferRow | None
    number: int = 0  # for the key; 0: none
    network: str = ""
    connection: Connection = "online"
    group: str = ""


class BufferPane(RowList[_Line]):
    """Shows the conversations. Posts ``Chosen`` when the user wants one.

    Everything from others is made safe here.

    :param sort: how; it can be changed, and counts from the next ``show`` on.
    :param clock: the monotonic time in seconds.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "buffer-pane--network",
        "buffer-pane--group",
        "buffer-pane--active",
        "buffer-pane--marker",
        "buffer-pane--number",
        "buffer-pane--unread",
        "buffer-pane--mention",
        "buffer-pane--muted",
        "buffer-pane--safe",
        "buffer-pane--caution",
        "buffer-pane--danger",
    }

    DEFAULT_CSS = """
    BufferPane {
        width: 24;
        height: 1fr;
        padding-right: 1;
        background: $surface;
        & > .buffer-pane--network { text-style: bold; }
        & > .buffer-pane--group { color: $muted; text-style: $muted-style; }
        & > .buffer-pane--active { text-style: bold; }
        & > .buffer-pane--marker { color: $accent; text-style: bold; }
        & > .buffer-pane--number { color: $muted; text-style: $muted-style; }
        & > .buffer-pane--unread { text-style: bold; }
        & > .buffer-pane--mention { color: $mention; text-style: bold; }
        & > .buffer-pane--muted { color: $muted; text-style: $muted-style; }
        & > .buffer-pane--safe { color: $safe; }
        & > .buffer-pane--caution { color: $caution; }
        & > .buffer-pane--danger { color: $danger; text-style: bold; }
    }
    """

    class Chosen(Message):
        """The user wants to see the conversation of ``row``."""

        def __init__(self, row: BufferRow) -> None:
            super().__init__()
            self.row = row

    def __init__(
        self,
        *,
        sort: Sort = "activity",
        clock: Callable[[], float] = time.monotonic,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.sort: Sort = sort
        self._clock = clock
        self._buffers: tuple[BufferRow, ...] = ()  # as they were given
        self._ordered: list[BufferRow] = []
        self._held_until = 0.0

    @property
    def ordered(self) -> Sequence[BufferRow]:
        """The conversations as they are shown, from the top."""
        return self._ordered

    def show(self, rows: Sequence[BufferRow]) -> None:
        """Show ``rows`` from now on.

        The first nine have the numbers from 1 to 9, in the order in which they are given: that does
        not change with what is unread, so that the same key always goes to the same conversation.
        """
        was_active = self._active()
        self._buffers = tuple(rows)
        self._arrange()
        active = self._active()
        if active is not None and active != was_active:
            self.reveal(active)

    def _active(self) -> Hashable | None:
        return next((row.key for row in self._buffers if row.active), None)

    def _arrange(self) -> None:
        held = {}
        if self._clock() < self._held_until:
            held = {row.key: place for place, row in enumerate(self._ordered)}
        self._ordered = order(self._buffers, self.sort, held)
        numbers = {row.key: number for number, row in enumerate(self._buffers[:NUMBERED], 1)}
        self.set_rows(_lines(self._ordered, numbers))

    # ---- rows keep their places ----

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Keep the rows where they are while somebody aims at one (Textual calls the base, too)."""
        self._held_until = self._clock() + HOVER_HOLD_S

    def on_leave(self, event: events.Leave) -> None:
        """Let them go, in a moment."""
        self._held_until = self._clock() + CLICK_HOLD_S
        self.set_timer(_SETTLE_S, self._arrange)

    def on_focus(self) -> None:
        """Start from the conversation that is shown."""
        active = self._active()
        if active is not None:
            self.move_to(active)

    # ---- what a row is ----

    def key_of(self, row: _Line) -> Hashable | None:
        """Return the key of the conversation; other headings cannot be chosen."""
        return row.row.key if row.row is not None else None

    def choose(self, row: _Line) -> None:
        """Post ``Chosen``."""
        if row.row is not None:
            self._held_until = max(self._held_until, self._clock() + CLICK_HOLD_S)
            self.post_message(self.Chosen(row.row))

    def describe(self, row: _Line) -> str:
        """Return in words what the row says in signs."""
        return _describe(row.row) if row.row is not None else ""

    def draw(self, row: _Line, width: int) -> list[Segment]:
        """Return the row: its number, its name, what is to say of it, how much is unread."""
        if row.group:
            return [Segment(f"   {_(row.group)}", self.part("buffer-pane--group"))]
        if row.network:
            return self._draw_network(row, width)
        assert row.row is not None
        return self._draw_buffer(row.row, row.number, width)

    def _draw_network(self, line: _Line, width: int) -> list[Segment]:
        sign, word = _CONNECTIONS[line.connection]
        caution = self.part("buffer-pane--caution") if word else None
        right = [Segment(f" {_(word)}", caution)] if word else []
        left = [Segment("   ")]
        if line.row is not None:
            left = self._draw_start(line.row, line.number)
            right += self._draw_counts(line.row)
        title = Segment(without_signs(line.network), self.part("buffer-pane--network"))
        return spread([*left, Segment(f"{sign} ", caution)], title, right, width)

    def _draw_buffer(self, row: BufferRow, number: int, width: int) -> list[Segment]:
        left = self._draw_start(row, number)
        title = without_signs(row.title)
        if row.kind == "room" and not row.joined:
            title = f"({title})"
        if row.muted:
            left.append(Segment(f"{_MUTED} ", self.part("buffer-pane--muted")))
        right = [Segment(f" {_DRAFT}")] if row.draft else []
        right += self._draw_counts(row)
        if row.peer:
            style = self.part(f"buffer-pane--{_level(row)}")
            if row.peer in ("direct", "relayed"):
                left.append(Segment(f"{LOCK} ", style))
            elif row.peer == "lost":
                left.append(Segment(f"{WARNING} ", style))
            used = sum(segment.cell_length for segment in (*left, *right)) + cell_len(title)
            right.insert(0, Segment(_peer_word(row, width - used), style))
        return spread(left, Segment(title, self._title_style(row)), right, width)

    def _draw_start(self, row: BufferRow, number: int) -> list[Segment]:
        return [
            Segment(_ACTIVE if row.active else " ", self.part("buffer-pane--marker")),
            Segment(f"{number or ' '} ", self.part("buffer-pane--number")),
        ]

    def _draw_counts(self, row: BufferRow) -> list[Segment]:
        if row.mentions:
            return [Segment(f" !{_count(row.mentions)}", self.part("buffer-pane--mention"))]
        if row.unread:
            style = self.part("buffer-pane--muted") if row.muted else None
            return [Segment(f" {_count(row.unread)}", style)]
        return []

    def _title_style(self, row: BufferRow) -> Style:
        if row.active:
            return self.part("buffer-pane--active")
        if row.mentions:
            return self.part("buffer-pane--mention")
        if row.muted or (row.kind == "room" and not row.joined):
            return self.part("buffer-pane--muted")
        return self.part("buffer-pane--unread") if row.unread else Style.null()


def _lines(rows: Sequence[BufferRow], numbers: Mapping[Hashable, int]) -> list[_Line]:
    """Return the ordered rows with their headings."""
    lines: list[_Line] = []
    network, group = None, ""
    for row in rows:
        if row.network != network:
            network, group = row.network, ""
            server = row if row.kind == "server" else None
            number = numbers.get(row.key, 0) if server is not None else 0
            lines.append(_Line(server, number, row.network, row.connection))
            if server is not None:
                continue
        heading = _GROUPS.get(row.kind, "")
        if heading != group:
            group = heading
            lines.append(_Line(None, group=heading))
        lines.append(_Line(row, numbers.get(row.key, 0)))
    return lines


def _count(count: int) -> str:
    return str(count) if count <= _COUNT_LIMIT else f"{_COUNT_LIMIT}+"


def _level(row: BufferRow) -> Literal["safe", "caution", "danger"]:
    if row.peer == "lost":
        return "danger"
    return "safe" if row.verified and row.peer != "asked" else "caution"


def _peer_word(row: BufferRow, room: int) -> str:
    """Return how the session is; where the word does not fit, its first letter."""
    word = _(_PEER_WORDS[row.peer])
    sign = _VERIFIED[row.verified] if row.peer in ("direct", "relayed") else ""
    for shown in (f" {word} {sign}", f" {word[:1].upper()}{sign}"):
        if cell_len(shown.rstrip()) <= room:
            break
    return shown.rstrip()


def _describe(row: BufferRow) -> str:
    lines = [without_signs(row.title)]
    if row.mentions:
        lines.append(ngettext("{count} mention of you", "{count} mentions of you", row.mentions))
    if row.unread:
        lines.append(ngettext("{count} unread text", "{count} unread texts", row.unread))
    if row.kind == "room" and not row.joined:
        lines.append(_("you are not in this room"))
    if row.muted:
        lines.append(_("muted"))
    if row.peer:
        lines.append(_(_PEER_TEXTS[row.peer]))
    if row.peer in ("direct", "relayed"):
        lines.append(_("verified") if row.verified else _("not verified"))
    if row.draft:
        lines.append(_("something is typed there, and not sent"))
    return "\n".join(lines)
