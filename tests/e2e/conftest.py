"""A relay and clients as child processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from tests.e2e.children import RelayProcess, TerminalClient, run_relay


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A CA in the layout of certs/, with a certificate for localhost; returns ca.pem."""
    folder = tmp_path / "certs"
    folder.mkdir()
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "server-key.pem")
    with (folder / "server.pem").open("wb") as file:
        for pem in issued.cert_chain_pems:
            file.write(pem.bytes())
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
