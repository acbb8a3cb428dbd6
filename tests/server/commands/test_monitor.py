"""MONITOR and extended-monitor."""

from __future__ import annotations

import pytest

from tests.server.conftest import StartRelay
from tests.server.relay_harness import RunningRelay


def source(relay: RunningRelay, nick: str) -> str:
    return f"{nick}!~{nick}@{relay.session(nick).host}"


def test_add(relay: RunningRelay) -> None:
    """ "If any of the targets being added are online, the server will generate RPL_MONONLINE
    numerics listing those targets that are online. If any of the targets being added are offline,
    the server will generate RPL_MONOFFLINE numerics" """
    ann, bob = relay.join("ann"), relay.join("bob")
    cat = source(relay, "bob")
    assert ann.ask("MONITOR + BOB,cat,dan") == [f"730 ann {cat}", "731 ann cat,dan"]
    assert ann.ask("MONITOR + cat") == ["731 ann cat"]
    assert ann.ask("MONITOR + bob") == [f"730 ann {cat}"]
    assert bob.seen() == []


def test_remove_and_clear(relay: RunningRelay) -> None:
    """ "Removes the given list of targets from the list of targets being monitored. No output will
    be returned for use of this command." "Clears the list of targets being monitored. No output
    will be returned" """
    ann = relay.join("ann")
    ann.ask("MONITOR + bob,cat,dan")
    assert ann.ask("MONITOR - BOB,nobody") == []
    assert ann.ask("MONITOR l") == ["732 ann cat,dan", "733 ann :End of MONITOR list"]
    relay.join("bob")
    assert ann.seen() == []
    assert ann.ask("MONITOR C", "MONITOR L") == ["733 ann :End of MONITOR list"]
    relay.join("cat")
    assert ann.seen() == []


def test_list(relay: RunningRelay) -> None:
    """ "Targets already in the list MUST NOT be added again." "All output will use RPL_MONLIST, and
    the output will be terminated with RPL_ENDOFMONLIST." """
    ann = relay.join("ann")
    ann.ask("MONITOR + bob,Bob", "MONITOR + BOB,cat")
    assert ann.ask("MONITOR L") == ["732 ann Bob,cat", "733 ann :End of MONITOR list"]
    nicks = [f"{letter}{'x' * 29}" for letter in "abcdefghijklmnopqrst"]
    for nick in nicks:
        ann.ask(f"MONITOR + {nick}")
    *lists, end = ann.collect("MONITOR L")
    assert end.command == "733"
    assert len(lists) > 1
    assert [nick for m in lists for nick in m.params[1].split(",")] == ["Bob", "cat", *nicks]
    assert all(len(line) <= 510 for line in ann.lines)


def test_status(relay: RunningRelay) -> None:
    """ "Outputs for each target in the list being monitored, whether the client is online or
    offline." """
    ann, bob = relay.join("ann"), relay.join("bob")
    assert ann.ask("MONITOR S") == []
    ann.ask("MONITOR + cat,bob,ann")
    assert ann.ask("MONITOR S") == [
        f"730 ann {source(relay, 'bob')},{source(relay, 'ann')}",
        "731 ann cat",
    ]
    bob.quit()
    ann.sync()
    assert ann.ask("MONITOR S") == [f"730 ann {source(relay, 'ann')}", "731 ann cat,bob"]


def test_coming_and_going(relay: RunningRelay) -> None:
    """ "This numeric is used to indicate to a client that either a target has just become online
    (…) or that a target has just left the irc network" """
    ann, other = relay.join("ann"), relay.join("other")
    ann.ask("MONITOR + bob")
    other.ask("MONITOR + Bob", "MONITOR - bob")
    bob = relay.join("BOB")
    assert ann.seen() == [f"730 * BOB!~BOB@{relay.session('bob').host}"]
    bob.quit()
    assert ann.seen() == ["731 * BOB"]
    bob = relay.join("dan")
    assert ann.seen() == []
    bob.ask("NICK bob")
    assert ann.seen() == [f"730 * bob!~dan@{relay.session('bob').host}"]
    bob.ask("NICK Bob")
    assert ann.seen() == []
    bob.ask("NICK dan")
    assert ann.seen() == ["731 * Bob"]
    assert other.seen() == []


def test_watching_oneself(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    host = relay.session("ann").host
    ann.ask("MONITOR + ann,eve")
    assert ann.ask("NICK eve") == [":ann NICK eve", "731 * ann", f"730 * eve!~ann@{host}"]


def test_the_lists_of_devices_are_their_own(relay: RunningRelay) -> None:
    """Two clients of one person each keep a list; the nick is there while one of them is."""
    desk = relay.account("ann")
    bob = relay.join("bob")
    bob.ask("MONITOR + ann")
    phone = relay.login("ann")
    desk.ask("MONITOR + cat")
    assert phone.ask("MONITOR L") == ["733 ann :End of MONITOR list"]
    relay.join("cat")
    assert [m.command for m in desk.sync()] == ["730"]
    assert phone.seen() == []
    desk.quit()
    assert bob.seen() == []
    phone.quit()
    assert bob.seen() == ["731 * ann"]


def test_the_limit(start_relay: StartRelay) -> None:
    """ "This numeric is used to indicate to a client that their monitor list is full (…) The
    <targets> parameter is the list of targets, as the client sent them, that cannot be added." """
    relay = start_relay(limits={"monitored_nicks": 2})
    ann = relay.connect()
    ann.send("NICK ann", "USER ann 0 * :Real ann")
    assert "MONITOR=2" in ann.expect("005").params + ann.expect("005").params
    assert ann.ask("MONITOR + bob,cat,Dan,bob,eve")[-2:] == [
        "734 ann 2 Dan,eve :Monitor list is full",
        "731 ann bob,cat",
    ]
    assert ann.ask("MONITOR + bob") == ["731 ann bob"]
    assert ann.ask("MONITOR - bob", "MONITOR + dan") == ["731 ann dan"]


@pytest.mark.parametrize("target", ["*!user@host", "#a", "a b", "1x", "", "x" * 31])
def test_only_nicks(relay: RunningRelay, target: str) -> None:
    """ "'target' MUST be a valid nick as determined by the IRC daemon." """
    ann = relay.join("ann")
    ann.ask(f"MONITOR + :{target}")
    assert ann.ask("MONITOR L") == ["733 ann :End of MONITOR list"]
    relay.join("user")
    assert ann.seen() == []


def test_misuse(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    assert ann.ask("MONITOR") == ["461 ann MONITOR :Not enough parameters"]
    assert ann.ask("MONITOR +", "MONITOR -") == ["461 ann MONITOR :Not enough parameters"] * 2
    text = "Unknown modifier; there are +, -, C, L and S"
    assert ann.ask("MONITOR X") == [f"FAIL MONITOR INVALID_PARAMS X :{text}"]


def test_the_time_of_it(relay: RunningRelay) -> None:
    ann = relay.join("ann", "server-time", "message-tags")
    ann.ask("MONITOR + bob")
    relay.join("bob")
    (found,) = ann.sync()
    assert set(found.tags) == {"time"}


# ---- extended-monitor ----

CAPS = ("away-notify", "account-notify", "setname")


def test_extended_monitor(relay: RunningRelay) -> None:
    """ "If away-notify is also enabled, the client will get AWAY notifications for monitored nicks"
    and so on."""
    relay.account("dan").quit()
    ann = relay.join("ann", "sasl")
    full = relay.join("full", "extended-monitor", *CAPS)
    plain = relay.join("plain", *CAPS)
    bare = relay.join("bare", "extended-monitor")
    for client in (full, plain, bare):
        client.ask("MONITOR + ann")
    ann.ask("AWAY :tea", "AWAY", "SETNAME :A")
    ann.authenticate_plain("dan")
    assert full.seen() == [":ann AWAY tea", ":ann AWAY", ":ann SETNAME A", ":ann ACCOUNT dan"]
    assert plain.seen() == []
    assert bare.seen() == []
    full.ask("MONITOR - ann")
    ann.ask("AWAY :tea")
    assert full.seen() == []


def test_nobody_is_told_twice(relay: RunningRelay) -> None:
    """Who shares a channel with the monitored user and monitors them hears of it once."""
    ann = relay.join("ann", "extended-monitor", *CAPS)
    bob = relay.join("bob", "extended-monitor", *CAPS)
    for client in (ann, bob):
        client.ask("JOIN #a", "MONITOR + ann")
    ann.sync()
    assert ann.ask("AWAY :tea", "SETNAME :A") == [
        "306 ann :You have been marked as being away",
        ":ann SETNAME A",
    ]
    assert bob.seen() == [":ann AWAY tea", ":ann SETNAME A"]
