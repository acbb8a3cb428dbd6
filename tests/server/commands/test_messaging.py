"""PRIVMSG, NOTICE (TAGMSG is in test_capabilities.py)."""

from __future__ import annotations

import pytest

from tests.server.commands.test_channels import together
from tests.server.relay_harness import RunningRelay, short


def test_to_a_channel(relay: RunningRelay) -> None:
    """ "The <source> of the message represents the user or server that sent the message, and the
    <target> represents the target of that PRIVMSG" """
    ann, bob, carl = together(relay, "ann", "bob", "carl")
    assert ann.ask("PRIVMSG #A :hello, you", "NOTICE #a x", "PRIVMSG #a ::)") == []
    wanted = [":ann PRIVMSG #a :hello, you", ":ann NOTICE #a x", ":ann PRIVMSG #a ::)"]
    assert bob.seen() == wanted
    found = carl.sync()
    assert [short(message) for message in found] == wanted
    assert found[0].source == f"ann!~ann@{relay.session('ann').host}"


def test_to_a_nick(relay: RunningRelay) -> None:
    ann, bob = relay.join("ann"), relay.join("bob")
    assert ann.ask("PRIVMSG BOB :hi", "NOTICE bob :there") == []
    assert bob.seen() == [":ann PRIVMSG bob hi", ":ann NOTICE bob there"]
    assert ann.ask("PRIVMSG ann :me") == [":ann PRIVMSG ann me"]


def test_to_several(relay: RunningRelay) -> None:
    """ "<target>{,<target>}": each once, in one message for each."""
    ann, bob = together(relay, "ann", "bob")
    assert ann.ask("PRIVMSG #a,bob,bob,,nobody :hi") == ["401 ann nobody :No such nick/channel"]
    assert bob.seen() == [":ann PRIVMSG #a hi", ":ann PRIVMSG bob hi"]
    assert ann.ask("PRIVMSG a,b,c,d,e :hi") == ["407 ann a,b,c,d,e :Too many targets"]


def test_errors(relay: RunningRelay) -> None:
    """ERR_NORECIPIENT, ERR_NOTEXTTOSEND, ERR_NOSUCHNICK, ERR_NOSUCHCHANNEL."""
    ann = relay.join("ann")
    for line, answer in (
        ("PRIVMSG", "411 ann :No recipient given (PRIVMSG)"),
        ("PRIVMSG :", "411 ann :No recipient given (PRIVMSG)"),
        ("PRIVMSG bob", "412 ann :No text to send"),
        ("PRIVMSG bob :", "412 ann :No text to send"),
        ("PRIVMSG bob x", "401 ann bob :No such nick/channel"),
        ("PRIVMSG , x", "401 ann , :No such nick/channel"),
        ("PRIVMSG #none x", "403 ann #none :No such channel"),
        ("PRIVMSG $* x", "401 ann $* :No such nick/channel"),
    ):
        assert ann.ask(line) == [answer]


def test_a_notice_is_never_answered(relay: RunningRelay) -> None:
    """ "automatic replies must never be sent in response to a NOTICE message. This rule also
    applies to servers -- they must not send any error back to the client" """
    ann, bob = relay.join("ann"), relay.join("bob")
    bob.ask("AWAY :gone", "JOIN #a")
    assert ann.ask(
        "NOTICE", "NOTICE bob", "NOTICE nobody :x", "NOTICE #a :x", "NOTICE #none :x",
        "NOTICE bob :x", "NOTICE a,b,c,d,e,f :x",
    ) == []  # fmt: skip
    assert bob.seen() == [":ann NOTICE bob x"]


def test_an_away_message_is_told(relay: RunningRelay) -> None:
    """ "RPL_AWAY, with the away message, when a PRIVMSG command is directed at the away user (not
    to a channel they are on)." """
    ann, bob = together(relay, "ann", "bob")
    bob.ask("AWAY :gone fishing")
    assert ann.ask("PRIVMSG bob :x") == ["301 ann bob :gone fishing"]
    assert ann.ask("PRIVMSG #a :x") == []
    assert bob.seen() == [":ann PRIVMSG bob x", ":ann PRIVMSG #a x"]


@pytest.mark.parametrize("kind", ["PRIVMSG", "NOTICE"])
def test_who_may_speak(relay: RunningRelay, kind: str) -> None:
    """ "If a message cannot be delivered to a channel, the server SHOULD respond with an
    ERR_CANNOTSENDTOCHAN numeric" (+n, +m, +b)."""
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")

    def attempt(client: object, nick: str, letter: str) -> None:
        refused = f"404 {nick} #a :Cannot send to channel (+{letter})"
        wanted = [refused] if letter and kind == "PRIVMSG" else []
        assert client.ask(f"{kind} #a :x") == wanted  # type: ignore[attr-defined]
        assert ann.seen() == ([] if letter else [f":{nick} {kind} #a x"])

    attempt(carl, "carl", "n")
    attempt(bob, "bob", "")
    ann.ask("MODE #a -n+m")
    bob.sync()
    attempt(carl, "carl", "m")
    attempt(bob, "bob", "m")
    ann.ask("MODE #a +v bob")
    bob.sync()
    attempt(bob, "bob", "")
    ann.ask("MODE #a -v+b-m bob *!~bob@*")
    bob.sync()
    attempt(bob, "bob", "b")
    attempt(carl, "carl", "")
    ann.ask("MODE #a +v bob")
    bob.sync()
    attempt(bob, "bob", "")


def test_a_long_text_is_cut_between_characters(relay: RunningRelay) -> None:
    """ "512 bytes in length, counting all characters including the trailing CR-LF"; a character of
    UTF-8 stays whole."""
    ann, bob = relay.join("ann"), relay.join("bob")
    host = relay.session("ann").host
    room = 510 - len(f":ann!~ann@{host} PRIVMSG bob :")
    for text in ("x" * 480, "é" * 240, "x" + "é" * 239, "日" * 160, "😀" * 120, "x😀" * 96):
        ann.ask(f"PRIVMSG bob :{text}")
        (message,) = bob.sync()
        got = message.params[1]
        assert text.startswith(got)
        assert room - 3 <= len(got.encode()) <= room
        assert max(map(len, bob.lines)) <= 510


def test_formatting_and_ctcp_pass(relay: RunningRelay) -> None:
    r""" "CTCP (…) delimited by \x01": the relay changes no text."""
    ann, bob = relay.join("ann"), relay.join("bob")
    text = "\x01ACTION \x02bold\x0304red\x0f  two  spaces \x01"
    ann.ask(f"PRIVMSG bob :{text}")
    (message,) = bob.sync()
    assert message.params[1] == text


def test_a_source_from_a_client_is_ignored(relay: RunningRelay) -> None:
    """ "Clients MUST NOT include a source when sending a message to the server"; if they do, it
    changes nothing."""
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask(":bob!x@y PRIVMSG bob :hi")
    assert bob.seen() == [":ann PRIVMSG bob hi"]


def test_all_members_see_one_order(relay: RunningRelay) -> None:
    clients = together(relay, "ann", "bob", "carl", "dora")
    for number in range(30):
        clients[number % 2].send(f"PRIVMSG #a :{number}")
    for client in clients[:2]:
        client.send("PRIVMSG #a :end")
    for client in clients[:2]:
        client.sync()
    for client in clients:
        client.sync()
    third, fourth = clients[2:]
    assert [line.split(b":")[-1] for line in third.lines if b"PRIVMSG #a" in line] == [
        line.split(b":")[-1] for line in fourth.lines if b"PRIVMSG #a" in line
    ]
