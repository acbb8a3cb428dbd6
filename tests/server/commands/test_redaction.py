"""REDACT: what a script cannot show (see tests/conversations/message-redaction.txt).

https://ircv3.net/specs/extensions/message-redaction
"""

from __future__ import annotations

from typing import Any

import pytest

from securechat.errors import StoreError
from securechat.server.config import OperatorConfig
from securechat.store.history import History
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, WALL_S, Client, FakeClock, RunningRelay, short

CAPS = ("message-tags", "echo-message", "batch", "draft/message-redaction", "draft/chathistory")


def say(client: Client, text: str, target: str = "#a") -> str:
    """Say something; return its id."""
    client.sync()
    (echo,) = client.collect(f"PRIVMSG {target} :{text}")
    return str(echo.tags["msgid"])


def test_the_window(start_relay: StartRelay) -> None:
    """ "FAIL REDACT REDACT_WINDOW_EXPIRED <target> <target-msgid> <window>" """
    wall = FakeClock(WALL_S)
    relay = start_relay(history={"redact_seconds": 60}, wall_clock=wall)
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    for client in (ann, bob):
        client.ask("JOIN #a")
    msgid = say(bob, "x")
    wall.now += 61
    assert bob.ask(f"REDACT #a {msgid}") == [
        f"FAIL REDACT REDACT_WINDOW_EXPIRED #a {msgid} 60 :You can no longer delete this message"
    ]
    ann.sync()
    assert ann.ask(f"REDACT #a {msgid}") == [f":ann REDACT #a {msgid}"]


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (7_199, "1 hour"),
        (200_000, "2 days"),
    ],
)
def test_the_age_is_told(start_relay: StartRelay, seconds: int, age: str) -> None:
    """ "It might be preferable to use relative time descriptions" """
    wall = FakeClock(WALL_S)
    relay = start_relay(wall_clock=wall)
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", "echo-message")
    for client in (ann, bob):
        client.ask("JOIN #a")
    msgid = say(ann, "x")
    bob.sync()
    wall.now += seconds
    ann.ask(f"REDACT #a {msgid}")
    assert bob.seen() == [f"NOTICE #a :ann deleted a message of theirs from {age} ago"]


def test_without_echo_only_others_are_told(relay: RunningRelay) -> None:
    """ "in the same way as PRIVMSG messages" """
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    for client in (ann, bob):
        client.ask("JOIN #a")
    msgid = say(ann, "x")
    ann.request("-echo-message")
    bob.sync()
    assert ann.ask(f"REDACT #a {msgid}") == []
    assert bob.seen() == [f":ann REDACT #a {msgid}"]


def test_an_operator_of_the_relay(start_relay: StartRelay) -> None:
    cheap = hash_password(PASSWORD, Argon2Parameters(8, 1, 1))
    relay = start_relay(operators=(OperatorConfig("root", cheap),))
    ann, root = relay.join("ann", *CAPS), relay.join("root", *CAPS)
    ann.ask("JOIN #a")
    msgid = say(ann, "x")
    refused = "FAIL REDACT INVALID_TARGET #a :You cannot delete messages from #a"
    assert root.ask(f"REDACT #a {msgid}") == [refused]
    root.ask(f"OPER root :{PASSWORD}")
    assert root.ask(f"REDACT #a {msgid} :spam") == [f":root REDACT #a {msgid} spam"]
    assert ann.seen() == [f":root REDACT #a {msgid} spam"]


def test_other_devices_are_told(relay: RunningRelay) -> None:
    ann, bob = relay.account("ann", *CAPS), relay.account("bob", *CAPS)
    phone = relay.login("ann", *CAPS)
    msgid = say(ann, "x", "bob")
    for client in (bob, phone):
        client.sync()
    ann.ask(f"REDACT bob {msgid}")
    assert phone.seen() == bob.seen() == [f":ann REDACT bob {msgid}"]
    # Who is not there hears of it in the history.
    msgid = say(ann, "y", "bob")
    bob.quit()
    assert ann.ask(f"REDACT bob {msgid}") == [f":ann REDACT bob {msgid}"]
    bob = relay.login("bob", *CAPS)
    assert not any("PRIVMSG" in short(m) for m in bob.collect("CHATHISTORY LATEST ann * 9"))


def test_what_is_redacted_makes_no_page_short(relay: RunningRelay) -> None:
    """A page that is short is taken for the last one."""
    ann = relay.join("ann", *CAPS)
    ann.ask("JOIN #a")
    msgids = [say(ann, str(number)) for number in range(10)]
    for number in (0, 3, 4, 5, 9):
        ann.ask(f"REDACT #a {msgids[number]}")

    def page(command: str) -> str:
        found = ann.collect(f"CHATHISTORY {command}")
        return "".join(message.params[1] for message in found if message.command == "PRIVMSG")

    assert page("LATEST #a * 3") == "678"
    assert page("LATEST #a * 4") == "2678"
    assert page("LATEST #a * 9") == "12678"
    assert page("AFTER #a timestamp=2000-01-01T00:00:00.000Z 3") == "126"
    # One that is deleted is a place to look from as ever.
    assert page(f"BEFORE #a msgid={msgids[5]} 9") == "12"
    assert page(f"AFTER #a msgid={msgids[3]} 2") == "67"


def test_it_is_gone_from_the_file(relay: RunningRelay) -> None:
    ann = relay.join("ann", *CAPS)
    ann.ask("JOIN #a")
    msgid = say(ann, "a secret")
    ann.ask(f"REDACT #a {msgid}")
    texts = relay.relay._store.call(
        lambda connection: connection.execute("SELECT text FROM messages").fetchall()
    )
    assert ("a secret",) not in texts


def test_a_full_store_refuses(relay: RunningRelay) -> None:
    """Nobody is told that a message is deleted that stays in the history."""
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    for client in (ann, bob):
        client.ask("JOIN #a")
    msgid = say(ann, "x")
    bob.sync()
    keeper = relay.relay.services.history
    limit, keeper._limit = keeper._limit, 0
    text = "Messages cannot be deleted from the history at the moment; try again"
    assert ann.ask(f"REDACT #a {msgid}") == [
        f"FAIL REDACT TEMPORARILY_UNAVAILABLE #a {msgid} :{text}"
    ]
    assert bob.seen() == []
    keeper._limit = limit
    assert ann.ask(f"REDACT #a {msgid}") == [f":ann REDACT #a {msgid}"]


def test_the_store_fails(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = relay.join("ann", *CAPS)
    ann.ask("JOIN #a")
    msgid = say(ann, "x")

    def fail(*args: Any) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(History, "get", fail)
    assert ann.ask(f"REDACT #a {msgid}") == [
        f"FAIL REDACT UNKNOWN_MSGID #a {msgid} :This message does not exist or is too old"
    ]
