"""HELP and HELPOP: what the relay understands."""

from __future__ import annotations

import pytest

from securechat.irc.modes import CHANNEL_MODES, PREFIXES, USER_MODES
from securechat.server.commands import COMMANDS
from securechat.server.help_topics import (
    CHANNEL_MODE_TEXTS,
    RANK_TEXTS,
    TOPICS,
    USER_MODE_TEXTS,
)
from tests.server.relay_harness import RunningRelay, commands


def test_help(relay: RunningRelay) -> None:
    """ "a single RPL_HELPSTART message, then arbitrarily many RPL_HELPTXT messages, then a single
    RPL_ENDOFHELP." "the first RPL_HELPTXT message SHOULD be empty." """
    for client in (relay.connect(), relay.join("ann")):
        nick = client.nick or "*"
        found = client.ask("HELP")
        assert found[:2] == [f"704 {nick} * :The commands of this relay", f"705 {nick} * :"]
        assert found[-1] == f"706 {nick} * :HELP <command or topic> tells more."
        assert set(commands(found[1:-1])) == {"705"}
        words = {word for line in found for word in line.split()}
        assert set(COMMANDS) <= {word.lstrip(":") for word in words}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_each_command(relay: RunningRelay, name: str) -> None:
    """ "Servers typically have documentation for most of the IRC commands they support." """
    found = relay.connect().ask(f"HELP {name.lower()}")
    assert commands(found)[0] == "704"
    assert commands(found)[-1] == "706"
    assert len(found) >= 3
    assert found[0].split(" ")[1:3] == ["*", name]
    assert name in found[0].split(" ", 3)[3]
    assert found[1] == f"705 * {name} :"


def test_no_help(relay: RunningRelay) -> None:
    """ "a single ERR_HELPNOTFOUND message" """
    ann = relay.join("ann")
    assert ann.ask("HELP nonsense") == ["524 ann nonsense :No help available on this topic"]
    assert ann.ask("HELP :unknown subject") == ["524 ann * :No help available on this topic"]


def test_helpop(relay: RunningRelay) -> None:
    """ "the client may try sending the HELPOP command (with the same syntax specified here)" """
    ann = relay.join("ann")
    for subject in ("", " PRIVMSG", " modes", " nonsense"):
        assert ann.ask(f"HELPOP{subject}") == ann.ask(f"HELP{subject}")


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_topics(relay: RunningRelay, name: str) -> None:
    """ "Servers MAY define any <subject> they want." """
    found = relay.connect().ask(f"HELP {name.lower()}")
    topic = TOPICS[name]
    assert len(found) == len(topic.lines) + 2
    assert found[0] == f"704 * {name} :{topic.title}"
    assert found[1] == f"705 * {name} :"
    assert commands(found)[1:] == ["705"] * len(topic.lines) + ["706"]
    assert found[-1].endswith(topic.lines[-1])


def test_every_mode_is_explained() -> None:
    """What is announced must be told of, and nothing else."""
    channel = CHANNEL_MODES.isupport().replace(",", "")
    assert set(channel) <= set(CHANNEL_MODE_TEXTS)
    assert set(USER_MODES.flag) == set(USER_MODE_TEXTS)
    assert set(PREFIXES) <= set(RANK_TEXTS)
    told = {line[1] for line in TOPICS["MODES"].lines if line.startswith("+")}
    assert told == set(channel)
    assert len(TOPICS["RANKS"].lines) == len(PREFIXES)


def test_unknown_commands(relay: RunningRelay) -> None:
    """ "If a command is not implemented, it MUST return the ERR_UNKNOWNCOMMAND numeric." """
    ann = relay.join("ann")
    for name in ("NONSENSE", "SQUIT", "001", "x"):
        assert ann.ask(f"{name} x") == [f"421 ann {name.upper()} :Unknown command"]
