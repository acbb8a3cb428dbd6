"""WHOIS, WHOWAS, USERHOST, ISON: questions about people by their nick."""

from __future__ import annotations

import hashlib
import ssl

from tests.server.commands.operators import as_operator, with_operator
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import NAME, WALL_S, RunningRelay, commands

SIGNON = int(WALL_S)
LEFT_AT = "Tue Nov 14 2023 22:13:20 UTC"

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
        f"312 bob ann {NAME} :A private chat",
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
    relay = with_operator(start_relay)
    ann, bob = relay.join("ann"), relay.join("bob")
    ann.ask("JOIN #s", "MODE #s +s", "MODE ann +i")
    as_operator(bob)
    found = bob.ask("WHOIS ann")
    assert "319 bob ann @#s" in found
    assert "338 bob ann 127.0.0.1 :Is actually using host" in found
    assert len(bob.ask("WHO a*n")) == 2
    assert commands(ann.ask("WHO * o")) == ["352", "315"]


def test_one_nick_at_a_time(relay: RunningRelay) -> None:
    """ "silently drop targets if the number of targets exceeds the limit"; RPL_ENDOFWHOIS: "if the
    client sent multiple nicks, this MUST be the comma-separated list of nicks, even if some of them
    were dropped." """
    ann = relay.join("ann")
    relay.join("bob")
    found = ann.ask("WHOIS bob,ann")
    assert {line.split(" ")[2] for line in found[:-1]} == {"bob"}
    assert found[-1] == "318 ann bob,ann :End of /WHOIS list"
    assert ann.ask("WHOIS nobody,ann") == [
        "401 ann nobody :No such nick/channel",
        "318 ann nobody,ann :End of /WHOIS list",
    ]


def test_the_account(relay: RunningRelay) -> None:
    """RPL_WHOISACCOUNT: "<client> <nick> <account> :is logged in as" """
    relay.account("ann")
    bob = relay.join("bob")
    assert "330 bob ann ann :is logged in as" in bob.ask("WHOIS ann")
    assert "330" not in commands(bob.ask("WHOIS bob"))


def test_what_is_only_for_oneself_and_operators(start_relay: StartRelay) -> None:
    """RPL_WHOISACTUALLY, RPL_WHOISMODES: "to the client itself and to servers operators" """
    relay = with_operator(start_relay)
    ann, root = relay.join("ann"), relay.join("root")
    ann.ask("MODE ann +iw")
    private = {
        "338 {} ann 127.0.0.1 :Is actually using host",
        "379 {} ann :is using modes +iw",
    }
    assert {line.format("ann") for line in private} <= set(ann.ask("WHOIS ann"))
    assert not {"338", "379", "276", "378"} & set(commands(root.ask("WHOIS ann")))
    as_operator(root)
    assert {line.format("root") for line in private} <= set(root.ask("WHOIS ann"))
    assert "313 ann root :is an IRC operator" in ann.ask("WHOIS root")


def test_all_prefixes(relay: RunningRelay) -> None:
    """multi-prefix: "the server MUST send all prefixes" in RPL_WHOISCHANNELS too."""
    ann = relay.join("ann", "multi-prefix")
    ann.ask("JOIN #a", "MODE #a +v ann")
    assert "319 ann ann @+#a" in ann.ask("WHOIS ann")


def test_who_is_always_on_has_no_address_since_a_restart(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    relay.join("ann")
    root = as_operator(relay.join("root"))
    with relay.relay.services.lock:
        user = relay.relay.services.network.find_user("ann")
        assert user is not None
        user.address = ""
    assert "338" not in commands(root.ask("WHOIS ann"))
    assert root.ask("WHO ann %i")[0] == "354 root 255.255.255.255"


# ---- WHOWAS ----


def test_whowas(relay: RunningRelay) -> None:
    """ "The history is searched backward, returning the most recent entry first." "up to <count>
    replies will be returned (or all of them if no <count> parameter is given)" """
    ann = relay.join("ann")
    host = relay.session("ann").host
    for username in ("one", "two"):
        bob = relay.connect()
        bob.send("NICK bob", f"USER {username} 0 * :B")
        bob.expect("001")
        bob.quit()
    first, second = (
        [f"314 ann bob ~{name} {host} * B", f"312 ann bob {NAME} :{LEFT_AT}"]
        for name in ("one", "two")
    )
    end = "369 ann bob :End of WHOWAS"
    assert ann.ask("WHOWAS bob") == [*second, *first, end]
    assert ann.ask("WHOWAS bob 1") == [*second, end]
    for count in ("2", "9999999999999999999999", "0", "-1", "x"):
        assert ann.ask(f"WHOWAS bob {count}") == [*second, *first, end], count
    assert ann.ask("WHOWAS BOB 1") == [*second, "369 ann BOB :End of WHOWAS"]


def test_whowas_of_a_changed_nick(relay: RunningRelay) -> None:
    """ "This may either be due to a nickname change or the user leaving IRC." """
    ann = relay.account("ann")
    host = relay.session("ann").host
    ann.ask("NICK anna", "NICK ANNA")
    assert ann.ask("WHOWAS ann") == [
        f"314 ANNA ann ~ann {host} * :Real ann",
        "330 ANNA ann ann :was logged in as",
        f"312 ANNA ann {NAME} :{LEFT_AT}",
        "369 ANNA ann :End of WHOWAS",
    ]
    assert commands(ann.ask("WHOWAS anna")) == ["406", "369"]


def test_whowas_of_nobody(relay: RunningRelay) -> None:
    """ "Servers MUST reply with either ERR_WASNOSUCHNICK or a non-empty list of WHOWAS entries,
    both followed with RPL_ENDOFWHOWAS"; without a nick "they SHOULD send a single reply, using
    either ERR_NONICKNAMEGIVEN or ERR_NEEDMOREPARAMS"."""
    ann = relay.join("ann")
    assert ann.ask("WHOWAS nobody", "WHOWAS nob*") == [
        "406 ann nobody :There was no such nickname",
        "369 ann nobody :End of WHOWAS",
        "406 ann nob* :There was no such nickname",
        "369 ann nob* :End of WHOWAS",
    ]
    assert ann.ask("WHOWAS", "WHOWAS :") == ["431 ann :No nickname given"] * 2


def test_an_operator_sees_where_somebody_was(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    root = as_operator(relay.join("root"))
    relay.join("bob").quit()
    assert "338 root bob 127.0.0.1 :Was actually using host" in root.ask("WHOWAS bob")


def test_whowas_forgets(start_relay: StartRelay) -> None:
    relay = start_relay(limits={"whowas_entries": 1})
    ann = relay.join("ann")
    relay.join("bob").quit()
    relay.join("carl").quit()
    assert commands(ann.ask("WHOWAS bob", "WHOWAS carl")) == ["406", "369", "314", "312", "369"]
    relay.stop()
    relay = start_relay(limits={"whowas_entries": 0})
    dora = relay.join("dora")
    relay.join("bob").quit()
    assert commands(dora.ask("WHOWAS bob")) == ["406", "369"]


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
