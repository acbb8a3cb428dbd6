"""What CI does where it has not the programs that tests run: apt if it may, and never a failure."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "install-programs"
PACKAGES = (
    "irssi weechat-headless weechat-plugins iproute2 nftables tmux systemd nats-server postgresql"
)
PROGRAMS = {
    "irssi",
    "weechat-headless",
    "ip",
    "nft",
    "tmux",
    "systemd-analyze",
    "nats-server",
    "pg_ctlcluster",
}

Stub = Callable[[str, str], None]


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    """Makes a program, in a folder where there are only those that the script needs."""
    for name in ("env", "tail", "timeout"):
        path = shutil.which(name)
        assert path is not None
        (tmp_path / name).symlink_to(path)

    def make(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return make


def run(folder: Path) -> str:
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, str(SCRIPT)],
        env=dict(os.environ) | {"PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not done.stderr
    return done.stdout


def test_nothing_is_done_where_they_are(tmp_path: Path, stub: Stub) -> None:
    for program in PROGRAMS:
        stub(program, "")
    stub("apt-get", "echo called >&2")
    assert run(tmp_path) == ""


def test_only_what_is_missing_is_installed(tmp_path: Path, stub: Stub) -> None:
    configured = tmp_path / "configured"
    for program in PROGRAMS - {"nft"}:
        stub(program, "")
    stub("id", "echo 0")
    stub("apt-get", "")
    stub("install", f": > {configured}")
    assert run(tmp_path) == "installing nftables\n"
    assert not configured.exists()


def test_postgresql_comes_without_a_database(tmp_path: Path, stub: Stub) -> None:
    calls = tmp_path / "calls"
    for program in PROGRAMS - {"pg_ctlcluster"}:
        stub(program, "")
    stub("id", "echo 0")
    stub("install", f'read -r line; echo "$5: $line" >> {calls}')
    stub("apt-get", f"echo apt-get >> {calls}")
    assert run(tmp_path) == "installing postgresql\n"
    assert calls.read_text().splitlines() == [
        "/etc/postgresql-common/createcluster.d/no-main-cluster.conf: create_main_cluster = false",
        "apt-get",
    ]


@pytest.mark.usefixtures("stub")
def test_no_apt(tmp_path: Path) -> None:
    assert run(tmp_path) == f"not installed: {PACKAGES} (there is no apt-get)\n"


def test_neither_root_nor_sudo(tmp_path: Path, stub: Stub) -> None:
    stub("apt-get", "echo called >&2")
    stub("id", "echo 1000")
    stub("sudo", "echo a password is required >&2; exit 1")
    reason = "neither root nor sudo without a password"
    assert run(tmp_path) == f"not installed: {PACKAGES} ({reason})\n"


def test_apt_fails(tmp_path: Path, stub: Stub) -> None:
    stub("id", "echo 0")
    stub("apt-get", "echo E: Unable to locate package irssi; exit 100")
    assert run(tmp_path).splitlines() == [
        f"installing {PACKAGES}",
        f"not installed: {PACKAGES} (apt-get: E: Unable to locate package irssi)",
    ]


def test_apt_needs_its_lists_first(tmp_path: Path, stub: Stub) -> None:
    lists, calls = tmp_path / "lists", tmp_path / "calls"
    stub("id", "echo 1000")
    stub("sudo", 'shift; [ "$1" = true ] || "$@"')
    stub(
        "apt-get",
        f'echo "$*" >> {calls}\ncase "$*" in *update) : > {lists} ;; *) [ -e {lists} ] ;; esac',
    )
    assert run(tmp_path) == f"installing {PACKAGES}\n"
    install = f"install --yes --no-install-recommends {PACKAGES}"
    ends = [line.partition("https::Timeout=20 ")[2] for line in calls.read_text().splitlines()]
    assert ends == [install, "update", install]
