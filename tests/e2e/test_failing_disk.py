"""A disk that is full, or may not be written: the chat goes on, and what follows from it is told.

A file system cannot be remounted read-only while files on it are open for writing: what an
administrator does by ``chattr +i``, and the kernel after an error of the disk, stand for that.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.children import ROOT, TIMEOUT_S, RelayProcess, run_relay, script
from tests.e2e.disks import EXT4, TMPFS, Disk, make_disk
from tests.e2e.real_clients import connect, register_account
from tests.server.relay_harness import NAME, Client, commands

CONFIG = f"""
[server]
name = "{NAME}"
[accounts]
argon2_memory_kib = 8192
argon2_iterations = 1
failures_per_minute = 0
[limits]
commands_per_s = 0
[metrics]
listen = ["127.0.0.1:0"]
"""

CAPS = (
    "echo-message",
    "standard-replies",
    "batch",
    "message-tags",
    "server-time",
    "draft/chathistory",
    "draft/metadata-2",
    "draft/read-marker",
)

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""

NOTHING_KEPT = "Nothing can be kept at the moment; try again later"


class Trouble:
    """Something that keeps a relay from writing to ``folder``, from ``begin`` to ``end``."""

    run: Sequence[str] = ()
    """What the relay, and what is done to its files, is run by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def database(self) -> str:
        return str(self.folder / "data" / "securechat.db")

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Leave nothing behind."""


class _OnDisk(Trouble):
    MOUNT = EXT4

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.disk: Disk = make_disk(folder, self.MOUNT)
        self.run = self.disk.command

    def close(self) -> None:
        self.disk.close()


class FullDisk(_OnDisk):
    MOUNT = TMPFS

    def begin(self) -> None:
        done = self.disk.run("sh", "-c", f"cat /dev/zero > {self.folder}/filler", check=False)
        assert "No space left on device" in done.stderr

    def end(self) -> None:
        self.disk.run("rm", f"{self.folder}/filler")


class WriteProtection(_OnDisk):
    def begin(self) -> None:
        self.disk.run("chattr", "+i", self.database, f"{self.database}-wal")

    def end(self) -> None:
        self.disk.run("chattr", "-i", self.database, f"{self.database}-wal")


class BrokenDisk(_OnDisk):
    """The kernel goes read-only over an error of the disk; only a new mount would end that."""

    def begin(self) -> None:
        self.disk.run("mount", "-o", "remount,abort", str(self.folder))


class LockedDatabase(Trouble):
    """Another program holds the lock for longer than anybody waits for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._holder: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        self._holder = subprocess.Popen(
            [sys.executable, "-c", LOCK, self.database],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "locked\n"

    def end(self) -> None:
        assert self._holder is not None
        self._holder.communicate(timeout=TIMEOUT_S)
        self._holder = None

    def close(self) -> None:
        if self._holder is not None:
            self.end()


class Place:
    """Where a relay runs that will have trouble, again and again."""

    def __init__(self, trouble: Trouble, ca: Path, config: Path) -> None:
        self.trouble = trouble
        self._ca = ca
        self._config = config
        self._data = trouble.folder / "data"

    @contextlib.contextmanager
    def relay(self) -> Iterator[RelayProcess]:
        # It waits for the lock of others as long as ever, but in tenths of the time.
        command = [*self.trouble.run, sys.executable, "-m", "tests.e2e.faulty_relay", "impatient"]
        flags = ("--config", str(self._config))
        with run_relay(self._ca, self._data, *flags, command=command) as running:
            yield running

    def tool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ``securechat-server`` for the relay."""
        flags = ("--config", str(self._config), "--data", str(self._data))
        return subprocess.run(
            [*self.trouble.run, script("securechat-server"), *flags, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=ROOT,
        )


@pytest.fixture
def make_place(ca: Path, tmp_path: Path) -> Iterator[Callable[[type[Trouble]], Place]]:
    config = tmp_path / "relay.toml"
    config.write_text(CONFIG)
    with contextlib.ExitStack() as stack:

        def make(kind: type[Trouble]) -> Place:
            trouble = stack.enter_context(contextlib.closing(kind(tmp_path / "disk")))
            return Place(trouble, ca, config)

        yield make


@contextlib.contextmanager
def people(relay: RelayProcess, *names: str) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [log_in(stack, relay, name) for name in names]


def log_in(stack: contextlib.ExitStack, relay: RelayProcess, name: str) -> Client:
    client = connect(relay)
    stack.callback(client.sock.close)
    client.request("sasl", *CAPS)
    assert "903" in commands(client.authenticate_plain(name))
    return client.register(name)


def writable(relay: RelayProcess) -> bool:
    """Return what the metrics say of the store."""
    (port,) = [found[1] for line in relay.log if (found := re.search(r":(\d+) for /metrics", line))]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT_S) as answer:
        text = answer.read().decode()
    (figure,) = re.findall(r"^securechat_store_writable (\S+)$", text, re.MULTILINE)
    return float(figure) == 1


def said(lines: list[str]) -> list[str]:
    return [line.split(" ")[-1] for line in lines if " PRIVMSG #den " in line]


def check_that_the_chat_goes_on(
    place: Place, relay: RelayProcess, ann: Client, bob: Client
) -> None:
    ann.send("PRIVMSG #den :during")
    assert ann.expect("FAIL").params[:2] == ("PRIVMSG", "NOT_KEPT")
    bob.expect("PRIVMSG", "#den", "during")
    refusals = {
        "SET always-on on": "SET TEMPORARILY_UNAVAILABLE always-on",
        "ROOM HISTORY #den 7": "ROOM TEMPORARILY_UNAVAILABLE #den",
    }
    for line, refusal in refusals.items():
        assert ann.ask(line) == [f"FAIL {refusal} :{NOTHING_KEPT}"]
    assert not writable(relay)
    told = json.loads(place.tool("status", "--json").stdout)
    assert told["store"]["trouble"]
    assert f"nothing can be kept: {told['store']['trouble']}" in told["problems"]
    suspended = place.tool("account", "suspend", "bob")
    assert suspended.returncode == 1
    assert told["store"]["trouble"] in suspended.stderr
    with people(relay, "ann") as [other]:  # to log in is to read
        assert said(other.ask("CHATHISTORY LATEST #den * 10")) == ["before"]
        # These are of the chat: they are done, and kept when that can be.
        other.send("TOPIC #den :meanwhile")
        assert bob.expect("TOPIC").params == ("#den", "meanwhile")
    assert "353" in commands(bob.ask("JOIN #new"))


@pytest.mark.parametrize("kind", [FullDisk, WriteProtection, LockedDatabase])
def test_what_cannot_be_kept_is_refused_until_it_can(
    make_place: Callable[[type[Trouble]], Place], kind: type[Trouble]
) -> None:
    place = make_place(kind)
    with place.relay() as relay:
        for name in ("ann", "bob"):
            register_account(relay, name)
        with people(relay, "ann", "bob") as (ann, bob):
            for client in (ann, bob):
                client.ask("JOIN #den")
            assert said(ann.ask("PRIVMSG #den :before")) == ["before"]
            assert writable(relay)
            place.trouble.begin()
            check_that_the_chat_goes_on(place, relay, ann, bob)
            place.trouble.end()
            while "FAIL" in commands(ann.ask("SET always-on on")):
                pass
            assert said(ann.ask("PRIVMSG #den :after")) == ["after"]
            assert writable(relay)
        assert relay.stop() == 0
    for text in ("the store cannot write: ", "the store can write again", "were lost: [1-9]"):
        assert len([line for line in relay.log if re.search(text, line)]) == 1, text
    with place.relay() as relay:
        with people(relay, "ann") as [ann]:
            assert "332 ann #den meanwhile" in ann.ask("TOPIC #den")
            assert said(ann.ask("CHATHISTORY LATEST #den * 10")) == ["before", "after"]
            assert "NOTICE ann :#new: belongs to bob, and stays" in ann.ask("ROOM INFO #new")
            assert "always-on is on " in ann.ask("SET always-on")[0]
        assert relay.stop() == 0


def test_a_disk_that_is_broken_ends_no_chat(
    make_place: Callable[[type[Trouble]], Place],
) -> None:
    place = make_place(BrokenDisk)
    with place.relay() as relay:
        for name in ("ann", "bob"):
            register_account(relay, name)
        with people(relay, "ann", "bob") as (ann, bob):
            for client in (ann, bob):
                client.ask("JOIN #den")
            ann.ask("PRIVMSG #den :before")
            place.trouble.begin()
            check_that_the_chat_goes_on(place, relay, ann, bob)
        assert relay.stop() == 0
