"""From one relay to the next: real sockets, real TLS, real relays where it needs what they keep."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from securechat.client import (
    CertificateRejected,
    Client,
    Connected,
    Disconnected,
    Event,
    Joined,
    LoginFailed,
    NetworkError,
    PeerReachable,
    PeerSettings,
    ReadMarked,
    RelayAddress,
    RelaysAnnounced,
    Timing,
    Welcome,
)
from securechat.client.chat.chat import Chat
from securechat.client.chat.outgoing import OutgoingText
from securechat.client.interpret import MARK_TAG
from tests.client.name_server import answering
from tests.client.scripted_server import (
    FULL_CAPS,
    TIMEOUT_S,
    Peer,
    Pki,
    Script,
    ScriptedServer,
    serving,
)
from tests.client.trials import closed_port
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, RunningRelay

AT_ONCE = Timing(retry_first_s=0)
NOBODY = RelayAddress("localhost", 1)
LATER = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
LOST = "ERROR :Closing link: This relay has lost the others"


def online(peer: Peer) -> None:
    peer.register()
    peer.until_gone()


def never(peer: Peer) -> None:
    raise AssertionError("nobody should come here")


def says(line: str, *tokens: str) -> Script:
    """Let a client in, with these tokens of ISUPPORT, and go with these last words."""

    def script(peer: Peer) -> None:
        peer.negotiate(FULL_CAPS)
        peer.welcome(isupport=" ".join(("CHANTYPES=#", *tokens)))
        peer.expect("PING", "go")
        peer.say(line)

    return script


def place(server: ScriptedServer) -> RelayAddress:
    return RelayAddress("localhost", server.port)


def make(pki: Pki, *servers: ScriptedServer | RelayAddress, **options: Any) -> Client:
    first, *others = (one if isinstance(one, RelayAddress) else place(one) for one in servers)
    options = {"nick": "alice", "timing": AT_ONCE, "ca": pki.ca_file} | options
    return Client(first.host, first.port, relays=others, **options)


def until(client: Client, kind: type[Event]) -> list[Event]:
    """Return the events up to the next of that kind."""
    found: list[Event] = []
    while not (found and isinstance(found[-1], kind)):
        event = client.next_event(TIMEOUT_S)
        assert event is not None, found
        found.append(event)
    return found


def moves(events: list[Event]) -> list[tuple[str, float, str]]:
    """Return what was said of each end of a connection: why, how long to wait, where to go."""
    return [
        (one.reason, one.retry_in_s, one.next_relay)
        for one in events
        if isinstance(one, Disconnected)
    ]


def here(events: list[Event]) -> int:
    """Return the port of the relay that was connected to last."""
    return [one.port for one in events if isinstance(one, Connected)][-1]


# ---- getting in ----


def test_the_first_that_can_be_reached(pki: Pki) -> None:
    closed = RelayAddress("127.0.0.1", closed_port())
    with (
        serving(pki, online) as server,
        serving(pki, never) as spare,
        make(pki, NOBODY, closed, server, spare) as client,
    ):
        client.connect(TIMEOUT_S)
        events = until(client, Welcome)
        assert here(events) == server.port
        assert moves(events) == [
            (f"cannot connect to {one}: nothing listens on that port", 0.0, str(following))
            for one, following in ((NOBODY, closed), (closed, place(server)))
        ]
        assert client.relay == str(NOBODY)  # what the chat is known by
        assert client.relays == {str(one) for one in (NOBODY, closed, place(server), place(spare))}


def test_a_relay_that_is_full_or_cut_off(pki: Pki) -> None:
    def full(peer: Peer) -> None:
        peer.expect("CAP", "LS")
        peer.say("ERROR :Closing link: This relay is full")

    def alone(peer: Peer) -> None:
        peer.expect("CAP", "LS")
        peer.say("FAIL * RELAY_ISOLATED :This relay has lost the others")
        peer.until_gone()

    with (
        serving(pki, full) as first,
        serving(pki, alone) as second,
        serving(pki, online) as third,
        make(pki, first, second, third) as client,
    ):
        client.connect(TIMEOUT_S)
        events = until(client, Welcome)
        assert moves(events) == [
            ("Closing link: This relay is full", 0.0, str(place(second))),
            ("this relay is cut off from the others", 0.0, str(place(third))),
        ]


def test_who_is_impatient_tries_each_once(pki: Pki) -> None:
    other = RelayAddress("localhost", closed_port())
    client = make(pki, NOBODY, other, reconnect=False)
    with pytest.raises(NetworkError, match=f"cannot connect to {other}"):
        client.connect(TIMEOUT_S)
    assert moves(list(client))[0][2] == str(other)


def test_whoever_waits_does_so_after_each_round(pki: Pki) -> None:
    slow = Timing(retry_first_s=0.002, retry_jitter=0.0)
    other = RelayAddress("localhost", closed_port())
    with make(pki, NOBODY, other, patient=True, timing=slow) as client:
        client.start()
        found = [until(client, Disconnected)[-1] for _ in range(6)]
        assert [(wait_s, relay) for _why, wait_s, relay in moves(found)] == [
            (0.0, str(other)),
            (0.002, str(NOBODY)),
            (0.0, str(other)),
            (0.004, str(NOBODY)),
            (0.0, str(other)),
            (0.008, str(NOBODY)),
        ]


def test_a_refused_login_is_refused_by_all(pki: Pki) -> None:
    def refuse(peer: Peer) -> None:
        peer.negotiate(FULL_CAPS)
        peer.say(":irc.test 433 * alice :Nickname is registered: log in to its account")
        peer.until_gone()

    with serving(pki, refuse) as server, serving(pki, never) as spare:
        client = make(pki, server, spare)
        with pytest.raises(LoginFailed):
            client.connect(TIMEOUT_S)


# ---- whom to trust ----


@contextlib.contextmanager
def false_server(script: Script = never) -> Iterator[ScriptedServer]:
    """Run a server whose certificate is of another CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    server = ScriptedServer(context, [script])
    try:
        yield server
    finally:
        server.close()


def test_a_false_relay_is_passed_over_and_told(pki: Pki) -> None:
    with (
        false_server() as false,
        serving(pki, online) as server,
        make(pki, false, server) as client,
    ):
        client.connect(TIMEOUT_S)
        events = until(client, Welcome)
        assert here(events) == server.port
        (gone,) = (one for one in events if isinstance(one, Disconnected))
        assert isinstance(gone.error, CertificateRejected)


def test_only_false_relays(pki: Pki) -> None:
    with false_server() as one, false_server() as two:
        client = make(pki, one, two, patient=True)
        with pytest.raises(CertificateRejected):
            client.connect(TIMEOUT_S)


def test_a_false_relay_is_worse_news_than_one_that_is_not_there(pki: Pki) -> None:
    with false_server() as false:
        client = make(pki, false, NOBODY)
        with pytest.raises(CertificateRejected):
            client.connect(TIMEOUT_S)
        assert moves(list(client))[-1][0].startswith("the certificate")


def test_a_false_list_leads_nowhere(pki: Pki) -> None:
    with false_server() as false:
        lies = says(LOST, f"securechat/RELAYS={place(false)}")
        with serving(pki, lies, online) as server, make(pki, server) as client:
            client.connect(TIMEOUT_S)
            until(client, Welcome)
            client.command("PING", "go")
            events = until(client, Welcome)
            assert here(events) == server.port
            assert [relay for _why, _wait_s, relay in moves(events)] == [
                str(place(false)),
                str(place(server)),
            ]


# ---- losing a relay ----


@pytest.mark.parametrize(
    ("line", "waits"),
    [
        (LOST, False),
        ("ERROR :Closing link: The relay is shutting down", False),
        ("ERROR :Closing link: Excess Flood", True),
        (":irc.test NOTICE alice :nothing", True),  # the connection breaks without a word
    ],
)
def test_the_next_one_at_once_where_the_last_words_say_so(pki: Pki, line: str, waits: bool) -> None:
    timing = Timing(retry_first_s=0.001, retry_jitter=0.0)
    with (
        serving(pki, says(line)) as first,
        serving(pki, online) as second,
        make(pki, first, second, timing=timing) as client,
    ):
        client.connect(TIMEOUT_S)
        until(client, Welcome)
        client.command("PING", "go")
        events = until(client, Welcome)
        assert here(events) == second.port
        ((_why, wait_s, relay),) = moves(events)
        assert (wait_s, relay) == (0.001 if waits else 0.0, str(place(second)))


def test_where_there_is_no_other_it_is_waited(pki: Pki) -> None:
    timing = Timing(retry_first_s=0.001, retry_jitter=0.0)
    with serving(pki, says(LOST), online) as server, make(pki, server, timing=timing) as client:
        client.connect(TIMEOUT_S)
        until(client, Welcome)
        client.command("PING", "go")
        assert [move[1:] for move in moves(until(client, Welcome))] == [(0.001, "")]


def test_a_nick_that_is_still_taken_is_so_everywhere(pki: Pki) -> None:
    def taken(peer: Peer) -> None:
        peer.negotiate(FULL_CAPS)
        peer.say(":irc.test 433 * alice :Nickname is already in use")
        peer.until_gone()

    timing = Timing(retry_first_s=0.001, retry_jitter=0.0)
    with (
        serving(pki, says(LOST), online) as first,
        serving(pki, taken, never) as second,
        serving(pki, online, never) as third,
        make(pki, first, second, third, timing=timing) as client,
    ):
        client.connect(TIMEOUT_S)
        until(client, Welcome)
        client.command("PING", "go")
        events = until(client, Welcome)
        assert [move[1:] for move in moves(events)] == [
            (0.0, str(place(second))),
            (0.001, str(place(third))),
        ]


# ---- what relays announce ----


def test_an_announced_relay_is_gone_to(pki: Pki) -> None:
    with serving(pki, online) as second:

        def script(peer: Peer) -> None:
            peer.register()
            peer.expect("PING", "list")
            peer.say(
                f":irc.test 005 alice securechat/RELAYS={place(second)} :are supported",
            )
            peer.expect("PING", "go")
            peer.say(LOST)

        with serving(pki, script) as first, make(pki, first) as client:
            client.connect(TIMEOUT_S)
            client.command("PING", "list")
            assert until(client, RelaysAnnounced)[-1] == RelaysAnnounced((place(second),))
            assert str(place(second)) not in client.relays  # it may not have an invite's token
            client.command("PING", "go")
            assert here(until(client, Welcome)) == second.port
            assert str(place(second)) in client.relays


def test_a_list_that_is_taken_away(pki: Pki) -> None:
    with serving(pki, never) as second:

        def script(peer: Peer) -> None:
            peer.register()
            peer.say(
                f":irc.test 005 alice securechat/RELAYS={place(second)} :are supported",
                ":irc.test 005 alice -securechat/RELAYS :are supported",
            )
            peer.expect("PING", "go")
            peer.say(LOST)

        with serving(pki, script, online) as first, make(pki, first) as client:
            client.connect(TIMEOUT_S)
            assert until(client, RelaysAnnounced)[-1] == RelaysAnnounced((place(second),))
            assert until(client, RelaysAnnounced)[-1] == RelaysAnnounced(())
            client.command("PING", "go")
            assert here(until(client, Welcome)) == first.port


def test_what_was_learned_before(pki: Pki) -> None:
    with (
        serving(pki, online) as server,
        make(pki, NOBODY, learned=[NOBODY, place(server)]) as client,
    ):
        client.connect(TIMEOUT_S)
        assert here(until(client, Welcome)) == server.port


def test_nothing_is_learned_where_anybody_has_a_certificate(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_file))  # the CAs of this system
    with serving(pki, never) as other:
        goes = says(LOST, f"securechat/RELAYS={place(other)}")
        with (
            serving(pki, goes, online) as server,
            make(pki, server, ca=None, learned=[place(other)]) as client,
        ):
            client.connect(TIMEOUT_S)
            until(client, Welcome)
            client.command("PING", "go")
            assert here(until(client, Welcome)) == server.port


# ---- SRV ----


def test_the_relays_of_a_domain(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(pki, says(LOST)) as first, serving(pki, online) as second:
        records = [f"2 0 {second.port} localhost.", f"1 0 {first.port} localhost."]
        with (
            answering(monkeypatch, example_dot_org=records) as names,
            Client(nick="alice", srv="example.org", ca=pki.ca_file, timing=AT_ONCE) as client,
        ):
            client.connect(TIMEOUT_S)
            assert here(until(client, Welcome)) == first.port
            assert client.relay == "example.org"
            assert client.relays == {str(place(first)), str(place(second))}
            client.command("PING", "go")
            assert here(until(client, Welcome)) == second.port
        assert len(names.asked) == 2


def test_a_false_answer_of_the_dns_leads_nowhere(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        false_server() as false,
        answering(monkeypatch, example_dot_org=[f"0 0 {false.port} localhost."]),
    ):
        client = Client(nick="alice", srv="example.org", ca=pki.ca_file, timing=AT_ONCE)
        with pytest.raises(CertificateRejected):
            client.connect(TIMEOUT_S)


def test_without_an_answer_there_are_still_those_that_were_named(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        serving(pki, online) as server,
        answering(monkeypatch),
        make(pki, server, srv="example.org") as client,
    ):
        client.connect(TIMEOUT_S)
        assert here(until(client, Welcome)) == server.port


def test_nothing_is_found(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch):
        client = Client(nick="alice", srv="example.org", ca=pki.ca_file)
        with pytest.raises(NetworkError, match="there is no relay at _ircs"):
            client.connect(TIMEOUT_S)


# ---- a whole chat moves ----


def test_what_a_lonely_relay_has_refused_is_said_again_at_another(pki: Pki) -> None:
    refusal = "This relay is cut off from the others: no node answers"

    def lonely(peer: Peer) -> None:
        peer.register()
        peer.joins("#den")
        label = peer.expect("PRIVMSG", "#den").tags["label"]
        peer.say(f"@label={label} FAIL * RELAY_ISOLATED :{refusal}")
        peer.expect("PING", "go")
        peer.say(LOST)

    def other(peer: Peer) -> None:
        peer.register()
        peer.joins("#den")
        tags = peer.expect("PRIVMSG", "#den", "hello").tags
        mark = f"{MARK_TAG}={tags[MARK_TAG]}"
        peer.say(f"@label={tags['label']};msgid=m;{mark} :alice!u@h PRIVMSG #den :hello")
        peer.until_gone()

    news = threading.Event()
    with (
        serving(pki, lonely) as first,
        serving(pki, other) as second,
        make(pki, first, second, interactive=True, on_event=news.set, channels=["#den"]) as client,
    ):
        chat = Chat(client, channels=["#den"], clock=lambda: LATER)

        def until_it_is(*states: str) -> list[OutgoingText]:
            while [one.state for one in chat.outgoing.waiting("#den")] != [*states]:
                assert news.wait(TIMEOUT_S)
                news.clear()
                while (event := client.poll()) is not None:
                    chat.handle(event)
            return chat.outgoing.waiting("#den")

        client.start()
        chat.say("#den", "hello")
        (refused,) = until_it_is("refused")
        assert refused.reason == refusal
        client.command("PING", "go")
        for kind in (Disconnected, Welcome):
            for event in until(client, kind):
                chat.handle(event)
        chat.show_outgoing([chat.outgoing.again(refused.number)])
        until_it_is()
        den = chat.conversations.get("#den")
        assert den is not None
        texts = [(entry.text, entry.state) for entry in den.entries if entry.is_text]
        assert texts == [("hello", "")]


class Person:
    """Somebody at a chat. Owned by the test's thread."""

    def __init__(self, relay: RunningRelay, other: RelayAddress, folder: Path, name: str) -> None:
        self._news = threading.Event()
        self.heard: list[Event] = []
        self.client = Client(
            *("localhost", relay.address[1]),
            relays=[other],
            nick=name,
            password=PASSWORD,
            ca=relay.certificates.ca_file,
            channels=["#den"],
            interactive=True,
            history=True,
            peers=PeerSettings(folder / name, folder, allow_loopback=True),
            timing=Timing(retry_first_s=0.01, retry_most_s=0.1, close_s=1.0),
            on_event=self._news.set,
        )
        self.chat = Chat(self.client, channels=["#den"], clock=lambda: datetime(2026, 1, 2))
        self.client.start()

    def until(self, what: Callable[[], object]) -> None:
        """Take what happens until it is so."""
        while not what():
            assert self._news.wait(LONG_TIMEOUT_S), self.heard
            self._news.clear()
            while (event := self.client.poll()) is not None:
                self.heard.append(event)
                self.chat.handle(event)

    def texts(self, name: str = "#den") -> list[str]:
        buffer = self.chat.conversations.get(name)
        return [entry.text for entry in buffer.entries if entry.is_text] if buffer else []

    def hears(self, port: int, kind: type[Event], **fields: object) -> None:
        """Wait until a relay has told that."""
        self.until(
            lambda: any(
                isinstance(event, kind)
                and all(getattr(event, name) == value for name, value in fields.items())
                for event in self.told_by(port)
            )
        )

    def told_by(self, port: int) -> list[Event]:
        """Return what has happened since we have connected to the relay at this port."""
        begin = (
            index
            for index, event in enumerate(self.heard)
            if isinstance(event, Connected) and event.port == port
        )
        return self.heard[next(begin, len(self.heard)) :]


def test_after_a_move_all_goes_on(start_relay: StartRelay, tmp_path: Path) -> None:
    """The second relay has what the first one kept, as those of a cluster have."""
    other = RelayAddress("localhost", closed_port())
    first = start_relay(wall_clock=time.time)
    for name in ("ann", "bob"):
        first.account(name).quit()
    carl = first.account("carl", "message-tags")
    carl.send("JOIN #den")
    people = [Person(first, other, tmp_path, name) for name in ("ann", "bob")]
    with contextlib.ExitStack() as closing:
        for person in people:
            closing.callback(person.client.close)
        ann, bob = people
        port = first.address[1]
        for one, them in ((ann, "bob"), (bob, "ann")):
            one.hears(port, PeerReachable, nick=them, now=True)
        carl.send("PRIVMSG #den :before")
        for one in people:
            one.until(lambda one=one: one.texts() == ["before"])
        ann.client.mark_read("#den", LATER)
        ann.hears(port, ReadMarked, conversation="#den", time=LATER)
        first.stop("This relay has lost the others")
        second = start_relay(wall_clock=time.time, server={"listen": (("127.0.0.1", other.port),)})
        late = second.login("carl", "message-tags")
        late.send("JOIN #den", "PRIVMSG #den :meanwhile")
        for one in people:
            one.hears(other.port, Joined, own=True)
            one.until(lambda one=one: "meanwhile" in one.texts())
        for one, them in ((ann, "bob"), (bob, "ann")):
            one.hears(other.port, PeerReachable, nick=them, now=True)
        ann.hears(other.port, ReadMarked, conversation="#den", time=LATER)
        ann.chat.say("#den", "after")
        for one in people:
            one.until(lambda one=one: one.texts()[-1] == "after")
            assert one.texts() == ["before", "meanwhile", "after"]
            assert here(one.heard) == other.port
        assert (ann.client.nick, ann.client.account) == ("ann", "ann")
