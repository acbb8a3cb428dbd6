"""What messages mean once we are on a network: a table of small functions, message → events.

A message that is not in the table, or has fewer parameters than its entry asks for, becomes a
``Reply`` or ``Failure`` when it is a numeric and ``RawReceived`` otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from securechat.client.events import (
    AccountChanged,
    AwayChanged,
    ChannelRenamed,
    Failure,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    LoggedIn,
    LoggedOut,
    ModeChanged,
    NamesReceived,
    NickChanged,
    Parted,
    PeerSignalled,
    Quit,
    RawReceived,
    Reacted,
    ReadMarked,
    RealnameChanged,
    Redacted,
    Registered,
    RelaysAnnounced,
    Reply,
    TextKind,
    TextReceived,
    TopicChanged,
    Typing,
    VerificationRequired,
)
from securechat.client.relays import RELAYS_TOKEN, announced_relays
from securechat.client.session import Session
from securechat.errors import RemoteProtocolError
from securechat.irc import numerics, peering
from securechat.irc.batch import Batch
from securechat.irc.ctcp import parse_ctcp
from securechat.irc.message import Message, split_source
from securechat.irc.modes import parse_modes
from securechat.irc.multiline import BATCH_TYPE as MULTILINE
from securechat.irc.multiline import CONCAT_TAG, Piece, combined_text, join_pieces

__all__ = [
    "MARK_TAG",
    "REACTION_CHARACTERS",
    "REACT_TAG",
    "REPLY_TAG",
    "TYPING_TAG",
    "UNREACT_TAG",
    "channel_of",
    "interpret",
    "interpret_history",
    "messages_in",
    "parse_time",
    "whole_message",
]

REPLY_TAG: Final = "+reply"
"""The client-only tag with the msgid of the text that is answered."""

REACT_TAG: Final = "+draft/react"
UNREACT_TAG: Final = "+draft/unreact"
TYPING_TAG: Final = "+typing"

MARK_TAG: Final = "+securechat/mark"
"""The client-only tag with which a client knows a text of its own again."""

REACTION_CHARACTERS: Final = 64
"""Most characters of a reaction, sent or received: the longest emoji sequences have about a dozen,
and a word fits. "Clients might wish to apply their own restrictions"."""

_Handler = Callable[[Session, Message], None]


@dataclass(frozen=True, slots=True)
class _Entry:
    least_params: int
    handler: _Handler


_TABLE: Final[dict[str, _Entry]] = {}


def _on(command: str, least_params: int) -> Callable[[_Handler], _Handler]:
    def record(handler: _Handler) -> _Handler:
        assert command not in _TABLE, command
        _TABLE[command] = _Entry(least_params, handler)
        return handler

    return record


def interpret(session: Session, message: Message) -> None:
    """Bring ``session`` up to date with ``message`` and emit what it means."""
    entry = _TABLE.get(message.command)
    if entry is not None and len(message.params) >= entry.least_params:
        entry.handler(session, message)
    elif message.command.isdigit() and message.params:
        _numeric(session, message)
    else:
        session.emit(RawReceived(message))


def interpret_history(session: Session, message: Message) -> None:
    """Emit what a message out of the history means, while the session is ``replaying``.

    Who came and went then says nothing of who is there now: that is dropped.
    """
    if message.command in _REPLAYED:
        interpret(session, message)


_TEXTS: Final = frozenset({"PRIVMSG", "NOTICE"})
_REPLAYED: Final = _TEXTS | {"REDACT", "TAGMSG"}


def messages_in(batch: Batch) -> Iterator[Message]:
    """Yield the messages of a batch at all levels; one of several lines is one message."""
    for item in batch.content:
        if isinstance(item, Message):
            yield item
        elif item.kind != MULTILINE:
            yield from messages_in(item)
        elif (whole := whole_message(item)) is not None:
            yield whole


def whole_message(batch: Batch) -> Message | None:
    """Return the one message that a multiline batch is, with its line feeds; ``None``: empty."""
    lines = [
        item
        for item in batch.content
        if isinstance(item, Message) and item.command in _TEXTS and len(item.params) > 1
    ]
    if not lines:
        return None
    pieces = (Piece(line.params[1], CONCAT_TAG in line.tags) for line in lines)
    text = combined_text(join_pieces(pieces))
    first, opening = lines[0], batch.opened_by
    return Message(
        first.command, (first.params[0], text), first.source or opening.source, opening.tags
    )


def _numeric(session: Session, message: Message) -> None:
    context, text = message.params[1:-1], message.params[-1]
    refused = "400" <= message.command <= "599" or message.command in _REFUSALS
    if refused:
        session.emit(Failure("", message.command, context, text))
    else:
        session.emit(Reply(message.command, message.params[1:], text))


_REFUSALS: Final = frozenset({"696", "716", "723", "902", "904", "905", "906", "907", "972"})
"""Error numerics outside of 400 to 599."""


# ---- texts ----


@_on("PRIVMSG", 2)
@_on("NOTICE", 2)
def _text(session: Session, message: Message) -> None:
    target, text = message.params[0], message.params[1]
    kind: TextKind = "notice" if message.command == "NOTICE" else "message"
    ctcp = parse_ctcp(text)
    if ctcp is not None:
        command, arguments = ctcp
        kind = "action" if command == "ACTION" else "ctcp"
        text = arguments if command == "ACTION" else f"{command} {arguments}".rstrip()
    sender, user, host = split_source(message.source or "")
    own = _is_own(session, message)
    channel = channel_of(session, target)
    echoed = session.has("labeled-response", "echo-message")
    to_ourselves = echoed and own and session.is_me(target)
    if to_ourselves and session.delivery is None and not session.replaying:
        return  # to ourselves: the echo, which has the label, has told it already
    from_server = not user and not host and ("." in sender or not sender)
    conversation = channel or (target if own else sender)
    if not channel and not own and (from_server or not session.registered):
        conversation = ""
    tags = message.tags
    session.emit(
        TextReceived(
            conversation,
            target,
            sender,
            tags.get("account"),
            text,
            kind,
            _time(session, message),
            direct=not channel and conversation != "",
            own=own,
            msgid=tags.get("msgid"),
            replayed=session.replaying,
            reply_to=_replied(message),
            delivery=session.delivery if own else None,
            mark=tags.get(MARK_TAG) or None,
        )
    )
    _reaction(session, message, conversation, own=own)


@_on("TAGMSG", 1)
def _tags_alone(session: Session, message: Message) -> None:
    """Tags without a text; those that we do not know ask nothing of anybody."""
    own = _is_own(session, message)
    conversation = channel_of(session, message.params[0]) or (
        message.params[0] if own else message.nick
    )
    _reaction(session, message, conversation, own=own)
    if own or session.replaying:
        return
    match message.tags.get(TYPING_TAG):
        case "active" | "paused" | "done" as state:
            session.emit(Typing(conversation, message.nick, state))


def _reaction(session: Session, message: Message, conversation: str, *, own: bool) -> None:
    tags, msgid = message.tags, _replied(message)
    added, removed = tags.get(REACT_TAG, ""), tags.get(UNREACT_TAG, "")
    reaction = added or removed
    if msgid is None or not 0 < len(reaction) <= REACTION_CHARACTERS:
        return
    session.emit(
        Reacted(
            conversation,
            msgid,
            message.nick,
            reaction,
            removed=not added,
            own=own,
            time=_time(session, message),
            replayed=session.replaying,
        )
    )


def _replied(message: Message) -> str | None:
    return message.tags.get(REPLY_TAG) or message.tags.get("+draft/reply") or None


def _is_own(session: Session, message: Message) -> bool:
    """Whether we have said it. In the history the account counts: nicks were others' once."""
    account = message.tags.get("account")
    if session.replaying and account is not None and session.account is not None:
        return session.isupport.fold(account) == session.isupport.fold(session.account)
    return session.is_me(message.nick)


@_on("MARKREAD", 2)
def _read_mark(session: Session, message: Message) -> None:
    target, value = message.params[:2]
    conversation = channel_of(session, target) or target
    time = parse_time(value.removeprefix("timestamp="))
    if value == "*" or time is not None:
        session.emit(ReadMarked(conversation, time))
    else:
        session.emit(RawReceived(message))


@_on("REDACT", 2)
def _redact(session: Session, message: Message) -> None:
    target, msgid, by = message.params[0], message.params[1], message.nick
    other = target if session.is_me(by) else by
    reason = message.params[2] if len(message.params) > 2 else ""
    session.emit(Redacted(channel_of(session, target) or other, msgid, by, reason))


def channel_of(session: Session, target: str) -> str:
    """Return the channel that ``target`` is or addresses a part of (``@#room``), or nothing."""
    isupport = session.isupport
    name = target
    if not isupport.is_channel(name):
        name = target.lstrip("".join(isupport.prefixes.values()))
        if not isupport.is_channel(name):
            return ""
    channel = session.roster.channel(name)
    return channel.name if channel else name


_YEARS: Final = range(1970, 9999)
"""The years that a server's time can be of: others do not survive the way to every local time."""


def parse_time(text: str) -> datetime | None:
    """Return the time that a server means, in UTC; ``None`` if it is none, or of no use to us."""
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year in _YEARS else None


def _time(session: Session, message: Message) -> datetime:
    return parse_time(message.tags.get("time", "")) or session.wall_clock()


# ---- coming and going ----


@_on("JOIN", 1)
def _join(session: Session, message: Message) -> None:
    nick, roster = message.nick, session.roster
    extended = len(message.params) >= 3
    account = message.params[1] if extended and message.params[1] != "*" else None
    for channel in message.params[0].split(","):
        own = session.is_me(nick)
        if own:
            roster.open(channel)
        roster.add(channel, nick)
        session.emit(
            Joined(
                nick,
                channel,
                roster.people(channel),
                own,
                account,
                message.params[2] if extended else None,
            )
        )


@_on("PART", 1)
def _part(session: Session, message: Message) -> None:
    nick = message.nick
    reason = message.params[1] if len(message.params) > 1 else ""
    for name in message.params[0].split(","):
        channel = channel_of(session, name) or name
        own = session.is_me(nick)
        _leave(session, channel, nick, own=own)
        session.emit(Parted(nick, channel, session.roster.people(channel), reason, own))


@_on("KICK", 2)
def _kick(session: Session, message: Message) -> None:
    nick = message.params[1]
    channel = channel_of(session, message.params[0]) or message.params[0]
    own = session.is_me(nick)
    _leave(session, channel, nick, own=own)
    reason = message.params[2] if len(message.params) > 2 else ""
    session.emit(Kicked(nick, channel, session.roster.people(channel), message.nick, reason, own))


def _leave(session: Session, channel: str, nick: str, *, own: bool) -> None:
    if own:
        session.roster.close(channel)
    else:
        session.roster.remove(channel, nick)


@_on("QUIT", 0)
def _quit(session: Session, message: Message) -> None:
    reason = message.params[0] if message.params else ""
    session.emit(Quit(message.nick, session.roster.remove_everywhere(message.nick), reason))


@_on(numerics.RPL_NAMREPLY, 4)
def _names(session: Session, message: Message) -> None:
    if not session.roster.names_line(message.params[2], message.params[3].split()):
        session.emit(Reply(message.command, message.params[1:], message.params[-1]))


@_on(numerics.RPL_ENDOFNAMES, 2)
def _names_end(session: Session, message: Message) -> None:
    name = message.params[1]
    first = session.roster.names_end(name)
    if first is None:
        session.emit(Reply(message.command, message.params[1:], message.params[-1]))
        return
    channel = channel_of(session, name)
    session.emit(NamesReceived(channel, session.roster.snapshot(name), first))


# ---- changes ----


@_on("NICK", 1)
def _nick(session: Session, message: Message) -> None:
    old, new = message.nick, message.params[0]
    own = session.is_me(old)
    if own:
        session.nick = new
    session.emit(NickChanged(old, new, own, session.roster.rename(old, new)))


@_on("RENAME", 2)
def _channel_renamed(session: Session, message: Message) -> None:
    old, new = message.params[0], message.params[1]
    reason = message.params[2] if len(message.params) > 2 else ""
    session.roster.rename_channel(old, new)
    session.emit(ChannelRenamed(old, new, message.nick, reason))


@_on("TOPIC", 2)
def _topic(session: Session, message: Message) -> None:
    _set_topic(session, message.params[0], message.params[1], message.nick)


@_on(numerics.RPL_TOPIC, 3)
def _topic_told(session: Session, message: Message) -> None:
    _set_topic(session, message.params[1], message.params[2], None)


@_on(numerics.RPL_NOTOPIC, 2)
def _no_topic(session: Session, message: Message) -> None:
    _set_topic(session, message.params[1], "", None)


def _set_topic(session: Session, name: str, topic: str, by: str | None) -> None:
    channel = session.roster.channel(name)
    if channel:
        channel.topic = topic
    session.emit(TopicChanged(channel.name if channel else name, topic, by))


@_on("MODE", 2)
def _mode(session: Session, message: Message) -> None:
    target, modes = message.params[0], message.params[1:]
    channel = channel_of(session, target)
    if channel:
        kinds = session.isupport.channel_modes
        for change in parse_modes(modes[0], modes[1:], kinds):
            if kinds.kind(change.letter) == "prefix" and change.param:
                session.roster.set_rank(channel, change.param, change.letter, held=change.adding)
    session.emit(ModeChanged(channel or target, modes, message.nick))


@_on("INVITE", 2)
def _invite(session: Session, message: Message) -> None:
    nick, channel = message.params[0], message.params[1]
    session.emit(Invited(nick, channel, message.nick, session.is_me(nick)))


@_on("AWAY", 0)
def _away(session: Session, message: Message) -> None:
    text = message.params[0] if message.params else None
    session.roster.set_away(message.nick, away=text is not None)
    session.emit(AwayChanged(message.nick, text))


@_on(numerics.RPL_UNAWAY, 1)
@_on(numerics.RPL_NOWAWAY, 1)
def _own_away(session: Session, message: Message) -> None:
    session.roster.set_away(session.nick, away=message.command == numerics.RPL_NOWAWAY)
    _numeric(session, message)


@_on("ACCOUNT", 1)
def _account(session: Session, message: Message) -> None:
    account = None if message.params[0] == "*" else message.params[0]
    if session.is_me(message.nick):
        session.account = account
    session.emit(AccountChanged(message.nick, account))


@_on("SETNAME", 1)
def _setname(session: Session, message: Message) -> None:
    session.emit(RealnameChanged(message.nick, message.params[0]))


@_on("CHGHOST", 2)
def _chghost(session: Session, message: Message) -> None:
    user, host = message.params[0], message.params[1]
    if session.is_me(message.nick):
        session.user_host = f"{user}@{host}"
    session.emit(HostChanged(message.nick, user, host))


# ---- accounts and answers ----


@_on(numerics.RPL_LOGGEDIN, 3)
def _logged_in(session: Session, message: Message) -> None:
    session.account = message.params[2]
    session.emit(LoggedIn(message.params[2], message.params[-1]))


@_on(numerics.RPL_LOGGEDOUT, 1)
def _logged_out(session: Session, message: Message) -> None:
    session.account = None
    session.emit(LoggedOut(message.params[-1]))


@_on("REGISTER", 3)
@_on("VERIFY", 3)
def _register(session: Session, message: Message) -> None:
    result, account, text = message.params[0].upper(), message.params[1], message.params[-1]
    if result == "SUCCESS":
        session.account = account
        session.emit(Registered(account, text))
    elif result == "VERIFICATION_REQUIRED":
        session.emit(VerificationRequired(account, text))
    else:
        session.emit(RawReceived(message))


@_on("FAIL", 3)
def _fail(session: Session, message: Message) -> None:
    command, code, *context = message.params[:-1]
    session.emit(Failure(command, code, tuple(context), message.params[-1]))


@_on("NOTE", 3)
@_on("WARN", 3)
def _note(session: Session, message: Message) -> None:
    session.emit(Reply(message.command, message.params, message.params[-1]))


@_on(numerics.RPL_ISUPPORT, 2)
def _isupport(session: Session, message: Message) -> None:
    isupport = session.isupport
    before = RELAYS_TOKEN in isupport, isupport.get(RELAYS_TOKEN)
    isupport.update(message.params[1:-1])
    now = RELAYS_TOKEN in isupport, isupport.get(RELAYS_TOKEN)
    if now != before:
        session.emit(RelaysAnnounced(announced_relays(now[1])))


@_on("ERROR", 1)
def _error(session: Session, message: Message) -> None:
    session.closing = message.params[-1]


@_on(peering.COMMAND, 1)
def _peer(session: Session, message: Message) -> None:
    if not session.has(peering.CAPABILITY):
        session.emit(RawReceived(message))
        return
    try:
        signal = peering.parse_signal(message)
    except RemoteProtocolError:
        session.emit(RawReceived(message))
        return
    if signal is not None:
        session.emit(PeerSignalled(signal))


@_on("ACK", 0)
def _ack(session: Session, message: Message) -> None:
    """An answer with a label and no content; ``Deliveries`` has taken it."""
