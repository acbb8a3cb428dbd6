"""What an effect is in the history.

Under the network lock only what may change later is read (``collect``); the entries are made on the
store thread (``make_entry``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from securechat.irc import capabilities as caps
from securechat.irc.message import NO_TAGS, split_source
from securechat.irc.modes import format_modes
from securechat.irc.tags import format_tags
from securechat.server import effects
from securechat.server.effects import Effect
from securechat.server.events import Stamp
from securechat.server.names import Fold
from securechat.server.state import Author, Channel
from securechat.store.history import Conversation, Entry

__all__ = [
    "MESSAGE_EFFECTS",
    "Item",
    "Redaction",
    "RoomForgotten",
    "collect",
    "direct_conversation",
    "is_guest",
    "make_entry",
    "person",
]

MESSAGE_EFFECTS: Final[frozenset[type[Effect]]] = frozenset(
    {effects.ChannelMessage, effects.DirectMessage, effects.Redacted}
)
"""The effects whose acknowledgement waits until they are kept."""

_PASSING_TAGS: Final = frozenset({"+typing", "+draft/typing"})
"""A message of nothing but these is old when it has been seen."""

_EVERY_MARK: Final = caps.MESSAGE_TAGS | caps.OPER_TAG
"""The capabilities by which all marks of an author are seen; who reads it later may have them."""


class _Direct(NamedTuple):
    """A direct message, and who the recipient was then."""

    effect: effects.DirectMessage
    nick: str
    account: str | None


class _Event(NamedTuple):
    """What happened in a room."""

    room: str
    stamp: Stamp
    author: Author
    kind: str
    detail: str
    text: str


class RoomForgotten(NamedTuple):
    """All that was kept of a room goes: it is no more, or keeps nothing any more."""

    room: str


class Redaction(NamedTuple):
    """A message is deleted."""

    effect: effects.Redacted
    target: str


Item: TypeAlias = "effects.ChannelMessage | _Direct | _Event | Redaction | RoomForgotten"
"""What waits to be kept. Immutable, as far as ``make_entry`` looks at it."""


# ---- people and conversations ----


def person(nick: str, account: str | None, fold: Fold) -> str:
    """Return who somebody is in direct conversations: the account, or that they are a guest.

    What a guest is called can be no account (no nick has a ``~``): who comes to own the nick is
    somebody else.
    """
    return fold(account) if account is not None else f"~{fold(nick)}"


def is_guest(who: str) -> bool:
    """Whether a ``person`` has no account."""
    return who.startswith("~")


def direct_conversation(one: str, other: str) -> Conversation:
    """Return the conversation of two persons, whichever is named first."""
    parties = (one, other) if one <= other else (other, one)
    return Conversation(" ".join(parties), parties)


# ---- under the network lock ----


def collect(effect: Effect) -> list[Item]:
    """Return what is to be kept of ``effect``. Guarded by the network lock.

    Of a room whose ``history_days`` are 0 nothing is.
    """
    collector = _COLLECTORS.get(type(effect))
    return [] if collector is None else collector(effect)


def _channel_message(effect: effects.ChannelMessage) -> list[Item]:
    if effect.kind == "TAGMSG" and effect.tags.keys() <= _PASSING_TAGS:
        return []
    return [] if effect.channel.history_days == 0 else [effect]


def _direct_message(effect: effects.DirectMessage) -> list[Item]:
    recipient = effect.recipient
    if effect.author.account is None and recipient.account is None:
        return []
    if effect.kind == "TAGMSG" and effect.tags.keys() <= _PASSING_TAGS:
        return []
    return [_Direct(effect, recipient.nick, recipient.account)]


def _joined(effect: effects.Joined) -> list[Item]:
    return _in(effect.channel, effect, effect.author, "JOIN", effect.user.realname)


def _parted(effect: effects.Parted) -> list[Item]:
    return _left(effect.channel, effect, effect.author, "PART", text=effect.reason)


def _kicked(effect: effects.Kicked) -> list[Item]:
    nick = effect.user.nick
    return _left(effect.channel, effect, effect.author, "KICK", nick, effect.reason)


def _quit(effect: effects.Quit) -> list[Item]:
    return [
        item
        for channel in effect.channels
        for item in _left(channel, effect, effect.author, "QUIT", text=effect.reason)
    ]


def _owner_changed(effect: effects.OwnerChanged) -> list[Item]:
    return [RoomForgotten(effect.channel.uid)] if effect.channel.ended else []


def _retention_changed(effect: effects.RetentionChanged) -> list[Item]:
    return [RoomForgotten(effect.channel.uid)] if effect.days == 0 else []


def _renamed(effect: effects.ChannelRenamed) -> list[Item]:
    names = f"{effect.old_name} {effect.channel.name}"
    return _in(effect.channel, effect, effect.author, "RENAME", names, effect.reason)


def _topic_changed(effect: effects.TopicChanged) -> list[Item]:
    return _in(effect.channel, effect, effect.author, "TOPIC", text=effect.topic)


def _modes_changed(effect: effects.ChannelModesChanged) -> list[Item]:
    modes = " ".join(format_modes(effect.changes))
    return _in(effect.channel, effect, effect.author, "MODE", text=modes)


def _nick_changed(effect: effects.NickChanged) -> list[Item]:
    return [
        item
        for channel in effect.user.channels.values()
        for item in _in(channel, effect, effect.author, "NICK", effect.nick)
    ]


def _redacted(effect: effects.Redacted) -> list[Item]:
    if effect.channel is not None and effect.channel.history_days == 0:
        return []
    target = effect.event.target if effect.recipient is None else effect.recipient.nick
    return [Redaction(effect, "" if effect.channel is not None else target)]


def _in(
    channel: Channel, effect: Effect, author: Author, kind: str, detail: str = "", text: str = ""
) -> list[Item]:
    if channel.history_days == 0:
        return []
    return [_Event(channel.uid, effect.stamp, author, kind, detail, text)]


def _left(
    channel: Channel, effect: Effect, author: Author, kind: str, detail: str = "", text: str = ""
) -> list[Item]:
    """Return what is kept of somebody's leaving; of a room that ended with it nothing stays."""
    if channel.ended:
        return [RoomForgotten(channel.uid)]
    return _in(channel, effect, author, kind, detail, text)


_COLLECTORS: Final[Mapping[type[Effect], Callable[[Any], list[Item]]]] = {
    effects.ChannelMessage: _channel_message,
    effects.DirectMessage: _direct_message,
    effects.Joined: _joined,
    effects.Parted: _parted,
    effects.Kicked: _kicked,
    effects.Quit: _quit,
    effects.OwnerChanged: _owner_changed,
    effects.RetentionChanged: _retention_changed,
    effects.ChannelRenamed: _renamed,
    effects.TopicChanged: _topic_changed,
    effects.ChannelModesChanged: _modes_changed,
    effects.NickChanged: _nick_changed,
    effects.Redacted: _redacted,
}


# ---- on the store thread ----


def make_entry(item: effects.ChannelMessage | _Direct | _Event | Redaction, fold: Fold) -> Entry:
    """Return the entry of an item. Safe from any thread."""
    if isinstance(item, effects.ChannelMessage):
        conversation = Conversation(item.channel.uid)
        return _entry(conversation, item, item.kind, "", item.text, item.tags, fold)
    if isinstance(item, _Direct):
        message, nick = item.effect, split_source(item.effect.author.source)[0]
        conversation = direct_conversation(
            person(nick, message.author.account, fold), person(item.nick, item.account, fold)
        )
        return _entry(
            conversation, message, message.kind, item.nick, message.text, message.tags, fold
        )
    if isinstance(item, _Event):
        conversation = Conversation(item.room)
        return _entry(conversation, item, item.kind, item.detail, item.text, NO_TAGS, fold)
    effect, event = item.effect, item.effect.event
    key = event.conversation
    if effect.channel is not None:
        conversation = Conversation(key)
    else:
        conversation = direct_conversation(*key.split(" "))
    # Among what happened, this tells that a message was deleted.
    detail = f"{event.msgid} {item.target}"
    return _entry(conversation, effect, "REDACT", detail, event.reason, NO_TAGS, fold)


def _entry(
    conversation: Conversation,
    done: effects.ChannelMessage | effects.DirectMessage | effects.Redacted | _Event,
    kind: str,
    detail: str,
    text: str,
    tags: Mapping[str, str],
    fold: Fold,
) -> Entry:
    stamp, author = done.stamp, done.author
    return Entry(
        conversation,
        stamp.msgid,
        stamp.at_ms,
        kind,
        author.source,
        fold(split_source(author.source)[0]),
        author.account,
        detail,
        text,
        _tags(author, tags) if tags or author.bot or author.operator else "",
        stamp.place,
    )


def _tags(author: Author, client_only: Mapping[str, str]) -> str:
    """Return the tags that are kept: what marks the author, and what the client has given."""
    marks = author.marks(_EVERY_MARK)
    return ";".join((*marks, format_tags(client_only)) if client_only else marks)
