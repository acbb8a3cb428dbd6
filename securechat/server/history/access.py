"""Who may read what.

**Rooms.** One must be a member now, or be invited; operators of the relay have no special right.
One may read

- everything since the room was made, if anyone may enter it (neither ``+i`` nor ``+k``) and
  ``[history] before_joining`` allows it;
- else what was said since one was invited or became a member (a lost connection ends no membership
  in a room that belongs to somebody);
- what one has said oneself, as an account, in any case.

**Direct conversations.** Only one's own, by account. A guest reads none: somebody else may have had
the nick before. What an account and a guest have said to each other the account may read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.irc.names import is_channel
from securechat.server.history.entries import direct_conversation, is_guest, person
from securechat.store.history import Conversation, History, Readable

if TYPE_CHECKING:
    from securechat.server.network import Network
    from securechat.server.services import Services
    from securechat.server.state import Channel, User

__all__ = [
    "GUESTS_MOST",
    "Place",
    "Source",
    "find_place",
    "find_source",
    "newest_own",
    "other_party",
    "own_conversations",
    "readable_rooms",
    "shown_person",
]

_CLOSING_MODES: Final = frozenset("ik")
"""Modes of a room that keep people out."""

GUESTS_MOST: Final = 500
"""Conversations with guests that an account is told of. A stranger can begin a new one with each
nick they take, and each is looked at whenever somebody asks what there is."""

_NEVER_MS: Final = 1 << 46
"""Later than anything that was said."""


class Source(NamedTuple):
    """A conversation that somebody may read."""

    name: str
    """Of the channel; of a person as the asker has written it, by which they know the answer."""
    readable: Readable | None
    """``None``: there is nothing to read, and never was."""
    room: bool


class Place(NamedTuple):
    """A conversation that there may be, whoever may read it."""

    key: str
    """Of the conversation in the history."""
    channel: Channel | None
    inside: bool
    """Whether the asker is a member of the channel, or one of the two."""


def find_place(services: Services, user: User, target: str) -> Place | None:
    """Return the conversation that ``target`` names for ``user``; ``None`` if it names none."""
    network = services.network
    if is_channel(target):
        channel = network.find_channel(target)
        if channel is None:
            return None
        return Place(channel.uid, channel, user.id in channel.members)
    if not network.names.is_nick(target, services.config.limits.nick_length):
        return None
    own, other = person(user.nick, user.account, network.fold), _find_person(network, target)
    return Place(direct_conversation(own, other).key, None, inside=True)


def find_source(services: Services, user: User, target: str) -> Source | None:
    """Return what ``user`` may read of ``target``; ``None`` if that cannot be read."""
    place = find_place(services, user, target)
    if place is None:
        return None
    if place.channel is not None:
        readable = _of_room(place.channel, user, services.config.history.before_joining)
        return None if readable is None else Source(place.channel.name, readable, room=True)
    if user.account is None:
        return Source(target, None, room=False)
    return Source(target, Readable(place.key, own_account=user.account), room=False)


def readable_rooms(services: Services, user: User) -> Iterator[Source]:
    """Yield the rooms in which ``user`` is, as far as they may read them."""
    for channel in user.channels.values():
        readable = _of_room(channel, user, services.config.history.before_joining)
        assert readable is not None
        yield Source(channel.name, readable, room=True)


def newest_own(key: str, account: str) -> Readable:
    """Return what of a conversation ``account`` has said and done itself, and nothing else."""
    return Readable(key, _NEVER_MS, account)


def own_conversations(history: History, own: str) -> list[Conversation]:
    """Return the direct conversations of the person ``own``. On the store thread.

    All with accounts, and the ``GUESTS_MOST`` with guests that began last.
    """
    found = history.direct_conversations(own)
    guests = [each for each in found if each.parties and is_guest(other_party(own, each.parties))]
    left_out = set(guests[:-GUESTS_MOST])
    return [each for each in found if each not in left_out]


def other_party(own: str, parties: tuple[str, str]) -> str:
    """Return with whom the person ``own`` has a direct conversation: maybe with themselves."""
    return parties[1] if parties[0] == own else parties[0]


def shown_person(network: Network, who: str) -> str:
    """Return the name by which clients know a ``person``."""
    if is_guest(who):
        user = network.find_user(who[1:])
        return user.nick if user is not None else who[1:]
    return network.accounts.get(who, who)


def _of_room(channel: Channel, user: User, before_joining: bool) -> Readable | None:
    member = channel.members.get(user.id)
    since_ms = channel.invited.get(user.id) if member is None else member.since_ms
    if since_ms is None:
        return None
    closed = not before_joining or _CLOSING_MODES & channel.modes.keys()
    floor_ms = since_ms if closed else 0
    return Readable(channel.uid, floor_ms, user.account)


def _find_person(network: Network, nick: str) -> str:
    user = network.find_user(nick)
    if user is not None:
        return person(user.nick, user.account, network.fold)
    account = network.accounts.get(network.fold(nick))
    return person(nick, account, network.fold)
