"""The bans of the whole relay: whom operators keep out, and how it is found whether they are.

There are two kinds. A *K-line* is a mask of ``nick!user@host``, compared with the host that others
see, with the cloak and with the address. A *D-line* is an address or a network: who comes from
there gets no handshake. Loopback is in no D-line: whoever runs the relay must get in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from securechat.irc.masks import matches
from securechat.server.addresses import parse_ip, parse_ip_range
from securechat.server.events import BanKind
from securechat.server.names import Fold

__all__ = ["BANS_MOST", "AddressBans", "Ban", "Bans", "covers_any"]

BANS_MOST: Final[Mapping[BanKind, int]] = {"K": 1_000, "D": 10_000}
"""Most bans of each kind. Each mask is compared with everybody who registers, in some microseconds
and under the network lock; a network is found at once, and 10,000 take a few megabytes."""


class Ban(NamedTuple):
    """A ban. ``mask`` is in its final form; ``expires_ms`` is ``None`` for one without an end.

    ``by`` is for people to read. Times are milliseconds since 1970 UTC.
    """

    kind: BanKind
    mask: str
    reason: str
    by: str
    set_ms: int
    expires_ms: int | None = None

    def in_force(self, at_ms: int) -> bool:
        """Whether the ban has not ended by then."""
        return self.expires_ms is None or at_ms < self.expires_ms


def covers_any(mask: str, nick: str, username: str, hosts: Iterable[str]) -> bool:
    """Whether the mask of a K-line covers somebody who can be said to have any of these hosts."""
    return any(matches(mask, f"{nick}!{username}@{host}") for host in hosts)


class AddressBans:
    """Bans of networks, found by an address whatever their number. Guarded by its owner."""

    def __init__(self) -> None:
        # By IP version and length of the prefix; then by the bits of the prefix, as a number.
        self._found: dict[tuple[int, int], dict[int, Ban]] = {}

    def add(self, ban: Ban) -> None:
        """Take in a ban, instead of the one of the same network."""
        place, bits = _place(ban.mask)
        self._found.setdefault(place, {})[bits] = ban

    def remove(self, mask: str) -> None:
        """Let go of the ban of that network; does nothing if there is none."""
        place, bits = _place(mask)
        bans = self._found.get(place, {})
        bans.pop(bits, None)
        if not bans:
            self._found.pop(place, None)

    def find(self, address: str, at_ms: int) -> Ban | None:
        """Return a ban in force that covers the IP address."""
        if not self._found:
            return None
        parsed = parse_ip(address)
        if parsed.is_loopback:
            return None
        number = int(parsed)
        for (version, length), bans in self._found.items():
            if version == parsed.version:
                ban = bans.get(number >> (parsed.max_prefixlen - length))
                if ban is not None and ban.in_force(at_ms):
                    return ban
        return None


def _place(mask: str) -> tuple[tuple[int, int], int]:
    parsed = parse_ip_range(mask)
    bits = int(parsed.network_address) >> (parsed.max_prefixlen - parsed.prefixlen)
    return (parsed.version, parsed.prefixlen), bits


class Bans:
    """All bans, those that have ended included until they are removed. Guarded by its owner.

    :param fold: bans of a kind whose masks fold alike are one.
    """

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._by_kind: dict[BanKind, dict[str, Ban]] = {"K": {}, "D": {}}
        self._networks = AddressBans()

    def key(self, mask: str) -> str:
        """Return what equal masks share."""
        return self._fold(mask)

    def get(self, kind: BanKind, mask: str) -> Ban | None:
        """Return the ban of that mask, folded or not."""
        return self._by_kind[kind].get(self.key(mask))

    def add(self, ban: Ban) -> None:
        """Take in a ban, instead of the one of the same mask."""
        bans, key = self._by_kind[ban.kind], self.key(ban.mask)
        bans.pop(key, None)  # the latest last
        bans[key] = ban
        if ban.kind == "D":
            self._networks.add(ban)

    def remove(self, ban: Ban) -> None:
        """Let go of a ban that is there."""
        del self._by_kind[ban.kind][self.key(ban.mask)]
        if ban.kind == "D":
            self._networks.remove(ban.mask)

    def in_force(self, kind: BanKind, at_ms: int) -> list[Ban]:
        """Return the bans of that kind that have not ended by then, the oldest first."""
        return [ban for ban in self._by_kind[kind].values() if ban.in_force(at_ms)]

    def ended(self, at_ms: int) -> list[Ban]:
        """Return the bans that have ended by then."""
        return [ban for ban in self if not ban.in_force(at_ms)]

    def covering(self, nick: str, username: str, hosts: Iterable[str], at_ms: int) -> Ban | None:
        """Return a K-line in force that covers somebody: see ``covers_any``."""
        hosts = tuple(hosts)
        for ban in self._by_kind["K"].values():
            if covers_any(ban.mask, nick, username, hosts) and ban.in_force(at_ms):
                return ban
        return None

    def of_address(self, address: str, at_ms: int) -> Ban | None:
        """Return a D-line in force that covers the IP address."""
        return self._networks.find(address, at_ms)

    def __iter__(self) -> Iterator[Ban]:
        for bans in self._by_kind.values():
            yield from bans.values()
