"""The relays that make one chat: which there are, and what becomes of the people of a lost one."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, get_args

from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Fail
from securechat.server.rules.rule import Rule
from securechat.server.rules.users import end_sessions
from securechat.server.state import RELAY_SLOTS, AlwaysOn, Relay, User, relay_of

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "STARTED_SINCE"]

STARTED_SINCE: Final = "RELAY_STARTED_SINCE"
"""Why a relay is not taken in that did not know of the one that has its name: it may try again."""

_AGAIN: Final = "It has started again"


def start_relay(network: Network, event: events.RelayStarted) -> list[Effect]:
    """Take a relay in. One that has its name, and has not been missed yet, is gone."""
    stamp, name = event.stamp, event.name
    earlier = network.relays.get(name)
    if earlier is not None and earlier.incarnation > event.known:
        raise Fail("*", STARTED_SINCE, text="A relay of this name has started since")
    gone = _end_relay(network, stamp, earlier, _AGAIN) if earlier is not None else []
    taken = {relay.slot for relay in network.relays.values()}
    slot = next((slot for slot in range(RELAY_SLOTS) if slot not in taken), None)
    if slot is None:
        raise Fail("*", "TOO_MANY_RELAYS", text=f"There are {RELAY_SLOTS} relays already")
    network.relays_started += 1
    started = Relay(name, network.relays_started, slot, event.address, stamp.at_ms)
    network.relays[name] = started
    return [*gone, effects.RelayCame(stamp, name)]


def lose_relay(network: Network, event: events.RelayLost) -> list[Effect]:
    """Have a relay be gone; does nothing if it has been missed before, or has started again."""
    relay = network.relays.get(event.name)
    if relay is None or relay.incarnation != event.incarnation:
        return []
    return _end_relay(network, event.stamp, relay, event.reason)


def _end_relay(network: Network, stamp: Stamp, relay: Relay, reason: str) -> list[Effect]:
    del network.relays[relay.name]
    found: list[Effect] = [effects.RelayGone(stamp, relay.name, relay.incarnation, reason)]
    ended: dict[User, list[SessionId]] = {}
    for session, user in network.sessions.items():
        if relay_of(session) == relay.incarnation:
            ended.setdefault(user, []).append(session)
    for user, sessions in ended.items():
        found += end_sessions(network, stamp, user, sessions, f"{relay.name}: {reason}")
    return found


def reload(network: Network, event: events.Reload) -> list[Effect]:
    """Go by other limits. Those that are missing, or unknown, are left as they are."""
    numbers = {
        field.name: int(given)
        for field in dataclasses.fields(network.limits)
        if (given := event.limits.get(field.name, "")).isdecimal()
    }
    wanted = event.limits.get("always_on")
    always_on: AlwaysOn = next(
        (each for each in get_args(AlwaysOn) if each == wanted), network.limits.always_on
    )
    network.limits = dataclasses.replace(network.limits, **numbers, always_on=always_on)
    network.departed = deque(network.departed, maxlen=network.limits.whowas_entries)
    return [effects.Reloaded(event.stamp, event.relay)]


RULES: Final[Mapping[type[Event], Rule]] = {
    events.RelayStarted: start_relay,
    events.RelayLost: lose_relay,
    events.Reload: reload,
}
"""The rule of each event."""
