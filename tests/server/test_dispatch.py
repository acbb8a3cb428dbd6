"""The command table, and the checks that commands share."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from securechat.irc.message import Message
from securechat.server import commands as command_modules
from securechat.server.commands import COMMANDS
from securechat.server.context import Context
from securechat.server.dispatch import Command, build_table, command, dispatch
from securechat.server.events import GrantOperator, SetAway, Stamp
from tests.server.relay_harness import RunningRelay


def module(**entries: object) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(entries)
    return made


def entry(name: str, **options: Any) -> Command:
    @command(name, **options)
    def handler(context: Context, message: Message) -> None:
        """SAY <text>.

        Say it,
        again.
        """

    return handler


# ---- the table ----


def test_an_entry_holds_what_was_recorded() -> None:
    made = entry("SAY", least=1, early=True)
    assert (made.name, made.least, made.early, made.operator) == ("SAY", 1, True, False)
    assert made.syntax == "SAY <text>"
    assert made.help == "Say it,\nagain."


def test_the_table_has_the_entries_of_all_modules_and_nothing_else() -> None:
    one, two = entry("ONE"), entry("TWO")
    table = build_table([module(a=one, b="ONE", c=len), module(d=two)])
    assert table == {"ONE": one, "TWO": two}


def test_a_name_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="two handlers for SAY"):
        build_table([module(a=entry("SAY")), module(b=entry("SAY"))])
    with pytest.raises(ValueError, match="two handlers for SAY"):
        build_table([module(a=entry("SAY"), b=entry("SAY"))])


def test_the_modules_of_the_package_are_all_in_the_table() -> None:
    found = {
        entry.name
        for part in vars(command_modules).values()
        if isinstance(part, ModuleType)
        for entry in vars(part).values()
        if isinstance(entry, Command)
    }
    assert found == set(COMMANDS)


def test_the_table_has_the_commands_of_the_relay() -> None:
    names = """
        NICK USER PASS PING PONG QUIT JOIN PART PRIVMSG NOTICE TOPIC NAMES LIST WHO WHOIS MODE
        KICK INVITE AWAY MOTD LUSERS VERSION TIME INFO HELP ISON USERHOST CAP AUTHENTICATE
        REGISTER VERIFY SETNAME TAGMSG OPER
    """
    assert set(COMMANDS) >= set(names.split())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_syntax_and_help(name: str) -> None:
    made = COMMANDS[name]
    assert made.name == name == name.upper()
    assert made.syntax.split(" ")[0] == name
    assert made.help.endswith(".")
    assert not made.help.startswith(name)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_syntax_names_as_many_parameters_as_are_needed(name: str) -> None:
    """The alternative with the fewest: what is in brackets may be left out."""
    syntax = re.sub("<[^>]*>", "x", COMMANDS[name].syntax).removeprefix(name)
    assert COMMANDS[name].least <= min(map(_needed, syntax.split(" | ")))


def _needed(syntax: str) -> int:
    depth, count = 0, 0
    for word in syntax.split():
        depth += word.count("[")
        count += depth == 0
        depth -= word.count("]")
    return count


# ---- the shared checks ----


def test_an_unknown_command(relay: RunningRelay) -> None:
    client = relay.connect()
    assert client.ask("NONSENSE x") == ["451 * :You have not registered"]
    client.register("alice")
    assert client.ask("NONSENSE x") == ["421 alice NONSENSE :Unknown command"]


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if not COMMANDS[name].early))
def test_commands_that_are_not_early_wait_for_the_registration(
    relay: RunningRelay, name: str
) -> None:
    assert relay.connect().ask(f"{name} a b c d") == ["451 * :You have not registered"]


def test_too_few_parameters(relay: RunningRelay) -> None:
    client = relay.join("alice")
    needing = {name: made.least for name, made in COMMANDS.items() if made.least}
    assert len(needing) > 8
    for name, least in needing.items():
        parameters = " x" * (least - 1)
        answers = client.ask(f"{name}{parameters}")
        assert answers == [f"461 alice {name} :Not enough parameters"]


def add(relay: RunningRelay, handler: Callable[[Context], None], **options: Any) -> None:
    """Give the relay a command TEST; for sessions that connect from now on."""

    @command("TEST", **options)
    def test(context: Context, message: Message) -> None:
        handler(context)

    services = relay.relay.services
    relay.relay.services = dataclasses.replace(services, commands={**COMMANDS, "TEST": test})


def test_commands_for_operators(relay: RunningRelay) -> None:
    add(relay, lambda context: context.reply("300", "done"), operator=True)
    client = relay.join("alice")
    assert client.ask("TEST") == ["481 alice :Permission denied: you're not an IRC operator"]
    with relay.relay.services.lock:
        network = relay.relay.services.network
        (session,) = network.nicks["alice"].sessions
        network.apply(GrantOperator(Stamp(session, 0, "id")))
    assert client.ask("TEST") == ["300 alice done"]


def test_a_handler_that_crashes_ends_the_command_and_not_the_session(
    relay: RunningRelay, caplog: pytest.LogCaptureFixture
) -> None:
    relay.may_log_errors = True

    def crash(context: Context) -> None:
        context.send("NOTICE", "alice", "so far")
        raise RuntimeError("a bug of ours")

    add(relay, crash)
    alice, bob = relay.join("alice"), relay.join("bob")
    answers = alice.ask("TEST secret", "JOIN #den")
    assert answers[:2] == [
        "NOTICE alice :so far",
        "400 alice TEST :Internal error; it has been logged",
    ]
    assert ":alice JOIN #den" in answers, "the next command is done"
    assert ":bob JOIN #den" in bob.ask("JOIN #den"), "the lock is free"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "TEST failed"
    assert record.exc_info is not None
    assert "a bug of ours" in caplog.text
    assert "secret" not in caplog.text


def test_a_crash_is_the_answer_to_its_label(relay: RunningRelay) -> None:
    relay.may_log_errors = True

    def crash(context: Context) -> None:
        raise RuntimeError("a bug of ours")

    add(relay, crash)
    alice = relay.join("alice", "labeled-response", "batch")
    alice.ask("@label=x TEST")
    assert b"@label=x :relay.test 400 alice TEST :Internal error; it has been logged" in alice.lines


def test_a_held_command_goes_on_on_the_sessions_thread_and_the_lines_after_it_wait(
    relay: RunningRelay,
) -> None:
    held: list[Context] = []

    def hold(context: Context) -> None:
        context.hold()
        held.append(context)

    add(relay, hold)
    alice, bob = relay.join("alice"), relay.join("bob")
    alice.send("TEST", "AWAY :later")
    bob.send("PRIVMSG alice :are you there")
    bob.sync()  # other sessions go on
    alice.expect("PRIVMSG")  # and she gets what others send
    (context,) = held
    assert relay.relay.services.network.nicks["alice"].away == ""

    def finish() -> None:
        context.propose(SetAway(context.stamp(), "held"), lambda: context.reply("300", "on"))

    context.resume(finish)
    assert alice.read().params[-1] == "on"
    assert alice.expect("306").params[0] == "alice"
    assert bob.ask("PRIVMSG alice :x") == ["301 bob alice later"]


def test_a_crash_after_a_hold_is_answered_too(relay: RunningRelay) -> None:
    relay.may_log_errors = True
    held: list[Context] = []

    def hold(context: Context) -> None:
        context.hold()
        held.append(context)

    def crash() -> None:
        raise RuntimeError("a bug of ours")

    add(relay, hold)
    alice, bob = relay.join("alice"), relay.join("bob")
    alice.send("TEST", "PING x")
    bob.send("PRIVMSG alice :x")
    alice.expect("PRIVMSG")
    held[0].resume(crash)
    assert alice.read().command == "400"
    assert alice.read().command == "PONG"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (
            b"PRIVMSG bob :\xff",
            "FAIL PRIVMSG INVALID_UTF8 :Message rejected, your client must use UTF-8",
        ),
        (b"PING " + b"x" * 600, "417 alice :Input line was too long"),
        (b"@" + b"x" * 5000 + b" PING x", "417 alice :Input line was too long"),
    ],
)
def test_lines_that_are_none(relay: RunningRelay, line: bytes, answer: str) -> None:
    client = relay.join("alice")
    client.send_bytes(line + b"\r\n")
    assert client.seen() == [answer]


def test_the_label_of_a_long_line(relay: RunningRelay) -> None:
    """ "the server MUST include the same tag and value in any response required from this message
    where it is feasible to do so": where the tags themselves were not too long"""
    alice = relay.join("alice", "labeled-response", "batch")
    for tags, label in (
        ("label=x", "x"),
        ("+y=z;label=x", "x"),
        ("label=" + "x" * 65, None),
        ("label=x;+y=" + "z" * 4095, None),
    ):
        (found,) = alice.collect(f"@{tags} PING {'x' * 600}")
        assert (found.command, found.tags.get("label")) == ("417", label)
    alice.send_bytes(b"@label=\xff PING " + b"x" * 600 + b"\r\n")
    assert [message.tags for message in alice.sync()] == [{}]


NO_COMMAND = "400 alice * :a message needs a command"
NUL = "400 alice * :a message must not contain NUL, CR or LF"
PONG = "PONG relay.test x"


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        (b"\0", [NUL]),
        (b"PING a\0b", [NUL]),
        (b":x", [NO_COMMAND]),
        (b":", [NO_COMMAND]),
        (b"@a=b", [NO_COMMAND]),
        (b":a  ", [NO_COMMAND]),
        (b"P\xc3\xa9 x", ["421 alice PÉ :Unknown command"]),
        (b"hello, all", ["421 alice HELLO, :Unknown command"]),
        (b"PING\tx", [NO_COMMAND]),
        (b"  ", [NO_COMMAND]),
        (b"", []),
        (b"@ PING x", [PONG]),
        (b"@a=b PING x", [PONG]),
        (b":bob PING x", [PONG]),
        (b"ping x", [PONG]),
        (b"123 x", ["421 alice 123 :Unknown command"]),
    ],
)
def test_odd_lines(relay: RunningRelay, line: bytes, answers: list[str]) -> None:
    client = relay.join("alice")
    client.send_bytes(line + b"\r\n")
    assert client.seen() == answers


def test_a_line_that_comes_too_late_is_not_acknowledged(relay: RunningRelay) -> None:
    alice = relay.join("alice", "labeled-response", "batch", "echo-message")
    session = relay.session("alice")

    def end_before_the_line() -> None:
        session.close_soon("Enough")
        dispatch(relay.relay.services, session, b"@label=x PRIVMSG alice :late")

    relay.run_on(session, end_before_the_line)
    assert alice.read_to_end() == ["ERROR :Closing link: Enough"]
