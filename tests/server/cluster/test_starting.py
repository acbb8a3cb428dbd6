"""A relay that cannot start, or is stopped before it has: nothing stays, and one knows why."""

from __future__ import annotations

import json
import threading

import pytest
from nats.js.api import StreamConfig

from securechat.errors import SecureChatError
from securechat.net.threads import start_thread
from securechat.server.cluster.event_codec import EVENTS_VERSION, UnknownVersion
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.subjects import state_subject
from securechat.server.relay import Relay
from tests.server.cluster.cluster_harness import Relays, cluster_of, log_of
from tests.server.relay_harness import LONG_TIMEOUT_S
from tests.services.nats import NatsCluster


def threads() -> set[str]:
    return {each.name for each in threading.enumerate()}


def test_a_relay_that_never_started_can_be_stopped(relays: Relays) -> None:
    before = threads()
    relay = Relay(relays.config("a"))
    relay.stop("never mind")
    assert threads() == before


def test_a_relay_that_does_not_know_the_events_says_so_at_once_and_is_gone(
    relays: Relays,
) -> None:
    a = relays.start("a")
    before = threads()
    b = Relay(relays.config("b"))
    data = json.dumps({"v": EVENTS_VERSION + 1, "relay": 1, "event": {}}).encode()
    stopped = a._crashed
    cluster_of(a)._stream.publish(state_subject("securechat"), "strange", data)
    assert stopped.wait(20)
    with pytest.raises(UnknownVersion):
        b.start()
    b.stop("It could not be started")
    assert threads() <= before
    a.relay.crash = None


def test_one_relay_too_many_says_so_at_once_and_is_gone(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.rules.relays.RELAY_SLOTS", 1)
    a = relays.start("a")
    before = threads()
    b = Relay(relays.config("b"))
    with pytest.raises(SecureChatError, match="There are 1 relays already"):
        b.start()
    b.stop("It could not be started")
    assert threads() == before
    assert log_of(a).standing.incarnation == 1


def test_a_relay_waits_until_nats_has_chosen_a_leader(
    relays_on_three: Relays, nats_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = threading.Semaphore(0)
    find = NatsStream._find_or_make_stream

    async def try_to_find(stream: NatsStream, wanted: StreamConfig) -> None:
        tries.release()
        await find(stream, wanted)

    monkeypatch.setattr(NatsStream, "_find_or_make_stream", try_to_find)
    for node in (1, 2):
        nats_cluster.kill(node)
    starting = start_thread("starts a relay", lambda: relays_on_three.start("a"))
    for _ in range(2):
        assert tries.acquire(timeout=LONG_TIMEOUT_S)  # the second, as the first was in vain
    for node in (1, 2):
        nats_cluster.start(node)
    starting.join()
    assert relays_on_three.running["a"].join("ann").ask("JOIN #room")
