from __future__ import annotations

import logging
import threading

import pytest

from securechat.net.threads import start_thread
from tests.net.support import LONG_TIMEOUT_S


def test_a_thread_is_named_and_runs() -> None:
    names: list[str] = []
    thread = start_thread("worker 7", lambda: names.append(threading.current_thread().name))
    thread.join(LONG_TIMEOUT_S)
    assert names == ["worker 7"]
    assert not thread.daemon


def test_daemon_on_request() -> None:
    thread = start_thread("terminal", lambda: None, daemon=True)
    thread.join(LONG_TIMEOUT_S)
    assert thread.daemon


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt()])
def test_a_crash_is_logged_and_told(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[BaseException, str]] = []

    def fail() -> None:
        raise error

    thread = start_thread(
        "worker",
        fail,
        on_crash=lambda crash: heard.append((crash, threading.current_thread().name)),
    )
    thread.join(LONG_TIMEOUT_S)
    assert heard == [(error, "worker")]
    [record] = caplog.records
    assert record.getMessage() == "thread worker crashed"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_crash_that_nobody_asked_about_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    start_thread("worker", lambda: [][0]).join(LONG_TIMEOUT_S)
    assert caplog.messages == ["thread worker crashed"]


def test_an_end_in_good_order_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[BaseException] = []
    start_thread("worker", lambda: None, on_crash=heard.append).join(LONG_TIMEOUT_S)
    assert heard == []
    assert caplog.records == []
