"""bans: at a running relay, and on the files of a stopped one."""

from __future__ import annotations

from contextlib import closing

import pytest

from securechat.errors import SecureChatError
from securechat.server.config import OperatorConfig
from securechat.store.bans import BanRecord, Bans
from securechat.store.database import open_database, read_only
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.administration.administrator import Administrator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import WALL_S, Client, RunningRelay, commands

SET_MS = 1_700_000_000_250
OPERATOR = OperatorConfig("boss", hash_password("boss", Argon2Parameters(8_192, 1, 1)))


def ban(kind: str, mask: str, expires_ms: int | None = None) -> BanRecord:
    return BanRecord(kind, mask.lower(), mask, "spam", "boss", SET_MS, expires_ms)


@pytest.fixture
def banned(on_files: Administrator) -> Administrator:
    """Somebody who gives commands where there are bans, one of which has ended."""
    with closing(open_database(on_files.config.store.path)) as connection:
        for each in (
            ban("K", "Mallory!*@*"),
            ban("K", "*!*@old.example.org", SET_MS + 1),
            ban("D", "192.0.2.0/24", 4_000_000_000_000),
        ):
            Bans(connection).save(each)
    return on_files


@pytest.fixture(params=["running", "stopped"])
def anywhere(
    request: pytest.FixtureRequest, banned: Administrator, start_relay: StartRelay
) -> Administrator:
    if request.param == "running":
        start_relay(wall_clock=lambda: WALL_S + 60)
    return banned


def become_operator(relay: RunningRelay) -> Client:
    boss = relay.join("boss")
    assert "381" in commands(boss.ask("OPER boss boss"))
    return boss


def test_the_bans_in_force(anywhere: Administrator) -> None:
    assert anywhere.json("bans", "list") == [
        {
            "kind": "D",
            "mask": "192.0.2.0/24",
            "reason": "spam",
            "by": "boss",
            "set_at": SET_MS / 1000,
            "ends_at": 4_000_000_000.0,
        },
        {
            "kind": "K",
            "mask": "Mallory!*@*",
            "reason": "spam",
            "by": "boss",
            "set_at": SET_MS / 1000,
            "ends_at": None,
        },
    ]
    head, first, second = anywhere("bans").splitlines()
    assert head.split() == ["MASK", "ENDS", "BY", "SET", "REASON"]
    assert [" ".join(line.split()) for line in (first, second)] == [
        "192.0.2.0/24 2096-10-02 07:06 UTC boss 2023-11-14 22:13 UTC spam",
        "Mallory!*@* never boss 2023-11-14 22:13 UTC spam",
    ]


@pytest.mark.parametrize(
    ("given", "lifted"),
    [
        ("mallory!*@*", "Mallory!*@*"),
        ("MALLORY", "Mallory!*@*"),
        ("192.0.2.7/24", "192.0.2.0/24"),
    ],
)
def test_a_ban_is_lifted(anywhere: Administrator, given: str, lifted: str) -> None:
    assert anywhere("bans", "lift", given) == f"{lifted} is not banned any more\n"
    masks = [each["mask"] for each in anywhere.json("bans")]
    assert len(masks) == 1
    assert lifted not in masks
    with read_only(anywhere.config.store.path) as connection:
        assert lifted not in [each.mask for each in Bans(connection).load()]
    with pytest.raises(SecureChatError, match="there is no ban of"):
        anywhere("bans", "lift", given)


@pytest.mark.parametrize("given", ["nobody!*@*", "*!*@old.example.org", "192.0.2.1", "a b", ""])
def test_there_is_no_such_ban(anywhere: Administrator, given: str) -> None:
    with pytest.raises(SecureChatError, match=f"there is no ban of {given}".replace("*", r"\*")):
        anywhere("bans", "lift", given)
    assert len(anywhere.json("bans")) == 2


def test_nobody_is_banned(order: Administrator) -> None:
    assert order("bans") == "Nobody is banned\n"


def test_who_was_banned_gets_in_again_and_operators_are_told(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    relay = start_relay(operators=(OPERATOR,))
    boss = become_operator(relay)
    boss.ask("KLINE mallory")
    refused = relay.connect()
    refused.send("NICK mallory", "USER m 0 * :M")
    assert "465" in commands(refused.read_to_end())
    order = Administrator(relay.config, capsys)
    order("bans", "lift", "mallory")
    assert any("the administrator" in line for line in boss.seen())
    assert relay.join("mallory").nick == "mallory"
    relay.stop()
    assert order("bans") == "Nobody is banned\n"
