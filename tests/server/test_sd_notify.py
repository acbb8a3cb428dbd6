from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.server import sd_notify
from securechat.server.sd_notify import notify, watchdog_interval_s
from tests.server.relay_harness import LONG_TIMEOUT_S


@pytest.fixture(autouse=True)
def _no_service_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    sd_notify._complain.cache_clear()


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """What systemd listens on; bound by the test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(LONG_TIMEOUT_S)
        yield sock


def test_by_a_path(manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    manager.bind(path)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1")
    notify("STATUS=all is wéll\nWATCHDOG=1")
    assert manager.recv(100) == b"READY=1"
    assert manager.recv(100) == "STATUS=all is wéll\nWATCHDOG=1".encode()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names of sockets")
def test_by_an_abstract_name(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.bind(f"\0securechat-test-{os.getpid()}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@securechat-test-{os.getpid()}")
    notify("STOPPING=1")
    assert manager.recv(100) == b"STOPPING=1"


def test_nothing_happens_without_systemd(caplog: pytest.LogCaptureFixture) -> None:
    notify("READY=1")
    assert caplog.records == []


def test_a_failure_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    for _ in range(3):
        notify("WATCHDOG=1")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "systemd cannot be told" in caplog.text


def test_one_that_reads_nothing_keeps_nobody_waiting(
    manager: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sd_notify, "_SEND_S", 0.01)
    path = str(tmp_path / "notify")
    manager.bind(path)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    for _ in range(2_000):  # more than a socket takes
        notify("WATCHDOG=1")
        if caplog.records:
            break
    assert "timed out" in caplog.text


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.25),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_PID": str(os.getpid())}, None),
    ],
)
def test_how_often_systemd_wants_to_hear(
    environment: dict[str, str], interval_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_interval_s() == interval_s
