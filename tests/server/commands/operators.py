"""An operator of a relay under test."""

from __future__ import annotations

from securechat.server.config import OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, RunningRelay, commands

_CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)


def with_operator(start_relay: StartRelay, **changes: object) -> RunningRelay:
    """Start a relay that has an operator block."""
    return start_relay(
        operators=(OperatorConfig("root", hash_password("toor toor", _CHEAP)),), **changes
    )


def as_operator(client: Client) -> Client:
    """Make a client of such a relay an operator."""
    assert "381" in commands(client.ask("OPER root :toor toor"))
    return client
