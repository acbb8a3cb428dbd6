"""A bug in a handler ends a command; a thread that dies ends the relay, which says so."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from securechat.server.administration.control import short_path
from tests.e2e.children import TIMEOUT_S, RelayProcess, run_relay, script
from tests.e2e.real_clients import connect
from tests.server.relay_harness import NAME, Client

FAULT = "ERROR :Closing link: The relay has a fault and is stopping"

People = tuple[RelayProcess, Client, Client]
Start = Callable[[str], contextlib.AbstractContextManager[People]]


@pytest.fixture
def start(ca: Path, tmp_path: Path) -> Start:
    """Starts a relay with a fault of ``faulty_relay``, and two people on it: one on each I/O
    thread, since these take turns."""
    config = tmp_path / "relay.toml"
    config.write_text(f"[server]\nname = {NAME!r}\nio_threads = 2\n")

    @contextlib.contextmanager
    def start_one(fault: str) -> Iterator[People]:
        command = [sys.executable, "-m", "tests.e2e.faulty_relay", fault]
        flags = ("--config", str(config))
        with contextlib.ExitStack() as stack:
            relay = stack.enter_context(run_relay(ca, tmp_path / "data", *flags, command=command))
            clients = [connect(relay) for _ in range(2)]
            for client in clients:
                stack.callback(client.sock.close)
            yield relay, clients[0].register("ann"), clients[1].register("bob")

    return start_one


def do_nothing(relay: RelayProcess) -> None:
    """The fault shows by itself."""


def connect_another(relay: RelayProcess) -> None:
    socket.create_connection(("127.0.0.1", relay.port), timeout=TIMEOUT_S).close()


def knock(relay: RelayProcess) -> None:
    with (
        short_path(relay.folder / "securechat.sock") as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock,
    ):
        sock.connect(name)


def test_a_bug_in_a_handler_ends_that_command_and_nothing_else(start: Start) -> None:
    with start("handler") as (relay, ann, bob):
        assert ann.ask("ADMIN") == ["400 ann ADMIN :Internal error; it has been logged"]
        ann.send("PRIVMSG bob :still here")
        assert bob.expect("PRIVMSG").params[1] == "still here"
        status = subprocess.run(
            [script("securechat-server"), "--data", str(relay.folder), "status", "--json"],
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        assert json.loads(status.stdout)["mishaps"]["command_crashed"] == 1
        ann.sock.close()
        bob.sock.close()
        assert relay.stop() == 0
    assert "RuntimeError: a bug in a handler" in relay.log


@pytest.mark.parametrize(
    ("fault", "show"),
    [
        ("io", do_nothing),
        ("hash", do_nothing),
        ("store", do_nothing),
        ("caretaker", do_nothing),
        ("log", do_nothing),
        ("accept", connect_another),
        ("control", knock),
    ],
)
def test_a_thread_that_dies_ends_the_relay_after_a_word_to_all(
    start: Start, fault: str, show: Callable[[RelayProcess], None]
) -> None:
    with start(fault) as (relay, ann, bob):
        ann.send("ADMIN")
        if show is not do_nothing:
            ann.sync()
        show(relay)
        assert bob.read_to_end()[-1:] == [FAULT]
        told = ann.read_to_end()[-1:]
        assert told == [FAULT] or fault == "io", "who was on the thread that died cannot be told"
        ann.sock.close()
        bob.sock.close()
        assert relay.process.wait(TIMEOUT_S) == 1
    complaints = [line for line in relay.log if line.startswith("securechat-server: ")]
    assert complaints == ["securechat-server: a thread crashed: Fault('injected')"]


def test_a_relay_with_a_fault_ends_also_where_its_end_hangs(start: Start) -> None:
    with start("stuck") as (relay, ann, bob):
        ann.send("ADMIN")
        assert relay.process.wait(TIMEOUT_S) == 1
        assert bob.read_to_end() == []
    assert any(line.startswith("Timeout (") for line in relay.log), "where each thread was"
