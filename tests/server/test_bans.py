"""Bans, and how they are found."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.irc.casemapping import fold
from securechat.server.ban_words import normalise_ban_mask
from securechat.server.bans import AddressBans, Ban, Bans
from securechat.server.events import BanKind

NOW_MS = 1_000_000


def ban(mask: str, *, expires_ms: int | None = None) -> Ban:
    kind: BanKind = "K" if "@" in mask else "D"
    return Ban(kind, mask, "spam", "root", 0, expires_ms)


networks = st.lists(
    st.builds(
        lambda number, length: str(ip_network((number, length), strict=False)),
        st.sampled_from((b"\xc0\x00\x02\x01", b"\xc0\x00\x03\x02", b" \x01\r\xb8" + bytes(12))),
        st.integers(0, 32),
    ),
    max_size=12,
    unique=True,
)
addresses = st.sampled_from(
    ("192.0.2.1", "192.0.2.9", "192.0.3.2", "10.0.0.1", "2001:db8::1", "2001:db9::", "127.0.0.1")
)


@given(networks, networks, addresses)
def test_an_address_is_found_in_the_networks_that_it_is_in(
    added: list[str], removed: list[str], address: str
) -> None:
    bans = AddressBans()
    for mask in added:
        bans.add(ban(mask))
    for mask in removed:
        bans.remove(mask)
    parsed = ip_address(address)
    covering = {m for m in set(added) - set(removed) if parsed in ip_network(m)}
    found = bans.find(address, NOW_MS)
    if parsed.is_loopback:
        assert found is None
    else:
        assert (found.mask in covering) if found is not None else not covering


def test_how_an_address_is_written_does_not_matter() -> None:
    bans = AddressBans()
    bans.add(ban("192.0.2.0/24"))
    bans.add(ban("fe80::/16"))
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "fe80::1", "fe80::1%eth0"):
        assert bans.find(address, NOW_MS) is not None, address


def test_a_ban_ends() -> None:
    bans = Bans(fold)
    short, long = ban("192.0.2.1", expires_ms=NOW_MS + 1), ban("192.0.2.0/24")
    mask = ban("x!*@*", expires_ms=NOW_MS + 1)
    for each in (short, long, mask):
        bans.add(each)
    assert bans.of_address("192.0.2.1", NOW_MS) in (short, long)
    assert bans.of_address("192.0.2.1", NOW_MS + 1) is long, "the wider one is still in force"
    assert bans.covering("X", "u", ["h"], NOW_MS) is mask
    assert bans.covering("X", "u", ["h"], NOW_MS + 1) is None
    assert bans.ended(NOW_MS) == []
    assert bans.ended(NOW_MS + 1) == [mask, short]
    assert bans.in_force("D", NOW_MS + 1) == [long]


def test_equal_masks_are_one_ban() -> None:
    bans = Bans(fold)
    bans.add(ban("Spam!*@*"))
    bans.add(ban("x!*@*"))
    again = ban("SPAM!*@*")
    bans.add(again)
    assert bans.get("K", "spam!*@*") is again
    assert [each.mask for each in bans] == ["x!*@*", "SPAM!*@*"]
    assert bans.get("D", "spam!*@*") is None
    bans.remove(again)
    assert [each.mask for each in bans] == ["x!*@*"]


@pytest.mark.parametrize(
    ("mask", "covered"),
    [
        ("spam", True),
        ("SPAM*!*@*", True),
        ("~u@*", True),
        ("other@*", False),
        ("*@seen.example.org", True),
        ("*@192.0.2.*", True),
        ("spam!~u@192.0.2.1", True),
        ("spam!x@192.0.2.1", False),
        ("*@192.0.3.*", False),
        ("ham", False),
    ],
)
def test_a_mask_covers_any_host_that_somebody_has(mask: str, covered: bool) -> None:
    bans = Bans(fold)
    bans.add(ban(normalise_ban_mask("K", mask)))
    found = bans.covering("Spam", "~u", ("seen.example.org", "x.ip", "192.0.2.1"), NOW_MS)
    assert (found is not None) == covered
