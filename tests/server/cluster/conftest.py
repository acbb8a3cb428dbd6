"""Fixtures of several relays."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.cluster.cluster_harness import Relays, several
from tests.server.relay_harness import Certificates, FakeClock
from tests.services.nats import NatsCluster


@pytest.fixture
def relays(
    relay_certificates: Certificates,
    nats: NatsCluster,
    postgres_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Relays]:
    """Relays of one chat; none runs yet."""
    caplog.set_level(logging.INFO, "securechat")
    with several(relay_certificates, nats, postgres_url, tmp_path) as made:
        yield made


@pytest.fixture
def relays_on_three(
    relay_certificates: Certificates, nats_cluster: NatsCluster, postgres_url: str, tmp_path: Path
) -> Iterator[Relays]:
    """Relays whose stream is on three servers of NATS."""
    with several(relay_certificates, nats_cluster, postgres_url, tmp_path) as made:
        yield made


@pytest.fixture
def time_of_relays(relays: Relays) -> FakeClock:
    """The clock of all relays that are started."""
    clock = FakeClock()
    relays.clocks["clock"] = clock
    return clock
