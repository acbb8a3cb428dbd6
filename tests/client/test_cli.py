"""The command line: what it says, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from securechat.client.cli import main
from securechat.client.file_mode import ReceiveJob, SendJob
from securechat.client.options import Options, build_parser, read_options
from securechat.errors import ConfigError

NICK = ["--nick", "alice"]
TOO_LONG = "x" * 300
"""No file system has a file of that name: the system does not even look."""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"what it says")
    return path


def read(*arguments: str, terminal: bool = True) -> Options:
    return read_options(build_parser().parse_args(arguments), terminal=terminal)


def problems(*arguments: str, terminal: bool = True) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        read(*arguments, terminal=terminal)
    return raised.value.problems


def test_a_chat_has_peers_and_a_pipe_has_none() -> None:
    assert read(*NICK).peers
    assert not read(*NICK, "--no-peers").peers
    assert not read(*NICK, "--to", "bob", terminal=False).peers


def test_folders(tmp_path: Path) -> None:
    options = read("--data", str(tmp_path / "data"), "--downloads", str(tmp_path / "files"))
    assert (options.data, options.downloads) == (tmp_path / "data", tmp_path / "files")
    assert (read().data, read().downloads) == (None, None)


def test_files_to_send(report: Path) -> None:
    job = read("--send", "bob", str(report)).job
    assert job == SendJob("bob", (report,), show_addresses=False)
    job = read("--send", "bob", str(report), str(report), "--direct").job
    assert job == SendJob("bob", (report, report), show_addresses=True)
    assert read().job is None


def test_files_to_receive(tmp_path: Path) -> None:
    options = read("--receive", str(tmp_path))
    assert options.job == ReceiveJob(tmp_path, (), 1, show_addresses=False)
    assert options.downloads == tmp_path
    job = read(
        *("--receive", str(tmp_path), "--from", "bob", "--from", "carol"),
        *("--count", "3", "--direct"),
    ).job
    assert job == ReceiveJob(tmp_path, ("bob", "carol"), 3, show_addresses=True)


def test_files_without_a_terminal(tmp_path: Path, report: Path) -> None:
    password = tmp_path / "password"
    password.write_text("pencil")
    login = [*NICK, "--password-file", str(password)]
    options = read(*login, "--send", "bob", str(report), terminal=False)
    assert options.peers
    assert options.job is not None
    assert problems(*NICK, "--send", "bob", str(report), terminal=False) == (
        "files need a login: --password-file or --cert when input is a pipe",
    )
    assert "--nick is needed when input is a pipe" in problems(
        *login[2:], "--receive", str(tmp_path), terminal=False
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--send", "bob"], "--send needs a nick and a file"),
        (["--send", "", "REPORT"], "a nick is one word"),
        (["--send", "bob smith", "REPORT"], "a nick is one word"),
        (
            ["--send", "bob", "REPORT", "/no/such"],
            "--send /no/such: there is no such file, or it cannot be read",
        ),
        (["--send", "bob", "/"], "--send /: a folder cannot be sent, only files"),
        (["--send", "bob", "REPORT", "--receive", "/"], "--send and --receive are two programs"),
        (["--send", "bob", "REPORT", "--no-peers"], "files go to peers: not with --no-peers"),
        (["--send", "bob", "REPORT", "--from", "eve"], "--from needs --receive"),
        (
            ["--send", "bob", TOO_LONG],
            f"--send {TOO_LONG}: there is no such file, or it cannot be read",
        ),
        (["--receive", TOO_LONG], f"--receive {TOO_LONG}: there is no such folder"),
        (["--receive", "/no/such"], "--receive /no/such: there is no such folder"),
        (["--receive", "/", "--from", "a b"], "a nick is one word"),
        (["--receive", "/", "--count", "0"], "--count must be 1 or more"),
        (["--receive", "/", "--direct"], "--direct needs --send or --from"),
        (
            ["--receive", "/", "--downloads", "/tmp"],
            "--receive names the folder, and so does --downloads",
        ),
        (["--count", "2"], "--count needs --receive"),
        (["--upnp", "--no-peers"], "--upnp is for peers: not with --no-peers"),
        (["--direct"], "--direct needs --send or --from"),
    ],
)
def test_what_does_not_fit_together(report: Path, arguments: list[str], problem: str) -> None:
    given = [argument.replace("REPORT", str(report)) for argument in arguments]
    assert problems(*given) == (problem,)


def test_all_mistakes_are_named_at_once() -> None:
    found = problems("--send", "bob", "--from", "eve", "--count", "0", "--no-peers")
    assert len(found) == 5


def test_help_tells_of_peers_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for part in ("--send NICK", "--receive DIR", "--from NICK", "--no-peers", "exit codes:"):
        assert part in text
