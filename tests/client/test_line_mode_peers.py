"""Two people at the line interface, with real clients, on a real relay."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.noting_peers import make_file
from tests.client.talkers import Talker, open_session
from tests.server.relay_harness import RunningRelay

Come = Callable[[str], Talker]


@pytest.fixture
def come(relay: RunningRelay, tmp_path: Path) -> Iterator[Come]:
    """Brings somebody who has an account onto the relay."""
    with contextlib.ExitStack() as people:

        def one(name: str) -> Talker:
            talker = Talker(relay, name, tmp_path / name)
            people.callback(talker.close)
            return talker.connect()

        yield one


@pytest.fixture
def alice(relay: RunningRelay, come: Come) -> Talker:
    relay.account("alice").quit()
    return come("alice")


@pytest.fixture
def bob(relay: RunningRelay, come: Come) -> Talker:
    relay.account("bob").quit()
    return come("bob")


# ---- sessions ----


def test_a_session_is_asked_for_used_and_ended(alice: Talker, bob: Talker) -> None:
    alice.type("/query bob")
    alice.type("/peer bob")
    asked = bob.wait_for("alice (account alice) asks for a session")
    assert "for the first time" in asked
    assert "/accept alice or /decline alice" in asked
    bob.type("/accept alice")
    for one in (alice, bob):
        assert "relayed; not verified" in one.wait_for("* session with")
    assert alice.ui.prompt == "[bob 🔒 relayed] "
    alice.type("hello bob")
    assert bob.wait_for("hello bob") == bob.lines[-1]
    assert bob.lines[-1].endswith("[private, 🔒 relayed] <alice> hello bob")
    assert alice.wait_for("hello bob").endswith("[private to bob, 🔒 relayed] <alice> hello bob")
    bob.type("/close alice")
    bob.wait_for("the session with alice is over")
    alice.wait_for("the session with bob is over: bob has ended it")
    assert alice.ui.prompt == "[bob] "
    [refusal] = alice.type("are you there?")
    assert refusal.startswith("! not sent: the session with bob is over.")
    alice.type("are you there?")
    assert bob.wait_for("are you there?").endswith("[private] <alice> are you there?")


def test_a_text_for_a_session_that_is_over_is_not_sent_although_that_was_not_shown(
    alice: Talker, bob: Talker
) -> None:
    open_session(alice, bob)
    alice.client.peers.close("bob")  # so PeerClosed waits to be read
    [refusal] = alice.type("/msg bob only you")
    assert refusal.startswith("! not sent: the session with bob is over.")
    alice.type("/msg bob all the world")
    bob.wait_for("[private] <alice> all the world")
    assert not any("only you" in line for line in bob.lines)


def test_what_is_said_while_a_session_is_lost_waits(alice: Talker, bob: Talker) -> None:
    open_session(alice, bob)
    alice.type("/query bob")
    alice.client._connector.post(lambda: _cut(alice, "bob"))
    alice.wait_for("has lost its path")
    # Whether it is back already when this is typed is for the two clients to know.
    said = alice.type("for you alone")
    assert all("waits until the session with bob" in line for line in said)
    assert "🔒" in bob.wait_for("for you alone")
    alice.wait_for("* session with bob again")
    assert alice.ui.prompt == "[bob 🔒 relayed] "


def test_another_nick_in_a_session(alice: Talker, bob: Talker) -> None:
    open_session(alice, bob)
    for one in (alice, bob):
        one.type("/join #room")
        one.wait_for("you joined #room")
    bob.type("/nick robert")
    alice.wait_for("bob is now known as robert")
    assert alice.type("/peers")[0].startswith("robert (account bob): session")
    alice.type("/msg robert hello")
    alice.wait_for("[private to robert, 🔒 relayed] <alice> hello")


def test_a_guest_is_told_what_peers_need(relay: RunningRelay, tmp_path: Path) -> None:
    guest = Talker(relay, "guest", tmp_path / "guest", password=None)
    with contextlib.closing(guest):
        guest.connect()
        assert guest.type("/peers") == ["! peers need a login: /register or /login"]


def test_a_new_device_that_was_not_refused(alice: Talker) -> None:
    assert alice.type("/trust bob new-device") == ["! no device of bob was refused"]


def test_a_session_is_declined(alice: Talker, bob: Talker) -> None:
    alice.type("/peer bob")
    bob.wait_for("asks for a session")
    assert bob.type("/decline") == ["* no session with alice"]
    alice.wait_for("! no session: bob: declined")
    assert bob.type("/decline") == ["! nothing is asked now"]


def test_who_cannot_be_reached(alice: Talker) -> None:
    alice.type("/peer carol")
    alice.wait_for("! no session: carol:")
    assert alice.type("/accept carol") == ["! there is no session with carol"]
    assert alice.type("/close carol") == ["! there is no session with carol"]


def test_a_question_from_the_other_side_is_accepted_by_asking(alice: Talker, bob: Talker) -> None:
    alice.type("/peer bob")
    bob.wait_for("asks for a session")
    bob.type("/peer alice")
    bob.wait_for("* session with alice")
    alice.wait_for("* session with bob")
    assert bob.type("/peer alice") == ["! there is a session with alice already"]


def test_addresses_are_shown_to_whom_that_was_allowed(alice: Talker, bob: Talker) -> None:
    for one, other in ((alice, "bob"), (bob, "alice")):
        shown = one.type(f"/trust {other} addresses on")
        assert shown[1].startswith("    your addresses are shown")
    open_session(alice, bob)
    [line] = alice.type("/peers")
    assert line.startswith("bob: session, 🔒 direct, ")
    alice.type("/query bob")
    assert alice.ui.prompt == "[bob 🔒 direct] "


# ---- trust ----


def test_the_two_see_the_same_code_and_verify(alice: Talker, bob: Talker) -> None:
    assert "no device of bob is known yet" in alice.type("/verify bob")[0]
    open_session(alice, bob)
    first, second = alice.type("/verify bob"), bob.type("/verify alice")
    assert first[1:4] == second[1:4]
    assert len("".join(first[1:4]).replace(" ", "")) == 60
    assert alice.type("/verify bob yes")[0].endswith("of this session, verified")
    assert "verified" in alice.type("/peers")[0]
    assert alice.type("/verify bob no")[0].endswith("of this session, not verified")
    assert alice.type("/verify bob yes ffff") == ["! bob has 1 known devices; say which one"]


def test_another_device_than_before(alice: Talker, bob: Talker, come: Come) -> None:
    open_session(alice, bob)
    again = _with_another_device(bob, alice, come)
    again.type("/peer alice")
    warning = alice.wait_for("!!! WARNING: bob comes with ANOTHER DEVICE than before")
    assert "ask bob by another way" in warning
    alice.wait_for("bob (account bob) asks for a session, WARNING: from another device than before")
    alice.type("/accept")
    alice.wait_for("* session with bob")


def test_another_device_of_somebody_who_was_verified(
    alice: Talker, bob: Talker, come: Come
) -> None:
    open_session(alice, bob)
    alice.type("/verify bob yes")
    again = _with_another_device(bob, alice, come)
    alice.type("/peer bob")
    again.wait_for("alice (account alice) asks for a session")
    again.type("/accept")
    alice.wait_for("!!! WARNING: bob comes with a device that is NOT VERIFIED")
    alice.wait_for("! no session: bob: its device is not the one that was verified")
    again.wait_for("! no session: alice")
    accepted = alice.type("/trust bob new-device")
    assert accepted == ["the new device of bob is accepted; /peer bob"]
    open_session(alice, again)


# ---- files ----


def test_a_file_waits_for_the_session_and_arrives(
    alice: Talker, bob: Talker, tmp_path: Path
) -> None:
    path = make_file(tmp_path, "my report.pdf")
    said = alice.type(f"/send bob {path}")
    assert said == ["12:00 * bob is asked for a session; my report.pdf is offered when it is open"]
    bob.wait_for("asks for a session")
    bob.type("/accept")
    alice.wait_for("file 1 is offered to bob")
    bob.wait_for("* alice offers file 1: my report.pdf (12 B); /accept 1 or /decline 1")
    assert bob.type("/files") == ["1  from alice: my report.pdf, offered, 12 B"]
    bob.type("/accept")
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    there = bob.downloads / "my report.pdf"
    for one, where in ((bob, str(there)), (alice, "at bob: my report.pdf")):
        line = one.wait_for("has arrived whole")
        assert where in line
        assert digits in line
    assert there.read_bytes() == path.read_bytes()


def test_several_files_go_where_they_are_told_or_nowhere(
    alice: Talker, bob: Talker, tmp_path: Path
) -> None:
    open_session(alice, bob)
    other = tmp_path / "another folder"
    other.mkdir()
    for name in ("1.txt", "2.txt", "3.txt"):
        alice.type(f"/send bob {make_file(tmp_path, name)}")
        bob.wait_for(name)
    bob.type("/decline")
    alice.wait_for("file 3 (3.txt) was not sent: declined")
    bob.type(f"/accept 1 {other}")
    bob.wait_for("has arrived whole")
    assert (other / "1.txt").exists()
    alice.wait_for("has arrived whole at bob: 1.txt")
    alice.type("/cancel 2")
    bob.wait_for("file 2 (2.txt) was not received")
    assert bob.type("/accept 2") == ["! there is no file 2"]


def test_a_file_that_is_not_offered(alice: Talker, bob: Talker, tmp_path: Path) -> None:
    alice.type(f"/send bob {make_file(tmp_path)}")
    bob.wait_for("asks for a session")
    bob.type("/decline")
    alice.wait_for("! no session: bob: declined")
    alice.wait_for("! not offered: report.pdf")


def test_files_are_taken_unasked_of_whom_that_was_said(
    alice: Talker, bob: Talker, tmp_path: Path
) -> None:
    bob.type("/trust alice files on")
    open_session(alice, bob)
    alice.type(f"/send bob {make_file(tmp_path)}")
    bob.wait_for("has arrived whole")
    assert (bob.downloads / "report.pdf").exists()


def _cut(talker: Talker, other: str) -> None:
    """Break the path of a session, without a word to the other side. On the I/O thread."""
    hub = talker.client._connector.hub
    assert hub is not None
    contact = hub.find(other)
    assert contact is not None
    assert contact._line is not None
    contact._line.connection.drop(None)


def _with_another_device(talker: Talker, other: Talker, come: Come) -> Talker:
    """End the session with ``other``, lose the key, come back."""
    talker.type(f"/close {other.name}")
    other.wait_for(f"the session with {talker.name} is over")
    talker.close()
    shutil.rmtree(talker.folder)
    return come(talker.name)
