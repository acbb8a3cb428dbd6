"""STS: https://ircv3.net/specs/extensions/sts"""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, RunningRelay
from tests.server.websocket_client import WebClient

NAME, OTHER = "chat.example.org", "other.example.org"


@pytest.fixture
def start(start_relay: StartRelay) -> Any:
    def start(**tls: Any) -> RunningRelay:
        return start_relay(tls={"sts_names": (NAME,)} | tls)

    return start


def sts(client: Client) -> list[str]:
    """Return how the capability stands in CAP LS 302."""
    client.send("CAP LS 302")
    words: list[str] = []
    while True:
        params = client.expect("CAP").params
        words += params[-1].split()
        if params[2] != "*":
            return [word for word in words if word.partition("=")[0] == "sts"]


def test_a_persistence_policy(start: Any) -> None:
    """ "To enforce an STS persistence policy, servers MUST send this key to securely connected
    clients." "The value of this key MUST be given as a single integer" """
    assert sts(start().connect(host=NAME)) == ["sts=duration=2592000"]


@pytest.mark.parametrize("host", [OTHER, "localhost", "127.0.0.1"])
def test_only_for_a_name_that_the_operator_lists(start: Any, host: str) -> None:
    """ "servers SHOULD verify whether the hostname provided by clients, for example, via TLS Server
    Name Indication (SNI), has been whitelisted by administrators in the server configuration. If no
    hostname has been provided for the connection, an STS persistence policy SHOULD NOT be
    advertised." (An IP address is no name: RFC 6066 has clients send none for it.)"""
    assert sts(start().connect(host=host)) == []


def test_off_by_default(relay: RunningRelay) -> None:
    """ "this capability MUST be made available as an optional configuration setting" """
    assert sts(relay.connect(host=NAME)) == []


def test_the_name_in_capitals(start: Any) -> None:
    assert sts(start().connect(host=NAME.upper())) == ["sts=duration=2592000"]


def test_taking_it_back(start: Any) -> None:
    """ "A duration=0 value indicates a disabled STS persistence policy with an immediate expiry.
    This value MAY be used by servers to remove a previously set policy." """
    assert sts(start(sts_duration_s=0).connect(host=NAME)) == ["sts=duration=0"]


def test_preload_for_some_names(start: Any) -> None:
    """ "IRCd software SHOULD allow for each part of the STS policy to be configured per
    hostname." """
    relay = start(sts_names=(NAME, OTHER), sts_preload=(OTHER,))
    assert sts(relay.connect(host=NAME)) == ["sts=duration=2592000"]
    assert sts(relay.connect(host=OTHER)) == ["sts=duration=2592000,preload"]


def test_it_cannot_be_requested(start: Any) -> None:
    """ "Clients MUST NOT request this capability with CAP REQ. Servers MAY reply with a CAP NAK
    message if a client requests this capability." """
    client = start().connect(host=NAME)
    for request in ("sts", "sts=duration=2592000", "-sts"):
        assert client.ask(f"CAP REQ :{request}") == [f"CAP * NAK {request}"]
    assert client.ask("CAP LIST") == ["CAP * LIST :"]


def test_not_for_clients_that_know_no_values(start: Any) -> None:
    """It "has a REQUIRED value", which CAP LS below 302 cannot have."""
    client = start().connect(host=NAME)
    assert "sts" not in client.ask("CAP LS")[0]


def test_over_websocket(start_relay: StartRelay) -> None:
    """The client of these tests asks for localhost."""
    relay = start_relay(tls={"sts_names": (NAME,)}, websocket={"listen": (("127.0.0.1", 0),)})
    assert sts(WebClient(relay)) == []
