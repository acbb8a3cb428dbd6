"""Two people with peers on machines of their own: paths that are there, or not, or go away."""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.children import ROOT, run_relay, script
from tests.e2e.namespaces import (
    OTHER_PORTS_NAT,
    Network,
    address_of,
    home_address_of,
    skip_where_there_are_none,
)
from tests.e2e.people import SOON_DEAD, STEADY, People, Person, open_session, talk

MIB = 2**20

APART = """
table ip firewall {
  chain between { type filter hook forward priority 0
    iifname "alice" oifname "bob" drop
    iifname "bob" oifname "alice" drop
  }
}
"""
"""Of the router: alice and bob do not reach each other, and nobody tells them."""

SOON_RELAYED = ["--set", "securechat.peer.connector:TUNNEL_AFTER_S=0.5"]
"""Flags of a client that does not try for long to find a direct path."""

OFTEN = [
    *("--set", "securechat.peer.contact:TICK_S=0.1"),
    *("--set", "securechat.peer.transfer:PROGRESS_EVERY_S=0.1"),
]
"""Flags of a client that tells more often how far its files are."""


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    skip_where_there_are_none()


@contextlib.contextmanager
def people_in(
    network: Network, ca: Path, folder: Path, *flags: str
) -> Iterator[tuple[Person, Person]]:
    """Have alice and bob, who trust each other, on a relay: each of the three on its machine."""
    commands = {name: machine.command for name, machine in network.machines.items()}
    host = address_of("relay")
    config = folder / "relay.toml"
    # Anybody may come, as on a relay of one machine; files take no time.
    config.write_text("[accounts]\nregistration = 'open'\n[peers]\ntunnel_bytes_per_s = 0\n")
    server = [*commands["relay"], script("securechat-server"), "--config", str(config)]
    with (
        run_relay(ca, folder / "data", host=host, command=server) as relay,
        contextlib.closing(People(relay, folder, host, [*STEADY, *flags], commands)) as people,
    ):
        alice, bob = people.register("alice", "bob")
        alice.trust(bob, show_addresses=True)
        bob.trust(alice, show_addresses=True)
        yield alice, bob


@pytest.mark.parametrize("behind_nat", [[], ["alice"], ["bob"], ["alice", "bob"]], ids=str)
def test_a_session_is_direct(ca: Path, tmp_path: Path, behind_nat: list[str]) -> None:
    """Also where both are behind a NAT: each dials from where it listens, and so opens its own."""
    with (
        contextlib.closing(Network(behind_nat)) as network,
        people_in(network, ca, tmp_path) as (alice, bob),
    ):
        alice.call("peers.open", "bob")
        alice.wait("PeerOpened", path="direct", address=address_of("bob"))
        bob.wait("PeerOpened", path="direct", address=address_of("alice"))
        talk(alice, bob, "hello")


def test_a_session_is_relayed_where_no_direct_way_is(ca: Path, tmp_path: Path) -> None:
    with contextlib.closing(Network()) as network:
        network.router.filter(APART)
        with people_in(network, ca, tmp_path, *SOON_RELAYED) as (alice, bob):
            open_session(alice, bob, path="relayed", address="")
            talk(alice, bob, "hello")


def test_a_path_is_cut_in_the_middle_of_a_file(ca: Path, tmp_path: Path) -> None:
    """Both sides notice, and what was under way goes on through the relay."""
    content = random.Random("large").randbytes(128 * MIB)
    large = tmp_path / "large.bin"
    large.write_bytes(content)
    with (
        contextlib.closing(Network()) as network,
        people_in(network, ca, tmp_path, *SOON_DEAD, *SOON_RELAYED, *OFTEN) as (alice, bob),
    ):
        open_session(alice, bob, path="direct")
        talk(alice, bob, "before")
        alice.call("peers.send_file", "bob", path=large)
        bob.wait("FileProgress", outgoing=False)
        network.router.filter(APART)
        said = [alice.say(bob, "to nobody")]
        for person in (alice, bob):
            person.wait("PeerLost")
        said.append(alice.say(bob, "for later"))
        for person in (alice, bob):
            person.wait("PeerOpened", path="relayed", again=True)
        assert 0 < bob.wait("FileAccepted")["offset"] < len(content)
        sent, received = alice.find("FileFinished"), bob.find("FileFinished")
        assert sent["sha256"] == received["sha256"] == hashlib.sha256(content).hexdigest()
        assert filecmp.cmp(large, received["path"], shallow=False)
        for delivery in said:
            alice.find("Delivered", delivery=delivery)
        talk(alice, bob, "after")
        assert bob.texts() == ["before of alice", "to nobody", "for later", "after of alice"]
        assert alice.texts() == ["before of bob", "after of bob"]


@contextlib.contextmanager
def upnp_router(network: Network, name: str) -> Iterator[None]:
    """Have the NAT of somebody map ports for those behind it."""
    addresses = home_address_of(name, "nat"), address_of(name)
    command = [sys.executable, "-m", "tests.peer.upnp_router", *addresses]
    with subprocess.Popen(
        [*network.machines[f"nat-of-{name}"].command, *command],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("mapped", [False, True])
def test_a_port_that_a_router_maps_is_a_way_in(ca: Path, tmp_path: Path, mapped: bool) -> None:
    """Where else there is none, as nobody can know from which port bob comes."""
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(contextlib.closing(Network(["alice", "bob"])))
        network.machines["nat-of-bob"].filter(OTHER_PORTS_NAT)
        stack.enter_context(upnp_router(network, "alice"))
        flags = ["--upnp"] if mapped else SOON_RELAYED
        alice, bob = stack.enter_context(people_in(network, ca, tmp_path, *flags))
        alice.call("peers.open", "bob")
        alice.wait("PeerOpened", path="direct" if mapped else "relayed")
        bob.wait("PeerOpened", address=address_of("alice") if mapped else "")
        talk(alice, bob, "hello")
