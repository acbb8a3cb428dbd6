"""Effects to bytes: who of this relay's sessions gets what.

An effect is encoded once for each set of capabilities that matters to it, and posted to each I/O
thread once for each such set, with the tuple of the connections concerned. These tuples are kept
for each channel until its members or their capabilities change; so a message to a large room costs
the poster a few entries, and the I/O threads join what goes to the same tuple (see
``IoThread.send``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc.message import BODY_BYTES, NO_TAGS, Message
from securechat.irc.modes import ModeChange, format_modes
from securechat.irc.tags import format_tags
from securechat.net.connection import Connection
from securechat.net.io_thread import IoThread
from securechat.server import effects
from securechat.server.context import Context, end_line
from securechat.server.effects import Effect
from securechat.server.rooms import names_replies, topic_replies
from securechat.server.sessions import SessionRegistry
from securechat.server.state import Author, Channel, User

if TYPE_CHECKING:
    from securechat.server.session import Session

__all__ = ["Delivery", "server_time"]

_TAGS: Final = caps.SERVER_TIME | caps.ACCOUNT_TAG | caps.MESSAGE_TAGS
"""The capabilities that change how any line from a user looks."""


class _Group(NamedTuple):
    """Connections that get the same bytes from the same thread."""

    caps: int
    thread: IoThread
    connections: tuple[Connection, ...]


class Delivery:
    """Gives effects to the sessions attached here. Guarded by the network lock."""

    def __init__(self, registry: SessionRegistry) -> None:
        self._registry = registry
        self._groups: dict[Channel, tuple[_Group, ...]] = {}
        self._deliverers: dict[type[Effect], Callable[[Any, Context], None]] = {
            effects.ChannelMessage: self._channel_message,
            effects.DirectMessage: self._direct_message,
            effects.Refused: self._refused,
            effects.Joined: self._joined,
            effects.Parted: self._parted,
            effects.Kicked: self._kicked,
            effects.TopicChanged: self._topic_changed,
            effects.ChannelModesChanged: self._channel_modes_changed,
            effects.Invited: self._invited,
            effects.Quit: self._quit,
            effects.NickChanged: self._nick_changed,
            effects.RealnameChanged: self._realname_changed,
            effects.AwayChanged: self._away_changed,
            effects.AccountChanged: self._account_changed,
            effects.UserModesChanged: self._user_modes_changed,
            effects.SessionsChanged: self._sessions_changed,
        }

    def deliver(self, found: Iterable[Effect], context: Context) -> None:
        """Send each effect to whom it concerns; what the origin gets goes through ``context``."""
        for effect in found:
            self._deliverers[type(effect)](effect, context)

    def forget(self, user: User) -> None:
        """Forget what was kept for the channels of ``user``, whose sessions have changed."""
        for channel in user.channels.values():
            self._groups.pop(channel, None)

    def show_joined(self, channel: Channel, user: User, at_ms: int, context: Context) -> None:
        """Tell the origin, a further session of ``user``, of a channel that they are in."""
        mask = context.session.caps
        _to_origin(_Line(at_ms, user.author, _join_body(channel, user, mask)), context)
        _show_room(channel, user, context)

    # ---- messages ----

    def _channel_message(self, effect: effects.ChannelMessage, context: Context) -> None:
        line = _message(effect, effect.channel.name)
        self._to_channel(effect.channel, line, skip=context.session)
        self._echo(line, effect.kind, context)

    def _direct_message(self, effect: effects.DirectMessage, context: Context) -> None:
        line = _message(effect, effect.recipient.nick)
        # The copy for a message to oneself carries no label: it does not go through the context.
        self._to_sessions(self._sessions(effect.recipient), line)
        if effect.recipient is not effect.sender:
            others = [s for s in self._sessions(effect.sender) if s is not context.session]
            self._to_sessions(others, line)
        self._echo(line, effect.kind, context)

    def _echo(self, line: _Line, kind: str, context: Context) -> None:
        wanted = caps.ECHO_MESSAGE | (caps.MESSAGE_TAGS if kind == "TAGMSG" else 0)
        if context.session.caps & wanted == wanted:
            _to_origin(line, context)

    def _refused(self, effect: effects.Refused, context: Context) -> None:
        context.refuse(effect.refusal)

    # ---- channels ----

    def _joined(self, effect: effects.Joined, context: Context) -> None:
        channel, user, author = effect.channel, effect.user, effect.author
        self._groups.pop(channel, None)
        members = self._members(channel)
        for mask in (0, caps.EXTENDED_JOIN):
            line = _Line(effect.at_ms, author, _join_body(channel, user, mask))
            fitting = [session for session in members if session.caps & caps.EXTENDED_JOIN == mask]
            self._to_all(fitting, line, context)
        if user.away:
            away = _Line(effect.at_ms, author, f":{author.source} AWAY :{user.away}")
            others = [session for session in members if session.id not in user.sessions]
            self._to_sessions(others, away, caps.AWAY_NOTIFY)
        self._greet(channel, user, context)

    def _greet(self, channel: Channel, user: User, context: Context) -> None:
        """Send topic and names to all sessions of a new member."""
        for session in self._sessions(user):
            if session is context.session:
                _show_room(channel, user, context)
                continue
            name = context.services.name
            lines = [
                Message(numeric, (user.nick, *params), source=name).to_line()
                for numeric, *params in _room_replies(channel, user, session.caps)
            ]
            session.connection.send(b"".join(end_line("", line) for line in lines))

    def _parted(self, effect: effects.Parted, context: Context) -> None:
        reason = f" :{effect.reason}" if effect.reason else ""
        body = f":{effect.author.source} PART {effect.channel.name}{reason}"
        self._to_members_and(
            effect.user, effect.channel, _Line(effect.at_ms, effect.author, body), context
        )

    def _kicked(self, effect: effects.Kicked, context: Context) -> None:
        body = (
            f":{effect.author.source} KICK {effect.channel.name} {effect.user.nick}"
            f" :{effect.reason}"
        )
        self._to_members_and(
            effect.user, effect.channel, _Line(effect.at_ms, effect.author, body), context
        )

    def _topic_changed(self, effect: effects.TopicChanged, context: Context) -> None:
        body = f":{effect.author.source} TOPIC {effect.channel.name} :{effect.topic}"
        self._to_room(effect.channel, _Line(effect.at_ms, effect.author, body), context)

    def _channel_modes_changed(self, effect: effects.ChannelModesChanged, context: Context) -> None:
        start = f":{effect.author.source} MODE {effect.channel.name}"
        for changes in _fitting(effect.changes, BODY_BYTES - len(start.encode()) - 1):
            body = f"{start} {' '.join(format_modes(changes))}"
            self._to_room(effect.channel, _Line(effect.at_ms, effect.author, body), context)

    def _invited(self, effect: effects.Invited, context: Context) -> None:
        channel = effect.channel
        body = f":{effect.author.source} INVITE {effect.user.nick} {channel.name}"
        line = _Line(effect.at_ms, effect.author, body)
        self._to_sessions(self._sessions(effect.user), line)
        # "clients that have the privilege to do an /INVITE on the channel themselves"
        may_invite = (
            member.user
            for member in channel.members.values()
            if "i" not in channel.modes or "o" in member.ranks
        )
        sessions = self._sessions(*may_invite)
        others = [session for session in sessions if session is not context.session]
        self._to_sessions(others, line, caps.INVITE_NOTIFY)

    # ---- users ----

    def _quit(self, effect: effects.Quit, context: Context) -> None:
        for channel in effect.channels:
            self._groups.pop(channel, None)
        body = f":{effect.author.source} QUIT :{effect.reason}"
        self._to_sessions(
            self._sessions(*effect.audience), _Line(effect.at_ms, effect.author, body)
        )

    def _nick_changed(self, effect: effects.NickChanged, context: Context) -> None:
        body = f":{effect.author.source} NICK {effect.nick}"
        sessions = self._sessions(effect.user, *effect.audience)
        self._to_all(sessions, _Line(effect.at_ms, effect.author, body), context)

    def _realname_changed(self, effect: effects.RealnameChanged, context: Context) -> None:
        body = f":{effect.author.source} SETNAME :{effect.user.realname}"
        sessions = self._sessions(effect.user, *effect.audience)
        self._to_all(sessions, _Line(effect.at_ms, effect.author, body), context, caps.SETNAME)

    def _away_changed(self, effect: effects.AwayChanged, context: Context) -> None:
        text = f" :{effect.user.away}" if effect.user.away else ""
        line = _Line(effect.at_ms, effect.author, f":{effect.author.source} AWAY{text}")
        self._to_sessions(self._sessions(*effect.audience), line, caps.AWAY_NOTIFY)

    def _account_changed(self, effect: effects.AccountChanged, context: Context) -> None:
        body = f":{effect.author.source} ACCOUNT {effect.author.account or '*'}"
        sessions = self._sessions(effect.user, *effect.audience)
        self._to_all(
            sessions, _Line(effect.at_ms, effect.author, body), context, caps.ACCOUNT_NOTIFY
        )

    def _user_modes_changed(self, effect: effects.UserModesChanged, context: Context) -> None:
        modes = " ".join(format_modes(effect.changes))
        body = f":{effect.user.nick} MODE {effect.user.nick} :{modes}"
        self._to_all(self._sessions(effect.user), _Line(effect.at_ms, effect.author, body), context)

    def _sessions_changed(self, effect: effects.SessionsChanged, context: Context) -> None:
        self.forget(effect.user)

    # ---- to whom ----

    def _sessions(self, *users: User) -> list[Session]:
        return self._registry.find(key for user in users for key in user.sessions)

    def _members(self, channel: Channel) -> list[Session]:
        return self._sessions(*(member.user for member in channel.members.values()))

    def _to_members_and(self, user: User, channel: Channel, line: _Line, context: Context) -> None:
        """Send to the members and to ``user``, who is not one any more."""
        self._groups.pop(channel, None)
        self._to_all(self._members(channel) + self._sessions(user), line, context)

    def _to_all(
        self,
        sessions: Iterable[Session],
        line: _Line,
        context: Context,
        needed: int = 0,
    ) -> None:
        """Send to those of ``sessions`` that have the capabilities ``needed``; origin included."""
        others = []
        for session in sessions:
            if session is not context.session:
                others.append(session)
            elif session.caps & needed == needed:
                _to_origin(line, context)
        self._to_sessions(others, line, needed)

    def _to_sessions(self, sessions: Iterable[Session], line: _Line, needed: int = 0) -> None:
        _send(_group(s for s in sessions if s.caps & needed == needed), line)

    def _to_room(self, channel: Channel, line: _Line, context: Context) -> None:
        """Send to all members, of whom the origin is one."""
        self._to_channel(channel, line, skip=context.session)
        _to_origin(line, context)

    def _to_channel(self, channel: Channel, line: _Line, *, skip: Session) -> None:
        """Send to all members but ``skip``, through the groups kept for the channel."""
        groups = self._groups.get(channel)
        if groups is None:
            groups = self._groups[channel] = _group(self._members(channel))
        _send(groups, line, skip.connection)


def server_time(at_ms: int) -> str:
    """Return the value of the ``time`` tag. https://ircv3.net/specs/extensions/server-time"""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def _group(sessions: Iterable[Session]) -> tuple[_Group, ...]:
    found: dict[tuple[int, IoThread], list[Connection]] = {}
    for session in sessions:
        connection = session.connection
        found.setdefault((session.caps & _TAGS, connection.thread), []).append(connection)
    return tuple(
        _Group(mask, thread, tuple(connections)) for (mask, thread), connections in found.items()
    )


def _send(groups: Iterable[_Group], line: _Line, skip: Connection | None = None) -> None:
    encoded: dict[int, bytes] = {}
    for group in groups:
        data = encoded.get(group.caps)
        if data is None:
            parts = line.encode(group.caps)
            if parts is None:
                continue
            data = encoded[group.caps] = end_line(*parts)
        group.thread.send(group.connections, data, skip)


def _room_replies(channel: Channel, user: User, mask: int) -> Iterator[tuple[str, ...]]:
    """Yield the numerics that tell a member topic and names."""
    yield from topic_replies(channel)
    yield from names_replies(channel, user, mask)


def _show_room(channel: Channel, user: User, context: Context) -> None:
    for numeric, *params in _room_replies(channel, user, context.session.caps):
        context.reply(numeric, *params)


def _to_origin(line: _Line, context: Context) -> None:
    parts = line.encode(context.session.caps)
    if parts is not None:
        tags, body = parts
        context.line(body, tags)


class _Line(NamedTuple):
    """One line from a user, as it looks for any set of capabilities."""

    at_ms: int
    author: Author
    body: str
    msgid: str = ""
    client_tags: Mapping[str, str] = NO_TAGS
    needed: int = 0  # capabilities without which it is not sent

    def encode(self, mask: int) -> tuple[str, str] | None:
        """Return tags and the rest of the line, ``None`` if it must not be sent."""
        if mask & self.needed != self.needed:
            return None
        tags = []
        if mask & caps.SERVER_TIME:
            tags.append(f"time={server_time(self.at_ms)}")
        if mask & caps.ACCOUNT_TAG and self.author.account is not None:
            tags.append(f"account={self.author.account}")
        if mask & caps.MESSAGE_TAGS:
            if self.msgid:
                tags.append(f"msgid={self.msgid}")
            if self.client_tags:
                tags.append(format_tags(self.client_tags))
        return ";".join(tags), self.body


def _join_body(channel: Channel, user: User, mask: int) -> str:
    """Return the JOIN of ``user`` for a session with the capabilities ``mask``."""
    plain = f":{user.author.source} JOIN {channel.name}"
    if not mask & caps.EXTENDED_JOIN:
        return plain
    return f"{plain} {user.account or '*'} :{user.realname}"


def _fitting(changes: Iterable[ModeChange], limit_bytes: int) -> Iterator[list[ModeChange]]:
    """Yield ``changes`` in groups that fit a line: masks grow when they are completed."""
    group: list[ModeChange] = []
    size = 0
    for change in changes:
        length = 2 + (len(change.param.encode()) + 1 if change.param is not None else 0)
        if group and size + length > limit_bytes:
            yield group
            group, size = [], 0
        group.append(change)
        size += length
    yield group


def _message(effect: effects.ChannelMessage | effects.DirectMessage, target: str) -> _Line:
    tag_only = effect.kind == "TAGMSG"
    body = f":{effect.author.source} {effect.kind} {target}"
    return _Line(
        effect.at_ms,
        effect.author,
        body if tag_only else f"{body} :{effect.text}",
        effect.msgid,
        effect.tags,
        caps.MESSAGE_TAGS if tag_only else 0,
    )
