"""Addresses and links, as people type and paste them."""

from __future__ import annotations

import pytest

from securechat.client.relays import RelayAddress
from securechat.client.settings.address import ROOM_BYTES, Address, check_host, parse_address
from securechat.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("chat.example.org", Address("chat.example.org", 6697)),
        ("  chat.example.org \n", Address("chat.example.org")),
        ("Chat.Example.ORG.:7000", Address("chat.example.org", 7000)),
        ("localhost:1", Address("localhost", 1)),
        ("127.0.0.1:65535", Address("127.0.0.1", 65535)),
        ("[::1]:7000", Address("::1", 7000)),
        (
            "a.example.org, B:7000 ,[::1]",
            Address("a.example.org", others=(RelayAddress("b", 7000), RelayAddress("::1"))),
        ),
        ("[2001:DB8::1]", Address("2001:db8::1")),
        ("чат.рф", Address("xn--80a0bn.xn--p1ai")),
        ("ircs://chat.example.org", Address("chat.example.org")),
        ("IRCS://chat.example.org:7000/", Address("chat.example.org", 7000)),
        ("ircs://[::1]:7000/#room", Address("::1", 7000, "#room")),
        ("ircs://chat.example.org/##ops", Address("chat.example.org", room="##ops")),
        ("ircs://chat.example.org/%23ro%6Fm", Address("chat.example.org", room="#room")),
        ("ircs://chat.example.org/#%D0%B4%D0%BE%D0%BC", Address("chat.example.org", room="#дом")),
        ("ircs://chat.example.org/#дом", Address("chat.example.org", room="#дом")),
        ("ircs://h/#" + "a" * (ROOM_BYTES - 1), Address("h", room="#" + "a" * (ROOM_BYTES - 1))),
    ],
)
def test_what_is_an_address(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not an address"),
        ("::1", "not an address"),
        ("2001:db8::1:7000", "not an address"),
        ("[::1", "not an address"),
        ("[::1]7000", "not an address"),
        ("a:1:2", "not an address"),
        (":6697", "not an address"),
        ("two words", "not a host name"),
        ("a,", "not an address"),
        ("a, b:0", "from 1 to 65535"),
        ("ircs://a,b", "not a host name"),
        ("ann@chat.example.org", "not a host name"),
        ("chat.example.org/#room", "not a host name"),
        ("ircs://chat.example.org#room", "not a host name"),
        ("[chat.example.org]:6697", "not a host name"),
        ("10.0.0.256", "neither a host name nor an IP address"),
        ("[fe80::1%eth0]:6697", "zone"),
        ("a:", "from 1 to 65535"),
        ("a:0", "from 1 to 65535"),
        ("a:65536", "from 1 to 65535"),
        ("a:6697x", "from 1 to 65535"),
        ("a:+1", "from 1 to 65535"),
        ("a:٦٦٩٧", "from 1 to 65535"),
        ("a:" + "9" * 5000, "from 1 to 65535"),
        ("ircs://", "not an address"),
        ("ircs:///#room", "not an address"),
        ("irc://chat.example.org", "plain text"),
        ("https://chat.example.org", "not a link to a chat"),
        ("securechat://chat.example.org/#room", "not a link to a chat"),
        ("ircs://chat.example.org/room", "one room"),
        ("ircs://chat.example.org/#a,#b", "one room"),
        ("ircs://chat.example.org/#a%2C%23b", "one room"),
        ("ircs://chat.example.org/#room?key", "one room"),
        ("ircs://chat.example.org/#a%0D%0AQUIT", "one room"),
        ("ircs://chat.example.org/#%FF", "one room"),
        ("ircs://chat.example.org/#", "one room"),
        ("ircs://h/#" + "a" * ROOM_BYTES, "one room"),
    ],
)
def test_what_is_none(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_address(text)


def test_what_a_person_typed_does_not_reach_the_screen_raw() -> None:
    with pytest.raises(ConfigError) as caught:
        check_host("a\x1b]0;b\u202e")
    assert str(caught.value).isprintable()
