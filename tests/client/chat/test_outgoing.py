"""Texts over lost connections: real clients on a real relay, by way of a line that can be cut."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from securechat.client import (
    ChannelRenamed,
    Client,
    Disconnected,
    Event,
    Failure,
    HistoryReceived,
    Joined,
    LocalProtocolError,
    NamesReceived,
    NickChanged,
    RequestFailed,
    TextReceived,
    Welcome,
)
from securechat.client.chat.outgoing import WAITING_LIMIT, Outgoing, OutgoingText
from securechat.client.chat.routing import Routes, Said
from tests.client.talkers import QUICK
from tests.server import relay_harness
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, RunningRelay


class Line:
    """The way between clients and a relay, byte by byte. ``hold`` stops what comes from one side;
    what is held is lost with ``cut``, after which new connections run as at first.
    """

    def __init__(self, relay: RunningRelay) -> None:
        self._relay = relay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.held = threading.Event()
        """Something was held."""
        self._holds = ""
        self._closed = False
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def hold(self, side: str) -> None:
        self.held.clear()
        self._holds = side

    def cut(self, *, back: bool = True) -> None:
        """Cut the connections there are. ``back``: new ones come about."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open.clear()
        self._holds = "" if back else "new"

    def mend(self) -> None:
        self._holds = ""

    def close(self) -> None:
        self._closed = True
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LONG_TIMEOUT_S)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._holds == "new":
                near.close()
                continue
            far = socket.create_connection(self._relay.address)
            self._open += [near, far]
            left = itertools.count(1)
            for one, other, side in ((near, far, "client"), (far, near, "relay")):
                thread = threading.Thread(target=self._pass_on, args=(one, other, side, left))
                self._threads.append(thread)
                thread.start()

    def _pass_on(
        self, one: socket.socket, other: socket.socket, side: str, left: Iterator[int]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65_536):
                if self._holds == side:
                    self.held.set()
                else:
                    other.sendall(data)
        for sock in (one, other):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if next(left) == 2:
            one.close()
            other.close()


class Person:
    """Somebody with a client whose texts survive. Owned by the test's thread."""

    def __init__(self, relay: RunningRelay, line: Line, **options: object) -> None:
        options = {"nick": "alice", "password": PASSWORD, "history": True} | options
        self.client = Client(
            "localhost",
            line.port,
            ca=relay.certificates.ca_file,
            timing=QUICK,
            **options,  # type: ignore[arg-type]
        )
        marks = itertools.count(1)
        self.outgoing = Outgoing(self.client, lambda: f"mark-{next(marks)}")
        self.seen: list[Event] = []
        self.states: list[tuple[str, str]] = []
        """Each text and what has become of it, in the order of changes."""

    def wait(self, until: Callable[[Event], bool]) -> Event:
        """Return the next event for which ``until`` holds, having noted all."""
        while True:
            event = self.next()
            self.note(event)
            if until(event):
                return event

    def next(self) -> Event:
        event = self.client.next_event(LONG_TIMEOUT_S)
        assert event is not None
        return event

    def note(self, event: Event) -> None:
        self.seen.append(event)
        self.states += [(one.text, one.state) for one in self.outgoing.note(event)]

    def wait_for(self, kind: type[Event]) -> Event:
        return self.wait(lambda event: isinstance(event, kind))

    def wait_state(self, text: str, state: str) -> None:
        """Wait until a text has a state, from now on or before."""
        while (text, state) not in self.states:
            self.wait(lambda _: True)

    def join(self, room: str = "#room") -> None:
        self.client.join(room)
        self.wait_for(NamesReceived)

    def say(self, text: str, target: str = "#room") -> OutgoingText:
        return self.outgoing.say(target, text)


@pytest.fixture
def line(relay: RunningRelay) -> Iterator[Line]:
    line = Line(relay)
    yield line
    line.close()


@pytest.fixture
def alice(relay: RunningRelay, line: Line) -> Iterator[Person]:
    """Alice, who has an account, is online and in #room, where bob looks on."""
    relay.account("alice").quit()
    person = Person(relay, line)
    with person.client:
        person.client.start()
        person.wait_for(Welcome)
        person.join()
        yield person


@pytest.fixture
def bob(relay: RunningRelay, alice: Person) -> relay_harness.Client:
    """Bob, who has an account, is in #room and has said something there that alice has seen."""
    bob = relay.account("bob", "draft/chathistory", "batch", "message-tags", "server-time")
    bob.send("JOIN #room", "PRIVMSG #room :here I am")
    alice.wait_for(TextReceived)
    return bob


def said(bob: relay_harness.Client, target: str = "#room") -> list[str]:
    """Return what alice has said to ``target``, by the relay's history."""
    found = bob.collect(f"CHATHISTORY LATEST {target} * 100")
    return [
        message.params[1]
        for message in found
        if message.command == "PRIVMSG" and message.nick == "alice" and "batch" in message.tags
    ]


def test_a_text_goes_at_once_and_is_delivered(alice: Person, bob: relay_harness.Client) -> None:
    sent = alice.outgoing.say("#room", "hello", "action", "m1")
    assert (sent.number, sent.state, sent.reply_to, sent.mark) == (1, "sent", "m1", "mark-1")
    assert alice.outgoing.waiting("#ROOM") == [sent]
    alice.wait_state("hello", "delivered")
    assert alice.outgoing.waiting("#room") == []
    assert alice.states == [("hello", "delivered")]
    own = [event for event in alice.seen if isinstance(event, TextReceived) and event.own]
    assert [(event.kind, event.reply_to, event.mark) for event in own] == [
        ("action", "m1", "mark-1")
    ]
    [message] = [message for message in bob.sync() if message.command == "PRIVMSG"]
    assert message.tags["+securechat/mark"] == "mark-1"


def test_a_text_that_has_arrived_is_not_sent_again(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    line.hold("relay")
    alice.say("one\ntwo")
    bob.expect("PRIVMSG", "#room", "one")
    line.cut()
    alice.wait_for(Disconnected)
    assert alice.states == []
    assert [one.state for one in alice.outgoing.waiting("#room")] == ["sent"]
    alice.wait_state("one\ntwo", "delivered")
    page = alice.seen[-1]
    assert isinstance(page, HistoryReceived)
    assert alice.outgoing.is_mine(page)
    alice.say("three")
    alice.wait_state("three", "delivered")
    assert said(bob) == ["one", "two", "three"]
    assert alice.states == [("one\ntwo", "delivered"), ("three", "delivered")]


@pytest.mark.parametrize("target", ["#room", "bob"])
def test_a_text_that_has_not_arrived_is_sent_once(
    alice: Person, line: Line, bob: relay_harness.Client, target: str
) -> None:
    line.hold("client")
    alice.say("one", target)
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut()
    alice.wait_state("one", "delivered")
    assert said(bob, target if target == "#room" else "alice") == ["one"]
    assert alice.states == [("one", "sent"), ("one", "delivered")]


def test_what_is_typed_offline_goes_out_in_order(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    line.hold("client")
    alice.say("1")
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut(back=False)
    alice.wait_for(Disconnected)
    for text in ("2", "3"):
        assert alice.say(text).state == "waiting"
    assert alice.say("psst", "bob").state == "waiting"
    assert [one.text for one in alice.outgoing.waiting("#room")] == ["1", "2", "3"]
    line.mend()
    alice.wait_for(Welcome)
    # Back on the network, but not in the room yet.
    assert alice.say("4").state == "waiting"
    alice.wait_state("4", "delivered")
    assert said(bob) == ["1", "2", "3", "4"]
    assert said(bob, "alice") == ["psst"]


def test_one_has_arrived_and_one_has_not(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    line.hold("relay")
    alice.say("1")
    bob.expect("PRIVMSG", "#room", "1")
    line.hold("client")
    alice.say("2")
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut()
    alice.wait_state("2", "delivered")
    assert said(bob) == ["1", "2"]
    assert alice.states == [("1", "delivered"), ("2", "sent"), ("2", "delivered")]


def test_the_connection_is_lost_while_the_history_is_asked(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    line.hold("relay")
    alice.say("one")
    bob.expect("PRIVMSG", "#room", "one")
    line.cut()
    alice.wait(lambda event: isinstance(event, Joined) and event.own)
    line.cut()  # whether the answer was on its way or not
    alice.wait_state("one", "delivered")
    assert said(bob) == ["one"]


def test_what_a_page_of_the_user_interface_shows_is_known(
    alice: Person, line: Line, bob: relay_harness.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text is looked for behind the last message that was seen, in history too."""
    monkeypatch.setattr("securechat.client.chat.outgoing.HISTORY_LIMIT", 2)
    bob.send("JOIN #hall", *[f"PRIVMSG #hall :{number}" for number in range(5)])
    bob.sync()
    alice.join("#hall")
    request = alice.client.history("#hall", limit=1)
    page = alice.wait_for(HistoryReceived)
    assert isinstance(page, HistoryReceived)
    assert (page.request, alice.outgoing.is_mine(page)) == (request, False)
    line.hold("client")
    alice.say("one", "#hall")
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut()
    alice.wait_state("one", "delivered")
    assert said(bob, "#hall") == ["one"]


def test_a_mark_is_found_wherever_it_comes_from(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    """A page that the user interface has asked for tells as well; then ours is not needed."""
    line.hold("relay")
    alice.say("one")
    bob.expect("PRIVMSG", "#room", "one")
    line.cut()
    while not (isinstance(event := alice.next(), Joined) and event.own):
        alice.note(event)
    alice.client.history("#room")
    page = alice.next()
    while not isinstance(page, HistoryReceived):
        page = alice.next()
    alice.note(page)
    assert alice.states == [("one", "delivered")]
    alice.note(event)
    alice.say("two")
    alice.wait_state("two", "delivered")
    assert said(bob) == ["one", "two"]


def test_before_the_first_welcome_all_waits(relay: RunningRelay, line: Line) -> None:
    relay.account("alice").quit()
    bob = relay.account("bob", "draft/chathistory", "batch", "message-tags", "server-time")
    bob.send("JOIN #room")
    person = Person(relay, line, channels=["#room"])
    assert person.say("early").state == "waiting"
    with person.client:
        person.client.start()
        person.wait_state("early", "delivered")
    assert said(bob) == ["early"]


def test_the_mark_of_a_text_that_is_being_answered_says_nothing(alice: Person) -> None:
    """It is on the first of several messages; the others may still be refused."""
    sent = alice.say("one\ntwo")
    first = TextReceived(
        *("#room", "#room", "alice", "alice", "one", "message", datetime.now(UTC)),
        direct=False,
        own=True,
        mark=sent.mark,
    )
    assert alice.outgoing.note(first) == []
    assert alice.outgoing.waiting("#room") == [sent]
    alice.wait_state("one\ntwo", "delivered")


# ---- what cannot be known ----


def lose(person: Person, line: Line, bob: relay_harness.Client, target: str) -> None:
    """Lose the acknowledgement of a text that has arrived; wait for what becomes of it."""
    line.hold("relay")
    person.say("one", target)
    bob.expect("PRIVMSG", target, "one")
    line.cut()
    person.wait_state("one", "unsure")


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"history": False}, "#room"),
        ({"password": None, "nick": "guest"}, "bob"),  # "A guest reads none"
    ],
)
def test_without_history_nobody_knows(
    relay: RunningRelay, line: Line, options: dict[str, object], target: str
) -> None:
    relay.account("alice").quit()
    bob = relay.join("bob")
    bob.send("JOIN #room")
    person = Person(relay, line, **options)
    with person.client:
        person.client.start()
        person.wait_for(Welcome)
        person.join()
        lose(person, line, bob, target)
        [unsure] = person.outgoing.waiting(target)
        assert unsure.reason == "the connection was lost before an answer"
        # Others go on; this one does when the user wishes so.
        person.say("two", target)
        person.wait_state("two", "delivered")
        assert person.outgoing.again(unsure.number).state == "sent"
        person.wait_state("one", "delivered")
        assert [bob.expect("PRIVMSG").params[1] for _ in range(2)] == ["two", "one"]
        with pytest.raises(LocalProtocolError, match="no text to send again"):
            person.outgoing.again(unsure.number)


def test_a_history_that_cannot_be_read_says_nothing(start_relay: StartRelay) -> None:
    """A guest is let in again, and may not read what was said before."""
    relay = start_relay(history={"before_joining": False}, wall_clock=time.time)
    bob = relay.join("bob")
    bob.send("JOIN #room")
    with contextlib.closing(Line(relay)) as line:
        person = Person(relay, line, nick="guest", password=None)
        with person.client:
            person.client.start()
            person.wait_for(Welcome)
            person.join()
            lose(person, line, bob, "#room")  # the page is there, and has no beginning
            page = person.seen[-1]
            assert isinstance(page, HistoryReceived)
            [unsure] = person.outgoing.waiting("#room")
            person.outgoing.drop(unsure.number)
            bob.send("PRIVMSG #room :here I am")
            person.wait_for(TextReceived)
            person.states.clear()
            lose(person, line, bob, "#room")  # what was seen last is not there any more
            failed = person.seen[-1]
            assert isinstance(failed, RequestFailed)
            assert person.outgoing.is_mine(page)
            assert person.outgoing.is_mine(failed)


@pytest.mark.parametrize(
    ("pages", "state", "sent"), [(20, "delivered", ["one"]), (3, "unsure", [])]
)
def test_much_may_have_happened_meanwhile(
    alice: Person,
    line: Line,
    bob: relay_harness.Client,
    monkeypatch: pytest.MonkeyPatch,
    pages: int,
    state: str,
    sent: list[str],
) -> None:
    monkeypatch.setattr("securechat.client.chat.outgoing.HISTORY_LIMIT", 1)
    monkeypatch.setattr("securechat.client.chat.outgoing.HISTORY_PAGES", pages)
    line.hold("client")
    alice.say("one")
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut(back=False)
    alice.wait_for(Disconnected)
    bob.ask(*[f"PRIVMSG #room :{number}" for number in range(4)])
    line.mend()
    alice.wait_state("one", state)
    assert said(bob) == sent


def test_a_text_is_sent_a_second_time_and_not_a_third(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    line.hold("client")
    alice.say("one")
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut()
    while not isinstance(page := alice.next(), HistoryReceived):
        alice.note(page)
    line.hold("client")
    alice.note(page)
    assert alice.states == [("one", "sent")]
    assert line.held.wait(LONG_TIMEOUT_S)
    line.cut()
    alice.wait_state("one", "unsure")
    assert said(bob) == []


# ---- what cannot be sent ----


def test_a_room_that_does_not_let_us_in_again(relay: RunningRelay, line: Line) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #room")
    person = Person(relay, line, nick="guest", password=None)
    with person.client:
        person.client.start()
        person.wait_for(Welcome)
        person.join()
        line.cut(back=False)
        person.wait_for(Disconnected)
        person.say("one")
        bob.send("MODE #room +k secret")
        bob.sync()
        line.mend()
        person.wait_for(Failure)
        [refused] = person.outgoing.waiting("#room")
        assert (refused.state, person.states) == ("refused", [("one", "refused")])
        assert "+k" in refused.reason
        assert person.say("two").state == "sent"  # now the relay says so itself
        person.wait_state("two", "refused")


def test_what_the_relay_refuses(alice: Person) -> None:
    alice.say("psst", "nobody")
    alice.wait_state("psst", "refused")
    [refused] = alice.outgoing.waiting("nobody")
    assert "No such" in refused.reason
    alice.outgoing.drop(refused.number)
    alice.outgoing.drop(99)
    assert alice.outgoing.waiting("nobody") == []


def test_what_cannot_be_said_at_all(alice: Person) -> None:
    for target, text, reply_to in (("a b", "x", None), ("#room", "", None), ("#room", "x", "\0")):
        with pytest.raises(LocalProtocolError):
            alice.outgoing.say(target, text, reply_to=reply_to)
    assert alice.outgoing.waiting("#room") == []


def test_there_is_an_end_to_waiting(relay: RunningRelay, line: Line) -> None:
    person = Person(relay, line)
    for number in range(WAITING_LIMIT):
        person.say(str(number))
    with pytest.raises(LocalProtocolError, match=f"over {WAITING_LIMIT} texts wait"):
        person.say("one more")
    person.outgoing.drop(1)
    person.say("one more")
    person.client.close()


# ---- names ----


def test_a_text_follows_who_and_what_is_renamed(
    alice: Person, line: Line, bob: relay_harness.Client
) -> None:
    line.hold("relay")
    alice.say("one")
    bob.expect("PRIVMSG", "#room", "one")
    line.cut(back=False)
    alice.wait_for(Disconnected)
    alice.say("psst", "bob")
    alice.outgoing.note(NickChanged("bob", "robert", own=False))
    alice.outgoing.note(ChannelRenamed("#room", "#hall", "bob", ""))
    assert [one.text for one in alice.outgoing.waiting("robert")] == ["psst"]
    assert [one.text for one in alice.outgoing.waiting("#hall")] == ["one"]
    assert alice.outgoing.waiting("bob") == alice.outgoing.waiting("#room") == []


def test_by_way_of_the_routes(alice: Person, bob: relay_harness.Client) -> None:
    routes = Routes(alice.client, alice.outgoing)
    assert routes.say("#room", "hello", reply_to="m1") == Said()
    [sent] = alice.outgoing.waiting("#room")
    assert (sent.text, sent.kind, sent.reply_to) == ("hello", "message", "m1")
    routes.say("#room", "waves", "action")
    alice.wait_state("waves", "delivered")
    assert said(bob) == ["hello", "\x01ACTION waves\x01"]
