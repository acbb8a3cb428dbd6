"""The log of several relays: what is void, unreadable, or no longer there."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import nats as nats_py
import pytest

from securechat.server.cluster import snapshots
from securechat.server.cluster.event_codec import EVENTS_VERSION, UnknownVersion
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.nats_values import StreamCut
from securechat.server.cluster.subjects import state_subject
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of
from tests.server.relay_harness import RunningRelay, short
from tests.server.waiting import TIMEOUT_S, until
from tests.services.nats import NatsCluster


def publish(nats: NatsCluster, *datas: bytes) -> None:
    """Put something into the stream that no relay has written."""

    async def work() -> None:
        client = await nats_py.connect(**nats.client_options())
        for data in datas:
            await client.jetstream().publish(state_subject("securechat"), data)
        await client.close()

    asyncio.run(work())


def crash_of(relay: RunningRelay) -> BaseException:
    """Return what has ended a relay, and accept it."""
    assert relay._crashed.wait(TIMEOUT_S), "it goes on"
    crash, relay.relay.crash = relay.relay.crash, None
    assert crash is not None
    return crash


class Held:
    """Holds what one relay publishes until it may go."""

    def __init__(self, relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
        stream: NatsStream = cluster_of(relay)._stream
        self._publish = stream.publish
        self._waiting: list[tuple[Any, ...]] = []
        self.came = threading.Event()
        monkeypatch.setattr(stream, "publish", self._hold)

    def _hold(self, *values: Any) -> None:
        self._waiting.append(values)
        self.came.set()

    def release(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        for values in self._waiting:
            self._publish(*values)


def test_what_a_further_relay_has_come_to_need_arrives_everywhere_once(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = (relays.start(name) for name in "abc")
    caps = "echo-message", "labeled-response", "batch", "message-tags"
    alice, bob, carol = a.join("alice", *caps), b.join("bob"), c.join("carol")
    alice.ask("JOIN #room")
    bob.ask("JOIN #room")
    relays.catch_up()
    alice.sync()
    held = Held(a, monkeypatch)
    alice.send("@label=x PRIVMSG #room :late", "@label=y PRIVMSG #room :later")
    assert held.came.wait(TIMEOUT_S)
    carol.ask("JOIN #room")
    held.release(monkeypatch)
    for client in (bob, carol):
        said = [client.expect("PRIVMSG").params[1], client.expect("PRIVMSG").params[1]]
        assert said == ["late", "later"]
    answers = [alice.expect("PRIVMSG") for _ in range(2)]
    assert [(each.tags["label"], each.params[1]) for each in answers] == [
        ("x", "late"),
        ("y", "later"),
    ]
    relays.settle()
    for client in (alice, bob, carol):
        assert [line for line in client.seen() if "RELAYS=" not in line] == []
    assert log_of(a).tally.repeated == 1


def test_what_is_said_goes_to_the_relays_that_need_it(relays: Relays) -> None:
    a, b, c = (relays.start(name) for name in "abc")
    alice, bob = a.join("alice"), b.join("bob")
    c.join("carol")
    alice.ask("JOIN #room")
    bob.ask("JOIN #room")
    relays.catch_up()
    before = log_of(c).standing.applied
    for n in range(5):
        alice.send(f"PRIVMSG #room :{n}")
        assert bob.expect("PRIVMSG").params[1] == str(n)
    assert log_of(c).standing.applied == before
    relays.settle()
    assert log_of(c).tally.taken < log_of(b).tally.taken


def test_an_unknown_version_ends_a_relay_before_anything_is_applied(
    relays: Relays, nats: NatsCluster
) -> None:
    a = relays.start("a")
    a.join("alice")
    state = relays.digests()
    applied = log_of(a).standing.applied
    publish(nats, json.dumps({"v": EVENTS_VERSION + 1, "relay": 1, "event": {}}).encode())
    crash = crash_of(a)
    assert isinstance(crash, UnknownVersion)
    assert f"events of version {EVENTS_VERSION + 1}" in str(crash)
    assert relays.digests() == state
    assert log_of(a).standing.applied == applied


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"v":1}',
        b'{"v":1,"relay":1,"event":{"type":"Nothing"}}',
        b'{"v":1,"relay":"x","event":{"type":"RelayLost"}}',
        b'{"v":1,"relay":1,"event":{"type":"Detach","stamp":[1,2,3],"reason":"x"}}',
    ],
)
def test_what_is_no_event_is_passed_over(relays: Relays, nats: NatsCluster, data: bytes) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice, bob = a.join("alice"), b.join("bob")
    publish(nats, data)
    alice.send("PRIVMSG bob :still here")
    assert bob.expect("PRIVMSG").params[1] == "still here"
    relays.settle()


def say(relays: Relays, n: int) -> None:
    """Have so many events happen that change the state."""
    client = relays.running["a"].join("speaker")
    for each in range(n):
        client.ask(f"NICK speaker{each}")
    client.quit()
    relays.catch_up()


def test_a_relay_starts_from_a_snapshot_when_the_stream_no_longer_begins_at_its_beginning(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_EVENTS", 10)
    a = relays.start("a")
    owner = a.account("owner")
    owner.ask("JOIN #room", "TOPIC #room :kept", "AWAY :gone")
    until(lambda: cluster_of(a).state.is_keeper, "a does not become the keeper")
    stream = cluster_of(a)._stream
    for _ in range(20):
        say(relays, 12)
        if stream.info().first > 10:
            break
        until(snapshot_is_new(a), "there is no snapshot")
    assert stream.info().first > 10
    b = relays.start("b")
    relays.settle()
    bob = b.join("bob")
    bob.ask("JOIN #room")
    assert short(owner.expect("JOIN")) == ":bob JOIN #room"
    assert bob.collect("TOPIC #room")[0].params == ("bob", "#room", "kept")


def snapshot_is_new(relay: RunningRelay) -> Callable[[], bool]:
    maker = cluster_of(relay)._snapshots
    return lambda: log_of(relay).standing.applied - maker._last < 10


def test_a_relay_that_is_behind_what_the_stream_has_ends(relays: Relays, nats: NatsCluster) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice = a.join("alice")
    log, stream = log_of(b), cluster_of(b)._stream
    applied = log.standing.applied
    for n in range(5):
        alice.ask(f"NICK alice{n}")
    relays.catch_up()
    cluster_of(a)._stream.purge(applied + 3)
    stream.follow(stream._subject, applied)
    crash = crash_of(b)
    assert isinstance(crash, StreamCut)
    assert "start it again" in str(crash)


def test_what_is_not_for_a_relay_may_be_taken_out_of_the_stream(
    relays: Relays, nats: NatsCluster
) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice = a.join("alice")
    stream = cluster_of(b)._stream
    for n in range(5):
        alice.ask(f"PRIVMSG alice :{n}")
    last = cluster_of(a)._stream.info().last
    assert log_of(b).standing.applied < last
    until(lambda: stream._passed == last, "b does not hear that nothing is for it")
    cluster_of(a)._stream.purge(last)
    generation = stream._generation
    stream._call(stream._begin_following)
    until(
        lambda: stream._generation > generation and stream._complete, "b does not follow the stream"
    )
    alice.ask("NICK alison")
    relays.settle()
