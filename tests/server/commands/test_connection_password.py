"""PASS: the relay's password, and logins of clients that know no SASL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from securechat.store.accounts import Accounts
from securechat.store.invites import Invites
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    PASSWORD,
    WALL_S,
    Client,
    FakeClock,
    RunningRelay,
    commands,
)

RELAY_PASSWORD = "open: sesame"
USER = "USER ann 0 * :Ann"
WRONG = ["464 * :Password incorrect", "ERROR :Closing link: Password incorrect"]
CHEAP = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)


@pytest.fixture
def closed(start_relay: StartRelay) -> RunningRelay:
    """A relay with a password, where bob has an account."""
    relay = start_relay(server={"password_hash": hash_password(RELAY_PASSWORD, CHEAP)})
    bob = relay.connect()
    bob.send(f"PASS :{RELAY_PASSWORD}")
    bob.request("draft/account-registration")
    bob.send("NICK bob", f"REGISTER * * :{PASSWORD}")
    bob.expect("REGISTER", "SUCCESS")
    bob.quit()
    return relay


def welcomed(client: Client, *lines: str) -> bool:
    return "001" in commands(client.ask(*lines))


# ---- a relay with a password ----


@pytest.mark.parametrize(
    "lines",
    [
        (f"PASS :{RELAY_PASSWORD}", "NICK ann", USER),
        ("NICK ann", f"PASS :{RELAY_PASSWORD}", USER),
        ("CAP LS 302", f"PASS :{RELAY_PASSWORD}", USER, "NICK ann", "CAP END"),
        ("CAP LS 302", USER, "NICK ann", f"PASS :{RELAY_PASSWORD}", "CAP END"),
        (f"PASS :{RELAY_PASSWORD}", f"PASS :{RELAY_PASSWORD}", "NICK ann", USER),
    ],
)
def test_the_right_password(closed: RunningRelay, lines: tuple[str, ...]) -> None:
    """ "The password supplied must match the one defined in the server configuration." "It is
    possible to send multiple PASS commands before registering" """
    assert welcomed(closed.connect(), *lines)


@pytest.mark.parametrize("given", ["wrong", "open", "open: sesame ", "nobody:wrong", "bob:wrong"])
def test_a_wrong_password(closed: RunningRelay, given: str) -> None:
    """ "If the password supplied does not match the password expected by the server, then the
    server SHOULD send ERR_PASSWDMISMATCH and MAY then close the connection with ERROR. Servers MUST
    send at least one of these two messages." """
    client = closed.connect()
    client.send(f"PASS :{given}", "NICK ann", USER)
    assert client.read_to_end() == WRONG


def test_no_password(closed: RunningRelay) -> None:
    client = closed.connect()
    client.send("NICK ann", USER)
    assert client.read_to_end() == [WRONG[0].replace("*", "ann"), WRONG[1]]


def test_too_late(closed: RunningRelay) -> None:
    """ "If set, the password must be set before any attempt to register the connection is
    made." """
    client = closed.connect()
    client.send("NICK ann", USER, f"PASS :{RELAY_PASSWORD}")
    assert client.read_to_end()[-1] == WRONG[1]
    client = closed.connect()
    client.ask(f"PASS :{RELAY_PASSWORD}", "NICK ann", USER)
    assert client.ask("PASS x") == ["462 ann :You may not reregister"]


def test_an_account_will_do(closed: RunningRelay) -> None:
    """Whoever has one has known the password, or was let in by somebody who does."""
    client = closed.connect()
    client.request("sasl")
    client.authenticate_plain("bob")
    assert welcomed(client, "NICK bob", USER, "CAP END")
    assert welcomed(closed.connect(), f"PASS :bob:{PASSWORD}", "NICK bob", USER)


def test_no_account_is_made_without_it(closed: RunningRelay) -> None:
    client = closed.connect()
    client.request("draft/account-registration")
    text = "Give the password of this relay first (PASS)"
    assert client.ask("NICK ann", f"REGISTER * * :{PASSWORD}") == [
        f"FAIL REGISTER COMPLETE_CONNECTION_REQUIRED ann :{text}"
    ]


def test_nor_is_it_offered(closed: RunningRelay) -> None:
    """account-registration: "The server MUST NOT sent these replies if it advertizes the
    before-connect key" """
    offered = " ".join(closed.connect().ask("CAP LS 302")).split(" ")
    assert "draft/account-registration" in offered


def test_guessing_is_throttled(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(
        clock=clock,
        server={"password_hash": hash_password(RELAY_PASSWORD, CHEAP)},
        accounts={"failures_per_minute": 3},
    )
    for _ in range(3):
        client = relay.connect()
        client.send("PASS wrong")
        assert client.read_to_end() == WRONG
    client = relay.connect()
    client.send(f"PASS :{RELAY_PASSWORD}")
    text = "Too many failed logins; wait a minute"
    assert client.read_to_end() == [f"464 * :{text}", f"ERROR :Closing link: {text}"]
    clock.now += 60
    for _ in range(5):  # right ones do not count
        assert welcomed(relay.connect(), f"PASS :{RELAY_PASSWORD}", "NICK ann", USER)
        relay.clients[-1].quit()


# ---- logins ----


@pytest.fixture
def with_ann(relay: RunningRelay) -> RunningRelay:
    relay.account("ann").quit()
    return relay


def test_login(with_ann: RunningRelay) -> None:
    """ "900 aka RPL_LOGGEDIN is sent when the user's account name is set (whether by SASL or
    otherwise)." """
    client = with_ann.connect()
    found = client.ask(f"PASS :ANN:{PASSWORD}", "NICK ann", USER)
    assert found[0].startswith("900 * *!*@")
    assert found[0].endswith(" ann :You are now logged in as ann")
    assert commands(found)[1] == "001"
    assert "330 ann ann ann :is logged in as" in client.ask("WHOIS ann")


def test_wrong_login_and_unknown_account_look_alike(with_ann: RunningRelay) -> None:
    for given in ("ann:wrong password", "nobody:wrong password", "ann:\x01"):
        client = with_ann.connect()
        client.send(f"PASS :{given}")
        assert client.read_to_end() == WRONG


@pytest.mark.parametrize("given", ["word", ":word", "word:", ":"])
def test_a_relay_without_a_password_ignores_one(relay: RunningRelay, given: str) -> None:
    """Clients send what was meant for another server, or for a bouncer."""
    assert welcomed(relay.connect(), f"PASS :{given}", "NICK ann", USER)


def test_it_shares_the_throttle_with_sasl(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock, accounts={"failures_per_minute": 2})
    relay.account("ann").quit()
    clock.now += 60
    for _ in range(2):
        client = relay.connect()
        client.send("PASS ann:wrong")
        assert client.read_to_end() == WRONG
    client = relay.connect()
    client.request("sasl")
    assert "Too many failed logins" in client.authenticate_plain("ann")[0]


def test_the_password_is_in_no_log(
    with_ann: RunningRelay, caplog: pytest.LogCaptureFixture
) -> None:
    client = with_ann.connect()
    client.send("PASS ann:very-secret-word")
    client.read_to_end()
    with_ann.join("bob")
    assert "password refused from 127.0.0.1: wrong account or password" in caplog.text
    assert "very-secret-word" not in caplog.text


# ---- invites ----


@pytest.fixture
def by_invite(start_relay: StartRelay) -> RunningRelay:
    """A relay for the invited, with a password besides."""
    return start_relay(
        accounts={"registration": "invite"},
        server={"password_hash": hash_password(RELAY_PASSWORD, CHEAP)},
    )


def invite(relay: RunningRelay, token: str = "Tok_en-1", **opens: str) -> None:
    relay.relay.services.store.call(
        lambda connection: Invites(connection).create(
            token, uses=1, expires_at=WALL_S + 60, created_at=WALL_S, **opens
        )
    )


def test_an_invite_makes_an_account_and_is_a_login_from_then_on(by_invite: RunningRelay) -> None:
    invite(by_invite)
    for _ in range(2):
        client = by_invite.connect()
        found = client.ask(f"PASS :invite:Tok_en-1:ann:{PASSWORD}:with:colons", "NICK ann", USER)
        assert found[0].endswith(" ann :You are now logged in as ann")
        assert commands(found)[1] == "001"
        client.quit()
    client = by_invite.connect()
    client.request("sasl")
    assert commands(client.authenticate_plain("ann", f"{PASSWORD}:with:colons")) == ["900", "903"]


def test_an_invite_opens_its_room_to_who_gives_it_by_pass(by_invite: RunningRelay) -> None:
    invite(by_invite)
    owner = by_invite.connect()
    owner.ask(f"PASS :invite:Tok_en-1:bob:{PASSWORD}", "NICK bob", USER, "JOIN #x", "MODE #x +i")
    invite(by_invite, "other", room="#x")
    client = by_invite.connect()
    assert "INVITE ann #x" in client.ask(f"PASS :invite:other:ann:{PASSWORD}", "NICK ann", USER)
    assert commands(client.ask("JOIN #x"))[0] == "JOIN"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (f"invite:other:ann:{PASSWORD}", "this invitation code is unknown, used up or expired"),
        (f"invite:Tok_en-1:carl:{PASSWORD}", "this invitation code is unknown, used up or"),
        ("invite:Tok_en-1:ann:short", "Choose a password of at least 8 characters"),
        ("invite:Tok_en-1:ann:tab\tin the password", "No: the password contains control"),
        (f"invite:Tok_en-1:a!b:{PASSWORD}", "This cannot be an account's name"),
        (f"invite:Tok_en-1:bob:{PASSWORD}", "This nick is in use"),
        ("invite:Tok_en-1:dora:wrong password", "Password incorrect"),
        ("invite:Tok_en-1:ann", "Password incorrect"),
    ],
)
def test_what_an_invite_does_not_open(start_relay: StartRelay, given: str, text: str) -> None:
    """Nothing is used up by it."""
    relay = start_relay()
    relay.join("bob")
    relay.account("dora").quit()
    services = relay.relay.services
    services.config = replace(
        services.config, accounts=replace(services.config.accounts, registration="invite")
    )
    invite(relay, account="ann")
    client = relay.connect()
    client.send(f"PASS :{given}")
    refused, closed = client.read_to_end()
    assert refused.startswith(f"464 * :{text}")
    assert closed.startswith(f"ERROR :Closing link: {text}")
    found = relay.connect().ask(f"PASS :invite:Tok_en-1:ann:{PASSWORD}", "NICK ann", USER)
    assert "001" in commands(found)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"registration": "closed"}, "Registration is closed"),
        ({"before_connect": False}, "Register when you are on the network"),
    ],
)
def test_no_account_is_made_where_none_may_be(
    start_relay: StartRelay, settings: dict[str, object], text: str
) -> None:
    relay = start_relay(accounts=settings)
    invite(relay)
    client = relay.connect()
    client.send(f"PASS :invite:Tok_en-1:ann:{PASSWORD}")
    assert client.read_to_end() == [f"464 * :{text}", f"ERROR :Closing link: {text}"]


def test_guessing_tokens_is_throttled(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock, accounts={"registration": "invite", "failures_per_minute": 3})
    invite(relay)
    for number in range(3):
        client = relay.connect()
        client.send(f"PASS :invite:guess{number}:ann{number}:{PASSWORD}")
        assert "unknown, used up or expired" in client.read_to_end()[0]
    client = relay.connect()
    client.send(f"PASS :invite:Tok_en-1:ann:{PASSWORD}")
    assert client.read_to_end()[0] == "464 * :Too often; wait a minute"
    clock.now += 60
    found = relay.connect().ask(f"PASS :invite:Tok_en-1:ann:{PASSWORD}", "NICK ann", USER)
    assert "001" in commands(found)
    for _ in range(2):
        client = relay.connect()
        client.send("PASS :invite:Tok_en-1:ann:wrong password")
        assert client.read_to_end() == WRONG
    client = relay.connect()
    client.send(f"PASS :invite:Tok_en-1:ann:{PASSWORD}")
    assert client.read_to_end()[0] == "464 * :Too many failed logins; wait a minute"


def test_neither_token_nor_password_is_in_the_log(
    start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    relay = start_relay(accounts={"registration": "invite"})
    client = relay.connect()
    client.send("PASS :invite:secret-token:ann:very-secret-word")
    client.read_to_end()
    relay.stop()
    assert "no account for an invite: REGISTER INVALID_EMAIL this invitation code" in caplog.text
    assert "secret-token" not in caplog.text
    assert "very-secret-word" not in caplog.text


def test_a_suspended_account(with_ann: RunningRelay) -> None:
    with_ann.relay.services.store.call(lambda c: Accounts(c).suspend("ann", "spam"))
    client = with_ann.connect()
    client.send(f"PASS :ann:{PASSWORD}")
    text = "This account is suspended: spam"
    assert client.read_to_end() == [f"464 * :{text}", f"ERROR :Closing link: {text}"]
    client = with_ann.connect()
    client.send("PASS :ann:wrong password")
    assert client.read_to_end() == WRONG
