"""A relay that was asleep, or slow, for longer than the others wait."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

from securechat.server.cluster.log import RelayTwice
from securechat.server.context import relay_context
from securechat.server.events import RelayLost
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of
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


def test_the_beat_of_a_dead_relay_is_not_taken_for_that_of_its_successor(relays: Relays) -> None:
    a = relays.start("a")
    members = cluster_of(a).members
    until(lambda: members.neighbours, "it does not hear itself")
    (neighbour,) = members.neighbours
    plain = neighbour._asdict() | {"incarnation": 7}
    members.take_beat(json.dumps(plain).encode())
    members.take_beat(json.dumps(plain | {"incarnation": 6}).encode())
    assert 7 in [each.incarnation for each in members.neighbours]
