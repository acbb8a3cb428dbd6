"""Bans of the whole relay: who sets them, and who is put off.

A ban that has ended counts no more from that moment on; it is forgotten with the next change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.server import effects, events
from securechat.server.addresses import parse_ip, parse_ip_range
from securechat.server.ban_words import farewell
from securechat.server.bans import BANS_MOST, Ban, covers_any
from securechat.server.effects import Effect
from securechat.server.events import BanKind, Event, SessionId, Stamp
from securechat.server.refusals import Fail
from securechat.server.rules.operators import operator_of
from securechat.server.rules.rule import Rule
from securechat.server.rules.users import put_off
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES"]

_CAUSE: Final = "Banned"

_TOO_MANY: Final = "There are as many bans as there may be: end some first"
_YOURSELF: Final = "This would ban you too"
_NO_SUCH_BAN: Final = "There is no such ban"


class _Hit(NamedTuple):
    """Whom a ban covers of a user: some devices, or all that they are."""

    user: User
    devices: tuple[SessionId, ...]
    whole: bool


def add_ban(network: Network, event: events.AddBan) -> list[Effect]:
    """Ban whom a mask covers, and put off those who are there."""
    stamp, bans = event.stamp, network.bans
    ban = Ban(event.kind, event.mask, event.reason, event.by, stamp.at_ms, event.expires_ms)
    if stamp.session:
        user = operator_of(network, event)
        if _covered(network, ban, user).devices:
            raise _refusal(f"{ban.kind}LINE", "BANS_YOU", ban.mask, _YOURSELF)
    known = bans.in_force(ban.kind, stamp.at_ms)
    if len(known) >= BANS_MOST[ban.kind] and bans.get(ban.kind, ban.mask) not in known:
        raise _refusal(f"{ban.kind}LINE", "TOO_MANY_BANS", ban.mask, _TOO_MANY)
    found = _forget_ended(network, stamp)
    bans.add(ban)
    hits = [
        hit
        for user in network.users.values()
        if not _is_exempt(ban.kind, user)
        for hit in [_covered(network, ban, user)]
        if hit.devices or hit.whole
    ]
    count = sum(len(hit.devices) for hit in hits)
    found.append(effects.BanAdded(stamp, ban, count, _operators(network)))
    text = farewell(ban.reason)
    for user, devices, whole in hits:
        found += put_off(network, stamp, user, devices, text, _CAUSE, may_stay=not whole)
    return found


def remove_ban(network: Network, event: events.RemoveBan) -> list[Effect]:
    """End a ban."""
    stamp = event.stamp
    if stamp.session:
        operator_of(network, event)
    ban = network.bans.get(event.kind, event.mask)
    if ban is None or not ban.in_force(stamp.at_ms):
        raise _refusal(f"UN{event.kind}LINE", "NO_SUCH_BAN", event.mask, _NO_SUCH_BAN)
    network.bans.remove(ban)
    removed = effects.BanRemoved(stamp, ban, event.by, _operators(network))
    return [removed, *_forget_ended(network, stamp)]


def _is_exempt(kind: BanKind, user: User) -> bool:
    return kind == "K" and "o" in user.modes


def _covered(network: Network, ban: Ban, user: User) -> _Hit:
    if ban.kind == "D":
        banned = parse_ip_range(ban.mask)
        places = ((key, parse_ip(network.devices[key].address)) for key in user.sessions)
        from_there = [key for key, place in places if place in banned and not place.is_loopback]
        return _Hit(user, tuple(from_there), False)
    if covers_any(ban.mask, user.nick, user.username, (user.host, user.cloak)):
        return _Hit(user, tuple(user.sessions), True)
    devices = [
        key
        for key in user.sessions
        if covers_any(ban.mask, user.nick, user.username, network.devices[key].hosts)
    ]
    return _Hit(user, tuple(devices), False)


def _operators(network: Network) -> tuple[User, ...]:
    if not network.mode_counts["o"]:
        return ()
    return tuple(user for user in network.users.values() if "o" in user.modes)


def _forget_ended(network: Network, stamp: Stamp) -> list[Effect]:
    ended = network.bans.ended(stamp.at_ms)
    for ban in ended:
        network.bans.remove(ban)
    return [effects.BanRemoved(stamp, ban, "", ()) for ban in ended]


def _refusal(command: str, code: str, mask: str, text: str) -> Fail:
    return Fail(command, code, mask, text=text)


RULES: Final[Mapping[type[Event], Rule]] = {
    events.AddBan: add_ban,
    events.RemoveBan: remove_ban,
}
"""The rule of each event."""
