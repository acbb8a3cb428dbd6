"""Ports of a router, by UPnP: the real package, with a router that is of the test."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from securechat import pki
from securechat.client import Client
from securechat.errors import ConfigError
from securechat.irc import peering
from securechat.irc.peering import Candidate
from securechat.peer import hub, port_mapping
from securechat.peer.events import PeerClosed
from securechat.peer.hub import Settings
from securechat.peer.port_mapping import EXTERNAL_PORTS, PORT_LEASE_S, PORT_TRIES, PortMapper
from tests.peer.conftest import Meet
from tests.peer.upnp_router import TAKEN, Asked, UpnpRouter
from tests.server.relay_harness import LONG_TIMEOUT_S

DOOR = 40_000

News = tuple[int, Candidate | None]
"""A port, and where it can be reached."""


@pytest.fixture
def router() -> Iterator[UpnpRouter]:
    with contextlib.closing(UpnpRouter()) as router:
        yield router


@pytest.fixture
def told() -> queue.SimpleQueue[News]:
    return queue.SimpleQueue()


@pytest.fixture
def mapper(router: UpnpRouter, told: queue.SimpleQueue[News]) -> Iterator[PortMapper]:
    made = PortMapper(lambda call: call(), lambda *news: told.put(news), router_url=router.url)
    with contextlib.closing(made):
        yield made


def asked_of(router: UpnpRouter) -> Asked:
    """Return the next thing that was asked of the router."""
    return router.asked.get(timeout=LONG_TIMEOUT_S)


def news_from(told: queue.SimpleQueue[News]) -> News:
    return told.get(timeout=LONG_TIMEOUT_S)


def test_a_port_is_mapped_for_a_while(
    router: UpnpRouter, mapper: PortMapper, told: queue.SimpleQueue[News]
) -> None:
    mapper.open(DOOR)
    asked = asked_of(router)
    external = int(asked.arguments["NewExternalPort"])
    assert external in EXTERNAL_PORTS
    assert asked == Asked(
        "AddPortMapping",
        {
            "NewRemoteHost": "",
            "NewExternalPort": str(external),
            "NewProtocol": "TCP",
            "NewInternalPort": str(DOOR),
            "NewInternalClient": "127.0.0.1",
            "NewEnabled": "1",
            "NewPortMappingDescription": "securechat",
            "NewLeaseDuration": str(PORT_LEASE_S),
        },
    )
    assert news_from(told) == (DOOR, Candidate(router.external, external))


@pytest.mark.parametrize("end", [PortMapper.shut, PortMapper.close])
def test_it_is_taken_back(
    router: UpnpRouter, mapper: PortMapper, end: Callable[[PortMapper], None]
) -> None:
    mapper.open(DOOR)
    external = asked_of(router).arguments["NewExternalPort"]
    end(mapper)
    asked = asked_of(router)
    assert asked.action == "DeletePortMapping"
    assert asked.arguments["NewExternalPort"] == external


def test_another_door_takes_the_place_of_the_first(
    router: UpnpRouter, mapper: PortMapper, told: queue.SimpleQueue[News]
) -> None:
    mapper.open(DOOR)
    mapper.open(DOOR + 1)
    asked = [asked_of(router) for _ in range(3)]
    assert [one.action for one in asked] == [
        "AddPortMapping",
        "DeletePortMapping",
        "AddPortMapping",
    ]
    assert asked[1].arguments["NewExternalPort"] == asked[0].arguments["NewExternalPort"]
    assert [news_from(told)[0] for _ in range(2)] == [DOOR, DOOR + 1]


def test_a_mapping_is_renewed(
    router: UpnpRouter, mapper: PortMapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_mapping, "RENEW_AFTER_S", 0.01)
    mapper.open(DOOR)
    first, second = asked_of(router), asked_of(router)
    assert first == second


def test_ports_that_others_have_are_left_to_them(
    router: UpnpRouter, mapper: PortMapper, told: queue.SimpleQueue[News]
) -> None:
    tried: list[Asked] = []

    def refuse(asked: Asked) -> int:
        if asked.action == "AddPortMapping":
            tried.append(asked)
        return TAKEN if 0 < len(tried) < PORT_TRIES else 0

    router.refuse = refuse
    mapper.open(DOOR)
    port = int(asked_of(router).arguments["NewExternalPort"])
    assert news_from(told) == (DOOR, Candidate(router.external, port))
    assert len({asked.arguments["NewExternalPort"] for asked in tried}) == PORT_TRIES


@pytest.mark.parametrize("code", [TAKEN, 606, 725], ids=["taken", "forbidden", "without an end"])
def test_a_router_may_refuse(
    router: UpnpRouter, mapper: PortMapper, told: queue.SimpleQueue[News], code: int
) -> None:
    router.refuse = lambda asked: code if asked.action == "AddPortMapping" else 0
    mapper.open(DOOR)
    assert news_from(told) == (DOOR, None)
    assert router.asked.empty()
    router.refuse = lambda asked: 0
    mapper.open(DOOR)
    assert news_from(told)[1] is not None


@pytest.mark.parametrize("external", ["", "nonsense", "1.2.3.4.5"])
def test_a_router_may_have_no_address(
    router: UpnpRouter, mapper: PortMapper, told: queue.SimpleQueue[News], external: str
) -> None:
    router.external = external
    mapper.open(DOOR)
    assert news_from(told) == (DOOR, None)
    assert router.asked.empty()


def test_a_router_may_come_later(router: UpnpRouter, told: queue.SimpleQueue[News]) -> None:
    port = router.port
    router.close()
    mapper = PortMapper(lambda call: call(), lambda *news: told.put(news), router_url=router.url)
    with contextlib.closing(mapper):
        mapper.open(DOOR)
        assert news_from(told) == (DOOR, None)
        with contextlib.closing(UpnpRouter(port=port)):
            mapper.open(DOOR)
            assert news_from(told)[1] is not None


# ---- in a client ----


def test_without_the_package_the_client_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_mapping, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "securechat\[upnp\]"'):
        Client("localhost", nick="alice", peers=Settings(tmp_path, tmp_path, upnp=True))


def test_the_mapped_port_is_told_to_the_other_side(
    meet: Meet, router: UpnpRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is mapped at last, and the next time together with the others."""
    monkeypatch.setattr(hub, "PortMapper", partial(PortMapper, router_url=router.url))
    bob = meet.relay.account("bob", peering.CAPABILITY)
    certificate = pki.make_device().certificate.public_bytes(Encoding.DER)
    bob.ask(peering.announce(certificate).to_line())
    (alice,) = meet("alice", upnp=True)
    alice.peers.set_trust("bob", show_addresses=True)

    def meet_alice() -> str:
        """Answer her; return the id."""
        alice.peers.open("bob")
        identifier = bob.expect("PEER", "OFFER").params[3]
        bob.send(peering.answer(identifier).to_line())
        return identifier

    def told_by_alice(identifier: str) -> tuple[Candidate, ...]:
        return peering.parse_candidates(bob.expect("PEER", "CANDIDATES", identifier).params[2])

    identifier = meet_alice()
    first = told_by_alice(identifier)
    asked = asked_of(router)
    mapped = Candidate(router.external, int(asked.arguments["NewExternalPort"]))
    assert asked.arguments["NewInternalPort"] in {str(one.port) for one in first}
    assert mapped not in first
    assert told_by_alice(identifier) == (mapped,)
    bob.send(peering.withdraw(identifier, "once more").to_line())
    alice.wait(PeerClosed)
    assert told_by_alice(meet_alice()) == (*first, mapped)
    alice.close()
    assert asked_of(router).action == "DeletePortMapping"
