"""The conversations of one network as a user interface shows them: what was said, what is unread.

A ``Buffer`` is a window onto a conversation: its entries are contiguous, from some place in the
past up to the present (``live``) or, after a jump to a place found, up to some other place. It
grows at both ends as history comes, and never has a hole::

    history ··········[ entries ]················ present      live = False, reaches_start = False
    history ··········[ entries                 ] present      live = True
    [ entries                                   ] present      live, reaches_start = True

An entry has a *position* that stays what it is while others come before it or are dropped there, so
that whoever shows a part of a buffer need not move. Only what is inserted in the middle (texts that
were missed while the connection was lost) moves what comes after it.

Everything from others is made safe for the terminal on its way in. All is owned by the user
interface's thread.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from securechat.client.events import (
    HistoryItem,
    MemberSnapshot,
    Reacted,
    Redacted,
    TextReceived,
)
from securechat.client.routing import SessionState
from securechat.client.safe_text import make_safe
from securechat.peer.events import PathKind
from securechat.peer.known_peers import Safety

__all__ = [
    "ENTRIES_LIMIT",
    "Buffer",
    "BufferKind",
    "Entry",
    "EntryKind",
    "EntryState",
    "FileState",
    "Notify",
    "Presence",
    "safe_lines",
]

ENTRIES_LIMIT: Final = 60_000
"""Most entries of one buffer in memory. Beyond it the oldest are dropped; where the server keeps
history they come again when somebody scrolls there."""

_TRIM: Final = 5_000
"""How many are dropped at once: dropping from the front of a list moves all the rest."""

REACTIONS_LIMIT: Final = 50
"""Most different reactions to one text; more would only be noise, or an attack on the memory."""

PRESENCES_LIMIT: Final = 200
"""Most comings and goings that are condensed into one entry; then another one begins."""

BufferKind = Literal["server", "room", "person"]

EntryKind = Literal["message", "notice", "action", "ctcp", "info", "warning", "presence", "file"]
"""The first four are texts of people; ``info`` and ``warning`` are notes of the client."""

EntryState = Literal["", "sent", "waiting", "unsure", "refused"]
"""Of a text of our own: ``sent`` but not acknowledged; ``waiting`` for the connection; ``unsure``
whether it arrived before that was lost; ``refused``. Empty: it is there."""

Notify = Literal["all", "mentions", "none"]
"""What of a conversation asks for attention."""

TEXT_KINDS: Final = frozenset({"message", "notice", "action", "ctcp"})

IsMention = Callable[[TextReceived], bool]
"""Whether a text of somebody else mentions us."""

PresenceChange = Literal["joined", "left", "quit", "kicked", "renamed", "away", "back"]


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody came, went, or is called otherwise. Immutable; all safe.

    ``detail``: the reason, or the new nick.
    """

    change: PresenceChange
    nick: str
    detail: str = ""


@dataclass(slots=True)
class FileState:
    """A file on its way, or no longer. ``name`` is safe.

    ``left_s`` and ``rate_bytes_per_s`` are as last told. ``path`` is where it is here, once it is.
    """

    transfer: int
    name: str
    size: int
    outgoing: bool
    state: Literal["offered", "moving", "finished", "ended"] = "offered"
    done_bytes: int = 0
    rate_bytes_per_s: float = 0.0
    left_s: float | None = None
    reason: str = ""
    path: Path | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """One thing in a buffer. ``version`` goes up with each change, so that it can be drawn again.

    ``text`` of people is without formatting and safe; its lines are separated by line feeds. That
    of ``info`` and ``warning`` is as ``wording`` says it, without the mark in front. It is empty
    for ``presence``, ``file`` and what was redacted.
    """

    number: int
    kind: EntryKind
    time: datetime  # with its zone
    text: str
    sender: str = ""
    own: bool = False
    mention: bool = False  # of us
    msgid: str | None = None
    reply_to: str | None = None  # a msgid
    via: PathKind | None = None
    mark: str | None = None  # of a text of our own
    outgoing: int | None = None  # its number in Outgoing, while it is there
    state: EntryState = ""
    reason: str = ""  # why it was refused, or redacted
    redacted_by: str = ""
    reactions: dict[str, list[str]] | None = None  # reaction → nicks, all safe
    presences: list[Presence] | None = None
    people: int | None = None  # in the room after the presences
    file: FileState | None = None
    version: int = 0

    @property
    def is_text(self) -> bool:
        """Whether somebody has said it."""
        return self.kind in TEXT_KINDS

    def changed(self) -> None:
        """Take note of a change."""
        self.version += 1


@dataclass(slots=True, eq=False)
class Buffer:
    """One conversation. Iterate over ``entries``; change it by the methods only.

    ``version`` goes up with each change of anything. ``read_until`` is the read marker; the line
    between old and new is drawn at ``line_at``, which stays while the buffer is shown.
    """

    name: str  # as the server calls it; not safe
    kind: BufferKind
    notify: Notify
    entries: list[Entry] = field(default_factory=list)
    base: int = 0  # the position of entries[0]
    live: bool = True
    reaches_start: bool = False
    loading: Literal["", "older", "newer", "around"] = ""
    joined: bool = False  # of a room: we are in it
    topic: str = ""  # safe
    away: str = ""  # of a person: the message, safe
    unread: int = 0
    mentions: int = 0
    read_until: datetime | None = None
    line_at: datetime | None = None
    last_activity: datetime | None = None
    session: SessionState | None = None  # with a person
    safety: Safety | None = None
    reachable: bool = False  # a person, as a peer
    members: tuple[MemberSnapshot, ...] = ()
    members_stale: bool = False
    typing: dict[str, float] = field(default_factory=dict)  # safe nick → until when, monotonic
    draft: str = ""  # what stands in the input line while another buffer is shown
    version: int = 0
    _by_msgid: dict[str, Entry] = field(default_factory=dict)
    _by_mark: dict[str, Entry] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # ---- looking ----

    @property
    def title(self) -> str:
        """The name, safe."""
        return make_safe(self.name)

    @property
    def end(self) -> int:
        """The position behind the last entry."""
        return self.base + len(self.entries)

    def at(self, position: int) -> Entry:
        """Return the entry at a position from ``base`` to before ``end``."""
        return self.entries[position - self.base]

    def find(self, msgid: str) -> Entry | None:
        """Return the text of that msgid, if it is in the window."""
        return self._by_msgid.get(msgid)

    def of_mark(self, mark: str) -> Entry | None:
        """Return the text of our own that was sent with that mark, if it is in the window."""
        return self._by_mark.get(mark)

    def position_of(self, entry: Entry) -> int | None:
        """Return where ``entry`` is; ``None`` if it is no longer."""
        # From the end: what is asked for is nearly always new.
        for index in range(len(self.entries) - 1, -1, -1):
            if self.entries[index] is entry:
                return self.base + index
        return None

    def last_reference(self) -> str | None:
        """Return the reference of the newest text of the server, for ``history(after=)``."""
        for entry in reversed(self.entries):
            if entry.msgid is not None:
                return f"msgid={entry.msgid}"
        return None

    def first_reference(self) -> str | None:
        """Return that of the oldest one, for ``history(before=)``."""
        for entry in self.entries:
            if entry.msgid is not None:
                return f"msgid={entry.msgid}"
        return None

    def search(self, words: Sequence[str]) -> list[Entry]:
        """Return the texts of the window that have all the words, in any case, oldest first."""
        wanted = [word.casefold() for word in words if word]
        if not wanted:
            return []
        return [
            entry
            for entry in self.entries
            if entry.is_text and all(word in entry.text.casefold() for word in wanted)
        ]

    def typing_now(self, now: float) -> list[str]:
        """Return who is typing at that monotonic time, in seconds; forget who is no more."""
        self.typing = {nick: until for nick, until in self.typing.items() if until > now}
        return list(self.typing)

    # ---- changing ----

    def touch(self) -> None:
        """Take note that something of the buffer is another."""
        self.version += 1

    def new_entry(self, kind: EntryKind, time: datetime, text: str) -> Entry:
        """Return an entry of this buffer, which is not in it yet."""
        return Entry(next(self._numbers), kind, time, text)

    def append(self, entry: Entry) -> None:
        """Append what has happened now."""
        self._index(entry)
        self.entries.append(entry)
        if len(self.entries) > ENTRIES_LIMIT:
            self._trim()
        self.touch()

    def remove(self, entry: Entry) -> None:
        """Take an entry out that never was anywhere else: a text that was not sent."""
        if entry in self.entries:
            self.entries.remove(entry)
            if entry.mark is not None:
                self._by_mark.pop(entry.mark, None)
            self.touch()

    def note(self, kind: Literal["info", "warning"], time: datetime, text: str) -> Entry:
        """Append a note of the client, which must be safe."""
        entry = self.new_entry(kind, time, text)
        self.append(entry)
        return entry

    def add_presence(self, presence: Presence, time: datetime, people: int | None) -> None:
        """Append a coming or going; it joins the last entry if that is of such, too."""
        last = self.entries[-1] if self.entries else None
        if (
            last is None
            or last.presences is None
            or len(last.presences) >= PRESENCES_LIMIT
            or last.time.date() != time.date()
        ):
            last = self.new_entry("presence", time, "")
            last.presences = []
            self.append(last)
        assert last.presences is not None
        last.presences.append(presence)
        last.people = people if people is not None else last.people
        last.changed()
        self.touch()

    def text_entry(self, event: TextReceived, *, mention: bool) -> Entry:
        """Return the entry of a text, not in the buffer yet."""
        entry = self.new_entry(event.kind, event.time, safe_lines(event.text))
        entry.sender = make_safe(event.sender)
        entry.own = event.own
        entry.mention = mention
        entry.msgid = event.msgid
        entry.reply_to = event.reply_to
        entry.via = event.via
        entry.mark = event.mark
        return entry

    def knows(self, event: TextReceived) -> Entry | None:
        """Return the entry that this text is already; it then has its msgid and time."""
        if event.msgid is not None and event.msgid in self._by_msgid:
            return self._by_msgid[event.msgid]
        if not event.own or event.mark is None or event.mark not in self._by_mark:
            return None
        return self._by_mark[event.mark]

    def settle(self, entry: Entry, event: TextReceived) -> None:
        """Our own text has come back from the server: it is there, with msgid and time."""
        if entry.msgid is None and event.msgid is not None:
            entry.msgid = event.msgid
            self._by_msgid[event.msgid] = entry
        entry.time = event.time
        entry.state, entry.outgoing, entry.reason = "", None, ""
        if self.entries and self.entries[-1] is not entry and not event.replayed:
            self.entries.remove(entry)  # others came first; where the server has put it
            self.entries.append(entry)
        entry.changed()
        self.touch()

    def redact(self, event: Redacted) -> bool:
        """Take the words of a text away, and say who has; false if it is not in the window."""
        entry = self._by_msgid.get(event.msgid)
        if entry is None:
            return False
        entry.text = ""
        entry.redacted_by, entry.reason = make_safe(event.by), make_safe(event.reason)
        entry.reactions = None
        entry.changed()
        self.touch()
        return True

    def react(self, event: Reacted) -> Entry | None:
        """Add a reaction, or take it away; return the text, ``None`` if it is not in the window."""
        entry = self._by_msgid.get(event.msgid)
        if entry is None or entry.redacted_by:
            return None
        reaction, nick = make_safe(event.reaction), make_safe(event.nick)
        reactions = entry.reactions or {}
        nicks = [one for one in reactions.get(reaction, []) if one != nick]
        if not event.removed:
            if reaction not in reactions and len(reactions) >= REACTIONS_LIMIT:
                return None
            nicks.append(nick)
        reactions[reaction] = nicks
        entry.reactions = {name: who for name, who in reactions.items() if who} or None
        entry.changed()
        self.touch()
        return entry

    # ---- history ----

    def prepend(self, items: Sequence[HistoryItem], is_mention: IsMention) -> int:
        """Insert a page of history in front; return how many entries came in."""
        found = self._new_entries(items, is_mention)
        self.entries[:0] = found
        self.base -= len(found)
        self._apply(items)
        self.touch()
        return len(found)

    def insert_after(
        self,
        reference: str | None,
        items: Sequence[HistoryItem],
        is_mention: IsMention,
    ) -> int:
        """Insert a page behind the text that ``reference`` is of (where it is no more: at the end);
        return how many entries came in.
        """
        index = len(self.entries)
        if reference is not None:
            entry = self._by_msgid.get(reference.removeprefix("msgid="))
            position = self.position_of(entry) if entry is not None else None
            index = position - self.base + 1 if position is not None else index
        found = self._new_entries(items, is_mention)
        self.entries[index:index] = found
        self._apply(items)
        if len(self.entries) > ENTRIES_LIMIT:
            self._trim()
        self.touch()
        return len(found)

    def replace(self, items: Sequence[HistoryItem], is_mention: IsMention, *, live: bool) -> None:
        """Show another part of the conversation. Texts that are not sent yet stay, if ``live``."""
        open_texts = [entry for entry in self.entries if entry.state] if live else []
        self.base = self.end
        self.entries = []
        self._by_msgid.clear()
        self._by_mark.clear()
        self.live, self.reaches_start = live, False
        self.prepend(items, is_mention)
        for entry in open_texts:
            self.append(entry)

    def count_unread(self) -> None:
        """Count again what was said since ``read_until``."""
        self.unread = self.mentions = 0
        if self.read_until is None:
            return
        for entry in reversed(self.entries):
            if entry.time <= self.read_until:
                break
            if entry.is_text and not entry.own:
                self.unread += 1
                self.mentions += entry.mention
        self.line_at = self.read_until if self.unread else None
        self.touch()

    def _new_entries(self, items: Iterable[HistoryItem], is_mention: IsMention) -> list[Entry]:
        found = []
        for item in items:
            if not isinstance(item, TextReceived):
                continue
            known = self.knows(item)
            if known is not None:
                if known.state:
                    self.settle(known, item)
                continue
            entry = self.text_entry(item, mention=not item.own and is_mention(item))
            self._index(entry)
            found.append(entry)
        return found

    def _apply(self, items: Iterable[HistoryItem]) -> None:
        for item in items:
            if isinstance(item, Reacted):
                self.react(item)
            elif isinstance(item, Redacted):
                self.redact(item)

    def _index(self, entry: Entry) -> None:
        if entry.msgid is not None:
            self._by_msgid[entry.msgid] = entry
        if entry.mark is not None:
            self._by_mark[entry.mark] = entry

    def _trim(self) -> None:
        for entry in self.entries[:_TRIM]:
            if entry.msgid is not None:
                self._by_msgid.pop(entry.msgid, None)
            if entry.mark is not None:
                self._by_mark.pop(entry.mark, None)
        del self.entries[:_TRIM]
        self.base += _TRIM
        self.reaches_start = False


_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def safe_lines(text: str) -> str:
    """Return a text of several lines made safe, with its lines."""
    if "\n" not in text and "\r" not in text:
        return make_safe(text)
    return "\n".join(make_safe(line) for line in _LINE_END.split(text))
