"""REGISTER, VERIFY."""

from __future__ import annotations

import pytest

from securechat.store.invites import Invites
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, WALL_S, FakeClock, RunningRelay, commands

USER = "USER ann 0 * :Ann"


@pytest.fixture
def with_ann(relay: RunningRelay) -> RunningRelay:
    """A relay where ann has an account and is away."""
    relay.account("ann").quit()
    return relay


def registered(relay: RunningRelay, nick: str = "ann") -> list[str]:
    host = relay.session(nick).host
    return [
        f"REGISTER SUCCESS {nick} :Account registered; you are logged in",
        f"900 {nick} {nick}!~{nick}@{host} {nick} :You are now logged in as {nick}",
    ]


@pytest.mark.parametrize("account", ["ann", "*", "ANN"])
def test_register(relay: RunningRelay, account: str) -> None:
    """ "REGISTER SUCCESS <account> <message>" "If <account> is *, then this value is the user's
    current nickname." """
    ann, bob = relay.join("ann", "account-notify"), relay.join("bob", "account-notify")
    for client in (ann, bob):
        client.ask("JOIN #a")
    ann.sync()
    found = ann.ask(f"REGISTER {account} * :{PASSWORD}")
    assert found == [*registered(relay), ":ann ACCOUNT ann"]
    assert bob.seen() == [":ann ACCOUNT ann"]
    assert bob.ask("NICK ann")[0].startswith("433 ")
    ann.quit()
    client = relay.connect()
    client.request("sasl")
    assert commands(client.authenticate_scram("ann")) == ["900", "903"]


def test_register_before_connecting(relay: RunningRelay) -> None:
    """ "before-connect - if present, indicates the server supports early registration" """
    client = relay.connect()
    client.request("draft/account-registration")
    client.send("NICK ann")
    found = client.ask(f"REGISTER * mail@example.org :{PASSWORD}")
    assert commands(found) == ["REGISTER", "900"]
    assert found[0].startswith("REGISTER SUCCESS ann ")
    assert "001" in commands(client.ask(USER, "CAP END"))
    assert client.ask("REGISTER * * :another password")[0].startswith(
        "FAIL REGISTER ALREADY_AUTHENTICATED ann "
    )
    assert client.ask("VERIFY ann 123")[0].startswith("FAIL VERIFY ALREADY_AUTHENTICATED ann ")


def test_register_ends_a_waiting_registration(start_relay: StartRelay) -> None:
    """With all else given, the account is what was missing."""
    relay = start_relay(accounts={"required": True})
    client = relay.connect()
    client.request("draft/account-registration")
    assert commands(client.ask("NICK ann", USER, "CAP END")) == ["FAIL"]
    found = commands(client.ask(f"REGISTER * * :{PASSWORD}"))
    assert found[:3] == ["REGISTER", "900", "001"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("REGISTER bob * :correct horse", "ACCOUNT_NAME_MUST_BE_NICK bob"),
        ("REGISTER a:b * :correct horse", "ACCOUNT_NAME_MUST_BE_NICK a:b"),
        ("REGISTER ann * short", "WEAK_PASSWORD ann"),
        ("REGISTER ann * :", "UNACCEPTABLE_PASSWORD ann"),
        ("REGISTER ann * :tab\tin the password", "UNACCEPTABLE_PASSWORD ann"),
    ],
)
def test_registrations_that_fail(relay: RunningRelay, line: str, code: str) -> None:
    """The codes of the account-registration specification."""
    ann = relay.join("ann")
    (answer,) = ann.ask(line)
    assert answer.startswith(f"FAIL REGISTER {code} :")
    assert ann.ask("REGISTER ann *") == ["461 ann REGISTER :Not enough parameters"]


def test_a_password_like_the_nick_is_weak(relay: RunningRelay) -> None:
    """ "Sent by the server if the password is considered too weak." """
    ann = relay.join("annabella")
    (answer,) = ann.ask("REGISTER * * :AnnaBella")
    assert answer.startswith("FAIL REGISTER WEAK_PASSWORD annabella :")


def test_register_without_a_nick(relay: RunningRelay) -> None:
    """ "Sent by the server if the client sends REGISTER before sending a NICK command." """
    (answer,) = relay.connect().ask(f"REGISTER ann * :{PASSWORD}")
    assert answer.startswith("FAIL REGISTER NEED_NICK * :")


def test_register_with_a_nick_that_was_refused(relay: RunningRelay) -> None:
    """ "when the client tried to register while using a nick that is not available as a new
    account's name because someone already registered it. The server MUST NOT send this response
    before the client sent a NICK command." """
    relay.join("ann")
    client = relay.connect()
    assert commands(client.ask("NICK ann")) == ["433"]
    (answer,) = client.ask(f"REGISTER * * :{PASSWORD}")
    assert answer.startswith("FAIL REGISTER ACCOUNT_EXISTS ann :")


def test_register_only_when_connected(start_relay: StartRelay) -> None:
    """ "Sent by the server if the client sent a REGISTER command before connection registration.
    The server MUST NOT sent these replies if it advertizes the before-connect key" """
    relay = start_relay(accounts={"before_connect": False})
    client = relay.connect()
    offered = " ".join(client.ask("CAP LS 302")).split(" ")
    assert "draft/account-registration" in offered
    client.request("draft/account-registration")
    (answer,) = client.ask("NICK ann", f"REGISTER * * :{PASSWORD}")
    assert answer.startswith("FAIL REGISTER COMPLETE_CONNECTION_REQUIRED ann :")
    client.register("ann")
    assert "REGISTER" in commands(client.ask(f"REGISTER * * :{PASSWORD}"))


def test_register_an_account_that_exists(with_ann: RunningRelay) -> None:
    """ "because someone already registered it" """
    client = with_ann.connect()
    found = client.ask("NICK Ann", f"REGISTER * * :{PASSWORD}")
    assert len(found) == 1
    assert found[0].startswith("FAIL REGISTER ACCOUNT_EXISTS Ann :")


def test_register_the_nick_of_a_guest_who_is_there(relay: RunningRelay) -> None:
    """Whoever sits on a nick must not lose it to somebody who has only named it."""
    client = relay.connect()
    client.ask("NICK ann")
    relay.join("ann")
    (answer,) = client.ask(f"REGISTER * * :{PASSWORD}")
    assert answer.startswith("FAIL REGISTER ACCOUNT_EXISTS ann :")


def test_two_register_the_same_nick_at_once(relay: RunningRelay) -> None:
    first, second = relay.connect(), relay.connect()
    for client in (first, second):
        client.ask("NICK ann")
    for client in (first, second):
        client.send(f"REGISTER * * :{PASSWORD}")
    found = sorted(commands(client.seen())[0] for client in (first, second))
    assert found == ["FAIL", "REGISTER"]


def test_register_where_it_is_closed(start_relay: StartRelay) -> None:
    ann = start_relay(accounts={"registration": "closed"}).join("ann")
    (answer,) = ann.ask(f"REGISTER * * :{PASSWORD}")
    assert answer == "FAIL REGISTER DISALLOWED ann :Registration is closed"


def test_registrations_are_throttled(start_relay: StartRelay, clock: FakeClock) -> None:
    """ "Sent by the server if the REGISTER/VERIFY commands are temporarily unavailable." """
    relay = start_relay(clock=clock, accounts={"failures_per_minute": 2})
    for nick in ("ann", "bob"):
        relay.account(nick)
    (answer,) = relay.join("carl").ask(f"REGISTER * * :{PASSWORD}")
    assert answer.startswith("FAIL REGISTER TEMPORARILY_UNAVAILABLE carl :")
    clock.now += 30
    assert commands(relay.join("dora").ask(f"REGISTER * * :{PASSWORD}"))[0] == "REGISTER"


# ---- invites ----


def make_invite(
    relay: RunningRelay, code: str, uses: int = 1, expires_at: float = WALL_S + 1, **opens: str
) -> None:
    relay.relay.services.store.call(
        lambda connection: Invites(connection).create(
            code, uses=uses, expires_at=expires_at, created_at=WALL_S - 1, **opens
        )
    )


def test_register_with_an_invitation(start_relay: StartRelay) -> None:
    """The code stands in the place of the e-mail address."""
    relay = start_relay(accounts={"registration": "invite"})
    make_invite(relay, "good", 2, WALL_S + 1)
    make_invite(relay, "expired", 5, WALL_S)

    def attempt(nick: str, code: str) -> str:
        return relay.connect().ask(f"NICK {nick}", f"REGISTER * {code} :{PASSWORD}")[0]

    refused = "this invitation code is unknown, used up or expired, or it is for another account"
    for nick, code in (("a1", "*"), ("a2", "invite:expired"), ("a3", "invite:GOOD"), ("a4", "x")):
        assert attempt(nick, code) == f"FAIL REGISTER INVALID_EMAIL {nick} :{refused}"
    assert attempt("b1", "invite:good").startswith("REGISTER SUCCESS b1 ")
    assert attempt("b2", "good").startswith("REGISTER SUCCESS b2 ")
    assert attempt("b3", "invite:good").startswith("FAIL REGISTER INVALID_EMAIL b3 ")


def test_an_invitation_is_for_whom_it_names(start_relay: StartRelay) -> None:
    relay = start_relay(accounts={"registration": "invite"})
    make_invite(relay, "good", account="Carl")
    client = relay.connect()
    answer = client.ask("NICK ann", f"REGISTER * invite:good :{PASSWORD}")
    assert answer[0].startswith("FAIL REGISTER INVALID_EMAIL ann ")
    answer = client.ask("NICK carl", f"REGISTER * invite:good :{PASSWORD}")
    assert answer[0].startswith("REGISTER SUCCESS carl ")


@pytest.mark.parametrize(
    ("registration", "early"), [("invite", True), ("open", True), ("open", False)]
)
def test_an_invitation_opens_its_room(
    start_relay: StartRelay, registration: str, early: bool
) -> None:
    relay = start_relay(accounts={"registration": registration})
    make_invite(relay, "hers")
    make_invite(relay, "his", room="#Home")
    owner = relay.connect()
    owner.ask("NICK ann", f"REGISTER * invite:hers :{PASSWORD}", USER)
    owner.ask("JOIN #home", "MODE #home +ik secret")
    client = relay.connect()
    lines = ["NICK bob", "USER bob 0 * :Bob"]
    lines.insert(1 if early else 2, f"REGISTER * invite:his :{PASSWORD}")
    assert "INVITE bob #home" in client.ask(*lines)
    assert commands(client.ask("JOIN #home"))[0] == "JOIN"
    found = commands(client.ask("PART #home", "JOIN #home"))
    assert found == ["PART", "475"], "the key it was spared once"
    assert commands(client.ask("JOIN #home secret"))[0] == "JOIN", "invited it stays"


def test_an_invitation_opens_its_room_to_the_next_connection(start_relay: StartRelay) -> None:
    """Some clients register on a connection that they end before they chat."""
    relay = start_relay(accounts={"registration": "invite"})
    make_invite(relay, "hers")
    make_invite(relay, "his", room="#home")
    owner = relay.connect()
    owner.ask("NICK ann", f"REGISTER * invite:hers :{PASSWORD}", USER)
    owner.ask("JOIN #home", "MODE #home +i")
    client = relay.connect()
    client.ask("NICK bob", f"REGISTER * invite:his :{PASSWORD}")
    client.quit()
    assert owner.seen() == ["MODE #home +I a:bob"]
    assert commands(relay.login("bob").ask("JOIN #home"))[0] == "JOIN"


@pytest.mark.parametrize("room", ["#nowhere", ""])
def test_an_invitation_to_a_room_that_is_not_there(start_relay: StartRelay, room: str) -> None:
    relay = start_relay(accounts={"registration": "invite"})
    make_invite(relay, "good", room=room)
    client = relay.connect()
    found = commands(client.ask("NICK ann", f"REGISTER * invite:good :{PASSWORD}", USER))
    assert "001" in found
    assert "INVITE" not in found


def test_an_invitation_to_a_room_where_one_is(relay: RunningRelay) -> None:
    make_invite(relay, "good", room="#home")
    ann = relay.join("ann")
    ann.ask("JOIN #home")
    assert "INVITE" not in commands(ann.ask(f"REGISTER * invite:good :{PASSWORD}"))


def test_where_anybody_may_register_a_bad_code_is_no_obstacle(relay: RunningRelay) -> None:
    answer = relay.join("ann").ask(f"REGISTER * invite:unknown :{PASSWORD}")
    assert answer[0].startswith("REGISTER SUCCESS ann ")


# ---- VERIFY ----


def test_verify(relay: RunningRelay) -> None:
    """ "Sent by the server if the <code> in the VERIFY command is invalid" """
    (answer,) = relay.join("ann").ask("VERIFY ann 123")
    assert answer.startswith("FAIL VERIFY INVALID_CODE ann :")
    assert relay.connect().ask("VERIFY ann") == ["461 * VERIFY :Not enough parameters"]
