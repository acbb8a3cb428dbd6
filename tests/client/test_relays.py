"""Addresses of relays, lists of them, and the order in which they are tried."""

from __future__ import annotations

import pytest

from securechat.client.relays import (
    RELAYS_LIMIT,
    Itinerary,
    RelayAddress,
    announced_relays,
    is_leaving,
    is_sent_away,
    parse_relay,
)
from securechat.errors import ConfigError

A, B, C, D = (RelayAddress(f"{name}.example.org") for name in "abcd")


@pytest.mark.parametrize(
    ("text", "relay"),
    [
        ("A.example.org", A),
        ("a.example.org:6700", RelayAddress("a.example.org", 6700)),
        ("[::1]", RelayAddress("::1")),
        ("[2001:DB8::1]:7000", RelayAddress("2001:db8::1", 7000)),
        ("192.0.2.1:1", RelayAddress("192.0.2.1", 1)),
    ],
)
def test_an_address(text: str, relay: RelayAddress) -> None:
    assert parse_relay(text) == relay
    assert parse_relay(str(relay)) == relay


def test_a_port_that_is_not_said() -> None:
    assert parse_relay("a.example.org", 7000).port == 7000
    assert parse_relay("a.example.org:1", 7000).port == 1


@pytest.mark.parametrize("text", ["", "::1", "a:0", "a:65536", "a b", "a_b", ":1", "a:1:2", "[a]"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_relay(text)


@pytest.mark.parametrize(
    ("value", "relays"),
    [
        ("", ()),
        ("a.example.org,b.example.org:6697", (A, B)),
        ("b.example.org,B.example.org.,b.example.org:6697", (B,)),
        ("a.example.org,,x y,c:0,-,b.example.org,[::1", (A, B)),
        ("a.example.org:6697,a.example.org:1", (A, RelayAddress("a.example.org", 1))),
        ("\x1b[31m,a.example.org,http://b.example.org", (A,)),
    ],
)
def test_what_a_relay_announces(value: str, relays: tuple[RelayAddress, ...]) -> None:
    assert announced_relays(value) == relays


def test_a_list_without_end() -> None:
    value = ",".join(f"h{number}" for number in range(RELAYS_LIMIT + 1))
    assert announced_relays(value) == tuple(RelayAddress(f"h{n}") for n in range(RELAYS_LIMIT))


@pytest.mark.parametrize(
    "words",
    [
        "Closing link: This relay has lost the others",
        "Closing link: This relay was cut off from the others for too long; connect again",
        "Closing link: The relay is shutting down",
        "Closing Link: (Server is full)",
        "The relay has a fault and is stopping",
    ],
)
def test_who_sends_us_to_another_relay(words: str) -> None:
    assert is_leaving(words)


@pytest.mark.parametrize(
    "words", ["Closing link: Excess Flood", "Killed (be careful, or fuller)", "You are banned", ""]
)
def test_who_would_say_the_same_elsewhere(words: str) -> None:
    assert not is_leaving(words)


def test_whom_nobody_wants_back() -> None:
    assert is_sent_away("Closing link: Disconnected by another device")
    for words in (
        "Closing link: The relay is shutting down",
        "Killed (root (by another device))",
        "",
    ):
        assert not is_sent_away(words)


# ---- the order ----


def round_of(itinerary: Itinerary) -> list[RelayAddress | None]:
    """Try all that there are; return them."""
    tried = []
    while itinerary.upcoming is not None:
        upcoming = itinerary.upcoming
        tried.append(itinerary.advance())
        assert tried[-1] == upcoming
    assert itinerary.advance() is None
    return tried


def test_each_is_tried_once_in_a_round() -> None:
    itinerary = Itinerary([A, B, A], [C, B])
    assert itinerary.known == (A, B, C)
    for _ in range(2):
        assert round_of(itinerary) == [A, B, C]
        assert itinerary.current == C
        itinerary.begin_round()


def test_who_has_lost_a_relay_goes_on_with_the_next_and_comes_back_to_it_last() -> None:
    itinerary = Itinerary([A, B, C])
    itinerary.advance()
    itinerary.advance()
    itinerary.arrived()
    assert round_of(itinerary) == [C, A, B]


def test_what_is_learned_comes_last_and_takes_the_place_of_what_was_learned_before() -> None:
    itinerary = Itinerary([A], [B])
    assert round_of(itinerary) == [A, B]
    itinerary.arrived()
    itinerary.learn([D, A, C])
    assert itinerary.known == (A, D, C)
    assert itinerary.named == (A,)
    assert round_of(itinerary) == [A, D, C]  # B, where we were, is no more
    itinerary.learn([])
    assert itinerary.known == (A,)


def test_whose_certificate_is_bad_is_left_out_until_there_was_an_arrival() -> None:
    itinerary = Itinerary([A, B])
    assert itinerary.advance() == A
    itinerary.reject()
    assert round_of(itinerary) == [B]
    itinerary.begin_round()
    assert round_of(itinerary) == [B]
    assert not itinerary.hopeless
    itinerary.arrived()
    assert round_of(itinerary) == [A, B]


def test_there_is_no_hope_where_all_certificates_are_bad() -> None:
    itinerary = Itinerary([A, B])
    for _ in (A, B):
        assert not itinerary.hopeless
        itinerary.advance()
        itinerary.reject()
    assert itinerary.hopeless


def test_each_round_begins_with_a_look_up() -> None:
    itinerary = Itinerary([A], looks_up=True)
    assert itinerary.must_look_up
    itinerary.looked_up([B])
    assert not itinerary.must_look_up
    assert round_of(itinerary) == [A, B]
    itinerary.begin_round()
    assert itinerary.must_look_up
    itinerary.looked_up(None)  # it has failed: what was found before holds
    assert itinerary.named == (A, B)
    itinerary.arrived()
    itinerary.looked_up([C])
    assert itinerary.named == (A, C)
    assert not Itinerary([], looks_up=True).hopeless
