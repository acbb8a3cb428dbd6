"""What an event has changed, and who gets to see it, as values.

``Network.apply`` returns them, ``delivery`` turns them into lines, ``journal`` into log lines. Each
holds what was true when it happened (``Author``), so that it can be encoded later. An effect names
a channel or users, never a session or a connection: a message to a room of thousands is one small
object. Only ``watchers`` and ``subscribers`` are sessions, for each device has lists of its own,
``to`` and ``tokens``, for it is devices that are peers, and ``devices`` that are put off.

All are immutable; the channels and users that they point to are not, and are looked at only under
the network lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from securechat.irc.modes import ModeChange
from securechat.server.bans import Ban
from securechat.server.events import MessageKind, RedactMessage, SessionId, Stamp
from securechat.server.refusals import Refusal
from securechat.server.state import Author, Channel, User
from securechat.values import value

__all__ = [
    "SAID",
    "AccountChanged",
    "AccountClosed",
    "Answered",
    "AwayChanged",
    "BanAdded",
    "BanRemoved",
    "CameOnline",
    "CandidatesSent",
    "ChannelMessage",
    "ChannelModesChanged",
    "ChannelRenamed",
    "DeviceAnnounced",
    "DeviceEnded",
    "DeviceRetracted",
    "DirectMessage",
    "Effect",
    "HostChanged",
    "Invited",
    "Joined",
    "Kicked",
    "Killed",
    "MarkedRead",
    "MemberForgotten",
    "MetadataChanged",
    "NickChanged",
    "Offered",
    "OwnerChanged",
    "PairEnded",
    "Parted",
    "PutOff",
    "Quit",
    "RankRemembered",
    "ReachabilityChanged",
    "RealnameChanged",
    "Redacted",
    "Refused",
    "RelayCame",
    "RelayGone",
    "Reloaded",
    "RetentionChanged",
    "SessionsChanged",
    "SettingChanged",
    "StatusMessage",
    "TopicChanged",
    "TunnelGranted",
    "UserModesChanged",
    "WallopsSent",
    "WentOffline",
]


@value
class Effect:
    """What all effects have: the stamp of their event. Its session is the *origin*."""

    stamp: Stamp


@value
class Refused(Effect):
    """A part of the event was not possible; the rest was. For the origin only."""

    refusal: Refusal


@value
class ChannelMessage(Effect):
    """For all members, but not for the origin."""

    channel: Channel
    author: Author
    kind: MessageKind
    text: str
    tags: Mapping[str, str]


@value
class StatusMessage(Effect):
    """For the members of the rank ``least`` and higher, and for the other sessions of the sender.

    https://modern.ircdocs.horse/#statusmsg-parameter
    """

    channel: Channel
    least: str
    sender: User
    author: Author
    kind: MessageKind
    text: str
    tags: Mapping[str, str]


@value
class DirectMessage(Effect):
    """For the recipient, and for the other sessions of the sender."""

    recipient: User
    sender: User
    author: Author
    kind: MessageKind
    text: str
    tags: Mapping[str, str]


@value
class Joined(Effect):
    """For all members, the new one too, who also gets topic and names."""

    channel: Channel
    user: User
    author: Author


@value
class Parted(Effect):
    """For the members that remain and the one who left."""

    channel: Channel
    user: User
    author: Author
    reason: str


@value
class Kicked(Effect):
    """For the members that remain and the one who was put out (``user``)."""

    channel: Channel
    user: User
    author: Author
    reason: str


@value
class TopicChanged(Effect):
    """For all members."""

    channel: Channel
    author: Author
    topic: str


@value
class ChannelModesChanged(Effect):
    """For all members."""

    channel: Channel
    author: Author
    changes: tuple[ModeChange, ...]


@value
class ChannelRenamed(Effect):
    """For all members. ``channel`` has its new name already, and is the same room as before."""

    channel: Channel
    author: Author
    old_name: str
    reason: str


@value
class OwnerChanged(Effect):
    """A room belongs to another account, or to none, and remembers otherwise; nobody sees it."""

    channel: Channel
    author: Author


@value
class RetentionChanged(Effect):
    """What is said in a room is kept for other ``days`` (see ``Channel``); nobody sees it."""

    channel: Channel
    author: Author
    days: int | None


@value
class RankRemembered(Effect):
    """A room remembers another rank of an account (folded); nobody sees it."""

    channel: Channel
    author: Author
    account: str
    change: ModeChange


@value
class MemberForgotten(Effect):
    """A room remembers nothing of an account (folded) any more; nobody sees it."""

    channel: Channel
    account: str


@value
class Invited(Effect):
    """For the one who is invited (``user``), and for the members who may invite."""

    channel: Channel
    user: User
    author: Author


@value
class Quit(Effect):
    """For ``audience``: those who shared a channel. ``channels`` are the ones that were left."""

    user: User
    author: Author
    reason: str
    audience: tuple[User, ...]
    channels: tuple[Channel, ...]


@value
class Killed(Effect):
    """For the user, whose sessions end. ``author`` is the operator."""

    user: User
    author: Author
    reason: str


@value
class PutOff(Effect):
    """For ``devices`` of a user, which are told ``text`` and closed.

    ``cause`` is the same in short, for the log; it holds no words of anybody.
    """

    user: User
    devices: tuple[SessionId, ...]
    text: str
    cause: str


@value
class DeviceEnded(Effect):
    """For a device of ``account``, which has put it off the network. It is told why, and closed."""

    account: str
    device: SessionId
    reason: str


@value
class BanAdded(Effect):
    """For ``operators``; it is kept. ``count``: devices that are put off because of it."""

    ban: Ban
    count: int
    operators: tuple[User, ...]


@value
class BanRemoved(Effect):
    """For ``operators``; it is kept. ``by`` is empty where a ban has ended by itself."""

    ban: Ban
    by: str
    operators: tuple[User, ...]


@value
class AccountClosed(Effect):
    """For who has logged in to the account (folded), but is not in the chat yet: they are put off.

    ``forgotten``: nothing is kept of it any more.
    """

    account: str
    forgotten: bool
    reason: str


@value
class WallopsSent(Effect):
    """For ``audience``."""

    author: Author
    text: str
    audience: tuple[User, ...]


@value
class SessionsChanged(Effect):
    """A user who was there already has one session more or less; nobody sees it."""

    user: User


@value
class CameOnline(Effect):
    """A nick is there now that was not. For ``watchers``."""

    user: User
    author: Author
    watchers: tuple[SessionId, ...]


@value
class WentOffline(Effect):
    """A nick is there no more. For ``watchers``."""

    nick: str
    watchers: tuple[SessionId, ...]


@value
class NickChanged(Effect):
    """For the user and ``audience``. ``author`` has the old nick."""

    user: User
    author: Author
    nick: str
    audience: tuple[User, ...]


@value
class RealnameChanged(Effect):
    """For the user, ``audience`` and ``watchers``, where they can take it."""

    user: User
    author: Author
    audience: tuple[User, ...]
    watchers: tuple[SessionId, ...] = ()


@value
class HostChanged(Effect):
    """For the user, ``audience`` and ``watchers``. ``author`` has the old host."""

    user: User
    author: Author
    audience: tuple[User, ...]
    watchers: tuple[SessionId, ...] = ()


@value
class SettingChanged(Effect):
    """For nobody; it is kept. ``account`` is folded; ``value`` is empty when there is none."""

    account: str
    key: str
    value: str


@value
class MetadataChanged(Effect):
    """For ``subscribers``. The value of ``key`` is empty when there is none any more.

    ``account`` (folded) or the ``uid`` of a channel says of whom it is kept, if at all.
    """

    target: str
    key: str
    value: str
    subscribers: tuple[SessionId, ...]
    account: str = ""
    uid: str = ""


@value
class AwayChanged(Effect):
    """For ``audience`` and ``watchers``, where they can take it."""

    user: User
    author: Author
    audience: tuple[User, ...]
    watchers: tuple[SessionId, ...] = ()


@value
class AccountChanged(Effect):
    """For the user, ``audience`` and ``watchers``, where they can take it."""

    user: User
    author: Author
    audience: tuple[User, ...]
    watchers: tuple[SessionId, ...] = ()
    previous: str | None = None
    """The account that they had (folded), ``None`` for a guest."""


@value
class UserModesChanged(Effect):
    """For the user."""

    user: User
    author: Author
    changes: tuple[ModeChange, ...]


@value
class MarkedRead(Effect):
    """For the users of an account, or for one guest (``account`` is ``None`` then)."""

    users: tuple[User, ...]
    account: str | None
    target: str
    read_ms: int


@value
class Redacted(Effect):
    """For all members of ``channel``, or for ``recipient``; and for the sender's other sessions.

    Of a direct message ``channel`` is ``None``; ``recipient`` too when they are not there.
    """

    channel: Channel | None
    recipient: User | None
    sender: User
    author: Author
    event: RedactMessage


@value
class DeviceAnnounced(Effect):
    """A device of ``account`` (folded) can be reached as a peer; it is kept. For nobody.

    ``announced``: the fingerprints of all devices of the account that can be reached now.
    """

    user: User
    account: str
    fingerprint: str
    certificate: bytes
    announced: tuple[str, ...]


@value
class DeviceRetracted(Effect):
    """A device of ``account`` (folded) can be reached no longer. For nobody.

    ``device`` is the session, as which it could be.
    """

    device: SessionId
    account: str
    fingerprint: str


@value
class ReachabilityChanged(Effect):
    """The first device of a user can be reached as a peer ``now``, or the last one no longer.

    For ``audience`` and ``watchers``, where they can take it: all of them are logged in.
    """

    user: User
    author: Author
    now: bool
    audience: tuple[User, ...]
    watchers: tuple[SessionId, ...] = ()


@value
class Offered(Effect):
    """A device, with this certificate (DER), offers a direct session to the sessions ``to``."""

    author: Author
    certificate: bytes
    id: str
    to: tuple[SessionId, ...]


@value
class Answered(Effect):
    """A device, with this certificate (DER), accepts what the session ``to`` has offered."""

    author: Author
    certificate: bytes
    id: str
    to: SessionId


@value
class CandidatesSent(Effect):
    """For the other side of a pair, the session ``to``."""

    author: Author
    id: str
    candidates: str = field(repr=False)
    to: SessionId


@value
class TunnelGranted(Effect):
    """For both sides of a pair, each of which gets its own token only.

    The tunnel is at ``relay``, ``HOST:PORT`` for clients; where that is empty, at the relay that
    both are connected to.
    """

    id: str
    relay: str
    tokens: tuple[tuple[SessionId, str], ...] = field(repr=False)


@value
class PairEnded(Effect):
    """An offer or a pair is over for the sessions ``to``."""

    author: Author
    id: str
    reason: str
    to: tuple[SessionId, ...]


@value
class RelayCame(Effect):
    """A relay is there. For nobody, but that clients may be told of it."""

    relay: str


@value
class RelayGone(Effect):
    """A relay is there no more. What its people are seen to do follows, as effects of their own."""

    relay: str
    incarnation: int
    reason: str


@value
class Reloaded(Effect):
    """A relay has taken its configuration anew, and the others are to do so. For nobody."""

    relay: str


SAID: Final[frozenset[type[Effect]]] = frozenset({ChannelMessage, StatusMessage, DirectMessage})
"""What people say. It changes no state: only the history keeps it, and the log tells nothing."""
