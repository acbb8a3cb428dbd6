"""Peers on two relays of one chat: their signals, and the tunnel that both are led to."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from securechat.client import Delivered, TextReceived
from securechat.irc import peering
from securechat.irc.peering import TUNNEL_ALPN, RelayPlace, fingerprint_of
from securechat.peer.events import FileFinished, FileOffered, PeerClosed, PeerOpened
from securechat.server import device_keeper, tunnels
from tests.peer.people import Person, open_session
from tests.server.cluster.cluster_harness import Relays, log_of
from tests.server.commands.test_peer import DESK, PEER, PHONE, P, Q
from tests.server.relay_harness import Client as RawClient
from tests.server.relay_harness import FakeClock, RunningRelay
from tests.server.waiting import until
from tests.services.nats import ReservedPort

NOT_GOOD = b"REFUSED This token is not good, or no longer\n"
LEASE_S = 3


class Two(NamedTuple):
    """Ann on relay a, Bob on relay b; both can be reached."""

    relays: Relays
    a: RunningRelay
    b: RunningRelay
    ann: RawClient
    bob: RawClient


def announced(relay: RunningRelay, nick: str, certificate: bytes) -> RawClient:
    """Return a client of a new account that can be reached as a peer."""
    client = relay.account(nick, PEER)
    client.send(peering.announce(certificate).to_line())
    assert client.expect("PEER").params[0] == "ANNOUNCED"
    return client


def meet(relays: Relays) -> Two:
    a, b = relays.start("a"), relays.start("b")
    ann, bob = announced(a, "ann", DESK), announced(b, "bob", PHONE)
    relays.settle()
    return Two(relays, a, b, ann, bob)


def pair(two: Two) -> None:
    two.ann.send(f"PEER OFFER bob * {P}")
    two.bob.expect("PEER", "OFFER", "ann")
    two.bob.send(f"PEER ANSWER {P}")
    two.ann.expect("PEER", "ANSWER", "bob")


def ask_for_tunnel(asker: RawClient, *others: RawClient) -> list[peering.Token]:
    """Return what the asker, and then the others, are told."""
    asker.send(f"PEER TUNNEL {P}")
    found = [peering.parse_signal(each.expect("PEER", "TOKEN")) for each in (asker, *others)]
    assert all(isinstance(token, peering.Token) for token in found)
    return found  # type: ignore[return-value]


def come(relay: RunningRelay, token: peering.Token) -> ssl.SSLSocket:
    sock = relay.connect(alpn=(TUNNEL_ALPN,)).sock
    sock.sendall(token.token.encode() + b"\n")
    return sock


def joined(relay: RunningRelay, *tokens: peering.Token) -> list[ssl.SSLSocket]:
    ends = [come(relay, token) for token in tokens]
    for end in ends:
        assert end.recv(7) == b"JOINED\n"
    return ends


def tunnels_at(relay: RunningRelay) -> int:
    return relay.relay.services.tunnels.snapshot().tunnels


def test_from_the_offer_to_the_end(relays: Relays) -> None:
    two = meet(relays)
    ann, bob = two.ann, two.bob
    ann.send(f"PEER OFFER bob * {P}")
    offer = peering.parse_signal(bob.expect("PEER", "OFFER"))
    assert offer == peering.Offer("ann", "ann", DESK, P)
    bob.send(f"PEER ANSWER {P}")
    answer = peering.parse_signal(ann.expect("PEER", "ANSWER"))
    assert answer == peering.Answer("bob", "bob", PHONE, P)
    for sender, recipient, port in ((ann, bob, 5000), (bob, ann, 6000)):
        here = peering.Candidate("192.0.2.1", port)
        sender.send(*(message.to_line() for message in peering.candidates(P, [here])))
        told = peering.parse_signal(recipient.expect("PEER", "CANDIDATES"))
        assert told == peering.Candidates(P, (here,))
    bob.send(f"PEER WITHDRAW {P} :no more")
    assert peering.parse_signal(ann.expect("PEER", "WITHDRAW")) == peering.Withdraw(P, "no more")
    ann.send(f"PEER ANSWER {P}")
    assert ann.expect("FAIL").params[:2] == ("PEER", "NO_SUCH_OFFER")


def test_who_can_be_reached(relays: Relays) -> None:
    """It is told at once, also while the relay that writes devices has not done so."""
    a, b = relays.start("a"), relays.start("b")
    ann, watcher = announced(a, "ann", DESK), b.account("watcher", PEER)
    for client in (ann, watcher):
        client.send("JOIN #room")
        client.expect("366")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_keeper, "_add", lambda effect, connection: None)
        bob = announced(b, "bob", PHONE)
        bob.send("JOIN #room")
        bob.expect("366")
        relays.settle()
        ann.send("PEER LOOKUP bob")
        found = peering.parse_signal(ann.expect("PEER", "DEVICE"))
    assert isinstance(found, peering.DeviceFound)
    assert (found.nick, found.certificate, found.reachable) == ("bob", PHONE, True)
    ann.expect("PEER", "END", "LOOKUP")
    ann.send("PEER LIST")
    assert ann.expect("PEER").params == ("REACHABLE", "bob", "bob")
    assert ann.expect("PEER").params == ("END", "LIST", "*")
    bob.quit()
    assert ann.expect("PEER").params == ("UNREACHABLE", "bob", "bob")
    assert watcher.expect("PEER").params == ("UNREACHABLE", "bob", "bob")


def test_both_are_led_to_the_relay_of_who_asks(relays: Relays) -> None:
    two = meet(relays)
    pair(two)
    at_b = ask_for_tunnel(two.bob, two.ann)
    assert [token.relay for token in at_b] == [RelayPlace("b.test", 6697)] * 2
    assert (tunnels_at(two.a), tunnels_at(two.b)) == (0, 1)
    at_a = ask_for_tunnel(two.ann, two.bob)
    assert [token.relay for token in at_a] == [RelayPlace("a.test", 6697)] * 2
    assert (tunnels_at(two.a), tunnels_at(two.b)) == (1, 1)
    elsewhere = come(two.a, at_b[1])
    assert elsewhere.recv(100) == NOT_GOOD
    for relay, tokens in ((two.a, at_a), (two.b, at_b)):
        one, other = joined(relay, *tokens)
        one.sendall(b"hello")
        assert other.recv(5) == b"hello"


def test_as_many_tunnels_as_an_account_may_have(relays: Relays) -> None:
    """Of which one that the log has refused is none."""
    a, b = (relays.start(name, peers={"tunnels_per_account": 1}) for name in "ab")
    two = Two(relays, a, b, announced(a, "ann", DESK), announced(b, "bob", PHONE))
    relays.settle()
    pair(two)
    log = log_of(a)
    with a.relay.services.lock:
        log._cut_off = "a cable"
    two.ann.send(f"PEER TUNNEL {P}")
    assert two.ann.expect("FAIL").params[1] == "RELAY_ISOLATED"
    assert tunnels_at(a) == 0
    with a.relay.services.lock:
        log._cut_off = ""
    tokens = ask_for_tunnel(two.ann, two.bob)
    two.ann.send(f"PEER TUNNEL {P}")
    assert two.ann.expect("FAIL").params[:2] == ("PEER", "NO_TUNNEL")
    one, other = joined(a, *tokens)
    one.close()
    assert other.recv(1) == b""
    until(lambda: tunnels_at(a) == 0, "the tunnel is counted still")
    ask_for_tunnel(two.ann, two.bob)


def test_a_relay_that_cannot_say_where_it_is(relays: Relays) -> None:
    a, b = relays.start("a", cluster={"address": ""}), relays.start("b")
    two = Two(relays, a, b, announced(a, "ann", DESK), announced(b, "bob", PHONE))
    relays.settle()
    pair(two)
    two.ann.send(f"PEER TUNNEL {P}")
    failure = two.ann.expect("FAIL")
    assert failure.params[:4] == ("PEER", "NO_TUNNEL", "TUNNEL", P)
    assert "has no address" in failure.params[4]
    assert tunnels_at(a) == 0
    assert ask_for_tunnel(two.bob, two.ann)[0].relay == RelayPlace("b.test", 6697)
    # Where both are on it, nothing need be told.
    carl = announced(a, "carl", PHONE)
    carl.send(f"PEER OFFER ann * {Q}")
    two.ann.expect("PEER", "OFFER", "carl")
    two.ann.send(f"PEER ANSWER {Q}", f"PEER TUNNEL {Q}")
    token = peering.parse_signal(carl.expect("PEER", "TOKEN"))
    assert isinstance(token, peering.Token)
    assert token.relay is None


def test_the_other_side_ends_at_its_relay(relays: Relays, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it its tunnels, after a last word, and its tokens."""
    monkeypatch.setattr(tunnels, "FAREWELL_S", 0.3)
    two = meet(relays)
    pair(two)
    one, other = joined(two.a, *ask_for_tunnel(two.ann, two.bob))
    unused = ask_for_tunnel(two.ann, two.bob)
    two.bob.send("QUIT")
    two.ann.expect("PEER", "WITHDRAW", P)
    two.ann.sync()
    other.sendall(b"goodbye")
    assert one.recv(7) == b"goodbye"
    assert one.recv(1) == b""
    assert [come(two.a, token).recv(100) for token in unused] == [NOT_GOOD] * 2
    assert tunnels_at(two.a) == 0


def test_a_relay_is_lost(
    relays: Relays, time_of_relays: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whom its people had to do with hear it, and their tunnels elsewhere end."""
    monkeypatch.setattr(tunnels, "FAREWELL_S", 0.0)
    two = meet(relays)
    pair(two)
    ends = joined(two.a, *ask_for_tunnel(two.ann, two.bob))
    unused = ask_for_tunnel(two.ann, two.bob)
    relays.pass_time(time_of_relays, 1)
    relays.kill("b")
    relays.pass_time(time_of_relays, LEASE_S + 1)
    withdrawn = peering.parse_signal(two.ann.expect("PEER", "WITHDRAW"))
    assert withdrawn == peering.Withdraw(P, "left the relay")
    assert [end.recv(1) for end in ends] == [b""] * 2
    assert [come(two.a, token).recv(100) for token in unused] == [NOT_GOOD] * 2
    until(lambda: tunnels_at(two.a) == 0, "the tunnel is counted still")
    two.ann.send("PEER LOOKUP bob")
    found = peering.parse_signal(two.ann.expect("PEER", "DEVICE"))
    assert isinstance(found, peering.DeviceFound)
    assert (fingerprint_of(found.certificate), found.reachable) == (fingerprint_of(PHONE), False)


# ---- with real clients ----


class Streets(NamedTuple):
    """Two relays that tell where they are, and somebody at each."""

    a: RunningRelay
    b: RunningRelay
    alice: Person
    bob: Person


@pytest.fixture
def streets(relays: Relays, tmp_path: Path) -> Iterator[Streets]:
    with closing(ReservedPort()) as port_a, closing(ReservedPort()) as port_b:
        a, b = (
            relays.start(
                name,
                server={"name": f"{name}.test", "listen": (("127.0.0.1", port.number),)},
                cluster={"address": f"localhost:{port.number}"},
            )
            for name, port in (("a", port_a), ("b", port_b))
        )
        a.account("alice").quit()
        b.account("bob").quit()
        relays.settle()
        alice = Person(a, "alice", tmp_path / "alice", others=[b])
        bob = Person(b, "bob", tmp_path / "bob")
        with closing(alice), closing(bob):
            for person in (alice, bob):
                person.connect()
            relays.settle()
            yield Streets(a, b, alice, bob)


def test_a_file_between_two_who_have_no_direct_way(streets: Streets, tmp_path: Path) -> None:
    a, b, alice, bob = streets
    for opened in open_session(alice, bob):
        assert (opened.path, opened.address) == ("relayed", "")
    assert (tunnels_at(a), tunnels_at(b)) == (1, 0)
    source = tmp_path / "report.pdf"
    source.write_bytes(os.urandom(3_000_000))
    alice.peers.send_file("bob", source)
    bob.peers.accept_file(bob.wait(FileOffered).transfer)
    there, here = alice.wait(FileFinished), bob.wait(FileFinished)
    wanted = hashlib.sha256(source.read_bytes()).hexdigest()
    assert hashlib.sha256(here.path.read_bytes()).hexdigest() == wanted == there.sha256
    assert a.relay.services.tunnels.snapshot().bytes > 3_000_000
    assert b.relay.services.tunnels.snapshot().bytes == 0
    bob.peers.close("alice", "good night")
    assert alice.wait(PeerClosed).reason == "good night"


def hear(speaker: Person, listener: Person, text: str) -> None:
    speaker.peers.send(listener.name, text)
    assert listener.wait(TextReceived, lambda event: event.text == text).via == "relayed"
    speaker.wait(Delivered)


def test_a_session_outlives_the_relay_that_its_tunnel_leads_through(
    relays: Relays, streets: Streets
) -> None:
    """And a tunnel that breaks; who was at that relay comes back at the other one."""
    _, b, alice, bob = streets
    open_session(alice, bob)
    alice.cut("bob")
    for person in (alice, bob):
        assert person.wait(PeerOpened).again
    hear(alice, bob, "still here")
    relays.running.pop("a").relay.stop("Maintenance")
    for person in (alice, bob):
        assert person.wait(PeerOpened).again
    assert tunnels_at(b) == 1
    hear(alice, bob, "here again")
