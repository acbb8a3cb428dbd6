"""IP addresses and networks, with IPv4 inside IPv6 being IPv4."""

from __future__ import annotations

import pytest

from securechat.server.addresses import parse_ip, parse_ip_range


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert str(parse_ip(text)) == address


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.77/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/80", "::/80"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert str(parse_ip_range(text)) == network


@pytest.mark.parametrize("text", ["", "x", "192.0.2", "192.0.2.1/33", "2001:db8::/129", "*"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="not appear to be"):
        parse_ip_range(text)
    with pytest.raises(ValueError, match="not appear to be"):
        parse_ip(text)
