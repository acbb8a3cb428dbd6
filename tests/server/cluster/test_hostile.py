"""What people, and accidents, must not be able to do to a relay of several."""

from __future__ import annotations

import json

import pytest

from securechat.irc.sasl import plain_response
from securechat.server.cluster import nats_stream
from securechat.server.cluster.event_codec import EVENTS_VERSION, encode
from securechat.server.context import relay_context
from securechat.server.events import Detach, RelayLost
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of
from tests.server.relay_harness import PASSWORD
from tests.server.waiting import until


def test_the_largest_event_is_taken(relays: Relays) -> None:
    a = relays.start("a")
    services, event_log = a.relay.services, log_of(a)
    done: list[object] = []
    with services.lock:
        event = RelayLost(services.stamp(0), "nobody", 0, "")
        plain = {"v": EVENTS_VERSION, "relay": event_log.standing.incarnation}
        data = json.dumps(plain | {"event": encode(event)}, separators=(",", ":"))
        reason = "x" * (nats_stream.EVENT_BYTES - len(data))
        event = RelayLost(event.stamp, "nobody", 0, reason)
        event_log.propose(event, relay_context(services), lambda: done.append(1), done.append)
    until(lambda: done, "the largest event does not come back")
    assert done == [1]


def test_who_is_killed_while_logging_in_ends_no_relay(
    relays: Relays, caplog: pytest.LogCaptureFixture
) -> None:
    a = relays.start("a")
    alice = a.account("alice")
    alice.quit()
    guest = a.join("guest", "sasl")
    session = a.session("guest")
    event_log = log_of(a)
    publish = cluster_of(a)._stream.publish
    held: list[tuple[str, str, bytes]] = []
    cluster_of(a)._stream.publish = lambda *each: held.append(each)  # type: ignore[method-assign]
    guest.send("AUTHENTICATE PLAIN")
    guest.expect("AUTHENTICATE")
    guest.answer(plain_response("alice", PASSWORD))
    until(lambda: held, "nothing is proposed")
    cluster_of(a)._stream.publish = publish  # type: ignore[method-assign]
    services = a.relay.services
    with services.lock:
        event_log.propose(
            Detach(services.stamp(session.id), "gone"),
            relay_context(services),
            None,
            lambda r: None,
        )
    for each in held:
        publish(*each)
    relays.settle()
    assert a.relay.crash is None
    assert "failed" not in caplog.text


def test_a_stream_that_is_full_is_emptied(relays: Relays) -> None:
    a = relays.start("a")
    services, event_log = a.relay.services, log_of(a)
    done: list[object] = []
    reason = "x" * 120_000
    most = 16 * 1024 * 1024  # as in the configuration
    with services.lock:
        for _ in range(3 * most // (2 * len(reason))):
            event = RelayLost(services.stamp(0), "nobody", 0, reason)
            event_log.propose(event, relay_context(services), lambda: done.append(1), done.append)
    until(lambda: len(done) == 3 * most // (2 * len(reason)), "the stream stays full")
    assert set(done) == {1}
