"""Which way a text goes, by what the user was shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from securechat.client import (
    Event,
    LocalProtocolError,
    NetworkError,
    NickChanged,
    PeerAsked,
    PeerClosed,
    PeerLost,
    PeerOpened,
    PeerReachable,
    Safety,
)
from securechat.client.chat.routing import Routes
from tests.client.noting_peers import NotingClient, snapshot

FINGERPRINT = "0123456789abcdef" * 4

DIRECT = PeerOpened("bobs", "bob", FINGERPRINT, "direct", "192.0.2.5:1", Safety.KNOWN, False)
RELAYED = PeerOpened("bobs", "bob", FINGERPRINT, "relayed", "", Safety.KNOWN, True)
LOST = PeerLost("bobs", "bob", "no answer")
CLOSED = PeerClosed("bobs", "bob", "it was ended", True)
NOT_OPENED = PeerClosed("bobs", "bob", "declined", False)
ASKED = PeerAsked("bobs", "bob", FINGERPRINT, Safety.NEW)
OTHER = PeerOpened("eve", "eve", FINGERPRINT, "relayed", "", Safety.KNOWN, False)

OVER = (
    "not sent: the session with bob is over. Say it again and it goes through the relay, which can "
    "read it."
)
SESSION = ("send", "bobs", "hi", "message")
RELAY = ("send", "bob", "hi")


@dataclass
class Case:
    shown: list[Event]
    ways: list[Any] = field(default_factory=list)
    """What becomes of one text after the other: what is called, or why it is not sent."""


CASES = {
    "nothing": Case([], [RELAY, RELAY]),
    "can be reached": Case([PeerReachable("bobs", "bob", True)], [RELAY]),
    "asks": Case([ASKED], [RELAY]),
    "did not come about": Case([ASKED, NOT_OPENED], [RELAY]),
    "a session with another": Case([OTHER], [RELAY]),
    "direct": Case([DIRECT], [SESSION, SESSION]),
    "relayed": Case([RELAYED], [SESSION]),
    "lost": Case([DIRECT, LOST], [SESSION, SESSION]),
    "lost before it was open": Case([LOST], [RELAY]),
    "back": Case([DIRECT, LOST, RELAYED], [SESSION]),
    "over": Case([DIRECT, CLOSED], [OVER, RELAY, RELAY]),
    "over while lost": Case([DIRECT, LOST, CLOSED], [OVER, RELAY]),
    "over, and a new one": Case([DIRECT, CLOSED, DIRECT], [SESSION]),
    "over, and no new one": Case([DIRECT, CLOSED, NOT_OPENED], [OVER, RELAY]),
    "over, with another": Case([DIRECT, OTHER, CLOSED], [OVER, RELAY]),
}


@pytest.fixture
def client() -> NotingClient:
    client = NotingClient()
    client.peers.people = (snapshot("bobs", nick="bob"),)
    return client


@pytest.fixture
def routes(client: NotingClient) -> Routes:
    return Routes(client)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_way_of_a_text(client: NotingClient, routes: Routes, case: Case) -> None:
    for event in case.shown:
        routes.note(event)
    for way in case.ways:
        if isinstance(way, str):
            with pytest.raises(LocalProtocolError) as raised:
                routes.say("bob", "hi")
            assert str(raised.value) == way
            assert client.taken() == []
        else:
            routes.say("bob", "hi")
            assert client.taken() == [way]


def test_that_it_waits_is_told_once_for_each_loss(client: NotingClient, routes: Routes) -> None:
    routes.note(DIRECT)
    assert routes.say("bob", "hi").note == ""
    routes.note(LOST)
    assert "waits until the session with bob has a path" in routes.say("bob", "hi").note
    assert routes.say("bob", "hi").note == ""
    routes.note(RELAYED)
    assert routes.say("bob", "hi").note == ""
    routes.note(LOST)
    assert routes.say("bob", "hi").note != ""
    assert client.taken() == [SESSION] * 5


@pytest.mark.parametrize(
    ("kind", "session", "relay"),
    [
        ("message", ("send", "bobs", "hi", "message"), ("send", "bob", "hi")),
        ("action", ("send", "bobs", "hi", "action"), ("action", "bob", "hi")),
        ("notice", ("send", "bobs", "hi", "notice"), ("notice", "bob", "hi")),
    ],
)
def test_the_kind_of_a_text(
    client: NotingClient, routes: Routes, kind: Any, session: Any, relay: Any
) -> None:
    routes.say("bob", "hi", kind)
    assert client.taken() == [relay]
    routes.note(DIRECT)
    routes.say("bob", "hi", kind)
    assert client.taken() == [session]


def test_what_a_text_replies_to(client: NotingClient) -> None:
    outgoing = NotingClient()
    routes = Routes(client, outgoing)  # type: ignore[arg-type]
    routes.say("bob", "hi", reply_to="m1")
    assert (client.taken(), outgoing.taken()) == ([], [("say", "bob", "hi", "message", "m1")])
    routes.note(DIRECT)
    routes.say("bob", "hi", reply_to="m1")  # there nothing refers to another text
    assert (client.taken(), outgoing.taken()) == ([SESSION], [])


# ---- the session is over, and that was not shown yet ----


def test_a_session_that_is_over_and_not_shown_to_be(client: NotingClient, routes: Routes) -> None:
    routes.note(DIRECT)
    client.peers.people = ()
    client.peers.refusals["send"] = LocalProtocolError("there is no session with bobs")
    with pytest.raises(LocalProtocolError, match="Say it again"):
        routes.say("bob", "hi")
    assert client.taken() == []
    routes.note(CLOSED)  # this was told already
    routes.say("bob", "hi")
    assert client.taken() == [RELAY]


def test_a_text_that_cannot_be_said_is_no_end_of_the_session(
    client: NotingClient, routes: Routes
) -> None:
    routes.note(DIRECT)
    client.peers.refusals["send"] = LocalProtocolError("too long: 65536 bytes are allowed")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="too long"):
            routes.say("bob", "hi")
    del client.peers.refusals["send"]
    routes.say("bob", "hi")
    assert client.taken() == [SESSION]


def test_a_client_that_is_closed_is_no_reason_for_the_relay(
    client: NotingClient, routes: Routes
) -> None:
    routes.note(DIRECT)
    client.peers.refusals["send"] = NetworkError("not connected")
    for _ in range(2):
        with pytest.raises(NetworkError):
            routes.say("bob", "hi")
    assert client.taken() == []


# ---- names ----


@pytest.mark.parametrize("name", ["bob", "BOB", "bobs", "Bobs"])
def test_a_person_has_a_nick_and_an_account(
    client: NotingClient, routes: Routes, name: str
) -> None:
    routes.note(DIRECT)
    routes.say(name, "hi")
    assert client.taken() == [SESSION]
    assert routes.state(name) == "direct"


def test_another_nick(client: NotingClient, routes: Routes) -> None:
    routes.note(DIRECT)
    routes.note(NickChanged("Bob", "robert", False))
    routes.say("robert", "hi")
    assert client.taken() == [SESSION]
    assert (routes.state("robert"), routes.state("bob")) == ("direct", None)


def test_an_account_comes_before_a_nick(client: NotingClient, routes: Routes) -> None:
    routes.note(PeerOpened("eve", "bob", FINGERPRINT, "direct", "", Safety.KNOWN, False))
    routes.note(PeerOpened("bob", "robert", FINGERPRINT, "relayed", "", Safety.KNOWN, False))
    routes.say("bob", "hi")
    assert client.taken() == [("send", "bob", "hi", "message")]


def test_a_room_is_nobody(client: NotingClient, routes: Routes) -> None:
    """A relay can invent accounts; what is said in a room is not for one of them."""
    routes.note(PeerOpened("#room", "#room", FINGERPRINT, "direct", "", Safety.KNOWN, False))
    routes.say("#room", "hi")
    assert client.taken() == [("send", "#room", "hi")]
    assert routes.state("#room") is None


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ([], None),
        ([DIRECT], "direct"),
        ([DIRECT, LOST], "lost"),
        ([DIRECT, LOST, RELAYED], "relayed"),
        ([DIRECT, CLOSED], None),
    ],
)
def test_the_state_of_a_session(routes: Routes, shown: list[Event], state: str | None) -> None:
    for event in shown:
        routes.note(event)
    assert routes.state("bob") == state
