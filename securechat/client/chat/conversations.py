"""All conversations of one network, and what events do to them.

``Conversations`` is the list of buffers and the one that the user is in. ``note`` takes each event
of the client and puts what it says into the buffer where people look for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from securechat.client.chat.buffers import (
    ARRIVING_LIMIT,
    Buffer,
    BufferKind,
    Entry,
    EntryKind,
    FileState,
    Notify,
    Presence,
    safe_lines,
)
from securechat.client.chat.outgoing import OutgoingText
from securechat.client.client import Client
from securechat.client.events import (
    AccountChanged,
    AwayChanged,
    ChannelRenamed,
    Disconnected,
    Event,
    Failure,
    HistoryItem,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    LoggedIn,
    LoggedOut,
    LoginRejected,
    ModeChanged,
    NamesReceived,
    NickChanged,
    NickRejected,
    NotDelivered,
    Parted,
    PeopleBack,
    PeopleLost,
    PresenceReceived,
    Quit,
    Reacted,
    ReadMarked,
    RealnameChanged,
    Redacted,
    Registered,
    RelaysAnnounced,
    Reply,
    TextReceived,
    TopicChanged,
    Typing,
    VerificationRequired,
    Welcome,
)
from securechat.client.words.refusals import RELAY_NEWS, reason, refusal
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _
from securechat.client.words.wording import Wording, split_words
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileProgress,
    FileSending,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
    PeerReachable,
    PeerTyping,
)
from securechat.peer.known_peers import Safety

__all__ = ["Conversations", "News"]

TYPING_S: Final = {"active": 6.0, "paused": 30.0}
"""How long somebody is taken to be typing: "at least 6 seconds have passed since the last
typing=active notification" (https://ircv3.net/specs/client-tags/typing)."""

PEOPLE_LIMIT: Final = 500
"""Most conversations with people that are open at once: strangers can begin any number. Beyond it
the quietest is closed, first of those where we have said nothing."""

_RANKS: Final = "~&@%+!"
"""What stands before the name of a room where only a part of it is talked to (``@#room``)."""

_OF_THE_SERVER: Final = re.compile(r"00[0-9]|25[0-9]|26[56]|37[256]|422|NOTE|WARN")
"""The replies that are small talk of the server; all others answer what the user has asked."""

_MARKS: Final = re.compile("^(?:[*?!]+|-->|<--) ")
"""What the lines of ``wording`` begin with; a buffer shows the kind of an entry in its own way."""

_PeerNews = PeerAsked | PeerIdentityChanged | PeerOpened | PeerLost | PeerClosed
_FileNews = FileOffered | FileSending | FileAccepted | FileProgress | FileFinished | FileEnded


@dataclass(frozen=True, slots=True)
class News:
    """Something that may ask for attention. ``highlight``: it is for us, not only for a room."""

    buffer: Buffer
    entry: Entry
    highlight: bool


class Conversations:
    """The buffers of one network. Owned by the user interface's thread.

    :param wall_clock: the present, with its zone; for what has no time of its own.
    :param monotonic: seconds, for who is typing.
    """

    def __init__(
        self,
        client: Client,
        wording: Wording,
        *,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._wording = wording
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        self.server = Buffer("", "server", "none")
        self.current = self.server
        self.attended: Buffer | None = None  # what is said there is read at once
        self.notify: dict[str, Notify] = {}  # lower case → what the user has set
        self._all: list[Buffer] = [self.server]
        self._reachable: set[str] = set()  # nicks, lower case
        self._changed: set[str] = set()  # accounts, of those whose devices we know, lower case
        self._in_session: dict[int, tuple[Buffer, Entry]] = {}  # texts on their way, by delivery
        self._files: dict[int, tuple[Buffer, Entry]] = {}
        self._mention: tuple[str, re.Pattern[str]] = ("", re.compile("(?!)"))

    # ---- the list ----

    def __iter__(self) -> Iterator[Buffer]:
        """Yield the buffers, that of the server first, in the order of their opening."""
        return iter(self._all)

    def get(self, name: str) -> Buffer | None:
        """Return the conversation of that name, if it is open."""
        if not name:
            return self.server
        for buffer in self._all:
            if buffer.name == name:
                return buffer
        same = self._client.same_name
        return next((one for one in self._all if one.name and same(one.name, name)), None)

    def open(self, name: str) -> Buffer:
        """Return the conversation of that name, a new one if there is none."""
        found = self.get(name)
        if found is not None:
            return found
        kind: BufferKind = "room" if self._client.is_channel(name) else "person"
        buffer = Buffer(name, kind, self.notify_of(name, kind))
        buffer.reachable = name.lower() in self._reachable
        if kind == "person":
            self._make_room()
        self._all.append(buffer)
        return buffer

    def _make_room(self) -> None:
        people = [buffer for buffer in self._all if buffer.kind == "person"]
        if len(people) < PEOPLE_LIMIT:
            return
        used = (self.current, self.attended)
        quiet = [
            buffer
            for buffer in people
            if not (buffer in used or buffer.session or buffer.draft or buffer.has_unsent)
        ]
        if quiet:
            self.close(min(quiet, key=_by_use))

    def close(self, buffer: Buffer) -> None:
        """Forget a conversation; that of the server stays."""
        if buffer is self.server or buffer not in self._all:
            return
        index = self._all.index(buffer)
        self._all.remove(buffer)
        if self.current is buffer:
            self.current = self._all[min(index, len(self._all) - 1)]

    def rooms(self) -> list[Buffer]:
        """Return the rooms that we are in."""
        return [buffer for buffer in self._all if buffer.kind == "room" and buffer.joined]

    def notify_of(self, name: str, kind: BufferKind) -> Notify:
        """Return what of a conversation asks for attention: rooms by mentions, people by all."""
        default: Notify = "mentions" if kind == "room" else "all"
        return self.notify.get(name.lower(), default)

    def refresh_members(self, buffer: Buffer) -> None:
        """Look who is in a room, if that may have changed. Blocks shortly."""
        if buffer.members_stale:
            buffer.members_stale = False
            buffer.members = self._client.members(buffer.name)
            buffer.touch()

    def mentions_us(self, event: TextReceived) -> bool:
        """Whether a text of somebody else names us, or is for us alone."""
        nick = self._client.nick
        if self._mention[0] != nick:
            pattern = rf"(?<![\w\-\[\]|]){re.escape(nick)}(?![\w\-\[\]|])"
            self._mention = (nick, re.compile(pattern, re.IGNORECASE))
        return event.direct or self._mention[1].search(event.text) is not None

    def attend(self, buffer: Buffer | None) -> None:
        """Say which buffer the user reads now, to its end: nothing there is unread."""
        for read in (self.attended, buffer):
            if read is not None:
                read.see()
        self.attended = buffer

    def mark_read(self, buffer: Buffer) -> datetime | None:
        """Take note that all of a buffer was read; return up to when, if that is news."""
        newest = next((entry.time for entry in reversed(buffer.entries) if entry.msgid), None)
        if newest is None or (buffer.read_until is not None and newest <= buffer.read_until):
            return None
        buffer.read_until = newest
        return newest

    def left_off(self, buffer: Buffer) -> None:
        """The user looks elsewhere: the line between old and new has served."""
        if buffer.line_at is not None:
            buffer.line_at = None
            buffer.touch()

    # ---- texts of our own, before the server has them ----

    def show_outgoing(self, text: OutgoingText) -> None:
        """Show how far a text is that goes, or went, through the relay."""
        if text.state == "delivered":
            self._delivered(text)
            return
        buffer = self.open(self._place_of(text.target))
        entry = buffer.of_mark(text.mark)
        if entry is None:
            entry = buffer.new_entry(text.kind, self._wall_clock(), safe_lines(text.text))
            entry.sender, entry.own = make_safe(self._client.nick), True
            entry.reply_to, entry.mark = text.reply_to, text.mark
            buffer.append(entry)
            buffer.last_activity = entry.time
        entry.state, entry.outgoing, entry.reason = text.state, text.number, make_safe(text.reason)
        entry.changed()
        buffer.touch()

    def _delivered(self, text: OutgoingText) -> None:
        buffer = self.get(self._place_of(text.target))
        entry = buffer.of_mark(text.mark) if buffer is not None else None
        if buffer is not None and entry is not None and entry.state:
            entry.state, entry.outgoing, entry.reason = "", None, ""
            entry.changed()
            buffer.touch()

    def forget_outgoing(self, text: OutgoingText) -> None:
        """Show a text no more that is dropped."""
        buffer = self.get(self._place_of(text.target))
        entry = buffer.of_mark(text.mark) if buffer is not None else None
        if buffer is not None and entry is not None:
            buffer.remove(entry)

    def _place_of(self, target: str) -> str:
        """Return the conversation of what is said to ``target``, which may be a part of a room."""
        room = target.lstrip(_RANKS)
        is_channel = self._client.is_channel
        return room if not is_channel(target) and is_channel(room) else target

    def show_session_text(self, name: str, text: str, kind: EntryKind, delivery: int) -> None:
        """Show a text that goes into the session with somebody: until it is there, as not there."""
        buffer = self.open(name)
        lost = buffer.session == "lost"
        entry = buffer.new_entry(kind, self._wall_clock(), safe_lines(text))
        entry.sender, entry.own = make_safe(self._client.nick), True
        entry.via = "direct" if buffer.session == "direct" else "relayed"
        entry.state = "waiting" if lost else "sent"
        buffer.add(entry)
        self._in_session[delivery] = (buffer, entry)

    def _settle_in_session(self, buffer: Buffer, event: TextReceived) -> bool:
        """Take a text of our own that the other side has; true if it was shown already."""
        text = safe_lines(event.text)
        for delivery, (where, entry) in self._in_session.items():
            if where is buffer and entry.text == text:
                entry.via = event.via
                buffer.settle(entry, event)
                del self._in_session[delivery]
                return True
        return False

    def _not_in_session(self, event: NotDelivered) -> None:
        if event.delivery not in self._in_session:
            return
        buffer, entry = self._in_session.pop(event.delivery)
        entry.state, entry.reason = "refused", refusal(event.code, event.text)
        entry.changed()
        buffer.touch()

    # ---- events ----

    def note(self, event: Event) -> list[News]:
        """Take note of what has happened; return what may ask for attention."""
        match event:
            case TextReceived():
                return self._text(event)
            case Reacted() | Redacted() | Typing() | PeerTyping() | ReadMarked():
                self._about_texts(event)
            case Kicked(own=True):
                return self._kicked(event)
            case Joined() | Parted() | Kicked() | Quit() | NickChanged() | AwayChanged():
                self._people(event)
            case PeopleLost() | PeopleBack():
                self._split(event)
            case NamesReceived() | PresenceReceived() | TopicChanged() | ModeChanged():
                self._room(event)
            case ChannelRenamed():
                self._room_renamed(event)
            case Welcome() | Disconnected():
                self._connection(event)
            case PeerReachable():
                self._reachability(event)
            case PeerAsked() | PeerIdentityChanged() | PeerOpened() | PeerLost() | PeerClosed():
                return self._peer(event)
            case FileOffered() | FileSending() | FileAccepted() | FileProgress():
                return self._file(event)
            case FileFinished() | FileEnded():
                return self._file(event)
            case AccountChanged() | RealnameChanged() | HostChanged() | RelaysAnnounced():
                pass  # of no interest to most people; /whois tells it
            case Invited(own=True):
                entry = self._say(self.server, event)
                return [News(self.server, entry, True)] if entry else []
            case NotDelivered():
                self._not_in_session(event)  # others are shown by Outgoing
            case _:
                self._say(self._place(event), event)
        return []

    def say(self, buffer: Buffer, line: str) -> Entry:
        """Append a line of ``wording``, which is safe, with its mark in front."""
        kind: Literal["info", "warning"] = "warning" if line.startswith("!") else "info"
        return buffer.note(kind, self._wall_clock(), _MARKS.sub("", line))

    def _say(self, buffer: Buffer, event: Event) -> Entry | None:
        line = self._wording.words(event)
        return self.say(buffer, line) if line else None

    def _place(self, event: Event) -> Buffer:
        """Return where people look for an event that belongs to no conversation by itself."""
        match event:
            case Failure():
                places = (self.get(word) for word in event.context if word)
                return next((place for place in places if place is not None), self.current)
            case Reply() if not _OF_THE_SERVER.fullmatch(event.numeric):
                return self.current
            case Invited():
                return self.get(event.channel) or self.current
            case LoggedIn() | LoggedOut() | LoginRejected() | Registered() | VerificationRequired():
                return self.current
            case NickRejected():
                return self.current
            case _:
                return self.server

    def _text(self, event: TextReceived) -> list[News]:
        room = self._client.is_channel(event.conversation)
        if room and not event.own and self.get(event.conversation) is None:
            return []  # it was closed, and we are about to be out of it
        buffer = self.open(event.conversation)
        _keep_arriving(buffer, event)
        sender = make_safe(event.sender)
        buffer.typing.pop(sender, None)
        if event.own and event.via is not None and self._settle_in_session(buffer, event):
            return []
        known = buffer.knows(event)
        if known is not None:
            if buffer.live:  # otherwise its place comes with a page
                buffer.settle(known, event)
            return []
        mention = not event.own and self.mentions_us(event)
        entry = buffer.text_entry(event, mention=mention)
        if buffer is self.server:
            entry.text = self._of_server(event.text)
        buffer.last_activity = max(event.time, buffer.last_activity or event.time)
        if event.own:
            buffer.line_at = None
        buffer.add(entry)
        if event.own or not entry.is_text:
            return []
        if buffer is not self.attended:
            buffer.note_unread(entry, mention=mention)
        return [] if event.replayed else [News(buffer, entry, mention)]

    def _of_server(self, text: str) -> str:
        """Return how a text of the server reads; one that concerns all that is said is shown where
        the user is, too.
        """
        if text.startswith(RELAY_NEWS) and self.current is not self.server:
            self.say(self.current, f"! {reason(text)}")
        return "\n".join(map(reason, text.split("\n")))

    def _about_texts(self, event: Reacted | Redacted | Typing | PeerTyping | ReadMarked) -> None:
        match event:
            case Reacted():
                buffer = self.get(event.conversation)
                if buffer is not None:
                    _keep_arriving(buffer, event)
                    buffer.react(event)
            case Redacted():
                buffer = self.get(event.conversation)
                if buffer is not None:
                    _keep_arriving(buffer, event)
                    if not buffer.redact(event):
                        self._say(buffer, event)
            case Typing() | PeerTyping():
                name = event.conversation if isinstance(event, Typing) else event.nick
                self._typing(self.get(name), make_safe(event.nick), event.state)
            case ReadMarked():
                buffer = self.get(event.conversation)
                if buffer is not None and event.time is not None:
                    self._read(buffer, event.time)

    def _read(self, buffer: Buffer, until: datetime) -> None:
        # The echo of an earlier mark of ours may come after a later one.
        buffer.read_until = max(until, buffer.read_until or until)
        if buffer is self.attended:
            return
        if buffer.live:
            buffer.count_unread()
        elif buffer.last_activity is not None and buffer.read_until >= buffer.last_activity:
            buffer.see()

    def _typing(self, buffer: Buffer | None, nick: str, state: str) -> None:
        if buffer is None:
            return
        buffer.typing_now(self._monotonic())  # nobody else looks, in a room that is not shown
        if state in TYPING_S:
            buffer.typing[nick] = self._monotonic() + TYPING_S[state]
        else:
            buffer.typing.pop(nick, None)
        buffer.touch()

    # ---- people ----

    def _people(self, event: Joined | Parted | Kicked | Quit | NickChanged | AwayChanged) -> None:
        nick = "" if isinstance(event, NickChanged) else make_safe(event.nick)
        match event:
            case Joined(own=True):
                buffer = self.open(event.channel)
                buffer.joined, buffer.members_stale = True, True
                buffer.touch()
            case Joined():
                presence = Presence("joined", nick)
                self._presence(event.channel, presence, event.people)
            case Parted(own=True):
                self._left(event)
            case Parted():
                presence = Presence("left", nick, make_safe(event.reason))
                self._presence(event.channel, presence, event.people)
            case Kicked():
                presence = Presence("kicked", nick, make_safe(event.by))
                self._presence(event.channel, presence, event.people)
            case Quit():
                presence = Presence("quit", nick, make_safe(event.reason))
                for channel, people in event.channels:
                    self._presence(channel, presence, people)
                self._presence(event.nick, presence, None)
            case NickChanged():
                self._nick_changed(event)
            case AwayChanged():
                self._away(event)

    def _presence(self, name: str, presence: Presence, people: int | None) -> None:
        buffer = self.get(name)
        if buffer is None:
            return
        buffer.members_stale = buffer.kind == "room"
        buffer.typing.pop(presence.nick, None)
        if buffer.live:
            buffer.add_presence(presence, self._wall_clock(), people)

    def _split(self, event: PeopleLost | PeopleBack) -> None:
        """Say in one line for each conversation who was lost with a relay, or is back with it."""
        if isinstance(event, PeopleLost):
            rooms = {name for one in event.quits for name, _people in one.channels}
            nicks = [one.nick for one in event.quits]
        else:
            rooms = {one.channel for one in event.joins}
            nicks = []
        for name in rooms:
            room = self.get(name)
            if room is None:
                continue
            room.members_stale = True
            for nick in nicks:
                room.typing.pop(make_safe(nick), None)
            if room.live:
                room.note("info", self._wall_clock(), split_words(event, name))
        for nick in nicks:
            self._presence(nick, Presence("quit", make_safe(nick), make_safe(event.relay)), None)

    def _left(self, event: Parted | Kicked) -> Entry | None:
        buffer = self.get(event.channel)
        if buffer is None:
            return None
        buffer.joined, buffer.members = False, ()
        buffer.typing.clear()
        return self._say(buffer, event)

    def _kicked(self, event: Kicked) -> list[News]:
        entry, buffer = self._left(event), self.get(event.channel)
        if entry is None or buffer is None:
            return []
        if buffer is not self.attended:
            buffer.note_unread(entry, mention=True)
        return [News(buffer, entry, True)]

    def _nick_changed(self, event: NickChanged) -> None:
        presence = Presence("renamed", make_safe(event.old), make_safe(event.new))
        for channel in event.channels:
            self._presence(channel, presence, None)
        buffer = self.get(event.old)
        if buffer is not None and buffer.kind == "person" and not event.own:
            self._presence(event.old, presence, None)
            taken = self.get(event.new)
            if taken is None or taken is buffer:
                buffer.name = event.new
                buffer.touch()
            else:
                self._move_on(buffer, taken, presence)
        if event.own:
            self._say(self.server, event)

    def _move_on(self, old: Buffer, new: Buffer, presence: Presence) -> None:
        """Somebody goes on in another conversation: what is said there is said to them now."""
        self._presence(new.name, presence, None)
        if old.session is not None and new.session is None:
            new.session, new.safety, new.account = old.session, old.safety, old.account
            old.session = old.safety = old.account = None
        for entry in [entry for entry in old.entries if entry.state]:
            old.remove(entry)
            new.append(entry)
        old.touch()

    def _away(self, event: AwayChanged) -> None:
        for room in self.rooms():
            room.members_stale = True
        buffer = self.get(event.nick)
        if buffer is not None and buffer.kind == "person":
            buffer.away = make_safe(event.message or "")
            change: Literal["away", "back"] = "away" if event.message else "back"
            self._presence(event.nick, Presence(change, make_safe(event.nick), buffer.away), None)

    # ---- rooms ----

    def _room(self, event: NamesReceived | PresenceReceived | TopicChanged | ModeChanged) -> None:
        if isinstance(event, ModeChanged):
            buffer = self.get(event.target) or self.server
            buffer.members_stale = buffer.kind == "room"
            self._say(buffer, event)
            return
        room = self.get(event.channel)
        match event:
            case TopicChanged() if room is not None:
                room.topic = make_safe(event.topic)
                room.touch()
                if event.by is not None:
                    self._say(room, event)
            case NamesReceived() | PresenceReceived() if room is not None:
                room.members, room.members_stale = event.members, False
                room.touch()
                if isinstance(event, NamesReceived) and not event.joined:
                    self._say(room, event)
            case _:
                self._say(self.current, event)

    def _room_renamed(self, event: ChannelRenamed) -> None:
        room, taken = self.get(event.old), self.get(event.new)
        if room is not None:
            if taken not in (None, room, self.current):
                self.close(taken)  # we were in no room of that name
            room.name = event.new
            self._say(room, event)

    # ---- the connection ----

    def _connection(self, event: Welcome | Disconnected) -> None:
        self._say(self.server, event)
        if isinstance(event, Disconnected):
            for room in self.rooms():
                room.joined = False
                room.typing.clear()
                room.note("warning", self._wall_clock(), _("the connection was lost"))

    # ---- peers ----

    def _reachability(self, event: PeerReachable) -> None:
        change = self._reachable.add if event.now else self._reachable.discard
        change(event.nick.lower())
        buffer = self.get(event.nick)
        if buffer is not None:
            buffer.reachable = event.now
            buffer.touch()

    def is_reachable(self, nick: str) -> bool:
        """Whether somebody can be reached as a peer now."""
        return nick.lower() in self._reachable

    def _peer(self, event: _PeerNews) -> list[News]:
        buffer = self._of_session(event)
        match event:
            case PeerOpened():
                buffer.session, buffer.account = event.path, event.account
                self.note_safety(buffer, event.safety)
            case PeerLost():
                buffer.session = "lost"
            case PeerClosed():
                buffer.session = buffer.safety = buffer.account = None
            case PeerIdentityChanged():
                self._changed.add(event.account.lower())
            case PeerAsked():
                pass
        entry = self._say(buffer, event)
        if entry is None:
            return []
        buffer.last_activity = entry.time
        asks = isinstance(event, PeerAsked | PeerIdentityChanged)
        if asks and buffer is not self.attended:
            buffer.note_unread(entry, mention=True)
        return [News(buffer, entry, True)] if asks else []

    def note_safety(self, buffer: Buffer, safety: Safety | None) -> None:
        """Take note of how far the device of a session is known. One that came in place of another
        stays the changed one until it is verified, though by now it is known.
        """
        account = (buffer.account or "").lower()
        if safety is Safety.VERIFIED:
            self._changed.discard(account)
        buffer.safety = Safety.CHANGED if safety and account in self._changed else safety

    def _of_session(self, event: _PeerNews) -> Buffer:
        """Return the conversation where a session is shown, however that person is called now."""
        same = self._client.same_name
        shown = (one for one in self._all if one.account and same(one.account, event.account))
        buffer = next(shown, None)
        if buffer is None or not isinstance(event, PeerOpened):
            return buffer or self.open(event.nick)
        buffer.session = buffer.safety = buffer.account = None
        return self.open(event.nick)

    def _file(self, event: _FileNews) -> list[News]:
        buffer, entry = self._file_entry(event)
        state = entry.file
        assert state is not None
        match event:
            case FileAccepted():
                state.state, state.done_bytes = "moving", event.offset
            case FileProgress():
                state.state, state.done_bytes = "moving", event.done_bytes
                state.rate_bytes_per_s, state.left_s = event.rate_bytes_per_s, event.left_s
            case FileFinished():
                state.state, state.done_bytes, state.path = "finished", state.size, event.path
            case FileEnded():
                state.state, state.reason = "ended", make_safe(event.reason)
            case FileOffered() | FileSending():
                pass
        entry.changed()
        buffer.touch()
        if isinstance(event, FileFinished | FileEnded):
            del self._files[event.transfer]
        if not isinstance(event, FileOffered):
            return []
        if buffer is not self.attended:
            buffer.note_unread(entry, mention=True)
        return [News(buffer, entry, True)]

    def _file_entry(self, event: _FileNews) -> tuple[Buffer, Entry]:
        if event.transfer in self._files:
            return self._files[event.transfer]
        name = event.account if isinstance(event, FileProgress) else event.nick
        buffer = self.open(name)
        outgoing = isinstance(event, FileSending) or getattr(event, "outgoing", False)
        entry = buffer.new_entry("file", self._wall_clock(), "")
        shown = event.safe_name if isinstance(event, FileOffered) else event.name
        size = 0 if isinstance(event, FileEnded) else event.size
        entry.file = FileState(event.transfer, make_safe(shown), size, outgoing)
        entry.own, entry.sender = outgoing, make_safe(self._client.nick if outgoing else name)
        buffer.append(entry)
        self._files[event.transfer] = (buffer, entry)
        return self._files[event.transfer]


def _by_use(buffer: Buffer) -> tuple[bool, float]:
    """Return how much a conversation is missed when it is closed."""
    activity = buffer.last_activity
    return buffer.is_ours, activity.timestamp() if activity is not None else 0.0


def _keep_arriving(buffer: Buffer, event: HistoryItem) -> None:
    """Keep what a page on its way may not have: the server may have made it before this."""
    if buffer.arriving is not None and len(buffer.arriving) < ARRIVING_LIMIT:
        buffer.arriving.append(event)
