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
from securechat.peer.events import PeerAsked, PeerEvent, PeerIdentityChanged
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


# ---- offers that cross, further ----

OURS, LOWER, HIGHER = f"{5:032x}", f"{1:032x}", f"{9:032x}"


def test_an_offer_with_the_higher_id_is_withdrawn(
    known: KnownPeers, certificates: tuple[bytes, bytes]
) -> None:
    """Their device may have come after our offer was made, and then has not got it: so it is not
    left to it to see that there are two."""
    bob = Bob(known, refuse_changed=False)
    bob.negotiation.ask()
    bob.negotiation.offered(peering.Offer("bob", "bob", certificates[0], HIGHER))
    assert bob.said[1:] == [peering.withdraw(HIGHER, "another offer is open")]
    assert bob.negotiation.stage is Stage.ASKING


def test_who_looks_for_one_device_does_not_go_to_another(
    known: KnownPeers, certificates: tuple[bytes, bytes]
) -> None:
    bob = Bob(known, refuse_changed=False)
    bob.fingerprint = peering.fingerprint_of(certificates[0])
    bob.negotiation.ask(bob.fingerprint)
    bob.negotiation.offered(peering.Offer("bob", "bob", certificates[1], LOWER))
    assert bob.said[1:] == [peering.withdraw(LOWER, "another offer is open")]
    assert bob.negotiation.stage is Stage.ASKING
    assert not bob.failures


def test_another_device_cannot_answer_for_that_of_the_session(
    known: KnownPeers, certificates: tuple[bytes, bytes]
) -> None:
    """Texts may wait in the session, which were said to the device that we have asked."""
    bob = Bob(known, refuse_changed=False)
    bob.fingerprint = peering.fingerprint_of(certificates[0])
    bob.negotiation.ask(bob.fingerprint)
    bob.negotiation.signalled(peering.Answer("bob", "bob", certificates[1], OURS))
    assert bob.negotiation.stage is Stage.NONE
    assert bob.said[1:] == [peering.withdraw(OURS, "taken back")]
    assert bob.failures == [Failure("another device has answered")]


# ---- what was known has changed, or cannot be read ----


def test_who_was_blocked_since_we_were_asked_is_not_accepted(
    known: KnownPeers, certificates: tuple[bytes, bytes]
) -> None:
    bob = Bob(known, refuse_changed=False)
    known.see(NETWORK, "bob", certificates[1], 2)
    bob.negotiation.offered(peering.Offer("bob", "bob", certificates[1], LOWER))
    known.verify(NETWORK, "bob", peering.fingerprint_of(certificates[0]), True)
    bob.negotiation.accept()
    asked, warning = bob.events
    assert isinstance(asked, PeerAsked)
    assert isinstance(warning, PeerIdentityChanged)
    assert warning.blocked
    assert bob.said == [peering.withdraw(LOWER, "taken back")]
    assert [failure.final for failure in bob.failures] == [True]


@pytest.mark.parametrize("asked_first", [False, True])
def test_an_offer_of_whom_nothing_can_be_read_is_withdrawn(
    known: KnownPeers, certificates: tuple[bytes, bytes], asked_first: bool
) -> None:
    bob = Bob(known, refuse_changed=False)
    if asked_first:
        bob.negotiation.ask()
    known.close()
    bob.negotiation.offered(peering.Offer("bob", "bob", certificates[0], LOWER))
    assert bob.negotiation.stage is Stage.NONE
    assert bob.said[-1].params[:2] == ("WITHDRAW", LOWER)
    assert [failure.final for failure in bob.failures] == [False] * asked_first


@pytest.mark.parametrize("ours", [False, True])
def test_where_nothing_can_be_read_there_is_no_session(
    known: KnownPeers, certificates: tuple[bytes, bytes], ours: bool
) -> None:
    bob = Bob(known, refuse_changed=False)
    if ours:
        bob.negotiation.ask()
        known.close()
        bob.negotiation.signalled(peering.Answer("bob", "bob", certificates[0], OURS))
    else:
        bob.negotiation.offered(peering.Offer("bob", "bob", certificates[0], OURS))
        known.close()
        bob.negotiation.accept()
    assert bob.negotiation.stage is Stage.NONE
    assert bob.said[-1] == peering.withdraw(OURS, "taken back")
    assert ["cannot look up bob" in failure.reason for failure in bob.failures] == [True]
