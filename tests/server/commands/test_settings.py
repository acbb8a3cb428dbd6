"""SET and CERT: settings of accounts, their certificates, and the second factor."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.irc.sasl import plain_response
from securechat.server.commands.certificates import CERTIFICATES_PER_ACCOUNT
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, Client, RunningRelay, commands

FAILED = "904 * :SASL authentication failed"
HELP = "whether a password opens your account only with one of your certificates (CERT)"
UNKNOWN = "There is no such setting; there are second-factor, always-on"
A, B = "a" * 64, "b" * 64


def fingerprint(certificate: Path) -> str:
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    return hashlib.sha256(found.public_bytes(Encoding.DER)).hexdigest()


@pytest.fixture
def relay(start_relay: StartRelay, relay_certificates: Any) -> RunningRelay:
    """A relay that takes client certificates, where ann and bob have accounts."""
    relay = start_relay(
        tls={"client_ca": relay_certificates.ca_file}, accounts={"failures_per_minute": 0}
    )
    for nick in ("ann", "bob"):
        relay.account(nick).quit()
    return relay


@pytest.fixture
def phone(relay: RunningRelay) -> Path:
    return relay.certificates.of_person("Ann's phone")


def login(relay: RunningRelay, account: str = "ann", **connect: Any) -> Client:
    client = relay.connect(**connect)
    client.request("sasl")
    assert "903" in commands(client.authenticate_plain(account))
    return client.register(account)


def external(relay: RunningRelay, certificate: Path, wanted: str = "") -> list[str]:
    client = relay.connect(certificate=certificate)
    client.request("sasl")
    client.send("AUTHENTICATE EXTERNAL")
    client.expect("AUTHENTICATE", "+")
    client.answer(wanted.encode())
    return client.seen()


# ---- SET ----


def test_settings_are_shown(relay: RunningRelay) -> None:
    ann = login(relay)
    shown = f"NOTICE ann :second-factor is off (off/on): {HELP}"
    assert ann.ask("SET")[0] == shown
    assert ann.ask("SET second-factor") == [shown]
    assert ann.ask("SET Second-Factor OFF") == ["NOTICE ann :second-factor is off"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("SET colour", f"UNKNOWN_SETTING colour :{UNKNOWN}"),
        ("SET :a b", f"UNKNOWN_SETTING * :{UNKNOWN}"),
        ("SET second-factor yes", "INVALID_VALUE second-factor yes :It can be off or on"),
        ("SET second-factor :", "INVALID_VALUE second-factor * :It can be off or on"),
    ],
)
def test_what_cannot_be_set(relay: RunningRelay, line: str, answer: str) -> None:
    assert login(relay).ask(line) == [f"FAIL SET {answer}"]


@pytest.mark.parametrize("line", ["SET", "SET second-factor on", "CERT LIST", "CERT ADD"])
def test_guests_have_no_settings(relay: RunningRelay, line: str) -> None:
    name = line.split(" ")[0]
    assert relay.join("carl").ask(line) == [
        f"FAIL {name} ACCOUNT_REQUIRED :Log in to an account first"
    ]


# ---- CERT ----


def test_certificates_of_an_account(relay: RunningRelay, phone: Path) -> None:
    ann = login(relay, certificate=phone)
    used = fingerprint(phone)
    assert ann.ask("CERT LIST") == ["NOTICE ann :Your account has no certificates"]
    assert ann.ask("CERT ADD") == [f"NOTICE ann :Added to your account: {used}"]
    colons = ":".join(A[at : at + 2] for at in range(0, 64, 2)).upper()
    assert ann.ask(f"CERT add {colons}") == [f"NOTICE ann :Added to your account: {A}"]
    assert sorted(ann.ask("CERT LIST")) == sorted(
        [
            f"NOTICE ann :{used} added 2023-11-14, in use here",
            f"NOTICE ann :{A} added 2023-11-14",
        ]
    )
    assert ann.ask(f"CERT REMOVE {A}") == [f"NOTICE ann :Removed from your account: {A}"]
    assert ann.ask(f"CERT REMOVE {A}") == [
        f"FAIL CERT NO_SUCH_CERTIFICATE {A} :This is no certificate of your account"
    ]


def test_a_certificate_is_of_one_account(relay: RunningRelay) -> None:
    login(relay).ask(f"CERT ADD {A}")
    bob = login(relay, "bob")
    refused = f"FAIL CERT ALREADY_ADDED {A} :This certificate belongs to an account already"
    assert bob.ask(f"CERT ADD {A}") == [refused]
    assert bob.ask(f"CERT REMOVE {A}")[0].startswith("FAIL CERT NO_SUCH_CERTIFICATE ")


def test_not_more_than_the_limit(relay: RunningRelay) -> None:
    ann = login(relay)
    for number in range(CERTIFICATES_PER_ACCOUNT):
        assert ann.ask(f"CERT ADD {number:064x}")[0].startswith("NOTICE ")
    assert ann.ask(f"CERT ADD {A}")[0].startswith(f"FAIL CERT LIMIT_REACHED {A} ")


@pytest.mark.parametrize(
    "line", ["CERT NONSENSE", "CERT REMOVE", "CERT ADD abc", f"CERT REMOVE {'g' * 64}", "CERT :a b"]
)
def test_what_is_no_command_for_certificates(relay: RunningRelay, line: str) -> None:
    (answer,) = login(relay).ask(line)
    assert answer.startswith("FAIL CERT INVALID_PARAMS ")


def test_no_certificate_to_add(relay: RunningRelay) -> None:
    assert login(relay).ask("CERT ADD") == [
        "FAIL CERT NO_CERTIFICATE :You are connected without a client certificate"
    ]
    assert login(relay).ask("CERT") == ["461 ann CERT :Not enough parameters"]


def test_an_added_certificate_logs_in(relay: RunningRelay, phone: Path) -> None:
    """Its name can be none of an account; its fingerprint is known."""
    assert external(relay, phone) == [FAILED]
    login(relay, certificate=phone).ask("CERT ADD")
    assert commands(external(relay, phone)) == ["900", "903"]
    assert commands(external(relay, phone, "Ann")) == ["900", "903"]
    assert external(relay, phone, "bob") == [FAILED]


def test_nobody_is_led_into_another_account(relay: RunningRelay) -> None:
    """Ann adds what is bob's: he still comes to his own account, unless he asks for hers."""
    bobs = relay.certificates.of_person("bob")
    login(relay).ask(f"CERT ADD {fingerprint(bobs)}")
    assert " bob :You are now logged in as bob" in external(relay, bobs)[0]
    assert " ann :You are now logged in as ann" in external(relay, bobs, "ann")[0]


# ---- the second factor ----


@pytest.fixture
def guarded(relay: RunningRelay, phone: Path) -> RunningRelay:
    """The same, where ann demands her phone's certificate."""
    ann = login(relay, certificate=phone)
    ann.ask("CERT ADD")
    assert ann.ask("SET second-factor on") == ["NOTICE ann :second-factor is on"]
    ann.quit()
    return relay


def tries(
    relay: RunningRelay, certificate: Path | None, password: str = PASSWORD
) -> list[list[str]]:
    """Return what is answered to each way to log in to ann's account by a password."""
    found = []
    for way in ("plain", "scram", "plus", "pass"):
        client = relay.connect(certificate=certificate)
        if way == "pass":
            client.send(f"PASS :ann:{password}", "PING x")
            message = client.read()
            found.append([message.command])
            continue
        client.request("sasl")
        if way == "plain":
            found.append(client.authenticate_plain("ann", password))
        else:
            binding = client.binding if way == "plus" else None
            found.append(client.authenticate_scram("ann", password, binding=binding))
    return found


def test_a_password_alone_is_refused(guarded: RunningRelay, phone: Path) -> None:
    """And it is not told whether it was right."""
    other = guarded.certificates.of_person("Somebody")
    for certificate in (None, other):
        right, wrong = tries(guarded, certificate), tries(guarded, certificate, "wrong password")
        assert right == wrong == [[FAILED], [FAILED], [FAILED], ["464"]]


def test_a_password_with_the_certificate(guarded: RunningRelay, phone: Path) -> None:
    found = tries(guarded, phone)
    assert [commands(lines) for lines in found[:3]] == [["900", "903"]] * 3
    assert found[3] == ["900"]
    assert tries(guarded, phone, "wrong password")[0] == [FAILED]


def test_the_certificate_alone_is_no_password(guarded: RunningRelay, phone: Path) -> None:
    """EXTERNAL is a way of its own, and goes on to work."""
    assert commands(external(guarded, phone)) == ["900", "903"]


def test_it_is_for_each_account(guarded: RunningRelay) -> None:
    login(guarded, "bob")


def test_off_again(guarded: RunningRelay, phone: Path) -> None:
    ann = login(guarded, certificate=phone)
    last = f"FAIL CERT NOT_POSSIBLE {fingerprint(phone)} :This is the last one; "
    assert ann.ask(f"CERT REMOVE {fingerprint(phone)}") == [last + "first: SET second-factor off"]
    ann.ask(f"CERT ADD {A}")
    assert ann.ask(f"CERT REMOVE {A}")[0].startswith("NOTICE ")
    assert ann.ask("SET second-factor off") == ["NOTICE ann :second-factor is off"]
    login(guarded)


def test_nobody_locks_themselves_out(relay: RunningRelay, phone: Path) -> None:
    """It cannot be demanded by a session that would not have got in."""
    hint = "Connect with a client certificate, and add it to your account first: CERT ADD"
    refused = [f"FAIL SET NOT_POSSIBLE second-factor :{hint}"]
    ann = login(relay)
    assert ann.ask("SET second-factor on") == refused
    ann.ask(f"CERT ADD {A}")
    assert ann.ask("SET second-factor on") == refused
    assert login(relay, certificate=phone).ask("SET second-factor on") == refused


def test_it_outlives_the_relay(guarded: RunningRelay, start_relay: StartRelay, phone: Path) -> None:
    guarded.stop()
    again = start_relay(tls={"client_ca": guarded.certificates.ca_file})
    assert tries(again, None)[0] == [FAILED]
    assert commands(tries(again, phone)[0]) == ["900", "903"]


def test_a_refused_factor_counts_as_a_failure(guarded: RunningRelay) -> None:
    """Or one could guess on without end."""
    client = guarded.connect()
    client.request("sasl")
    for _ in range(4):
        assert client.authenticate_plain("ann") == [FAILED]
    client.send("AUTHENTICATE PLAIN")
    client.expect("AUTHENTICATE", "+")
    client.answer(plain_response("ann", PASSWORD))
    assert client.read_to_end()[-1].startswith("ERROR :Closing link: Too many SASL")
