"""Checks of what a relay works with on other machines: PostgreSQL, and NATS with the other relays.

Each is asked by a connection of its own. No password is in what is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Finding, ok, problem, warning
from securechat.server.cluster.nats_values import Inspection, StreamSize
from securechat.server.config import ClusterConfig
from securechat.server.databases import postgres_url
from securechat.store.database import store_errors

__all__ = ["check_cluster", "check_postgres", "check_stream"]

_CLOCK_TOLERANCE_S: Final = 1.0
"""By how much the clocks of machines may differ, in seconds: those that NTP keeps differ by some
milliseconds, and what is measured here by as much as an answer takes."""

_SLOW_S: Final = 0.02
"""How long an answer of NATS may take: everything in the chat waits for one or two."""

_LEADER_S: Final = 9
"""How long NATS may need until another server leads the stream, when the one that did is lost."""

_STREAM_FULL: Final = 0.8
"""The share of its limit from which a stream is too large: snapshots should keep it far below."""

_NTP: Final = "Have the clocks of both machines kept right (NTP)"


def check_postgres(desk: Desk) -> Iterator[Finding]:
    """Check that PostgreSQL can be used, by TLS, with a schema that this program knows."""
    store = desk.config.store
    if store.url is None:
        yield ok("not used: the database is a file")
        return
    # Only here: what is imported with it is an extra.
    from securechat.store.postgres import connect
    from securechat.store.postgres_migrations import MIGRATIONS, schema_version

    with (
        store_errors(f"use {store.url}"),
        closing(connect(postgres_url(store.url, store.password_file))) as connection,
    ):
        (number,) = connection.execute("SELECT current_setting('server_version')").fetchone()
        tls = connection.execute(
            "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl"
        ).fetchone()
        schema = schema_version(connection)
        before_s = desk.now().timestamp()
        (there_s,) = connection.execute(
            "SELECT extract(epoch FROM clock_timestamp())::double precision"
        ).fetchone()
        ahead_s = there_s - (before_s + desk.now().timestamp()) / 2
    yield ok(f"{store.url}: PostgreSQL {number}, {tls[0] if tls else 'on this machine'}")
    if schema > len(MIGRATIONS):
        yield problem(
            f"schema version {schema}, but this securechat knows only {len(MIGRATIONS)}",
            "Install the securechat that wrote it",
        )
    elif schema < len(MIGRATIONS):
        yield ok(f"schema version {schema}; the relay brings it to {len(MIGRATIONS)}")
    yield from _clock("PostgreSQL", ahead_s)


def check_stream(desk: Desk) -> Iterator[Finding]:
    """Check that NATS can be used, and that the stream is as it should be."""
    config = desk.config.cluster
    if not config.nats:
        yield ok("not used: this relay is the only one")
        return
    # Only here: what is imported with it is an extra, and an event loop.
    from securechat.server.cluster.nats_stream import NatsStream

    stream = NatsStream(config, on_crash=lambda error: None, make=False)
    try:
        found = stream.inspect()
    finally:
        stream.stop()
    answer_ms = found.answer_s * 1000
    text = f"NATS {found.version} answers in {answer_ms:,.1f} ms"
    if not found.jetstream:
        yield problem(f"{text}, but has no JetStream", "jetstream { … } in nats-server.conf")
        return
    if found.answer_s > _SLOW_S:
        yield warning(text, "Relays and NATS belong in one place: everything waits for it")
    else:
        yield ok(text)
    yield from _stream_findings(config, found)


def _stream_findings(config: ClusterConfig, found: Inspection) -> Iterator[Finding]:
    if found.stream is None:
        yield ok(f"there is no stream {config.stream} yet; the first relay makes it")
        return
    yield from _size_findings(config, found.stream)
    if found.ahead_s is not None:
        yield from _clock("NATS", found.ahead_s)


def _size_findings(config: ClusterConfig, stream: StreamSize) -> Iterator[Finding]:
    most_mib = stream.most_bytes >> 20
    text = f"the stream {config.stream} has {stream.bytes >> 20:,} of {most_mib:,} MiB"
    if stream.most_bytes and stream.bytes > stream.most_bytes * _STREAM_FULL:
        yield problem(text, "The relays make no snapshots; their logs may say why")
    else:
        yield ok(f"{text}, on {stream.replicas} of the servers")
    if stream.lacking:
        yield warning(f"{stream.lacking} of its servers have not all of it, or are away")
    if stream.replicas != config.replicas:
        yield warning(
            f"each event is on {stream.replicas} servers, [cluster] replicas is {config.replicas}",
            f"nats stream edit {config.stream} --replicas {config.replicas}",
        )
    if most_mib != config.stream_mib:
        yield warning(
            f"it may have {most_mib:,} MiB, [cluster] stream_mib is {config.stream_mib:,}",
            f"nats stream edit {config.stream} --max-bytes {config.stream_mib}MiB",
        )


def _clock(whose: str, ahead_s: float) -> Iterator[Finding]:
    if abs(ahead_s) > _CLOCK_TOLERANCE_S:
        word = "ahead of" if ahead_s > 0 else "behind"
        yield warning(f"the clock of {whose} is {abs(ahead_s):,.1f} s {word} ours", _NTP)
    else:
        yield ok(f"the clock of {whose} agrees with ours")


def check_cluster(desk: Desk) -> Iterator[Finding]:
    """Check that the settings of [cluster] make sense together."""
    config = desk.config.cluster
    if not config.nats:
        yield ok("this relay is the only one")
        return
    findings = []
    if config.replicas > len(config.nats):
        findings.append(
            warning(
                f"replicas is {config.replicas}, but nats names {len(config.nats)} of the servers",
                "[cluster] nats: all of them, so that a relay finds another one",
            )
        )
    if config.replicas == 1:
        findings.append(
            warning(
                "each event is on one server: without that one nothing is said",
                "[cluster] replicas = 3, on three servers",
            )
        )
    elif config.replicas == 2:
        findings.append(
            warning("of two servers both are needed", "[cluster] replicas = 3, on three servers")
        )
    if config.replicas > 1 and config.lease_s < _LEADER_S:
        findings.append(
            warning(
                f"relays are taken for lost after {config.lease_s} s, but when a server is lost "
                f"NATS may need {_LEADER_S} s to go on",
                f"[cluster] lease_s = {_LEADER_S + 1} or more",
            )
        )
    if not config.address:
        findings.append(
            warning("clients of other relays are not told where this one is", "[cluster] address")
        )
    yield from findings or [ok("the settings agree with each other")]
