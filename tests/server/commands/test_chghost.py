"""CHGHOST, the operators' command (the specification is in tests/conversations/chghost.txt)."""

from __future__ import annotations

import pytest

from securechat.server.config import OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Client, RunningRelay, commands

OPERATORS = (OperatorConfig("root", hash_password(PASSWORD, Argon2Parameters(8, 1, 1))),)


def operator(relay: RunningRelay, *caps: str) -> Client:
    client = relay.join("root", "standard-replies", *caps)
    client.ask(f"OPER root :{PASSWORD}")
    return client


def test_only_for_operators(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    assert commands(ann.ask("CHGHOST ann example.org")) == ["481"]


def test_a_host_and_back(start_relay: StartRelay) -> None:
    relay = start_relay(operators=OPERATORS)
    root, ann = operator(relay), relay.join("ann")
    own = relay.session("ann").host
    assert root.ask("CHGHOST ANN example.org") == ["NOTICE root :Others see ANN at example.org now"]
    assert ann.seen() == ["396 ann example.org :is now your displayed host"]
    assert "302 root ann=+~ann@example.org" in root.ask("USERHOST ann")
    root.ask("CHGHOST ann")
    assert ann.seen() == [f"396 ann {own} :is now your displayed host"]
    assert commands(root.ask("CHGHOST nobody example.org")) == ["401"]


@pytest.mark.parametrize("host", ["a!b", "a@b", ":x", "x" * 64])
def test_bad_hosts(start_relay: StartRelay, host: str) -> None:
    relay = start_relay(operators=OPERATORS)
    (found,) = operator(relay).ask(f"CHGHOST root :{host}")
    assert found.startswith("FAIL CHGHOST INVALID_HOST ")


def test_a_login_brings_the_host_of_the_account(start_relay: StartRelay) -> None:
    relay = start_relay(operators=OPERATORS)
    root = operator(relay, "chghost")
    ann = relay.account("ann")
    root.ask("CHGHOST ann example.org", "JOIN #a")
    ann.quit()
    guest = relay.join("guest", "sasl")
    guest.ask("JOIN #a")
    root.sync()
    guest.authenticate_plain("ann")
    assert root.seen() == [":guest CHGHOST ~guest example.org"]


def test_an_operator_who_shares_the_room_sees_it_too(start_relay: StartRelay) -> None:
    relay = start_relay(operators=OPERATORS)
    root, ann = operator(relay), relay.join("ann")
    ann.ask("JOIN #a", "AWAY :tea")
    root.ask("CAP REQ away-notify", "JOIN #a")
    assert root.ask("CHGHOST ann example.org") == [
        ":ann QUIT :Changing host",
        ":ann JOIN #a",
        ":ann AWAY tea",
        "MODE #a +o ann",
        "NOTICE root :Others see ann at example.org now",
    ]


def test_extended_monitor(start_relay: StartRelay) -> None:
    """ "If chghost is also enabled, the client will get CHGHOST notifications for monitored
    nicks." """
    relay = start_relay(operators=OPERATORS)
    root, _ = operator(relay), relay.join("ann")
    bob, carol = relay.join("bob", "chghost", "extended-monitor"), relay.join("carol", "chghost")
    for client in (bob, carol):
        client.ask("MONITOR + ann")
    root.ask("CHGHOST ann example.org")
    assert bob.seen() == [":ann CHGHOST ~ann example.org"]
    assert carol.seen() == []
