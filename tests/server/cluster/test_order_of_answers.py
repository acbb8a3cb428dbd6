"""Answers come in the order of what they answer, whichever thread is slow."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from securechat.server.cluster.log import ClusterLog
from securechat.server.cluster.nats_values import Received
from tests.server.cluster.cluster_harness import Relays
from tests.server.waiting import TIMEOUT_S


def test_no_line_is_handled_before_all_answers_to_the_last_are_sent(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = relays.start("a")
    alice = a.join("alice", "echo-message")
    a.join("bob")
    a.join("carol")
    session = a.session("alice")
    both_are_back = threading.Event()
    take = ClusterLog._take_events
    held = False

    def take_while_the_thread_of_the_session_stands_still(
        self: ClusterLog, some: Sequence[Received]
    ) -> None:
        nonlocal held
        if not held:
            held = True
            session.connection.thread.post(lambda: both_are_back.wait(TIMEOUT_S))
        take(self, some)
        if not session.awaited:
            both_are_back.set()

    monkeypatch.setattr(
        ClusterLog, "_take_events", take_while_the_thread_of_the_session_stands_still
    )
    alice.send("PRIVMSG bob,carol :hello", "PING after")
    seen = [alice.read() for _ in range(3)]
    assert [(each.command, each.params[0]) for each in seen] == [
        ("PRIVMSG", "bob"),
        ("PRIVMSG", "carol"),
        ("PONG", "a.test"),
    ]
