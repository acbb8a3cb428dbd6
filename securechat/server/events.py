"""What can happen to the chat state, as values.

An event carries all that ``Network.apply`` needs: who proposed it, its time and its id are made
before and are its ``Stamp``, so that applying it twice, or on two machines, gives the same. All are
immutable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, NamedTuple

from securechat.irc.message import NO_TAGS
from securechat.irc.modes import ModeChange
from securechat.values import value

__all__ = [
    "Accept",
    "AddBan",
    "Announce",
    "Answer",
    "Attach",
    "BanKind",
    "ChangeHost",
    "ChangeNick",
    "ChangeSetting",
    "ClaimRoom",
    "ClearMetadata",
    "CloseAccount",
    "CreateAccount",
    "Detach",
    "DropRoom",
    "EndDevice",
    "Event",
    "Expire",
    "GrantOperator",
    "GrantTunnel",
    "Invite",
    "Join",
    "Kick",
    "Kill",
    "LetIn",
    "LogIn",
    "MarkRead",
    "MessageKind",
    "Offer",
    "Part",
    "RankAccount",
    "RedactMessage",
    "RelayLost",
    "RelayStarted",
    "Reload",
    "RemoveBan",
    "RenameChannel",
    "Restore",
    "Retract",
    "SendCandidates",
    "SendMessage",
    "SessionId",
    "SetAway",
    "SetChannelModes",
    "SetMetadata",
    "SetRealname",
    "SetRetention",
    "SetTopic",
    "SetUserModes",
    "Stamp",
    "Subscribe",
    "TransferRoom",
    "Unsubscribe",
    "Unwatch",
    "Wallops",
    "Watch",
    "Withdraw",
]

SessionId = int
"""A session, on this relay or another; never used again."""

MessageKind = Literal["PRIVMSG", "NOTICE", "TAGMSG"]

BanKind = Literal["K", "D"]
"""What a ban of the whole relay is about: a mask of people, or a network; see ``bans``."""


class Stamp(NamedTuple):
    """Where an event came from, when, and what it is called."""

    session: SessionId
    """Who proposed it, 0 for the relay itself."""
    at_ms: int
    """Milliseconds since 1970 UTC."""
    msgid: str
    """No other event has it. https://ircv3.net/specs/extensions/message-ids"""
    place: int = 0
    """Where in its millisecond it comes, of 65,536 places; 0 where it just follows the others."""


@value
class Event:
    """What all events have."""

    stamp: Stamp


@value
class Attach(Event):
    """A session has finished its registration as ``nick``."""

    nick: str
    username: str
    realname: str
    host: str
    address: str
    account: str | None = None
    away: str = ""
    """As in ``SetAway``, if the client has said so before."""
    secure: bool = True
    """Whether TLS goes all the way to the client."""
    fingerprint: str = ""
    """SHA-256 of the client's certificate in lower-case hex, if it has shown one."""


@value
class Detach(Event):
    """A session has ended. The user goes with the last one."""

    reason: str


@value
class EndDevice(Event):
    """A user puts a device of their account off the network: on any relay, under any nick."""

    device: SessionId


@value
class Restore(Event):
    """After a restart: the user of an account that is always on is there, with no device."""

    account: str
    username: str
    realname: str
    cloak: str
    gone_ms: int
    """When the last device left; 0 if one was there at the end."""


@value
class Expire(Event):
    """Users whose last device left before ``before_ms`` are there no more."""

    before_ms: int


@value
class ChangeNick(Event):
    """A user wants another nick."""

    nick: str


@value
class ChangeHost(Event):
    """An operator gives ``nick`` a host for others to see, or their own back when it is empty."""

    nick: str
    host: str


@value
class ChangeSetting(Event):
    """A setting of an account has another value, or none when it is empty."""

    account: str
    key: str
    value: str


@value
class SetRealname(Event):
    """A user has another real name."""

    realname: str


@value
class SetAway(Event):
    """A device is away, or back when ``text`` is empty; ``*`` is to be away without a text."""

    text: str


@value
class Watch(Event):
    """A session wants to be told when these nicks come and go (MONITOR)."""

    nicks: tuple[str, ...]


@value
class Unwatch(Event):
    """A session wants to hear no more of these nicks."""

    nicks: tuple[str, ...]


@value
class SetMetadata(Event):
    """A user publishes ``value`` of a channel or nick (``*``: of themselves), nothing if empty."""

    target: str
    key: str
    value: str


@value
class ClearMetadata(Event):
    """A user takes back all that is published of a channel or nick (``*``: of themselves)."""

    target: str


@value
class Subscribe(Event):
    """A session wants to be told of the metadata with these keys."""

    keys: tuple[str, ...]


@value
class Unsubscribe(Event):
    """A session wants to hear no more of the metadata with these keys."""

    keys: tuple[str, ...]


@value
class SetUserModes(Event):
    """A user changes flags of their own."""

    changes: tuple[ModeChange, ...]


@value
class CreateAccount(Event):
    """An account exists now, and may be used; its nick is reserved for it.

    A guest who holds the nick, and is not who has made the account, becomes ``displaced_nick``.
    """

    account: str
    displaced_nick: str


@value
class CloseAccount(Event):
    """An account may not be used any more, until ``CreateAccount`` says that it exists.

    Its users go with all their sessions, which are told ``reason``. ``forget``: nothing is left of
    it, its rooms belong to nobody, and its nick is free.
    """

    account: str
    reason: str
    forget: bool


@value
class LogIn(Event):
    """A user is logged in, after having connected as a guest or as another account.

    Who has a nick that is of the other account, or like it, gets that of the new one; or else
    becomes ``displaced_nick``.
    """

    account: str
    displaced_nick: str


@value
class GrantOperator(Event):
    """A user has shown to be an operator of the relay."""


@value
class Kill(Event):
    """An operator puts ``nick`` off the network, with all their sessions."""

    nick: str
    reason: str


@value
class AddBan(Event):
    """An operator, or the relay itself, bans whom ``mask`` covers, instead of an equal ban.

    ``mask`` is in its final form. ``by`` says whose ban it is; ``expires_ms`` when it ends (in
    milliseconds since 1970 UTC), ``None`` for never.
    """

    kind: BanKind
    mask: str
    reason: str
    by: str
    expires_ms: int | None


@value
class RemoveBan(Event):
    """An operator, or the relay itself, ends a ban. ``by`` says who it was."""

    kind: BanKind
    mask: str
    by: str


@value
class Wallops(Event):
    """An operator says something to all who want to hear it."""

    text: str


@value
class Accept(Event):
    """A user lets ``nick`` write to them although they have +R, or no longer."""

    nick: str
    adding: bool


@value
class Join(Event):
    """A user wants into a channel, which is made if there is none."""

    channel: str
    key: str = ""


@value
class Part(Event):
    """A user leaves a channel."""

    channel: str
    reason: str


@value
class Kick(Event):
    """A user puts ``nick`` out of a channel."""

    channel: str
    nick: str
    reason: str


@value
class Invite(Event):
    """A user asks ``nick`` into a channel."""

    channel: str
    nick: str


@value
class LetIn(Event):
    """The relay lets an account into a channel: as the invite says by which it was registered.

    ``by`` is who says so. The session need not be on the network (any more).
    """

    channel: str
    account: str
    by: str


@value
class SetTopic(Event):
    """A user gives a channel a topic, or takes it away when ``topic`` is empty."""

    channel: str
    topic: str


@value
class SetChannelModes(Event):
    """A user changes modes of a channel; each letter is known and has the parameter it needs."""

    channel: str
    changes: tuple[ModeChange, ...]


@value
class RenameChannel(Event):
    """A user gives a channel another name."""

    channel: str
    name: str
    reason: str


@value
class ClaimRoom(Event):
    """A user makes a guests' room that of their account."""

    channel: str


@value
class TransferRoom(Event):
    """A user passes a room on to another account."""

    channel: str
    account: str


@value
class DropRoom(Event):
    """A user makes a room belong to nobody."""

    channel: str


@value
class SetRetention(Event):
    """A user sets for how many ``days`` what is said in a room is kept: see ``Channel``."""

    channel: str
    days: int | None


@value
class RankAccount(Event):
    """A user changes a rank that an account has in a room, be it there or not."""

    channel: str
    account: str
    change: ModeChange


@value
class SendMessage(Event):
    """A user says something to a channel or a nick. ``tags`` holds client-only tags."""

    target: str
    kind: MessageKind
    text: str
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)


@value
class MarkRead(Event):
    """A user has read a channel, or what they and a nick said, up to a time; never back."""

    target: str
    read_ms: int


@value
class RedactMessage(Event):
    """A user deletes what was said to a channel or a nick.

    What is known only from the history comes with it: which ``conversation`` that was (its key
    there), who said it and when, and whether that was this user.
    """

    target: str
    conversation: str
    msgid: str
    said_by: str
    said_ms: int
    own: bool
    reason: str


@value
class Announce(Event):
    """A session can be reached as a peer, as the device with this certificate (DER)."""

    certificate: bytes


@value
class Retract(Event):
    """A session can be reached as a peer no longer."""


@value
class Offer(Event):
    """A session offers a direct one to a device of an account, to any if ``fingerprint`` is ``*``.

    ``id`` is what the offer, and the pair that comes of it, are called from now on.
    """

    account: str
    fingerprint: str
    id: str


@value
class Answer(Event):
    """A session accepts an offer."""

    id: str


@value
class SendCandidates(Event):
    """A session tells the other side of its pair where it can be reached directly."""

    id: str
    candidates: str = field(repr=False)


@value
class GrantTunnel(Event):
    """The two sides of a pair may meet in a tunnel; each has a token of its own for it."""

    id: str
    token: str = field(repr=False)
    """Of the session that has asked."""
    other_token: str = field(repr=False)


@value
class Withdraw(Event):
    """A session is done with an offer or a pair."""

    id: str
    reason: str


@value
class Reload(Event):
    """A relay has taken its configuration anew, and with it these limits (``NetworkLimits``) of the
    chat state, as text. All others take theirs anew as well.
    """

    relay: str
    limits: Mapping[str, str]


@value
class RelayStarted(Event):
    """A relay is there, in place of one that had its name; clients reach it at ``address``.

    ``known`` is the last incarnation of any relay that it knows of. A process that has ended may
    still have its start on the way: it must not put an end to the one that was started after it.
    """

    name: str
    address: str
    known: int


@value
class RelayLost(Event):
    """A relay is there no more, and with it all its sessions. ``reason`` says why, to people."""

    name: str
    incarnation: int
    reason: str
