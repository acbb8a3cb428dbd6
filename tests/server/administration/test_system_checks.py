"""What is found of the machine."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from securechat.server.administration import system_checks
from securechat.server.administration.desk import Desk
from securechat.server.config import Config
from tests.server.administration.checked_files import (
    NOW,
    change,
    found,
    make_certificate,
    make_database,
    one,
)


def test_a_taken_port(config: Config) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        listen = (("127.0.0.1", port),)
        line = one(system_checks.check_addresses, change(config, metrics={"listen": listen}))
    assert line.startswith(f"problem cannot listen on 127.0.0.1:{port}: the port is taken")
    assert one(system_checks.check_addresses, change(config, server={"listen": listen})) == (
        f"ok 127.0.0.1:{port}: free. "
    )


def test_an_address_that_is_given_twice(config: Config) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        listen = (free.getsockname(),)
    changed = change(config, server={"listen": listen}, websocket={"listen": listen})
    assert one(system_checks.check_addresses, changed).startswith("problem cannot listen on ")


def test_an_address_of_another_machine(config: Config) -> None:
    changed = change(config, server={"listen": (("192.0.2.7", 6697),)})
    line = one(system_checks.check_addresses, changed)
    assert line.startswith("problem cannot listen on 192.0.2.7:6697: this machine has no such")


def test_a_port_that_needs_rights(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(sock: socket.socket, address: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)  # who runs this may have the rights
    line = one(system_checks.check_addresses, config)
    assert line.startswith("problem cannot listen on 127.0.0.1:0: not allowed")
    assert line.endswith("AmbientCapabilities=CAP_NET_BIND_SERVICE")


@pytest.mark.parametrize(
    ("meminfo", "limit", "level"),
    [
        ("MemTotal: 9 kB\nMemAvailable:   40000 kB\n", "max", "ok"),
        ("MemTotal: 9 kB\nMemAvailable:   38000 kB\n", "max", "problem"),
        ("MemTotal: 9 kB\nMemAvailable:   40000 kB\n", "20000000", "problem"),
        ("MemTotal: 9 kB\n", "max", "ok how much is free is not known"),
        (None, None, "ok how much is free is not known"),
    ],
)
def test_memory(
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    meminfo: str | None,
    limit: str | None,
    level: str,
) -> None:
    """Two hashes of 19,456 KiB each."""
    for name, text in (("_MEMINFO", meminfo), ("_MEMORY_LIMIT", limit)):
        monkeypatch.setattr(system_checks, name, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    assert one(system_checks.check_memory, config).startswith(level)


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(Desk, "now", lambda self: moment)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (NOW, "ok it says "),
        (NOW - timedelta(hours=2), "problem it says {}, but the certificate is valid only from"),
        (datetime(1970, 1, 2, tzinfo=UTC), "problem it says 1970-01-02. Set the clock"),
    ],
)
def test_the_clock(
    config: Config, monkeypatch: pytest.MonkeyPatch, moment: datetime, expected: str
) -> None:
    make_certificate(config)
    at(monkeypatch, moment)
    line = one(system_checks.check_clock, config)
    assert line.startswith(expected.format(f"{moment:%Y-%m-%d %H:%M} UTC"))


def test_a_clock_before_the_newest_message(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    make_database(config)
    at(monkeypatch, NOW - timedelta(seconds=59))
    assert one(system_checks.check_clock, config).startswith("ok ")
    at(monkeypatch, NOW - timedelta(seconds=61))
    assert "but the newest message is of" in one(system_checks.check_clock, config)


def test_an_old_openssl(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(system_checks.check_versions, config).startswith("ok securechat ")
    monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (1, 1, 1, 23, 15))
    assert one(system_checks.check_versions, config).startswith("problem OpenSSL ")


def test_extras_that_are_not_installed(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = change(config, metrics={"listen": (("::1", 0),)}, server={"casemapping": "precis"})
    monkeypatch.setattr(system_checks, "find_spec", lambda name: None)
    monkeypatch.setattr(system_checks, "unicode_available", lambda: False)
    lines = found(system_checks.check_extras, changed)
    assert [line.rpartition(". ")[2] for line in lines] == [
        'pip install "securechat[metrics]"',
        'pip install "securechat[unicode]"',
    ]
    assert one(system_checks.check_extras, config).startswith("ok ")
