from __future__ import annotations

import re

import pytest

from securechat.server.cloak import HOST_LENGTH, cloak, network_of

SECRET = b"s" * 32


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
    ],
)
def test_what_counts_as_one_place(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_cloak_is_the_same_for_a_place_and_differs_between_places_and_relays() -> None:
    assert cloak(SECRET, "192.0.2.1") == cloak(SECRET, "::ffff:192.0.2.1")
    assert cloak(SECRET, "2001:db8::1") == cloak(SECRET, "2001:db8::2")
    addresses = [f"192.0.2.{number}" for number in range(256)] + ["2001:db8::1", "::1"]
    assert len({cloak(SECRET, address) for address in addresses}) == len(addresses)
    assert cloak(SECRET, "192.0.2.1") != cloak(b"t" * 32, "192.0.2.1")


def test_a_cloak_does_not_change_between_versions() -> None:
    """Bans by host are kept by people."""
    assert cloak(SECRET, "192.0.2.1") == "tdybzmf7d7ton6e7.ip"


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::1"])
def test_a_cloak_looks_like_a_host_and_tells_nothing(address: str) -> None:
    host = cloak(SECRET, address)
    assert re.fullmatch(r"[a-z2-7]+\.ip", host)
    assert len(host) <= HOST_LENGTH
    assert address not in host
