"""OPER, KILL, WALLOPS, REHASH: who is an operator of the relay, and what operators may do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from securechat.errors import ConfigError
from securechat.server.caretaker import CaretakerBusy
from securechat.server.config import Config
from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, FakeClock, RunningRelay, commands

# ---- OPER ----


def test_oper(start_relay: StartRelay) -> None:
    """ "the RPL_YOUREOPER message is sent to the user. The user will also receive a MODE message
    indicating their new user modes" """
    ann = with_operator(start_relay).join("ann")
    assert ann.ask("OPER root :toor toor") == [
        ":ann MODE ann +o",
        "381 ann :You are now an IRC operator",
    ]
    assert "313 ann ann :is an IRC operator" in ann.ask("WHOIS ann")
    assert ann.ask("MODE ann") == ["221 ann +o"]
    assert ann.ask("MODE ann -o") == [":ann MODE ann -o"]
    assert ann.ask("MODE ann +o") == []
    assert ann.ask("MODE ann") == ["221 ann +"]


def test_oper_refused(start_relay: StartRelay) -> None:
    """ "If the client does not send the correct password for the given name, the server replies
    with an ERR_PASSWDMISMATCH message and the request is not successful." """
    ann = with_operator(start_relay).join("ann")
    mismatch = "464 ann :Password incorrect"
    assert ann.ask("OPER root wrong") == [mismatch]
    assert ann.ask("OPER nobody :toor toor") == [mismatch]
    assert ann.ask("OPER ROOT :toor toor") == [mismatch]
    assert ann.ask("OPER root :") == [mismatch]
    assert ann.ask("OPER root") == ["461 ann OPER :Not enough parameters"]
    assert ann.ask("MODE ann") == ["221 ann +"]


def test_oper_is_throttled(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = with_operator(start_relay, clock=clock, accounts={"failures_per_minute": 3})
    ann = relay.join("ann")
    for _ in range(3):
        assert commands(ann.ask("OPER root wrong")) == ["464"]
    assert ann.ask("OPER root :toor toor") == ["464 ann :Too many failed logins; wait a minute"]
    clock.now += 20
    assert "381" in commands(ann.ask("OPER root :toor toor"))


def test_no_operator_block(relay: RunningRelay) -> None:
    """ERR_NOOPERHOST: "the server has not been configured to allow connections from this client's
    host to become an operator"."""
    ann = relay.join("ann")
    text = "No operators are configured for your host"
    assert ann.ask("OPER root :toor toor") == [f"491 ann :{text}"]


# ---- KILL ----


def test_kill(start_relay: StartRelay) -> None:
    """ "the client being killed receives the KILL message, and the <source> of the message SHOULD
    be the operator who performed the command. The user being killed and every user sharing a
    channel with them receives a QUIT message (…) The user being killed then receives the ERROR
    message (…) After this, their connection is closed." """
    relay = with_operator(start_relay)
    ann, bob, root = relay.join("ann"), relay.join("bob"), as_operator(relay.join("root"))
    ann.ask("JOIN #a")
    bob.ask("JOIN #a")
    ann.sync()
    assert root.ask("KILL ann :no spam") == []
    assert ann.read_to_end() == [
        ":root KILL ann :no spam",
        ":ann QUIT :Killed (root (no spam))",
        "ERROR :Closing link: Killed (root (no spam))",
    ]
    assert bob.seen() == [":ann QUIT :Killed (root (no spam))"]
    assert root.ask("KILL ann :again") == ["401 root ann :No such nick/channel"]
    relay.join("ann").ask("JOIN #a")
    assert commands(bob.seen()) == ["JOIN"]


def test_kill_ends_every_device(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    desk = relay.account("ann")
    phone = relay.login("ann")
    root = as_operator(relay.join("root"))
    root.ask("KILL ann")
    for device in (desk, phone):
        device_lines = device.read_to_end()
        assert commands(device_lines)[-3:] == ["KILL", "QUIT", "ERROR"]
        assert device_lines[-3] == ":root KILL ann :No reason was given"
    assert "401" in commands(root.ask("WHOIS ann"))


def test_an_operator_may_kill_themselves(start_relay: StartRelay) -> None:
    root = as_operator(with_operator(start_relay).join("root"))
    root.send("KILL root :enough", "PRIVMSG root :not any more")
    assert commands(root.read_to_end()) == ["KILL", "QUIT", "ERROR"]


def test_kill_of_a_session_that_waits_for_a_login(start_relay: StartRelay) -> None:
    """What it waited for comes to nothing."""
    relay = with_operator(start_relay)
    ann, root = relay.join("ann"), as_operator(relay.join("root"))
    ann.send("OPER root :wrong password", "PRIVMSG root :x")
    root.ask("KILL ann :enough")
    assert commands(ann.read_to_end())[-3:] == ["KILL", "QUIT", "ERROR"]


def test_refused_kills(start_relay: StartRelay) -> None:
    """ERR_NOPRIVILEGES, ERR_NEEDMOREPARAMS, ERR_CANTKILLSERVER."""
    relay = with_operator(start_relay)
    ann, root = relay.join("ann"), as_operator(relay.join("root"))
    denied = "481 ann :Permission denied: you're not an IRC operator"
    assert ann.ask("KILL root :x", "KILL ann :x", "KILL nobody :x") == [denied] * 3
    assert root.ask("KILL") == ["461 root KILL :Not enough parameters"]
    assert root.ask(f"KILL {NAME} :x") == ["483 root :You can't kill a server"]
    assert root.ask("MODE root -o")[-1:] == [":root MODE root -o"]
    assert commands(root.ask("KILL ann :x")) == ["481"]


# ---- WALLOPS ----


def test_wallops(start_relay: StartRelay) -> None:
    """ "send a message to all currently connected users who have set the 'w' user mode for
    themselves." """
    relay = with_operator(start_relay)
    ann, bob, root = relay.join("ann"), relay.join("bob"), as_operator(relay.join("root"))
    ann.ask("MODE ann +w")
    assert root.ask("WALLOPS :hi everyone") == []
    assert ann.seen() == [":root WALLOPS :hi everyone"]
    assert bob.seen() == []
    root.ask("MODE root +w")
    assert root.ask("WALLOPS hello") == [":root WALLOPS hello"]


def test_refused_wallops(start_relay: StartRelay) -> None:
    """ERR_NEEDMOREPARAMS, ERR_NOPRIVILEGES; "The <text> SHOULD be non-empty." """
    relay = with_operator(start_relay)
    ann, root = relay.join("ann"), as_operator(relay.join("root"))
    assert commands(ann.ask("WALLOPS :x")) == ["481"]
    assert root.ask("WALLOPS", "WALLOPS :") == ["461 root WALLOPS :Not enough parameters"] * 2


# ---- the tag ----


def test_oper_tag(start_relay: StartRelay) -> None:
    """ "The tag MUST be added by the ircd to all commands sent by a user (e.g. PRIVMSG, MODE,
    NOTICE, and all others) and SHOULD be added to any numeric replies sent on behalf of the user."
    Its name: "MUST be named draft/oper"."""
    relay = with_operator(start_relay)
    root = as_operator(relay.join("root", "draft/oper-tag", "echo-message"))
    ann, bob = relay.join("ann", "draft/oper-tag"), relay.join("bob", "message-tags")
    for client in (root, ann, bob):
        client.ask("JOIN #a")
    for client in (root, ann, bob):
        client.sync()
    echoes = root.collect(
        "PRIVMSG #a :x",
        "NOTICE ann :x",
        "TOPIC #a :x",
        "MODE #a +v root",
        "NICK chief",
        "PART #a",
        "JOIN #a",
    )
    seen = ann.sync()
    wanted = ["PRIVMSG", "NOTICE", "TOPIC", "MODE", "NICK", "PART", "JOIN"]
    assert [message.command for message in seen] == wanted
    assert {m.tags.get("draft/oper") for m in [*seen, *echoes]} == {""}
    assert not any("draft/oper" in message.tags for message in bob.sync())
    (answer,) = root.collect("TOPIC #none")
    assert answer.tags == {"draft/oper": ""}
    root.ask("MODE chief -o")
    root.ask("PRIVMSG #a :y")
    assert ann.sync()[-1].tags == {}
    ann.ask("PRIVMSG root :x")
    assert ann.collect("TOPIC #none")[0].tags == {}


@pytest.mark.parametrize("cap", ["message-tags", "draft/oper-tag"])
def test_no_tag_for_others(start_relay: StartRelay, cap: str) -> None:
    relay = with_operator(start_relay)
    ann = relay.join("ann", cap)
    relay.join("bob").ask("PRIVMSG ann :x")
    assert not any("draft/oper" in message.tags for message in ann.sync())


# ---- REHASH ----


def rehashing(start_relay: StartRelay, load: Callable[[], Config]) -> RunningRelay:
    return with_operator(start_relay, load_config=load)


def test_rehash(start_relay: StartRelay) -> None:
    """ "force the local server to re-read and process its configuration file"; RPL_REHASHING:
    "<client> <config file> :Rehashing"."""
    wanted: list[Config] = []
    relay = rehashing(start_relay, lambda: wanted[0])
    server = dataclasses.replace(relay.config.server, motd="Be kind.")
    wanted.append(dataclasses.replace(relay.config, server=server))
    root = as_operator(relay.join("root"))
    rehashing_line, *lines = root.ask("REHASH")
    assert rehashing_line == "382 root * Rehashing"
    assert lines[0] == "NOTICE root :taken: [server] motd"
    assert commands(lines) == ["NOTICE"] * len(lines)
    assert "372 root :- Be kind." in root.ask("MOTD")


def test_a_configuration_that_cannot_be_used(
    start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """ "FAIL REHASH CONFIG_BAD :Could not reload config from disk" """

    def load() -> Config:
        raise ConfigError(["line 3: no such key", "line 5: too large"])

    root = as_operator(rehashing(start_relay, load).join("root"))
    assert root.ask("REHASH") == [
        "382 root * Rehashing",
        "FAIL REHASH CONFIG_BAD :The configuration cannot be used; all is as before",
        "NOTICE root :line 3: no such key",
        "NOTICE root :line 5: too large",
    ]
    assert "rehash refused: line 3: no such key; line 5: too large" in caplog.text


def test_refused_rehash(start_relay: StartRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = with_operator(start_relay)
    assert commands(relay.join("ann").ask("REHASH")) == ["481"]
    root = as_operator(relay.join("root"))

    def busy(done: object) -> None:
        raise CaretakerBusy("16 pieces of work wait already")

    monkeypatch.setattr(relay.relay.services, "reload", busy)
    text = "16 pieces of work wait already"
    assert root.ask("REHASH") == [f"FAIL REHASH TEMPORARILY_UNAVAILABLE :{text}"]
