"""``securechat-server status`` and ``reload``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securechat import __version__
from securechat.errors import ConfigError, SecureChatError
from securechat.server.administration import status, store_checks
from securechat.server.administration.console import run_tool
from securechat.server.config import Config, StoreConfig
from securechat.server.snapshot import digest
from securechat.store.postgres_url import parse_postgres_url
from tests.server.administration.command_line import parse
from tests.server.conftest import StartRelay
from tests.server.relay_harness import WALL_S, FakeClock, RunningRelay

posix_only = pytest.mark.skipif(os.name != "posix", reason="there are no Unix sockets")


def run(config: Config, *words: str) -> int:
    options = parse(status.TOOLS, *words)
    return run_tool(options.tool, options, config)


def told(config: Config, capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert run(config, "status", "--json") == code
    return json.loads(capsys.readouterr().out)


@posix_only
@pytest.mark.parametrize(
    ("days", "said"),
    [(14, []), (13, ["it ends in 13 days"]), (-1, ["it HAS EXPIRED, no client connects"])],
)
def test_the_end_of_the_certificate_is_warned_of(
    start_relay: StartRelay, capsys: pytest.CaptureFixture[str], days: int, said: list[str]
) -> None:
    clock = FakeClock(WALL_S)
    relay = start_relay(wall_clock=clock)
    clock.now = relay.relay.certificate.not_after.timestamp() - days * 86_400
    found = told(relay.config, capsys)
    assert found["certificate_days_left"] == days
    advice = "renew it: securechat-server cert renew"
    assert found["problems"] == [f"the certificate: {text}; {advice}" for text in said]


@posix_only
def test_a_relay_that_runs(start_relay: StartRelay, capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock(WALL_S)
    relay = start_relay(
        wall_clock=clock, websocket={"listen": (("127.0.0.1", 0),), "origins": ("*",)}
    )
    relay.account("alice").ask("JOIN #den", "PRIVMSG #den :hello")
    relay.join("bob")
    clock.now += 93_784
    found = told(relay.config, capsys)
    expected = {
        "running": True,
        "pid": os.getpid(),
        "users": 2,
        "sessions": 2,
        "accounts": 1,
        "rooms": 1,
        "uptime_s": 93_784.0,
        "problems": [],
    }
    assert {key: found[key] for key in expected} == expected
    assert found["versions"]["securechat"] == __version__
    assert found["listen"]["irc"] == ["{}:{}".format(*relay.address)]
    assert found["database"]["bytes"] > 4096
    assert found["store"]["failures"] == 0

    assert run(relay.config, "status") == 0
    text = capsys.readouterr().out
    for part in (
        "runs since 2023-11-14 22:13 UTC, for 1 day, 2:03:04 (process ",
        f"versions      securechat {__version__}, Python ",
        "listens on    127.0.0.1:",
        "WebSocket on  127.0.0.1:",
        " days are left",
        "people        2 in 1 rooms, 2 devices",
        "each second   ",
        " commits, ",
    ):
        assert part in text


@posix_only
def test_what_is_wrong_is_told(
    relay: RunningRelay, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_checks, "_DISK_LEAST_BYTES", 1 << 70)
    stuck = "io-1 has not answered for 12 s"
    relay.relay.services.health.problems = lambda: [stuck]  # type: ignore[method-assign]
    assert run(relay.config, "status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"problem      {stuck}" in lines
    assert any(line.startswith("problem      only ") for line in lines)


def test_no_relay_runs(start_relay: StartRelay, capsys: pytest.CaptureFixture[str]) -> None:
    relay = start_relay()
    relay.account("alice")
    relay.stop()
    assert told(relay.config, capsys, status.NOT_RUNNING)["database"]["accounts"] == 1
    assert run(relay.config, "status") == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["relay     none runs", f"database  {relay.config.store.path}"]
    assert lines[2].endswith(" MB, 1 accounts, 0 messages")


def test_there_is_no_database_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(store=StoreConfig(path=tmp_path / "data" / "relay.db"))
    assert run(config, "status") == status.NOT_RUNNING
    assert capsys.readouterr().out.splitlines()[-1] == "          does not exist yet"
    assert list(tmp_path.iterdir()) == [], "and none is made"


def test_the_database_is_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], postgres_url: str
) -> None:
    url = parse_postgres_url(postgres_url)
    config = Config(store=StoreConfig(path=tmp_path / "relay.db", url=url))
    shown = {"path": str(url), "accounts": 0, "messages": 0}
    assert told(config, capsys, status.NOT_RUNNING)["database"] == shown
    assert run(config, "status") == status.NOT_RUNNING
    assert capsys.readouterr().out.splitlines() == [
        "relay     none runs",
        f"database  {url}",
        "          0 accounts, 0 messages",
    ]


def test_a_server_that_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = parse_postgres_url("postgresql://relay:secret@127.0.0.1:1/chat")
    config = Config(store=StoreConfig(path=tmp_path / "relay.db", url=url))
    found = told(config, capsys, status.NOT_RUNNING)
    assert found["database"] == {"path": "postgresql://relay@127.0.0.1:1/chat"}
    (problem,) = found["problems"]
    assert problem.startswith("cannot read the database postgresql://relay@127.0.0.1:1/chat: ")
    assert "secret" not in problem


@posix_only
def test_the_digest_of_the_state(relay: RunningRelay, capsys: pytest.CaptureFixture[str]) -> None:
    relay.join("alice")
    assert run(relay.config, "status", "--json", "--digest") == 0
    first = json.loads(capsys.readouterr().out)["state"]
    services = relay.relay.services
    with services.lock:
        assert first == {"event": 0, "digest": digest(services.network)}
    relay.join("bob")
    assert run(relay.config, "status", "--digest") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("state "))
    assert line.endswith(" at event 0")
    assert first["digest"] not in line


# ---- reload ----


@posix_only
def test_reload(start_relay: StartRelay, capsys: pytest.CaptureFixture[str]) -> None:
    wanted: list[Config] = []
    relay = start_relay(load_config=lambda: wanted[0])
    changes = {"motd": "new", "network": "Other"}
    wanted.append(replace(relay.config, server=replace(relay.config.server, **changes)))
    assert run(relay.config, "reload") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["taken: [server] motd", "not before a restart: [server] network"]
    assert relay.relay.services.config.server.motd == "new"


@posix_only
def test_a_configuration_that_cannot_be_used(start_relay: StartRelay) -> None:
    def broken() -> Config:
        raise ConfigError(["one", "two"])

    relay = start_relay(load_config=broken)
    with pytest.raises(ConfigError, match="one\ntwo"):
        run(relay.config, "reload")


def test_nothing_to_reload(tmp_path: Path) -> None:
    config = Config(store=StoreConfig(path=tmp_path / "relay.db"))
    with pytest.raises(SecureChatError, match="no relay runs with the database"):
        run(config, "reload")
