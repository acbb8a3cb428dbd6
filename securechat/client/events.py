"""What a client hears: one kind of value for each kind of news.

Those of peers and of files between them are in ``securechat.peer.events``.

Texts, names and reasons are as they came from the network. They may hold control characters; show
them on a terminal only after ``safe_text.make_safe``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from securechat.client.relays import RelayAddress
from securechat.errors import SecureChatError
from securechat.irc.message import Message
from securechat.irc.peering import Signal
from securechat.irc.sasl import LOGINS_NOT_NOW
from securechat.peer.events import (
    FileEvent,
    PathKind,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
    PeerReachable,
    PeerTyping,
)
from securechat.values import value

__all__ = [
    "AccountChanged",
    "AccountRequired",
    "AwayChanged",
    "ChannelRenamed",
    "Connected",
    "Delivered",
    "Disconnected",
    "Event",
    "Failure",
    "Found",
    "HistoryItem",
    "HistoryReceived",
    "HostChanged",
    "Invited",
    "Joined",
    "Kicked",
    "LoggedIn",
    "LoggedOut",
    "LoginRejected",
    "MemberSnapshot",
    "ModeChanged",
    "NamesReceived",
    "NickChanged",
    "NickRejected",
    "NotDelivered",
    "Parted",
    "PeerSignalled",
    "PeopleBack",
    "PeopleLost",
    "PresenceReceived",
    "Quit",
    "RawReceived",
    "Reacted",
    "ReadMarked",
    "RealnameChanged",
    "Redacted",
    "Registered",
    "RelaysAnnounced",
    "Reply",
    "RequestFailed",
    "TargetsReceived",
    "TextKind",
    "TextReceived",
    "TopicChanged",
    "Typing",
    "VerificationRequired",
    "Welcome",
]

TextKind = Literal["message", "notice", "action", "ctcp"]
"""``ctcp`` is a request or answer inside a text (``VERSION``); the client answers none."""


# ---- the connection ----


@value
class Connected:
    """TLS is up and the server's certificate has been verified; registration begins."""

    host: str
    port: int
    tls_version: str
    cipher: str


@value
class Welcome:
    """Registration is complete: we are on the network, under ``nick``."""

    nick: str
    account: str | None
    network: str
    text: str


@value
class Disconnected:
    """The connection is over, or could not be made.

    ``will_retry``: the client tries again by itself in ``retry_in_s`` seconds. Otherwise this is
    the last event; ``error`` says what went wrong, ``None`` after a ``close`` of our own.
    ``next_relay``: another relay of the chat, as ``HOST:PORT``, which it tries then; empty: the
    same one.
    """

    reason: str
    will_retry: bool
    retry_in_s: float = 0.0
    error: SecureChatError | None = None
    next_relay: str = ""


@value
class RelaysAnnounced:
    """The server has said which relays the chat has; none: it says so no more.

    The client goes to them when it has to (``Client``, ``learned``); who wants it to know them at
    the next start keeps them. There is no need to trust the list: see ``securechat.client.relays``.
    """

    relays: tuple[RelayAddress, ...]


# ---- who we are ----


@value
class NickRejected:
    """The server refuses the nick. ``reserved``: it is registered; a login makes it usable.

    Before the welcome the server now waits: for another nick, or for a login.
    """

    nick: str
    reserved: bool
    text: str


@value
class AccountRequired:
    """The server lets in only who is logged in, and waits for that."""

    text: str


@value
class LoggedIn:
    """The server has accepted the login (or the registration logged us in)."""

    account: str
    text: str


@value
class LoggedOut:
    """The server has ended the login."""

    text: str


@value
class LoginRejected:
    """The login failed: wrong password, no such account, or no mechanism in common.

    ``code`` is the numeric, or empty when we gave up before the server answered.
    """

    account: str
    code: str
    text: str

    @property
    def is_temporary(self) -> bool:
        """Whether the server could not look whether account and password are right."""
        return self.text in LOGINS_NOT_NOW


@value
class Registered:
    """A new account was made; we are logged in to it."""

    account: str
    text: str


@value
class VerificationRequired:
    """A new account was made but must be verified first; ``text`` says how."""

    account: str
    text: str


# ---- texts ----


@value
class TextReceived:
    """Somebody, or we ourselves on this or another device, said something.

    ``conversation`` is where it belongs: the channel, or (then it is ``direct``) the nick of the
    other person; empty for what the server itself says. ``own`` texts are reported once they are
    sent, or, where the server echoes, when the echo comes.

    A text of several lines has a line feed between them. ``replayed``: it is history, and was said
    at ``time``. ``via``: it came, or went, inside a session with a peer, which runs like that;
    ``None``: through the relay, which can read it.

    ``reply_to`` is the msgid of the text that this one answers. ``delivery`` is, for the echo of a
    text that this client has sent, what ``Client.send`` returned; ``mark`` is the one that it was
    sent with (``Client.send``), there also when the text comes out of the history.
    """

    conversation: str
    target: str
    sender: str
    account: str | None
    text: str
    kind: TextKind
    time: datetime
    direct: bool
    own: bool = False
    msgid: str | None = None
    replayed: bool = False
    via: PathKind | None = None
    reply_to: str | None = None
    delivery: int | None = None
    mark: str | None = None


@value
class Redacted:
    """The text ``msgid`` of a conversation was deleted by ``by``: it should not be shown again."""

    conversation: str
    msgid: str
    by: str
    reason: str


@value
class Reacted:
    """Somebody reacted to the text ``msgid`` of a conversation, or (``removed``) does no more."""

    conversation: str
    msgid: str
    nick: str
    reaction: str
    removed: bool
    own: bool
    time: datetime
    replayed: bool = False


@value
class Typing:
    """Somebody else is typing a text to a conversation, pauses, or has stopped.

    Not told again: it holds for 6 seconds when ``active``, for 30 when ``paused``
    (https://ircv3.net/specs/client-tags/typing).
    """

    conversation: str
    nick: str
    state: Literal["active", "paused", "done"]


@value
class ReadMarked:
    """We have read a conversation up to ``time``, here or on another device; ``None``: nothing."""

    conversation: str
    time: datetime | None


HistoryItem = TextReceived | Reacted | Redacted
"""What a page of history holds; each is ``replayed``, but for ``Redacted``, which has no time."""


@value
class HistoryReceived:
    """The answer to ``Client.history``: a page of a conversation, oldest first.

    ``oldest`` and ``newest`` refer to its ends, for the next request; ``None`` when it is empty.
    ``complete``: there is no more in the direction that was asked for; never told of a page around
    a message, which has two.
    """

    request: int
    conversation: str
    items: tuple[HistoryItem, ...]
    oldest: str | None
    newest: str | None
    complete: bool


@value
class TargetsReceived:
    """The answer to ``Client.history_targets``: conversations and when they were spoken in last."""

    request: int
    targets: tuple[tuple[str, datetime], ...]


@value
class Found:
    """The answer to ``Client.search``: texts in ascending order of time."""

    request: int
    texts: tuple[TextReceived, ...]


@value
class RequestFailed:
    """There is no answer to ``history``, ``history_targets`` or ``search``: it was refused, or the
    connection ended before (``code`` is ``CONNECTION_LOST``).
    """

    request: int
    code: str
    text: str


@value
class Delivered:
    """The server has taken the text of that ``delivery`` (what ``Client.send`` returned)."""

    delivery: int


@value
class NotDelivered:
    """The text of that ``delivery`` was refused, or the connection ended before an answer."""

    delivery: int
    target: str
    code: str
    text: str


# ---- channels and people ----


@value
class MemberSnapshot:
    """One member of a channel. ``marks`` are the prefixes of the ranks, highest first (``@+``).

    ``away`` is as far as the server has told us: ``Client.ask_presence`` asks.
    """

    nick: str
    marks: str
    away: bool = False


@value
class Joined:
    """Somebody joined. ``people`` counts the members after it.

    When it is ``own`` the members are not known yet; ``NamesReceived`` brings them.
    """

    nick: str
    channel: str
    people: int
    own: bool
    account: str | None = None
    realname: str | None = None


@value
class Parted:
    """Somebody left a channel. ``people`` counts the members after it; 0 when it is ``own``."""

    nick: str
    channel: str
    people: int
    reason: str
    own: bool


@value
class Kicked:
    """Somebody was thrown out of a channel by ``by``."""

    nick: str
    channel: str
    people: int
    by: str
    reason: str
    own: bool


@value
class Quit:
    """Somebody left the network. ``channels``: each shared channel with its members after it."""

    nick: str
    channels: tuple[tuple[str, int], ...]
    reason: str


@value
class PeopleLost:
    """A relay of the network was lost, and with it people: each has ``Quit``, in the order told.

    ``relay`` is how servers call it; empty: they do not tell. None of these comes by itself.
    """

    relay: str
    quits: tuple[Quit, ...]


@value
class PeopleBack:
    """People are back with a relay that was lost: each has ``Joined``, once for each channel.

    ``relay`` is as in ``PeopleLost``.
    """

    relay: str
    joins: tuple[Joined, ...]


@value
class NickChanged:
    """Somebody has another nick. ``channels`` are those of ours where it is a member."""

    old: str
    new: str
    own: bool
    channels: tuple[str, ...] = ()


@value
class ChannelRenamed:
    """A channel that we are in has another name."""

    old: str
    new: str
    by: str
    reason: str


@value
class TopicChanged:
    """The topic of a channel. ``by`` is ``None`` when it is told and not changed now."""

    channel: str
    topic: str
    by: str | None


@value
class NamesReceived:
    """The members of a channel, complete. ``joined``: this ends our own join."""

    channel: str
    members: tuple[MemberSnapshot, ...]
    joined: bool


@value
class PresenceReceived:
    """The answer to ``Client.ask_presence``: ``members`` say who is away."""

    channel: str
    members: tuple[MemberSnapshot, ...]


@value
class ModeChanged:
    """Modes of a channel or of a user changed; ``modes`` is the mode string and its parameters."""

    target: str
    modes: tuple[str, ...]
    by: str


@value
class Invited:
    """``nick`` was invited to a channel; ``own`` when that is us."""

    nick: str
    channel: str
    by: str
    own: bool


@value
class AwayChanged:
    """Somebody is away (``message``) or back (``None``)."""

    nick: str
    message: str | None


@value
class AccountChanged:
    """Somebody logged in to ``account``, or out (``None``)."""

    nick: str
    account: str | None


@value
class RealnameChanged:
    """Somebody changed the real name."""

    nick: str
    realname: str


@value
class HostChanged:
    """Somebody is now seen at another ``user@host``."""

    nick: str
    user: str
    host: str


# ---- answers and the rest ----


@value
class Reply:
    """An informational answer that has no event of its own (MOTD, WHOIS, LIST, …).

    ``params`` is without our own nick, which comes first in a numeric; ``text`` is its last.
    """

    numeric: str
    params: tuple[str, ...]
    text: str


@value
class Failure:
    """The server refused something. ``code`` is the numeric or the word of a standard reply.

    ``command`` is the refused command where the server says it; ``context`` is what it is about
    (the channel, the nick).
    """

    command: str
    code: str
    context: tuple[str, ...]
    text: str


@value
class PeerSignalled:
    """The relay tells of a peer; the client takes it itself (``securechat.irc.peering``)."""

    signal: Signal


@value
class RawReceived:
    """A message that this client does not interpret; nothing is lost."""

    message: Message


Event = (
    Connected
    | Welcome
    | Disconnected
    | RelaysAnnounced
    | NickRejected
    | AccountRequired
    | LoggedIn
    | LoggedOut
    | LoginRejected
    | Registered
    | VerificationRequired
    | TextReceived
    | Redacted
    | Reacted
    | Typing
    | ReadMarked
    | HistoryReceived
    | TargetsReceived
    | Found
    | RequestFailed
    | Delivered
    | NotDelivered
    | Joined
    | Parted
    | Kicked
    | Quit
    | PeopleLost
    | PeopleBack
    | NickChanged
    | ChannelRenamed
    | TopicChanged
    | NamesReceived
    | PresenceReceived
    | ModeChanged
    | Invited
    | AwayChanged
    | AccountChanged
    | RealnameChanged
    | HostChanged
    | Reply
    | Failure
    | RawReceived
    | PeerSignalled
    | PeerReachable
    | PeerAsked
    | PeerIdentityChanged
    | PeerOpened
    | PeerLost
    | PeerClosed
    | PeerTyping
    | FileEvent
)
