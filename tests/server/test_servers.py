"""The relays of a chat as servers, where no relay need run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from securechat.irc.isupport import token_lines
from securechat.server.config import Config
from securechat.server.isupport import RELAYS, isupport_tokens
from securechat.server.names import ASCII_NAMES
from securechat.server.servers import announced_addresses
from securechat.server.state import Relay


def network(*addresses: str) -> Any:
    names = "abcdefgh"[: len(addresses)]
    relays = {
        name: Relay(name, n + 1, n, address, 0)
        for n, (name, address) in enumerate(zip(names, addresses, strict=True))
    }
    return SimpleNamespace(relays=relays)


@pytest.mark.parametrize(
    ("addresses", "own", "found"),
    [
        ([], "", []),
        (["a:1", "b:2", "c:3"], "b", ["b:2", "c:3", "a:1"]),
        (["a:1", "", "c:3"], "b", ["c:3", "a:1"]),
        (["", ""], "a", []),
        (["a:1", "b:2"], "elsewhere", ["a:1", "b:2"]),
        (["a" * 150, "b" * 150, "c" * 150], "c", ["c" * 150, "a" * 150]),
    ],
)
def test_the_addresses_that_are_announced(addresses: list[str], own: str, found: list[str]) -> None:
    assert announced_addresses(network(*addresses), own) == found


def test_the_token() -> None:
    """ "The value MAY contain multiple fields, if this is the case the fields SHOULD be delimited
    with a comma character", and no line is cut."""
    addresses = announced_addresses(network(*(f"{n}{'x' * 50}:6697" for n in range(8))), "c")
    tokens = isupport_tokens(Config(), ASCII_NAMES, addresses)
    (token,) = [token for token in tokens if token.startswith(RELAYS)]
    assert token == f"{RELAYS}={','.join(addresses)}"
    assert max(sum(len(token) + 1 for token in line) for line in token_lines(tokens)) < 360
    assert isupport_tokens(Config(), ASCII_NAMES, ["a=b:1"])[-1].endswith("RELAYS=a\\x3Db:1")
    assert not [token for token in isupport_tokens(Config(), ASCII_NAMES) if RELAYS in token]
