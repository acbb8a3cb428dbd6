"""Tunnels whose relay the relay names: where there are several, it may be another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from securechat.peer.connector import Race
from securechat.peer.events import PeerAsked, PeerClosed
from securechat.server.state import Relay
from tests.peer.conftest import Meet
from tests.peer.people import Person, open_session
from tests.server.conftest import StartRelay


def tell_place(meet: Meet, host: str, port: int = 0) -> None:
    """Have the relay say that it is there."""
    services, address = meet.relay.relay.services, f"{host}:{port or meet.relay.address[1]}"
    with services.lock:
        services.network.relays["only"] = Relay("only", 0, 0, address, 0)


def why_not(alice: Person, bob: Person) -> str:
    """Return why there is no session, as who notices it first is told: the other is told so."""
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    bob.peers.accept("alice")
    found = {person.wait(PeerClosed).reason for person in (alice, bob)} - {"taken back"}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost."])
def test_both_go_there(meet: Meet, host: str) -> None:
    """By its name as by its address: the certificate has both."""
    alice, bob = meet("alice", "bob")
    tell_place(meet, host)
    for opened in open_session(alice, bob):
        assert (opened.path, opened.address) == ("relayed", "")


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("127.0.0.1", 1, "cannot connect to 127.0.0.1:1: nothing listens on that port"),
        ("a.\N{LATIN SMALL LETTER SHARP S}.example", 1, "programs disagree"),
        ("a..example", 1, "is not a host name"),
    ],
)
def test_where_no_relay_of_the_chat_is(meet: Meet, host: str, port: int, reason: str) -> None:
    alice, bob = meet("alice", "bob")
    tell_place(meet, host, port)
    assert reason in why_not(alice, bob)


def test_somebody_else_is_there(start_relay: StartRelay, tmp_path: Path) -> None:
    """With a certificate for another host, as is seen before the token is said."""
    relay = start_relay(server={"listen": (("127.0.0.1", 0), ("127.0.0.2", 0))})
    meet = Meet(relay, tmp_path)
    with meet.people:
        alice, bob = meet("alice", "bob")
        tell_place(meet, *relay.relay.addresses[1])
        assert "no tunnel: the certificate of the server is for another address" in why_not(
            alice, bob
        )
        assert relay.relay.services.tunnels.snapshot().ends == 0


def test_the_next_address_is_tried(meet: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = meet("alice", "bob")
    dial, dialled = Race._dial, []

    def dial_elsewhere_first(race: Race, address: tuple[str, int], *more: object) -> None:
        dialled.append(address)
        first = len(dialled) <= 1
        dial(race, *((("127.0.0.1", 1), *more[:2], [address]) if first else (address, *more)))  # type: ignore[arg-type]

    monkeypatch.setattr(Race, "_dial", dial_elsewhere_first)
    tell_place(meet, "127.0.0.1")
    open_session(alice, bob)
    assert len(dialled) == 3
