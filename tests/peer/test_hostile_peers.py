"""A peer that is no client of ours and says what it likes: where it has us go, and where not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.irc import peering
from securechat.irc.message import Message
from securechat.peer import connector
from securechat.peer.candidates import CANDIDATES_TRIED
from securechat.peer.events import PeerClosed
from securechat.peer.identity import load_device
from tests.peer.conftest import Meet
from tests.peer.people import Person
from tests.server.relay_harness import LONG_TIMEOUT_S, Client


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the direct ways have little time: here none leads to a session."""
    monkeypatch.setattr(connector, "TUNNEL_AFTER_S", 0.3)
    monkeypatch.setattr(connector, "RACE_S", 0.8)


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """Listen on all of loopback."""
    with contextlib.closing(socket.create_server(("0.0.0.0", 0))) as sock:
        sock.setblocking(False)
        yield sock


def caught(trap: socket.socket) -> int:
    """Return how many have connected."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            trap.accept()[0].close()
            count += 1
    return count


class Mallory:
    """Answers an offer, and then does as it likes."""

    def __init__(self, meet: Meet, folder: Path) -> None:
        meet.relay.account("mallory").quit()
        self.client: Client = meet.relay.login("mallory", "securechat/peer")
        self.device = load_device(folder)
        self.say(peering.announce(self.device.certificate))
        self.client.expect("PEER", "ANNOUNCED")

    def say(self, *messages: Message) -> None:
        self.client.send(*(message.to_line() for message in messages))

    def answer(self) -> str:
        """Accept the next offer; return its id."""
        identifier = self.client.expect("PEER", "OFFER").params[3]
        self.say(peering.answer(identifier))
        return identifier

    def candidates(self, identifier: str, words: list[str]) -> None:
        for word in words:
            self.say(Message("PEER", ("CANDIDATES", identifier, word)))

    def wait_for_token(self) -> None:
        """Wait until the direct ways have had their time."""
        self.client.expect("PEER", "TOKEN")


def ask(meet: Meet, tmp_path: Path, **how: bool) -> tuple[Person, Mallory, str]:
    (alice,) = meet("alice", **how)
    mallory = Mallory(meet, tmp_path / "mallory")
    alice.peers.set_trust("mallory", show_addresses=True)
    alice.peers.open("mallory")
    return alice, mallory, mallory.answer()


def test_we_do_not_go_where_no_peer_is(meet: Meet, tmp_path: Path, trap: socket.socket) -> None:
    alice, mallory, identifier = ask(meet, tmp_path, allow_loopback=False)
    port = trap.getsockname()[1]
    mallory.candidates(
        identifier,
        [f"127.0.0.1:{port}", f"[::ffff:127.0.0.1]:{port}", f"0.0.0.0:{port}", f"127.1.2.3:{port}"],
    )
    mallory.wait_for_token()
    alice.wait(PeerClosed)
    assert caught(trap) == 0


def test_we_do_not_go_to_the_relay(meet: Meet, tmp_path: Path) -> None:
    alice, mallory, identifier = ask(meet, tmp_path)
    before = len(meet.relay.relay.services.registry)
    mallory.candidates(identifier, [f"127.0.0.1:{meet.relay.address[1]}"])
    mallory.client.sync()
    alice.sync()
    assert len(meet.relay.relay.services.registry) == before


def test_we_go_to_few_of_many(meet: Meet, tmp_path: Path, trap: socket.socket) -> None:
    alice, mallory, identifier = ask(meet, tmp_path)
    port = trap.getsockname()[1]
    mallory.candidates(identifier, [f"127.9.{n // 250}.{n % 250 + 1}:{port}" for n in range(1_000)])
    mallory.wait_for_token()
    alice.wait(PeerClosed)
    assert caught(trap) == CANDIDATES_TRIED


def test_what_listens_there_learns_nothing_and_ends_nothing(
    meet: Meet, tmp_path: Path, trap: socket.socket
) -> None:
    alice, mallory, identifier = ask(meet, tmp_path)
    trap.settimeout(LONG_TIMEOUT_S)
    mallory.candidates(identifier, [f"127.0.0.1:{trap.getsockname()[1]}"])
    guest, _ = trap.accept()
    with guest:
        guest.settimeout(LONG_TIMEOUT_S)
        heard = guest.recv(65_536)
        assert heard.startswith(connector.first_word(identifier))
        assert b"alice" not in heard
        guest.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        while guest.recv(65_536):
            pass
    mallory.wait_for_token()
    assert not alice.wait(PeerClosed).was_open


def test_strangers_at_the_door_are_closed_without_a_word(meet: Meet, tmp_path: Path) -> None:
    alice, mallory, identifier = ask(meet, tmp_path)
    *_, last = mallory.client.expect("PEER", "CANDIDATES", identifier).params
    port = int(last.split()[-1].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=LONG_TIMEOUT_S) as stranger:
        stranger.sendall(connector.first_word("0" * 32))
        assert stranger.recv(1) == b""
    alice.wait(PeerClosed)


def test_who_has_the_word_but_not_the_key_gets_no_session(meet: Meet, tmp_path: Path) -> None:
    alice, mallory, identifier = ask(meet, tmp_path)
    *_, last = mallory.client.expect("PEER", "CANDIDATES", identifier).params
    port = int(last.split()[-1].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=LONG_TIMEOUT_S) as guest:
        guest.sendall(connector.first_word(identifier) + b"\x16\x03\x03\x00\x05hello")
        assert guest.recv(65_536).startswith(connector.first_word(identifier))
        while guest.recv(65_536):
            pass
    assert not alice.wait(PeerClosed).was_open


def test_a_hidden_address_stays_hidden(meet: Meet, tmp_path: Path, trap: socket.socket) -> None:
    """Without consent we tell no candidate, and do not dial: that would show where we are."""
    (alice,) = meet("alice")
    mallory = Mallory(meet, tmp_path / "mallory")
    alice.peers.open("mallory")
    identifier = mallory.answer()
    mallory.candidates(identifier, [f"127.0.0.1:{trap.getsockname()[1]}"])
    assert mallory.client.expect("PEER", "CANDIDATES", identifier).params[2] == ""
    mallory.wait_for_token()
    alice.wait(PeerClosed)
    assert caught(trap) == 0


def test_the_first_word_lets_in_only_so_many(
    meet: Meet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has overheard it could take all descriptors that there are."""
    monkeypatch.setattr(connector, "PATHS_MOST", 2)
    alice, mallory, identifier = ask(meet, tmp_path)
    *_, last = mallory.client.expect("PEER", "CANDIDATES", identifier).params
    port = int(last.split()[-1].rpartition(":")[2])
    word = connector.first_word(identifier)
    with contextlib.ExitStack() as guests:
        for number in range(3):
            guest = guests.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=LONG_TIMEOUT_S)
            )
            guest.sendall(word)
            assert guest.recv(len(word)) == (word if number < 2 else b"")
    assert not alice.wait(PeerClosed).was_open


def test_who_gets_no_tunnel_goes_on_with_the_direct_ways(
    meet: Meet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "RACE_S", LONG_TIMEOUT_S)
    alice, mallory, identifier = ask(meet, tmp_path)
    mallory.client.expect("PEER", "CANDIDATES", identifier)
    for code in ("NO_TUNNEL", "RATE_LIMITED"):
        taken = alice.on_thread(lambda hub, c=code: hub.refused(c, ("TUNNEL", identifier), "no"))
        assert taken
        assert [one.state for one in alice.peers.list()] == ["connecting"]
