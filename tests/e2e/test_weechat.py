"""WeeChat against the relay, as its user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.e2e.children import RelayProcess, run_relay
from tests.e2e.real_clients import CORE, WeeChat, connect, readme_lines, register_account
from tests.server.relay_harness import PASSWORD, Client

ROOM = "#room"


def in_the_room(weechat: WeeChat, relay: RelayProcess, **options: str) -> WeeChat:
    weechat.add_server(relay, relay.ca, "alice", autojoin=ROOM, **options)
    weechat.connect()
    weechat.wait_for("Channel created on", ROOM)
    return weechat


@pytest.fixture
def alice(weechat: WeeChat, relay: RelayProcess) -> WeeChat:
    """WeeChat as alice, in #room."""
    return in_the_room(weechat, relay)


# ---- getting in ----


def test_what_the_readme_says_works(weechat: WeeChat, relay: RelayProcess) -> None:
    lines = readme_lines("WeeChat", relay)
    connected = lines.index("/connect securechat") + 1
    for line in lines[:connected]:
        weechat.type(weechat.in_its_words(line), CORE)
    weechat.wait_for("Channel created on", ROOM)
    weechat.type("/quote REGISTER * * your-password")
    weechat.wait_for("You are now logged in as alice")
    for line in lines[connected:]:
        weechat.type(line, CORE)
    weechat.type("/reconnect securechat", CORE)
    weechat.wait_for("SASL authentication successful")
    weechat.wait_for("Channel created on", ROOM)


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256"])
def test_log_in_with_a_password(weechat: WeeChat, relay: RelayProcess, mechanism: str) -> None:
    register_account(relay, "alice")
    sasl = {"sasl_mechanism": mechanism, "sasl_username": "alice", "sasl_password": PASSWORD}
    weechat.add_server(relay, relay.ca, "alice", **sasl)
    weechat.connect()
    weechat.wait_for("You are now logged in as alice")
    weechat.wait_for("SASL authentication successful")
    weechat.wait_for("Welcome")
    weechat.type("/whois alice")
    weechat.wait_for("[alice] is logged in as alice")


def test_log_in_with_a_certificate(ca: Path, tmp_path: Path, weechat: WeeChat) -> None:
    with run_relay(ca, tmp_path / "data", "--client-ca", str(ca)) as relay:
        register_account(relay, "alice")
        external = {"tls_cert": str(ca.with_name("alice.pem")), "sasl_mechanism": "external"}
        weechat.add_server(relay, ca, "alice", **external)
        weechat.connect()
        weechat.wait_for("You are now logged in as alice")
        weechat.wait_for("Welcome")


def test_a_wrong_password_is_told(weechat: WeeChat, relay: RelayProcess) -> None:
    register_account(relay, "alice")
    weechat.add_server(relay, relay.ca, "alice", sasl_username="alice", sasl_password="wrong")
    weechat.connect()
    weechat.wait_for("SASL authentication failed")


def test_another_ca_is_refused(weechat: WeeChat, relay: RelayProcess, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    weechat.add_server(relay, other, "alice", autoreconnect="off")
    weechat.connect()
    weechat.wait_for("peer's certificate is NOT trusted")
    weechat.wait_for("TLS handshake failed")
    with connect(relay).sock as sock:
        bob = Client(sock).register("bob")
        bob.send("ISON alice")
        bob.expect("303", "bob", "")
    assert not weechat.shown("Welcome")


# ---- being there ----


def test_talk(alice: WeeChat, bob: Client) -> None:
    alice.type("hello bob", ROOM)
    bob.expect("PRIVMSG", ROOM, "hello bob")
    bob.send("PRIVMSG #room :hi älice")
    alice.wait_for("bob hi älice", ROOM)
    alice.type("/me waves", ROOM)
    bob.expect("PRIVMSG", ROOM, "\1ACTION waves\1")
    bob.send("PRIVMSG #room :\1ACTION waves back\1")
    alice.wait_for("* bob waves back", ROOM)
    bob.send("NOTICE #room :listen")
    alice.wait_for("Notice(bob): listen", ROOM)


def test_private_messages(alice: WeeChat, bob: Client) -> None:
    bob.send("PRIVMSG alice :only you")
    alice.wait_for("bob only you", "bob")
    alice.type("nobody else", "bob")
    bob.expect("PRIVMSG", "bob", "nobody else")
    bob.send("AWAY :at lunch")
    bob.sync()
    alice.type("are you there?", "bob")
    alice.wait_for("at lunch")
    alice.type("/notice bob hey")
    bob.expect("NOTICE", "bob", "hey")
    alice.type("/msg nobody hey")
    alice.wait_for("nobody: No such nick")


def test_the_room(alice: WeeChat, bob: Client) -> None:
    alice.type("/names", ROOM)
    assert "[@alice bob]" in alice.wait_for("Nicks #room", ROOM)
    alice.type("/topic tea at four", ROOM)
    bob.expect("TOPIC", ROOM, "tea at four")
    alice.type("/op bob", ROOM)
    bob.expect("MODE", ROOM, "+o", "bob")
    bob.send("TOPIC #room :tea at five")
    alice.wait_for('bob has changed topic for #room from "tea at four" to "tea at five"', ROOM)
    bob.send("KICK #room alice :no tea for you")
    alice.wait_for("bob has kicked alice (no tea for you)", ROOM)
    alice.type("/join #room")
    bob.expect("JOIN", ROOM)
    alice.wait_for('Topic for #room is "tea at five"', ROOM)
    alice.wait_for("Topic set by bob", ROOM)
    bob.send("MODE #room +b alice", "KICK #room alice")
    alice.wait_for("bob has kicked alice", ROOM)
    alice.type("/join #room")
    alice.wait_for("#room: Cannot join channel (+b)", ROOM)


def test_names_change(alice: WeeChat, bob: Client) -> None:
    alice.type("/nick bob")
    alice.wait_for("bob: Nickname is already in use")
    alice.type("/nick alicia")
    assert bob.expect("NICK", "alicia").nick == "alice"
    alice.wait_for("You are now known as alicia", ROOM)
    bob.send("NICK robert")
    alice.wait_for("bob is now known as robert", ROOM)
    bob.send("PRIVMSG alicia :it is me")
    alice.wait_for("robert it is me", "robert")
    bob.send("QUIT :tired")
    alice.wait_for("has quit (Quit: tired)", ROOM)


def test_questions(alice: WeeChat, bob: Client) -> None:
    bob.send("AWAY :at lunch")
    bob.sync()
    alice.type("/whois bob")
    alice.wait_for("[bob] (~bob@")
    alice.wait_for("[bob] #room")
    alice.wait_for("[bob] is away: at lunch")
    alice.wait_for("[bob] End of /WHOIS list")
    alice.type("/who #room")
    alice.wait_for("[#room] bob (~bob@")
    alice.wait_for("[#room] End of WHO list")
    alice.type("/list")
    alice.wait_for("#room(2)")
    alice.wait_for("End of /LIST")
    alice.type("/ban *!*@bad.example", ROOM)
    alice.wait_for("Mode #room [+b *!*@bad.example] by alice", ROOM)
    alice.type("/ban", ROOM)
    alice.wait_for("[1] *!*@bad.example banned by alice", ROOM)
    alice.type("/mode #room")
    alice.wait_for("Mode #room [+", ROOM)
    bob.send("JOIN #club", "INVITE alice #club")
    alice.wait_for("You have been invited to #club by bob")
    alice.type("/away gone fishing")
    alice.wait_for("You have been marked as being away")
    alice.type("/quote BOGUS")
    alice.wait_for("BOGUS: Unknown command")


# ---- going and coming back ----


def test_leave_and_come_back(alice: WeeChat, bob: Client) -> None:
    alice.type("/part see you", ROOM)
    bob.expect("PART", ROOM, "see you")
    alice.wait_for("has left #room (see you)", ROOM)
    alice.type("/join #room")
    # It closes at once after QUIT: an answer that it has not read would cost the reason its way.
    alice.wait_for("Channel created on", ROOM)
    alice.type("/disconnect securechat good night", CORE)
    assert bob.expect("QUIT", "Quit: good night").nick == "alice"
    alice.wait_for("irc: disconnected from server")
    alice.type("/connect securechat", CORE)
    bob.expect("JOIN", ROOM)
    bob.send("PRIVMSG #room :good morning")
    alice.wait_for("bob good morning", ROOM)


def test_what_was_said_meanwhile(weechat: WeeChat, relay: RelayProcess, bob: Client) -> None:
    register_account(relay, "alice")
    in_the_room(weechat, relay, sasl_username="alice", sasl_password=PASSWORD)
    bob.send("PRIVMSG #room :you know this")
    weechat.wait_for("bob you know this", ROOM)
    weechat.type("/disconnect securechat", CORE)
    assert bob.expect("QUIT").nick == "alice"
    weechat.wait_for("irc: disconnected from server")
    bob.send("PRIVMSG #room :you missed this", "PRIVMSG #room :\1ACTION misses you\1")
    bob.sync()
    weechat.type("/connect securechat", CORE)
    weechat.wait_for("bob you missed this", ROOM)
    weechat.wait_for("* bob misses you", ROOM)
    bob.send("PRIVMSG #room :there you are")
    weechat.wait_for("bob there you are", ROOM)
    assert len(weechat.shown("bob you know this")) == 1


def test_the_relay_says_why_it_stops_and_is_found_again(
    ca: Path, tmp_path: Path, weechat: WeeChat
) -> None:
    with run_relay(ca, tmp_path / "data") as relay:
        port = relay.port
        in_the_room(weechat, relay, autoreconnect_delay="1")
        assert relay.stop() == 0
        weechat.wait_for("shutting down")
    with run_relay(ca, tmp_path / "data", port=port):
        weechat.wait_for("has joined #room", ROOM)
