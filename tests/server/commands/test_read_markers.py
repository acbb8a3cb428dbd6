"""MARKREAD: how far one has read."""

from __future__ import annotations

from tests.server.relay_harness import RunningRelay


def test_a_secret_channel_is_not_known_by_its_marker(relay: RunningRelay) -> None:
    """The answer writes a channel as it is called, but not to strangers of a secret one."""
    ann, eve = relay.join("ann"), relay.join("eve")
    ann.ask("JOIN #Den")
    assert eve.ask("MARKREAD #den") == ["MARKREAD #Den *"]
    ann.ask("MODE #Den +s")
    assert eve.ask("MARKREAD #den") == ["MARKREAD #den *"]
    assert ann.ask("MARKREAD #den") == ["MARKREAD #Den *"]
