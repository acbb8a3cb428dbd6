"""Modes of oneself, and ACCEPT."""

from __future__ import annotations

from securechat.server.rules.user_modes import ACCEPTED_MOST, accept
from tests.server.commands.test_channels import together
from tests.server.network_transcripts import Chat
from tests.server.relay_harness import RunningRelay, commands

# ---- bots ----


def test_bot_mode(relay: RunningRelay) -> None:
    """ "The value of the BOT token is the mode character which is used to enable bot mode and is
    also the flag used in WHO responses of bots" """
    ann, bob = together(relay, "ann", "bob")
    assert bob.ask("MODE bob +B") == [":bob MODE bob +B"]
    assert "335 ann bob :is a bot on TestNet" in ann.ask("WHOIS bob")
    assert "335" not in commands(ann.ask("WHOIS ann"))
    bob.ask("AWAY :x")
    (*_, found, _end) = ann.ask("WHO #a")
    assert found.split(" ")[6:8] == ["bob", "GB"]
    assert ann.ask("WHO bob %f")[0] == "354 ann GB"
    assert bob.ask("MODE bob") == ["221 bob +B"]
    assert bob.ask("MODE bob -B") == [":bob MODE bob -B"]
    assert "335" not in commands(ann.ask("WHOIS bob"))


def test_bot_tag(relay: RunningRelay) -> None:
    """ "This tag SHOULD be added by the server to all commands sent by a bot (e.g. PRIVMSG, JOIN,
    MODE, NOTICE, and all others). The tag SHOULD also be added by the ircd to all numerics directly
    caused by the bot. This tag MUST only be sent to users who have requested the message-tags
    capability. Servers MUST NOT send this tag with a value" """
    bot = relay.join("bot", "message-tags", "echo-message")
    ann, bob = relay.join("ann", "message-tags"), relay.join("bob", "server-time")
    bot.ask("MODE bot +B", "JOIN #a")
    for client in (ann, bob):
        client.ask("JOIN #a")
    for client in (bot, ann, bob):
        client.sync()
    echoes = bot.collect(
        "PRIVMSG #a :x", "NOTICE ann :x", "MODE #a +v bot", "NICK robot", "PART #a", "JOIN #a"
    )
    seen = ann.sync()
    assert [m.command for m in seen] == ["PRIVMSG", "NOTICE", "MODE", "NICK", "PART", "JOIN"]
    assert {message.tags.get("bot") for message in [*seen, *echoes]} == {""}
    assert not any("bot" in message.tags for message in bob.sync())
    assert any(line.startswith(b"@") and b";bot " in line for line in ann.lines)
    assert not any(b"bot=" in line for line in ann.lines)
    ann.ask("PRIVMSG robot :x")
    (answer,) = ann.collect("TOPIC #none")
    assert answer.tags == {}
    bot.quit()
    assert ann.expect("QUIT").tags["bot"] == ""


# ---- modes ----


def test_letters_that_nobody_knows(relay: RunningRelay) -> None:
    """ "If one or more modes sent are not implemented on the server, the server MUST apply the
    modes that are implemented, and then send the ERR_UMODEUNKNOWNFLAG in reply along with the MODE
    message." """
    ann = relay.join("ann")
    assert ann.ask("MODE ann +iZw") == [":ann MODE ann +iw", "501 ann :Unknown MODE flag"]
    assert ann.ask("MODE ann") == ["221 ann +iw"]
    assert ann.ask("MODE ann -w+w-i", "MODE ann +w") == [":ann MODE ann -w+w-i"]


def test_only_oper_makes_an_operator(relay: RunningRelay) -> None:
    ann = relay.join("ann")
    assert ann.ask("MODE ann +o", "MODE ann -o") == []
    assert ann.ask("MODE ann") == ["221 ann +"]


def test_modes_of_others(relay: RunningRelay) -> None:
    """ "If <target> is a nickname that does not exist on the network, the ERR_NOSUCHNICK numeric is
    returned. If <target> is a different nick (…) ERR_USERSDONTMATCH" """
    ann = relay.join("ann")
    relay.join("bob")
    mismatch = "502 ann :Can't view or change modes of other users"
    assert ann.ask("MODE bob", "MODE bob +i") == [mismatch] * 2
    assert ann.ask("MODE nobody") == ["401 ann nobody :No such nick/channel"]


# ---- +R and ACCEPT ----


def test_private_messages_of_registered_people_only(relay: RunningRelay) -> None:
    """User mode +R: who is not logged in gets ERR_NEEDREGGEDNICK, and nothing for a NOTICE."""
    ann, carol = relay.account("ann"), relay.account("carol")
    bob = relay.join("bob", "message-tags")
    assert ann.ask("MODE ann +R") == [":ann MODE ann +R"]
    refusal = "477 bob ann :You must be logged in to send a private message to this user"
    assert bob.ask("PRIVMSG ann :x", "@+x TAGMSG ann", "NOTICE ann :x") == [refusal] * 2
    assert carol.ask("PRIVMSG ann :hello") == []
    assert ann.seen() == [":carol PRIVMSG ann hello"]
    ann.ask("MODE ann -R")
    bob.ask("PRIVMSG ann :now")
    assert ann.seen() == [":bob PRIVMSG ann now"]


def test_accept(relay: RunningRelay) -> None:
    ann, bob = relay.account("ann"), relay.join("bob")
    ann.ask("MODE ann +R")
    assert ann.ask("ACCEPT bob,nobody") == ["401 ann nobody :No such nick/channel"]
    assert bob.ask("PRIVMSG ann :one") == []
    assert ann.seen() == [":bob PRIVMSG ann one"]
    assert ann.ask("ACCEPT -bob") == []
    assert commands(bob.ask("PRIVMSG ann :two")) == ["477"]
    assert ann.ask("ACCEPT") == ["461 ann ACCEPT :Not enough parameters"]


def test_who_is_written_to_may_answer(relay: RunningRelay) -> None:
    ann, bob = relay.account("ann"), relay.join("bob")
    ann.ask("MODE ann +R", "PRIVMSG bob :hello")
    assert bob.ask("PRIVMSG ann :hi") == [":ann PRIVMSG bob hello"]
    assert ann.seen() == [":bob PRIVMSG ann hi"]


def test_so_many_are_accepted() -> None:
    """The oldest goes."""
    chat = Chat()
    chat.play(">> 1 attach alice\n>> 2 attach bob")
    alice, bob = chat.user("alice"), chat.user("bob")
    accept(alice, bob)
    for number in range(3, 3 + ACCEPTED_MOST):
        chat.play(f">> {number} attach u{number}")
        accept(alice, chat.user(f"u{number}"))
    assert len(alice.accepted) == ACCEPTED_MOST
    assert bob.id not in alice.accepted
