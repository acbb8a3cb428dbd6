"""``securechat-server`` as a person meets it: as a child process, with its exit codes and words."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

import pytest
import trustme

import securechat
from securechat import __version__
from securechat.invite_link import parse_invite_link
from securechat.server import cli
from securechat.server.config import Config, LogConfig
from securechat.server.config_file import load_config
from securechat.store.database import open_database
from securechat.store.passwords import verify_password
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, Certificates, Client
from tests.timeouts import TIMEOUT_SCALE

ROOT = Path(securechat.__file__).parents[1]
STOP_TIMEOUT_S = 5.0 * TIMEOUT_SCALE
"""The promise: "exit 0 within 5 s"."""

NOT_A_KEY = "securechat-server cert make makes a certificate and its key."

# The console entry, as pip's wrapper calls it. Warnings would be lines too many.
ENTRY = "import sys; from securechat.server.cli import main; sys.exit(main())"
COMMAND = [sys.executable, "-W", "error", "-c", ENTRY]

RunHere = Callable[..., subprocess.CompletedProcess[str]]

posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and modes are POSIX notions")


def run(
    *arguments: str | Path, cwd: Path, stdin: str | bytes = "", before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*before, *COMMAND, *map(str, arguments)],
        cwd=cwd,
        input=stdin if isinstance(stdin, bytes) else stdin.encode(),
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        timeout=LONG_TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> RunHere:
    """As ``run``, but in this process: for what ends before anything of a relay is there."""

    def run_here(
        *arguments: str | Path, stdin: str | bytes = ""
    ) -> subprocess.CompletedProcess[str]:
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8", "strict"))
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as end:  # as argparse does
            code = int(end.code or 0)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run_here


@pytest.fixture
def flags(relay_certificates: Certificates, tmp_path: Path) -> list[str | Path]:
    """What a relay needs to start."""
    file = relay_certificates.server_file
    data = tmp_path / "data"
    return ["--listen", "127.0.0.1:0", "--cert", file, "--key", file, "--data", data]


def complaint(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Return the one line with which the relay gave up."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("securechat-server: ")
    return line.removeprefix("securechat-server: ")


class Child:
    """A relay as a child process. It says on its standard error where it listens."""

    def __init__(self, arguments: list[str | Path], cwd: Path, stdout: IO[bytes] | None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.address = self._find_address()

    def _find_address(self) -> tuple[str, int]:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if found := re.search(r"listening on (\S+):(\d+)$", line):
                return found[1], int(found[2])
        raise AssertionError(self.lines)

    def read_until(self, text: str) -> str:
        """Return the next line of its log that holds ``text``."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return line
        raise AssertionError(self.lines)

    def connect(self, certificates: Certificates) -> Client:
        context = ssl.create_default_context(cafile=str(certificates.ca_file))
        context.set_alpn_protocols(["irc"])
        sock = socket.create_connection(self.address, timeout=LONG_TIMEOUT_S)
        return Client(context.wrap_socket(sock, server_hostname="localhost"))

    def end(self) -> int:
        """Return the exit code, and read the rest of what it said."""
        assert self.process.stderr is not None
        code = self.process.wait(timeout=STOP_TIMEOUT_S)
        self.lines += self.process.stderr.read().splitlines()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(arguments: list[str | Path], stdout: IO[bytes] | None = None) -> Child:
        children.append(Child(arguments, tmp_path, stdout))
        return children[-1]

    yield start
    for child in children:
        child.close()


# ---- what is wrong is said in one line ----


def test_a_missing_certificate(tmp_path: Path) -> None:
    """As in a fresh clone where somebody forgot to make one: all is default."""
    line = complaint(run("--listen", "127.0.0.1:0", cwd=tmp_path))
    assert "certs/server.pem" in line
    assert line.endswith(NOT_A_KEY)
    assert not (tmp_path / "data").exists(), "nothing is made before all is right"


def test_a_missing_key(tmp_path: Path, relay_certificates: Certificates) -> None:
    file, key = relay_certificates.server_file, tmp_path / "no-key.pem"
    line = complaint(run("--cert", file, "--key", key, cwd=tmp_path))
    assert str(key) in line
    assert line.endswith(NOT_A_KEY)


def test_a_key_that_does_not_match(tmp_path: Path, relay_certificates: Certificates) -> None:
    other = tmp_path / "other-key.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    line = complaint(run("--cert", relay_certificates.server_file, "--key", other, cwd=tmp_path))
    assert line.startswith(f"{other}: this key does not match the certificate ")
    assert line.endswith(NOT_A_KEY)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("buy milk\n")
    line = complaint(run("--cert", nonsense, "--key", nonsense, cwd=tmp_path))
    assert str(nonsense) in line
    assert line.endswith(NOT_A_KEY)


def test_a_client_ca_that_is_missing(tmp_path: Path, flags: list[str | Path]) -> None:
    line = complaint(run(*flags, "--client-ca", tmp_path / "no-ca.pem", cwd=tmp_path))
    assert str(tmp_path / "no-ca.pem") in line


def test_a_taken_port(tmp_path: Path, flags: list[str | Path]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = complaint(run(*flags, "--listen", address, cwd=tmp_path))
    assert line.startswith(f"cannot listen on {address}: the port is taken")


def test_an_address_of_another_machine(tmp_path: Path, flags: list[str | Path]) -> None:
    line = complaint(run(*flags[2:], "--listen", "192.0.2.1:6697", cwd=tmp_path))
    assert line == "cannot listen on 192.0.2.1:6697: this machine has no such address."


def test_a_file_in_the_place_of_the_data_folder(tmp_path: Path, flags: list[str | Path]) -> None:
    (tmp_path / "data").touch()
    line = complaint(run(*flags, cwd=tmp_path))
    assert str(tmp_path / "data" / "securechat.db") in line


def without_roots_powers() -> tuple[str, ...]:
    """Return what to put before a command so that file modes bind it, whoever runs the tests."""
    if os.geteuid() != 0:
        return ()
    before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    if shutil.which(before[0]) is None or subprocess.run([*before, "true"], check=False).returncode:
        pytest.skip("root may write everywhere, and cannot give that up here")
    return before


@posix_only
def test_a_data_folder_that_may_not_be_written(tmp_path: Path, flags: list[str | Path]) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    line = complaint(run(*flags, cwd=tmp_path, before=without_roots_powers()))
    assert str(tmp_path / "data" / "securechat.db") in line
    assert "ermission denied" in line


@posix_only
def test_a_configuration_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").touch(mode=0o000)
    done = run("--config", "relay.toml", cwd=tmp_path, before=without_roots_powers())
    assert complaint(done, 2) == "relay.toml: cannot be read (Permission denied)"


@posix_only
def test_a_key_that_may_not_be_read(tmp_path: Path, relay_certificates: Certificates) -> None:
    key = tmp_path / "key.pem"
    key.touch(mode=0o000)
    flags = ("--cert", relay_certificates.server_file, "--key", key)
    line = complaint(run(*flags, cwd=tmp_path, before=without_roots_powers()))
    assert line.startswith(f"{key}: cannot be read (Permission denied)")


def test_a_database_of_a_newer_version(tmp_path: Path, flags: list[str | Path]) -> None:
    path = tmp_path / "data" / "securechat.db"
    with closing(open_database(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    line = complaint(run(*flags, cwd=tmp_path))
    assert str(path) in line
    assert "version 1000" in line
    assert "start the newer securechat" in line


def test_a_file_that_is_no_database(tmp_path: Path, flags: list[str | Path]) -> None:
    path = tmp_path / "data" / "securechat.db"
    path.parent.mkdir()
    path.write_text("buy milk\n" * 500)
    assert "not a database" in complaint(run(*flags, cwd=tmp_path))
    assert path.read_text() == "buy milk\n" * 500


def test_a_database_in_use(tmp_path: Path, flags: list[str | Path]) -> None:
    with closing(open_database(tmp_path / "data" / "securechat.db")):
        line = complaint(run(*flags, cwd=tmp_path))
    assert "in use by another relay" in line


def test_a_bad_configuration_is_told_whole(tmp_path: Path, run_here: RunHere) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[server]\nname = "relay"\ncolour = "red"\n[limits]\nmodes = 0\n')
    for arguments in ((), ("--check-config",), ("invite",), ("hash-password",)):
        done = run_here("--config", file, *arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 3
        assert all(line.startswith(f"securechat-server: {file}: [") for line in lines)
    assert '[server] name = "relay": must be a name with a dot' in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cert", "a.pem"],
        ["--key", "a.pem"],
        ["--nonsense"],
        ["nonsense"],
        ["invite", "--uses", "many"],
    ],
)
def test_wrong_flags(arguments: list[str], tmp_path: Path, run_here: RunHere) -> None:
    done = run_here(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: securechat-server")
    assert re.search(r"\nsecurechat-server( \w+)?: error: [^\n]+\n$", done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["localhost", "::1:6697", "localhost:66970", "a b:1"])
def test_a_wrong_address(address: str, run_here: RunHere) -> None:
    line = complaint(run_here("--listen", address), 2)
    assert line.startswith(f'[server] listen = ["{address}"]: must be a list of addresses')


# ---- what is asked for is printed ----


def test_print_default_config(tmp_path: Path, run_here: RunHere) -> None:
    done = run("--print-default-config", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "relay.toml").write_text(done.stdout)
    assert load_config(tmp_path / "relay.toml") == Config()
    checked = run_here("--config", "relay.toml", "--check-config")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, word in (("--version", __version__), ("--help", "--print-default-config")):
        with pytest.raises(SystemExit) as caught:
            cli.main([flag])
        assert caught.value.code == 0
        assert word in capsys.readouterr().out


def test_the_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "Exit codes: 0 stopped in good order, or done; 1 cannot run" in told


@pytest.mark.parametrize("password", ["correct horse\n", "correct horse", "correct horse\r\n"])
def test_hash_password(password: str, tmp_path: Path, run_here: RunHere) -> None:
    done = run_here("hash-password", stdin=password)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert verify_password("correct horse", line)
    file = tmp_path / "relay.toml"
    file.write_text(f'[[operators]]\nname = "alice"\npassword_hash = "{line}"\n')
    assert load_config(file).operators[0].password_hash == line
    assert [path.name for path in tmp_path.iterdir()] == ["relay.toml"], "no database is made"


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "the password is empty"),
        ("\n", "the password is empty"),
        ("a\tb\n", "the password contains control characters or unknown characters"),
        (b"\xff\n", "the password contains control characters or unknown characters"),
        ("x" * 301, "the password is longer than 300 bytes"),
    ],
)
def test_a_password_that_cannot_be_used(password: str, reason: str, run_here: RunHere) -> None:
    assert complaint(run_here("hash-password", stdin=password), 2) == reason


def test_hash_password_uses_the_configured_cost(tmp_path: Path, run_here: RunHere) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("[accounts]\nargon2_memory_kib = 8192\nargon2_iterations = 1\n")
    done = run_here("--config", file, "hash-password", stdin="x")
    assert done.stdout.startswith("$argon2id$v=19$m=8192,t=1,p=1$")


# ---- a relay that runs ----


@posix_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_relay_in_good_order(
    number: signal.Signals,
    tmp_path: Path,
    flags: list[str | Path],
    start: Callable[..., Child],
    relay_certificates: Certificates,
) -> None:
    child = start(flags)
    clients = [child.connect(relay_certificates).register(nick) for nick in ("alice", "bob")]
    clients.append(child.connect(relay_certificates))  # has a session, but no nick yet
    clients[-1].sync()
    half_open = socket.create_connection(child.address)  # never begins its handshake
    child.process.send_signal(number)
    assert child.end() == 0
    for client in clients:
        assert "ERROR :Closing link: The relay is shutting down" in client.read_to_end()
        client.sock.close()
    half_open.close()
    assert child.lines[-1].endswith("INFO stopped: The relay is shutting down")
    assert not any("Traceback" in line or " ERROR " in line for line in child.lines)
    with closing(open_database(tmp_path / "data" / "securechat.db")):
        pass  # it is not locked any more
    assert not (tmp_path / "data" / "securechat.db-wal").exists(), "closed, not just dropped"


@posix_only
def test_a_second_signal_changes_nothing(
    tmp_path: Path, flags: list[str | Path], start: Callable[..., Child]
) -> None:
    child = start(flags)
    for _ in range(3):
        with suppress(ProcessLookupError):
            child.process.send_signal(signal.SIGINT)
    assert child.end() == 0


@posix_only
def test_a_client_that_does_not_read_does_not_delay_the_end(
    flags: list[str | Path], start: Callable[..., Child], relay_certificates: Certificates
) -> None:
    child = start(flags)
    deaf = child.connect(relay_certificates).register("deaf")
    alice = child.connect(relay_certificates).register("alice")
    for _ in range(30):
        alice.send(f"PRIVMSG deaf :{'x' * 400}")
    alice.sync()
    child.process.terminate()
    assert child.end() == 0
    for client in (deaf, alice):
        client.sock.close()


@posix_only
def test_the_log_has_a_line_for_each_event_and_no_text(
    flags: list[str | Path], start: Callable[..., Child], relay_certificates: Certificates
) -> None:
    child = start(flags)
    alice = child.connect(relay_certificates).register("alice")
    alice.ask("JOIN #den", "PRIVMSG #den :a secret between us", "TOPIC #den :another secret")
    alice.ask("PART #nowhere", "PART #den :secret reason")
    alice.quit()
    child.process.terminate()
    assert child.end() == 0
    log = "\n".join(child.lines)
    for words in (
        "connect #1 from 127.0.0.1 (TLSv1.3, ",
        "#1 registered alice as a guest",
        "#1 join alice #den: 1 there",
        "#1 refused PART: 403 ",
        "#1 leave alice #den: 0 remain",
        "disconnect #1: Quit: ",
        "stopped: ",
    ):
        assert words in log
    assert "secret" not in log
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ INFO \S", line) for line in child.lines)


@posix_only
def test_an_invitation_made_while_the_relay_runs_registers_an_account(
    tmp_path: Path,
    flags: list[str | Path],
    start: Callable[..., Child],
    relay_certificates: Certificates,
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[accounts]\nregistration = "invite"\n')
    child = start(["--config", file, *flags])
    made = run("--config", file, *flags, "invite", cwd=tmp_path)
    token = parse_invite_link(made.stdout.split()[0]).token
    code = f"invite:{token}"
    answers = []
    for nick, given in (("alice", "invite:wrong"), ("alice", code), ("bob", code)):
        client = child.connect(relay_certificates)
        client.request("draft/account-registration")
        client.send(f"NICK {nick}", f"REGISTER * {given} :{PASSWORD}")
        while (message := client.read()).params[:1] not in (("SUCCESS",), ("REGISTER",)):
            pass
        answers.append((message.command, *message.params[:2]))
        client.quit()
    assert answers == [
        ("FAIL", "REGISTER", "INVALID_EMAIL"),
        ("REGISTER", "SUCCESS", "alice"),
        ("FAIL", "REGISTER", "INVALID_EMAIL"),
    ]
    child.process.terminate()
    assert child.end() == 0
    log = "\n".join(child.lines)
    assert PASSWORD not in log
    assert token not in log


@posix_only
def test_the_first_start_shows_how_the_first_person_gets_in(
    tmp_path: Path,
    flags: list[str | Path],
    start: Callable[..., Child],
    relay_certificates: Certificates,
) -> None:
    """And not again, as long as that invite can be used."""
    file = tmp_path / "securechat.toml"
    file.write_text('[accounts]\nregistration = "invite"\n')
    shown = tmp_path / "shown"
    with shown.open("wb") as output:
        child = start(["--config", file, *flags], stdout=output)
    (word,) = [word for word in shown.read_text().split() if "securechat://" in word]
    link = parse_invite_link(word.strip("'"))
    assert (link.port, link.host) == (child.address[1], "localhost")
    client = child.connect(relay_certificates)
    client.request("draft/account-registration")
    client.send("NICK guest", "USER guest 0 * :Guest", "CAP END")
    assert client.expect("FAIL", "*").params[1] == "ACCOUNT_REQUIRED", "nobody without one"
    client.send("NICK op", f"REGISTER * invite:{link.token} :{PASSWORD}")
    assert client.expect("REGISTER").params[0] == "SUCCESS"
    client.sock.close()
    child.process.terminate()
    assert child.end() == 0
    assert link.token not in "".join(child.lines), "it is not in the log"
    with shown.open("wb") as output:
        start(["--config", file, *flags], stdout=output)
    assert shown.read_text() == ""


full_device = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="there is no device that is always full"
)


@full_device
def test_a_first_invite_that_cannot_be_shown(
    tmp_path: Path, flags: list[str | Path], start: Callable[..., Child]
) -> None:
    """As with an output that nobody reads: the relay runs all the same."""
    file = tmp_path / "securechat.toml"
    file.write_text('[accounts]\nregistration = "invite"\n')
    with open("/dev/full", "wb") as output:
        child = start(["--config", file, *flags], stdout=output)
    child.process.terminate()
    assert child.end() == 0
    assert child.lines[0].startswith("securechat-server: the first invite is not shown (")


@full_device
def test_what_cannot_be_printed(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as output:
        assert print_a_file(tmp_path, output) == (
            1,
            "securechat-server: [Errno 28] No space left on device\n",
        )


@posix_only
def test_nobody_reads_what_is_printed(tmp_path: Path) -> None:
    """As "| head -1", also where it is printed only at the exit."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as output:
        assert print_a_file(tmp_path, output) == (1, "")


def print_a_file(cwd: Path, output: IO[bytes]) -> tuple[int, str]:
    """Run a command that prints little; return its exit code and what it complains of."""
    done = subprocess.run(
        [*COMMAND, "containerfile"],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        | {"PYTHONPATH": str(ROOT)},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LONG_TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stderr


@posix_only
def test_a_relay_of_this_machine_alone_needs_no_invite(
    tmp_path: Path, flags: list[str | Path], start: Callable[..., Child]
) -> None:
    with (tmp_path / "shown").open("wb") as output:
        start(flags, stdout=output)
    assert (tmp_path / "shown").read_text() == ""


@posix_only
def test_hangup_takes_the_configuration_anew(
    tmp_path: Path,
    flags: list[str | Path],
    start: Callable[..., Child],
    relay_certificates: Certificates,
) -> None:
    file = tmp_path / "securechat.toml"
    file.write_text("[server]\nmotd = 1\n")
    assert run("--config", file, "--check-config", cwd=tmp_path).returncode == 2
    file.write_text("")
    child = start(["--config", file, *flags])
    client = child.connect(relay_certificates)
    client.register("alice")
    file.write_text("[server]\nmotd = 1\n")
    child.process.send_signal(signal.SIGHUP)
    assert "nothing has changed: " in child.read_until("motd = 1: must be a string")
    file.write_text("[server]\nmotd = 'Be kind.'\n[log]\nformat = 'json'\n")
    child.process.send_signal(signal.SIGHUP)
    child.read_until("reload: the certificate is valid for ")
    assert ":securechat.local 372 alice :- Be kind." in client.ask("MOTD")
    client.quit()
    assert json.loads(child.read_until("disconnect"))["level"] == "info"
    child.process.terminate()
    assert child.end() == 0


@posix_only
def test_two_relays_on_one_database_or_port(
    tmp_path: Path, flags: list[str | Path], start: Callable[..., Child]
) -> None:
    child = start(flags)
    assert "in use by another relay" in complaint(run(*flags, cwd=tmp_path))
    address = "{}:{}".format(*child.address)
    other = [*flags[2:-1], tmp_path / "other"]
    assert address in complaint(run("--listen", address, *other, cwd=tmp_path))
    child.process.terminate()
    assert child.end() == 0


def test_a_thread_that_crashes_ends_the_relay_with_a_word(
    tmp_path: Path,
    flags: list[str | Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def be_quiet(config: LogConfig, on_crash: object = None) -> None:
        """Leave the log of this process as it is."""

    class Crashing(cli.Relay):
        def start(self) -> None:
            super().start()
            self.note_crash(RuntimeError("a bug of ours"))

    monkeypatch.setattr(cli, "Relay", Crashing)
    monkeypatch.setattr(cli.log_output, "apply", be_quiet)
    monkeypatch.setattr(cli.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(cli, "_raise_descriptor_limit", lambda: None)
    assert cli.main([str(flag) for flag in flags]) == 1
    assert "securechat-server: a thread crashed: RuntimeError('a bug of ours')" in (
        capsys.readouterr().err
    )
