"""Fixtures of the relay: certificates, a relay, more of them with another configuration."""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from securechat.store.database import open_database
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


@functools.cache
def new_database() -> bytes:
    """Return a database that no relay has used: writing it is faster than making one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay.db"
        open_database(path).close()
        return path.read_bytes()


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
        path = tmp_path / "relay.db"
        if not path.exists():
            path.touch(0o600)
            path.write_bytes(new_database())
        config = make_config(relay_certificates, path, **changes)
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
