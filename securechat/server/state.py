"""The things of the chat: users, channels, memberships. Guarded by the network lock.

Only ``Network`` changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc.extbans import covers, is_mute
from securechat.irc.modes import CHANNEL_MODES, prefixes
from securechat.server.events import SessionId

__all__ = [
    "RELAY_SLOTS",
    "SESSION_BITS",
    "AlwaysOn",
    "AnnouncedDevice",
    "Author",
    "Channel",
    "Device",
    "ListEntry",
    "Membership",
    "Pair",
    "Relay",
    "User",
    "UserId",
    "WhowasEntry",
    "relay_of",
    "session_label",
]

AlwaysOn = Literal["off", "opt-in", "opt-out"]
"""Which accounts stay while no device is attached: none, those that wish it, all but those that do
not."""

UserId = int
"""A user for as long as they are there, whatever their nick: the id of their first session, or a
negative number after a restart."""


class Author(NamedTuple):
    """Who did something, as it was then: the ``nick!user@host`` source, the account, the marks."""

    source: str
    account: str | None
    bot: bool = False
    operator: bool = False

    def marks(self, mask: int) -> list[str]:
        """Return the tags that mark a bot and an operator, to a session with these capabilities.

        https://ircv3.net/specs/extensions/bot-mode, https://ircv3.net/specs/extensions/oper-tag
        """
        tags = []
        if self.bot and mask & caps.MESSAGE_TAGS:
            tags.append("bot")
        if self.operator and mask & caps.OPER_TAG:
            tags.append("draft/oper")
        return tags

    def numeric_tags(self, mask: int) -> str:
        """Return the tags of a numeric that this author has caused, for a session with ``mask``.

        https://ircv3.net/specs/extensions/account-tag: "The tag also SHOULD be added by the ircd to
        all numerics directly caused by the sender", and the marks likewise.
        """
        tags = self.marks(mask)
        if self.account is not None and mask & caps.ACCOUNT_TAG:
            tags.insert(0, f"account={self.account}")
        return ";".join(tags)


@dataclass(slots=True, eq=False)
class User:
    """A nick on the network, attached by any number of sessions; by none if it is always on."""

    id: UserId
    nick: str
    username: str
    realname: str
    host: str
    """What others see; ``cloak``, unless an operator has given another."""
    cloak: str
    address: str
    account: str | None
    connected_ms: int
    active_ms: int
    """When they last said something, as far as this relay knows: it is not given what none of its
    sessions is to hear. So it is in no snapshot; from one, it is ``connected_ms``."""
    away: str = ""
    """What is told to others; empty while one of the sessions is there."""
    away_texts: dict[SessionId, str] = field(default_factory=dict)
    """Of the sessions that are away, in the order in which they left."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Of a guest; that of an account is the network's."""
    gone_ms: int = 0
    """When the last session left; 0 while one is there."""
    modes: frozenset[str] = frozenset()  # often empty, where a set would take 200 bytes
    accepted: dict[UserId, None] = field(default_factory=dict)
    """Who may write to them without being logged in, although they have +R; the oldest first."""
    sessions: list[SessionId] = field(default_factory=list)
    channels: dict[str, Channel] = field(default_factory=dict)  # by folded name
    read_markers: dict[str, int] = field(default_factory=dict)
    """Of a guest, by folded target; those of an account are the network's."""
    author: Author = field(init=False)

    def __post_init__(self) -> None:
        self.refresh_author()

    def covered_by(self, mask: str) -> bool:
        """Whether a mask is of this user; a host that an operator gave hides from none."""
        if covers(mask, self.author.source, self.account):
            return True
        if self.host == self.cloak:
            return False
        return covers(mask, f"{self.nick}!{self.username}@{self.cloak}", self.account)

    def refresh_author(self) -> None:
        """Make ``author`` anew after a change of nick, account or modes."""
        self.author = Author(
            f"{self.nick}!{self.username}@{self.host}",
            self.account,
            "B" in self.modes,
            "o" in self.modes,
        )


class Device(NamedTuple):
    """What every relay knows of a session."""

    address: str
    cloak: str
    since_ms: int
    secure: bool
    """Whether TLS goes all the way to the client."""
    fingerprint: str
    """SHA-256 of the client's certificate in lower-case hex; empty without one."""

    @property
    def hosts(self) -> tuple[str, str]:
        """What bans are compared with."""
        return self.address, self.cloak


RELAY_SLOTS: Final = 32
"""Relays that may be there at once: the subject of each message has a word for each of them."""

SESSION_BITS: Final = 40
"""The bits of a session's number that count the sessions of one relay; above them is which."""


def relay_of(session: SessionId) -> int:
    """Return the incarnation of the relay that a session is connected to; 0 of the only one."""
    return session >> SESSION_BITS


def session_label(session: SessionId) -> str:
    """Return what people call a session: its number, after that of its relay where it has one."""
    relay, number = divmod(session, 1 << SESSION_BITS)
    return f"{relay}.{number}" if relay else str(number)


class Relay(NamedTuple):
    """A relay, where several make one chat.

    ``incarnation`` is of this start of it: how many relays have started before it, and itself.
    """

    name: str
    incarnation: int
    slot: int
    """The lowest number that no other relay had when it came, below ``RELAY_SLOTS``."""
    address: str
    started_ms: int


class WhowasEntry(NamedTuple):
    """Who had a nick that they have given up."""

    nick: str
    username: str
    host: str
    realname: str
    address: str
    account: str | None
    at_ms: int


@dataclass(slots=True, eq=False)
class Membership:
    """A user in a channel, with ranks (mode letters); a member, or invited, since then.

    The ``founder`` is of the account that the channel belongs to: they may do all that the rank
    ``q`` may, whether they have it or not.
    """

    user: User
    ranks: set[str] = field(default_factory=set)
    since_ms: int = 0
    founder: bool = False

    @property
    def prefixes(self) -> str:
        """The marks of the ranks, highest first."""
        return prefixes(self.ranks) if self.ranks else ""


_VERDICTS: Final = 4_096
"""People of whom a channel remembers whether they are muted, some 200 bytes each."""


class ListEntry(NamedTuple):
    """An entry of a channel's list of masks."""

    mask: str
    by: str
    at_ms: int


def _no_entries() -> dict[str, dict[str, ListEntry]]:
    return {letter: {} for letter in CHANNEL_MODES.list}


@dataclass(slots=True, eq=False)
class Channel:
    """A room. ``uid`` is its own for ever: no other room of the same name has had it."""

    uid: str
    name: str
    created_ms: int
    topic: str = ""
    topic_by: str = ""
    topic_ms: int = 0
    modes: dict[str, str] = field(default_factory=dict)  # letter → parameter, often empty
    lists: dict[str, dict[str, ListEntry]] = field(default_factory=_no_entries)
    """Letter → folded mask → entry."""
    renamed_ms: int = 0
    members: dict[UserId, Membership] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    invited: dict[UserId, int] = field(default_factory=dict)
    """Who may come in whatever the modes say, and since when."""
    history_days: int | None = None
    """For how long what is said is kept: 0 for not at all, ``None`` as the operator of the relay
    says."""
    owner: str | None = None
    """The folded account that it belongs to. Only an owned room remembers what follows."""
    remembered: dict[str, set[str]] = field(default_factory=dict)
    """Folded account → ranks, which it is given back on joining; no empty ones."""
    members_since: dict[str, int] = field(default_factory=dict)
    """Folded account → since when it is a member, in the room now or not: a lost connection ends no
    membership, PART and KICK do."""
    _verdicts: dict[UserId, tuple[Author, bool]] = field(init=False, default_factory=dict)
    """Who is muted or not, as the author that they were then: to compare a message's author with a
    hundred masks takes longer than to deliver it."""

    @property
    def ended(self) -> bool:
        """Whether it is no more: nobody is in it, and nobody's it is."""
        return not self.members and self.owner is None

    def ranks(self, user: User) -> set[str]:
        """Return the ranks whose rights ``user`` has here; none for one who is not a member."""
        member = self.members.get(user.id)
        if member is None:
            return set()
        return member.ranks | {"q"} if member.founder else member.ranks

    def listed(self, letter: str, user: User) -> bool:
        """Whether a mask of the list ``letter`` covers ``user``; mutes do not count."""
        entries = self.lists[letter]
        return bool(entries) and any(
            user.covered_by(entry.mask) for entry in entries.values() if not is_mute(entry.mask)
        )

    def banned(self, user: User) -> bool:
        """Whether ``user`` may neither join nor speak: banned, and not excepted from it."""
        return self.listed("b", user) and not self.listed("e", user)

    def muted(self, user: User) -> bool:
        """Whether ``user`` may not speak: muted or banned, and not excepted from it."""
        if not self.lists["b"]:
            return False
        known = self._verdicts.get(user.id)
        if known is not None and known[0] is user.author:
            return known[1]
        muted = self.banned(user) or (self._mutes("b", user) and not self._excepted(user))
        if len(self._verdicts) >= _VERDICTS:
            self._verdicts.clear()
        self._verdicts[user.id] = user.author, muted
        return muted

    def forget_verdicts(self) -> None:
        """Take note that a list has changed."""
        self._verdicts.clear()

    def _mutes(self, letter: str, user: User) -> bool:
        return any(
            user.covered_by(entry.mask)
            for entry in self.lists[letter].values()
            if is_mute(entry.mask)
        )

    def _excepted(self, user: User) -> bool:
        return self._mutes("e", user) or self.listed("e", user)


class AnnouncedDevice(NamedTuple):
    """A device that can be reached as a peer by a session."""

    account: str  # folded
    fingerprint: str
    certificate: bytes  # DER


@dataclass(slots=True, eq=False)
class Pair:
    """Two devices that are about to have a direct session; an open offer until one has answered."""

    offerer: SessionId
    account: str
    """Folded: to whose devices it was offered."""
    offered: dict[SessionId, None]
    """Who may answer; none any more once one has."""
    answerer: SessionId | None = None

    @property
    def sessions(self) -> tuple[SessionId, ...]:
        """All whom it concerns, the offerer first."""
        answerer = () if self.answerer is None else (self.answerer,)
        return (self.offerer, *self.offered, *answerer)
