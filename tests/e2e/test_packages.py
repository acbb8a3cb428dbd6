"""What is built is what a stranger gets: sdist and wheel, installed where nothing else is, and run.

One test, for its parts need each other, and building takes the most of it.
"""

from __future__ import annotations

import email.message
import email.parser
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.e2e.children import ROOT, TIMEOUT_S, RelayProcess, run_relay
from tests.server.relay_harness import Client

PACKAGE = ROOT / "securechat"

BUILD_TIMEOUT_S = 10 * TIMEOUT_S
"""A slow network may be in it."""

NEEDED = ("LICENSE", "README.md", "pyproject.toml", "securechat")
"""What of the project a package is built from."""


PIP = (sys.executable, "-m", "pip")
QUICKLY = ("--quiet", "--no-compile", "--disable-pip-version-check")


def run(*command: str | Path, path: Path | None = None, timeout: float = TIMEOUT_S) -> str:
    """Run a program as a stranger would, who has no checkout; return what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        env=environment | ({"PYTHONPATH": str(path)} if path is not None else {}),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fetch_builders(folder: Path) -> None:
    """Get what builds the packages; skip where the index cannot be reached."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    done = subprocess.run(
        [*PIP, "install", *QUICKLY, "--target", folder, *project["build-system"]["requires"]],
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip()}")


def build(folder: Path) -> tuple[Path, Path]:
    """Build sdist and wheel of a copy, in which nothing of an earlier build lies about."""
    copy, builders = folder / "copy", folder / "builders"
    fetch_builders(builders)
    copy.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy / name)
    # What is fetched once need not be fetched for the sdist and again for the wheel.
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, copy)
    run(*command, path=builders)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def check_files(sdist: Path, wheel: Path) -> email.message.Message:
    """Check that all of the package is in both, and nothing else; return the metadata."""
    package = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        assert {name for name in names if not name.startswith(f"{about}/")} == package
        assert f"{about}/licenses/LICENSE" in names
        metadata = archive.read(f"{about}/METADATA").decode()
    with tarfile.open(sdist) as archive:
        within = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {*package, "LICENSE", "README.md", "pyproject.toml"} <= within
    return email.parser.Parser().parsestr(metadata)


def check_metadata(metadata: email.message.Message) -> None:
    """Check what an index shows of it."""
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert metadata["Requires-Python"] == ">=3.11"


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel where nothing else is; return the folder of its programs."""
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    run(*PIP, "--python", python, "install", *QUICKLY, wheel, timeout=BUILD_TIMEOUT_S)
    where = "import securechat; print(securechat.__file__)"
    assert Path(run(python, "-c", where)).is_relative_to(folder)
    return programs


def chat(program: Path, relay: RelayProcess) -> None:
    """Talk with somebody who has the client that is installed, through its pipes."""
    context = ssl.create_default_context(cafile=relay.ca)
    context.set_alpn_protocols(["irc"])
    sock = socket.create_connection(("127.0.0.1", relay.port), timeout=TIMEOUT_S)
    bob = Client(context.wrap_socket(sock, server_hostname="localhost")).register("bob")
    bob.ask("JOIN #den")
    flags = ("--plain", "--ca", relay.ca, "--port", str(relay.port))
    alice = subprocess.Popen(
        [program, *flags, "--nick", "alice", "--join", "#den"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    with alice:
        try:
            assert bob.expect("JOIN").nick == "alice"
            bob.ask("PRIVMSG #den :are you there?")
            printed, complaints = alice.communicate("yes, from a wheel\n", TIMEOUT_S)
        finally:
            alice.kill()
    assert (alice.returncode, complaints) == (0, "")
    assert "<bob> are you there?" in printed
    assert bob.expect("PRIVMSG").params == ("#den", "yes, from a wheel")
    bob.quit()


@pytest.mark.skipif(os.name != "posix", reason="the relay is stopped by a signal")
def test_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    sdist, wheel = build(tmp_path)
    check_metadata(check_files(sdist, wheel))
    programs = install(wheel, tmp_path / "venv")
    server, client = programs / "securechat-server", programs / "securechat-client"

    certs, data = tmp_path / "certs", tmp_path / "data"
    ca, files = (
        certs / "ca.pem",
        ("--cert", certs / "server.pem", "--key", certs / "server-key.pem"),
    )
    made = run(server, *files, "cert", "make", "--host", "localhost", "--host", "127.0.0.1")
    assert f"made {ca}" in made
    assert "HEALTHCHECK" in run(server, "containerfile"), "data that comes with it is found"

    with run_relay(ca, data, command=[str(server)]) as relay:
        chat(client, relay)
        assert "runs since" in run(server, "--data", data, "status")
        assert relay.stop() == 0
