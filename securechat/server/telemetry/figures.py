"""The figures of a relay at one moment: what the exporter and ``securechat-server status`` show."""

from __future__ import annotations

import platform
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from securechat import __version__
from securechat.server.store_thread import StoreFigures
from securechat.server.telemetry.cluster_figures import ClusterFigures, cluster_figures
from securechat.server.telemetry.health import ThreadHealth
from securechat.server.telemetry.rates import Passed

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["Figures", "LoginCount", "Versions", "figures"]


@dataclass(frozen=True, slots=True)
class Versions:
    """Of what runs."""

    securechat: str = __version__
    python: str = platform.python_version()
    openssl: str = ssl.OPENSSL_VERSION


@dataclass(frozen=True, slots=True)
class LoginCount:
    """How many tries to log in by ``mechanism`` ended as ``result`` (a ``LoginResult``)."""

    mechanism: str
    result: str
    count: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it, since the relay was started where it counts something. Immutable.

    ``dataclasses.asdict`` makes what ``json`` takes. ``started_s`` is in seconds since 1970 UTC;
    ``queue_bytes`` wait for clients to read them; ``tunnels`` were granted and are not over;
    ``certificate_days_left`` is below 0 when it has expired. Where several relays are one chat,
    ``users``, ``rooms`` and ``accounts`` are of the chat, the rest is of this relay; ``cluster``
    tells of the others. ``problems`` are lines for a person, those of ``Health.problems`` and what
    keeps the relay from the others.
    """

    versions: Versions
    started_s: float
    uptime_s: float
    sessions: int
    users: int
    rooms: int
    accounts: int
    queue_bytes: int
    passed: Passed
    per_second: Passed
    sendq_kills: int
    handshake_failures: dict[str, int]
    mishaps: dict[str, int]
    logins: tuple[LoginCount, ...]
    store: StoreFigures
    history_lost: int
    tunnels: int
    tunnel_bytes: int
    certificate_days_left: int
    threads: tuple[ThreadHealth, ...]
    cluster: ClusterFigures | None
    problems: tuple[str, ...]


def figures(services: Services) -> Figures:
    """Return the figures of this moment.

    Safe from any thread that holds no lock; takes the network lock for an instant. With ten
    thousand sessions it takes some milliseconds: for who asks every few seconds.
    """
    now_s = services.wall_clock()
    started_s = services.started_ms / 1000
    health, tunnels = services.health, services.tunnels.snapshot()
    sessions = services.registry.snapshot()
    with services.lock:
        network = services.network
        users, rooms, accounts = len(network.users), len(network.channels), len(network.accounts)
    logins = services.counters.logins().items()
    cluster = cluster_figures(services)
    isolation = cluster.problems if cluster is not None else []
    return Figures(
        versions=Versions(),
        started_s=started_s,
        uptime_s=now_s - started_s,
        sessions=len(sessions),
        users=users,
        rooms=rooms,
        accounts=accounts,
        queue_bytes=sum(session.connection.queued_bytes for session in sessions),
        passed=health.passed(),
        per_second=health.rates.per_second(),
        sendq_kills=health.overflows(),
        handshake_failures=health.handshake_failures(),
        mishaps={mishap.value: count for mishap, count in services.counters.mishaps().items()},
        logins=tuple(
            LoginCount(mechanism, result.value, count) for (mechanism, result), count in logins
        ),
        store=services.store.figures(),
        history_lost=services.history.lost,
        tunnels=tunnels.tunnels,
        tunnel_bytes=tunnels.bytes,
        certificate_days_left=services.certificate().days_left(datetime.fromtimestamp(now_s, UTC)),
        threads=tuple(health.threads()),
        cluster=cluster,
        problems=(*health.problems(), *isolation),
    )
