"""A relay and clients as child processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.e2e.children import RelayProcess, TerminalClient, run_relay
from tests.e2e.namespaces import address_of
from tests.e2e.real_clients import Irssi, WeeChat, connect
from tests.server.relay_harness import Client


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A CA in the layout of certs/, with certificates for alice, and for a relay that is here or in
    a namespace; returns ca.pem."""
    folder = tmp_path / "certs"
    folder.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", address_of("relay"))
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "server-key.pem")
    with (folder / "server.pem").open("wb") as file:
        for pem in issued.cert_chain_pems:
            file.write(pem.bytes())
    alice = authority.issue_cert("alice@example.org", common_name="alice")
    alice.private_key_and_cert_chain_pem.write_to_path(folder / "alice.pem")
    return folder / "ca.pem"


@pytest.fixture
def relay(ca: Path, tmp_path: Path) -> Iterator[RelayProcess]:
    with run_relay(ca, tmp_path / "data") as running:
        yield running


@pytest.fixture
def open_client() -> Iterator[Callable[..., TerminalClient]]:
    with contextlib.ExitStack() as stack:

        def open_one(relay: RelayProcess, *flags: str) -> TerminalClient:
            client = TerminalClient(relay, *flags)
            stack.callback(client.close)
            return client

        yield open_one


@pytest.fixture
def weechat(tmp_path: Path) -> Iterator[WeeChat]:
    with contextlib.closing(WeeChat(tmp_path / "weechat")) as client:
        yield client


@pytest.fixture
def irssi(tmp_path: Path) -> Iterator[Irssi]:
    with contextlib.closing(Irssi(tmp_path / "irssi")) as client:
        yield client


@pytest.fixture
def bob(relay: RelayProcess) -> Iterator[Client]:
    """Somebody else, on the relay and in #room."""
    client = connect(relay).register("bob")
    client.send("JOIN #room")
    client.sync()
    yield client
    client.sock.close()
