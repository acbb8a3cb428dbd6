"""The socket of a running relay, and what is spoken there."""

from __future__ import annotations

import argparse
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from securechat import __version__
from securechat.errors import ConfigError, NetworkError, SecureChatError, StoreError
from securechat.server.administration.console import run_tool
from securechat.server.administration.control import REQUEST_BYTES, ControlSocket, control_path
from securechat.server.administration.desk import Desk
from securechat.server.administration.remote import ask_relay, connect_to_relay
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config, StoreConfig
from securechat.store.accounts import Accounts
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, RunningRelay

posix_only = pytest.mark.skipif(os.name != "posix", reason="there are no Unix sockets")


def answer(desk: Desk, arguments: Arguments) -> Any:
    match arguments.get("want"):
        case "output":
            assert desk.output is not None
            desk.output.write(b"written in the relay")
        case "names":
            return desk.write(lambda connection: Accounts(connection).names())
        case "refusal":
            raise StoreError("the disk is full")
        case "problems":
            raise ConfigError(["one", "two"])
        case "crash":
            raise ZeroDivisionError("a bug")
    return [dict(arguments), desk.relay is not None]


def show(result: Any, options: argparse.Namespace) -> int:
    print(json.dumps(result))
    return 7


TOOL = Tool(
    "test it",
    "Try the frame.",
    answer,
    show,
    prepare=lambda options, config: options.arguments,
    output=lambda options: options.file,
)


@pytest.fixture
def relay(relay: RunningRelay) -> RunningRelay:
    """A relay that knows one more command."""
    assert relay.relay._control is not None
    relay.relay._control._tools[TOOL.name] = TOOL
    return relay


def ask(relay: RunningRelay, arguments: Any, tool: Tool = TOOL) -> Any:
    connection = connect_to_relay(relay.config)
    assert connection is not None
    with connection:
        return ask_relay(connection, tool, arguments)


@posix_only
def test_only_the_relays_user_may_use_it(relay: RunningRelay) -> None:
    mode = control_path(relay.config).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@posix_only
def test_the_work_is_done_in_the_relay(relay: RunningRelay) -> None:
    relay.account("alice")
    assert ask(relay, {"a": [1, "é"]}) == [{"a": [1, "é"]}, True]
    assert ask(relay, {"want": "names"}) == [["alice", "alice"]]


@posix_only
@pytest.mark.parametrize(
    ("want", "error", "text"),
    [
        ("refusal", SecureChatError, "the disk is full"),
        ("problems", ConfigError, "one"),
        ("crash", SecureChatError, "an internal error; it is in the log of the relay"),
    ],
)
def test_what_is_wrong_comes_back(
    relay: RunningRelay, want: str, error: type[Exception], text: str
) -> None:
    relay.may_log_errors = True
    with pytest.raises(error, match=text):
        ask(relay, {"want": want})
    assert ask(relay, {}) == [{}, True], "and the next one is served"


@posix_only
def test_a_command_that_the_relay_does_not_know(relay: RunningRelay) -> None:
    """As after an upgrade, before the restart."""
    newer = Tool("test more", "", answer, show)
    with pytest.raises(SecureChatError, match=rf"securechat {__version__} and does not know this"):
        ask(relay, {}, newer)


@posix_only
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\n",
        b"{}",
        b"[]\n",
        b"nonsense\n",
        b"x" * (REQUEST_BYTES + 1),
        b"\xff\n",
        b"[" * 10_000 + b"\n",
    ],
    ids=["nothing", "empty", "no end", "list", "no json", "endless", "no utf-8", "deep"],
)
def test_what_is_no_request_is_not_answered(relay: RunningRelay, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LONG_TIMEOUT_S)
        sock.connect(str(control_path(relay.config)))
        try:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(10) == b""
        except (BrokenPipeError, ConnectionResetError):
            assert len(sent) > 1, "closed while we were still sending"
    assert ask(relay, {}) == [{}, True]


@posix_only
def test_a_request_that_is_too_long_is_not_sent(relay: RunningRelay) -> None:
    with pytest.raises(ConfigError, match="too long"):
        ask(relay, {"a": "x" * REQUEST_BYTES})


@posix_only
def test_the_relay_ends_before_it_answers(relay: RunningRelay) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        with pytest.raises(NetworkError, match="the relay has ended before it answered"):
            ask_relay(ours, TOOL, {})


@posix_only
def test_no_relay_runs(start_relay: StartRelay) -> None:
    relay = start_relay()
    relay.stop()
    assert not control_path(relay.config).exists()
    assert connect_to_relay(relay.config) is None


@posix_only
def test_a_socket_that_a_killed_relay_has_left_is_replaced(relay: RunningRelay) -> None:
    relay.stop()
    path = control_path(relay.config)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert connect_to_relay(relay.config) is None
    control = ControlSocket(relay.relay, path, [])
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
    control.stop()


@posix_only
def test_the_socket_of_a_relay_that_runs_is_not_taken(relay: RunningRelay) -> None:
    """Relays with databases on a server may be given one folder."""
    path = control_path(relay.config)
    with pytest.raises(NetworkError, match=f"another relay listens on {path}"):
        ControlSocket(relay.relay, path, [])
    connection = connect_to_relay(relay.config)
    assert connection is not None
    connection.close()


@posix_only
def test_what_is_no_socket_is_not_replaced(relay: RunningRelay, tmp_path: Path) -> None:
    path = tmp_path / "precious.sock"
    path.write_text("mine")
    with pytest.raises(NetworkError, match="there is something else of that name"):
        ControlSocket(relay.relay, path, [])
    assert path.read_text() == "mine"


@posix_only
def test_a_folder_whose_name_is_long(relay: RunningRelay, tmp_path: Path) -> None:
    folder = tmp_path / ("f" * 120)
    folder.mkdir()
    control = ControlSocket(relay.relay, folder / "c.sock", [TOOL])
    control.start()
    config = replace(relay.config, store=StoreConfig(path=folder / "c.db"))
    connection = connect_to_relay(config)
    assert connection is not None
    with connection:
        assert ask_relay(connection, TOOL, {}) == [{}, True]
    control.stop()


# ---- one beside the other ----


def connected(config: Config) -> socket.socket:
    connection = connect_to_relay(config)
    assert connection is not None
    connection.settimeout(LONG_TIMEOUT_S)
    return connection


def send(connection: socket.socket, tool: str) -> None:
    connection.sendall(json.dumps({"tool": tool, "arguments": {}}).encode() + b"\n")


class Slow:
    """A command that is not done until it is let go. It only looks, if nothing else is said."""

    def __init__(self, tools: dict[str, Tool]) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.tool = Tool("look", "Take one's time.", self._look, show, changes=False)
        self.tools = tools
        tools["look"] = self.tool

    def _look(self, desk: Desk, arguments: Arguments) -> str:
        self.begun.release()
        assert self.go_on.wait(LONG_TIMEOUT_S)
        return "seen"

    def begin(self, config: Config) -> socket.socket:
        """Have it done; return the connection on which its answer will come."""
        connection = connected(config)
        send(connection, self.tool.name)
        assert self.begun.acquire(timeout=LONG_TIMEOUT_S)
        return connection


@pytest.fixture
def slow(relay: RunningRelay) -> Iterator[Slow]:
    assert relay.relay._control is not None
    made = Slow(relay.relay._control._tools)
    yield made
    made.go_on.set()


@posix_only
def test_what_only_looks_keeps_nobody_waiting(relay: RunningRelay, slow: Slow) -> None:
    """As a backup: whoever asks meanwhile how the relay is must not take it for dead."""
    with slow.begin(relay.config) as one, slow.begin(relay.config) as other:
        assert ask(relay, {}) == [{}, True]
        slow.go_on.set()
        assert [json.loads(each.makefile().readline()) for each in (one, other)] == [
            {"result": "seen"}
        ] * 2


@posix_only
def test_changes_are_made_one_after_the_other_and_keep_nobody_waiting_who_looks(
    relay: RunningRelay, slow: Slow
) -> None:
    tools = slow.tools
    tools["look"] = replace(slow.tool, changes=True)
    tools["see"] = replace(TOOL, name="see", changes=False)
    with slow.begin(relay.config) as change, connected(relay.config) as next_change:
        send(next_change, TOOL.name)
        assert ask(relay, {}, tools["see"]) == [{}, True]
        next_change.setblocking(False)
        with pytest.raises(BlockingIOError):
            next_change.recv(1)
        next_change.settimeout(LONG_TIMEOUT_S)
        slow.go_on.set()
        answers = [json.loads(each.makefile().readline()) for each in (change, next_change)]
    assert answers == [{"result": "seen"}, {"result": [{}, True]}]


@posix_only
def test_the_end_of_the_relay_waits_last_for_what_only_looks(
    relay: RunningRelay, slow: Slow, tmp_path: Path
) -> None:
    control = ControlSocket(relay.relay, tmp_path / "c.sock", [slow.tool])
    control.start()
    config = replace(relay.config, store=StoreConfig(path=tmp_path / "c.db"))
    with slow.begin(config) as connection:
        control.stop()
        slow.go_on.set()
        control.wait()
        assert json.loads(connection.makefile().readline()) == {"result": "seen"}


@posix_only
def test_a_client_that_does_not_go_on_keeps_others_waiting_for_a_while_only(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.administration.control._REQUEST_S", 0.05)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(control_path(relay.config)))
        sock.sendall(b"{")
        assert ask(relay, {}) == [{}, True]


# ---- what the log says ----


@posix_only
def test_the_log_tells_what_was_done_and_not_who_has_looked(
    relay: RunningRelay, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert relay.relay._control is not None
    looks = replace(TOOL, name="look", changes=False)
    relay.relay._control._tools["look"] = looks
    ask(relay, {}, looks)
    ask(relay, {})
    run_tool(looks, options(tmp_path, {"want": "output"}, "copy"), relay.config)
    knocking = connect_to_relay(relay.config)
    assert knocking is not None
    knocking.close()  # as restore does
    ask(relay, {})
    told = [text for text in caplog.messages if "administ" in text]
    assert told == [
        f"done for the administrator: {name}" for name in ("test it", "look", "test it")
    ]


# ---- from the console ----


def options(tmp_path: Path, arguments: Any = None, file: str = "") -> argparse.Namespace:
    return argparse.Namespace(arguments=arguments or {}, file=tmp_path / file if file else None)


@posix_only
def test_the_console_gives_the_relay_a_file_to_write(
    relay: RunningRelay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(tmp_path, {"want": "output"}, "out")
    assert run_tool(TOOL, given, relay.config) == 7
    assert (tmp_path / "out").read_bytes() == b"written in the relay"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    assert json.loads(capsys.readouterr().out) == [{"want": "output"}, True]


def test_the_console_works_on_the_files_when_no_relay_runs(
    start_relay: StartRelay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    relay = start_relay()
    relay.account("alice")
    relay.stop()
    run_tool(TOOL, options(tmp_path, {"want": "names"}), relay.config)
    assert json.loads(capsys.readouterr().out) == [["alice", "alice"]]


def test_a_file_that_exists_is_not_touched(relay: RunningRelay, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="out: cannot be made"):
        run_tool(TOOL, options(tmp_path, {}, "out"), relay.config)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_file_that_was_begun_is_gone_after_a_failure(relay: RunningRelay, tmp_path: Path) -> None:
    with pytest.raises(SecureChatError, match="the disk is full"):
        run_tool(TOOL, options(tmp_path, {"want": "refusal"}, "out"), relay.config)
    assert not (tmp_path / "out").exists()


def test_two_relays_do_not_work_on_the_same_files(relay: RunningRelay, tmp_path: Path) -> None:
    """A relay runs whose socket is lost: what would write beside it is refused."""
    control_path(relay.config).unlink()
    with pytest.raises(StoreError, match="in use by another relay"):
        run_tool(TOOL, options(tmp_path, {"want": "names"}), relay.config)
