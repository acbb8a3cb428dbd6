"""Which network an address is of, when one has several relays."""

from __future__ import annotations

import pytest

from securechat.client.assistant.result import find_network, find_other_trust
from securechat.client.relays import RelayAddress
from securechat.client.settings.profiles import Network, PasswordSource
from tests.client.invites import ca_hash
from tests.client.scripted_server import Pki


@pytest.mark.parametrize("relay", ["a:6697", "b:1", "c:6697"])
def test_a_network_is_known_by_any_of_its_relays(pki: Pki, relay: str) -> None:
    home = Network(
        "a",
        "ann",
        relays=(RelayAddress("b", 1),),
        learned=(RelayAddress("c"),),
        ca=pki.ca_file,
        password=PasswordSource("prompt"),
    )
    networks = {"work": Network("w", "ann"), "home": home}
    assert find_network(networks, relay, "Ann") == "home"
    assert find_network(networks, f"{relay}1", "Ann") == ""
    assert find_other_trust(networks, relay, ca_hash(pki.ca)) == ""
    assert find_other_trust(networks, relay, b"another") == "home"
    assert find_other_trust(networks, f"{relay}1", b"another") == ""
