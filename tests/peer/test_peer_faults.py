"""What goes wrong between two people with real clients on a real relay, and what comes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from securechat.client import Delivered, TextReceived
from securechat.irc import peering
from securechat.net.connection import Connection
from securechat.peer import contact, session
from securechat.peer.events import (
    FileFinished,
    FileOffered,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
)
from securechat.peer.hub import Hub
from securechat.peer.identity import load_device
from securechat.peer.known_peers import Safety
from securechat.peer.records import CONTROL_BYTES, Ready, encode
from securechat.peer.window import WINDOW_MOST
from tests.peer.conftest import Meet
from tests.peer.people import Person, open_session, show_addresses

# ---- the path is lost, and comes back ----


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("asker_cuts", [False, True])
def test_a_session_comes_back_and_loses_no_text(meet: Meet, direct: bool, asker_cuts: bool) -> None:
    alice, bob = meet("alice", "bob")
    if direct:
        show_addresses(alice, bob)
    open_session(alice, bob)
    numbers = [alice.peers.send("bob", "before")]
    (alice if asker_cuts else bob).cut("bob" if asker_cuts else "alice")
    numbers.append(alice.peers.send("bob", "after"))
    assert alice.wait(PeerOpened).again
    assert [bob.wait(TextReceived).text for _ in numbers] == ["before", "after"]
    heard = [*(event.delivery for event in alice.seen_of(Delivered))]
    while len(heard) < 2:
        heard.append(alice.wait(Delivered).delivery)
    assert heard == numbers
    assert not bob.seen_of(PeerClosed)


def test_the_user_is_told_of_the_loss_before_anything_else_comes(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.cut("bob")
    assert alice.wait(PeerLost).account == "bob"
    assert bob.wait(PeerLost).account == "alice"
    assert alice.wait(PeerOpened).again


def test_many_cuts_neither_lose_nor_double(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    show_addresses(alice, bob)
    open_session(alice, bob)
    expected = []
    for number in range(6):
        for words in (f"{number} a", f"{number} b"):
            alice.peers.send("bob", words)
            expected.append(words)
        (alice if number % 2 else bob).cut("bob" if number % 2 else "alice")
        alice.wait(PeerOpened)
    assert [bob.wait(TextReceived).text for _ in expected] == expected


def test_a_side_that_was_killed_is_known_again_but_begins_anew(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    bob.cut("alice")
    bob.close()
    alice.wait(PeerLost)  # what is said before may have arrived, and is not said again
    waiting = alice.peers.send("bob", "said to nobody")
    again = meet.again("bob")
    assert again.accept_next("alice").safety is Safety.KNOWN
    assert alice.wait(PeerOpened).again
    assert again.wait(TextReceived).text == "said to nobody"
    assert alice.wait(Delivered).delivery == waiting


def test_who_does_not_want_to_go_on_ends_it_for_both(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    bob.cut("alice")
    bob.close()
    again = meet.again("bob")
    again.wait(PeerAsked)
    again.peers.decline("alice")
    assert alice.wait(PeerClosed).was_open


# ---- the other side does not answer any more ----


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a path be dead after a second, and not after half a minute."""
    monkeypatch.setattr(session, "PING_AFTER_S", 0.3)
    monkeypatch.setattr(session, "DEAD_AFTER_S", 1.0)
    monkeypatch.setattr(contact, "TICK_S", 0.1)


def stop_reading(person: Person, other: str) -> None:
    person.on_thread(lambda hub: line_of(hub, other).pause_reading())


def line_of(hub: Hub, other: str) -> Connection:
    found = hub.find(other)
    assert found is not None
    assert found._line is not None
    return found._line.connection


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("direct", [False, True])
def test_a_silent_path_is_given_up_and_another_found(meet: Meet, direct: bool) -> None:
    alice, bob = meet("alice", "bob")
    if direct:
        show_addresses(alice, bob)
    open_session(alice, bob)
    stop_reading(bob, "alice")
    alice.peers.send("bob", "hello?")
    # Either may notice first; the other one sees the connection go.
    assert any("does not answer" in one.wait(PeerLost).reason for one in (alice, bob))
    assert alice.wait(PeerOpened).again
    assert bob.wait(TextReceived).text == "hello?"


@pytest.mark.usefixtures("impatient")
def test_who_stops_reading_in_the_middle_of_a_file_costs_little_memory(
    meet: Meet, tmp_path: Path
) -> None:
    alice, bob = meet("alice", "bob")
    show_addresses(alice, bob)
    open_session(alice, bob)
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(1 << 20) * 100)
    alice.peers.send_file("bob", source)
    bob.peers.accept_file(bob.wait(FileOffered).transfer)
    bob.wait_for_bytes()
    stop_reading(bob, "alice")
    most = 0

    def look(hub: Hub) -> int:
        found = hub.find("bob")
        line = found._line if found is not None else None
        return line.connection.unsent_bytes if line is not None else 0

    while not any(isinstance(event, PeerLost) for event in drain(alice)):
        most = max(most, alice.on_thread(look))
    assert most <= 2 * WINDOW_MOST
    assert bob.wait(FileFinished).size == 100 << 20
    assert alice.wait(FileFinished).size == 100 << 20


def drain(person: Person) -> list[object]:
    """Return the events that there are, without waiting."""
    found = []
    while (event := person.client.poll()) is not None:
        person.seen.append(event)
        found.append(event)
    return found


# ---- broken rules ----


def say_raw(person: Person, other: str, data: bytes) -> None:
    person.on_thread(lambda hub: line_of(hub, other).queue(data))


BROKEN = {
    "garbage": b"\xff" * 64,
    "too long": (CONTROL_BYTES + 1).to_bytes(4, "big") + b"\x03",
    "endless": (0xFFFFFFFF).to_bytes(4, "big") + b"\x20",
    "not at this place": encode(Ready([1])),
    "not JSON": (3).to_bytes(4, "big") + b"\x07abc",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_who_breaks_the_rules_is_left(meet: Meet, data: bytes) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    say_raw(alice, "bob", data)
    assert "breaks the rules" in bob.wait(PeerClosed).reason
    assert alice.wait(PeerClosed).was_open
    # It is the session that is over, not the people.
    open_session(alice, bob)


def test_a_flood_of_texts_is_read_more_slowly_and_nothing_is_lost(
    meet: Meet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact, "TEXTS_PER_S", 400.0)
    monkeypatch.setattr(contact, "TEXT_BURST_S", 0.1)
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    expected = [f"flood {number}" for number in range(300)]
    for words in expected:
        alice.peers.send("bob", words)
    assert [bob.wait(TextReceived).text for _ in expected] == expected


# ---- a relay that lies ----


def swap_certificate(meet: Meet, name: str, certificate: bytes) -> None:
    """Have the relay tell another certificate for somebody's device from now on."""
    services = meet.relay.relay.services
    with services.lock:
        network = services.network
        (key,) = [key for key in network.announced if network.sessions[key].nick == name]
        fingerprint = peering.fingerprint_of(certificate)
        network.announced[key] = network.announced[key]._replace(
            certificate=certificate, fingerprint=fingerprint
        )


def test_a_swapped_certificate_is_a_warning_and_gets_no_session(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    bob.peers.close("alice")
    alice.wait(PeerClosed)
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    swap_certificate(meet, "bob", load_device(tmp_path / "mallory").certificate)
    bob.peers.accept("alice")
    assert not alice.wait(PeerIdentityChanged).blocked
    assert "did not show the certificate" in alice.wait(PeerClosed).reason
    assert not bob.wait(PeerClosed).was_open


def test_a_swapped_certificate_of_a_verified_contact_gets_nothing(
    meet: Meet, tmp_path: Path
) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.peers.verify("bob")
    bob.peers.close("alice")
    alice.wait(PeerClosed)
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    swap_certificate(meet, "bob", load_device(tmp_path / "mallory").certificate)
    bob.peers.accept("alice")
    assert alice.wait(PeerIdentityChanged).blocked
    assert not alice.wait(PeerClosed).was_open
