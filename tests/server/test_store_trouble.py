"""While nothing can be kept: what must last is refused, all else goes on."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from securechat import pki
from securechat.errors import StoreError
from securechat.irc import peering
from securechat.server.administration.bans import TOOLS
from securechat.server.administration.desk import desk_at
from securechat.store.bans import Bans
from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Client, RunningRelay, commands

CAPS = (
    "draft/message-redaction",
    "draft/metadata-2",
    "draft/read-marker",
    "securechat/peer",
    "draft/chathistory",
    "message-tags",
    "echo-message",
    "standard-replies",
)

TEXT = "Nothing can be kept at the moment; try again later"

A = "a" * 64
TIME = "timestamp=2020-01-01T00:00:00.000Z"


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    relay = with_operator(start_relay)
    relay.may_log_errors = True
    return relay


@pytest.fixture
def ann(relay: RunningRelay) -> Client:
    """An operator of the relay who owns #den, where bob is too."""
    ann, bob = relay.account("ann", *CAPS), relay.account("bob")
    as_operator(ann)
    ann.ask("JOIN #den", "METADATA #den SET site :x", "CERT ADD " + A, "KLINE old!*@* :old")
    bob.ask("JOIN #den")
    ann.sync()
    return ann


@contextlib.contextmanager
def locked(relay: RunningRelay) -> Iterator[None]:
    """Have another program lock the database, and the store know it."""
    store = relay.relay.services.store
    store.call(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchall())
    other = sqlite3.connect(relay.config.store.path, isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.call(lambda connection: connection.execute("PRAGMA user_version = 1"))
        assert "locked" in store.trouble
        yield


def recover(relay: RunningRelay) -> None:
    store = relay.relay.services.store
    store.try_again()
    store.call(lambda connection: None)
    assert not store.trouble


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("SET always-on on", "SET TEMPORARILY_UNAVAILABLE always-on"),
        (f"CERT ADD {'b' * 64}", f"CERT TEMPORARILY_UNAVAILABLE {'b' * 64}"),
        (f"CERT REMOVE {A}", f"CERT TEMPORARILY_UNAVAILABLE {A}"),
        ("METADATA * SET color :#f80", "METADATA TEMPORARILY_UNAVAILABLE ann color"),
        ("METADATA #den SET site :y", "METADATA TEMPORARILY_UNAVAILABLE #den site"),
        ("METADATA #den CLEAR", "METADATA TEMPORARILY_UNAVAILABLE #den"),
        ("RENAME #den #lair", "RENAME TEMPORARILY_UNAVAILABLE #den #lair"),
        ("ROOM HISTORY #den 3", "ROOM TEMPORARILY_UNAVAILABLE #den"),
        ("ROOM RANK #den bob +v", "ROOM TEMPORARILY_UNAVAILABLE #den"),
        ("ROOM TRANSFER #den bob", "ROOM TEMPORARILY_UNAVAILABLE #den"),
        ("ROOM DROP #den #den", "ROOM TEMPORARILY_UNAVAILABLE #den"),
    ],
)
def test_what_must_last_is_refused_until_it_can(
    relay: RunningRelay, ann: Client, line: str, refusal: str
) -> None:
    with locked(relay):
        assert ann.ask(line) == [f"FAIL {refusal} :{TEXT}"]
    recover(relay)
    assert "FAIL" not in commands(ann.ask(line))


@pytest.mark.parametrize("line", ["KLINE bad!*@* :bad", "UNKLINE old!*@*", "DLINE 192.0.2.1 :bad"])
def test_bans_count_though_they_cannot_be_kept_yet(
    relay: RunningRelay, ann: Client, line: str
) -> None:
    """A full disk must not disarm operators."""
    told = "NOTICE ann :This counts from now on, but cannot be kept yet: a restart would undo it"
    with locked(relay):
        found = ann.ask(line)
        assert told in found
        assert "FAIL" not in commands(found)
    recover(relay)
    relay.relay._upkeep.look_after_store()
    kept = relay.relay.services.store.call(lambda connection: Bans(connection).load())
    assert {record.mask for record in kept} == {
        ban.mask for ban in relay.relay.services.network.bans
    }


def test_a_message_is_not_redacted(relay: RunningRelay, ann: Client) -> None:
    (said,) = ann.collect("PRIVMSG #den :one")
    msgid = said.tags["msgid"]
    with locked(relay):
        refusal = f"FAIL REDACT TEMPORARILY_UNAVAILABLE #den {msgid} :{TEXT}"
        assert ann.ask(f"REDACT #den {msgid}") == [refusal]
    recover(relay)
    assert ann.ask(f"REDACT #den {msgid}") == [f":ann REDACT #den {msgid}"]


def test_nobody_registers(relay: RunningRelay) -> None:
    guest, other = relay.connect(), relay.connect()
    guest.request("draft/account-registration")
    with locked(relay):
        refusal = f"FAIL REGISTER TEMPORARILY_UNAVAILABLE gus :{TEXT}"
        assert guest.ask("NICK gus", f"REGISTER * * :{PASSWORD}") == [refusal]
        other.send(f"PASS invite:token:hal:{PASSWORD}")
        assert f"464 * :{TEXT}" in other.read_to_end()
    recover(relay)
    guest.send(f"REGISTER * * :{PASSWORD}")
    guest.expect("REGISTER", "SUCCESS", "gus")


def test_what_is_read_or_need_not_last_goes_on(relay: RunningRelay, ann: Client) -> None:
    device = pki.make_device().certificate.public_bytes(Encoding.DER)
    reading = (
        "SET",
        "CERT LIST",
        "METADATA #den LIST",
        "ROOM INFO #den",
        "ROOM HISTORY #den",
        "MARKREAD #den",
        "KLINE",
        "PEER LOOKUP bob",
        "CHATHISTORY LATEST #den * 9",
        "DEVICES",
        f"MARKREAD #den {TIME}",  # clients send it again and again: it is written later
    )
    with locked(relay):
        for line in reading:
            assert "FAIL" not in commands(ann.ask(line)), line
        guest = relay.join("gus", *CAPS)
        # Of a guest nothing is kept anyhow.
        assert guest.ask("METADATA * SET color :#f80") == ["761 gus gus color * #f80"]
        assert guest.ask(f"MARKREAD bob {TIME}") == [f"MARKREAD bob {TIME}"]
        # Who can be reached is of now; the list of devices is brought up to date when that can be.
        assert commands(ann.ask(peering.announce(device).to_line())) == ["PEER"]
        assert relay.login("bob").ask("TOPIC #den") == ["331 bob #den :No topic is set"]


def test_a_ban_is_not_lifted_from_outside_either(relay: RunningRelay, ann: Client) -> None:
    lift = next(tool.work for tool in TOOLS if tool.name == "bans lift")
    desk = desk_at(relay.relay, None)
    with (
        locked(relay),
        pytest.raises(StoreError, match="nothing can be kept at the moment: "),
    ):
        lift(desk, {"mask": "old!*@*"})
    assert "old!*@*" in ann.ask("KLINE")[0]
    recover(relay)
    assert lift(desk, {"mask": "old!*@*"}) == {"mask": "old!*@*"}


def test_what_waits_is_kept_at_the_last_moment(
    relay: RunningRelay, ann: Client, start_relay: StartRelay
) -> None:
    with locked(relay):
        ann.ask("TOPIC #den :meanwhile")
        relay.relay.services.store.call(lambda connection: None)  # it was tried
    relay.stop()
    again = start_relay()
    assert "332 bob #den meanwhile" in again.login("bob").ask("JOIN #den")


def test_entries_that_are_lost_are_told_once(
    relay: RunningRelay, ann: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(relay):
        for _ in range(3):
            assert commands(ann.ask("PRIVMSG #den :lost")) == ["FAIL"]
    recover(relay)
    ann.ask("PRIVMSG #den :kept")
    told = [text for text in caplog.messages if text.startswith("the history is")]
    assert len(told) == 2
    assert told[1] == "the history is kept again; entries that were lost: 3"
    assert relay.relay.services.history.lost == 3
