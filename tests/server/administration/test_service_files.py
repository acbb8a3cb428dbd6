"""The unit for systemd, the Containerfile and the dashboard: whether others can use them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from securechat.errors import ConfigError
from securechat.server.administration import service_files
from securechat.server.administration.console import run_tool
from securechat.server.cli import build_parser
from securechat.server.config import Config, LimitsConfig, StoreConfig
from tests.server.administration.command_line import parse

PROGRAM = "/opt/securechat/bin/securechat-server"
EXPOSURE = 2.0
"""What systemd-analyze may find at most, of 10."""

INSTRUCTIONS = {
    *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN"),
    *("SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
"""https://docs.docker.com/reference/dockerfile/, but for what is out of date."""

systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here"
)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    options = parse(service_files.TOOLS, *words)
    assert run_tool(options.tool, options, Config()) == 0
    return capsys.readouterr().out


@pytest.fixture
def unit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", [PROGRAM, "systemd-unit"])
    return printed(capsys, "systemd-unit")


def settings(unit: str) -> dict[str, str]:
    """Return the settings of a unit, without those that are given twice."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


def check_command(words: list[str]) -> None:
    """Check that our parser takes a command line."""
    assert words.pop(0).rpartition("/")[2] == "securechat-server"
    build_parser().parse_args(words)


# ---- the unit ----


def test_the_commands_of_the_unit(unit: str) -> None:
    found = settings(unit)
    for name in ("ExecStartPre", "ExecStart", "ExecReload"):
        assert found[name].startswith(f"{PROGRAM} --config /etc/securechat/securechat.toml ")
        check_command(found[name].split())
    folder = found["WorkingDirectory"]
    assert f"--data {folder}" in found["ExecStart"]
    assert folder == f"/var/lib/{found['StateDirectory']}"
    assert int(found["LimitNOFILE"]) > LimitsConfig().connections
    assert "2" in found["RestartPreventExitStatus"].split(), "a configuration that is wrong"


def test_the_commands_of_its_comment(unit: str) -> None:
    comment = "\n".join(line[2:] for line in unit.partition("[Unit]")[0].splitlines())
    lines = re.findall(r"^ +(securechat-server (?:.*\\\n)*.*)$", comment, re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        check_command(shlex.split(line.replace("\\\n", "").partition(" >")[0]))


@systemd
def test_systemd_finds_it_tight(unit: str, tmp_path: Path) -> None:
    file = tmp_path / "securechat.service"
    file.write_text(unit)
    done = analyze("security", "--offline=true", "--no-pager", str(file))
    found = re.search(r"exposure level for securechat.service: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"systemd-analyze security cannot work on a file here: {done.stderr}")
    assert float(found[1]) < EXPOSURE


@systemd
def test_systemd_understands_it(unit: str, tmp_path: Path) -> None:
    file = tmp_path / "securechat.service"
    file.write_text(unit.replace(PROGRAM, "/bin/true"))  # it looks whether that is there
    done = analyze("verify", "--man=no", str(file))
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze verify cannot work here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "")
    file.write_text(file.read_text() + "Nonsense=yes\n")
    assert "Nonsense" in analyze("verify", "--man=no", str(file)).stderr


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_program_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/lib/python3/securechat/server/cli.py"])
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    start = settings(printed(capsys, "systemd-unit"))["ExecStart"]
    assert start.startswith("/usr/bin/securechat-server --config")


def test_a_program_that_the_service_cannot_see(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/alice/.local/bin/securechat-server"])
    options = parse(service_files.TOOLS, "systemd-unit")
    run_tool(options.tool, options, Config())
    assert "the service cannot see /home/alice/.local/bin/securechat-server" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("folder", ["/opt/my chat", "/opt/100%", "/opt/$HOME", "/opt/a;b"])
def test_a_path_that_would_mean_something_else(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{folder}/securechat-server"])
    options = parse(service_files.TOOLS, "systemd-unit")
    with pytest.raises(ConfigError, match="cannot be written in a unit"):
        run_tool(options.tool, options, Config())


# ---- the Containerfile ----


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def test_the_containerfile(capsys: pytest.CaptureFixture[str]) -> None:
    found = instructions(printed(capsys, "containerfile"))
    assert {word for word, _ in found} <= INSTRUCTIONS
    assert found[0][0] == "FROM"
    rest = dict(found)
    assert rest["USER"] not in ("", "root", "0")
    assert rest["VOLUME"] == rest["WORKDIR"], "all that is written is kept"
    shell, flag, script = json.loads(rest["CMD"])
    assert (shell, flag) == ("sh", "-c")
    for command in script.split(" && "):
        words = shlex.split(command.removeprefix("exec "))
        check_command(words)
    assert f":{rest['EXPOSE']}" in script
    _, _, health = rest["HEALTHCHECK"].partition("CMD ")
    check_command(json.loads(health))


def test_the_commands_of_the_containerfiles_comment(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "containerfile")
    commands = re.findall(r"^#   podman exec securechat (.*)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        check_command(shlex.split(command))


# ---- the dashboard ----


def test_the_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    dashboard = json.loads(printed(capsys, "grafana-dashboard"))
    assert "securechat_sessions" in json.dumps(dashboard["panels"])


def test_no_file_is_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = Config(store=StoreConfig(path=tmp_path / "data" / "relay.db"))
    options = parse(service_files.TOOLS, "containerfile")
    run_tool(options.tool, options, config)
    assert list(tmp_path.iterdir()) == []
