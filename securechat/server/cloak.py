"""What others see instead of a person's address.

The same address gives the same cloak, so that bans by host work; nobody can compute one from the
other without the relay's secret. Addresses are for the relay's log and its operators.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
from typing import Final

__all__ = ["CLOAK_SUFFIX", "HOST_LENGTH", "cloak", "network_of"]

CLOAK_SUFFIX: Final = ".ip"
"""How all cloaks end."""

_DIGEST_BYTES: Final = 10

HOST_LENGTH: Final = 63
"""Most characters of a host that others see: of a cloak, which is shorter, or of one that an
operator has given. HOSTLEN is 63 on most networks."""


def network_of(address: str) -> str:
    """Return what counts as one place: an IPv4 address, or the /64 of an IPv6 one (one customer).

    IPv4 addresses inside IPv6 ones count as IPv4.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        if not parsed.is_loopback:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def cloak(secret: bytes, address: str) -> str:
    """Return the host that others see for ``address``."""
    digest = hmac.digest(secret, network_of(address).encode(), "sha256")[:_DIGEST_BYTES]
    return base64.b32encode(digest).decode().lower() + CLOAK_SUFFIX
