"""What IRC calls servers: the relays of the chat, as people see them.

This relay has the name that is the source of its messages; the others have those by which the
relays know each other. Where there is one relay, it is all there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.server.network import Network
from securechat.server.state import Relay, User, relay_of

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["Server", "announced_addresses", "home_server", "seen_servers"]

_ANNOUNCED_BYTES: Final = 320
"""Most bytes of the addresses that are announced: with their name in one line of 005. A dozen."""


class Server(NamedTuple):
    """A relay: its name, what it is in a few words, and how many lie between it and this one."""

    name: str
    info: str
    hops: int


def seen_servers(services: Services) -> Iterator[Server]:
    """Yield all relays, this one first. Requires holding the network lock."""
    yield _this(services)
    own = services.config.cluster.relay
    for relay in services.network.relays.values():
        if relay.name != own:
            yield _other(relay, services)


def home_server(services: Services, user: User) -> Server:
    """Return the relay that the latest session of ``user`` is connected to.

    This one has those who have none, since they are always on. Requires holding the network lock.
    """
    if user.sessions and services.network.relays:
        incarnation = relay_of(user.sessions[-1])
        for relay in services.network.relays.values():
            if relay.incarnation == incarnation and relay.name != services.config.cluster.relay:
                return _other(relay, services)
    return _this(services)


def announced_addresses(network: Network, own: str) -> list[str]:
    """Return where clients find the relays, that of the name ``own`` first; as many as fit a line.

    The others follow in the order in which they came, beginning after this one: where some have no
    place, each relay announces different ones. Requires holding the network lock.
    """
    relays = list(network.relays.values())
    start = next((n for n, relay in enumerate(relays) if relay.name == own), 0)
    found: list[str] = []
    size = 0
    for relay in (*relays[start:], *relays[:start]):
        if relay.address:
            size += len(relay.address) + 1
            if size > _ANNOUNCED_BYTES:
                break
            found.append(relay.address)
    return found


def _this(services: Services) -> Server:
    config = services.config.server
    return Server(config.name, config.description, 0)


def _other(relay: Relay, services: Services) -> Server:
    return Server(relay.name, relay.address or services.config.server.network, 1)
