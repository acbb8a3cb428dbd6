"""How many connections each address may have.

A web gateway (WEBIRC) connects for many people: it may have as many connections as it wants, and
each counts for the address that the gateway names, once it has.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable

from securechat.net.limits import AddressCounter
from securechat.server.cloak import network_of

__all__ = ["Admission", "Seat"]

_log = logging.getLogger(__name__)

_TOO_MANY = "Too many connections from your address"


class Admission:
    """Who may connect. Safe from any thread.

    :param most: connections in all.
    :param most_per_address: connections from one place (see ``network_of``); 0 for no limit.
    :param exempt: networks of which any number may come; loopback is one.
    """

    def __init__(self, most: int, most_per_address: int, exempt: Iterable[str]) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._exempt = [ipaddress.ip_network(network) for network in exempt]
        self._counter = AddressCounter()

    def take(self, address: str) -> Seat | None:
        """Count a connection, which gets a seat; it may be one with a refusal.

        ``None`` if it is not worth a handshake.
        """
        if self._counter.total() >= self._most:  # the registry may be a turn behind
            _log.warning("refused %s: all %d connections are in use", address, self._most)
            return None
        seat = Seat(self, address)
        if seat.count > 2 * self._most_per_address and seat.refusal:
            seat.leave()
            return None
        return seat

    def enter(self, address: str) -> tuple[int, str]:
        """Count a connection; return how many there are from there, and why it may not be one."""
        place = network_of(address)
        count = self._counter.add(place)
        most = self._most_per_address
        if not most or count <= most or self._is_exempt(address):
            return count, ""
        _log.warning("refused %s: %d connections from there", address, count)
        return count, _TOO_MANY

    def leave(self, address: str) -> None:
        """Count a connection no longer."""
        self._counter.remove(network_of(address))

    def _is_exempt(self, address: str) -> bool:
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return parsed.is_loopback or any(parsed in network for network in self._exempt)


class Seat:
    """What one connection takes up of the limits. Owned by whoever serves the connection.

    ``refusal`` is what to tell the client before it is closed, empty if it may stay.
    """

    __slots__ = ("_admission", "address", "count", "refusal")

    def __init__(self, admission: Admission, address: str) -> None:
        self._admission = admission
        self.address = address
        self.count, self.refusal = admission.enter(address)

    def move(self, address: str) -> None:
        """Count for another address from now on."""
        self._admission.leave(self.address)
        self.address = address
        self.count, self.refusal = self._admission.enter(address)

    def leave(self) -> None:
        """Count no longer. Once."""
        self._admission.leave(self.address)
