"""IP addresses and networks, with IPv4 inside IPv6 being IPv4."""

from __future__ import annotations

import ipaddress
from typing import Final, TypeAlias

__all__ = ["Address", "AddressRange", "parse_ip", "parse_ip_range"]

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

AddressRange: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_MAPPED_BITS: Final = 96
"""Bits before an IPv4 address inside an IPv6 one."""


def parse_ip(text: str) -> Address:
    """Return the address, without its zone. Raises ``ValueError`` if it is none."""
    parsed = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def parse_ip_range(text: str) -> AddressRange:
    """Return the network that ``text`` names, or the one of this address alone.

    Bits of an address inside the network do not matter. Raises ``ValueError`` if it is neither.
    """
    parsed = ipaddress.ip_network(text, strict=False)
    if isinstance(parsed, ipaddress.IPv6Network) and parsed.prefixlen >= _MAPPED_BITS:
        mapped = parsed.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, parsed.prefixlen - _MAPPED_BITS))
    return parsed
