"""What always holds of the chat state: its indexes agree with each other, whatever has happened."""

from __future__ import annotations

from collections import Counter
from typing import Any

from securechat.irc.modes import CHANNEL_MODES, PREFIXES, USER_MODES
from securechat.server.network import Network
from securechat.server.rules.presence import stays
from securechat.server.snapshot import take_snapshot
from securechat.server.state import Channel

__all__ = [
    "check_belonging",
    "check_channels",
    "check_metadata",
    "check_monitors",
    "check_peers",
    "check_state",
    "check_users",
    "state_of",
]


def state_of(network: Network) -> dict[str, Any]:
    """Return all that an event can change: beside a snapshot, who has said something when."""
    active = {user.id: user.active_ms for user in network.users.values()}
    return {**take_snapshot(network), "active": active}


def check_state(network: Network) -> None:
    """Check all of it."""
    check_users(network)
    check_monitors(network)
    check_metadata(network)
    check_peers(network)
    check_channels(network)


def check_users(network: Network) -> None:
    for user_id, user in network.users.items():
        assert user.id == user_id
        assert network.nicks[network.fold(user.nick)] is user
        assert user.author.source == f"{user.nick}!{user.username}@{user.host}"
        assert user.author.account == user.account
        assert user.modes <= set(USER_MODES.flag)
        assert bool(user.sessions) == (user_id not in network.gone) == (user.gone_ms == 0)
        assert user.sessions or stays(network, user), "a user without a session"
        assert len(set(user.sessions)) == len(user.sessions)
        assert set(user.away_texts) <= set(user.sessions)
        assert bool(user.away) == (len(user.away_texts) == len(user.sessions))
        assert all(network.sessions[session] is user for session in user.sessions)
        assert len(user.channels) <= network.limits.channels_per_user
        for name, channel in user.channels.items():
            assert network.channels[name] is channel
            assert channel.members[user_id].user is user
    assert len(network.nicks) == len(network.users)
    assert sum(len(user.sessions) for user in network.users.values()) == len(network.sessions)
    for session, user in network.sessions.items():
        assert network.users[user.id] is user
        assert session in user.sessions
    assert network.most_users >= len(network.users)
    counted = Counter(letter for user in network.users.values() for letter in user.modes)
    assert +network.mode_counts == counted
    assert min(network.mode_counts.values(), default=0) >= 0


def check_monitors(network: Network) -> None:
    pairs = {(key, nick) for key, nicks in network.monitors.items() for nick in nicks}
    assert pairs == {(key, nick) for nick, keys in network.watchers.items() for key in keys}
    for key, nicks in network.monitors.items():
        assert key in network.sessions
        assert 0 < len(nicks) <= network.limits.monitored_nicks
        assert all(network.fold(given) == folded for folded, given in nicks.items())
    assert all(network.watchers.values())


def check_metadata(network: Network) -> None:
    pairs = {(session, key) for session, keys in network.subscriptions.items() for key in keys}
    assert pairs == {
        (session, key) for key, told in network.subscribers.items() for session in told
    }
    assert network.subscriptions.keys() <= network.sessions.keys()
    assert all(network.subscriptions.values())
    assert all(network.subscribers.values())
    assert all(network.metadata.values())
    assert all(not user.metadata for user in network.users.values() if user.account is not None)


def check_peers(network: Network) -> None:
    """Offers and pairs are of sessions that are there; each knows those that concern it."""
    announced = {(device.account, session) for session, device in network.announced.items()}
    assert announced == {
        (account, session) for account, keys in network.reachable.items() for session in keys
    }
    assert all(network.reachable.values())
    for session, device in network.announced.items():
        assert network.account_key(network.sessions[session]) == device.account
    concerned = {(session, key) for session, keys in network.pairs_of.items() for key in keys}
    assert concerned == {(s, key) for key, pair in network.pairs.items() for s in pair.sessions}
    assert all(network.pairs_of.values())
    assert network.pairs_of.keys() <= network.announced.keys()
    for pair in network.pairs.values():
        assert bool(pair.offered) == (pair.answerer is None)
        assert len(set(pair.sessions)) == len(pair.sessions) >= 2
        assert {network.announced[key].account for key in pair.sessions[1:]} == {pair.account}


def check_channels(network: Network) -> None:
    for name, channel in network.channels.items():
        assert network.fold(channel.name) == name
        assert channel.members or channel.owner, "an empty channel"
        assert not channel.ended
        for user_id, member in channel.members.items():
            assert network.users[user_id] is member.user
            assert member.user.channels[name] is channel
            assert member.ranks <= set(PREFIXES)
        assert channel.invited.keys() <= set(network.users)
        assert not channel.invited.keys() & channel.members.keys()
        assert sum(map(len, channel.lists.values())) <= network.limits.list_entries
        for entries in channel.lists.values():
            assert all(network.fold(entry.mask) == key for key, entry in entries.items())
        assert set(channel.modes) <= set("kl" + CHANNEL_MODES.flag)
        assert all(bool(value) == (letter in "kl") for letter, value in channel.modes.items())
        check_belonging(network, channel)
        assert bool(channel.topic) == bool(channel.topic_by) == bool(channel.topic_ms)
    assert network.owned_rooms == Counter(
        channel.owner for channel in network.channels.values() if channel.owner is not None
    )


def check_belonging(network: Network, channel: Channel) -> None:
    """Only a room that is somebody's remembers accounts, and it knows all who are there."""
    present = {network.account_key(member.user) for member in channel.members.values()} - {None}
    if channel.owner is None:
        assert not channel.remembered
        assert not channel.members_since
    else:
        assert present <= set(channel.members_since)
        assert all(ranks and ranks <= set(PREFIXES) for ranks in channel.remembered.values())
