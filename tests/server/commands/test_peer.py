"""PEER (the vocabulary is tested in tests/irc/test_peering.py, the rules without a relay in
tests/server/test_peer_rules.py, a conversation is in tests/conversations/peer.txt)."""

from __future__ import annotations

import base64
import datetime
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from securechat import pki
from securechat.errors import StoreBusy
from securechat.irc import peering
from securechat.irc.message import Message
from securechat.irc.peering import (
    CANDIDATES_PER_SIGNAL,
    CERTIFICATE_BYTES,
    CERTIFICATE_TAG,
    fingerprint_of,
)
from securechat.net.connection import Connection
from securechat.server import device_keeper
from securechat.server.config import GatewayConfig
from securechat.server.context import PIECE_STEPS
from securechat.server.rules.peers import DEVICES_PER_ACCOUNT
from securechat.server.session import SIGNAL_BURST, SIGNALS_PER_S
from securechat.server.state import AnnouncedDevice
from securechat.store.devices import PeerDevices
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    NAME,
    WALL_S,
    Client,
    FakeClock,
    RunningRelay,
    commands,
    short,
)

PEER = "securechat/peer"
P, Q = "1" * 32, "2" * 32
WALL_MS = int(WALL_S * 1000)


def device() -> bytes:
    return pki.make_device().certificate.public_bytes(Encoding.DER)


DESK, PHONE, TABLET = device(), device(), device()
DESK_NAME, PHONE_NAME, TABLET_NAME = map(fingerprint_of, (DESK, PHONE, TABLET))


def announce(client: Client, certificate: bytes) -> list[str]:
    return client.ask(peering.announce(certificate).to_line())


def account(relay: RunningRelay, nick: str, certificate: bytes, *caps: str) -> Client:
    """Return a client of a new account that can be reached as a peer."""
    client = relay.account(nick, PEER, *caps)
    assert announce(client, certificate)[0].startswith("PEER ANNOUNCED ")
    return client


def device_of(relay: RunningRelay, nick: str, certificate: bytes, *caps: str) -> Client:
    """Return one more client of an account, which can be reached as a peer."""
    client = relay.login(nick, PEER, *caps)
    assert announce(client, certificate)[0].startswith("PEER ANNOUNCED ")
    return client


def failures(lines: list[str]) -> list[str]:
    """Return lines, of which all must be refusals of PEER, without what all of them have."""
    assert all(line.startswith("FAIL PEER ") for line in lines), lines
    return [line.removeprefix("FAIL PEER ").partition(" :")[0] for line in lines]


@pytest.fixture
def ann(relay: RunningRelay) -> Client:
    return account(relay, "ann", DESK)


@pytest.fixture
def bob(relay: RunningRelay) -> Client:
    return account(relay, "bob", PHONE)


@pytest.fixture
def pair(ann: Client, bob: Client) -> tuple[Client, Client]:
    """Two who have a pair, P."""
    ann.ask(f"PEER OFFER bob * {P}")
    assert commands(bob.seen()) == ["PEER"]
    bob.ask(f"PEER ANSWER {P}")
    assert commands(ann.seen()) == ["PEER"]
    return ann, bob


SIGNALS = (
    peering.announce(DESK).to_line(),
    "PEER RETRACT",
    "PEER LOOKUP ann",
    "PEER LIST",
    f"PEER OFFER ann * {P}",
    f"PEER ANSWER {P}",
    f"PEER CANDIDATES {P} :192.0.2.1:5000",
    f"PEER TUNNEL {P}",
    f"PEER WITHDRAW {P} :x",
)


# ---- for whom it is ----


@pytest.mark.parametrize("signal", ["PEER", *SIGNALS])
def test_without_the_capability_there_is_no_such_command(relay: RunningRelay, signal: str) -> None:
    assert relay.account("ann").ask(signal) == ["421 ann PEER :Unknown command"]
    assert relay.join("bob").ask(signal) == ["421 bob PEER :Unknown command"]


@pytest.mark.parametrize("signal", SIGNALS)
def test_guests_are_no_peers(relay: RunningRelay, signal: str) -> None:
    subcommand, about = Message.parse(signal).params[0], P if P in signal else "*"
    guest = relay.join("guest", PEER)
    assert failures(guest.ask(signal)) == [f"ACCOUNT_REQUIRED {subcommand} {about}"]


def test_not_before_registration(relay: RunningRelay, ann: Client) -> None:
    client = relay.connect()
    client.request(PEER, "sasl")
    client.authenticate_plain("ann")
    assert client.ask("NICK ann", "PEER LIST") == ["451 ann :You have not registered"]


def test_not_in_a_batch(relay: RunningRelay) -> None:
    ann = relay.account("ann", PEER, "batch", "draft/multiline", "standard-replies")
    assert ann.ask("BATCH +1 draft/multiline ann", "@batch=1 PEER LIST") == [
        "FAIL BATCH MULTILINE_INVALID :PEER cannot be in a batch"
    ]
    assert ann.ask("BATCH -1", "PEER LIST") == ["PEER END LIST *"]


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ("PEER DANCE", "INVALID_PARAMS DANCE *"),
        ("PEER :", "INVALID_PARAMS * *"),
        ("PEER LOOKUP", "INVALID_PARAMS LOOKUP *"),
        (f"PEER OFFER {P}", "INVALID_PARAMS OFFER *"),
        ("PEER OFFER bob *", "INVALID_PARAMS OFFER *"),
        ("PEER OFFER bob * x", "INVALID_PARAMS OFFER x"),
        ("PEER OFFER bob * :a b", "INVALID_PARAMS OFFER *"),
        (f"PEER OFFER bob * {P.replace('1', 'A')}", f"INVALID_PARAMS OFFER {'A' * 32}"),
        (f"PEER OFFER bob desk {P}", f"INVALID_PARAMS OFFER {P}"),
        (f"PEER OFFER bob {DESK_NAME.upper()} {P}", f"INVALID_PARAMS OFFER {P}"),
        ("PEER ANSWER", "INVALID_PARAMS ANSWER *"),
        ("PEER ANSWER x", "INVALID_PARAMS ANSWER x"),
        ("PEER TUNNEL", "INVALID_PARAMS TUNNEL *"),
        ("PEER WITHDRAW", "INVALID_PARAMS WITHDRAW *"),
        ("PEER CANDIDATES", "INVALID_PARAMS CANDIDATES *"),
        (f"PEER CANDIDATES {P}", f"INVALID_PARAMS CANDIDATES {P}"),
        (f"PEER CANDIDATES {P} :localhost:5", f"INVALID_PARAMS CANDIDATES {P}"),
        (f"PEER CANDIDATES {P} :{'1.2.3.4:5 ' * 40}", f"INVALID_PARAMS CANDIDATES {P}"),
        ("PEER LOOKUP nobody", "NO_SUCH_PEER LOOKUP nobody"),
        ("PEER LOOKUP :no body", "NO_SUCH_PEER LOOKUP *"),
        ("PEER LOOKUP #room", "NO_SUCH_PEER LOOKUP #room"),
        (f"PEER OFFER nobody * {P}", f"NO_SUCH_PEER OFFER {P}"),
        (f"PEER OFFER bob {DESK_NAME} {P}", f"NO_SUCH_PEER OFFER {P}"),
        (f"PEER OFFER ann * {P}", f"NO_SUCH_PEER OFFER {P}"),
        (f"PEER ANSWER {P}", f"NO_SUCH_OFFER ANSWER {P}"),
        (f"PEER CANDIDATES {P} :", f"NO_SUCH_OFFER CANDIDATES {P}"),
        (f"PEER TUNNEL {P}", f"NO_SUCH_OFFER TUNNEL {P}"),
        (f"PEER WITHDRAW {P}", f"NO_SUCH_OFFER WITHDRAW {P}"),
    ],
)
def test_what_is_refused(ann: Client, bob: Client, line: str, failure: str) -> None:
    assert failures(ann.ask(line)) == [failure]
    assert bob.seen() == []


def test_a_command_without_anything(ann: Client) -> None:
    assert ann.ask("PEER") == ["461 ann PEER :Not enough parameters"]


# ---- ANNOUNCE and RETRACT ----


def test_announced(relay: RunningRelay) -> None:
    ann = relay.account("ann", PEER)
    port = ann.sock.getsockname()[1]
    answer = [f"PEER ANNOUNCED {DESK_NAME} 127.0.0.1 {port}"]
    assert announce(ann, DESK) == answer
    assert announce(ann, DESK) == answer
    (message,) = ann.collect(peering.announce(PHONE).to_line())
    seen = peering.parse_signal(message)
    assert seen == peering.Announced(PHONE_NAME, "127.0.0.1", port)


@pytest.mark.parametrize(("told", "address"), [("203.0.113.9", "203.0.113.9"), ("0::9", "0::9")])
def test_behind_a_gateway_the_port_is_not_known(
    start_relay: StartRelay, told: str, address: str
) -> None:
    secret = hash_password("secret", Argon2Parameters(8_192, 1, 1))
    gateway = GatewayConfig("kiwi", secret, ("198.51.100.0/28",), "")
    relay = start_relay(webirc=(gateway,))
    relay.account("ann").quit()
    client = relay.connect(address="198.51.100.7")
    client.ask(f"WEBIRC secret Gateway host.example.org {told}")
    client.request("sasl", PEER)
    client.authenticate_plain("ann")
    client.register("ann")
    assert announce(client, DESK) == [f"PEER ANNOUNCED {DESK_NAME} {address} 0"]


def test_a_socket_without_a_port(relay: RunningRelay) -> None:
    relay.account("ann").quit()
    client = relay.connect(address="2001:db8::9")
    client.request("sasl", PEER)
    client.authenticate_plain("ann")
    client.register("ann")
    assert announce(client, DESK) == [f"PEER ANNOUNCED {DESK_NAME} 2001:db8::9 0"]


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def self_signed(key: Key, issuer: str = "device", *, filling: int = 0) -> bytes:
    """Return a certificate of ``key``; with an extension of ``filling`` bytes, if any."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in ("device", issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2000, 1, 1))
        .not_valid_after(datetime.datetime(2001, 1, 1))
    )
    if filling:
        private = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(filling))
        builder = builder.add_extension(private, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    "make",
    [
        lambda: self_signed(ec.generate_private_key(ec.SECP384R1())),
        lambda: self_signed(ec.generate_private_key(ec.SECP256K1())),
        lambda: self_signed(rsa.generate_private_key(65_537, 2_048)),
        lambda: self_signed(ed25519.Ed25519PrivateKey.generate()),
        lambda: self_signed(P256, "somebody else"),
        lambda: DESK + b"\0",
        lambda: DESK[:-1],
        lambda: b"\x30\x00",
        lambda: b"x" * CERTIFICATE_BYTES,
        lambda: pki.make_device().certificate_pem,
    ],
)
def test_what_is_no_certificate_of_a_device(relay: RunningRelay, make: Callable[[], bytes]) -> None:
    ann = relay.account("ann", PEER)
    assert failures(announce(ann, make())) == ["INVALID_CERTIFICATE ANNOUNCE *"]
    assert ann.ask("PEER LOOKUP ann") == ["PEER END LOOKUP ann"]


@pytest.mark.parametrize("tag", ["", f"@{CERTIFICATE_TAG} ", f"@{CERTIFICATE_TAG}=* "])
def test_announcing_nothing(relay: RunningRelay, tag: str) -> None:
    ann = relay.account("ann", PEER)
    assert failures(ann.ask(f"{tag}PEER ANNOUNCE")) == ["INVALID_CERTIFICATE ANNOUNCE *"]


def test_a_certificate_may_be_so_large(relay: RunningRelay) -> None:
    """And its dates mean nothing."""
    size = CERTIFICATE_BYTES - len(self_signed(P256, filling=1_000)) + 1_000
    sizes = {len(made): made for made in (self_signed(P256, filling=size - n) for n in range(9))}
    fitting = sizes[max(length for length in sizes if length <= CERTIFICATE_BYTES)]
    assert len(fitting) > CERTIFICATE_BYTES - 9
    ann = relay.account("ann", PEER)
    assert announce(ann, fitting)[0].startswith(f"PEER ANNOUNCED {fingerprint_of(fitting)}")
    large = self_signed(P256, filling=size + 9)
    assert len(large) > CERTIFICATE_BYTES
    encoded = base64.b64encode(large).decode()
    line = f"@{CERTIFICATE_TAG}={encoded} PEER ANNOUNCE"
    assert failures(ann.ask(line)) == ["INVALID_CERTIFICATE ANNOUNCE *"]
    answers = ann.collect("PEER LOOKUP ann")
    assert peering.parse_certificate(answers[0]) == fitting


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_damaged_certificate_is_one_or_is_refused(start_relay: StartRelay) -> None:
    """It makes no command fail, whatever byte is wrong."""
    clock = FakeClock()
    relay = start_relay(clock=clock)
    ann = relay.account("ann", PEER)
    for position, change in itertools.product(range(len(DESK)), (0x01, 0x80, 0xFF)):
        damaged = bytearray(DESK)
        damaged[position] ^= change
        clock.now += 1 / SIGNALS_PER_S
        (answer,) = announce(ann, bytes(damaged))
        taken = f"PEER ANNOUNCED {fingerprint_of(bytes(damaged))} "
        assert answer.startswith((taken, "FAIL PEER INVALID_CERTIFICATE ANNOUNCE * :"))


def test_announcing_is_logged_and_nothing_else(
    relay: RunningRelay, caplog: pytest.LogCaptureFixture
) -> None:
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    ann.ask(f"PEER CANDIDATES {P} :192.0.2.77:5000")
    bob.ask(f"PEER WITHDRAW {P} :a private reason")
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert f"announce ann device {DESK_NAME}" in text
    assert f"announce bob device {PHONE_NAME}" in text
    for secret in ("192.0.2.77", P, "private reason"):
        assert secret not in text


# ---- REACHABLE and UNREACHABLE ----


def test_who_is_told_of_a_peer(relay: RunningRelay) -> None:
    """Those who share a channel, and those who watch: with the capability and an account."""
    ann = relay.account("ann", PEER)
    bob = relay.account("bob", PEER, "server-time", "message-tags", "account-tag")
    plain, guest = relay.account("plain"), relay.join("guest", PEER)
    watcher = relay.account("watcher", PEER, "extended-monitor")
    half = relay.account("half", PEER)
    guest_watcher = relay.join("guest2", PEER, "extended-monitor")
    stranger = relay.account("stranger", PEER)
    for client in (ann, bob, plain, guest):
        client.ask("JOIN #den")
    for client in (watcher, half, guest_watcher, bob):
        client.ask("MONITOR + ann")
    others = (plain, guest, half, guest_watcher, stranger)
    for client in (bob, watcher, *others):
        client.sync()
    announce(ann, DESK)
    (found,) = bob.sync()
    assert short(found) == "PEER REACHABLE ann ann"
    assert set(found.tags) == {"time"}
    assert watcher.seen() == ["PEER REACHABLE ann ann"]
    assert [client.seen() for client in others] == [[]] * len(others)
    assert ann.ask("PEER RETRACT", "PEER RETRACT") == []
    assert bob.seen() == watcher.seen() == ["PEER UNREACHABLE ann ann"]
    assert [client.seen() for client in others] == [[]] * len(others)


@pytest.mark.parametrize(
    "end", [lambda c: c.quit(), lambda c: c.vanish(), lambda c: c.ask(f"CAP REQ -{PEER}")]
)
def test_however_it_ends(relay: RunningRelay, end: Callable[[Client], Any]) -> None:
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    for client in (ann, bob):
        client.ask("JOIN #den")
    bob.ask(f"PEER OFFER ann * {P}")
    end(ann)
    assert bob.expect("PEER", "WITHDRAW").params[1] == P
    assert bob.expect("PEER", "UNREACHABLE").params == ("UNREACHABLE", "ann", "ann")
    assert failures(bob.ask(f"PEER OFFER ann * {Q}")[-1:]) == [f"NO_SUCH_PEER OFFER {Q}"]


def test_another_capability_given_up_changes_nothing(relay: RunningRelay) -> None:
    ann, bob = account(relay, "ann", DESK, "batch"), account(relay, "bob", PHONE)
    ann.ask("CAP REQ -batch", f"CAP REQ {PEER}")
    assert bob.ask("PEER LIST") == ["PEER REACHABLE ann ann", "PEER END LIST *"]


# ---- LIST ----


def test_list(relay: RunningRelay, ann: Client, bob: Client) -> None:
    """Others, and one's own account by another device; each once; whom one may see."""
    only_ann = ["PEER REACHABLE ann ann", "PEER END LIST *"]
    assert bob.ask("PEER LIST") == only_ann
    relay.account("plain", PEER)
    tablet = device_of(relay, "ann", TABLET)
    assert bob.ask("PEER LIST") == only_ann
    assert ann.ask("PEER LIST") == ["PEER REACHABLE bob bob", *only_ann]
    ann.ask("MODE ann +i")
    assert bob.ask("PEER LIST") == ["PEER END LIST *"]
    bob.ask("JOIN #den")
    tablet.ask("JOIN #den")
    bob.sync()
    assert bob.ask("PEER LIST") == only_ann


def test_a_long_list_with_a_label(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has left between two pieces of it is not in it."""
    ann = relay.account("ann", PEER, "labeled-response", "batch")
    account(relay, "bob", PHONE)
    network = relay.relay.services.network
    bob = network.find_user("bob")
    assert bob is not None
    strangers = range(-1, -PIECE_STEPS - 2, -1)
    gone = strangers[-1]
    with relay.relay.services.lock:
        for number in strangers:  # of a relay elsewhere
            network.announced[number] = AnnouncedDevice("bob", PHONE_NAME, PHONE)
            network.sessions[number] = bob
    when_sent = Connection.when_sent

    def end_one(connection: Connection, callback: Callable[[], None]) -> None:
        network.announced.pop(gone, None)  # between two pieces, under the lock
        network.sessions.pop(gone, None)
        when_sent(connection, callback)

    monkeypatch.setattr(Connection, "when_sent", end_one)
    start, *found, end = ann.collect("@label=x PEER LIST")
    assert start.tags == {"label": "x"}
    assert [short(message) for message in found] == ["PEER REACHABLE bob bob", "PEER END LIST *"]
    assert end.command == "BATCH"
    assert gone not in network.announced
    with relay.relay.services.lock:
        for number in strangers[:-1]:
            del network.announced[number], network.sessions[number]


# ---- LOOKUP ----


def found_devices(client: Client, name: str) -> list[peering.DeviceFound]:
    *found, end = map(peering.parse_signal, client.collect(f"PEER LOOKUP {name}"))
    assert end == peering.End("LOOKUP", name)
    assert all(isinstance(each, peering.DeviceFound) for each in found)
    return found  # type: ignore[return-value]


def test_look_up(start_relay: StartRelay) -> None:
    now_s = [WALL_S]
    relay = start_relay(wall_clock=lambda: now_s[0])
    bob = account(relay, "bob", PHONE)
    ann = account(relay, "Ann", DESK)
    now_s[0] += 10
    phone = device_of(relay, "Ann", TABLET)
    now_s[0] += 10
    then = WALL_MS + 20_000
    expected = [
        peering.DeviceFound("Ann", "Ann", DESK, True, WALL_MS, then),
        peering.DeviceFound("Ann", "Ann", TABLET, True, WALL_MS + 10_000, then),
    ]
    assert found_devices(bob, "Ann") == expected
    assert found_devices(bob, "aNN") == expected
    assert found_devices(ann, "ann") == expected
    phone.quit()
    now_s[0] += 10
    desk, tablet = found_devices(bob, "Ann")
    assert (desk.reachable, desk.last_ms) == (True, then + 10_000)
    assert tablet == peering.DeviceFound("Ann", "Ann", TABLET, False, WALL_MS + 10_000, then)
    ann.quit()
    assert [(each.nick, each.reachable) for each in found_devices(bob, "Ann")] == [
        ("", False),
        ("", False),
    ]


def test_look_up_by_the_nick_or_the_account(relay: RunningRelay, bob: Client) -> None:
    """Where the two differ; who hides is found by the nick only."""
    relay.account("ann").quit()
    client = relay.login("ann", PEER, nick="annie")
    announce(client, DESK)
    for name in ("annie", "ann"):
        ((shown, nick),) = [(each.account, each.nick) for each in found_devices(bob, name)]
        assert (shown, nick) == ("ann", "annie")
    client.ask("MODE annie +i")
    assert [each.nick for each in found_devices(bob, "annie")] == ["annie"]
    (hidden,) = found_devices(bob, "ann")
    assert (hidden.nick, hidden.reachable) == ("", True)


def test_nobody_to_look_up(relay: RunningRelay, ann: Client) -> None:
    relay.join("guest", PEER)
    relay.account("plain")
    assert failures(ann.ask("PEER LOOKUP guest")) == ["NO_SUCH_PEER LOOKUP guest"]
    assert ann.ask("PEER LOOKUP plain") == ["PEER END LOOKUP plain"]


def test_devices_are_known_after_a_restart(start_relay: StartRelay) -> None:
    relay = start_relay()
    ann = account(relay, "ann", DESK)
    ann.quit()
    relay.stop()
    bob = start_relay().account("bob", PEER)
    assert found_devices(bob, "ann") == [
        peering.DeviceFound("ann", "", DESK, False, WALL_MS, WALL_MS)
    ]


def test_looking_up_when_the_database_fails(relay: RunningRelay, bob: Client, ann: Client) -> None:
    relay.relay.services.store.call(lambda c: c.execute("DROP TABLE peer_devices") and None)
    relay.may_log_errors = True  # when they leave, that is not kept either
    assert failures(bob.ask("PEER LOOKUP ann")) == ["TEMPORARILY_UNAVAILABLE LOOKUP ann"]


def test_looking_up_when_the_store_is_busy(
    relay: RunningRelay,
    ann: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def busy(*args: object) -> None:
        raise StoreBusy("too much")

    monkeypatch.setattr(relay.relay.services.store, "submit", busy)
    assert failures(ann.ask("PEER LOOKUP ann")) == ["TEMPORARILY_UNAVAILABLE LOOKUP ann"]
    assert announce(ann, PHONE)[0].startswith("PEER ANNOUNCED ")
    assert "devices are not kept for now: too much" in caplog.text


def test_who_leaves_while_looking_up(
    relay: RunningRelay, ann: Client, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has nowhere to go, and nobody is looked for who is not there."""
    session, store = relay.session("ann"), relay.relay.services.store
    waiting: list[tuple[Any, Any]] = []
    with monkeypatch.context() as patched:
        patched.setattr(store, "submit", lambda *asked: waiting.append(asked))
        ann.send("PEER LOOKUP bob")
        while not waiting:
            bob.sync()
    relay.run_on(session, lambda: session.close("Enough"))
    store.submit(*waiting[0])
    store.call(lambda connection: None)
    relay.run_on(session, lambda: None)  # what the store has posted comes before
    assert ann.read_to_end() == ["ERROR :Closing link: Enough"]


# ---- the devices that are kept ----


def kept(relay: RunningRelay, name: str) -> list[str]:
    devices = relay.relay.services.store.call(lambda c: PeerDevices(c).list(name))
    return [each.fingerprint for each in devices]


def test_the_devices_seen_last_are_kept(start_relay: StartRelay) -> None:
    """But never is one forgotten that can be reached."""
    clock, now_s = FakeClock(), [WALL_S]
    relay = start_relay(clock=clock, wall_clock=lambda: now_s[0])
    desk = account(relay, "ann", DESK)
    phone = relay.login("ann", PEER)
    certificates = [device() for _ in range(DEVICES_PER_ACCOUNT + 1)]
    for certificate in certificates:
        clock.now += 1 / SIGNALS_PER_S
        now_s[0] += 1
        announce(phone, certificate)
    names = [fingerprint_of(each) for each in certificates]
    assert kept(relay, "ann") == [DESK_NAME, *names[2:]]
    now_s[0] += 1
    desk.quit()
    clock.now += 1 / SIGNALS_PER_S
    now_s[0] += 1
    announce(phone, PHONE)
    assert kept(relay, "ann") == [DESK_NAME, *names[3:], PHONE_NAME]


def test_who_is_there_is_found_kept_or_not(
    relay: RunningRelay, bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind those that are kept: it is the newest."""
    account(relay, "ann", DESK)
    relay.relay.services.store.call(lambda connection: None)
    monkeypatch.setattr(device_keeper, "_add", lambda effect, connection: None)
    device_of(relay, "ann", TABLET)
    assert kept(relay, "ann") == [DESK_NAME]
    assert found_devices(bob, "ann") == [
        peering.DeviceFound("ann", "ann", each, True, WALL_MS, WALL_MS) for each in (DESK, TABLET)
    ]


def test_a_device_that_cannot_be_kept_is_logged(
    relay: RunningRelay, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("no disk")

    relay.may_log_errors = True
    monkeypatch.setattr(device_keeper, "_add", fail)
    account(relay, "ann", DESK)
    relay.relay.services.store.call(lambda connection: None)
    assert "devices are not kept for now: no disk" in caplog.text


# ---- OFFER, ANSWER, CANDIDATES, WITHDRAW ----


def source(relay: RunningRelay, nick: str) -> str:
    user = relay.relay.services.network.find_user(nick)
    assert user is not None
    return user.author.source


def test_from_the_offer_to_the_end(relay: RunningRelay, ann: Client, bob: Client) -> None:
    assert ann.ask(f"PEER OFFER bob * {P}") == []
    (offer,) = bob.sync()
    assert offer.source == source(relay, "ann")
    assert peering.parse_signal(offer) == peering.Offer("ann", "ann", DESK, P)
    assert bob.ask(f"PEER ANSWER {P}") == []
    (answer,) = ann.sync()
    assert answer.source == source(relay, "bob")
    assert peering.parse_signal(answer) == peering.Answer("bob", "bob", PHONE, P)
    here = [peering.Candidate("192.0.2.1", 5000), peering.Candidate("2001:db8::1", 6000)]
    (signal,) = peering.candidates(P, here)
    assert ann.ask(signal.to_line()) == []
    (told,) = bob.sync()
    assert told.source == source(relay, "ann")
    assert peering.parse_signal(told) == peering.Candidates(P, tuple(here))
    assert bob.ask(f"PEER CANDIDATES {P} :") == []
    (nowhere,) = ann.sync()
    assert peering.parse_signal(nowhere) == peering.Candidates(P, ())
    assert bob.ask(f"PEER WITHDRAW {P} :that is it") == []
    (over,) = ann.sync()
    assert over.source == source(relay, "bob")
    assert peering.parse_signal(over) == peering.Withdraw(P, "that is it")
    assert failures(ann.ask(f"PEER WITHDRAW {P}")) == [f"NO_SUCH_OFFER WITHDRAW {P}"]


def test_the_tags_of_a_signal(relay: RunningRelay, ann: Client) -> None:
    """The certificate for all; the others as each has asked for."""
    certificate = {CERTIFICATE_TAG: base64.b64encode(DESK).decode()}
    bob = account(relay, "bob", PHONE)
    rich = device_of(relay, "bob", TABLET, "server-time", "account-tag", "message-tags")
    ann.ask(f"@+x=y PEER OFFER bob * {P}")
    (plain,), (full,) = bob.sync(), rich.sync()
    assert plain.tags == certificate
    msgid = full.tags["msgid"]
    others = {"time": "2023-11-14T22:13:20.250Z", "account": "ann", "msgid": msgid}
    assert full.tags == certificate | others
    ann.ask(f"PEER WITHDRAW {P} x")
    (plain,), (full,) = bob.sync(), rich.sync()
    assert plain.tags == {}
    assert set(full.tags) == set(others)
    assert full.tags["msgid"] != msgid


def test_a_label(relay: RunningRelay, bob: Client) -> None:
    ann = account(relay, "ann", DESK, "labeled-response", "batch")
    (acknowledged,) = ann.collect(f"@label=x PEER OFFER bob * {P}")
    assert (acknowledged.command, acknowledged.tags) == ("ACK", {"label": "x"})
    assert "label" not in bob.sync()[0].tags


def test_a_long_reason_is_cut(pair: tuple[Client, Client]) -> None:
    ann, bob = pair
    ann.ask(f"PEER WITHDRAW {P} :{'é' * 150}")
    (over,) = bob.sync()
    assert peering.parse_signal(over) == peering.Withdraw(P, "é" * 100)


def test_the_other_devices_of_who_was_offered_to(relay: RunningRelay, ann: Client) -> None:
    bob, tablet = account(relay, "bob", PHONE), device_of(relay, "bob", TABLET)
    ann.ask(f"PEER OFFER BOB * {P}", f"PEER OFFER bob {TABLET_NAME} {Q}")
    offers = [f":ann PEER OFFER ann {DESK_NAME} {each}" for each in (P, Q)]
    assert bob.seen() == offers[:1]
    assert tablet.seen() == offers
    tablet.ask(f"PEER ANSWER {P}")
    assert ann.seen() == [f":bob PEER ANSWER bob {TABLET_NAME} {P}"]
    assert bob.seen() == [f":bob PEER WITHDRAW {P} :answered by another device"]
    late = [f"PEER ANSWER {P}", f"PEER WITHDRAW {P} no", f"PEER CANDIDATES {P} :"]
    assert failures(bob.ask(*late)) == [
        f"NO_SUCH_OFFER {word} {P}" for word in ("ANSWER", "WITHDRAW", "CANDIDATES")
    ]
    assert ann.seen() == tablet.seen() == []


def test_ones_own_other_device(relay: RunningRelay, ann: Client) -> None:
    tablet = device_of(relay, "ann", TABLET)
    ann.ask(f"PEER OFFER ann * {P}")
    assert ann.seen() == []
    assert tablet.seen() == [f":ann PEER OFFER ann {DESK_NAME} {P}"]
    assert failures(ann.ask(f"PEER ANSWER {P}")) == [f"NO_SUCH_OFFER ANSWER {P}"]
    tablet.ask(f"PEER ANSWER {P}")
    assert ann.seen() == [f":ann PEER ANSWER ann {TABLET_NAME} {P}"]


def test_a_third_person_does_nothing_with_an_id(
    relay: RunningRelay, pair: tuple[Client, Client]
) -> None:
    eve = account(relay, "eve", TABLET)
    tried = [
        f"PEER ANSWER {P}",
        f"PEER CANDIDATES {P} :192.0.2.1:5000",
        f"PEER TUNNEL {P}",
        f"PEER WITHDRAW {P} :ha",
    ]
    assert failures(eve.ask(*tried)) == [
        f"NO_SUCH_OFFER {line.split(' ')[1]} {P}" for line in tried
    ]
    assert failures(eve.ask(f"PEER OFFER bob * {P}")) == [f"ID_IN_USE OFFER {P}"]
    assert [client.seen() for client in pair] == [[], []]


def test_who_has_announced_nothing_offers_nothing(relay: RunningRelay, bob: Client) -> None:
    ann = relay.account("ann", PEER)
    assert failures(ann.ask(f"PEER OFFER bob * {P}")) == [f"NOT_ANNOUNCED OFFER {P}"]
    announce(ann, DESK)
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    ann.ask("PEER RETRACT")
    assert bob.seen() == [f":ann PEER WITHDRAW {P} :can be reached no longer"]
    assert failures(ann.ask(f"PEER OFFER bob * {Q}")) == [f"NOT_ANNOUNCED OFFER {Q}"]


def test_thousands_of_candidates(pair: tuple[Client, Client]) -> None:
    """In a line that is too long, and in many that are not."""
    ann, bob = pair
    line = f"PEER CANDIDATES {P} :{'1.2.3.4:5 ' * 1_000}"
    assert commands(ann.ask(line)) == ["417"]
    assert bob.seen() == []
    fitting = " ".join(["1.2.3.4:5"] * CANDIDATES_PER_SIGNAL)
    ann.send(*[f"PEER CANDIDATES {P} :{fitting}"] * 200)
    ann.sync()
    assert bob.seen() == [f":ann PEER CANDIDATES {P} :{fitting}"] * 200


# ---- TUNNEL ----


def token_for(client: Client) -> str:
    (message,) = client.sync()
    signal = peering.parse_signal(message)
    assert isinstance(signal, peering.Token)
    assert (message.source, signal.id) == (NAME, P)
    return signal.token


def test_each_side_of_a_pair_has_its_own_token(
    relay: RunningRelay, pair: tuple[Client, Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever side asks, and again if they ask again."""
    tokens = []
    for asker in pair:
        asker.send(f"PEER TUNNEL {P}")
        tokens += [token_for(client) for client in (asker, *(c for c in pair if c is not asker))]
    assert len(set(tokens)) == 4
    assert relay.relay.services.tunnels.snapshot().tunnels == 2
    assert not any(token in caplog.text for token in tokens)


def test_both_sides_of_a_pair_of_one_account(relay: RunningRelay, ann: Client) -> None:
    tablet = device_of(relay, "ann", TABLET)
    ann.ask(f"PEER OFFER ann * {P}")
    tablet.ask(f"PEER ANSWER {P}")
    ann.sync()
    tablet.send(f"PEER TUNNEL {P}")
    assert token_for(tablet) != token_for(ann)


def test_a_tunnel_with_a_label(relay: RunningRelay, bob: Client) -> None:
    ann = account(relay, "ann", DESK, "labeled-response", "batch")
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    ann.sync()
    (answer,) = ann.collect(f"@label=x PEER TUNNEL {P}")
    assert (answer.params[:2], answer.tags) == (("TOKEN", P), {"label": "x"})
    assert bob.sync()[0].tags == {}


def test_no_tunnel_before_the_answer(ann: Client, bob: Client) -> None:
    ann.ask(f"PEER OFFER bob * {P}")
    bob.sync()
    for client in (ann, bob):
        assert failures(client.ask(f"PEER TUNNEL {P}")) == [f"NO_SUCH_OFFER TUNNEL {P}"]


def test_no_more_tunnels_than_there_may_be(start_relay: StartRelay) -> None:
    """Nobody is told of one that is not granted."""
    relay = start_relay(peers={"tunnels_per_account": 1})
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    assert commands(bob.ask(f"PEER TUNNEL {P}")) == ["PEER"]
    ann.sync()
    assert failures(ann.ask(f"PEER TUNNEL {P}")) == [f"NO_TUNNEL TUNNEL {P}"]
    assert bob.seen() == []


@pytest.mark.parametrize("end", ["PEER RETRACT", f"CAP REQ -{PEER}", "QUIT"])
def test_no_tunnel_without_the_device(
    relay: RunningRelay, pair: tuple[Client, Client], end: str
) -> None:
    ann, bob = pair
    ann.ask(f"PEER TUNNEL {P}")
    assert relay.relay.services.tunnels.snapshot().tunnels == 1
    bob.send(end)
    ann.expect("PEER", "WITHDRAW", P)
    ann.sync()
    assert relay.relay.services.tunnels.snapshot().tunnels == 0


def test_tunnels_are_limited_in_rate(start_relay: StartRelay) -> None:
    clock = FakeClock()
    relay = start_relay(clock=clock, peers={"tunnels_per_account": 100})
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    granted = SIGNAL_BURST - 1  # one was to announce the device
    answers = bob.ask(*[f"PEER TUNNEL {P}"] * (granted + 1))
    assert commands(answers) == [*["PEER"] * granted, "FAIL"]
    assert failures(answers[-1:]) == [f"RATE_LIMITED TUNNEL {P}"]
    assert len(ann.seen()) == 1 + granted


def test_without_peers(start_relay: StartRelay) -> None:
    relay = start_relay(peers={"enabled": False})
    client = relay.connect()
    assert PEER not in " ".join(client.ask("CAP LS 302"))
    assert client.ask(f"CAP REQ {PEER}") == [f"CAP * NAK {PEER}"]
    ann = relay.account("ann")
    assert ann.ask("PEER LIST") == ["421 ann PEER :Unknown command"]


# ---- how pairs end with those whom they concern ----


def test_the_other_side_is_killed(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    root = as_operator(relay.join("root"))
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    ann.sync()
    root.ask("KILL bob :spam")
    assert ann.seen() == [f":bob PEER WITHDRAW {P} :left the relay"]


def test_an_operator_kills_the_other_side_of_a_pair_of_theirs(start_relay: StartRelay) -> None:
    relay = with_operator(start_relay)
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    as_operator(ann)
    ann.ask(f"PEER OFFER bob * {P}")
    bob.ask(f"PEER ANSWER {P}")
    ann.sync()
    assert ann.ask("KILL bob :spam") == [f":bob PEER WITHDRAW {P} :left the relay"]


def test_a_device_is_ended_by_another(relay: RunningRelay, ann: Client) -> None:
    bob, tablet = account(relay, "bob", PHONE), device_of(relay, "bob", TABLET)
    ann.ask(f"PEER OFFER bob {TABLET_NAME} {P}")
    tablet.ask(f"PEER ANSWER {P}")
    ann.sync()
    (number,) = [
        key
        for key, each in relay.relay.services.network.announced.items()
        if each.fingerprint == TABLET_NAME
    ]
    bob.ask(f"DEVICES END {number}")
    tablet.read_to_end()
    assert ann.seen() == [f":bob PEER WITHDRAW {P} :left the relay"]
    assert ann.ask("PEER LIST") == ["PEER REACHABLE bob bob", "PEER END LIST *"]


def test_the_other_side_is_silent_for_too_long(start_relay: StartRelay) -> None:
    clock = FakeClock()
    relay = start_relay(clock=clock)
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    ann.ask(f"PEER OFFER bob * {P}")
    assert commands(bob.seen()) == ["PEER"]
    limits = relay.config.limits
    clock.now += limits.ping_interval_s
    relay.wake()
    bob.expect("PING")
    ann.sync()
    clock.now += limits.ping_timeout_s
    relay.wake()
    assert ann.expect("PEER", "WITHDRAW").params == ("WITHDRAW", P, "left the relay")


def test_another_account(relay: RunningRelay, ann: Client) -> None:
    """Whoever logs in to another one is reached no more as the first."""
    relay.account("carl").quit()
    bob = account(relay, "bob", PHONE, "sasl")
    ann.ask(f"PEER OFFER bob * {P}")
    bob.authenticate_plain("carl")
    assert ann.seen() == [f":bob PEER WITHDRAW {P} :is logged in to another account now"]
    assert failures(ann.ask(f"PEER OFFER carl * {Q}")) == [f"NO_SUCH_PEER OFFER {Q}"]


# ---- how often ----


def test_offers_are_limited_in_rate(start_relay: StartRelay) -> None:
    clock = FakeClock()
    relay = start_relay(clock=clock)
    ann, bob = account(relay, "ann", DESK), account(relay, "bob", PHONE)
    for _ in range(SIGNAL_BURST - 1):  # one was to announce the device
        ann.ask(f"PEER OFFER bob * {P}", f"PEER WITHDRAW {P} x")
    assert len(bob.seen()) == 2 * (SIGNAL_BURST - 1)
    wait_s = int(1 / SIGNALS_PER_S)
    text = f"Too many at once: wait {wait_s} s"
    assert ann.ask(f"PEER OFFER bob * {P}") == [f"FAIL PEER RATE_LIMITED OFFER {P} :{text}"]
    assert announce(ann, TABLET) == [f"FAIL PEER RATE_LIMITED ANNOUNCE * :{text}"]
    assert bob.ask(f"PEER OFFER ann * {Q}") == []  # each session has its own limit
    ann.sync()
    clock.now += wait_s
    assert ann.ask(f"PEER OFFER bob * {P}") == []


def test_announcing_in_a_loop_does_not_write_without_end(
    relay: RunningRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = relay.account("ann", PEER)
    written: list[object] = []
    submit = relay.relay.services.store.submit

    def count(work: Any, done: Any) -> None:
        written.append(work)
        submit(work, done)

    monkeypatch.setattr(relay.relay.services.store, "submit", count)
    lines = [peering.announce(each).to_line() for each in (DESK, PHONE, TABLET)]
    answers = ann.ask(*(line for _ in range(20) for line in (*lines, "PEER RETRACT")))
    assert failures(answers[SIGNAL_BURST:]) == ["RATE_LIMITED ANNOUNCE *"] * (60 - SIGNAL_BURST)
    assert len(written) == 2 * SIGNAL_BURST  # each device comes, and goes
