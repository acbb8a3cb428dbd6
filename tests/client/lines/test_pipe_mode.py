"""Lines from a pipe, with the program as a child process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from securechat.client.lines.pipe_mode import WINDOW_LINES
from tests.client.pty_child import MAIN, ROOT, environment
from tests.client.scripted_server import TIMEOUT_S, Peer, Pki, serving


def run(
    pki: Pki, port: int, *more: str, lines: bytes | int = b""
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--ca", pki.ca_file, "--port", str(port), *more],
        **({"input": lines} if isinstance(lines, bytes) else {"stdin": lines}),  # type: ignore[arg-type]
        capture_output=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_all_lines_are_said_and_acknowledged(pki: Pki) -> None:
    said = []

    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        for number in range(12):
            message = peer.expect("PRIVMSG", "#room")
            said.append(message.params[1])
            if number == 3:
                peer.say("@time=2026-01-02T03:04:05Z :bob!b@h PRIVMSG #room :go on")
            peer.echo(message)
        peer.until_gone()

    lines = [f"/line {number} exit" for number in range(12)]
    with serving(pki, script) as server:
        text = "\r\n".join(lines).replace("exit\r\n", "exit\n\n")
        done = run(pki, server.port, "--nick", "alice", "--join", "#room", lines=text.encode())
    assert (done.returncode, done.stderr) == (0, "")
    assert said == lines
    assert done.stdout == "03:04 <bob> go on\n"
    assert "QUIT leaving" in server.peers[0].heard


@pytest.mark.parametrize("end", ["exit\nnever said\n", " exit \r\nnever said", "exit"])
def test_the_word_exit_on_a_line_ends_it(pki: Pki, end: str) -> None:
    said: list[str] = []

    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room")
        message = peer.expect("PRIVMSG", "#room")
        said.append(message.params[1])
        peer.echo(message)
        peer.until_gone()

    with serving(pki, script) as server:
        text = "exit is a word\n" + end
        done = run(pki, server.port, "--nick", "alice", "--join", "#room", lines=text.encode())
    assert (done.returncode, done.stderr) == (0, "")
    assert said == ["exit is a word"]


def test_a_server_without_any_extension(pki: Pki) -> None:
    """The PONG behind each text acknowledges it."""

    def script(peer: Peer) -> None:
        peer.expect("CAP", "LS")
        peer.say(":irc.test 421 * CAP :Unknown command")
        peer.nick = peer.expect("NICK").params[0]
        peer.expect("USER")
        peer.welcome(isupport="CHANTYPES=#")
        for text in ("one", "two"):
            assert peer.expect("PRIVMSG", "bob").params[1] == text
            peer.pong(peer.expect("PING"))
        peer.until_gone()

    with serving(pki, script) as server:
        done = run(pki, server.port, "--nick", "alice", "--to", "bob", lines=b"one\ntwo")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_refused_line(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.echo(peer.expect("PRIVMSG", "#room"))
        label = peer.expect("PRIVMSG", "#room").tags["label"]
        peer.say(f"@label={label} :irc.test 404 alice #room :Cannot send to channel")
        peer.echo(peer.expect("PRIVMSG", "#room"))
        peer.until_gone()

    with serving(pki, script) as server:
        done = run(pki, server.port, "--nick", "alice", "--to", "#room", lines=b"1\n2\n3\n")
    assert done.returncode == 1
    assert "not delivered to #room: Cannot send to channel" in done.stderr


def test_the_connection_ends_early(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        for _ in range(WINDOW_LINES):
            peer.expect("PRIVMSG", "#room")
        peer.say("ERROR :Server is shutting down")

    with serving(pki, script) as server:
        lines = b"line\n" * 100
        done = run(pki, server.port, "--nick", "alice", "--to", "#room", lines=lines)
    assert done.returncode == 1
    assert "Server is shutting down" in done.stderr


def test_a_room_that_cannot_be_joined(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.expect("JOIN")
        peer.say(":irc.test 473 alice #room :Cannot join channel (+i)")
        peer.until_gone()

    with serving(pki, script) as server:
        done = run(pki, server.port, "--nick", "alice", "--join", "#room", lines=b"x\n")
    assert done.returncode == 1
    assert "cannot join #room: Cannot join channel (+i)" in done.stderr


def test_a_line_that_cannot_be_said(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.echo(peer.expect("PRIVMSG", "bob", "good"))
        peer.until_gone()

    with serving(pki, script) as server:
        done = run(pki, server.port, "--nick", "alice", "--to", "bob", lines=b"a\0b\ngood\n")
    assert done.returncode == 1
    assert "not sent" in done.stderr


def test_no_server(pki: Pki) -> None:
    with serving(pki, Peer.register) as server:
        port = server.port
    done = run(pki, port, "--nick", "alice", "--to", "bob", lines=b"x\n")
    assert done.returncode == 1
    assert "nothing listens on that port" in done.stderr


def test_usage_errors(pki: Pki) -> None:
    done = run(pki, 70000, "--key", "key.pem", lines=b"x\n")
    assert done.returncode == 2
    for problem in ("--port", "--key needs --cert", "--nick is needed", "--join or --to"):
        assert problem in done.stderr
    done = run(pki, 1, "--nick", "a", "--to", "b", "--password-file", "/no/such/file")
    assert done.returncode == 2
    assert "/no/such/file: cannot be read" in done.stderr


def test_an_input_that_cannot_be_read(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.until_gone()

    unreadable = os.open(os.devnull, os.O_WRONLY)
    try:
        with serving(pki, script) as server:
            done = run(pki, server.port, "--nick", "alice", "--to", "bob", lines=unreadable)
    finally:
        os.close(unreadable)
    assert done.returncode == 1
    assert "cannot read the input: Bad file descriptor" in done.stderr
