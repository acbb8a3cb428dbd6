"""Getting onto a network: dialects of servers, nicks, logins."""

from __future__ import annotations

import base64

import pytest

from securechat.client.events import (
    AccountRequired,
    Failure,
    LoggedIn,
    LoginRejected,
    NickRejected,
    Registered,
    Welcome,
)
from securechat.client.protocol import ClientProtocol
from securechat.client.registration import HISTORY_CAPABILITIES
from securechat.client.session import Credentials, Identity
from securechat.errors import RemoteProtocolError
from securechat.irc.sasl import ScramServer, ScramVerifier
from tests.client.transcript import HELLO, NONCE, NOW, OLD, PLAIN_WELCOME, C, S, Step, make, play


def command(*words: str) -> Step:
    return lambda protocol: protocol.command(*words)


def nick(name: str) -> Step:
    return lambda protocol: protocol.set_nick(name)


def login(account: str, password: str) -> Step:
    return lambda protocol: protocol.login(Credentials(account, password))


REGISTRATIONS: dict[str, list[Step]] = {
    "a server that does not know CAP": OLD,
    "a server that says nothing to CAP": [*HELLO, *PLAIN_WELCOME],
    "a server with nothing that we want": [
        *HELLO,
        S("CAP * LS :example.org/else"),
        C("CAP END"),
        *PLAIN_WELCOME,
    ],
    "a list in several lines, with values": [
        *HELLO,
        S(":irc.new CAP * LS * :batch sasl=PLAIN,EXTERNAL draft/unknown=x"),
        S(":irc.new CAP * LS :server-time"),
        C("CAP REQ :batch sasl server-time"),
        S(":irc.new CAP alice ACK :batch sasl server-time "),
        C("CAP END"),
        *PLAIN_WELCOME,
    ],
    "a request that is refused as a whole": [
        *HELLO,
        S("CAP * LS :batch server-time"),
        C("CAP REQ :batch server-time"),
        S("CAP * NAK :batch server-time"),
        C("CAP REQ batch"),
        C("CAP REQ server-time"),
        S("CAP * ACK batch"),
        S("CAP * NAK server-time"),
        C("CAP END"),
        *PLAIN_WELCOME,
    ],
    "PING in the middle": [*HELLO, S("PING :tok en"), C("PONG :tok en"), *PLAIN_WELCOME],
    "capabilities that come and go": [
        *OLD,
        S("CAP alice NEW :batch example.org/else sasl=PLAIN"),
        C("CAP REQ :batch sasl"),
        S("CAP alice ACK :batch sasl"),
        S("CAP alice DEL :batch"),
        S("CAP alice NEW :batch"),
        C("CAP REQ batch"),
        S("CAP alice NAK batch"),
    ],
    "a nick in use, as old servers have it": [
        *HELLO,
        S(":irc.old 433 * alice :Nickname is already in use"),
        NickRejected("alice", False, "Nickname is already in use"),
        nick("alicia"),
        C("NICK alicia"),
        S(":irc.old 001 alicia :Welcome"),
        S(":irc.old 422 alicia :no MOTD"),
        Welcome("alicia", None, "", "Welcome"),
    ],
    "a nick in use, told during negotiation": [
        *HELLO,
        S("CAP * LS :batch"),
        C("CAP REQ batch"),
        S(":irc.new 433 * alice :Nickname is already in use"),
        NickRejected("alice", False, "Nickname is already in use"),
        S("CAP * ACK batch"),
        C("CAP END"),
        nick("alicia"),
        C("NICK alicia"),
        C("CAP END"),
    ],
    "a bad nick": [
        *HELLO,
        S(":irc.old 432 * alice :Erroneous nickname"),
        NickRejected("alice", False, "Erroneous nickname"),
    ],
    "a registered nick of our relay, a wrong password, then the right one": [
        *HELLO,
        S("CAP * LS :sasl=PLAIN standard-replies"),
        C("CAP REQ :sasl standard-replies"),
        S("CAP * ACK :sasl standard-replies"),
        C("CAP END"),
        S("FAIL NICK NICKNAME_RESERVED alice :Nickname is registered"),
        NickRejected("alice", True, "Nickname is registered"),
        S("433 * alice :Nickname is registered"),
        login("alice", "wrong"),
        C("AUTHENTICATE PLAIN"),
        S("AUTHENTICATE +"),
        C("AUTHENTICATE AGFsaWNlAHdyb25n"),
        S("904 * :SASL authentication failed"),
        LoginRejected("alice", "904", "SASL authentication failed"),
        login("alice", "pencil"),
        C("AUTHENTICATE PLAIN"),
        S("AUTHENTICATE +"),
        C("AUTHENTICATE AGFsaWNlAHBlbmNpbA=="),
        S("900 * alice!u@h alice :You are now logged in"),
        LoggedIn("alice", "You are now logged in"),
        S("903 * :SASL authentication successful"),
        C("NICK alice"),
        C("CAP END"),
        S("001 alice :Welcome"),
        S("422 alice :no MOTD"),
        Welcome("alice", "alice", "", "Welcome"),
    ],
    "a registered nick, told by the numeric alone": [
        *HELLO,
        S("433 * alice :Nickname is reserved by a different account"),
        NickRejected("alice", True, "Nickname is reserved by a different account"),
    ],
    "an account is required, and made": [
        *HELLO,
        S("CAP * LS :draft/account-registration=before-connect standard-replies"),
        C("CAP REQ :draft/account-registration standard-replies"),
        S("CAP * ACK :draft/account-registration standard-replies"),
        C("CAP END"),
        S("FAIL * ACCOUNT_REQUIRED :You must log in"),
        AccountRequired("You must log in"),
        command("REGISTER", "*", "*", "pencil"),
        C("REGISTER * * pencil"),
        S("REGISTER SUCCESS alice :Account registered"),
        C("CAP END"),
        Registered("alice", "Account registered"),
        S("001 alice :Welcome"),
        S("422 alice :no MOTD"),
        Welcome("alice", "alice", "", "Welcome"),
    ],
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", REGISTRATIONS)
def test_registration(name: str, bytewise: bool) -> None:
    play(make(), REGISTRATIONS[name], bytewise=bytewise)


def test_another_nick_is_tried_if_allowed_but_not_for_ever() -> None:
    steps: list[Step] = [*HELLO]
    name = "alice"
    for _ in range(5):
        steps.append(S(f"433 * {name} :Nickname is already in use"))
        name += "_"
        steps.append(C(f"NICK {name}"))
    steps.append(S(f"433 * {name} :Nickname is already in use"))
    steps.append(NickRejected(name, False, "Nickname is already in use"))
    play(make(other_nick=True), steps)


def test_a_registered_nick_is_not_evaded() -> None:
    steps = [
        *HELLO,
        S("433 * alice :Nickname is registered"),
        NickRejected("alice", True, "Nickname is registered"),
    ]
    play(make(other_nick=True), steps)


# ---- login ----

PENCIL = Credentials("alice", "pencil")


def with_sasl(value: str) -> list[Step]:
    return [*HELLO, S(f"CAP * LS :sasl{value}"), C("CAP REQ sasl"), S("CAP * ACK sasl")]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def scram(password: str) -> tuple[list[Step], str]:
    """Return the exchange up to the client's proof, and the server's answer to it."""
    server = ScramServer("server")
    assert server.begin(f"n,,n=alice,r={NONCE}".encode()) == "alice"
    verifier = ScramVerifier.derive(password, salt=b"0123456789", iterations=4096)
    challenge = server.challenge(verifier).decode()
    protocol = make(credentials=PENCIL)
    protocol.start()
    for step in (
        "CAP * LS sasl",
        "CAP * ACK sasl",
        "AUTHENTICATE +",
        f"AUTHENTICATE {encoded(challenge)}",
    ):
        protocol.receive_data(f"{step}\r\n".encode())
    proof = protocol.data_to_send().decode().splitlines()[-1]
    try:
        final = server.finish(base64.b64decode(proof.partition(" ")[2])).decode()
    except RemoteProtocolError:
        final = ""
    return [
        C("AUTHENTICATE SCRAM-SHA-256"),
        S("AUTHENTICATE +"),
        C(f"AUTHENTICATE {encoded(f'n,,n=alice,r={NONCE}')}"),
        S(f"AUTHENTICATE {encoded(challenge)}"),
        C(proof),
    ], final


LOGGED_IN: list[Step] = [
    S("900 * alice!u@h alice :You are now logged in"),
    LoggedIn("alice", "You are now logged in"),
    S("903 * :done"),
    C("CAP END"),
]


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("value", ["=PLAIN,SCRAM-SHA-256", ""])
def test_scram_is_preferred(value: str, bytewise: bool) -> None:
    exchange, final = scram("pencil")
    steps = [
        *with_sasl(value),
        *exchange,
        S(f"AUTHENTICATE {encoded(final)}"),
        C("AUTHENTICATE +"),
        *LOGGED_IN,
    ]
    play(make(credentials=PENCIL), steps, bytewise=bytewise)


def test_scram_refused_is_not_followed_by_plain() -> None:
    exchange, final = scram("another")
    assert not final
    steps = [
        *with_sasl("=PLAIN,SCRAM-SHA-256"),
        *exchange,
        S("904 * :SASL authentication failed"),
        LoginRejected("alice", "904", "SASL authentication failed"),
    ]
    play(make(credentials=PENCIL), steps)


def test_a_server_that_cannot_prove_itself_is_refused() -> None:
    exchange, _ = scram("pencil")
    steps = [
        *with_sasl("=PLAIN,SCRAM-SHA-256"),
        *exchange,
        S(f"AUTHENTICATE {encoded('v=' + encoded('not the signature'))}"),
        C("AUTHENTICATE *"),
        LoginRejected("alice", "", "the server could not prove that it knows the password"),
        S("906 * :SASL authentication aborted"),
        Failure("", "906", (), "SASL authentication aborted"),
    ]
    play(make(credentials=PENCIL), steps)


def test_a_server_that_skips_its_proof_is_refused() -> None:
    exchange, _ = scram("pencil")
    text = "the server let us in without proving that it knows the password"
    steps = [
        *with_sasl("=SCRAM-SHA-256"),
        *exchange,
        S("903 * :done"),
        LoginRejected("alice", "", text),
    ]
    play(make(credentials=PENCIL), steps)


def bound(value: str) -> list[Step]:
    """The steps of a client that knows the server's certificate, up to its first word."""
    first = f"p=tls-server-end-point,,n=alice,r={NONCE}"
    return [
        *with_sasl(value),
        C("AUTHENTICATE SCRAM-SHA-256-PLUS"),
        S("AUTHENTICATE +"),
        C(f"AUTHENTICATE {encoded(first)}"),
    ]


def make_bound() -> ClientProtocol:
    protocol = make(credentials=PENCIL)
    protocol.session.channel_binding = b"hash"
    return protocol


@pytest.mark.parametrize("value", ["=PLAIN,SCRAM-SHA-256,SCRAM-SHA-256-PLUS", ""])
def test_a_bound_login_is_preferred(value: str) -> None:
    play(make_bound(), bound(value))


def test_a_login_is_not_bound_where_that_is_not_offered_and_says_so() -> None:
    """RFC 5802, section 6: "y" tells a server that offers it that somebody has hidden that."""
    steps = [
        *with_sasl("=PLAIN,SCRAM-SHA-256"),
        C("AUTHENTICATE SCRAM-SHA-256"),
        S("AUTHENTICATE +"),
        C(f"AUTHENTICATE {encoded(f'y,,n=alice,r={NONCE}')}"),
    ]
    play(make_bound(), steps)


def test_a_bound_login_that_is_refused_is_not_tried_unbound() -> None:
    protocol = make_bound()
    play(protocol, bound("=PLAIN,SCRAM-SHA-256,SCRAM-SHA-256-PLUS"))
    challenge = f"r={NONCE}server,s=c2FsdA==,i=4096"
    protocol.receive_data(f"AUTHENTICATE {encoded(challenge)}\r\n".encode())
    assert protocol.data_to_send().startswith(b"AUTHENTICATE ")
    events = protocol.receive_data(b"904 * :SASL authentication failed\r\n")
    assert events == [LoginRejected("alice", "904", "SASL authentication failed")]
    assert protocol.data_to_send() == b""


PLAIN_RESPONSE = C("AUTHENTICATE AGFsaWNlAHBlbmNpbA==")


def test_a_mechanism_that_the_server_does_not_know_is_passed_over() -> None:
    steps = [
        *with_sasl(""),
        C("AUTHENTICATE SCRAM-SHA-256"),
        S("908 * PLAIN :are available SASL mechanisms"),
        S("904 * :SASL authentication failed"),
        C("AUTHENTICATE PLAIN"),
        S("AUTHENTICATE +"),
        PLAIN_RESPONSE,
        *LOGGED_IN,
    ]
    play(make(credentials=PENCIL), steps)


def test_a_certificate_comes_first_and_the_password_after() -> None:
    steps = [
        *with_sasl("=PLAIN,EXTERNAL"),
        C("AUTHENTICATE EXTERNAL"),
        S("AUTHENTICATE +"),
        C("AUTHENTICATE +"),
        S("904 * :SASL authentication failed"),
        C("AUTHENTICATE PLAIN"),
        S("AUTHENTICATE +"),
        PLAIN_RESPONSE,
        *LOGGED_IN,
    ]
    play(make(credentials=Credentials("alice", "pencil", certificate=True)), steps)


def test_no_mechanism_in_common() -> None:
    text = "the server offers no way to log in that this client has"
    steps = [*with_sasl("=GSSAPI"), LoginRejected("alice", "", text)]
    play(make(credentials=PENCIL), steps)


@pytest.mark.parametrize("start", ["CAP * LS :batch", "421 * CAP :Unknown command"])
def test_a_server_without_login(start: str) -> None:
    protocol = make(credentials=PENCIL)
    protocol.start()
    rest = "CAP * ACK batch\r\n001 alice :Welcome\r\n422 alice :no MOTD\r\n"
    events = protocol.receive_data(f"{start}\r\n{rest}".encode())
    assert events[0] == LoginRejected("alice", "", "the server offers no login (SASL)")


def test_a_nick_refused_before_the_login_is_asked_for_again_after_it() -> None:
    steps = [
        *HELLO,
        S("CAP * LS :sasl=PLAIN"),
        C("CAP REQ sasl"),
        S("433 * alice :Nickname is reserved by a different account"),
        S("CAP * ACK sasl"),
        C("AUTHENTICATE PLAIN"),
        S("AUTHENTICATE +"),
        PLAIN_RESPONSE,
        S("900 * alice!u@h alice :You are now logged in"),
        LoggedIn("alice", "You are now logged in"),
        S("903 * :done"),
        C("NICK alice"),
        C("CAP END"),
    ]
    play(make(credentials=PENCIL), steps)


# https://ircv3.net/specs/extensions/chathistory: "if a client requests this capability, the server
# (or bouncer) SHOULD NOT play back any history that would otherwise be sent automatically"
@pytest.mark.parametrize(
    ("history", "wanted"),
    [
        (False, {"batch", "draft/multiline"}),
        (True, {"batch", "draft/multiline", *HISTORY_CAPABILITIES}),
    ],
)
def test_history_is_for_who_asks_for_it(history: bool, wanted: set[str]) -> None:
    identity = Identity("alice", "alice", "Alice A.", history=history)
    protocol = ClientProtocol(identity, wall_clock=lambda: NOW, make_nonce=lambda: NONCE)
    offered = " ".join({"batch", "draft/multiline", *HISTORY_CAPABILITIES})
    request = C(f"CAP REQ :{' '.join(sorted(wanted))}")
    play(protocol, [*HELLO, S(f"CAP * LS :{offered}"), request])


def test_the_password_is_in_no_repr() -> None:
    assert "pencil" not in repr(PENCIL)
