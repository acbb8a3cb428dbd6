"""A relay that was asleep, or slow, for longer than the others wait."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from securechat.server.cluster.event_codec import EVENTS_VERSION, encode
from securechat.server.cluster.log import RelayTwice
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.subjects import state_subject
from securechat.server.context import relay_context
from securechat.server.events import RelayLost, RelayStarted, Stamp
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of, replies
from tests.server.relay_harness import RunningRelay
from tests.server.waiting import TIMEOUT_S, until


@contextlib.contextmanager
def asleep(relay: RunningRelay) -> Iterator[None]:
    """Have the relay hear nothing of the others."""
    wake = threading.Event()
    cluster_of(relay)._stream._call(lambda: wake.wait(TIMEOUT_S))
    try:
        yield
    finally:
        wake.set()


def give_up(relay: RunningRelay, name: str) -> None:
    """Have one relay propose that another is lost."""
    services, event_log = relay.relay.services, log_of(relay)
    with services.lock:
        lost = services.network.relays[name]
        event = RelayLost(services.stamp(0), name, lost.incarnation, "is lost")
        event_log.propose(event, relay_context(services), None, lambda refusal: None)
    until(lambda: name not in services.network.relays, "the relay is not given up")


def test_who_was_taken_for_lost_tells_its_people_and_joins_anew(relays: Relays) -> None:
    a, b = relays.start("a"), relays.start("b")
    alice = a.join("alice")
    with asleep(a):
        give_up(b, "a")
    assert "cut off from the others for too long" in alice.read_to_end()[-1]
    until(lambda: log_of(a).standing.incarnation == 3, "the relay does not join anew")
    again = a.join("alice")
    again.ask("JOIN #room")
    relays.settle()
    assert a.relay.crash is None


def test_who_was_replaced_while_asleep_ends_and_not_its_successor(relays: Relays) -> None:
    first, b = relays.start("a"), relays.start("b")
    with asleep(first):
        give_up(b, "a")
        relays.running["first"] = relays.running.pop("a")
        second = relays.start("a")
    assert first._crashed.wait(TIMEOUT_S)
    assert isinstance(first.relay.crash, RelayTwice)
    first.relay.crash = None
    relays.stop("first")
    second.join("alice").ask("JOIN #room")
    assert second.relay.crash is None


def start_of(name: str, known: int) -> tuple[str, bytes]:
    """Return the start of a relay as it is put into the stream: the subject and the event."""
    event = RelayStarted(Stamp(0, 0, f"start of {name}"), name, "", known)
    plain = {"v": EVENTS_VERSION, "relay": 0, "event": encode(event)}
    return state_subject("securechat"), json.dumps(plain).encode()


def test_a_start_that_comes_late_ends_nobody(relays: Relays) -> None:
    """As that of a process which was killed while NATS did not answer."""
    a, b = relays.start("a"), relays.start("b")
    alice = a.join("alice")
    relays.settle()
    before = log_of(b).standing.applied
    subject, late = start_of("a", known=0)
    cluster_of(b)._stream.publish(subject, "late", late)
    until(lambda: log_of(b).standing.applied > before, "it does not come")
    relays.settle()
    assert log_of(a).standing.incarnation == 1
    assert replies(alice, "PING still") == [":a.test PONG a.test still"]


def test_a_start_that_comes_late_ends_nobody_who_joins_anew(relays: Relays) -> None:
    a, b = relays.start("a"), relays.start("b")
    subject, late = start_of("a", known=0)
    with asleep(a):
        give_up(b, "a")
        cluster_of(b)._stream.publish(subject, "late", late)
        until(lambda: "a" in b.relay.services.network.relays, "it does not come")
    until(lambda: log_of(a).standing.incarnation == 4, "the relay does not join anew")
    relays.settle()


def test_who_starts_in_place_of_one_it_did_not_know_tries_again(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = relays.start("b")
    publish = NatsStream.publish
    subject, late = start_of("a", known=1)

    def publish_after(stream: NatsStream, *values: Any) -> None:
        monkeypatch.undo()
        publish(stream, subject, "late", late)
        publish(stream, *values)

    monkeypatch.setattr(NatsStream, "publish", publish_after)
    a = relays.start("a")
    assert log_of(a).standing.incarnation == 3, "the other one of its name was 2"
    a.join("alice").ask("JOIN #room")
    b.join("bob").ask("JOIN #room")
    relays.settle()


def test_the_beat_of_a_dead_relay_is_not_taken_for_that_of_its_successor(relays: Relays) -> None:
    a = relays.start("a")
    members = cluster_of(a).members
    until(lambda: members.neighbours, "it does not hear itself")
    (neighbour,) = members.neighbours
    plain = neighbour._asdict() | {"incarnation": 7}
    members.take_beat(json.dumps(plain).encode())
    members.take_beat(json.dumps(plain | {"incarnation": 6}).encode())
    assert 7 in [each.incarnation for each in members.neighbours]
