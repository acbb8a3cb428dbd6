"""Offers that cross, which two real clients do only by chance."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.irc import peering
from securechat.irc.message import Message
from securechat.peer.events import PeerEvent, PeerIdentityChanged
from securechat.peer.identity import load_device
from securechat.peer.known_peers import KnownPeers
from securechat.peer.negotiation import DECLINED, Failure, Negotiation, Stage

NETWORK = "relay.test:6697"


class Bob:
    """The contact that the offers are with."""

    account = nick = "bob"
    fingerprint = ""  # there is no session

    def __init__(self, known: KnownPeers, *, refuse_changed: bool) -> None:
        self.said: list[Message] = []
        self.events: list[PeerEvent] = []
        self.failures: list[Failure] = []
        identifiers = (f"{number:032x}" for number in itertools.count(5))
        means: Any = SimpleNamespace(
            io=SimpleNamespace(call_later=lambda delay, call: SimpleNamespace(cancel=lambda: None)),
            known=known,
            network=NETWORK,
            fold=str.lower,
            signal=self.said.append,
            claim=lambda identifier, taker: None,
            emit=self.events.append,
            make_id=lambda: next(identifiers),
            now_ms=lambda: 1,
            refuse_changed=refuse_changed,
        )
        self.negotiation = Negotiation(means, self)

    def picked(self, path: Any, certificate: bytes, *, ours: bool) -> None:
        raise AssertionError("there is no path")

    def failed(self, failure: Failure) -> None:
        self.failures.append(failure)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    folders = (tmp_path_factory.mktemp("device") for _ in range(2))
    first, second = (load_device(folder).certificate for folder in folders)
    return first, second


@pytest.fixture
def known(tmp_path: Path, certificates: tuple[bytes, bytes]) -> Iterator[KnownPeers]:
    """What is known of bob: the first certificate."""
    known = KnownPeers(tmp_path / "peers.db")
    known.see(NETWORK, "bob", certificates[0], 1)
    yield known
    known.close()


@pytest.mark.parametrize(("verified", "refuse_changed"), [(True, False), (False, True)])
def test_an_offer_that_crosses_ours_and_is_refused_ends_ours_too(
    known: KnownPeers, certificates: tuple[bytes, bytes], verified: bool, refuse_changed: bool
) -> None:
    """Its id is the lower one, so ours is taken back for it; but it is of a device that is not the
    known one. Who has asked must hear that nothing will come."""
    if verified:
        known.verify(NETWORK, "bob", peering.fingerprint_of(certificates[0]), True)
    bob = Bob(known, refuse_changed=refuse_changed)
    bob.negotiation.ask()
    bob.negotiation.offered(peering.Offer("bob", "bob", certificates[1], f"{1:032x}"))
    assert bob.negotiation.stage is Stage.NONE
    assert [failure.final for failure in bob.failures] == [True]
    assert "its device is not the one" in bob.failures[0].reason
    ours, theirs = f"{5:032x}", f"{1:032x}"
    assert bob.said[1:] == [
        peering.withdraw(ours, "taken back"),
        peering.withdraw(theirs, DECLINED),
    ]
    [warning] = bob.events
    assert isinstance(warning, PeerIdentityChanged)
    assert warning.blocked
