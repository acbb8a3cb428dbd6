"""What was missed, for clients that do not ask for it."""

from __future__ import annotations

import threading

import pytest

from securechat.irc.message import Message
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    WALL_S,
    Client,
    FakeClock,
    RunningRelay,
    short,
)

BATCH = ("batch", "server-time", "message-tags")
ASKING = (*BATCH, "draft/chathistory")


@pytest.fixture
def wall() -> FakeClock:
    return FakeClock(WALL_S)


@pytest.fixture
def relay(start_relay: StartRelay, wall: FakeClock) -> RunningRelay:
    return start_relay(wall_clock=wall)


def missed(client: Client, relay: RunningRelay, *lines: str) -> list[Message]:
    """Send ``lines``; return the messages that come, what the store looks for included."""
    found = client.collect(*lines)
    relay.relay._store.call(lambda connection: None)
    for thread in relay.relay._threads:
        done = threading.Event()
        thread.post(done.set)
        assert done.wait(LONG_TIMEOUT_S)
    found += client.sync()
    return [message for message in found if message.command in ("PRIVMSG", "NOTICE", "BATCH")]


def spoken(client: Client, relay: RunningRelay, *lines: str) -> list[str]:
    """The same as short lines."""
    return [short(message) for message in missed(client, relay, *lines)]


def say(client: Client, wall: FakeClock, *texts: str, target: str = "#a") -> None:
    for text in texts:
        wall.now += 1
        client.ask(f"PRIVMSG {target} :{text}")
    wall.now += 1


def test_on_join(relay: RunningRelay, wall: FakeClock) -> None:
    """ "When a client which has enabled the batch capability performs an action which requires chat
    history to be relayed to it (e.g. joining a channel …) the server SHOULD put all PRIVMSGs and
    NOTICEs into a single chathistory batch." """
    ann, bob = relay.account("ann"), relay.account("bob")
    ann.ask("JOIN #a")
    say(ann, wall, "before bob was here")
    assert spoken(bob, relay, "JOIN #a") == []
    say(ann, wall, "heard")
    bob.quit()
    say(ann, wall, "one", "\x01VERSION\x01", "two")
    ann.ask("TOPIC #a :new", "NOTICE #a :three")
    wall.now += 1
    bob = relay.login("bob", *BATCH)
    start, *inner, end = missed(bob, relay, "JOIN #a")
    assert start.params[1:] == ("chathistory", "#a")
    assert [short(m) for m in inner] == [
        ":ann PRIVMSG #a one",
        ":ann PRIVMSG #a two",
        ":ann NOTICE #a three",
    ]
    # "messages inside the batch MUST be tagged with the time at which they were originally sent"
    assert inner[0].tags["time"] < inner[1].tags["time"]
    assert {m.tags["batch"] for m in inner} == {end.params[0][1:]}
    assert all("msgid" in m.tags for m in inner)
    # Once: whoever leaves and comes back at once has missed nothing.
    wall.now += 1
    bob.ask("PART #a")
    wall.now += 1
    assert spoken(bob, relay, "JOIN #a") == []


def test_the_time_is_told_in_the_text_where_there_is_no_tag(
    relay: RunningRelay, wall: FakeClock
) -> None:
    ann, bob = relay.account("ann"), relay.account("bob")
    for client in (ann, bob):
        client.ask("JOIN #a")
    bob.quit()
    say(ann, wall, "old")
    wall.now += 86_400
    say(ann, wall, "new", "\x01ACTION waves\x01")
    bob = relay.login("bob")
    assert spoken(bob, relay, "JOIN #a") == [
        ":ann PRIVMSG #a :[2023-11-14 22:13] old",
        ":ann PRIVMSG #a :[22:13] new",
        ":ann PRIVMSG #a :\x01ACTION [22:13] waves\x01",
    ]


def test_who_asks_is_not_told(relay: RunningRelay, wall: FakeClock) -> None:
    """ "if a client requests this capability, the server (or bouncer) SHOULD NOT play back any
    history that would otherwise be sent automatically" """
    ann, bob = relay.account("ann"), relay.account("bob")
    for client in (ann, bob):
        client.ask("JOIN #a")
    bob.quit()
    say(ann, wall, "missed")
    bob = relay.login("bob", *ASKING)
    assert spoken(bob, relay, "JOIN #a") == []


def test_guests_are_not_told(relay: RunningRelay, wall: FakeClock) -> None:
    ann, gil = relay.account("ann"), relay.join("gil")
    for client in (ann, gil):
        client.ask("JOIN #a")
    gil.quit()
    say(ann, wall, "missed")
    gil = relay.join("gil")
    assert spoken(gil, relay, "JOIN #a") == []


@pytest.mark.parametrize(("lines", "texts"), [(2, ["3", "4"]), (0, [])])
def test_how_many(start_relay: StartRelay, wall: FakeClock, lines: int, texts: list[str]) -> None:
    relay = start_relay(history={"replay_lines": lines}, wall_clock=wall)
    ann, bob = relay.account("ann"), relay.account("bob")
    for client in (ann, bob):
        client.ask("JOIN #a")
    bob.quit()
    say(ann, wall, *"01234")
    bob = relay.login("bob", "server-time")
    assert spoken(bob, relay, "JOIN #a") == [f":ann PRIVMSG #a {text}" for text in texts]


def test_a_closed_room_tells_nothing_from_before(relay: RunningRelay, wall: FakeClock) -> None:
    ann, bob = relay.account("ann"), relay.account("bob")
    ann.ask("JOIN #a", "MODE #a +k key")
    bob.ask("JOIN #a key")
    wall.now += 1
    bob.ask("PART #a")
    say(ann, wall, "not for bob")
    assert spoken(bob, relay, "JOIN #a key") == []


def test_who_is_always_on(relay: RunningRelay, wall: FakeClock) -> None:
    ann, bob = relay.account("ann"), relay.account("bob")
    bob.ask("SET ALWAYS-ON on", "JOIN #a", "JOIN #b")
    ann.ask("JOIN #a")
    say(ann, wall, "heard")
    wall.now += 1
    bob.quit()
    say(ann, wall, "to all")
    say(ann, wall, "to you", target="bob")
    bob = relay.login("bob", *BATCH)
    spoken(bob, relay)
    seen = b"\n".join(bob.lines).decode()
    assert seen.index("JOIN #a") < seen.index("chathistory #a") < seen.index("to all")
    assert seen.index("chathistory ann") < seen.index("PRIVMSG bob :to you")
    assert "heard" not in seen
    # A second device is where the first one is.
    other = relay.login("bob", *BATCH)
    spoken(other, relay)
    assert not any(b" PRIVMSG " in line for line in other.lines)


def test_what_is_said_in_the_millisecond_of_leaving(relay: RunningRelay, wall: FakeClock) -> None:
    ann, bob = relay.account("ann"), relay.account("bob")
    bob.ask("SET ALWAYS-ON on")
    bob.quit()
    ann.ask("PRIVMSG bob :wait")
    wall.now += 1
    bob = relay.login("bob")
    spoken(bob, relay)
    assert any(line.endswith(b"wait") for line in bob.lines)
