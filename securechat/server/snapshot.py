"""The whole chat state as plain values, and back: a snapshot and the events after it equal all.

Whatever can matter to an event to come is in a snapshot, in its order: the order of a ``dict`` is
part of the state, as people are told of things in it. What can be found from the rest, as who has
a nick, is made anew. So two networks that have applied the same events have equal snapshots, and
equal digests of them. ``User.active_ms`` is in none: see there.

Nothing here blocks, and nothing but ``take_snapshot`` and ``restore`` needs the network lock.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from securechat.errors import SecureChatError
from securechat.irc.modes import CHANNEL_MODES
from securechat.server.bans import Ban
from securechat.server.events import SessionId
from securechat.server.names import Names
from securechat.server.network import Network, NetworkLimits
from securechat.server.plain import Form, NotPlain, fields_of, form_of, list_in, named
from securechat.server.state import (
    AnnouncedDevice,
    Channel,
    Device,
    Membership,
    Pair,
    Relay,
    User,
    UserId,
    WhowasEntry,
)

__all__ = [
    "SNAPSHOT_BYTES",
    "SNAPSHOT_VERSION",
    "SnapshotError",
    "digest",
    "digest_of",
    "from_bytes",
    "restore",
    "take_snapshot",
    "to_bytes",
]

K = TypeVar("K")
V = TypeVar("V")

SNAPSHOT_VERSION: Final = 1
"""Of the plain form. It is raised with whatever is changed in it."""

SNAPSHOT_BYTES: Final = 1 << 28
"""Most bytes of a snapshot as JSON, before it is compressed: what 250,000 people in rooms take."""

_LEVEL: Final = 1
"""Of the compression: it takes a third of the time of the usual one, for a fifth more bytes."""


class SnapshotError(SecureChatError):
    """It is no snapshot, or none that this network can take. The text says why."""


# ---- its form ----


class _Member(NamedTuple):
    """What is read of a ``Membership``."""

    user: UserId
    ranks: frozenset[str]
    since_ms: int
    founder: bool


def _members(members: Mapping[UserId, Membership]) -> list[list[Any]]:
    return [
        [key, sorted(member.ranks) if member.ranks else [], member.since_ms, member.founder]
        for key, member in members.items()
    ]


def _user_ids(users: Mapping[SessionId, User]) -> dict[SessionId, UserId]:
    return {session: user.id for session, user in users.items()}


def _channel_names(channels: Mapping[str, Iterable[Channel]]) -> dict[str, list[str]]:
    return {
        account: [channel.name for channel in found if not channel.ended]
        for account, found in channels.items()
    }


def _written(hint: Any, write: Callable[[Any], Any]) -> Form:
    """Return a form that is written of what ``write`` makes of a value, by the annotation of that,
    which is also what is read.
    """
    form = form_of(hint)
    return Form(lambda value: form.to_plain(write(value)), form.from_plain)


def _values_of(made: type, /, but: Collection[str] = (), **others: Form) -> Form:
    """Return the form of a ``dict`` that can be made of its values, which are such objects.

    What is read is the fields of each.
    """
    fields = fields_of(made, but, **others)
    return Form(
        lambda values: [fields.to_plain(value) for value in values.values()],
        lambda plain: [fields.from_plain(value) for value in list_in(plain)],
    )


_AS_READ: Final[Mapping[str, Form]] = {
    name: form_of(hint)
    for name, hint in {
        "devices": dict[SessionId, Device],
        "closed_accounts": set[str],
        "monitors": dict[SessionId, dict[str, str]],
        "watchers": dict[str, dict[SessionId, None]],
        "settings": dict[str, dict[str, str]],
        "read_markers": dict[str, dict[str, int]],
        "metadata": dict[str, dict[str, str]],
        "subscriptions": dict[SessionId, dict[str, None]],
        "subscribers": dict[str, dict[SessionId, None]],
        "announced": dict[SessionId, AnnouncedDevice],
        "pairs": dict[str, Pair],
        "relays": dict[str, Relay],
        "relays_started": int,
        "log_hash": int,
        "restored_users": int,
        "most_users": int,
    }.items()
}
"""The attributes of a network that are what is read."""

_STATE: Final = named(
    {
        "limits": form_of(NetworkLimits),
        "users": _values_of(
            User, but=("active_ms", "sessions"), channels=_written(list[str], list)
        ),
        "sessions": _written(dict[SessionId, UserId], _user_ids),
        "gone": _written(list[UserId], list),
        "channels": _values_of(Channel, members=Form(_members, form_of(list[_Member]).from_plain)),
        "present_before": _written(dict[str, list[str]], _channel_names),
        "accounts": _written(list[str], dict.values),
        "bans": form_of(list[Ban]),
        "departed": form_of(list[WhowasEntry]),
        **_AS_READ,
    }
)
"""The attributes of a network that are in a snapshot. The others are made of them."""


# ---- to and fro ----


def take_snapshot(network: Network) -> dict[str, Any]:
    """Return all of the state, as JSON has it, which shares nothing with it that can be changed.

    The caller holds the network lock: some 10 microseconds for each user.
    """
    return {
        "version": SNAPSHOT_VERSION,
        "names": _kind_of(network.names),
        **_STATE.to_plain(network),
    }


def restore(network: Network, plain: object) -> None:
    """Make ``network`` what it was when the snapshot was taken, whatever it is now.

    Its form is checked, and that its parts agree; not whether the rules could have led there. The
    caller holds the network lock.

    :raises SnapshotError: it cannot be taken: ``network`` is as before.
    """
    try:
        made = _made(_STATE.from_plain(_state_in(plain, network.names)), network.names)
    except NotPlain as error:
        raise SnapshotError("this is no snapshot of a chat: {error}", error=error) from None
    vars(network).update(vars(made))


def digest(network: Network) -> str:
    """Return what equal states have in common and others do not: ``digest_of`` a snapshot of it.

    For tests: the caller holds the network lock, under which nothing should take so long.
    """
    return digest_of(take_snapshot(network))


def digest_of(plain: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a snapshot as JSON, in hex.

    :raises SnapshotError: a text in it has half a character.
    """
    return hashlib.sha256(_json(plain)).hexdigest()


def to_bytes(plain: Mapping[str, Any]) -> bytes:
    """Return a snapshot as compressed JSON.

    :raises SnapshotError: it is over ``SNAPSHOT_BYTES``, or a text in it has half a character.
    """
    data = _json(plain)
    if len(data) > SNAPSHOT_BYTES:
        raise _too_large()
    return zlib.compress(data, _LEVEL)


def from_bytes(data: bytes) -> dict[str, Any]:
    """Return what ``to_bytes`` has made bytes of, or perhaps something else: ``restore`` checks it.

    :raises SnapshotError: it is no compressed JSON, or over ``SNAPSHOT_BYTES``.
    """
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(data, SNAPSHOT_BYTES)
        if unpacking.unconsumed_tail:
            raise _too_large()
        if not unpacking.eof:
            raise SnapshotError("this snapshot is cut off")
        plain = json.loads(text)
    except (zlib.error, ValueError, RecursionError):
        raise SnapshotError("this snapshot is damaged: it is no compressed JSON") from None
    if type(plain) is not dict:
        raise SnapshotError("this snapshot is damaged: it is no object")
    return plain


def _json(plain: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise SnapshotError("a text in the state has half a character") from None


def _too_large() -> SnapshotError:
    return SnapshotError("this snapshot has over {limit} bytes", limit=SNAPSHOT_BYTES)


def _kind_of(names: Names) -> str:
    return names.utf8_mapping or "ascii"


def _state_in(plain: object, names: Names) -> dict[str, Any]:
    """Return the state in a snapshot, which is of this version and of a chat with such names."""
    if type(plain) is not dict:
        raise NotPlain("an object is wanted")
    state = plain.copy()
    version, kind = state.pop("version", None), state.pop("names", None)
    if type(version) is not int:
        raise NotPlain("it has no version")
    if version != SNAPSHOT_VERSION:
        raise SnapshotError(
            "this snapshot is of version {version}, and this relay knows version {own}: all relays "
            "of a chat need the same version of securechat",
            version=version,
            own=SNAPSHOT_VERSION,
        )
    if kind != _kind_of(names):
        raise SnapshotError(
            "this snapshot is of a chat with another [server] casemapping: it must be the same on "
            "all relays"
        )
    return state


# ---- a network of what was read ----


def _made(saved: dict[str, Any], names: Names) -> Network:
    limits: NetworkLimits = saved["limits"]
    if limits.whowas_entries < 0:
        raise NotPlain("limits: a number is below 0")
    network = Network(limits, names)
    for name in _AS_READ:
        setattr(network, name, saved[name])
    rooms = _add_users(network, saved)
    _add_channels(network, saved)
    for user, keys in rooms.items():
        user.channels = {key: _found(network.channels, key) for key in keys}
    for name in saved["accounts"]:
        network.add_account(name)
    _add_bans(network, saved["bans"])
    network.departed.extend(saved["departed"])
    for session, device in network.announced.items():
        network.reachable.setdefault(device.account, {})[session] = None
    for identifier, pair in network.pairs.items():
        for session in pair.sessions:
            network.pairs_of.setdefault(session, {})[identifier] = None
    _check(network)
    return network


def _add_users(network: Network, saved: dict[str, Any]) -> dict[User, list[str]]:
    """Put in the users with their sessions; return the keys of the channels of each."""
    rooms = {}
    for fields in saved["users"]:
        keys = fields.pop("channels")
        user = User(**fields, active_ms=fields["connected_ms"])
        rooms[user] = keys
        network.users[user.id] = user
        network.take_nick(user)
        network.mode_counts.update(user.modes)
    if not len(rooms) == len(network.users) == len(network.nicks):
        raise NotPlain("users: one is there twice")
    for session, user_id in saved["sessions"].items():
        user = network.sessions[session] = _found(network.users, user_id)
        user.sessions.append(session)
    network.gone = {key: _found(network.users, key) for key in saved["gone"]}
    return rooms


def _add_channels(network: Network, saved: dict[str, Any]) -> None:
    for fields in saved["channels"]:
        members: list[_Member] = fields.pop("members")
        channel = Channel(**fields)
        channel.members = {
            key: Membership(_found(network.users, key), set(ranks), since_ms, founder)
            for key, ranks, since_ms, founder in members
        }
        if channel.lists.keys() != set(CHANNEL_MODES.list):
            raise NotPlain("channels: a list is missing")
        network.channels[network.fold(channel.name)] = channel
        if channel.owner is not None:
            network.count_room(channel.owner, 1)
    if len(network.channels) != len(saved["channels"]):
        raise NotPlain("channels: one is there twice")
    network.present_before = {
        account: [_found(network.channels, network.fold(name)) for name in names]
        for account, names in saved["present_before"].items()
    }


def _add_bans(network: Network, bans: Iterable[Ban]) -> None:
    for ban in bans:
        try:
            network.bans.add(ban)
        except ValueError:
            raise NotPlain("bans: one is of no network") from None


def _found(known: Mapping[K, V], key: K) -> V:
    found = known.get(key)
    if found is None:
        raise NotPlain("a user or a channel is not there")
    return found


def _check(network: Network) -> None:
    """Check that what is told twice, for the order on either side, is told alike."""
    attached = {user.id for user in network.sessions.values()}
    agreed = {
        "devices": list(network.devices) == list(network.sessions),
        "gone": network.gone.keys() == network.users.keys() - attached,
        "members": _links(network.users, lambda user: user.channels)
        == _links(network.channels, lambda channel: channel.members, turned=True),
        "monitors": _links(network.monitors) == _links(network.watchers, turned=True),
        "subscriptions": _links(network.subscriptions) == _links(network.subscribers, turned=True),
        "announced": network.announced.keys() <= network.sessions.keys(),
        "pairs": network.pairs_of.keys() <= network.announced.keys(),
    }
    for name, agrees in agreed.items():
        if not agrees:
            raise NotPlain("{name}: this does not agree with the rest", name=name)


def _links(
    found: Mapping[Any, Any],
    inner: Callable[[Any], Iterable[Any]] = iter,
    *,
    turned: bool = False,
) -> set[tuple[Any, Any]]:
    """Return what leads to what, or the other way round."""
    return {
        (each, key) if turned else (key, each)
        for key, value in found.items()
        for each in inner(value)
    }
