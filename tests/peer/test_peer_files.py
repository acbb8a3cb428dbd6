"""Files between two people with real clients on a real relay."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileSending,
    PeerOpened,
)
from tests.peer.conftest import Meet
from tests.peer.people import Person, open_session, show_addresses


def make_file(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def receive(person: Person) -> FileOffered:
    """Accept the next file that is offered."""
    offered = person.wait(FileOffered)
    person.peers.accept_file(offered.transfer)
    return offered


@pytest.mark.parametrize("direct", [False, True])
def test_a_file_arrives_whole_and_both_know_it(meet: Meet, tmp_path: Path, direct: bool) -> None:
    alice, bob = meet("alice", "bob")
    if direct:
        show_addresses(alice, bob)
    open_session(alice, bob)
    source = make_file(tmp_path, "report.pdf", 5_000_000)
    alice.peers.send_file("bob", source)
    offered = receive(bob)
    assert (offered.name, offered.safe_name, offered.size) == ("report.pdf",) * 2 + (5_000_000,)
    there, here = alice.wait(FileFinished), bob.wait(FileFinished)
    assert here.path == bob.downloads / "report.pdf"
    assert digest(here.path) == digest(source) == here.sha256 == there.sha256


def test_several_go_at_once_and_texts_between_them(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    sources = [make_file(tmp_path, f"{n}.bin", 700_000 + n) for n in range(4)]
    for source in sources:
        alice.peers.send_file("bob", source)
    for _ in sources:
        receive(bob)
    alice.peers.send("bob", "in the middle")
    arrived = {bob.wait(FileFinished).path.name for _ in sources}
    assert arrived == {source.name for source in sources}
    assert all(digest(bob.downloads / source.name) == digest(source) for source in sources)


def test_nothing_is_taken_unasked(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.peers.send_file("bob", make_file(tmp_path, "a", 10))
    offered = bob.wait(FileOffered)
    bob.sync()
    assert not bob.seen_of(FileAccepted)
    bob.peers.decline_file(offered.transfer)
    ended = alice.wait(FileEnded)
    assert (ended.reason, ended.by_us) == ("declined", False)
    assert not list(bob.downloads.glob("a*"))


def test_unless_that_was_said_for_this_person(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    bob.peers.set_trust("alice", take_files=True)
    open_session(alice, bob)
    alice.peers.send_file("bob", make_file(tmp_path, "a", 10))
    assert bob.wait(FileFinished).path == bob.downloads / "a"


def test_a_cut_in_the_middle_costs_nothing(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    show_addresses(alice, bob)
    open_session(alice, bob)
    source = make_file(tmp_path, "large.bin", 40_000_000)
    alice.peers.send_file("bob", source)
    receive(bob)
    alice.wait(FileAccepted)
    alice.cut("bob")
    assert bob.wait(PeerOpened).again
    assert digest(bob.wait(FileFinished).path) == digest(source)
    assert alice.wait(FileFinished).sha256 == digest(source)


def test_a_receiver_that_comes_back_goes_on_where_it_was(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    show_addresses(alice, bob)
    open_session(alice, bob)
    source = make_file(tmp_path, "large.bin", 200_000_000)
    alice.peers.send_file("bob", source)
    receive(bob)
    bob.wait_for_bytes()
    bob.cut("alice")  # so that no goodbye is said
    bob.close()
    again = meet.again("bob")
    again.accept_next("alice")
    assert again.wait(FileAccepted).offset > 0
    assert digest(again.wait(FileFinished).path) == digest(source)
    assert alice.wait(FileFinished).sha256 == digest(source)


def test_either_side_can_stop_it(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    for stopper in (alice, bob):
        number = alice.peers.send_file("bob", make_file(tmp_path, "a.bin", 30_000_000))
        offered = receive(bob)
        bob.wait(FileAccepted)
        stopper.peers.cancel_file(number if stopper is alice else offered.transfer)
        other = bob if stopper is alice else alice
        assert not other.wait(FileEnded).by_us
        assert stopper.wait(FileEnded).by_us


def test_a_file_that_is_not_there_is_told(meet: Meet, tmp_path: Path) -> None:
    alice, bob = meet("alice", "bob")
    open_session(alice, bob)
    alice.peers.send_file("bob", tmp_path / "nothing")
    assert alice.wait(FileEnded).by_us
    assert not alice.seen_of(FileSending)
