"""WEBIRC: https://ircv3.net/specs/extensions/webirc"""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.server.config import GatewayConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Client, RunningRelay, commands

CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)
SECRET = "gateway-secret"
GATEWAY = "198.51.100.7"
THERE = "203.0.113.9"
INVALID = ["ERROR :Closing link: Invalid WebIRC password"]


@pytest.fixture
def start(start_relay: StartRelay) -> Any:
    """Starts a relay with a gateway."""
    kiwi = GatewayConfig("kiwi", hash_password(SECRET, CHEAP), ("198.51.100.0/28",), "")

    def start(*more: GatewayConfig, **changes: Any) -> RunningRelay:
        return start_relay(webirc=(kiwi, *more), **changes)

    return start


@pytest.fixture
def web(start: Any) -> RunningRelay:
    relay: RunningRelay = start()
    return relay


def gateway(relay: RunningRelay, address: str = GATEWAY, **connect: Any) -> Client:
    return relay.connect(address=address, **connect)


def line(
    ip: str = THERE, options: str | None = None, password: str = SECRET, host: str = "a.example.org"
) -> str:
    words = f"WEBIRC {password} ExampleGateway {host} {ip}"
    return words if options is None else f"{words} :{options}"


@pytest.mark.parametrize("ip", [THERE, "2001:db8::9", "0::1:9", "0::ffff:203.0.113.9"])
def test_the_session_is_where_the_client_is(web: RunningRelay, ip: str) -> None:
    """ "This information can be used by the network as if the user was connecting directly." "If
    the IP address is an IPv6 address beginning with a colon, it MUST be sent with a canonically-
    acceptable preceding zero." """
    gateway(web, ip.removeprefix("0") if ip.startswith("0:") else ip).register("direct")
    client = gateway(web)
    assert client.ask(line(ip)) == []
    client.register("ann")
    ann, other = web.session("ann"), web.session("direct")
    assert ann.host == other.host, "the same cloak"
    assert ann.gateway == "kiwi"


def test_the_log_has_both(web: RunningRelay, caplog: pytest.LogCaptureFixture) -> None:
    """ "IRC servers SHOULD show when a WebIRC connection is in use and SHOULD provide the original
    host when possible." """
    gateway(web).ask(line(options="secure remote-port=21726 local-port=6697"))
    wanted = f"connects for {THERE} (gateway kiwi at {GATEWAY}, remote-port 21726, local-port 6697)"
    assert wanted in caplog.text


@pytest.mark.parametrize(
    ("options", "secure"),
    [
        (None, False),
        ("", False),
        ("secure", True),
        ("secure=examplevalue123", True),
        ("secure=example\\svalue local-port=6697", True),
        ("local-port=6697 remote-port=21726 secure", True),
        ("local-port=6697", False),
        ("insecure", False),
        ("x y=z certfp-sha-256=00 secure", True),
        ("  secure  ", True),
    ],
)
def test_options(web: RunningRelay, options: str | None, secure: bool) -> None:
    """ "Servers MUST ONLY treat the connection as secure if this flag is sent and the connection
    from the gateway to the server is also secure with TLS", as every one here is. "they MUST treat
    the options secure and secure=examplevalue123 in exactly the same way" """
    client = gateway(web)
    assert client.ask(line(options=options)) == []
    client.register("ann")
    assert web.session("ann").secure is secure


def test_without_a_gateway_all_is_secure(web: RunningRelay) -> None:
    web.join("ann")
    assert web.session("ann").secure


@pytest.mark.parametrize(
    "before", ["CAP LS 302", "NICK ann", "USER ann 0 * :x", "PING x", "NONSENSE"]
)
def test_it_comes_first(web: RunningRelay, before: str) -> None:
    """ "The WEBIRC command MUST be the first command sent from the WebIRC gateway to the IRC server
    and MUST be sent before capability negotiation." """
    client = gateway(web)
    client.ask(before)
    client.send(line())
    assert client.read_to_end() == ["ERROR :Closing link: WEBIRC must be the first command"]


def test_after_registration(web: RunningRelay) -> None:
    client = gateway(web).register("ann")
    assert client.ask(line()) == ["462 ann :You may not reregister"]
    client.quit()


def test_wrong_password(web: RunningRelay) -> None:
    """ "ERROR :Invalid WebIRC password" """
    client = gateway(web)
    client.send(line(password="wrong"), "NICK ann")
    assert client.read_to_end() == INVALID


def test_from_elsewhere(web: RunningRelay) -> None:
    """ "If the WEBIRC command does not originate from a whitelisted IP address or uses an incorrect
    password, the gateway SHOULD close any connections with an ERROR command." """
    client = gateway(web, "198.51.100.77")
    client.send(line())
    assert client.read_to_end() == INVALID


def test_where_there_is_no_gateway(relay: RunningRelay) -> None:
    client = relay.connect()
    client.send(line())
    assert client.read_to_end() == INVALID


@pytest.mark.parametrize("ip", ["nonsense", "203.0.113.999", "a.example.org", "0x7f.1", "*"])
def test_what_is_no_address(web: RunningRelay, ip: str) -> None:
    client = gateway(web)
    client.send(line(ip))
    assert client.read_to_end() == ["ERROR :Closing link: Invalid IP address"]


@pytest.mark.parametrize("missing", range(4))
def test_missing_parameters(web: RunningRelay, missing: int) -> None:
    """ "The WEBIRC command takes four or five parameters" """
    words = " ".join(line().split(" ")[: missing + 1])
    assert gateway(web).ask(words) == ["461 * WEBIRC :Not enough parameters"]


def test_by_certificate(start_relay: StartRelay, relay_certificates: Any) -> None:
    """A gateway that shows its certificate needs no password; another one's will not do."""
    ours = relay_certificates.of_person("kiwi")
    client_der = _der(ours)
    known = GatewayConfig("kiwi", "", (), hashlib.sha256(client_der).hexdigest())
    relay = start_relay(webirc=(known,), tls={"client_ca": relay_certificates.ca_file})
    client = relay.connect(certificate=ours)
    assert client.ask(line(password="any", options="secure")) == []
    client.register("ann")
    assert relay.session("ann").address == THERE
    other = relay.connect(certificate=relay_certificates.of_person("kiwi"))
    other.send(line())
    assert other.read_to_end() == INVALID


def _der(path: Any) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def test_what_the_gateway_shows_is_not_the_clients(start: Any, relay_certificates: Any) -> None:
    """Neither its certificate nor its end of TLS: no EXTERNAL, no channel binding."""
    relay = start(tls={"client_ca": relay_certificates.ca_file})
    client = gateway(relay, certificate=relay_certificates.of_person("kiwi"))
    client.ask(line(options="secure"))
    found = " ".join(client.ask("CAP LS 302"))
    assert "sasl=SCRAM-SHA-256,PLAIN " in found


def test_limits_follow_the_client(start: Any) -> None:
    """A gateway may have any number of connections; those of one client count together, also with
    those that are not through a gateway."""
    relay = start(limits={"connections_per_address": 2})
    clients = [gateway(relay) for _ in range(6)]
    for client in clients[:2]:
        assert client.ask(line()) == []
    full = ["ERROR :Closing link: Too many connections from your address"]
    clients[2].send(line())
    assert clients[2].read_to_end() == full
    assert relay.connect(address=THERE).read_to_end() == full
    assert clients[3].ask(line("203.0.113.10")) == []
    clients[0].quit()
    assert clients[4].ask(line()) == []


def test_the_login_throttle_follows_the_client(start: Any) -> None:
    relay = start(accounts={"failures_per_minute": 2})
    for ip, last in ((THERE, "Too many failed logins"), ("203.0.113.10", "SASL authentication")):
        for attempt in range(3):
            client = gateway(relay)
            client.ask(line(ip))
            client.request("sasl")
            (answer,) = client.authenticate_plain(f"nobody-{ip}-{attempt}", "wrong")
            client.quit()
            if ip != THERE:
                break
        assert last in answer


def test_two_gateways_in_one_place(start: Any) -> None:
    """Each has its password."""
    other = GatewayConfig("other", hash_password("second", CHEAP), (f"{GATEWAY}/32",), "")
    relay = start(other)
    for password in ("second", SECRET):
        client = gateway(relay)
        assert client.ask(line(password=password)) == []
        assert commands(client.ask("NICK ann", "USER a 0 * :a"))[0] == "001"
        client.quit()


def test_the_password_is_in_no_log(web: RunningRelay, caplog: pytest.LogCaptureFixture) -> None:
    client = gateway(web)
    client.send(line(password="very-secret-word"))
    client.read_to_end()
    web.join("bob")
    assert f"WEBIRC refused from {GATEWAY}: wrong password" in caplog.text
    assert "very-secret-word" not in caplog.text


def test_whois_tells_who_is_secure(web: RunningRelay) -> None:
    """ "Servers MUST ONLY treat the connection as secure if this flag is sent" """
    for nick, options in (("ann", "secure"), ("bob", None)):
        client = gateway(web)
        client.ask(line(options=options))
        client.register(nick)
    carl = web.join("carl")
    told = {nick: "671" in commands(carl.ask(f"WHOIS {nick}")) for nick in ("ann", "bob", "carl")}
    assert told == {"ann": True, "bob": False, "carl": True}
