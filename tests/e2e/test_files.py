"""``--send`` and ``--receive`` as people run them: child processes, exit codes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from securechat.net.timers import Deadline
from tests.client.talkers import until_reachable
from tests.e2e.children import TIMEOUT_S, RelayProcess, TerminalClient, run_relay, script
from tests.e2e.real_clients import connect
from tests.server.relay_harness import PASSWORD

OpenClient = Callable[..., TerminalClient]


class Person:
    """Somebody with an account, a password file, a device of their own and some folders."""

    def __init__(self, relay: RelayProcess, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        self.inbox = self.folder / "inbox"
        self.inbox.mkdir(parents=True)
        (self.folder / "password").write_text(f"{PASSWORD}\n")
        client = connect(relay)
        client.request("draft/account-registration")
        client.send(f"NICK {name}", f"REGISTER * * :{PASSWORD}")
        assert client.expect("REGISTER").params[0] == "SUCCESS"
        client.quit()

    @property
    def flags(self) -> list[str]:
        files = self.folder / "password", self.folder / "device"
        return ["--nick", self.name, "--password-file", str(files[0]), "--data", str(files[1])]

    def file(self, name: str, size: int = 100_000) -> Path:
        path = self.folder / name
        path.write_bytes(os.urandom(size))
        return path


class Program:
    """``securechat-client`` without a terminal."""

    def __init__(self, relay: RelayProcess, person: Person, *flags: str | Path) -> None:
        self.process = subprocess.Popen(
            [
                script("securechat-client"),
                *("--ca", str(relay.ca), "--port", str(relay.port)),
                *person.flags,
                *map(str, flags),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ) | {"PYTHONUTF8": "1"},
        )

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return the exit code, and what was said on stdout and stderr."""
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode, out, err

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


Run = Callable[..., Program]


@pytest.fixture
def run() -> Iterator[Run]:
    with contextlib.ExitStack() as stack:

        def start(relay: RelayProcess, person: Person, *flags: str | Path) -> Program:
            program = Program(relay, person, *flags)
            stack.callback(program.close)
            return program

        yield start


@pytest.fixture
def alice(relay: RelayProcess, tmp_path: Path) -> Person:
    return Person(relay, "alice", tmp_path)


@pytest.fixture
def bob(relay: RelayProcess, tmp_path: Path) -> Person:
    return Person(relay, "bob", tmp_path)


def wait_until_reachable(relay: RelayProcess, person: Person) -> None:
    watcher = connect(relay)
    watcher.request("sasl", "securechat/peer", "message-tags")
    watcher.authenticate_plain(person.name)
    watcher.register(person.name)
    until_reachable(watcher, person.name)
    watcher.quit()


def hash_line(path: Path, where: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {where}"


def test_several_files_arrive(relay: RelayProcess, alice: Person, bob: Person, run: Run) -> None:
    files = [alice.file(name) for name in ("1.bin", "2.bin", "my report.pdf")]
    receiver = run(relay, bob, "--receive", bob.inbox, "--from", "alice", "--count", "3")
    wait_until_reachable(relay, bob)
    sender = run(relay, alice, "--send", "bob", *files)
    code, out, err = sender.end()
    assert (code, err) == (0, "")
    assert sorted(out.splitlines()) == sorted(hash_line(path, path) for path in files)
    code, out, _ = receiver.end()
    assert code == 0
    there = [bob.inbox / path.name for path in files]
    assert [path.read_bytes() for path in there] == [path.read_bytes() for path in files]
    assert sorted(out.splitlines()) == sorted(hash_line(path, path) for path in there)


def test_a_person_accepts_one_file_and_declines_another(
    relay: RelayProcess, alice: Person, bob: Person, run: Run, open_client: OpenClient
) -> None:
    person = open_client(relay, *bob.flags, "--downloads", str(bob.inbox))
    person.wait_for("you are bob, logged in as bob")
    wait_until_reachable(relay, bob)
    first, second = alice.file("1.bin"), alice.file("2.bin")
    sender = run(relay, alice, "--send", "bob", first, second)
    person.wait_for("alice (account alice) asks for a session, for the first time")
    person.type("/accept")
    person.wait_for("session with alice: relayed")
    person.wait_for("alice offers file 1: ")
    person.wait_for("alice offers file 2: ")
    person.type("/files")
    person.wait_for("1  from alice: 1.bin, offered")
    person.type("/accept 1")
    person.wait_for("has arrived whole")
    person.type("/decline 2")
    code, out, err = sender.end()
    assert code == 1
    assert out == hash_line(first, first) + "\n"
    assert "(2.bin) was not sent: declined" in err
    assert (bob.inbox / "1.bin").read_bytes() == first.read_bytes()
    assert not (bob.inbox / "2.bin").exists()
    person.type("/quit")
    assert person.process.wait(TIMEOUT_S) == 0


def test_a_session_that_is_declined(
    relay: RelayProcess, alice: Person, bob: Person, run: Run, open_client: OpenClient
) -> None:
    person = open_client(relay, *bob.flags)
    person.wait_for("you are bob")
    wait_until_reachable(relay, bob)
    sender = run(relay, alice, "--send", "bob", alice.file("1.bin"))
    person.wait_for("alice (account alice) asks for a session")
    person.type("/decline alice")
    assert sender.end() == (1, "", "! bob: declined\n")


def test_nobody_is_there(relay: RelayProcess, alice: Person, run: Run) -> None:
    code, out, err = run(relay, alice, "--send", "bob", alice.file("1.bin")).end()
    assert (code, out) == (1, "")
    assert err.startswith("! bob: ")


def test_the_relay_is_killed_in_the_middle_and_comes_back(
    ca: Path, tmp_path: Path, run: Run
) -> None:
    config = tmp_path / "relay.toml"
    config.write_text("[peers]\ntunnel_bytes_per_s = 5000000\n")  # so that there is a middle
    with run_relay(ca, tmp_path / "data", "--config", str(config)) as relay:
        port = relay.port
        alice, bob = Person(relay, "alice", tmp_path), Person(relay, "bob", tmp_path)
        path = alice.file("large", 10_000_000)
        receiver = run(relay, bob, "--receive", bob.inbox, "--from", "alice")
        wait_until_reachable(relay, bob)
        sender = run(relay, alice, "--send", "bob", path)
        parts = bob.inbox / ".securechat-partial"
        deadline = Deadline(TIMEOUT_S)
        while not any(part.stat().st_size for part in parts.glob("*.part")):
            assert not deadline.over()
        assert sender.process.poll() is None
        relay.process.kill()
    with run_relay(ca, tmp_path / "data", port=port):
        code, _, err = sender.end()
        assert code == 0, err
        assert "lost its path" in err
        code, _, err = receiver.end()
        assert code == 0, err
    assert (bob.inbox / "large").read_bytes() == path.read_bytes()


def test_what_cannot_be_begun(relay: RelayProcess, alice: Person, run: Run, tmp_path: Path) -> None:
    code, _, err = run(relay, alice, "--send", "bob", "/no/such").end()
    assert (code, "there is no such file" in err) == (2, True)
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    code, _, err = run(relay, alice, "--receive", alice.inbox, "--ca", other).end()
    assert (code, "not issued by the CA that you trust" in err) == (2, True)
    (alice.folder / "password").write_text("wrong\n")
    code, _, err = run(relay, alice, "--receive", alice.inbox).end()
    assert (code, "login as alice failed" in err) == (1, True)


def test_a_device_that_cannot_be_used(
    relay: RelayProcess, alice: Person, run: Run, open_client: OpenClient
) -> None:
    (alice.folder / "device").write_text("no folder")
    code, _, err = run(relay, alice, "--receive", alice.inbox).end()
    assert (code, "cannot make the folder" in err) == (1, True)
    person = open_client(relay, *alice.flags)
    person.wait_for("cannot make the folder")
    person.wait_for("--no-peers")
    assert person.process.wait(TIMEOUT_S) == 1
    person = open_client(relay, *alice.flags, "--no-peers")
    person.wait_for("you are alice, logged in as alice")


def test_the_program_of_the_readme_sends_its_file(
    relay: RelayProcess, tmp_path: Path, run: Run
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    program = readme.split("```python\n")[2].partition("```")[0]
    # Only the port is another: a test takes a free one.
    assert program.count('"localhost", ') == 1
    program = program.replace('"localhost", ', f'"localhost", {relay.port}, ')
    cron, bob = Person(relay, "cron", tmp_path), Person(relay, "bob", tmp_path)
    cron.file("report.pdf")
    (cron.folder / "password").rename(cron.folder / "pw")
    (cron.folder / "certs").symlink_to(relay.ca.parent)
    receiver = run(relay, bob, "--receive", bob.inbox, "--from", "cron")
    wait_until_reachable(relay, bob)
    done = subprocess.run(
        [script("python"), "-c", program],
        cwd=cron.folder,
        env=dict(os.environ) | {"XDG_DATA_HOME": str(cron.folder)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert receiver.end()[0] == 0
    assert (bob.inbox / "report.pdf").read_bytes() == (cron.folder / "report.pdf").read_bytes()
