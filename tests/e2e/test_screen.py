"""The program on a terminal, as a person runs it: the full-screen client in tmux."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.e2e.children import TIMEOUT_S, RelayProcess, script
from tests.e2e.tmux import Tmux
from tests.server.relay_harness import Client as Talker


@pytest.fixture
def terminal() -> Iterator[Tmux]:
    with contextlib.closing(Tmux()) as tmux:
        yield tmux


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has never used the program."""
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_DATA_HOME": str(tmp_path / "share"),
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "en",
        "TZ": "UTC",
        "COLUMNS": "80",  # as it was; the terminal may have another size by now
    }


def client(relay: RelayProcess, *flags: str) -> list[str]:
    where = ("--ca", str(relay.ca), "--port", str(relay.port))
    return [script("securechat-client"), *where, *flags]


def test_a_chat(relay: RelayProcess, terminal: Tmux, home: dict[str, str], bob: Talker) -> None:
    terminal.start(client(relay), home)
    terminal.see("Your nick:")
    terminal.type("ann")
    terminal.press("Enter")
    terminal.see("welcome to")
    terminal.type("/join #room")
    terminal.press("Enter")
    terminal.see("#room", "2 people")
    terminal.type("hello from a terminal")
    terminal.press("Enter")
    bob.expect("PRIVMSG", "#room", "hello from a terminal")
    terminal.see("ann hello from a terminal")
    bob.send("PRIVMSG #room :\x1b[2Jhello ann, this is a text that is longer than a narrow screen")
    terminal.see("» ", "hello ann, this is a text")
    terminal.resize(40, 20)
    narrow = terminal.see("narrow screen")
    assert "hello from a terminal" in narrow
    assert "localhost" not in narrow  # the panes are folded away
    terminal.press("F7")
    terminal.see("localhost")
    terminal.press("F7")
    terminal.resize(100, 30)
    bob.send("PRIVMSG ann :psst")
    terminal.see("!1")
    terminal.press("M-a")  # as terminals without kitty's protocol send Alt
    terminal.see("bob psst")
    terminal.press("M-2")
    terminal.see_no("bob psst")
    terminal.press("F1")
    terminal.see("/join #ROOM [KEY]")
    terminal.press("Escape")
    terminal.see_no("/join #ROOM [KEY]")
    terminal.type("exit")
    terminal.press("Enter")
    screen = terminal.see("ended with 0")
    assert "#room" not in screen  # the screen is as it was before
    assert bob.expect("QUIT").params == ("Quit: leaving",)


def test_the_first_run_asks_in_russian(terminal: Tmux, home: dict[str, str]) -> None:
    terminal.start([script("securechat-client"), "--lang", "ru"], home)
    terminal.see("Шаг 1 из 7")
    terminal.press("Escape")
    terminal.see("ended with 0")


def test_a_rejected_certificate_is_explained(
    relay: RelayProcess, terminal: Tmux, home: dict[str, str], tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.pem"
    trustme.CA().cert_pem.write_to_path(wrong)
    flags = ("--ca", str(wrong), "--nick", "ann")
    terminal.start(client(relay, *flags), home)
    terminal.see("Close")
    terminal.press("Escape")
    terminal.see_no("Close")
    terminal.type("exit")
    terminal.press("Enter")
    terminal.see("ended with 2", "certificate")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_it_leaves_the_terminal_in_order(
    relay: RelayProcess,
    terminal: Tmux,
    home: dict[str, str],
    bob: Talker,
    number: signal.Signals,
) -> None:
    terminal.start(client(relay, "--nick", "ann", "--join", "#room"), home)
    terminal.see("2 people")
    os.kill(terminal.child(), number)
    terminal.see("ended with 0")
    assert bob.expect("QUIT").params == ("Quit: leaving",)


def test_lines_where_they_are_wanted(
    relay: RelayProcess, terminal: Tmux, home: dict[str, str], bob: Talker
) -> None:
    terminal.start(client(relay, "--plain", "--nick", "ann", "--join", "#room"), home)
    terminal.see("--> you joined #room", "[#room]")
    terminal.type("exit")
    terminal.press("Enter")
    terminal.see("ended with 0")


def test_it_ends_with_its_terminal_also_without_a_signal(
    relay: RelayProcess, home: dict[str, str]
) -> None:
    far, near = pty.openpty()
    process = subprocess.Popen(
        client(relay, "--nick", "ann", "--join", "#room"),
        stdin=near,
        stdout=near,
        stderr=near,
        env=os.environ | home | {"TERM": "xterm-256color"},
        start_new_session=True,  # and no terminal that would tell of its end
    )
    try:
        os.close(near)
        shown = b""
        while b"1 person" not in shown:
            ready, _, _ = select.select([far], [], [], TIMEOUT_S)
            assert ready, shown
            shown += os.read(far, 65_536)
        os.close(far)
        process.wait(TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
