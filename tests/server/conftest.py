"""Fixtures of the relay: certificates, a relay, more of them with another configuration."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.server.relay_harness import (
    WALL_S,
    Certificates,
    FakeClock,
    RunningRelay,
    make_certificates,
    make_config,
)


class StartRelay(Protocol):
    """Starts a relay that the fixture stops.

    Takes the changes of ``make_config``, clocks, and what loads the configuration anew.
    """

    def __call__(self, **changes: Any) -> RunningRelay: ...


@pytest.fixture(scope="session")
def relay_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("relay-certificates"))


@pytest.fixture
def start_relay(
    relay_certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[StartRelay]:
    caplog.set_level(logging.INFO, "securechat")
    relays: list[RunningRelay] = []
    running = contextlib.ExitStack()

    def start(**changes: Any) -> RunningRelay:
        clocks: dict[str, Any] = {"wall_clock": changes.pop("wall_clock", lambda: WALL_S)}
        for name in ("clock", "load_config"):
            if name in changes:
                clocks[name] = changes.pop(name)
        config = make_config(relay_certificates, tmp_path / "relay.db", **changes)
        relays.append(RunningRelay(config, relay_certificates, **clocks))
        running.callback(relays[-1].stop)
        return relays[-1]

    with running:
        yield start
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    if not any(relay.may_log_errors for relay in relays):
        assert not errors, [record.getMessage() for record in errors]


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    return start_relay()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
