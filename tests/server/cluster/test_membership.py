"""Relays that come and go, and what becomes of their people."""

from __future__ import annotations

import pytest

from securechat.server.cluster.log import RelayTwice
from tests.server.cluster.cluster_harness import Relays, log_of
from tests.server.relay_harness import FakeClock
from tests.server.waiting import until

LEASE_S = 3


def names(relays: Relays) -> list[set[str]]:
    return [set(relay.relay.services.network.relays) for relay in relays.running.values()]


def test_those_who_were_on_a_relay_that_stops_quit(relays: Relays) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice, bob = a.join("alice"), b.join("bob")
    alice.send("JOIN #room")
    alice.sync()
    bob.ask("JOIN #room")
    b.relay.stop("Maintenance")
    assert "ERROR :Closing link: Maintenance" in bob.read_to_end()
    b._stopped = True
    relays.stop("b")
    quit_ = alice.expect("QUIT")
    assert (quit_.nick, quit_.params) == ("bob", ("b: is stopping",))
    assert set(a.relay.services.network.relays) == {"a"}


def test_those_who_were_on_a_relay_that_is_lost_quit_when_its_lease_ends(
    relays: Relays, time_of_relays: FakeClock
) -> None:
    a, b = relays.start("a"), relays.start("b")
    relays.start("c")
    alice, bob = a.join("alice"), b.join("bob")
    alice.send("JOIN #room")
    alice.sync()
    bob.ask("JOIN #room")
    relays.pass_time(time_of_relays, 1)
    relays.kill("b")
    relays.pass_time(time_of_relays, LEASE_S)
    assert "bob" in a.relay.services.network.nicks
    relays.pass_time(time_of_relays, 1)
    quit_ = alice.expect("QUIT")
    assert (quit_.nick, quit_.params) == ("bob", ("b: is lost",))
    relays.settle()
    assert names(relays) == [{"a", "c"}] * 2


def test_who_is_always_on_stays(relays: Relays, time_of_relays: FakeClock) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice, bob = a.join("alice"), b.account("bob")
    bob.ask("SET always-on on")
    alice.send("JOIN #room")
    alice.sync()
    bob.ask("JOIN #room")
    relays.pass_time(time_of_relays, 1)
    relays.kill("b")
    relays.pass_time(time_of_relays, LEASE_S + 1)
    until(lambda: names(relays) == [{"a"}], "b is not given up")
    assert ":a.test 353 alice = #room :@alice bob" in alice.ask("NAMES #room")
    again = a.login("bob", "sasl")
    assert again.nick == "bob"
    assert any("JOIN #room" in line.decode() for line in again.lines)


def test_a_relay_that_was_killed_comes_back_at_once_under_its_name(relays: Relays) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice, bob = a.join("alice"), b.join("bob")
    alice.send("JOIN #room")
    alice.sync()
    bob.ask("JOIN #room")
    relays.kill("b")
    b = relays.start("b")
    quit_ = alice.expect("QUIT")
    assert (quit_.nick, quit_.params) == ("bob", ("b: It has started again",))
    bob = b.join("bob")
    bob.ask("JOIN #room")
    bob.send("PRIVMSG #room :back")
    assert alice.expect("PRIVMSG").params == ("#room", "back")
    relays.settle()


def test_the_only_relay_is_killed_and_comes_back(relays: Relays) -> None:
    a = relays.start("a")
    a.join("alice").ask("JOIN #room")
    relays.kill("a")
    a = relays.start("a")
    assert a.relay.services.network.nicks == {}
    a.join("alice").ask("JOIN #room")
    relays.kill("a")
    a = relays.start("a")
    assert a.relay.services.network.nicks == {}
    assert log_of(a).standing.incarnation == 3


def test_two_relays_of_one_name_cannot_be(relays: Relays) -> None:
    first = relays.start("a")
    alice = first.join("alice")
    crashed = first._crashed
    relays.running["first"] = relays.running.pop("a")
    second = relays.start("a")
    assert crashed.wait(20)
    assert isinstance(first.relay.crash, RelayTwice)
    assert "each needs a name of its own" in str(first.relay.crash)
    assert second.relay.services.network.nicks == {}
    first.relay.crash = None
    alice.sock.close()
    relays.stop("first")


def test_a_new_relay_has_time_for_its_first_beat(
    relays: Relays, time_of_relays: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = relays.start("a")
    relays.pass_time(time_of_relays, LEASE_S + 2)
    b = relays.start("b")
    before = log_of(b).standing.incarnation
    services = b.relay.services
    with services.lock:  # it says nothing
        time_of_relays.now += 1
        members = a.relay.services.cluster.members
        until(lambda: members._looked == time_of_relays.now, "a does not look after the others")
    relays.pass_time(time_of_relays, 1)
    relays.settle()
    assert log_of(b).standing.incarnation == before
    assert names(relays) == [{"a", "b"}] * 2
