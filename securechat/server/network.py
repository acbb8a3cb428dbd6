"""The chat state as a deterministic state machine: ``apply(event) -> effects``.

It reads no clock, makes no ids and does no I/O; two machines that apply the same events are equal.
A rule that is broken raises ``Refusal`` and changes nothing. Who checks what: a handler checks the
form of a command, ``apply`` checks it against the state, for good. The rules are in ``rules/``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from securechat.irc import numerics
from securechat.server.bans import Bans
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId
from securechat.server.lookalikes import Lookalikes
from securechat.server.names import ASCII_NAMES, Fold, Names
from securechat.server.refusals import Refusal
from securechat.server.rules.table import RULES
from securechat.server.state import (
    AlwaysOn,
    AnnouncedDevice,
    Channel,
    Device,
    Pair,
    Relay,
    User,
    UserId,
    WhowasEntry,
)

__all__ = ["Network", "NetworkLimits"]


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """The limits that belong to the state: equal on all relays of a network. Immutable."""

    channels_per_user: int
    list_entries: int
    rooms_per_account: int
    monitored_nicks: int
    whowas_entries: int
    always_on: AlwaysOn = "opt-in"
    metadata_keys: int = 50
    metadata_subscriptions: int = 100


class Network:
    """Users, channels, accounts. Guarded by the network lock, which the caller holds."""

    def __init__(self, limits: NetworkLimits, names: Names = ASCII_NAMES) -> None:
        self.limits = limits
        self.names = names
        self.fold: Fold = names.fold
        """Gives the form of a nick or channel name that equal ones share."""
        self.users: dict[UserId, User] = {}
        self.nicks: dict[str, User] = {}  # by folded nick
        self.sessions: dict[SessionId, User] = {}
        self.devices: dict[SessionId, Device] = {}
        self.channels: dict[str, Channel] = {}  # by folded name
        self.accounts: dict[str, str] = {}  # folded name → name
        self.closed_accounts: set[str] = set()
        """Folded accounts that may not be used any more: a login may still be on its way."""
        self.bans = Bans(self.fold)
        self._similar_nicks = Lookalikes(names)
        self._similar_accounts = Lookalikes(names)
        self.monitors: dict[SessionId, dict[str, str]] = {}
        """Session → folded nick → nick as it was given; no empty ones."""
        self.watchers: dict[str, dict[SessionId, None]] = {}
        """The same the other way: folded nick → sessions, in the order in which they asked."""
        self.gone: dict[UserId, User] = {}
        """Those whom no session is attached to, in the order in which they were left."""
        self.settings: dict[str, dict[str, str]] = {}
        """Folded account → key → value; no empty ones."""
        self.read_markers: dict[str, dict[str, int]] = {}
        """Folded account → folded target → time, in milliseconds since 1970 UTC."""
        self.metadata: dict[str, dict[str, str]] = {}
        """Folded account → key → value; no empty ones."""
        self.subscriptions: dict[SessionId, dict[str, None]] = {}
        """Session → keys of metadata; no empty ones."""
        self.subscribers: dict[str, dict[SessionId, None]] = {}
        """The same the other way."""
        self.announced: dict[SessionId, AnnouncedDevice] = {}
        """The devices that can be reached as peers, in the order in which they said so."""
        self.reachable: dict[str, dict[SessionId, None]] = {}
        """Folded account → its sessions among these; no empty ones."""
        self.pairs: dict[str, Pair] = {}
        """Offers and pairs of peers by id."""
        self.pairs_of: dict[SessionId, dict[str, None]] = {}
        """The same the other way: session → ids of those that concern it; no empty ones."""
        self.owned_rooms: Counter[str] = Counter()
        """Folded account → rooms that belong to it; no zeros."""
        self.present_before: dict[str, list[Channel]] = {}
        """Folded account → rooms where it was when the relay ended; empty once it has started."""
        self.relays: dict[str, Relay] = {}
        """Those that make this chat by name, who came first in front; without others none."""
        self.relays_started = 0  # ever
        self.log_hash = 0  # of all events so far, where there are several relays
        self.restored_users = 0  # ever
        self.most_users = 0
        self.mode_counts: Counter[str] = Counter()  # users with each user mode
        self.departed: deque[WhowasEntry] = deque(maxlen=limits.whowas_entries)  # oldest first

    def apply(self, event: Event) -> list[Effect]:
        """Change the state by ``event``; return what changed.

        :raises Refusal, Fail: the state forbids it; nothing has changed.
        """
        return RULES[type(event)](self, event)

    # ---- questions ----

    def find_user(self, nick: str) -> User | None:
        """Return the user with that nick."""
        return self.nicks.get(self.fold(nick))

    def find_channel(self, name: str) -> Channel | None:
        """Return the channel of that name."""
        return self.channels.get(self.fold(name))

    def account_key(self, user: User) -> str | None:
        """Return the folded account of ``user``, ``None`` for a guest."""
        return self.fold(user.account) if user.account is not None else None

    def is_present(self, channel: Channel, account: str) -> bool:
        """Whether a user of ``account`` (folded) is in ``channel``."""
        return any(self.account_key(member.user) == account for member in channel.members.values())

    def find_departed(self, nick: str) -> Iterator[WhowasEntry]:
        """Yield those who have given up that nick, the latest first."""
        wanted = self.fold(nick)
        return (entry for entry in reversed(self.departed) if self.fold(entry.nick) == wanted)

    def audience(self, user: User) -> tuple[User, ...]:
        """Return the other users who share a channel with ``user``, each once."""
        seen = {
            user_id: member.user
            for channel in user.channels.values()
            for user_id, member in channel.members.items()
        }
        seen.pop(user.id, None)
        return tuple(seen.values())

    def setting(self, account: str | None, key: str) -> str:
        """Return what the account has set; empty if nothing."""
        if account is None:
            return ""
        return self.settings.get(self.fold(account), {}).get(key, "")

    def watching(self, nick: str) -> tuple[SessionId, ...]:
        """Return the sessions that monitor ``nick``."""
        return tuple(self.watchers.get(self.fold(nick), ()))

    def markers(self, user: User) -> Mapping[str, int]:
        """Return how far ``user`` has read each (folded) target."""
        if user.account is None:
            return user.read_markers
        return self.read_markers.get(self.fold(user.account), {})

    def resembles_account(self, name: str, account: str | None) -> bool:
        """Whether ``name`` can be taken for an account other than ``account``."""
        own = self.fold(account) if account is not None else None
        return any(key != own for key in self._similar_accounts.of(name))

    def resembles_nick(self, name: str, user: User | None, account: str | None) -> bool:
        """Whether ``name`` can be taken for a nick of somebody who is neither of these."""
        holders = (self.nicks[key] for key in self._similar_nicks.of(name))
        return any(
            holder is not user and (account is None or holder.account != account)
            for holder in holders
        )

    # ---- for the rules ----

    def take_nick(self, user: User) -> None:
        """Find ``user`` by their nick from now on."""
        self.nicks[self.fold(user.nick)] = user
        self._similar_nicks.add(user.nick)

    def give_up_nick(self, user: User) -> None:
        """Find ``user`` by their nick no longer."""
        del self.nicks[self.fold(user.nick)]
        self._similar_nicks.remove(user.nick)

    def add_account(self, name: str) -> None:
        """Reserve the nick ``name``, and what looks like it, for the account of that name."""
        self.accounts[self.fold(name)] = name
        self._similar_accounts.add(name)

    def remove_account(self, account: str) -> None:
        """Give up what is reserved for the account (folded); does nothing if there is none."""
        name = self.accounts.pop(account, None)
        if name is not None:
            self._similar_accounts.remove(name)

    def count_room(self, account: str, change: int) -> None:
        """Take note that ``account`` (folded) owns more or fewer rooms than before."""
        self.owned_rooms[account] += change
        if not self.owned_rooms[account]:
            del self.owned_rooms[account]

    def member(self, session: SessionId, name: str) -> tuple[User, Channel]:
        """Return the user of ``session`` and the channel ``name``, where they must be a member.

        :raises Refusal: there is no such channel, or they are not in it.
        """
        user = self.sessions[session]
        channel = self.find_channel(name)
        if channel is None:
            raise Refusal(numerics.ERR_NOSUCHCHANNEL, name)
        if user.id not in channel.members:
            raise Refusal(numerics.ERR_NOTONCHANNEL, channel.name)
        return user, channel

    def remember_departed(self, user: User, at_ms: int) -> None:
        """Keep for WHOWAS that ``user`` gives up their nick now."""
        self.departed.append(
            WhowasEntry(
                user.nick,
                user.username,
                user.host,
                user.realname,
                user.address,
                user.account,
                at_ms,
            )
        )

    def remove_member(self, channel: Channel, user: User) -> None:
        """Take ``user`` out of ``channel``, which ends with its last member if it is nobody's."""
        del channel.members[user.id]
        del user.channels[self.fold(channel.name)]
        self.end_if_empty(channel)

    def end_if_empty(self, channel: Channel) -> None:
        """Forget ``channel`` if nobody is in it and it belongs to nobody."""
        if channel.ended:
            del self.channels[self.fold(channel.name)]
