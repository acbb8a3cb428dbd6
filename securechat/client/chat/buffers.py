"""The conversations of one network as a user interface shows them: what was said, what is unread.

A ``Buffer`` is a window onto a conversation: its entries are contiguous, from some place in the
past up to the present (``live``) or, after a jump to a place found, up to some other place. It
grows at both ends as history comes, and never has a hole::

    history ··········[ entries ]················ present      live = False, reaches_start = False
    history ··········[ entries                 ] present      live = True
    [ entries                                   ] present      live, reaches_start = True

What the server cannot give again (texts of sessions with peers, files, what is not sent) stands
aside while the window is in the past, and comes back with the present.

An entry has a *position* that stays what it is while others come before it or are dropped there, so
that whoever shows a part of a buffer need not move. Only what is inserted in the middle (texts that
were missed while the connection was lost) moves what comes after it.

Everything from others is made safe for the terminal on its way in. All is owned by the user
interface's thread.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from securechat.client.chat.routing import SessionState
from securechat.client.events import (
    HistoryItem,
    MemberSnapshot,
    Reacted,
    Redacted,
    TextReceived,
)
from securechat.client.words.safe_text import make_safe
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

NICKS_LIMIT: Final = 500
"""Most nicks that react to one text in the same way: one person can change nicks without end."""

ARRIVING_LIMIT: Final = 1_000
"""Most of what is kept that comes while a page is on its way. Whoever gets more than that in one
turn of question and answer has another page brought."""

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
    mark: str | None = None  # of a text of our own; that of another says nothing
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

    ``arriving`` holds what has come since a page was asked for that may reach the present, if one
    was. ``older_than`` and ``newer_than``: a page without any text has ended there.
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
    seen: int = 0  # the number of the newest entry when all was read; for what has no marker
    last_number: int = 0
    line_at: datetime | None = None
    last_activity: datetime | None = None
    session: SessionState | None = None  # with a person
    account: str | None = None  # of that person, as far as there is a session
    safety: Safety | None = None
    reachable: bool = False  # a person, as a peer
    members: tuple[MemberSnapshot, ...] = ()
    members_stale: bool = False
    typing: dict[str, float] = field(default_factory=dict)  # safe nick → until when, monotonic
    draft: str = ""  # what stands in the input line while another buffer is shown
    version: int = 0
    _by_msgid: dict[str, Entry] = field(default_factory=dict)
    _by_mark: dict[str, Entry] = field(default_factory=dict)
    arriving: list[HistoryItem] | None = None
    older_than: str | None = None
    newer_than: str | None = None
    _aside: list[Entry] = field(default_factory=list)

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
        """Return where the window begins on the server, for ``history(before=)``."""
        if self.older_than is not None:
            return self.older_than
        for entry in self.entries:
            if entry.msgid is not None:
                return f"msgid={entry.msgid}"
        return None

    @property
    def is_ours(self) -> bool:
        """Whether we have said something here."""
        return bool(self._by_mark)

    @property
    def has_unsent(self) -> bool:
        """Whether a text of ours is not delivered."""
        return any(entry.state for entry in self._by_mark.values())

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
        self.last_number += 1
        return Entry(self.last_number, kind, time, text)

    def add(self, entry: Entry) -> None:
        """Take in what was said now. Where the window is in the past, a page will bring it; what
        the server cannot give again waits for that.
        """
        if self.live:
            self.append(entry)
        elif entry.msgid is None:
            self._aside.append(entry)

    def append(self, entry: Entry) -> None:
        """Append what has happened now."""
        self._index(entry)
        self.entries.append(entry)
        if len(self.entries) > ENTRIES_LIMIT:
            self._trim()
        self.touch()

    def remove(self, entry: Entry) -> None:
        """Take an entry out that never was anywhere else: a text that was not sent."""
        self._take_out(entry)
        if entry.mark is not None:
            self._by_mark.pop(entry.mark, None)
        self.touch()

    def _take_out(self, entry: Entry) -> None:
        for entries in (self.entries, self._aside):
            if entry in entries:
                entries.remove(entry)

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
        entry.mark = event.mark if event.own else None
        return entry

    def knows(self, event: TextReceived) -> Entry | None:
        """Return the entry that this text is already; ``None`` if it is new."""
        if event.msgid is not None and event.msgid in self._by_msgid:
            return self._by_msgid[event.msgid]
        if not event.own or event.mark is None or event.mark not in self._by_mark:
            return None
        return self._by_mark[event.mark]

    def settle(self, entry: Entry, event: TextReceived) -> None:
        """Our own text has come back from the server: it is there, with msgid and time."""
        if entry.msgid is not None:
            return
        self._confirm(entry, event)
        if self.entries[-1:] != [entry] and not event.replayed:
            self._take_out(entry)  # others came first; where the server has put it
            self.entries.append(entry)
        self.touch()

    def _confirm(self, entry: Entry, event: TextReceived) -> None:
        entry.msgid, entry.time = event.msgid, event.time
        entry.text = safe_lines(event.text)  # of several messages only the first is the one
        entry.state, entry.outgoing, entry.reason = "", None, ""
        self._index(entry)
        entry.changed()

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
            if len(nicks) >= NICKS_LIMIT:
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
        found = self._new_entries(items, is_mention)
        index = len(self.entries)
        if reference is not None:
            entry = self._by_msgid.get(reference.removeprefix("msgid="))
            position = self.position_of(entry) if entry is not None else None
            index = position - self.base + 1 if position is not None else index
        self.entries[index:index] = found
        self._apply(items)
        if len(self.entries) > ENTRIES_LIMIT:
            self._trim()
        self.touch()
        return len(found)

    def replace(self, items: Sequence[HistoryItem], is_mention: IsMention, *, live: bool) -> None:
        """Show another part of the conversation, which reaches the present if it is ``live``."""
        self._aside += [entry for entry in self.entries if _is_only_here(entry)]
        self.base = self.end
        self.entries = []
        self._by_msgid.clear()
        self._by_mark.clear()
        for entry in self._aside:
            self._index(entry)
        self.live = self.reaches_start = False
        self.older_than = self.newer_than = None
        self.prepend(items, is_mention)
        if live:
            self.reach_present(is_mention)

    def reach_present(self, is_mention: IsMention) -> None:
        """The window has come to its end: put in what came meanwhile, and what stood aside."""
        arriving = self.arriving or []
        if len(arriving) >= ARRIVING_LIMIT:
            return  # maybe not all is here
        self.live, self.arriving, self.newer_than = True, None, None
        self.insert_after(None, arriving, is_mention)
        aside, self._aside = self._aside, []
        unsent = [entry for entry in (*self.entries, *aside) if entry.state]
        others = (entry for entry in aside if not entry.state)
        merged = heapq.merge(self.entries, others, key=lambda entry: entry.time)
        self.entries = [*(entry for entry in merged if not entry.state), *unsent]
        self.touch()

    def see(self) -> None:
        """All of the window was read."""
        self.seen = self.last_number
        if self.unread or self.mentions:
            self.unread = self.mentions = 0
            self.touch()

    def note_unread(self, entry: Entry, *, mention: bool) -> None:
        """Something unread has come; the line between old and new is in front of the first such."""
        if self.line_at is None or not self.unread:
            self.line_at = _just_before(entry)
        self.unread += 1
        self.mentions += mention
        self.touch()

    def count_unread(self) -> None:
        """Count again what was said since ``read_until``; of what the server does not have, and
        where there is no such marker, since all was ``seen``.
        """
        self.unread = self.mentions = 0
        self.line_at, until = None, self.read_until
        for entry in reversed(self.entries):
            # Only what is of the server has its time: our clock may be another.
            marked = until is not None and entry.msgid is not None
            if until is not None and marked and entry.time <= until:
                break
            offered = entry.kind == "file"
            new = marked or entry.number > self.seen
            if new and not entry.own and (entry.is_text or offered):
                self.unread += 1
                self.mentions += entry.mention or offered
                self.line_at = _just_before(entry)
        self.touch()

    def _new_entries(self, items: Iterable[HistoryItem], is_mention: IsMention) -> list[Entry]:
        found = []
        for item in items:
            if not isinstance(item, TextReceived):
                continue
            entry = self.knows(item)
            if entry is None:
                entry = self.text_entry(item, mention=not item.own and is_mention(item))
                self._index(entry)
            elif entry.msgid is None:  # as it was typed; now its place is known
                self._take_out(entry)
                self._confirm(entry, item)
            else:
                continue
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
        self.reaches_start, self.older_than = False, None


def _is_only_here(entry: Entry) -> bool:
    """Whether the server cannot give it again."""
    return entry.msgid is None and (entry.is_text or entry.kind == "file")


def _just_before(entry: Entry) -> datetime:
    return entry.time - timedelta(microseconds=1)


_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def safe_lines(text: str) -> str:
    """Return a text of several lines made safe, with its lines."""
    if "\n" not in text and "\r" not in text:
        return make_safe(text)
    return "\n".join(make_safe(line) for line in _LINE_END.split(text))
