"""The line mode in a real terminal: a child process on a pty, against a scripted server."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.client.pty_child import Child, on_a_terminal
from tests.client.screen import Screen
from tests.client.scripted_server import TIMEOUT_S, Peer, Pki, Script, ScriptedServer, serving

ALICE = ("--nick", "alice")


@contextlib.contextmanager
def running(
    pki: Pki,
    *scripts: Script,
    flags: Sequence[str] = ALICE,
    term: str = "xterm",
    stdout: int | None = None,
) -> Iterator[tuple[ScriptedServer, Child]]:
    with serving(pki, *scripts) as server:
        arguments = ["--ca", str(pki.ca_file), "--port", str(server.port), *flags]
        with on_a_terminal(*arguments, term=term, stdout=stdout) as child:
            yield server, child


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_conversation(pki: Pki, term: str) -> None:
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        peer.echo(peer.expect("PRIVMSG", "#room"))
        assert go.wait(TIMEOUT_S)
        peer.say(
            "@time=2026-01-02T03:04:05Z :bob!b@h PRIVMSG #room :good \x1b[31mday\x1b]0;evil\x07"
        )
        peer.echo(peer.expect("PRIVMSG", "#room"))
        peer.say(":bob!b@h PRIVMSG alice :psst", ":bob!b@h PART #room :tea")
        peer.until_gone()

    with running(pki, script, flags=(*ALICE, "--join", "#room"), term=term) as (_, child):
        child.wait_for("you joined #room (2 people): alice bob")
        child.wait_for("[#room] ")
        child.type("hello\r")
        child.wait_for("<alice> hello")
        child.type("half a li")
        child.wait_for("half a li")
        go.set()
        child.wait_for("03:04 <bob> good")
        child.wait_for("half a li")  # drawn again below
        child.type("ne\r")
        child.wait_for("<alice> half a line")
        child.wait_for("[private] <bob> psst")
        child.wait_for("<-- bob left #room (1 person): tea")
        child.type("exit\r")
        assert child.wait() == 0
        assert termios.tcgetattr(child.slave)[3] & termios.ECHO
        assert termios.tcgetattr(child.slave)[3] & termios.ICANON
        if term == "dumb":
            assert "\x1b" not in child.output
        screen = Screen()
        screen.write(child.output)
    assert [line[6:] for line in screen.text if line[5:6] == " " and "good" in line] == [
        (
            "<bob> good \N{REPLACEMENT CHARACTER}[31mday\N{REPLACEMENT CHARACTER}]0;evil"
            "\N{REPLACEMENT CHARACTER}"
        )
    ]
    assert screen.last == ""


def test_stopping_and_going_on(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room")
        peer.echo(peer.expect("PRIVMSG", "#room"))
        peer.until_gone()

    with running(pki, script, flags=(*ALICE, "--join", "#room")) as (server, child):
        child.wait_for("you joined")
        child.type("abc")
        child.wait_for("abc")
        child.type("\x1a")  # Ctrl-Z; nobody is there to stop an orphan for, so it goes on
        child.wait_for("abc")
        child.type("def\r")
        child.wait_for("<alice> abcdef")
        child.type("\x03")
        assert child.wait() == 0
        assert termios.tcgetattr(child.slave)[3] & termios.ECHO
    assert "QUIT leaving" in server.peers[0].heard


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(pki: Pki, number: signal.Signals) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.until_gone()

    with running(pki, script) as (server, child):
        child.wait_for("/help lists all commands")
        child.signal(number)
        assert child.wait() == 0
        assert termios.tcgetattr(child.slave)[3] & termios.ECHO
    assert "QUIT leaving" in server.peers[0].heard


def test_the_nick_and_the_password_are_asked_for(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.negotiate("sasl=PLAIN standard-replies batch")
        peer.say(
            ":irc.test FAIL NICK NICKNAME_RESERVED alice :alice is registered; log in to use it",
            ":irc.test 433 * alice :Nickname is registered to somebody",
        )
        peer.expect("AUTHENTICATE", "PLAIN")
        peer.say("AUTHENTICATE +")
        peer.expect("AUTHENTICATE")
        peer.say(":irc.test 904 alice :SASL authentication failed")
        peer.expect("AUTHENTICATE", "PLAIN")
        peer.say("AUTHENTICATE +")
        assert peer.expect("AUTHENTICATE").params == ("AGFsaWNlAHBlbmNpbA==",)
        peer.say(
            ":irc.test 900 alice alice!u@h alice :You are now logged in as alice",
            ":irc.test 903 alice :SASL authentication successful",
        )
        peer.expect("CAP", "END")
        peer.welcome()
        peer.until_gone()

    with running(pki, script, flags=()) as (_, child):
        child.wait_for("Your nick: ")
        child.type("alice\n")
        child.wait_for("Password for alice (empty: take another nick): ")
        child.type("wrong\r")
        child.wait_for("login as alice failed: SASL authentication failed")
        child.wait_for("Password for alice (empty: take another nick): ")
        child.type("pencil\r")
        child.wait_for("you are alice, logged in as alice")
        child.type("\x04")
        assert child.wait() == 0
        assert "pencil" not in child.output
        assert "wrong" not in child.output


def test_registering(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        assert peer.expect("REGISTER").params == ("*", "*", "pencil")
        peer.say(
            ":irc.test REGISTER SUCCESS alice :Account created",
            ":irc.test 900 alice alice!u@h alice :You are now logged in as alice",
        )
        peer.until_gone()

    with running(pki, script) as (server, child):
        child.wait_for("/register keeps the nick alice yours")
        child.type("/register\r")
        child.wait_for("New password for alice: ")
        child.type("pencil\r")
        child.wait_for("The same again: ")
        child.type("pen\r")
        child.wait_for("the passwords differ")
        child.type("/register\rpencil\rpencil\r")
        child.wait_for("the account alice is yours now")
        child.wait_for("logged in as alice")
        child.type("/quit see you\r")
        assert child.wait() == 0
        assert "pencil" not in child.output
    assert "QUIT :see you" in server.peers[0].heard


def test_the_connection_is_lost_and_comes_back(pki: Pki) -> None:
    def first(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        peer.say("ERROR :Server is shutting down")

    def second(peer: Peer) -> None:
        peer.register()
        peer.joins("#room")
        peer.until_gone()

    with running(pki, first, second, flags=(*ALICE, "--join", "#room")) as (_, child):
        child.wait_for("connection lost: Server is shutting down; trying again in")
        child.wait_for("you joined #room (1 person)")
        child.type("exit\r")
        assert child.wait() == 0


@pytest.mark.parametrize("plain", [False, True], ids=["terminal", "plain"])
def test_half_a_password_is_not_said_after_a_lost_connection(pki: Pki, plain: bool) -> None:
    go = threading.Event()

    def first(peer: Peer) -> None:
        peer.register()
        peer.joins("#room")
        assert go.wait(TIMEOUT_S)
        peer.say("ERROR :Server is shutting down")

    def second(peer: Peer) -> None:
        peer.register()
        peer.joins("#room")
        said = peer.expect("PRIVMSG")
        assert said.params == ("#room", "hello")
        peer.echo(said)
        peer.until_gone()

    receiver, sender = os.pipe()
    flags = (*ALICE, "--join", "#room")
    with running(pki, first, second, flags=flags, stdout=sender if plain else None) as (_, child):
        os.close(sender)
        with open(receiver, encoding="utf-8") as output:

            def wait_for(text: str) -> None:
                if plain:
                    assert any(text in line for line in iter(output.readline, ""))
                else:
                    child.wait_for(text)

            wait_for("you joined #room")
            child.type("/register\r")
            wait_for("New password for alice: ")
            child.type("my-secret")
            go.set()
            wait_for("connection lost")
            wait_for("Enter goes on")
            wait_for("you joined #room")
            child.type("-password\rhello\r")
            wait_for("<alice> hello")
            child.type("exit\r")
            assert child.wait() == 0
        if not plain:
            assert "secret" not in child.output
            assert "password\r" not in child.output


def test_a_draft_is_no_answer_to_a_question_and_comes_back(pki: Pki) -> None:
    go = threading.Event()

    def first(peer: Peer) -> None:
        peer.register()
        peer.joins("#room")
        assert go.wait(TIMEOUT_S)
        peer.say("ERROR :Server is shutting down")

    def second(peer: Peer) -> None:
        peer.negotiate("sasl=PLAIN standard-replies batch labeled-response echo-message")
        peer.say(
            ":irc.test FAIL NICK NICKNAME_RESERVED alice :alice is registered; log in to use it",
            ":irc.test 433 * alice :Nickname is registered to somebody",
        )
        peer.expect("AUTHENTICATE", "PLAIN")
        peer.say("AUTHENTICATE +")
        assert peer.expect("AUTHENTICATE").params == ("AGFsaWNlAHBlbmNpbA==",)
        peer.say(
            ":irc.test 900 alice alice!u@h alice :You are now logged in as alice",
            ":irc.test 903 alice :SASL authentication successful",
        )
        peer.expect("CAP", "END")
        peer.welcome()
        peer.joins("#room")
        peer.echo(peer.expect("PRIVMSG", "#room", "half a line"))
        peer.until_gone()

    with running(pki, first, second, flags=(*ALICE, "--join", "#room")) as (_, child):
        child.wait_for("you joined #room")
        child.type("half a li")
        child.wait_for("half a li")
        go.set()
        child.wait_for("Password for alice")
        child.type("pencil\r")
        child.wait_for("logged in as alice")
        child.wait_for("half a li")
        child.wait_for("you joined #room")
        child.type("ne\r")
        child.wait_for("<alice> half a line")
        child.type("exit\r")
        assert child.wait() == 0
        assert "pencil" not in child.output


def test_a_rejected_certificate(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Pki(tmp_path_factory.mktemp("other"))
    with running(pki, Peer.register, flags=(*ALICE, "--ca", str(other.ca_file))) as (_, child):
        assert child.wait() == 2
        assert "not issued by the CA that you trust" in child.output
        assert "--ca" in child.output


def test_a_screen_that_is_no_terminal(pki: Pki) -> None:
    """Whole lines as the system edits them, nothing but lines out."""

    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        peer.echo(peer.expect("PRIVMSG", "#room", "hello"))
        peer.until_gone()

    receiver, sender = os.pipe()
    flags = (*ALICE, "--join", "#room")
    with running(pki, script, flags=flags, stdout=sender) as (_, child):
        os.close(sender)
        with open(receiver, encoding="utf-8") as output:
            lines = iter(output.readline, "")
            assert next(line for line in lines if "you joined #room" in line)
            child.type("hello\n")
            assert next(line for line in lines if "<alice> hello" in line)
            child.type("/register\n")
            assert next(lines) == "New password for alice: (it will be visible)\n"
            child.type("\n")
            assert "not registered" in next(lines)
            child.type("exit\n")
            assert list(lines) == []
        assert child.wait() == 0
