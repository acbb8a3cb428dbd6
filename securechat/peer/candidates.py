"""Where a device may be reached directly: which of our addresses we tell, which of theirs we try.

Candidates come from the other side, and a hostile one could have us dial whatever it likes. So
those that can only do harm are refused, and few are tried. Addresses of private networks are let
through: two devices in one house find each other by them.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from securechat.irc.peering import Candidate

__all__ = ["CANDIDATES_TRIED", "LEAST_PORT", "choose", "local_addresses", "why_refused"]

CANDIDATES_TRIED: Final = 16
"""Most candidates dialled for one offer: more than a device with several networks has, and too few
to search a network with."""

LEAST_PORT: Final = 1_024
"""Below are the system ports (RFC 6335), where services of others listen, and no client."""

_LOOPBACK: Final = "a loopback address"
_REFUSED: Final = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "an unspecified address"),
        ("127.0.0.0/8", _LOOPBACK),
        ("169.254.0.0/16", "a link-local address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved or broadcast address"),
        ("::/128", "an unspecified address"),
        ("::1/128", _LOOPBACK),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_IPV6_UNICAST: Final = (ip_network("2000::/3"), ip_network("fc00::/7"))
"""Global and private addresses (RFC 4291, RFC 4193). All others are link-local or reserved."""

_NAT64: Final = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address

_ELSEWHERE: Final = (("192.0.2.1", 9), ("2001:db8::1", 9))
"""Addresses of documentation (RFC 5737, RFC 3849) and the discard port: they are nobody's, so the
way to them is the default route."""


def why_refused(
    candidate: Candidate, *, relay: Candidate | None, allow_loopback: bool = False
) -> str:
    """Return why the candidate must not be dialled; empty for one that may.

    An IPv6 address that stands for an IPv4 address is judged as that one.

    :param relay: where we are connected to the relay: that is nobody's device.
    :param allow_loopback: for tests, where all are on one machine.
    """
    address = _meant(candidate.address)
    if candidate.port < LEAST_PORT:
        return "a system port"
    if relay is not None and (address, candidate.port) == (_meant(relay.address), relay.port):
        return "the relay itself"
    why = _why_unfit(address)
    return "" if allow_loopback and why == _LOOPBACK else why


def choose(
    candidates: Iterable[Candidate],
    already: Collection[Candidate],
    *,
    relay: Candidate | None,
    allow_loopback: bool = False,
) -> list[Candidate]:
    """Return those to dial, each once, in the order of the other side.

    :param already: what was chosen before for the same offer; both together keep to
        ``CANDIDATES_TRIED``.
    """
    chosen: list[Candidate] = []
    for candidate in candidates:
        if len(already) + len(chosen) >= CANDIDATES_TRIED:
            break
        if candidate in already or candidate in chosen:
            continue
        if not why_refused(candidate, relay=relay, allow_loopback=allow_loopback):
            chosen.append(candidate)
    return chosen


def local_addresses(toward: tuple[str, int] | None) -> list[str]:
    """Return the addresses by which this machine would go out: to the relay, and by default.

    These are few on purpose. Whoever is told all addresses of a machine learns of its other
    networks (of an employer, a VPN, virtual machines) and knows it again by them. IPv6 addresses
    are temporary ones (RFC 8981) where the system prefers those.

    Asks only for the route; nothing is sent, and nothing blocks.

    :param toward: IP address and port of the relay.
    """
    ways = _ELSEWHERE if toward is None else (toward, *_ELSEWHERE)
    found = dict.fromkeys(filter(None, map(_source_address, ways)))
    return [address for address in found if not _why_unfit(ip_address(address))]


def _source_address(way: tuple[str, int]) -> str:
    """The address that a datagram of ours to there would come from; empty if there is no way."""
    family = socket.AF_INET6 if ":" in way[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(way)
            return str(sock.getsockname()[0])
    except OSError:
        return ""


def _meant(text: str) -> IPv4Address | IPv6Address:
    """The address, or the IPv4 address that is inside it: where the packets go in the end."""
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


def _why_unfit(address: IPv4Address | IPv6Address) -> str:
    for network, why in _REFUSED:
        if address in network:
            return why
    if address.version == 6 and not any(address in network for network in _IPV6_UNICAST):
        return "a reserved address"
    return ""
