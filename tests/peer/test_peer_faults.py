"""What goes wrong between two people with real clients on a real relay, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.client import Delivered, Disconnected, LoggedIn, TextReceived
from securechat.irc import peering
from securechat.net.connection import Connection
from securechat.peer import connector, contact, hub, session
from securechat.peer.events import (
    FileFinished,
    FileOffered,
    PeerAsked,
    PeerClosed,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
    PeerReachable,
    PeerTyping,
)
from securechat.peer.hub import Hub
from securechat.peer.identity import load_device
from securechat.peer.known_peers import Policy, Safety
from securechat.peer.records import CONTROL_BYTES, Ready, Typing, encode
from securechat.peer.window import WINDOW_MOST
from tests.peer.conftest import Meet
from tests.peer.people import Person, open_session, show_addresses
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD

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


def be_mute(hub: Hub, other: str, *, always: bool) -> None:
    """Have a client say nothing on a path that was picked."""
    found = hub._contact(other, other)

    def picked(path: Path, certificate: bytes, *, ours: bool) -> None:
        if not always:
            del found.picked  # type: ignore[method-assign]

    found.picked = picked  # type: ignore[method-assign, assignment]


@pytest.mark.usefixtures("impatient")
def test_who_does_not_greet_is_left_for_another_path(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    bob.peers.set_trust("alice", policy=Policy.ALWAYS)
    bob.on_thread(lambda hub: be_mute(hub, "alice", always=False))
    alice.peers.open("bob")
    assert not alice.wait_open("bob").again
    assert not alice.seen_of(PeerLost)


@pytest.mark.usefixtures("impatient")
def test_who_never_greets_is_given_up(meet: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact, "REESTABLISH_S", 0.5)
    alice, bob = meet("alice", "bob")
    bob.peers.set_trust("alice", policy=Policy.ALWAYS)
    bob.on_thread(lambda hub: be_mute(hub, "alice", always=True))
    alice.peers.open("bob")
    assert not alice.wait(PeerClosed).was_open


# ---- what is known of others cannot be read, or written ----


def test_without_its_file_a_client_has_no_new_sessions_and_stays(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.on_thread(lambda hub: hub.known.close())
    bob.peers.open("alice")
    assert "not known there" in bob.wait(PeerClosed).reason
    alice.sync()
    assert not alice.seen_of(Disconnected)


def test_a_session_goes_on_while_the_file_cannot_be_read(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    bob.on_thread(lambda hub: hub.known.close())
    source = tmp_path / "notes.txt"
    source.write_text("notes")
    alice.peers.send_file("bob", source)
    bob.peers.accept_file(bob.wait(FileOffered).transfer)
    assert bob.wait(FileFinished).size == 5
    (entry,) = [one for one in bob.peers.list() if one.account == "alice"]
    assert (entry.state, entry.safety) == ("open", Safety.KNOWN)


def test_a_session_comes_back_though_nothing_can_be_written(meet: Meet) -> None:
    """As on a full disk. Its device is pinned already."""
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.on_thread(lambda hub: hub.known._connection.execute("PRAGMA query_only = ON").close())
    alice.cut("bob")
    assert alice.wait(PeerOpened).again
    alice.on_thread(lambda hub: hub.known._connection.execute("PRAGMA query_only = OFF").close())


# ---- the end of the client, and of the relay's help ----


def test_a_client_that_does_not_come_back_ends_its_sessions(meet: Meet) -> None:
    """Nobody would read what is said there, and the other side would be told that it arrived."""
    (bob,) = meet("bob")
    (alice,) = meet("alice", reconnect=False)
    show_addresses(alice, bob)
    assert open_session(alice, bob)[0].path == "direct"
    alice.client.command("QUIT")
    assert bob.wait(PeerClosed).was_open
    assert alice.wait(PeerClosed).was_open
    assert not alice.wait(Disconnected).will_retry


def test_who_logs_in_to_another_account_is_somebody_else(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    meet.relay.account("carol").quit()
    show_addresses(alice, bob)
    assert open_session(alice, bob)[0].path == "direct"
    alice.client.login("carol", PASSWORD)
    assert bob.wait(PeerClosed).was_open
    assert alice.wait(PeerClosed).was_open
    alice.wait(LoggedIn)
    alice.sync()
    bob.peers.open("carol")
    assert alice.wait(PeerAsked).account == "bob"


def test_without_tunnel_and_addresses_there_is_nothing_to_wait_for(
    meet: Meet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "RACE_S", 10 * LONG_TIMEOUT_S)
    alice, bob = meet("alice", "bob")
    meet.relay.relay.services.tunnels.stop()
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    bob.peers.accept("alice")
    assert "no tunnels" in alice.wait(PeerClosed).reason
    assert not bob.wait(PeerClosed).was_open


# ---- a client is closed in the middle ----


def be_asking(alice: Person, bob: Person) -> None:
    alice.peers.open("bob")
    bob.wait(PeerAsked)


def be_looking_up(alice: Person, bob: Person) -> None:
    alice.peers.open("bob")


def be_connecting(alice: Person, bob: Person) -> None:
    be_asking(alice, bob)
    bob.peers.accept("alice")


def be_greeting(alice: Person, bob: Person) -> None:
    bob.on_thread(lambda hub: be_mute(hub, "alice", always=True))
    be_connecting(alice, bob)


def be_open(alice: Person, bob: Person) -> None:
    open_session(alice, bob)
    alice.peers.send("bob", "hello")


STATES = [be_looking_up, be_asking, be_connecting, be_greeting, be_open]


@pytest.mark.parametrize("asker_closes", [False, True])
@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("be", STATES, ids=lambda be: be.__name__)
def test_a_client_may_be_closed_at_any_time(
    meet: Meet, be: Callable[[Person, Person], None], direct: bool, asker_closes: bool
) -> None:
    alice, bob = meet("alice", "bob")
    if direct:
        show_addresses(alice, bob)
    be(alice, bob)
    closing, staying = (alice, bob) if asker_closes else (bob, alice)
    closing.close()
    assert not closing.wait(Disconnected).will_retry
    assert closing.client.next_event(LONG_TIMEOUT_S) is None
    staying.sync()


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


def test_a_flood_of_typing_is_read_more_slowly(meet: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the queue of events, and that ends the client."""
    monkeypatch.setattr(contact, "TEXTS_PER_S", 1.0)
    monkeypatch.setattr(contact, "TEXT_BURST_S", 1.0)
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    say_raw(alice, "bob", encode(Typing("active")) * 300)
    bob.wait(PeerTyping)
    assert not bob.on_thread(lambda hub: line_of(hub, "alice").reading)


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


def tell(person: Person, *signals: peering.Signal) -> None:
    """Have somebody's client take signals as if the relay had sent them."""

    def take(hub: Hub) -> None:
        for signal in signals:
            hub.signalled(signal)

    person.on_thread(take)


def device(account: str, nick: str) -> peering.DeviceFound:
    return peering.DeviceFound(account, nick, b"\0", True, 0, 0)


def test_the_answer_to_another_question_is_none(meet: Meet) -> None:
    """It may be to one that was given up: who asks for bob must not get carol."""
    alice, bob = meet("alice", "bob")

    def ask(hub: Hub) -> None:
        hub.open("bob")
        hub.signalled(device("carol", "carol"))
        hub.signalled(peering.End("LOOKUP", "carol"))

    alice.on_thread(ask)
    assert bob.wait(PeerAsked).account == "alice"


def test_a_known_name_stays_with_its_account(meet: Meet) -> None:
    """Else the relay could let somebody else be called as the one whom we have verified."""
    alice, bob = meet("alice", "bob")
    tell(alice, peering.Reachable("mallory", "bob"), peering.Reachable("carol", "carl"))
    assert alice.peers.account_of("carl") == "carol"
    assert alice.peers.account_of("bob") == "mallory"  # as far as is known
    tell(alice, peering.Reachable("mallory", "bob", False))
    open_session(alice, bob)
    bob.peers.close("alice")
    alice.wait(PeerClosed)
    tell(alice, peering.Reachable("mallory", "bob"))
    assert alice.peers.account_of("bob") == "bob"

    def ask(hub: Hub) -> None:
        hub.open("bob")
        hub.signalled(device("mallory", "bob"))
        hub.signalled(peering.End("LOOKUP", "bob"))

    alice.on_thread(ask)
    closed = alice.wait(PeerClosed)
    assert (closed.account, closed.was_open) == ("bob", False)
    assert "mallory" in closed.reason


def test_of_several_who_were_called_so_the_one_with_a_session_is_meant(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.on_thread(lambda hub: hub._contact("carol", "robert"))
    open_session(alice, bob)
    alice.on_thread(lambda hub: hub._contact("bob", "robert"))
    alice.peers.send("robert", "hello")
    assert bob.wait(TextReceived).text == "hello"


def test_who_has_no_nick_that_we_may_see_is_called_by_the_account(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")

    def ask(hub: Hub) -> None:
        hub.open("bob")
        hub.signalled(device("bob", ""))
        hub.signalled(peering.End("LOOKUP", "bob"))

    alice.on_thread(ask)
    bob.wait(PeerAsked)
    assert [(one.account, one.nick) for one in alice.peers.list()] == [("bob", "bob")]


def test_invented_people_do_not_fill_the_memory(
    meet: Meet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "REACHABLE_KEPT", 3)
    monkeypatch.setattr(hub, "CONTACTS_KEPT", 3)
    (alice,) = meet("alice")
    names = [f"nobody{number}" for number in range(5)]
    certificate = load_device(tmp_path / "mallory").certificate
    tell(alice, *(peering.Reachable(name, name) for name in names))
    assert len(alice.peers.list()) == 3
    assert alice.wait(PeerReachable).account == "nobody0"
    tell(alice, *(peering.Reachable(name, name, False) for name in names))
    offers = [
        peering.Offer(name, name, certificate, f"{number:032x}")
        for number, name in enumerate(names)
    ]
    tell(alice, *offers)
    assert [one.state for one in alice.peers.list()] == ["asked"] * 3
    # Who is declined makes room for others.
    alice.peers.decline("nobody0")
    # Under another number: that the relay knows none of the former may be told any time.
    tell(alice, peering.Offer("nobody4", "nobody4", certificate, f"{9:032x}"))
    assert alice.peers.list()[-1].account == "nobody4"
