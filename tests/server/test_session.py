"""Bad input, floods, clients that do not read: only the one who does it is concerned."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import random
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from securechat.irc.message import Message
from securechat.net.connection import Connection
from securechat.net.tls import unverified_context
from securechat.net.tls_pipe import TlsPipe
from securechat.server.commands import COMMANDS
from securechat.server.context import PIECE_LINES, Context
from securechat.server.session import SPELL_S
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Closed, FakeClock, RunningRelay, commands, short

TOO_LONG = "417 ann :Input line was too long"


# ---- lines ----


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_line_ends(relay: RunningRelay, end: bytes) -> None:
    """ "servers SHOULD (…) be able to handle CR or LF alone as a line end" """
    client = relay.connect()
    client.send_bytes(end.join([b"PING one", b"", b"  ", b"PING two", b""]))
    found = [message for message in client.sync() if message.command == "PONG"]
    assert [message.params[1] for message in found] == ["one", "two"]


def test_empty_lines_are_ignored(relay: RunningRelay) -> None:
    """ "Empty messages are silently ignored" """
    client = relay.join("ann")
    client.send_bytes(b"\r\n\n\r\r\n" * 20_000)
    assert client.sync() == []


def test_a_line_of_512_bytes(relay: RunningRelay) -> None:
    """ "messages (…) 512 bytes in length, counting all characters including the trailing CR-LF"."""
    client = relay.join("ann")
    token = "x" * (510 - len("PING "))
    client.send(f"PING {token}")
    assert client.read().command == "PONG"
    assert client.ask(f"PING {token}x") == [TOO_LONG]


@pytest.mark.parametrize("size", [511, 5_000, 200_000])
def test_a_long_line_is_refused_and_the_next_works(relay: RunningRelay, size: int) -> None:
    """ERR_INPUTTOOLONG, once for the line, however long."""
    client = relay.join("ann")
    assert client.ask("PRIVMSG ann :" + "x" * size) == [TOO_LONG]
    assert client.ask("ISON ann") == ["303 ann ann"]
    client.send_bytes(b"x" * size)
    assert client.ask("", "ISON ann") == [TOO_LONG, "303 ann ann"]


def test_a_long_line_before_registration(relay: RunningRelay) -> None:
    assert relay.connect().ask("x" * 600) == ["417 * :Input line was too long"]


def test_invalid_utf8(relay: RunningRelay) -> None:
    """utf8-only: "FAIL <command> INVALID_UTF8"; the message is not delivered."""
    ann, bob = together(relay, "ann", "bob")
    wanted = "FAIL PRIVMSG INVALID_UTF8 :Message rejected, your client must use UTF-8"
    for data in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"):
        ann.send_bytes(b"PRIVMSG #a :" + data + b"\r\n")
        assert ann.seen() == [wanted]
    ann.send_bytes(b"@+x=\xff PRIVMSG #a :x\r\n")
    assert ann.seen() == [wanted]
    assert bob.seen() == []


def test_invalid_utf8_is_answered_by_label(relay: RunningRelay) -> None:
    """standard-replies: "This message SHOULD also be given a label, if one was provided by the
    client". message-tags: "SHOULD NOT substitute replacement bytes in place of invalid data" """
    ann = relay.join("ann", "labeled-response", "batch")
    for data, command, tags in (
        (b"@label=l PRIVMSG ann :\xff", "PRIVMSG", {"label": "l"}),
        (b"@label=\xff PRIVMSG ann :x", "PRIVMSG", {}),
        (b"@label=l NONSENSE \xff", "*", {"label": "l"}),
        (b"@label=l \xff", "*", {"label": "l"}),
    ):
        ann.send_bytes(data + b"\r\n")
        (answer,) = ann.sync()
        assert (answer.command, *answer.params[:2]) == ("FAIL", command, "INVALID_UTF8")
        assert answer.tags == tags


def test_utf8_over_a_cut(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    for byte in "PRIVMSG ann :é日😀\r\n".encode():
        ann.send_bytes(bytes([byte]))
    assert ann.seen() == [":ann PRIVMSG ann é日😀"]


def test_nul(relay: RunningRelay) -> None:
    """ "NUL (…) not allowed within messages" """
    ann, bob = together(relay, "ann", "bob")
    assert ann.ask("PRIVMSG #a :a\0b") == ["400 ann * :a message must not contain NUL, CR or LF"]
    assert bob.seen() == []


@pytest.mark.parametrize("line", [":", ":x", "@", "@x", "@x :y", ":x  "])
def test_lines_without_a_command(relay: RunningRelay, line: str) -> None:
    """A standard reply to those who take "arbitrary" ones; its code is of no specification."""
    ann = relay.join("ann")
    text = ":a message needs a command"
    assert ann.ask(line) == [f"400 ann * {text}"]
    ann.request("standard-replies")
    assert ann.ask(line) == [f"FAIL * INVALID_MESSAGE {text}"]
    assert ann.ask("  ISON   ann  ") == ["303 ann ann"]


def test_hundreds_of_parameters(relay: RunningRelay) -> None:
    """ "Servers MUST parse any number of parameters" """
    ann = relay.join("ann")
    for name in COMMANDS:
        if name not in ("QUIT", "PING"):
            ann.send(f"{name} {'a ' * 240}")
    assert "400" not in commands(ann.seen())


# ---- any bytes ----

words = st.sampled_from(
    [*COMMANDS, "ann", "other", "#a", "#b", "*", ":", "@label=x", "@+a=b;c", "+o", "-b", "+k", "0",
     "302", "LS", "REQ", "END", "PLAIN", "+", ",", "#a,#b", "é", "\0", "\x01", "sasl", "-", "",
     "echo-message labeled-response batch", "x" * 400]
)  # fmt: skip
lines = st.lists(words, max_size=8).map(lambda parts: (" ".join(parts) + "\r\n").encode())
pieces = st.lists(st.binary(max_size=600) | lines | lines | lines, max_size=30)


@pytest.mark.parametrize("registered", [True, False])
def test_any_bytes_get_an_answer_or_an_error(relay: RunningRelay, registered: bool) -> None:
    """Bad input, cut anywhere: an answer or an ERROR, never a traceback (the fixture looks), never
    a stall for others."""
    other = relay.join("other")
    other.ask("JOIN #a", "JOIN #b")
    numbers = itertools.count()  # a nick may have been registered by chance

    @given(pieces, st.randoms(use_true_random=False))
    @hypothesis_settings(max_examples=60)
    def throw(sent: list[bytes], chance: random.Random) -> None:
        client = relay.connect()
        if registered:
            client.register(
                f"ann{next(numbers)}", *chance.sample(["batch", "setname", "echo-message"], 2)
            )
        data = b"".join(sent)
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(4)) if data else []
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            client.send_bytes(data[start:end])
        try:
            client.send("", "PING the-end")
            client.expect("PONG", "relay.test", "the-end")
        except (Closed, OSError):
            assert any(line.startswith(b"ERROR ") for line in client.lines)
        client.quit()
        other.sync()

    throw()


# ---- floods ----


def test_a_flood_is_delayed(start_relay: StartRelay, clock: FakeClock) -> None:
    """Over the token bucket lines wait; TIME tells when each was done."""
    relay = start_relay(
        clock=clock, wall_clock=clock, limits={"commands_per_s": 4.0, "command_burst": 16}
    )
    ann, bob = relay.join("ann"), relay.join("bob")  # four commands each
    ann.send(*["TIME"] * 20)
    start = int(clock.now)

    def done(number: int) -> list[int]:
        return [int(ann.expect("391").params[2]) - start for _ in range(number)]

    assert done(12) == [0] * 12
    assert bob.ask("ISON ann") == ["303 bob ann"]
    clock.now += 1
    relay.wake()
    assert done(4) == [1] * 4
    clock.now += 1
    relay.wake()
    assert done(4) == [2] * 4


def test_a_flood_over_the_queue_ends(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "Excess Flood" is among the reasons of Modern IRC; nothing of the rest is done."""
    relay = start_relay(
        clock=clock,
        limits={"commands_per_s": 4.0, "command_burst": 16, "input_queue_bytes": 4_608},
    )
    (bob,) = together(relay, "bob")
    ann = relay.join("ann")
    ann.ask("JOIN #a")
    bob.sync()
    ann.send(*["PRIVMSG #a :" + "x" * 400] * 30)
    assert ann.read_to_end() == ["ERROR :Closing link: Excess Flood"]
    assert bob.expect("QUIT").params == ("Excess Flood",)


class _BusyClock(FakeClock):
    """Whatever is done between two looks at it takes a moment."""

    def __call__(self) -> float:
        self.now += SPELL_S / 4
        return self.now


def test_what_waits_for_others_to_have_their_turn_is_no_flood(start_relay: StartRelay) -> None:
    """Many lines at once are handled a few at a time. Only those that wait for tokens count."""
    relay = start_relay(clock=_BusyClock(), limits={"input_queue_bytes": 4_608})
    ann = relay.join("ann")
    found = ann.ask(*[f"TIME :{'x' * 80}" for _ in range(200)])
    assert commands(found) == ["402"] * 200


@pytest.mark.parametrize(
    "before", [["JOIN #a"], ["TIME x"] * 30, [f"JOIN {','.join(f'#{n}' for n in range(30))},#a"]]
)
def test_who_leaves_at_once_is_heard_to_the_end(start_relay: StartRelay, before: list[str]) -> None:
    """What was said before the end is done before it, though others have had their turn."""
    relay = start_relay(clock=_BusyClock())
    bob = relay.join("bob")
    bob.ask("JOIN #a")
    pipe = TlsPipe(unverified_context([]), server_side=False)
    wire = relay.connect_tcp()
    pipe.start()
    wire.sendall(pipe.take())
    while not pipe.handshake_done:
        pipe.receive(wire.recv(65_536))
        wire.sendall(pipe.take())
    lines = ["NICK eve", "USER e 0 * e", *before, "PRIVMSG bob :last word"]
    pipe.send("".join(f"{line}\r\n" for line in lines).encode())
    pipe.close()
    wire.sendall(pipe.take())
    assert bob.expect("PRIVMSG").params[1] == "last word"
    wire.close()


def test_an_answer_that_takes_long_is_made_in_pieces(
    start_relay: StartRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[Connection] = []
    when_sent = Connection.when_sent

    def count(connection: Connection, callback: Callable[[], None]) -> None:
        pieces.append(connection)
        when_sent(connection, callback)

    relay = start_relay(clock=_BusyClock())
    ann = relay.join("ann")
    ann.ask(f"JOIN {','.join(f'#{number}' for number in range(40))}")
    monkeypatch.setattr(Connection, "when_sent", count)
    assert commands(ann.ask("LIST")) == ["321", *["322"] * 40, "323"]
    assert len(pieces) > 4
    assert PIECE_LINES > 40


def test_a_client_that_does_not_read(start_relay: StartRelay) -> None:
    """Only it is closed; others see why."""
    relay = start_relay(limits={"sendq_bytes": 65_536})
    ann, bob, carl = together(relay, "ann", "bob", "carl")
    bob.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    lines = [f"PRIVMSG bob :{'x' * 400}"] * 500
    while not (seen := carl.seen()):
        ann.collect(*lines)
    assert seen == [":bob QUIT :SendQ exceeded"]
    ann.sync()
    assert ann.ask("ISON bob carl") == ["303 ann carl"]
    bob.sock.close()


def test_a_handler_with_a_bug(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ERR_UNKNOWNERROR: "Indicates that the given command/subcommand could not be processed."; it
    ends the command, not the session."""
    relay.may_log_errors = True

    def fail(context: Context, message: Message) -> None:
        raise ZeroDivisionError

    entry = dataclasses.replace(COMMANDS["TIME"], handler=fail)
    monkeypatch.setitem(COMMANDS, "TIME", entry)  # type: ignore[arg-type]
    ann = relay.join("ann", "labeled-response", "batch")
    (answer,) = ann.collect("@label=x TIME")
    assert short(answer) == "400 ann TIME :Internal error; it has been logged"
    assert answer.tags == {"label": "x"}
    assert ann.ask("ISON ann") == ["303 ann ann"]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
