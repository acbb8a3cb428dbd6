"""Sessions of two people with real clients on a real relay."""

from __future__ import annotations

import pytest

from securechat.client import Delivered, LocalProtocolError, TextReceived
from securechat.peer.events import PeerAsked, PeerClosed, PeerIdentityChanged, PeerTyping
from securechat.peer.known_peers import Policy, Safety
from tests.peer.conftest import Meet
from tests.peer.people import Person, open_session, show_addresses

# ---- the two ways ----


def test_a_session_is_relayed_until_addresses_may_be_shown(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    for opened in open_session(alice, bob):
        assert opened.path == "relayed"
        assert opened.address == ""
        assert opened.safety is Safety.KNOWN


def test_a_session_is_direct_where_both_show_their_addresses(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    show_addresses(alice, bob)
    for opened in open_session(alice, bob):
        assert opened.path == "direct"
        assert opened.address != ""


def test_one_side_that_hides_keeps_both_relayed(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.set_trust("bob", show_addresses=True)
    for opened in open_session(alice, bob):
        assert opened.path == "relayed"


@pytest.mark.parametrize("direct", [False, True])
def test_what_is_said_arrives_and_is_told_so(meet: Meet, direct: bool) -> None:
    alice, bob = meet("alice", "bob")
    if direct:
        show_addresses(alice, bob)
    open_session(alice, bob)
    number = alice.peers.send("bob", "hello\nbob")
    heard = bob.wait(TextReceived)
    assert (heard.sender, heard.account, heard.conversation) == ("alice", "alice", "alice")
    assert (heard.text, heard.kind, heard.own) == ("hello\nbob", "message", False)
    assert heard.via == ("direct" if direct else "relayed")
    assert alice.wait(Delivered).delivery == number
    own = alice.wait(TextReceived)
    assert (own.own, own.conversation, own.sender, own.via) == (True, "bob", "alice", heard.via)
    bob.peers.send("alice", "waves", "action")
    assert alice.wait(TextReceived).kind == "action"
    bob.peers.typing("alice", "active")
    assert alice.wait(PeerTyping).state == "active"


def test_nothing_of_it_goes_through_the_chat_of_the_relay(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.peers.send("bob", "between us")
    bob.wait(TextReceived)
    bob.sync()
    assert [event.via for event in bob.seen_of(TextReceived)] == ["relayed"]


# ---- who is asked, and who is not ----


def test_the_question_says_who_asks_and_how_far_they_are_known(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    asked = bob.wait(PeerAsked)
    assert (asked.account, asked.nick, asked.safety) == ("alice", "alice", Safety.NEW)
    bob.peers.accept("alice")
    bob.wait_open("alice")
    bob.peers.close("alice", "enough")
    assert alice.wait(PeerClosed).was_open
    alice.peers.open("bob")
    assert bob.wait(PeerAsked).safety is Safety.KNOWN


def test_no_is_an_answer(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    bob.peers.decline("alice")
    closed = alice.wait(PeerClosed)
    assert (closed.account, closed.reason, closed.was_open) == ("bob", "declined", False)
    assert all(one.state == "reachable" for one in alice.peers.list())


def test_a_question_can_be_taken_back(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    alice.peers.decline("bob")
    assert bob.wait(PeerClosed).reason == "taken back"
    with pytest.raises(LocalProtocolError):
        bob.peers.accept("alice")


def test_never_is_no_without_a_question(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    bob.peers.set_trust("alice", policy=Policy.NEVER)
    alice.peers.open("bob")
    assert alice.wait(PeerClosed).reason == "declined"
    assert not bob.seen_of(PeerAsked)


def test_always_is_yes_without_a_question(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    bob.peers.set_trust("alice", policy=Policy.ALWAYS)
    alice.peers.open("bob")
    alice.wait_open("bob")
    assert not bob.seen_of(PeerAsked)


def test_both_may_ask_at_once(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    bob.peers.open("alice")
    alice.wait_open("bob")
    bob.wait_open("alice")
    alice.peers.send("bob", "one session")
    assert bob.wait(TextReceived).text == "one session"


def test_a_second_question_is_refused_here(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    with pytest.raises(LocalProtocolError, match="asked already"):
        alice.peers.open("bob")
    bob.peers.accept("alice")
    alice.wait_open("bob")
    with pytest.raises(LocalProtocolError, match="already"):
        alice.peers.open("bob")


def test_to_open_is_to_accept_where_one_is_asked(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    bob.peers.open("alice")
    alice.wait_open("bob")


# ---- who is not there ----


def test_who_has_no_client_of_this_kind_cannot_be_reached(meet: Meet) -> None:
    (alice,) = meet("alice")
    alice.peers.open("nobody")
    assert alice.wait(PeerClosed).account == "nobody"


def test_who_leaves_before_the_answer_ends_the_question(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    alice.peers.open("bob")
    bob.wait(PeerAsked)
    alice.close()
    assert not bob.wait(PeerClosed).was_open


def test_the_end_is_told_with_its_reason(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    bob.peers.close("alice", "good night")
    closed = alice.wait(PeerClosed)
    assert (closed.reason, closed.was_open) == ("good night", True)
    with pytest.raises(LocalProtocolError):
        alice.peers.send("bob", "are you there?")


def test_a_client_that_ends_says_so(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    bob.close()
    assert alice.wait(PeerClosed).was_open


def test_the_list_tells_how_sessions_run(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    show_addresses(alice, bob)
    open_session(alice, bob)
    (entry,) = [one for one in alice.peers.list() if one.account == "bob"]
    assert (entry.state, entry.path, entry.safety) == ("open", "direct", Safety.KNOWN)


# ---- who it is ----


def codes(person: Person, other: str) -> list[str]:
    return [one.safety_code for one in person.peers.devices(other)]


def test_both_see_the_same_safety_code(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    (code,) = codes(alice, "bob")
    assert codes(bob, "alice") == [code]
    assert len(code) == 60
    assert code.isdigit()


def test_verified_is_remembered(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    assert alice.peers.verify("bob").device.verified
    bob.peers.close("alice")
    alice.wait(PeerClosed)
    assert open_session(alice, bob)[0].safety is Safety.VERIFIED


def replace_device(meet: Meet, person: Person) -> Person:
    """Let somebody come back with another device, as if the relay, or a thief, did."""
    person.close()
    for path in person.folder.glob("device*"):
        path.unlink()
    return meet.again(person.name)


def test_another_device_of_an_unverified_contact_is_a_warning(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    other = replace_device(meet, bob)
    alice.wait(PeerClosed)
    alice.peers.open("bob")
    other.wait(PeerAsked)
    other.peers.accept("alice")
    assert not alice.wait(PeerIdentityChanged).blocked
    assert alice.wait_open("bob").safety is Safety.KNOWN


def test_to_verify_one_device_ends_the_session_with_another(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    first = open_session(alice, bob)[0].fingerprint
    other = replace_device(meet, bob)
    alice.wait(PeerClosed)
    open_session(alice, other)
    alice.peers.verify("bob", first)
    assert alice.wait(PeerClosed).reason == "another device was verified"
    assert other.wait(PeerClosed).was_open


def test_nothing_is_sent_to_another_device_of_a_verified_contact(meet: Meet) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.peers.verify("bob")
    other = replace_device(meet, bob)
    alice.wait(PeerClosed)
    # We ask it: ...
    alice.peers.open("bob")
    other.wait(PeerAsked)
    other.peers.accept("alice")
    assert alice.wait(PeerIdentityChanged).blocked
    assert "verified" in alice.wait(PeerClosed).reason
    other.wait(PeerClosed)
    # ... it asks us: ...
    other.peers.open("alice")
    assert alice.wait(PeerIdentityChanged).blocked
    assert other.wait(PeerClosed).reason == "declined"
    # ... and after the user has accepted it, it is a device like others.
    alice.peers.accept_device("bob")
    assert open_session(alice, other)[0].safety is Safety.KNOWN
