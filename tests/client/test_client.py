from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from securechat.client import (
    AwayChanged,
    Client,
    Delivered,
    Disconnected,
    Event,
    Failure,
    Found,
    HistoryReceived,
    NamesReceived,
    NotDelivered,
    PresenceReceived,
    Reacted,
    ReadMarked,
    Redacted,
    RequestFailed,
    TargetsReceived,
    TextReceived,
    Timing,
    Typing,
    Welcome,
)
from securechat.client.lines.line_mode import LineMode
from securechat.errors import (
    CertificateRejected,
    LocalProtocolError,
    LoginFailed,
    NetworkError,
    TlsError,
)
from securechat.irc.sasl import LOGINS_BUSY, LOGINS_THROTTLED, ScramServer, ScramVerifier
from tests.client.scripted_server import (
    FULL_CAPS,
    TIMEOUT_S,
    Peer,
    Pki,
    Script,
    ScriptedServer,
    serving,
)
from tests.server.relay_harness import PASSWORD, RunningRelay

AT_ONCE = Timing(retry_first_s=0)


def wait_for(client: Client, kind: type[Event]) -> Event:
    """Return the next event of that kind."""
    while True:
        event = client.next_event(TIMEOUT_S)
        assert event is not None, "the events are over"
        if isinstance(event, kind):
            return event


def online(peer: Peer) -> None:
    peer.register()
    peer.until_gone()


def make(server: ScriptedServer, pki: Pki, **options: object) -> Client:
    options = {"nick": "alice", "timing": AT_ONCE} | options
    return Client("localhost", server.port, ca=pki.ca_file, **options)  # type: ignore[arg-type]


# ---- connect ----


def test_connect_join_send_and_read(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        peer.echo(peer.expect("PRIVMSG", "#room"))
        peer.say("@time=2026-01-02T03:04:05.678Z;account=bob;msgid=m1 :bob!b@h PRIVMSG #room :hi")
        peer.until_gone()

    with serving(pki, script) as server, make(server, pki) as client:
        client.connect(TIMEOUT_S)
        client.join("#room")
        names = wait_for(client, NamesReceived)
        assert isinstance(names, NamesReceived)
        assert [member.nick for member in names.members] == ["alice", "bob"]
        assert [member.nick for member in client.members("#ROOM")] == ["alice", "bob"]
        delivery = client.send("#room", "hello")
        own = wait_for(client, TextReceived)
        assert isinstance(own, TextReceived)
        assert (own.own, own.text, own.conversation) == (True, "hello", "#room")
        assert wait_for(client, Delivered) == Delivered(delivery)
        assert wait_for(client, TextReceived) == TextReceived(
            "#room",
            "#room",
            "bob",
            "bob",
            "hi",
            "message",
            datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
            direct=False,
            msgid="m1",
        )
    assert "QUIT leaving" in server.peers[0].heard


def test_iteration_ends_when_closed(pki: Pki) -> None:
    with serving(pki, online) as server, make(server, pki) as client:
        client.connect(TIMEOUT_S)
        client.close("that is all")
        client.close()
        events = list(client)
        assert events[-1] == Disconnected("closed", False)
        assert client.next_event() is None
        assert client.members("#room") == ()
        with pytest.raises(NetworkError, match="not connected"):
            client.send("#room", "too late")
    assert "QUIT :that is all" in server.peers[0].heard


def test_a_client_that_was_never_started_can_be_closed(pki: Pki) -> None:
    client = Client("localhost", 1, nick="alice", ca=pki.ca_file)
    client.close()
    assert [type(event) for event in client] == [Disconnected]
    with pytest.raises(NetworkError):
        client.connect()


@pytest.mark.parametrize(
    "options",
    [
        {"nick": "a\nb"},
        {"nick": "alice", "realname": "x\r\nQUIT"},
        {"nick": "alice", "channels": ["#a\r\nQUIT"]},
        {"nick": "alice", "password": ""},
        {"nick": "\udc80"},
        {"nick": "alice", "account": "\udc80", "password": "pencil"},
        {"nick": "alice", "password": "\udc80"},
        {"nick": "alice", "channels": ["#\udc80"]},
    ],
)
def test_names_that_cannot_be_said(options: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        Client("localhost", **options)  # type: ignore[arg-type]


def test_a_lone_surrogate_cannot_be_said() -> None:
    client = Client("localhost", nick="alice")
    ui = LineMode(client, channels=(), clock=datetime.now)
    ui.set_target("#room")
    for line in ("\udc80", "/msg \udc80 x", "/topic \udc80", "/nick \udc80", "/raw \udc80"):
        ui.handle_line(line)
        assert [shown[:2] for shown in ui.take_output()] == ["! "]
    with pytest.raises(LocalProtocolError, match="no text in UTF-8"):
        client.send("#room", "\udc80")
    with pytest.raises(LocalProtocolError, match="no text in UTF-8"):
        client.login("\udc80", "pencil")
    client.close()


def test_nobody_listens(pki: Pki) -> None:
    with serving(pki, online) as server:
        port = server.port
    client = Client("localhost", port, nick="alice", ca=pki.ca_file)
    with pytest.raises(NetworkError, match="nothing listens"):
        client.connect(TIMEOUT_S)


def test_the_server_closes_before_the_welcome(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.expect("USER")
        peer.say("ERROR :Closing link: you are banned")

    with serving(pki, script) as server, pytest.raises(NetworkError, match="you are banned"):
        make(server, pki).connect(TIMEOUT_S)


def test_the_server_speaks_nonsense(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.say_bytes(b"\0\0\0\r\n")
        peer.until_gone()

    with serving(pki, script) as server:
        client = make(server, pki)
        client.start()
        last = list(client)[-1]
        client.close()
    assert isinstance(last, Disconnected)
    assert "does not speak IRC" in last.reason


# ---- history and what goes without a text ----

HISTORY_CAPS = (
    f"{FULL_CAPS} draft/chathistory draft/event-playback draft/message-redaction draft/read-marker "
    "soju.im/search"
)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def test_questions_and_their_answers(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register(HISTORY_CAPS)
        for command, kind, *lines in (
            ("CHATHISTORY", "chathistory #room", ":bob!b@h PRIVMSG #room :hi"),
            ("CHATHISTORY", "draft/chathistory-targets", "CHATHISTORY TARGETS #room nonsense"),
            ("SEARCH", "soju.im/search"),
        ):
            label = peer.expect(command).tags["label"]
            peer.say(f"@label={label} BATCH +1 {kind}")
            peer.say(*[f"@batch=1 {line}" for line in lines], "BATCH -1")
        label = peer.expect("CHATHISTORY").tags["label"]
        peer.say(f"@label={label} FAIL CHATHISTORY INVALID_TARGET LATEST bob :None")
        peer.expect("SEARCH")  # and is gone

    with serving(pki, script) as server, make(server, pki, history=True) as client:
        client.connect(TIMEOUT_S)
        assert client.offers("draft/chathistory")
        numbers = [
            client.history("#room", before="msgid=m1", limit=1),
            client.history_targets(LONG_AGO, LONG_AGO),
            client.search("hi", conversation="#room"),
        ]
        page = wait_for(client, HistoryReceived)
        assert isinstance(page, HistoryReceived)
        assert [(item.conversation, type(item)) for item in page.items] == [("#room", TextReceived)]
        assert page.request == numbers[0]
        assert wait_for(client, TargetsReceived) == TargetsReceived(numbers[1], ())
        assert wait_for(client, Found) == Found(numbers[2], ())
        number = client.history("bob")
        refused = RequestFailed(number, "INVALID_TARGET", "None")
        assert wait_for(client, RequestFailed) == refused
        number = client.search("hi")
        lost = wait_for(client, RequestFailed)
        assert isinstance(lost, RequestFailed)
        assert (lost.request, lost.code) == (number, "CONNECTION_LOST")
    heard = server.peers[0].heard
    assert any("CHATHISTORY BEFORE #room msgid=m1 1" in line for line in heard)
    assert len({*numbers, number}) == 4


def test_what_goes_without_a_text(pki: Pki) -> None:
    heard: list[str] = []

    def script(peer: Peer) -> None:
        peer.register(HISTORY_CAPS)
        peer.joins("#room", "bob")
        for command in ("TAGMSG", "TAGMSG", "REDACT", "MARKREAD", "WHO", "PRIVMSG"):
            message = peer.expect(command)
            tags = sorted(f"{key}={message.tags[key]}" for key in message.tags if key[0] == "+")
            heard.append(" ".join([*tags, command, *message.params]))
        peer.until_gone()

    with serving(pki, script) as server, make(server, pki, history=True) as client:
        client.connect(TIMEOUT_S)
        client.join("#room")
        wait_for(client, NamesReceived)
        client.react("#room", "m1", ":)", remove=True)
        client.typing("#room", "paused")
        client.redact("#room", "m1", "a mistake")
        client.mark_read("#room", LONG_AGO)
        client.ask_presence("#room")
        client.send("#room", "yes", reply_to="m1", mark="k1")
        client.close()
    assert heard == [
        "+draft/unreact=:) +reply=m1 TAGMSG #room",
        "+typing=paused TAGMSG #room",
        "REDACT #room m1 a mistake",
        "MARKREAD #room timestamp=2026-01-01T00:00:00.000Z",
        "WHO #room",
        "+reply=m1 +securechat/mark=k1 PRIVMSG #room yes",
    ]


def test_all_of_it_on_a_relay(relay: RunningRelay) -> None:
    def come(nick: str) -> Client:
        relay.account(nick).quit()
        client = Client(
            "localhost",
            relay.address[1],
            nick=nick,
            password=PASSWORD,
            ca=relay.certificates.ca_file,
            channels=["#room"],
            history=True,
        )
        client.connect(TIMEOUT_S)
        wait_for(client, NamesReceived)
        return client

    with come("alice") as alice, come("bob") as bob:
        alice.send("#room", "the quick brown fox", mark="k1")
        text = wait_for(bob, TextReceived)
        assert isinstance(text, TextReceived)
        assert (text.mark, text.own) == ("k1", False)
        assert text.msgid is not None
        bob.typing("#room", "active")
        assert wait_for(alice, Typing) == Typing("#room", "bob", "active")
        bob.react("#room", text.msgid, "👋")
        reactions = [wait_for(client, Reacted) for client in (alice, bob)]
        assert [(one.nick, one.reaction, one.own) for one in reactions] == [  # type: ignore[union-attr]
            ("bob", "👋", False),
            ("bob", "👋", True),
        ]
        bob.mark_read("#room", text.time)
        assert wait_for(bob, ReadMarked) == ReadMarked("#room", text.time)
        bob.away("lunch")
        wait_for(alice, AwayChanged)
        bob.ask_presence("#room")
        present = wait_for(bob, PresenceReceived)
        assert isinstance(present, PresenceReceived)
        assert [(one.nick, one.away) for one in present.members] == [
            ("alice", False),
            ("bob", True),
        ]
        assert bob.members("#room") == alice.members("#room") == present.members

        number = bob.search("quick fox", sender="alice")
        said = replace(text, replayed=True)
        assert wait_for(bob, Found) == Found(number, (said,))
        number = bob.history("#room", around=f"msgid={text.msgid}")
        page = wait_for(bob, HistoryReceived)
        assert isinstance(page, HistoryReceived)
        assert page.items[0] == said
        assert [type(item) for item in page.items] == [TextReceived, Reacted]
        number = bob.history("#room", before=page.oldest)
        first = HistoryReceived(number, "#room", (), None, None, complete=True)
        assert wait_for(bob, HistoryReceived) == first
        number = bob.history_targets(text.time - timedelta(days=1), text.time + timedelta(days=1))
        assert wait_for(bob, TargetsReceived) == TargetsReceived(number, (("#room", text.time),))
        alice.redact("#room", text.msgid, "a mistake")
        assert wait_for(bob, Redacted) == Redacted("#room", text.msgid, "alice", "a mistake")
        bob.react("nobody", text.msgid, "👋")
        refused = wait_for(bob, Failure)
        assert isinstance(refused, Failure)
        assert refused.code == "401"


def test_what_the_server_does_not_offer(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register("batch labeled-response echo-message")
        peer.until_gone()

    with serving(pki, script) as server, make(server, pki, history=True) as client:
        client.connect(TIMEOUT_S)
        for ask in (
            lambda: client.history("#room"),
            lambda: client.history_targets(LONG_AGO, LONG_AGO),
            lambda: client.search("x"),
            lambda: client.redact("#room", "m1"),
            lambda: client.react("#room", "m1", ":)"),
        ):
            with pytest.raises(LocalProtocolError, match=r"does not offer|takes no reactions"):
                ask()
        client.typing("#room", "active")
        client.mark_read("#room", LONG_AGO)
        client.command("PING", "x")
    assert [line for line in server.peers[0].heard if "#room" in line] == []


def test_without_labels_nothing_is_asked(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register("batch draft/chathistory message-tags server-time")
        peer.until_gone()

    with serving(pki, script) as server, make(server, pki, history=True) as client:
        client.connect(TIMEOUT_S)
        with pytest.raises(LocalProtocolError, match="does not offer labeled-response"):
            client.history("#room")


def test_nothing_is_asked_offline() -> None:
    client = Client("localhost", nick="alice", history=True)
    for ask in (
        lambda: client.history("#room"),
        lambda: client.history_targets(LONG_AGO, LONG_AGO),
        lambda: client.search("x"),
        lambda: client.redact("#room", "m1"),
        lambda: client.react("#room", "m1", ":)"),
        lambda: client.ask_presence("#room"),
    ):
        with pytest.raises(NetworkError, match="not connected"):
            ask()
    client.typing("#room", "active")
    client.mark_read("#room", LONG_AGO)
    assert not client.passes("+typing")
    client.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.history("a b"),
        lambda client: client.history("#room", before="msgid=a b"),
        lambda client: client.search("x" * 500),
        lambda client: client.ask_presence(""),
        lambda client: client.redact("#a,#b", "m1"),
        lambda client: client.react("#room", "m1", ""),
        lambda client: client.typing("#a\r\nQUIT", "active"),
        lambda client: client.mark_read(":x", LONG_AGO),
        lambda client: client.send("#room", "x", reply_to="\0"),
        lambda client: client.send("#room", "x", mark="x" * 5000),
    ],
)
def test_what_cannot_be_asked(ask: Callable[[Client], object]) -> None:
    client = Client("localhost", nick="alice", history=True)
    with pytest.raises(LocalProtocolError):
        ask(client)
    client.close()


# ---- certificates ----


def rejected(pki: Pki, context_cert: trustme.LeafCert, host: str, ca: Path) -> CertificateRejected:
    server = ScriptedServer(pki.context(cert=context_cert), [online])
    try:
        with pytest.raises(CertificateRejected) as caught:
            Client(host, server.port, nick="alice", ca=ca).connect(TIMEOUT_S)
    finally:
        server.close()
    return caught.value


def test_an_untrusted_ca(pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path)
    error = rejected(pki, pki.ca.issue_cert("localhost"), "localhost", other.ca_file)
    assert error.check == "untrusted"
    assert "--ca" in error.advice


def test_an_expired_certificate(pki: Pki) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = pki.ca.issue_cert(
        "localhost", not_before=yesterday - timedelta(days=1), not_after=yesterday
    )
    error = rejected(pki, expired, "localhost", pki.ca_file)
    assert error.check == "expired"
    assert "renew" in error.advice


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_certificate_for_another_host(pki: Pki, host: str) -> None:
    error = rejected(pki, pki.ca.issue_cert("chat.example.org"), host, pki.ca_file)
    assert error.check == "hostname"
    assert "name" in error.advice


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"ca\.pem: cannot be read"):
        Client("localhost", 1, nick="alice", ca=tmp_path / "ca.pem").connect(TIMEOUT_S)


def test_a_bad_certificate_is_not_retried(pki: Pki, tmp_path: Path) -> None:
    """The relay comes back with a certificate of somebody else."""

    def first(peer: Peer) -> None:
        peer.register()

    server = ScriptedServer(pki.context(), [first])
    try:
        with make(server, pki) as client:
            client.connect(TIMEOUT_S)
            server._context = Pki(tmp_path).context()
            lost = [event for event in client if isinstance(event, Disconnected)]
    finally:
        server.close()
    assert isinstance(lost[-1].error, CertificateRejected)
    assert not lost[-1].will_retry


# ---- login ----


def begin_login(peer: Peer) -> None:
    """Take a client that logs in, up to its first choice."""
    peer.expect("CAP", "LS")
    peer.say(f":irc.test CAP * LS :{FULL_CAPS}")
    peer.nick = peer.expect("NICK").params[0]
    request = peer.expect("CAP", "REQ")
    peer.say(f":irc.test CAP {peer.nick} ACK :{request.params[1]}")
    peer.expect("AUTHENTICATE", "SCRAM-SHA-256")


def scram_login(account: str, password: str, *, stays: bool = True) -> Script:
    def script(peer: Peer) -> None:
        begin_login(peer)
        scram = ScramServer("servernonce")
        peer.say("AUTHENTICATE +")
        assert scram.begin(base64.b64decode(peer.expect("AUTHENTICATE").params[0])) == account
        verifier = ScramVerifier.derive(password, salt=b"salt", iterations=4096)
        challenge = base64.b64encode(scram.challenge(verifier)).decode()
        peer.say(f"AUTHENTICATE {challenge}")
        proof = base64.b64decode(peer.expect("AUTHENTICATE").params[0])
        try:
            final = scram.finish(proof)
        except Exception:
            peer.say(f":irc.test 904 {peer.nick} :SASL authentication failed")
            peer.until_gone()
            return
        peer.say(f"AUTHENTICATE {base64.b64encode(final).decode()}")
        peer.expect("AUTHENTICATE", "+")
        peer.say(
            f":irc.test 900 {peer.nick} {peer.nick}!u@h {account} :You are now logged in",
            f":irc.test 903 {peer.nick} :SASL authentication successful",
        )
        peer.expect("CAP", "END")
        peer.welcome()
        if stays:
            peer.until_gone()

    return script


def test_login(pki: Pki) -> None:
    script = scram_login("alice", "pencil")
    with serving(pki, script) as server, make(server, pki, password="pencil") as client:
        client.connect(TIMEOUT_S)
        assert client.account == "alice"


def test_a_login_is_bound_to_the_certificate(pki: Pki) -> None:
    """The client takes it from its own TLS connection; the server knows its own."""
    leaf = pki.ca.issue_cert("localhost", "127.0.0.1")
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    flags: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.expect("CAP", "LS")
        peer.say(":irc.test CAP * LS :sasl=PLAIN,SCRAM-SHA-256,SCRAM-SHA-256-PLUS")
        peer.expect("CAP", "REQ")
        peer.say(":irc.test CAP * ACK :sasl")
        peer.expect("AUTHENTICATE", "SCRAM-SHA-256-PLUS")
        scram = ScramServer("servernonce", binding=hashlib.sha256(der).digest(), plus=True)
        peer.say("AUTHENTICATE +")
        flags.append(base64.b64decode(peer.expect("AUTHENTICATE").params[0]))
        scram.begin(flags[0])
        verifier = ScramVerifier.derive("pencil", salt=b"salt", iterations=4096)
        peer.say(f"AUTHENTICATE {base64.b64encode(scram.challenge(verifier)).decode()}")
        scram.finish(base64.b64decode(peer.expect("AUTHENTICATE").params[0]))
        flags.append(b"finished")
        peer.say(":irc.test 904 * :SASL authentication failed")
        peer.until_gone()

    server = ScriptedServer(pki.context(cert=leaf), (script,))
    try:
        with pytest.raises(LoginFailed):
            make(server, pki, password="pencil").connect(TIMEOUT_S)
    finally:
        server.close()
    assert flags[0].startswith(b"p=tls-server-end-point,,")
    assert flags[1:] == [b"finished"]


def test_a_wrong_password(pki: Pki) -> None:
    script = scram_login("alice", "pencil")
    with serving(pki, script) as server, pytest.raises(LoginFailed, match="authentication failed"):
        make(server, pki, password="wrong").connect(TIMEOUT_S)
    assert not any("PLAIN" in line for line in server.peers[0].heard)


def test_a_nick_in_use(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.negotiate()
        peer.say(":irc.test 433 * alice :Nickname is already in use")
        peer.nick = peer.expect("NICK").params[0]
        peer.welcome()
        peer.until_gone()

    with serving(pki, script) as server, pytest.raises(LoginFailed, match="already in use"):
        make(server, pki).connect(TIMEOUT_S)
    with serving(pki, script) as server, make(server, pki, other_nick=True) as client:
        client.connect(TIMEOUT_S)
        assert client.nick == "alice_"


# ---- reconnect ----


def test_the_client_comes_back_and_rejoins(pki: Pki) -> None:
    def first(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        peer.expect("PRIVMSG", "#room")
        peer.say("ERROR :Server is shutting down")

    def second(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob", "carol")
        peer.until_gone()

    with serving(pki, first, second) as server, make(server, pki) as client:
        client.connect(TIMEOUT_S)
        client.join("#Room".lower())
        wait_for(client, NamesReceived)
        delivery = client.send("#room", "lost on the way")
        lost = wait_for(client, NotDelivered)
        assert isinstance(lost, NotDelivered)
        assert (lost.delivery, lost.code) == (delivery, "CONNECTION_LOST")
        gone = wait_for(client, Disconnected)
        assert isinstance(gone, Disconnected)
        assert (gone.reason, gone.will_retry) == ("Server is shutting down", True)
        wait_for(client, Welcome)
        names = wait_for(client, NamesReceived)
        assert isinstance(names, NamesReceived)
        assert len(names.members) == 3


def test_the_old_connection_still_holds_the_nick(pki: Pki) -> None:
    def first(peer: Peer) -> None:
        peer.register()

    def second(peer: Peer) -> None:
        peer.negotiate()
        peer.say(":irc.test 433 * alice :Nickname is already in use")
        peer.until_gone()

    with serving(pki, first, second, online) as server, make(server, pki) as client:
        client.connect(TIMEOUT_S)
        wait_for(client, Disconnected)
        again = wait_for(client, Disconnected)
        assert isinstance(again, Disconnected)
        assert again.will_retry
        wait_for(client, Welcome)


def rejects_logins(text: str) -> Script:
    def script(peer: Peer) -> None:
        begin_login(peer)
        peer.say(f":irc.test 904 {peer.nick} :{text}")
        peer.until_gone()

    return script


@pytest.mark.parametrize("text", [LOGINS_BUSY, LOGINS_THROTTLED])
@pytest.mark.parametrize("interactive", [True, False])
def test_a_server_that_cannot_check_a_login_is_tried_again(
    pki: Pki, text: str, interactive: bool
) -> None:
    first, last = (scram_login("alice", "pencil", stays=stays) for stays in (False, True))

    with (
        serving(pki, first, rejects_logins(text), last) as server,
        make(server, pki, password="pencil", interactive=interactive) as client,
    ):
        client.connect(TIMEOUT_S)
        wait_for(client, Disconnected)
        again = wait_for(client, Disconnected)
        assert isinstance(again, Disconnected)
        assert (again.reason, again.will_retry) == (text, True)
        wait_for(client, Welcome)
        assert client.account == "alice"
    assert not any("PLAIN" in line for line in server.peers[1].heard)


@pytest.mark.parametrize("interactive", [True, False])
def test_a_server_that_cannot_check_the_first_login_says_so(pki: Pki, interactive: bool) -> None:
    with (
        serving(pki, rejects_logins(LOGINS_BUSY)) as server,
        make(server, pki, password="pencil", interactive=interactive) as client,
        pytest.raises(LoginFailed, match="not possible at the moment"),
    ):
        client.connect(TIMEOUT_S)


def test_who_was_ended_by_another_device_stays_away(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()
        peer.say("ERROR :Closing link: Disconnected by another device")

    with serving(pki, script) as server, make(server, pki) as client:
        client.connect(TIMEOUT_S)
        last = list(client)[-1]
    assert isinstance(last, Disconnected)
    assert (last.reason, last.will_retry) == (
        "Closing link: Disconnected by another device",
        False,
    )


def test_without_reconnect_the_events_end(pki: Pki) -> None:
    def script(peer: Peer) -> None:
        peer.register()

    with serving(pki, script) as server, make(server, pki, reconnect=False) as client:
        client.connect(TIMEOUT_S)
        last = list(client)[-1]
    assert isinstance(last, Disconnected)
    assert not last.will_retry
    assert last.error is not None


def test_a_silent_server_is_given_up(pki: Pki) -> None:
    def silent(peer: Peer) -> None:
        while True:
            peer.next()

    quick = Timing(idle_s=0, answer_s=0)
    with serving(pki, silent) as server:
        client = make(server, pki, timing=quick)
        with pytest.raises(NetworkError, match="does not answer"):
            client.connect(TIMEOUT_S)


def test_retries_wait_longer_and_longer_up_to_a_limit() -> None:
    timing = Timing(retry_first_s=1, retry_most_s=60, retry_jitter=0.5)
    assert [timing.retry_in_s(failures, 0) for failures in range(8)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        60,
        60,
    ]
    assert timing.retry_in_s(10_000, 1) == 30


def test_events_that_nobody_reads(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securechat.client.event_queue.EVENTS_LIMIT", 50)

    def flood(peer: Peer) -> None:
        peer.register()
        peer.expect("PRIVMSG")
        peer.say(*[f":bob!b@h PRIVMSG alice :{n}" for n in range(100)])
        peer.until_gone()

    with serving(pki, flood) as server, make(server, pki) as client:
        client.connect(TIMEOUT_S)
        client.send("bob", "go")
        assert server.peers[0].heard
        # Nothing is read until the server has seen us go.
        server._threads[0].join(TIMEOUT_S)
        last = list(client)[-1]
    assert isinstance(last, Disconnected)
    assert "were not read" in last.reason


# ---- a bot ----

ECHO_BOT = '''\
"""A bot that says everything again."""

import sys
from pathlib import Path

from securechat.client import Client, TextReceived


def main(port: int, ca: Path) -> None:
    with Client("localhost", port, nick="echo", ca=ca, channels=["#room"]) as client:
        client.connect()
        for event in client:
            if not isinstance(event, TextReceived) or event.own or event.kind != "message":
                continue
            if event.text == "bye":
                break
            client.send(event.conversation, f"{event.sender} said: {event.text}")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
'''


def test_the_echo_bot(pki: Pki) -> None:
    said: list[str] = []

    def script(peer: Peer) -> None:
        peer.register()
        peer.joins("#room", "bob")
        peer.say(":bob!b@h PRIVMSG #room :hello")
        answer = peer.expect("PRIVMSG", "#room")
        said.append(answer.params[1])
        peer.echo(answer)
        peer.say(":bob!b@h PRIVMSG #room :bye")
        peer.until_gone()

    names: dict[str, object] = {"__name__": "echo_bot"}
    exec(ECHO_BOT, names)
    with serving(pki, script) as server:
        names["main"](server.port, pki.ca_file)  # type: ignore[operator]
    assert said == ["bob said: hello"]
