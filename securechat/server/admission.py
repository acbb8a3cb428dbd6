"""Which addresses may connect, and how many connections each may have.

A web gateway (WEBIRC) connects for many people: it may have as many connections as it wants, and
each counts for the address that the gateway names, once it has. So bans of addresses are for those
whom a gateway names, not for the gateway.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from securechat.net.limits import AddressCounter
from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.server.addresses import parse_ip, parse_ip_range
from securechat.server.ban_words import farewell
from securechat.server.bans import AddressBans, Ban
from securechat.server.cloak import network_of

__all__ = ["Admission", "Seat"]

_log = logging.getLogger(__name__)

_TOO_MANY = "Too many connections from your address"


class Admission:
    """Who may connect. Safe from any thread.

    :param most: connections in all.
    :param most_per_address: connections from one place (see ``network_of``); 0 for no limit.
    :param exempt: networks of which any number may come, and which no ban keeps out; loopback is
        one.
    :param wall_clock: seconds since 1970 UTC: bans end.
    """

    def __init__(
        self,
        most: int,
        most_per_address: int,
        exempt: Iterable[str],
        *,
        wall_clock: Clock = time.time,
    ) -> None:
        self._counter = AddressCounter()
        self._wall_clock = wall_clock
        self._lock = make_lock("banned addresses", tier=1)  # guards _bans
        self._bans = AddressBans()
        self.configure(most, most_per_address, exempt)

    def configure(self, most: int, most_per_address: int, exempt: Iterable[str]) -> None:
        """Go by other limits from now on; who is there stays."""
        self._most = most
        self._most_per_address = most_per_address
        self._exempt = [parse_ip_range(network) for network in exempt]

    def ban(self, ban: Ban) -> None:
        """Let in nobody any more whom a D-line covers; who is there stays."""
        with self._lock:
            self._bans.add(ban)

    def end_ban(self, ban: Ban) -> None:
        """Let them in again."""
        with self._lock:
            self._bans.remove(ban.mask)

    def take(self, address: str) -> Seat | None:
        """Count a connection, which gets a seat; it may be one with a refusal.

        ``None`` if it is not worth a handshake.
        """
        if self._find_ban(address) is not None:
            _log.info("refused %s: banned", address)
            return None
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
        ban = self._find_ban(address)
        if ban is not None:
            return count, farewell(ban.reason)
        most = self._most_per_address
        if not most or count <= most or self._is_exempt(address):
            return count, ""
        _log.warning("refused %s: %d connections from there", address, count)
        return count, _TOO_MANY

    def leave(self, address: str) -> None:
        """Count a connection no longer."""
        self._counter.remove(network_of(address))

    def _find_ban(self, address: str) -> Ban | None:
        now_ms = int(self._wall_clock() * 1000)
        with self._lock:
            ban = self._bans.find(address, now_ms)
        return None if ban is None or self._is_exempt(address) else ban

    def _is_exempt(self, address: str) -> bool:
        parsed = parse_ip(address)
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
