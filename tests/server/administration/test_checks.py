"""``securechat-server check``: the command. What each check finds is in the tests of its module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import securechat
from securechat.errors import ConfigError, StoreError
from securechat.server.administration import checks
from securechat.server.administration.console import run_tool
from securechat.server.administration.desk import Desk, desk_on_files
from securechat.server.config import Config
from tests.server.administration.checked_files import make_certificate, make_database, posix_only
from tests.server.administration.command_line import parse
from tests.server.relay_harness import RunningRelay


def run(config: Config, *words: str) -> int:
    options = parse(checks.TOOLS, "check", *words)
    return run_tool(options.tool, options, config)


def test_all_is_well(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    make_certificate(config)
    make_database(config)
    before = sorted(config.store.path.parent.iterdir())
    assert run(config) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok       ") for line in lines[:-1]), lines
    assert lines[-1] == "problems: 0, warnings: 0"
    assert {line[9:].partition(":")[0] for line in lines[:-1]} == {"configuration", *checks.CHECKS}
    assert sorted(config.store.path.parent.iterdir()) == before, "nothing is left behind"


def test_before_the_first_start(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the certificate is missing, and that is said once."""
    assert run(config) == 1
    lines = capsys.readouterr().out.splitlines()
    (problem,) = [line for line in lines if line.startswith("problem ")]
    assert problem.endswith("securechat-server cert make makes a certificate and its key")
    assert lines[-1] == "problems: 1, warnings: 0"
    assert not config.store.path.exists()


def test_json_and_the_file_of_the_configuration(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "relay.toml"
    file.touch(mode=0o600)
    run(config, "--json", "--config", str(file))
    first = json.loads(capsys.readouterr().out)[0]
    assert first == {
        "what": "configuration",
        "level": "ok",
        "finding": f"{file} can be used",
        "advice": "",
    }


def test_a_check_that_cannot_be_made_is_a_problem(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(desk: Desk) -> Any:
        raise StoreError("the disk is on fire")

    monkeypatch.setattr(checks, "CHECKS", {"disk": refuse})
    assert run(config) == 1
    assert "problem  disk: the disk is on fire\n" in capsys.readouterr().out


def test_arguments_that_no_console_makes(config: Config) -> None:
    with desk_on_files(config) as desk, pytest.raises(ConfigError):
        checks.TOOLS[0].work(desk, {"file": 1})


@posix_only
def test_a_running_relay_looks_itself(
    relay: RunningRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    relay.config.store.path.parent.chmod(0o700)
    relay.config.tls.key.chmod(0o600)
    relay.join("alice")
    code = run(relay.config)
    lines = capsys.readouterr().out.splitlines()
    assert code == 0, lines
    assert "ok       relay: it runs, and all its threads answer" in lines
    host, port = relay.address
    assert f"ok       addresses: the relay listens on {host}:{port}" in lines


@posix_only
def test_a_limit_of_the_caller(config: Config, tmp_path: Path) -> None:
    """As a whole program, which has few open files."""
    make_certificate(config)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150));"
        "from securechat.server.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", script, "--listen", "127.0.0.1:0"),
            *("--cert", str(config.tls.certificate), "--key", str(config.tls.key)),
            *("--data", str(tmp_path / "data"), "check"),
        ],
        env=os.environ | {"PYTHONPATH": str(Path(securechat.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "warning  open files: there may be 150, but 16,000 connections are" in done.stdout
    assert done.returncode == 0, done.stderr
