"""Checks of the machine: addresses, open files, memory, clock, what is installed."""

from __future__ import annotations

import contextlib
import errno
import platform
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from securechat import __version__
from securechat.errors import NetworkError
from securechat.net.listener import Listener, format_address
from securechat.server.administration.certificate_checks import configured_certificate
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Finding, ok, problem, warning
from securechat.server.administration.store_checks import newest_message_ms
from securechat.server.config import Config
from securechat.server.names import UNICODE_EXTRA, unicode_available
from securechat.server.telemetry.exporter import METRICS_EXTRA
from securechat.store.postgres_url import CLUSTER_EXTRA

__all__ = [
    "available_kib",
    "check_addresses",
    "check_clock",
    "check_descriptors",
    "check_extras",
    "check_memory",
    "check_versions",
]

_OTHER_FILES: Final = 100
"""Files that are open besides connections: database, log, listening sockets, selectors."""

_HASHES_AT_ONCE: Final = 2
"""Passwords that are hashed at a time: one on each thread of ``HashWorkers``."""

_FIRST_YEAR: Final = 2025
"""Of this program: a clock that is before it has never been set."""

_CLOCK_TOLERANCE_MS: Final = 60_000
"""By how much the newest message may be of later than now, in milliseconds: a clock that is being
kept right goes back by less."""

_OPENSSL: Final = (3, 0)
"""The oldest that gets corrections, and has all that is asked of it."""

_MEMINFO: Final = Path("/proc/meminfo")
_MEMORY_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


def check_addresses(desk: Desk) -> Iterator[Finding]:
    """Check that the relay can listen where it should."""
    if desk.relay is not None:
        relay = desk.relay
        listening = (*relay.addresses, *relay.websocket_addresses, *relay.metrics_addresses)
        yield ok(f"the relay listens on {_list(listening)}")
        return
    addresses = _addresses(desk.config)
    problems = []
    with contextlib.ExitStack() as opened:  # all at once: one must not be in another's way
        for address in addresses:
            try:
                listener = Listener([address], lambda sock, host: sock.close())
            except NetworkError as error:
                problems.append(problem(str(error), _advice(error)))
            else:
                opened.callback(listener.stop)
    yield from problems or [ok(f"{_list(addresses)}: free")]


def _addresses(config: Config) -> tuple[tuple[str, int], ...]:
    return (*config.server.listen, *config.websocket.listen, *config.metrics.listen)


def _list(addresses: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(format_address(*address) for address in addresses)


def _advice(error: NetworkError) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno == errno.EACCES:
        return "In a unit of systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE"
    return ""


def check_descriptors(desk: Desk) -> Iterator[Finding]:
    """Check that there can be as many open files as connections are allowed."""
    try:
        import resource
    except ImportError:  # Windows, which knows no such limit
        yield ok("this system has no limit of them")
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = desk.config.limits.connections
    if most != resource.RLIM_INFINITY and most < connections + _OTHER_FILES:
        yield warning(
            f"there may be {most:,}, but {connections:,} connections are allowed",
            "LimitNOFILE= in a unit of systemd, ulimit -Hn elsewhere; or [limits] connections",
        )
    else:
        yield ok(f"enough for {connections:,} connections")


def check_memory(desk: Desk) -> Iterator[Finding]:
    """Check that there is the memory to hash passwords."""
    need, there = desk.config.accounts.argon2_memory_kib * _HASHES_AT_ONCE, available_kib()
    if there is None:
        yield ok("how much is free is not known on this system")
    elif there < need:
        yield problem(
            f"{there >> 10:,} MiB are free, but to hash passwords needs {need >> 10:,} MiB",
            "[accounts] argon2_memory_kib",
        )
    else:
        yield ok(f"{there >> 10:,} MiB are free")


def available_kib() -> int | None:
    """Return how much memory this process may still use, in KiB; ``None`` if that is not known."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        found.append(int(lines.get("MemAvailable", "").split()[0]))
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: there is no limit
        found.append(int(_MEMORY_LIMIT.read_text()) // 1024)
    return min(found, default=None)


def check_clock(desk: Desk) -> Iterator[Finding]:
    """Check that the clock is not before what has been already."""
    now, advice = desk.now(), "Set the clock, and have it kept right (NTP)"
    certificate = configured_certificate(desk.config)
    newest_ms = newest_message_ms(desk)
    if now.year < _FIRST_YEAR:
        yield problem(f"it says {now:%Y-%m-%d}", advice)
    elif certificate is not None and now < certificate.not_valid_before_utc:
        start = certificate.not_valid_before_utc
        yield problem(
            f"it says {now:%Y-%m-%d %H:%M} UTC, but the certificate is valid only from "
            f"{start:%Y-%m-%d %H:%M} UTC",
            advice,
        )
    elif newest_ms is not None and newest_ms > desk.now_ms() + _CLOCK_TOLERANCE_MS:
        newest = datetime.fromtimestamp(newest_ms / 1000, UTC)
        yield problem(
            f"it says {now:%Y-%m-%d %H:%M} UTC, but the newest message is of "
            f"{newest:%Y-%m-%d %H:%M} UTC: the history is out of order",
            advice,
        )
    else:
        yield ok(f"it says {now:%Y-%m-%d %H:%M} UTC")


def check_versions(desk: Desk) -> Iterator[Finding]:
    """Check that OpenSSL is not too old."""
    if ssl.OPENSSL_VERSION_INFO < _OPENSSL:
        yield problem(f"{ssl.OPENSSL_VERSION} gets no corrections any more", "Use a newer Python")
    else:
        python = platform.python_version()
        yield ok(f"securechat {__version__}, Python {python}, {ssl.OPENSSL_VERSION}")


def check_extras(desk: Desk) -> Iterator[Finding]:
    """Check that what the configuration needs is installed."""
    config, missing = desk.config, []
    if config.metrics.listen and find_spec("prometheus_client") is None:
        missing.append(problem("[metrics] listen needs what is not installed", METRICS_EXTRA))
    if config.cluster.nats and find_spec("nats") is None:
        missing.append(problem("[cluster] nats needs what is not installed", CLUSTER_EXTRA))
    if config.server.casemapping == "precis" and not unicode_available():
        missing.append(problem("[server] casemapping needs what is not installed", UNICODE_EXTRA))
    yield from missing or [ok("all that the configuration needs is there")]
