"""The relay that is measured: one started for it, and what Linux knows about its process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import securechat
from benchmark.crowd import LoadError
from securechat import pki

__all__ = [
    "SENDQ_BYTES",
    "STOP_TIMEOUT_S",
    "cpu_s",
    "memory_bytes",
    "prepare_relay",
    "running",
    "running_relay",
    "settled_memory_bytes",
    "start_relay",
    "wait_for_port",
]

READY_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10.0
"""A relay that has not stopped by then is killed; it says goodbye to 10,000 clients first."""

QUIET_S: Final = 0.3
QUIET_TIMEOUT_S: Final = 10.0
_BUSY: Final = 0.02

SENDQ_BYTES: Final = 67_108_864
"""What may wait for one client: more than any load that reads lets come together."""

# A process that waits for what it has not been given cannot be measured: no flood limits, and no
# PING between the messages that are counted.
_LIMITS: Final = {
    "connections": 1_000_000,
    "commands_per_s": 0,
    "input_queue_bytes": 16_777_216,
    "handshake_timeout_s": 60,
    "registration_timeout_s": 600,
    "ping_interval_s": 3600,
    "ping_timeout_s": 3600,
}

_AS_USUAL: Final[Mapping[str, Mapping[str, object]]] = {}

_START: Final = "import sys; from securechat.server.cli import main; sys.exit(main())"


@contextlib.contextmanager
def running_relay(
    folder: Path,
    tls: str,
    *,
    sendq_bytes: int = SENDQ_BYTES,
    settings: Mapping[str, Mapping[str, object]] = _AS_USUAL,
) -> Iterator[tuple[int, int, Path]]:
    """A relay of this checkout with its files in ``folder``: its pid, its port, its CA's file.

    It stops when the block is left. ``LoadError`` if it does not start.

    :param settings: as ``prepare_relay`` takes them.
    """
    config = prepare_relay(folder, tls, sendq_bytes=sendq_bytes, settings=settings)
    with running(config) as process:
        yield process.pid, wait_for_port(process, config), pki.ca_files(folder).certificate


@contextlib.contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A relay that stops when the block is left; ``LoadError`` if it has ended before."""
    process = start_relay(config)
    try:
        yield process
        if process.poll() is not None:
            raise LoadError(f"the relay ended with exit code {process.returncode}: {_last(config)}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def prepare_relay(
    folder: Path,
    tls: str,
    *,
    sendq_bytes: int = SENDQ_BYTES,
    settings: Mapping[str, Mapping[str, object]] = _AS_USUAL,
) -> Path:
    """Make what a relay with its files in ``folder`` needs; return its configuration file.

    :param settings: by section, instead of or beside those that all relays of this program have;
        ``None`` for one of these that there is not to be.
    """
    pki.provision(folder, pki.Request(), now=datetime.now(UTC).replace(microsecond=0))
    config = folder / "relay.toml"
    config.write_text(_config(folder, tls, sendq_bytes, settings), encoding="utf-8")
    return config


def start_relay(config: Path) -> subprocess.Popen[bytes]:
    """Start a relay of this checkout; its log begins anew. Whoever starts it ends it."""
    package = str(Path(securechat.__file__).parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    with _log(config).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START, "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=config.parent,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            process_group=0,  # Ctrl-C is ours to answer
        )


def wait_for_port(
    process: subprocess.Popen[bytes],
    config: Path,
    what: str = "",
    timeout_s: float = READY_TIMEOUT_S,
) -> int:
    """Return the port on which a relay listens; ``LoadError`` if it ends, or is not there in time.

    :param what: for what, as the log says it; usually nothing, which is IRC.
    """
    pattern = re.compile(rb"listening on 127\.0\.0\.1:(\d+)%s\n" % re.escape(what).encode())
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        code = process.poll()
        found = pattern.search(_log(config).read_bytes())
        if code is not None:
            raise LoadError(f"the relay ended with exit code {code}: {_last(config)}")
        if found is not None:
            return int(found[1])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise LoadError(f"the relay did not start to listen in {timeout_s:.0f} s")


def cpu_s(pid: int) -> float:
    """Processor time of all threads of a process until now, in seconds.

    It is what ``clock_getcpuclockid(3)`` is for, which Python does not offer; the kernel makes the
    number of the clock like this. /proc/PID/stat says the same, but in steps of 10 ms.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as error:
        raise LoadError(f"there is no process {pid} any more") from error


def settled_memory_bytes(pid: int) -> int:
    """The resident memory of a process, once it is idle."""
    end = time.monotonic() + QUIET_TIMEOUT_S
    while time.monotonic() < end:
        before = cpu_s(pid)
        time.sleep(QUIET_S)
        if cpu_s(pid) - before < _BUSY * QUIET_S:
            break
    return memory_bytes(pid)


def memory_bytes(pid: int) -> int:
    """The resident memory of a process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError as error:
        raise LoadError(f"there is no process {pid} any more") from error
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise LoadError(f"/proc/{pid}/status says nothing of memory")
    return int(found[1]) * 1024


def _config(
    folder: Path, tls: str, sendq_bytes: int, settings: Mapping[str, Mapping[str, object]]
) -> str:
    files = pki.server_files(folder)
    sections: dict[str, dict[str, object]] = {
        "server": {"listen": ["127.0.0.1:0"]},
        "tls": {
            "certificate": str(files.certificate),
            "key": str(files.key),
            "minimum_version": tls,
        },
        "accounts": {"registration": "open", "required": False},
        "store": {"path": str(folder / "relay.db")},
        "peers": {"tunnel_bytes_per_s": 0},
        "limits": {**_LIMITS, "sendq_bytes": sendq_bytes},
    }
    for section, given in settings.items():
        sections[section] = {**sections.get(section, {}), **given}
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        # What JSON and TOML write alike: strings, numbers, lists, true and false.
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in values.items()
            if value is not None
        ]
    return "\n".join(lines) + "\n"


def _log(config: Path) -> Path:
    return config.with_name("relay.log")


def _last(config: Path) -> str:
    lines = _log(config).read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
