"""A lost relay, as people see it: those who were connected to it quit in one batch."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from securechat.irc.message import Message
from securechat.server.context import relay_context
from securechat.server.delivery.lines import Line
from securechat.server.events import Attach, Event, Join, RelayLost, RelayStarted
from securechat.server.services import Services
from securechat.server.state import SESSION_BITS
from tests.server.relay_harness import NAME, Client, RunningRelay

ROOMS = ("#one", "#two", "#three")


class OtherRelay:
    """A relay of the chat that is elsewhere, as this one comes to know of it."""

    def __init__(self, relay: RunningRelay, name: str) -> None:
        self.services: Services = relay.relay.services
        self.name = name
        with self.applying() as apply:
            apply(
                RelayStarted(self.services.stamp(0), name, "", self.services.network.relays_started)
            )
        self.incarnation = self.services.network.relays[name].incarnation
        self._sessions = 0

    @contextmanager
    def applying(self) -> Iterator[Any]:
        services = self.services

        def refused(refusal: Exception) -> None:
            raise refusal

        def apply(event: Event) -> None:
            services.event_log.settle(event, relay_context(services), None, refused)

        with services.lock:
            yield apply

    def join(self, nick: str, *rooms: str) -> None:
        self._sessions += 1
        session = (self.incarnation << SESSION_BITS) + self._sessions
        services = self.services
        with self.applying() as apply:
            stamp = services.stamp(session)
            apply(Attach(stamp, nick, "~u", "Real", "host", "192.0.2.1"))
            for room in rooms:
                apply(Join(services.stamp(session), room))

    def be_lost(self) -> None:
        with self.applying() as apply:
            apply(RelayLost(self.services.stamp(0), self.name, self.incarnation, "is lost"))


def inside(messages: list[Message]) -> list[Message]:
    """Return what is in the only batch; fail if anything is not."""
    start, *content, end = messages
    reference = start.params[0][1:]
    assert (start.command, start.params[0][0]) == ("BATCH", "+")
    assert (end.command, end.params) == ("BATCH", (f"-{reference}",))
    assert {message.tags["batch"] for message in content} == {reference}
    assert "batch" not in {*start.tags, *end.tags}
    return content


def test_all_who_quit_are_in_one_batch(relay: RunningRelay) -> None:
    """ "When a netsplit occurs, the server MUST put all resulting QUITs into a single `netsplit`
    batch." "Both types have 2 arguments, which are the names of the servers that are splitting or
    joining" """
    tags = ("batch", "server-time", "message-tags", "account-tag")
    ann, old = relay.join("ann", *tags), relay.join("old")
    for client in (ann, old):
        client.ask("JOIN #one,#two")
    other = OtherRelay(relay, "far")
    other.join("xenia", "#one", "#two")
    other.join("yuri", "#two")
    other.join("zoe", "#two")
    other.join("stranger", "#three")
    for client in (ann, old):
        client.sync()
    other.be_lost()
    found = ann.sync()
    assert found[0].params[1:] == ("netsplit", NAME, "far")
    content = inside(found)
    assert sorted((message.nick, message.params) for message in content) == [
        ("xenia", ("far: is lost",)),
        ("yuri", ("far: is lost",)),
        ("zoe", ("far: is lost",)),
    ]
    assert all("time" in message.tags for message in content)
    assert len({message.tags["msgid"] for message in content}) == 3
    assert sorted(old.seen()) == [
        ":xenia QUIT :far: is lost",
        ":yuri QUIT :far: is lost",
        ":zoe QUIT :far: is lost",
    ]


def test_who_has_seen_nobody_sees_nothing(relay: RunningRelay) -> None:
    ann = relay.join("ann", "batch")
    ann.ask("JOIN #one")
    other = OtherRelay(relay, "far")
    other.join("xenia", "#two")
    other.be_lost()
    assert ann.seen() == []
    OtherRelay(relay, "empty").be_lost()
    assert ann.seen() == []


def test_what_comes_with_it_is_told_as_ever(relay: RunningRelay) -> None:
    """And not in the batch, which is for QUITs."""
    ann = relay.join("ann", "batch")
    ann.ask("JOIN #one", "MONITOR + xenia")
    other = OtherRelay(relay, "far")
    other.join("xenia", "#one")
    ann.sync()
    other.be_lost()
    *batch, offline = ann.sync()
    assert [message.command for message in inside(batch)] == ["QUIT"]
    assert (offline.command, offline.params[-1], dict(offline.tags)) == ("731", "xenia", {})


def test_each_sees_those_with_whom_they_shared_a_room(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(8)

    def some_rooms() -> list[str]:
        return chance.sample(ROOMS, chance.randint(1, len(ROOMS)))

    here: dict[Client, set[str]] = {}
    for n in range(8):
        client = relay.join(f"here{n}", *(["batch"] if n % 2 else []))
        here[client] = set(some_rooms())
        client.ask(f"JOIN {','.join(here[client])}")
    other = OtherRelay(relay, "far")
    there = {f"there{n}": set(some_rooms()) for n in range(40)}
    for nick, rooms in there.items():
        other.join(nick, *rooms)
    for client in here:
        client.sync()
    made: list[str] = []
    parts = Line.parts

    def note(line: Line, mask: int) -> list[tuple[str, str]]:
        made.append(line.body)
        return parts(line, mask)

    monkeypatch.setattr(Line, "parts", note)
    other.be_lost()
    for client, rooms in here.items():
        quits = [message for message in client.sync() if message.command == "QUIT"]
        expected = sorted(nick for nick, theirs in there.items() if rooms & theirs)
        assert sorted(message.nick for message in quits) == expected, "each of them once"
    assert len(made) <= 2 * len(there), "each line once for those with batches, once for others"
