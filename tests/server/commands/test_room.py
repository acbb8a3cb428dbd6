"""ROOM: rooms that belong to somebody."""

from __future__ import annotations

import pytest

from securechat.server.config import OperatorConfig
from securechat.server.snapshot import take_snapshot
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Client, RunningRelay, commands


def owned(relay: RunningRelay) -> Client:
    """Return ann, who owns #a."""
    ann = relay.account("ann")
    ann.ask("JOIN #a")
    return ann


def told(client: Client, line: str) -> list[str]:
    """Return the texts of the NOTICE lines that answer ``line``."""
    found = client.collect(line)
    assert {message.command for message in found} <= {"NOTICE"}, found
    assert {message.params[0] for message in found} == {client.nick}
    return [message.params[1] for message in found]


def failed(client: Client, line: str) -> str:
    """Return the code of the FAIL, or the numeric, that answers ``line``."""
    (message,) = client.collect(line)
    return message.params[1] if message.command == "FAIL" else message.command


def test_who_makes_a_room_while_logged_in_owns_it(relay: RunningRelay) -> None:
    ann, bob = owned(relay), relay.join("bob")
    assert ann.ask("NAMES #a")[0] == "353 ann = #a @ann"
    assert told(bob, "ROOM INFO #A") == [
        "#a: made on 2023-11-14, 1 there now",
        "#a: belongs to ann, and stays",
    ]
    bob.ask("JOIN #b")
    made, whose = told(ann, "room info #b")
    assert made == "#b: made on 2023-11-14, 1 there now"
    assert whose.startswith("#b: belongs to nobody, and ends when all have left")


def test_an_owner_has_all_rights_before_the_mark_of_a_founder(relay: RunningRelay) -> None:
    """On any network who makes a channel is shown as its operator."""
    ann, bob = owned(relay), relay.join("bob")
    bob.ask("JOIN #a")
    assert ann.ask("MODE #a +a bob")[-1] == ":ann MODE #a +a bob"
    assert ann.ask("MODE #a +q ann")[-1] == ":ann MODE #a +q ann"
    assert ann.ask("MODE #a -q ann")[-1] == ":ann MODE #a -q ann"
    assert ann.ask("MODE #a -a bob")[-1] == ":ann MODE #a -a bob"


def test_an_empty_room_gives_nobody_else_a_rank(relay: RunningRelay) -> None:
    """ "On servers that support the concept of 'channel ownership' (…) clients may not receive
    channel operator priveledges on joining an otherwise empty channel." """
    ann, bob = owned(relay), relay.join("bob")
    ann.ask("PART #a")
    assert bob.ask("JOIN #a")[1] == "353 bob = #a bob"
    assert ann.ask("JOIN #a")[1] == "353 ann = #a :bob ~ann"
    joined, given = bob.sync()
    assert joined.params == ("#a",)
    assert given.params == ("#a", "+qo", "ann", "ann")
    assert given.source == "relay.test"


def test_ranks_of_those_who_are_away(relay: RunningRelay) -> None:
    ann = owned(relay)
    bob = relay.account("bob")
    bob.ask("JOIN #a")
    ann.sync()
    assert ann.ask("ROOM RANK #a bob +h") == [
        ":ann MODE #a +h bob",
        "NOTICE ann :#a: bob: half-op",
    ]
    bob.quit()
    ann.sync()
    assert told(ann, "ROOM RANK #a BOB +v") == ["#a: bob: half-op, voice"]
    assert told(ann, "ROOM RANKS #a") == [
        "#a: ann: founder, operator, whose room it is (there now)",
        "#a: bob: half-op, voice",
    ]
    bob = relay.login("bob", "multi-prefix")
    assert told(bob, "ROOM LIST") == ["#a: half-op, voice, 1 there now"]
    assert bob.ask("JOIN #a")[1] == "353 bob = #a :@ann %+bob"
    ann.sync()
    assert ann.ask("ROOM RANK #a bob -h")[-1] == "NOTICE ann :#a: bob: voice"
    assert ann.ask("ROOM RANK #a bob -v")[-1] == "NOTICE ann :#a: bob: no rank"


def test_a_mode_is_remembered_for_those_who_are_logged_in(relay: RunningRelay) -> None:
    ann, carl = owned(relay), relay.join("carl")
    bob = relay.account("bob")
    for client in (bob, carl):
        client.ask("JOIN #a")
    ann.ask("MODE #a +vv bob carl")
    assert told(ann, "ROOM RANKS #a")[1:] == ["#a: bob: voice (there now)"]
    ann.ask("MODE #a -v bob")
    assert len(told(ann, "ROOM RANKS #a")) == 1


def test_claim(relay: RunningRelay) -> None:
    """A guests' room is nobody's; one of its operators who is logged in may make it theirs."""
    ann, bob = relay.join("ann"), relay.account("bob")
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.sync()
    assert failed(ann, "ROOM CLAIM #a") == "ACCOUNT_REQUIRED"
    assert failed(bob, "ROOM CLAIM #a") == "482"
    ann.ask("MODE #a +o bob")
    bob.sync()
    assert bob.ask("ROOM CLAIM #a") == [
        ":bob MODE #a +q bob",
        "NOTICE bob :#a: yours now; it stays when all have left",
    ]
    assert failed(bob, "ROOM CLAIM #a") == "ALREADY_OWNED"


def test_transfer(relay: RunningRelay) -> None:
    ann = owned(relay)
    bob = relay.account("bob")
    assert failed(ann, "ROOM TRANSFER #a nobody") == "NO_SUCH_ACCOUNT"
    assert failed(bob, "ROOM TRANSFER #a bob") == "482"
    # Only to a member: nobody can have others own what they do not want.
    assert failed(ann, "ROOM TRANSFER #a bob") == "441"
    bob.ask("JOIN #a")
    bob.vanish()
    ann.expect("QUIT")
    ann.ask("PART #a", "JOIN #a")
    assert ann.ask("ROOM TRANSFER #a bob") == [
        ":ann MODE #a -q ann",
        "NOTICE ann :#a: belongs to bob now",
    ]
    bob = relay.login("bob")
    assert told(bob, "ROOM OWN") == ["#a: yours, 1 there now"]
    assert told(ann, "ROOM OWN") == ["#a: operator, 1 there now"]
    assert bob.ask("JOIN #a")[1] == "353 bob = #a :@ann ~bob"


def test_drop(relay: RunningRelay) -> None:
    ann = owned(relay)
    assert failed(ann, "ROOM DROP #a") == "CONFIRMATION_REQUIRED"
    assert failed(ann, "ROOM DROP #a #b") == "CONFIRMATION_REQUIRED"
    assert told(ann, "ROOM DROP #a #A") == ["#a: belongs to nobody now"]
    assert failed(ann, "ROOM RANKS #a") == "NOT_OWNED"
    ann.ask("PART #a")
    assert failed(ann, "ROOM INFO #a") == "403"


def test_history(start_relay: StartRelay) -> None:
    """For how long what is said is kept: the owner says it, all may know."""
    relay = start_relay(history={"days": 30})
    ann, bob = owned(relay), relay.account("bob")
    assert told(bob, "ROOM HISTORY #A") == ["#a: what is said is kept for 30 days, as in any room"]
    assert failed(bob, "ROOM HISTORY #a off") == "482"
    assert told(ann, "ROOM HISTORY #a 7") == ["#a: what is said is kept for 7 days"]
    assert told(ann, "ROOM HISTORY #a 1") == ["#a: what is said is kept for 1 day"]
    assert told(ann, "ROOM HISTORY #a OFF") == ["#a: what is said is not kept"]
    assert told(bob, "ROOM HISTORY #a") == ["#a: what is said is not kept"]
    for wrong in ("0", "31", "-1", "+1", "\u0663", "1.5", "for ever", "9999999", ":"):
        assert failed(ann, f"ROOM HISTORY #a {wrong}") == "INVALID_DAYS"
    assert ann.ask("ROOM HISTORY #a 31") == [
        "FAIL ROOM INVALID_DAYS 31 :It is a number of days from 1 to 30, or off, or default"
    ]
    assert told(ann, "ROOM HISTORY #a Default")[0].endswith("30 days, as in any room")
    bob.ask("JOIN #b", "ROOM DROP #b #b")
    assert failed(bob, "ROOM HISTORY #b off") == "NOT_OWNED"
    assert failed(bob, "ROOM HISTORY #none") == "403"


def test_history_over_a_restart(start_relay: StartRelay) -> None:
    relay = start_relay(history={"days": 30})
    ann = owned(relay)
    ann.ask("JOIN #b", "JOIN #c", "ROOM HISTORY #a 14", "ROOM HISTORY #b off", "ROOM HISTORY #c 7")
    relay.stop()
    # The operator keeps less now; a room may not keep more.
    relay = start_relay(history={"days": 10})
    ann = relay.login("ann")
    assert told(ann, "ROOM HISTORY #a") == ["#a: what is said is kept for 10 days"]
    assert told(ann, "ROOM HISTORY #b") == ["#b: what is said is not kept"]
    assert told(ann, "ROOM HISTORY #c") == ["#c: what is said is kept for 7 days"]


def test_history_for_ever_and_never(start_relay: StartRelay) -> None:
    relay = start_relay(history={"days": 0})
    ann = owned(relay)
    assert told(ann, "ROOM HISTORY #a") == ["#a: what is said is kept for ever, as in any room"]
    assert told(ann, "ROOM HISTORY #a 100000") == ["#a: what is said is kept for 100000 days"]
    relay.stop()
    ann = start_relay(history={"enabled": False}).login("ann")
    text = "#a: what is said is not kept, anywhere on this relay"
    assert told(ann, "ROOM HISTORY #a") == [text]


def test_how_many_rooms_one_may_own(start_relay: StartRelay) -> None:
    relay = start_relay(limits={"rooms_per_account": 1})
    ann = owned(relay)
    text = "You own as many rooms as you may: free one with ROOM DROP or ROOM TRANSFER"
    assert ann.ask("JOIN #b") == [f"405 ann #b :{text}"]
    ann.ask("ROOM DROP #a #a")
    assert ann.ask("JOIN #b")[1] == "353 ann = #b @ann"
    assert ann.ask("ROOM CLAIM #a") == [f"405 ann #a :{text}"]


def test_operators_of_the_relay_pass_on_any_room(start_relay: StartRelay) -> None:
    cheap = Argon2Parameters(8_192, 1, 1)
    root = OperatorConfig("root", hash_password(PASSWORD, cheap))
    relay = start_relay(operators=(root,))
    owned(relay)
    relay.account("bob")
    carl = relay.join("carl")
    carl.send(f"OPER root :{PASSWORD}")
    carl.expect("381")
    carl.sync()
    assert told(carl, "ROOM TRANSFER #a bob") == ["#a: belongs to bob now"]
    assert told(carl, "ROOM DROP #a #a") == ["#a: belongs to nobody now"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("ROOM", "461"),
        ("ROOM INFO", "461"),
        ("ROOM RANK #a bob", "461"),
        ("ROOM NONSENSE #a", "UNKNOWN_SUBCOMMAND"),
        ("ROOM INFO #none", "403"),
        ("ROOM RANKS #none", "403"),
        ("ROOM RANK #a ann +x", "INVALID_RANK"),
        ("ROOM RANK #a ann o", "INVALID_RANK"),
        ("ROOM RANK #a nobody +o", "NO_SUCH_ACCOUNT"),
        ("ROOM RANK #a ann +v", "482"),
        ("ROOM RANK #a ann -o", "482"),
        ("ROOM DROP #a #a", "482"),
        ("ROOM RANKS #a", "442"),
        ("ROOM LIST", "ACCOUNT_REQUIRED"),
    ],
)
def test_errors(relay: RunningRelay, line: str, answer: str) -> None:
    owned(relay)
    assert failed(relay.join("guest"), line) == answer


def test_a_secret_room_is_hidden(relay: RunningRelay) -> None:
    ann = owned(relay)
    ann.ask("MODE #a +s")
    assert failed(relay.join("guest"), "ROOM INFO #a") == "403"
    ann.ask("PART #a")
    assert told(ann, "ROOM INFO #a")[1] == "#a: belongs to ann, and stays"


def test_a_room_stays_over_a_restart(start_relay: StartRelay) -> None:
    relay = start_relay()
    ann = owned(relay)
    bob = relay.account("bob")
    bob.ask("JOIN #a")
    ann.ask("MODE #a +v bob", "TOPIC #a :tea")
    ann.ask("MODE #a +kb key evil")
    before = take_snapshot(relay.relay.services.network)["channels"]
    relay.stop()
    relay = start_relay()
    after = take_snapshot(relay.relay.services.network)["channels"]
    for room in before:
        room["members"] = []
    assert after == before
    bob = relay.login("bob")
    names = [line for line in bob.ask("JOIN #a key") if line.startswith("353")]
    assert names == ["353 bob = #a +bob"]
    assert commands(relay.join("evil").ask("JOIN #a key")) == ["474"]


def test_who_is_always_on_is_in_the_room_after_a_restart(start_relay: StartRelay) -> None:
    relay = start_relay()
    ann = owned(relay)
    bob, carl = relay.account("bob"), relay.account("carl")
    bob.ask("SET always-on on", "JOIN #a")
    carl.ask("JOIN #a")
    ann.ask("MODE #a +v bob")
    relay.stop()
    relay = start_relay()
    ann = relay.login("ann")
    assert ann.ask("JOIN #a")[1] == "353 ann = #a :+bob ~ann"
    assert relay.login("bob").ask("PART #a") == [":bob PART #a"]
