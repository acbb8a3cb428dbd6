"""KILL and WALLOPS: what operators of the relay may do."""

from __future__ import annotations

import pytest

from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, RunningRelay, commands


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
