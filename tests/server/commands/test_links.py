"""LINKS and MAP of a relay that is the only one; of several: ``cluster/test_seeing_the_whole``."""

from __future__ import annotations

from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, RunningRelay


def test_links(start_relay: StartRelay) -> None:
    """RPL_LINKS: "<client> <server1> <server2> :<hopcount> <server info>"; "mark the end of the
    list using a RPL_ENDOFLINKS message"."""
    ann = start_relay(server={"description": "of friends"}).join("ann")
    assert ann.ask("LINKS") == [
        f"364 ann {NAME} {NAME} :0 of friends",
        "365 ann * :End of /LINKS list",
    ]
    assert f"312 ann ann {NAME} :of friends" in ann.ask("WHOIS ann")


def test_map(relay: RunningRelay) -> None:
    assert relay.join("ann").ask("MAP") == [f"015 ann {NAME}", "017 ann :End of /MAP"]
