"""Fixtures of the administration: somebody who gives commands, and to what."""

from __future__ import annotations

from pathlib import Path

import pytest

from securechat.server.config import Config
from tests.server.administration.administrator import Administrator
from tests.server.administration.checked_files import good_config
from tests.server.relay_harness import Certificates, RunningRelay, make_config


@pytest.fixture
def stopped(relay_certificates: Certificates, tmp_path: Path) -> Config:
    """The configuration of a relay that does not run."""
    return make_config(relay_certificates, tmp_path / "relay.db")


@pytest.fixture
def order(relay: RunningRelay, capsys: pytest.CaptureFixture[str]) -> Administrator:
    """Somebody who gives commands to ``relay``, which runs."""
    return Administrator(relay.config, capsys)


@pytest.fixture
def on_files(stopped: Config, capsys: pytest.CaptureFixture[str]) -> Administrator:
    """Somebody who gives commands where no relay runs."""
    return Administrator(stopped, capsys)


@pytest.fixture(params=["running", "stopped"])
def anywhere(request: pytest.FixtureRequest) -> Administrator:
    """One of the two: what is written is the same."""
    name = "order" if request.param == "running" else "on_files"
    made: Administrator = request.getfixturevalue(name)
    return made


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The configuration of a relay of which there is nothing to complain but the certificate."""
    return good_config(tmp_path)
