"""What sessions leave behind: nothing that needs the garbage collector, which is spared."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.server.relay_harness import RunningRelay
from tests.server.test_tunnel_end import wait_until


@pytest.fixture
def garbage() -> Iterator[list[object]]:
    """All that is in cycles is kept in there, when it is collected; none of it is before."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def come_and_go(relay: RunningRelay) -> None:
    for way in ("quit", "vanish"):
        client = relay.join("Alice", "message-tags", "echo-message", "labeled-response", "batch")
        client.send(
            "JOIN #room",
            "PRIVMSG #room :hello",
            "@label=1 PRIVMSG #room :labelled",
            "WHO #room",
            "CHATHISTORY LATEST #room * 10",
            "PRIVMSG nobody :refused",
            "NOSUCHCOMMAND",
            "PRIVMSG #room",
        )
        client.sync()
        getattr(client, way)()
        wait_until(relay, lambda: len(relay.relay.services.registry) == 1)


def test_sessions_leave_no_cycles(relay: RunningRelay, garbage: list[object]) -> None:
    stays = relay.join("Bob")
    come_and_go(relay)  # what is made once, by the first
    gc.collect()
    garbage.clear()
    come_and_go(relay)
    stays.sync()
    gc.collect()
    ours = [item for item in garbage if type(item).__module__.startswith("securechat")]
    assert ours == []
