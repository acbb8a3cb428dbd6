"""irssi against the relay, as its user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.e2e.children import RelayProcess, run_relay
from tests.e2e.real_clients import Irssi, connect, readme_lines, register_account
from tests.server.relay_harness import PASSWORD, Client

ROOM = "#room"
JOINED = "#room: Total of"
SASL = ("-sasl_username alice", f'-sasl_password "{PASSWORD}"')


def in_the_room(irssi: Irssi, relay: RelayProcess, *flags: str) -> Irssi:
    irssi.add_server(relay, relay.ca, "alice", *flags)
    irssi.type("/channel add -auto #room securechat")
    irssi.connect()
    irssi.wait_for(JOINED, ROOM)
    return irssi


@pytest.fixture
def alice(irssi: Irssi, relay: RelayProcess) -> Irssi:
    """The user alice of irssi, in #room."""
    return in_the_room(irssi, relay)


# ---- getting in ----


def test_what_the_readme_says_works(irssi: Irssi, relay: RelayProcess) -> None:
    as_guest, *as_alice = readme_lines("irssi", relay)
    irssi.type("/set nick alice")
    irssi.type(as_guest)
    irssi.wait_for("Welcome")
    irssi.type("/quote REGISTER * * your-password")
    irssi.wait_for("You are now logged in as alice")
    irssi.type("/disconnect")
    irssi.wait_for("Connection lost to localhost")
    for line in as_alice:
        irssi.type(line)
    irssi.wait_for("SASL authentication succeeded")
    irssi.wait_for("Welcome")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_log_in_with_a_password(irssi: Irssi, relay: RelayProcess, mechanism: str) -> None:
    if mechanism != "PLAIN" and irssi.version < (1, 5):
        pytest.skip("irssi has SCRAM since 1.5")
    register_account(relay, "alice")
    irssi.add_server(relay, relay.ca, "alice", *SASL, f"-sasl_mechanism {mechanism}")
    irssi.connect()
    irssi.wait_for("SASL authentication succeeded")
    irssi.wait_for("Welcome")
    irssi.type("/whois alice")
    irssi.wait_for("account  : alice")


def test_log_in_with_a_certificate(ca: Path, tmp_path: Path, irssi: Irssi) -> None:
    with run_relay(ca, tmp_path / "data", "--client-ca", str(ca)) as relay:
        register_account(relay, "alice")
        certificate = f"-tls_cert {ca.with_name('alice.pem')}"
        irssi.add_server(relay, ca, "alice", certificate, "-sasl_mechanism EXTERNAL")
        irssi.connect()
        irssi.wait_for("SASL authentication succeeded")
        irssi.wait_for("Welcome")


def test_a_wrong_password_is_told(irssi: Irssi, relay: RelayProcess) -> None:
    register_account(relay, "alice")
    wrong = ("-sasl_mechanism PLAIN", "-sasl_username alice", "-sasl_password wrong")
    irssi.add_server(relay, relay.ca, "alice", *wrong)
    irssi.connect()
    irssi.wait_for("SASL authentication failed")


def test_another_ca_is_refused(irssi: Irssi, relay: RelayProcess, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    irssi.add_server(relay, other, "alice")
    irssi.connect()
    irssi.wait_for("Could not verify TLS servers certificate")
    irssi.wait_for("Connection lost to localhost")
    with connect(relay).sock as sock:
        bob = Client(sock).register("bob")
        bob.send("ISON alice")
        bob.expect("303", "bob", "")
    assert not irssi.shown("Welcome")


# ---- being there ----


def test_talk(alice: Irssi, bob: Client) -> None:
    alice.type("hello bob", ROOM)
    bob.expect("PRIVMSG", ROOM, "hello bob")
    bob.send("PRIVMSG #room :hi älice")
    alice.wait_for("< bob> hi älice", ROOM)
    alice.type("/me waves", ROOM)
    bob.expect("PRIVMSG", ROOM, "\1ACTION waves\1")
    bob.send("PRIVMSG #room :\1ACTION waves back\1")
    alice.wait_for("* bob waves back", ROOM)
    bob.send("NOTICE #room :listen")
    alice.wait_for("-bob:#room- listen", ROOM)


def test_private_messages(alice: Irssi, bob: Client) -> None:
    bob.send("PRIVMSG alice :only you")
    alice.wait_for("<bob> only you", "bob")
    alice.type("nobody else", "bob")
    bob.expect("PRIVMSG", "bob", "nobody else")
    bob.send("AWAY :at lunch")
    bob.sync()
    alice.type("are you there?", "bob")
    alice.wait_for("bob is away: at lunch")
    alice.type("/notice bob hey")
    bob.expect("NOTICE", "bob", "hey")
    alice.type("/msg nobody hey")
    alice.wait_for("nobody: No such nick")


def test_the_room(alice: Irssi, bob: Client) -> None:
    alice.wait_for("bob", ROOM)  # irssi answers /names itself
    alice.type("/names", ROOM)
    alice.wait_for("[@alice] [ bob]", ROOM)
    alice.type("/topic tea at four", ROOM)
    bob.expect("TOPIC", ROOM, "tea at four")
    alice.type("/op bob", ROOM)
    bob.expect("MODE", ROOM, "+o", "bob")
    bob.send("TOPIC #room :tea at five")
    alice.wait_for("bob changed the topic of #room to: tea at five", ROOM)
    bob.send("KICK #room alice :no tea for you")
    alice.wait_for("alice was kicked from #room by bob [no tea for you]", ROOM)
    alice.type("/join #room")
    bob.expect("JOIN", ROOM)
    alice.wait_for("Topic for #room: tea at five", ROOM)
    alice.wait_for("Topic set by bob", ROOM)
    alice.wait_for(JOINED, ROOM)
    bob.send("MODE #room +b alice", "KICK #room alice")
    alice.wait_for("alice was kicked from #room by bob", ROOM)
    alice.type("/join #room")
    alice.wait_for("Cannot join to channel #room (You are banned)")


def test_names_change(alice: Irssi, bob: Client) -> None:
    alice.type("/nick bob")
    alice.wait_for("Nick bob is already in use")
    alice.type("/nick alicia")
    assert bob.expect("NICK", "alicia").nick == "alice"
    alice.wait_for("You're now known as alicia", ROOM)
    bob.send("NICK robert")
    alice.wait_for("bob is now known as robert", ROOM)
    bob.send("PRIVMSG alicia :it is me")
    alice.wait_for("<robert> it is me", "robert")
    bob.send("QUIT :tired")
    alice.wait_for("has quit [Quit: tired]")


def test_questions(alice: Irssi, bob: Client) -> None:
    bob.send("AWAY :at lunch")
    bob.sync()
    alice.type("/whois bob")
    alice.wait_for("bob [~bob@", "bob")
    alice.wait_for("channels : #room", "bob")
    alice.wait_for("away     : at lunch", "bob")
    alice.wait_for("End of WHOIS", "bob")
    alice.type("/who #room")
    alice.wait_for("#room bob       G")
    alice.wait_for("End of /WHO list")
    alice.type("/list -yes")
    alice.wait_for("#room 2")
    alice.wait_for("End of /LIST")
    alice.type("/ban *!*@bad.example", ROOM)
    alice.wait_for("mode/#room [+b *!*@bad.example] by alice", ROOM)
    alice.type("/ban", ROOM)
    alice.wait_for("1 - #room: ban *!*@bad.example [by alice", ROOM)
    alice.type("/mode #room")
    alice.wait_for("mode/#room [+")
    bob.send("JOIN #club", "INVITE alice #club")
    alice.wait_for("bob invites you to #club")
    alice.type("/away gone fishing")
    alice.wait_for("You have been marked as being away")
    alice.type("/quote BOGUS")
    alice.wait_for("BOGUS Unknown command")


# ---- going and coming back ----


def test_leave_and_come_back(alice: Irssi, bob: Client) -> None:
    alice.type("/part see you", ROOM)
    bob.expect("PART", ROOM, "see you")
    alice.wait_for("has left #room [see you]", ROOM)
    alice.type("/join #room")
    alice.wait_for(JOINED, ROOM)
    alice.type("/disconnect * good night")
    assert bob.expect("QUIT", "Quit: good night").nick == "alice"
    alice.wait_for("Connection lost to localhost")
    alice.connect()
    bob.expect("JOIN", ROOM)
    alice.wait_for(JOINED, ROOM)
    bob.send("PRIVMSG #room :good morning")
    alice.wait_for("< bob> good morning", ROOM)


def test_what_was_said_meanwhile(irssi: Irssi, relay: RelayProcess, bob: Client) -> None:
    register_account(relay, "alice")
    in_the_room(irssi, relay, *SASL, "-sasl_mechanism PLAIN")
    bob.send("PRIVMSG #room :you know this")
    irssi.wait_for("bob> you know this", ROOM)
    irssi.type("/disconnect *")
    assert bob.expect("QUIT").nick == "alice"
    irssi.wait_for("Connection lost to localhost")
    bob.send("PRIVMSG #room :you missed this", "PRIVMSG #room :\1ACTION misses you\1")
    bob.sync()
    irssi.connect()
    irssi.wait_for("bob> you missed this", ROOM)
    irssi.wait_for("* bob misses you", ROOM)
    bob.send("PRIVMSG #room :there you are")
    irssi.wait_for("bob> there you are", ROOM)
    assert len(irssi.shown("bob> you know this")) == 1


def test_the_relay_says_why_it_stops_and_is_found_again(
    ca: Path, tmp_path: Path, irssi: Irssi
) -> None:
    with run_relay(ca, tmp_path / "data") as relay:
        port = relay.port
        in_the_room(irssi, relay)
        assert relay.stop() == 0
        irssi.wait_for("shutting down")
        irssi.wait_for("Connection lost to localhost")
    with run_relay(ca, tmp_path / "data", port=port):
        irssi.connect()
        irssi.wait_for(JOINED, ROOM)
