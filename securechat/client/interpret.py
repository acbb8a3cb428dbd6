"""What messages mean once we are on a network: a table of small functions, message → events.

A message that is not in the table, or has fewer parameters than its entry asks for, becomes a
``Reply`` or ``Failure`` when it is a numeric and ``RawReceived`` otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
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
    RealnameChanged,
    Redacted,
    Registered,
    Reply,
    TextKind,
    TextReceived,
    TopicChanged,
    VerificationRequired,
)
from securechat.client.session import Session
from securechat.errors import RemoteProtocolError
from securechat.irc import numerics, peering
from securechat.irc.ctcp import parse_ctcp
from securechat.irc.message import Message, split_source
from securechat.irc.modes import parse_modes

__all__ = ["interpret"]

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
    own = session.is_me(sender)
    channel = channel_of(session, target)
    echoed = session.has("labeled-response", "echo-message")
    to_ourselves = echoed and own and session.is_me(target)
    if to_ourselves and "label" not in message.tags and not session.replaying:
        return  # to ourselves: the echo, which has the label, has told it already
    if channel:
        conversation = channel
    elif own:
        conversation = target
    else:
        from_server = not user and not host and ("." in sender or not sender)
        conversation = "" if from_server or not session.registered else sender
    session.emit(
        TextReceived(
            conversation,
            target,
            sender,
            message.tags.get("account"),
            text,
            kind,
            _time(session, message),
            direct=not channel and conversation != "",
            own=own,
            msgid=message.tags.get("msgid"),
            replayed=session.replaying,
        )
    )


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


def _time(session: Session, message: Message) -> datetime:
    try:
        found = datetime.fromisoformat(message.tags["time"])
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (KeyError, ValueError, OverflowError):
        return session.wall_clock()
    return found if found.year in _YEARS else session.wall_clock()


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
    session.roster.rename(old, new)
    session.emit(NickChanged(old, new, own))


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
    session.emit(AwayChanged(message.nick, message.params[0] if message.params else None))


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
    session.isupport.update(message.params[1:-1])


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
