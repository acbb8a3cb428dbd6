"""What a relay needs while it runs. Reloads and certificates are in ``test_reload``."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.server.telemetry.health import STUCK_S
from securechat.server.upkeep import Upkeep
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, FakeClock, RunningRelay


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd hears."""
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there are no Unix sockets")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield sock


def watchdog(upkeep: Upkeep) -> None:
    """Do what is done for systemd, as the caretaker does it."""
    (duty,) = [duty for duty in upkeep.duties() if duty.interval_s == 30.0]
    duty.work()


def test_systemd_is_told_that_all_threads_answer(
    systemd: socket.socket, relay: RunningRelay
) -> None:
    watchdog(relay.relay._upkeep)
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_systemd_is_not_told_while_a_thread_is_stuck(
    systemd: socket.socket, start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    relay = start_relay(clock=clock)
    relay.may_log_errors = True
    upkeep, health = relay.relay._upkeep, relay.relay.services.health
    relay.relay._caretaker.call(lambda: None)  # after its first round
    assert systemd_hears(systemd)
    busy, go_on = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        go_on.wait(LONG_TIMEOUT_S)

    relay.relay._threads[1].post(block)
    assert busy.wait(LONG_TIMEOUT_S)
    health.tick()
    for ask in (relay.relay._threads[0].post, relay.relay.services.store.ping):
        answered = threading.Event()  # after what it was asked before
        ask(answered.set)
        assert answered.wait(LONG_TIMEOUT_S)
    clock.now += STUCK_S
    watchdog(upkeep)
    assert not systemd_hears(systemd)
    assert "io-1 has not answered for 10 s" in caplog.messages
    go_on.set()
    while health.problems():
        pass
    watchdog(upkeep)
    assert systemd_hears(systemd)


def systemd_hears(systemd: socket.socket) -> bool:
    try:
        return systemd.recv(100) == b"WATCHDOG=1"
    except BlockingIOError:
        return False


def test_without_systemd_nobody_is_told(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    intervals = [duty.interval_s for duty in relay.relay._upkeep.duties()]
    assert 30.0 not in intervals
    assert len(intervals) == 4
