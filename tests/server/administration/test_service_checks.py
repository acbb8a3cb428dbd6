"""What ``check`` finds of PostgreSQL, NATS, and the settings of several relays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import NetworkError, StoreError
from securechat.server.administration import service_checks, store_checks, system_checks
from securechat.server.administration.desk import Desk
from securechat.server.cluster import nats_stream
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.nats_values import Inspection, StreamSize
from securechat.server.config import ClusterConfig, Config
from securechat.store.postgres_migrations import MIGRATIONS
from securechat.store.postgres_url import parse_postgres_url
from tests.server.administration.checked_files import change, found, one
from tests.services.nats import NatsCluster
from tests.services.postgres import PostgresServer


def on_server(config: Config, url: str) -> Config:
    return change(config, store={"url": parse_postgres_url(url)})


def in_cluster(config: Config, nats: NatsCluster, folder: Path, **settings: Any) -> Config:
    password = folder / "nats-password"
    password.write_text(nats.password)
    given = {
        "nats": tuple(nats.urls),
        "relay": "a",
        "address": "a.test:6697",
        "ca": nats.ca_file,
        "user": nats.user,
        "password_file": password,
    }
    return change(config, cluster=given | settings)


def levels(lines: list[str]) -> list[str]:
    return [line.partition(" ")[0] for line in lines]


# ---- PostgreSQL ----


def test_a_postgresql_with_which_all_is_well(
    config: Config, postgres: PostgresServer, postgres_url: str
) -> None:
    lines = found(service_checks.check_postgres, on_server(config, postgres_url))
    assert levels(lines) == ["ok", "ok"]
    assert lines[0].startswith("ok postgresql://relays@localhost:")
    assert "TLSv1.3" in lines[0]
    assert lines[1] == "ok the clock of PostgreSQL agrees with ours. "
    assert postgres.password not in str(lines)


def test_one_without_tables(config: Config, empty_postgres_url: str) -> None:
    lines = found(service_checks.check_postgres, on_server(config, empty_postgres_url))
    assert lines[1] == f"ok schema version 0; the relay brings it to {len(MIGRATIONS)}. "


def test_one_of_a_newer_version(
    config: Config, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from securechat.store import postgres_migrations

    monkeypatch.setattr(postgres_migrations, "MIGRATIONS", ())
    lines = found(service_checks.check_postgres, on_server(config, postgres_url))
    assert lines[1].startswith("problem schema version 1, but this securechat knows only 0")


def test_one_that_does_not_run(config: Config, postgres: PostgresServer, postgres_url: str) -> None:
    postgres.stop()
    with pytest.raises(StoreError, match="refused") as caught:
        found(service_checks.check_postgres, on_server(config, postgres_url))
    assert postgres.password not in str(caught.value)


@pytest.mark.parametrize(("ahead_s", "said"), [(-30, "behind ours"), (30, "ahead of ours")])
def test_a_clock_that_is_wrong(
    config: Config,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    ahead_s: int,
    said: str,
) -> None:
    monkeypatch.setattr(Desk, "now", lambda desk: datetime.now(UTC) - timedelta(seconds=ahead_s))
    last = found(service_checks.check_postgres, on_server(config, postgres_url))[-1]
    assert last.startswith(f"warning the clock of PostgreSQL is 30.0 s {said}")


def test_nothing_is_asked_of_the_file_that_is_not_used(config: Config, postgres_url: str) -> None:
    config = on_server(config, postgres_url)
    for check in (
        store_checks.check_database,
        store_checks.check_content,
        store_checks.check_file_system,
        store_checks.check_disk,
    ):
        assert found(check, config) == []
    assert levels(found(system_checks.check_clock, config)) == ["ok"]


# ---- NATS ----


def test_nats_before_the_first_start(config: Config, nats: NatsCluster, tmp_path: Path) -> None:
    config = in_cluster(config, nats, tmp_path)
    for _ in range(2):
        lines = found(service_checks.check_stream, config)
        assert lines[1] == "ok there is no stream securechat yet; the first relay makes it. "
    assert lines[0].startswith("ok NATS 2.")
    assert nats.password not in str(lines)


def test_a_stream_with_which_all_is_well(
    config: Config, nats: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_checks, "_SLOW_S", 60.0)  # this machine may be busy
    config = in_cluster(config, nats, tmp_path, replicas=1, stream_mib=16)
    NatsStream(config.cluster, on_crash=lambda error: None).stop()
    lines = found(service_checks.check_stream, config)
    assert levels(lines) == ["ok"] * 3, lines
    assert lines[1] == "ok the stream securechat has 0 of 16 MiB, on 1 of the servers. "
    assert lines[2] == "ok the clock of NATS agrees with ours. "


def test_a_stream_that_is_not_as_configured(
    config: Config, nats: NatsCluster, tmp_path: Path
) -> None:
    made = in_cluster(config, nats, tmp_path, replicas=1, stream_mib=16)
    NatsStream(made.cluster, on_crash=lambda error: None).stop()
    config = in_cluster(config, nats, tmp_path, replicas=3, stream_mib=32)
    warned = [line for line in found(service_checks.check_stream, config) if "warning" in line]
    assert len(warned) == 2
    assert warned[0].startswith("warning each event is on 1 servers, [cluster] replicas is 3. ")
    assert warned[0].endswith("nats stream edit securechat --replicas 3")
    assert warned[1].startswith("warning it may have 16 MiB, [cluster] stream_mib is 32. ")
    assert warned[1].endswith("nats stream edit securechat --max-bytes 32MiB")


SIZE = StreamSize(bytes=0, most_bytes=1 << 30, replicas=3, lacking=0)


@pytest.mark.parametrize(
    ("inspection", "said"),
    [
        (Inspection("2.9", 0.001, False), "problem NATS 2.9 answers in 1.0 ms, but has no JetSt"),
        (Inspection("2.9", 0.1, True), "warning NATS 2.9 answers in 100.0 ms. Relays and NATS"),
        (
            Inspection("2.9", 0.001, True, SIZE._replace(bytes=900 << 20)),
            "problem the stream securechat has 900 of 1,024 MiB. The relays make no snapshots",
        ),
        (
            Inspection("2.9", 0.001, True, SIZE._replace(lacking=1)),
            "warning 1 of its servers have not all of it, or are away",
        ),
        (
            Inspection("2.9", 0.001, True, SIZE, ahead_s=-2.0),
            "warning the clock of NATS is 2.0 s behind ours. Have the clocks",
        ),
    ],
)
def test_what_is_wrong_with_nats(
    config: Config, monkeypatch: pytest.MonkeyPatch, inspection: Inspection, said: str
) -> None:
    class Told:
        def __init__(self, *_: object, **__: object) -> None: ...

        def inspect(self) -> Inspection:
            return inspection

        def stop(self) -> None: ...

    monkeypatch.setattr(nats_stream, "NatsStream", Told)
    config = change(config, cluster={"nats": ("tls://a",)})
    (line,) = [
        line for line in found(service_checks.check_stream, config) if not line.startswith("ok ")
    ]
    assert line.startswith(said)


def test_nats_that_does_not_run(
    config: Config, nats: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.cluster.nats_stream.CONNECT_S", 0.3)
    nats.stop()
    with pytest.raises(NetworkError, match="cannot use NATS at tls://") as caught:
        found(service_checks.check_stream, in_cluster(config, nats, tmp_path))
    assert nats.password not in str(caught.value)


# ---- settings ----

GOOD = {
    "nats": ("tls://a", "tls://b", "tls://c"),
    "relay": "a",
    "address": "a.test:6697",
}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "ok the settings agree with each other"),
        ({"nats": ("tls://a",)}, "warning replicas is 3, but nats names 1 of the servers"),
        ({"replicas": 1}, "warning each event is on one server"),
        ({"replicas": 2}, "warning of two servers both are needed"),
        ({"lease_s": 8}, "warning relays are taken for lost after 8 s, but when a server is lost"),
        ({"lease_s": 9}, "ok the settings agree with each other"),
        ({"address": ""}, "warning clients of other relays are not told where this one is"),
    ],
)
def test_settings(config: Config, settings: dict[str, Any], said: str) -> None:
    made = change(config, cluster=GOOD | settings)
    assert one(service_checks.check_cluster, made).startswith(said)


def test_one_relay_has_nothing_of_all_that(config: Config) -> None:
    assert config.cluster == ClusterConfig()
    assert one(service_checks.check_cluster, config) == "ok this relay is the only one. "
    assert one(service_checks.check_stream, config).startswith("ok not used")
    assert one(service_checks.check_postgres, config).startswith("ok not used")
