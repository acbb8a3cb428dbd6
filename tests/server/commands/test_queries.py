"""WHO, WHOIS, USERHOST, ISON, LUSERS, MOTD, VERSION, TIME, INFO, HELP."""

from __future__ import annotations

import hashlib
import ssl

import pytest

from securechat.irc.isupport import TOKENS_PER_LINE
from securechat.server.commands import COMMANDS
from securechat.server.config import OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, NETWORK, WALL_S, RunningRelay, commands

SIGNON = int(WALL_S)


# ---- WHO ----


def test_who(relay: RunningRelay) -> None:
    """RPL_WHOREPLY: "<client> <channel> <username> <host> <server> <nick> <flags> :<hopcount>
    <realname>"; "H" here, "G" gone, "*" operator, then the rank."""
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    host = relay.session("ann").host
    bob.ask("AWAY :x")
    reply_ann = f"352 carl #a ~ann {host} {NAME} ann H@ :0 Real ann"
    reply_bob = f"352 carl #a ~bob {host} {NAME} bob G :0 Real bob"
    reply_carl = f"352 carl * ~carl {host} {NAME} carl H :0 Real carl"

    def end(mask: str) -> str:
        return f"315 carl {mask} :End of WHO list"

    assert carl.ask("WHO #A") == [reply_ann, reply_bob, end("#A")]
    assert carl.ask("WHO ANN") == [reply_ann, end("ANN")]
    assert carl.ask("WHO c*l") == [reply_carl, end("c*l")]
    assert carl.ask("WHO") == [reply_ann, reply_bob, reply_carl, end("*")]
    assert carl.ask("WHO nobody", "WHO #none") == [end("nobody"), end("#none")]
    assert carl.ask("WHO * o") == [end("*")]
    ann.ask("MODE #a +s")
    assert carl.ask("WHO #a") == [end("#a")]
    assert carl.ask("WHO ann") == [reply_ann.replace("#a", "*").replace("H@", "H"), end("ann")]


def test_invisible_users(relay: RunningRelay) -> None:
    """ "Visible users are users who either aren't invisible (user mode +i) or have a common channel
    with the requesting client." """
    ann, bob = together(relay, "ann", "bob")
    carl = relay.join("carl")
    ann.ask("MODE ann +i")
    assert len(carl.ask("WHO a*")) == 1
    assert len(carl.ask("WHO #a")) == 2
    assert len(carl.ask("WHO ann")) == 2
    assert len(bob.ask("WHO a*")) == 2
    assert len(bob.ask("WHO #a")) == 3
    assert not any(line.startswith("319") for line in carl.ask("WHOIS ann"))
    assert "319 bob ann @#a" in bob.ask("WHOIS ann")


# ---- WHOIS ----


def test_whois(relay: RunningRelay) -> None:
    """ "The server SHOULD end its response (…) with RPL_ENDOFWHOIS" and "typically send some of
    these numerics only to the client itself and to servers operators" """
    ann, bob = together(relay, "ann", "bob")
    host = relay.session("ann").host
    ann.ask("JOIN #b", "JOIN #secret", "MODE #secret +s", "AWAY :tea time")
    common = [
        f"311 bob ann ~ann {host} * :Real ann",
        "319 bob ann :@#a @#b",
        f"312 bob ann {NAME} {NETWORK}",
        "301 bob ann :tea time",
        "671 bob ann :is using a secure connection",
        f"317 bob ann 0 {SIGNON} :seconds idle, signon time",
        "318 bob ann :End of /WHOIS list",
    ]
    assert bob.ask("WHOIS ann") == common
    assert bob.ask(f"WHOIS {NAME} ann", "WHOIS ann ann", "WHOIS *.test ann") == common * 3
    found = ann.ask("WHOIS ANN")
    assert "319 ann ann :@#a @#b @#secret" in found
    assert "338 ann ann 127.0.0.1 :Is actually using host" in found
    assert found[-1] == "318 ann ANN :End of /WHOIS list"


def test_whois_errors(relay: RunningRelay) -> None:
    """ERR_NONICKNAMEGIVEN, ERR_NOSUCHNICK, ERR_NOSUCHSERVER."""
    ann = relay.join("ann")
    assert ann.ask("WHOIS", "WHOIS :") == ["431 ann :No nickname given"] * 2
    assert ann.ask("WHOIS nobody") == [
        "401 ann nobody :No such nick/channel",
        "318 ann nobody :End of /WHOIS list",
    ]
    assert ann.ask("WHOIS elsewhere.test ann") == ["402 ann elsewhere.test :No such server"]
    assert commands(ann.ask("WHOIS :a b")) == ["401", "318"]


def test_idle_time(start_relay: StartRelay) -> None:
    """RPL_WHOISIDLE: "how long they have been idle in seconds"."""
    now = [WALL_S]
    relay = start_relay(wall_clock=lambda: now[0])
    ann = relay.join("ann")
    now[0] += 100
    assert f"317 ann ann 100 {SIGNON} :seconds idle, signon time" in ann.ask("WHOIS ann")
    ann.ask("PRIVMSG ann :x")
    now[0] += 3
    assert f"317 ann ann 3 {SIGNON} :seconds idle, signon time" in ann.ask("WHOIS ann")


def test_certificate_fingerprint(start_relay: StartRelay) -> None:
    """RPL_WHOISCERTFP: "<client> <nick> :has client certificate fingerprint <fingerprint>" """
    relay = start_relay()
    relay.stop()
    relay = start_relay(tls={"client_ca": relay.certificates.ca_file})
    path = relay.certificates.of_person("ann")
    ann, bob = relay.join("ann", certificate=path), relay.join("bob")
    pem = path.read_text()
    der = ssl.PEM_cert_to_DER_cert(
        pem[pem.index("-----BEGIN CERTIFICATE") :].split("-----END CERTIFICATE-----")[0]
        + "-----END CERTIFICATE-----"
    )
    digest = hashlib.sha256(der).hexdigest()
    assert f"276 ann ann :has client certificate fingerprint {digest}" in ann.ask("WHOIS ann")
    assert "276" not in commands(bob.ask("WHOIS ann"))


def test_an_operator_sees_more(start_relay: StartRelay) -> None:
    cheap = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)
    relay = start_relay(operators=(OperatorConfig("root", hash_password("toor toor", cheap)),))
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask("JOIN #s", "MODE #s +s", "MODE ann +i")
    bob.ask("OPER root :toor toor")
    found = bob.ask("WHOIS ann")
    assert "319 bob ann @#s" in found
    assert "338 bob ann 127.0.0.1 :Is actually using host" in found
    assert len(bob.ask("WHO a*")) == 2
    assert commands(ann.ask("WHO * o")) == ["352", "315"]


# ---- USERHOST, ISON ----


def test_userhost(relay: RunningRelay) -> None:
    """ "The USERHOST command takes up to five nicknames, each a separate parameters." """
    ann, bob = relay.join("ann"), relay.join("bob")
    host = relay.session("ann").host
    bob.ask("AWAY :x")
    assert ann.ask("USERHOST ANN nobody bob") == [f"302 ann :ann=+~ann@{host} bob=-~bob@{host}"]
    assert ann.ask("USERHOST a b c d e ann") == ["302 ann :"]
    assert ann.ask("USERHOST") == ["461 ann USERHOST :Not enough parameters"]


def test_ison(relay: RunningRelay) -> None:
    """RPL_ISON: those of the nicks that are online."""
    ann = relay.join("ann")
    relay.join("bob")
    assert ann.ask("ISON BOB nobody ann", "ISON :bob nobody ann") == [
        "303 ann :bob ann",
        "303 ann :bob ann",
    ]
    assert ann.ask("ISON") == ["461 ann ISON :Not enough parameters"]


# ---- the relay ----


def test_lusers(relay: RunningRelay) -> None:
    """ "Servers MUST reply with RPL_LUSERCLIENT and RPL_LUSERME, and SHOULD also include all those
    defined below." """
    ann, bob = together(relay, "ann", "bob")
    bob.ask("MODE bob +i")
    relay.connect().ask("NICK waiting")
    relay.join("carl").quit()
    assert ann.ask("LUSERS") == [
        "251 ann :There are 1 users and 1 invisible on 1 servers",
        "252 ann 0 :operator(s) online",
        "253 ann 1 :unknown connection(s)",
        "254 ann 1 :channels formed",
        "255 ann :I have 2 clients and 0 servers",
        "265 ann 2 3 :Current local users 2, max 3",
        "266 ann 2 3 :Current global users 2, max 3",
    ]


def test_motd(start_relay: StartRelay) -> None:
    """ "one RPL_MOTDSTART numeric is returned, followed by one or more RPL_MOTD numeric, then one
    RPL_ENDOFMOTD numeric." """
    relay = start_relay(server={"motd": "Welcome!\n\n  be kind\n" + "é" * 400})
    ann = relay.join("ann")
    found = ann.ask("MOTD")
    assert found[:4] == [
        f"375 ann :- {NAME} message of the day -",
        "372 ann :- Welcome!",
        "372 ann :- ",
        "372 ann :-   be kind",
    ]
    assert found[4].startswith("372 ann :- éééé")
    assert found[5:] == ["376 ann :End of /MOTD command"]
    assert max(map(len, ann.lines)) <= 510
    assert ann.ask(f"MOTD {NAME}") == found
    assert ann.ask("MOTD elsewhere") == ["402 ann elsewhere :No such server"]


def test_no_motd(relay: RunningRelay) -> None:
    """ "If the MOTD does not exist or could not be found, the ERR_NOMOTD numeric is returned." """
    assert relay.join("ann").ask("MOTD") == ["422 ann :There is no message of the day"]


def test_version(relay: RunningRelay) -> None:
    """ "the given server SHOULD respond with one RPL_VERSION reply and one or more RPL_ISUPPORT
    replies." "Wildcards are allowed in the <target> parameter." """
    ann = relay.join("ann")
    for line in ("VERSION", f"VERSION {NAME}", "VERSION *.test", "VERSION ann"):
        found = ann.collect(line)
        assert [message.command for message in found] == ["351", "005", "005"]
        assert found[0].params[1].startswith("securechat-")
        assert found[0].params[2] == NAME
        assert len(found[1].params) <= TOKENS_PER_LINE + 2
    assert ann.ask("VERSION elsewhere") == ["402 ann elsewhere :No such server"]


def test_time(relay: RunningRelay) -> None:
    """RPL_TIME: "<client> <server> [<timestamp> [<TS offset>]] :<human-readable time>" """
    ann = relay.join("ann")
    text = "Tuesday November 14 2023 -- 22:13:20 UTC"
    assert ann.ask("TIME") == [f"391 ann {NAME} {SIGNON} :{text}"]
    assert ann.ask("TIME elsewhere") == ["402 ann elsewhere :No such server"]


def test_info(relay: RunningRelay) -> None:
    """ "zero or more RPL_INFO replies, followed by one RPL_ENDOFINFO numeric." """
    found = relay.join("ann").ask("INFO")
    assert commands(found) == ["371", "371", "371", "374"]
    assert "Running since 2023-11-14 22:13:20 UTC" in found[2]


# ---- HELP ----


def test_help(relay: RunningRelay) -> None:
    """ "a single RPL_HELPSTART message, then arbitrarily many RPL_HELPTXT messages, then a single
    RPL_ENDOFHELP." "the first RPL_HELPTXT message SHOULD be empty." """
    for client in (relay.connect(), relay.join("ann")):
        nick = client.nick or "*"
        found = client.ask("HELP")
        assert found[:2] == [f"704 {nick} * :The commands of this relay", f"705 {nick} * :"]
        assert found[-1] == f"706 {nick} * :HELP <command> tells more."
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


def test_unknown_commands(relay: RunningRelay) -> None:
    """ "If a command is not implemented, it MUST return the ERR_UNKNOWNCOMMAND numeric." """
    ann = relay.join("ann")
    for name in ("NONSENSE", "WALLOPS", "001", "x"):
        assert ann.ask(f"{name} x") == [f"421 ann {name.upper()} :Unknown command"]
