"""Relays from the DNS: real questions and answers, by a server on loopback."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from securechat.client import Client, srv
from securechat.client.relays import RELAYS_LIMIT, RelayAddress
from securechat.client.srv import SrvRecord, in_order, look_up, require_package
from securechat.errors import ConfigError, LocalProtocolError, NetworkError
from tests.client.name_server import answering
from tests.client.scripted_server import Pki


def never() -> float:
    return 0.0


def record(name: str, priority: int = 0, weight: int = 0) -> SrvRecord:
    return SrvRecord(priority, weight, RelayAddress(name))


def names(records: list[SrvRecord]) -> str:
    return "".join(one.relay.host for one in records)


def test_by_priority() -> None:
    records = [record("c", 20), record("b", 10, 1), record("a", 5), record("d", 65535)]
    assert names(in_order(records, never)) == "abcd"


# "Select a uniform random number between 0 and the sum computed (inclusive), and select the RR
# whose running sum value is the first in the selected order which is greater than or equal to the
# random number selected."
@pytest.mark.parametrize(
    ("chances", "order"),
    [
        ((0.0, 0.0, 0.0), "zab"),
        ((0.2, 0.0, 0.0), "azb"),  # of 4: 1
        ((0.5, 0.0, 0.0), "bza"),  # of 4: 2
        ((1.0, 1.0, 1.0), "baz"),
    ],
)
def test_by_weight(chances: tuple[float, ...], order: str) -> None:
    records = [record("b", weight=3), record("z"), record("a", weight=1)]
    drawn: Callable[[], float] = itertools.chain(chances, itertools.repeat(0.0)).__next__
    assert names(in_order(records, drawn)) == order


def test_a_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    records = ["20 0 6697 c.example.org.", "10 0 6700 B.example.org.", "10 0 0 no.example.org."]
    with answering(monkeypatch, example_dot_org=records) as server:
        assert look_up("example.org", never) == (
            RelayAddress("b.example.org", 6700),
            RelayAddress("c.example.org", 6697),
        )
    assert server.asked == ["_ircs._tcp.example.org."]


def test_no_more_than_a_chat_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [f"{number} 0 1 h{number}." for number in range(RELAYS_LIMIT + 1)]
    with answering(monkeypatch, many=records):
        assert [relay.host for relay in look_up("many", never)] == [
            f"h{number}" for number in range(RELAYS_LIMIT)
        ]


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("nowhere", "there is no relay at _ircs._tcp.nowhere"),
        ("empty", "there is no relay at _ircs._tcp.empty"),
        (
            "away",
            "there is no relay at _ircs._tcp.away",
        ),  # "the service is decidedly not available"
        ("a" * 70, "cannot look up _ircs._tcp.a+: A DNS label is > 63"),
    ],
)
def test_nothing_to_find(monkeypatch: pytest.MonkeyPatch, domain: str, why: str) -> None:
    with (
        answering(monkeypatch, empty=[], away=["0 0 6697 ."]),
        pytest.raises(NetworkError, match=why),
    ):
        look_up(domain, never)


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch):
        monkeypatch.setattr("dns.resolver.Resolver.nameservers", [])
        with pytest.raises(NetworkError, match="cannot look up _ircs"):
            look_up("example.org", never)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, pki: Pki) -> None:
    require_package()
    monkeypatch.setattr(srv, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "securechat\[srv\]"'):
        Client(nick="alice", srv="example.org", ca=pki.ca_file)


def test_no_answer_of_the_dns_is_worth_anything_without_a_ca_of_the_chat() -> None:
    with pytest.raises(LocalProtocolError, match="needs a CA"):
        Client(nick="alice", srv="example.org")


def test_what_is_no_domain(pki: Pki) -> None:
    with pytest.raises(ConfigError, match="not a host name"):
        Client(nick="alice", srv="not a domain", ca=pki.ca_file)
