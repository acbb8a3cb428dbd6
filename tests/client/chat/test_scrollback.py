"""History comes into the buffers: real clients on a real relay; nothing is lost or doubled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from securechat.client import Client
from securechat.client.chat import scrollback
from securechat.client.chat.buffers import Buffer
from securechat.client.chat.chat import Chat
from securechat.client.events import (
    Disconnected,
    Event,
    HistoryReceived,
    Joined,
    NamesReceived,
    RequestFailed,
    TargetsReceived,
    TextReceived,
    Welcome,
)
from securechat.errors import NetworkError
from tests.client.chat.test_outgoing import Line
from tests.client.noting_peers import NotingClient
from tests.client.talkers import QUICK
from tests.server import relay_harness
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, WALL_S, RunningRelay

CAPS = ("message-tags", "server-time", "echo-message", "draft/message-redaction", "batch")
PAGE = 10

Kind = TypeVar("Kind", bound=Event)


class Reader:
    """Somebody who reads along. Owned by the test's thread."""

    def __init__(self, relay: RunningRelay, line: Line, *rooms: str) -> None:
        self.client = Client(
            "localhost",
            line.port,
            nick="ann",
            password=PASSWORD,
            ca=relay.certificates.ca_file,
            channels=rooms,
            history=True,
            timing=QUICK,
        )
        noon = datetime.fromtimestamp(WALL_S, UTC).astimezone().replace(tzinfo=None)
        self.chat = Chat(self.client, channels=rooms, clock=lambda: noon)
        self._tokens = itertools.count(1)

    def next(self) -> Event:
        event = self.client.next_event(LONG_TIMEOUT_S)
        assert event is not None
        return event

    def hold(self, kind: type[Kind]) -> Kind:
        """Handle what comes up to the first event of that kind, which is not handled."""
        while not isinstance(event := self.next(), kind):
            self.chat.handle(event)
        return event

    def until(self, done: Callable[[], object]) -> None:
        while not done():
            self.chat.handle(self.next())

    def see(self, kind: type[Event]) -> None:
        """Handle what comes, up to and with the first event of that kind."""
        self.chat.handle(self.hold(kind))

    def sync(self) -> None:
        """Handle all that has come of what was said up to now, and asked thereby."""
        for _round in range(2):
            self.client.command("PING", f"sync-{next(self._tokens)}")
            while "sync-" not in str(event := self.next()):
                self.chat.handle(event)

    def buffer(self, name: str) -> Buffer:
        buffer = self.chat.conversations.get(name)
        assert buffer is not None
        return buffer

    def texts(self, name: str = "#den") -> list[str]:
        return [entry.text for entry in self.buffer(name).entries if entry.is_text]

    def names(self) -> set[str]:
        return {buffer.name for buffer in self.chat.conversations}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrollback, "PAGE", PAGE)


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    """A relay where time passes with each look at the clock, so that markers tell texts apart."""
    ticks = itertools.count()
    return start_relay(wall_clock=lambda: WALL_S + next(ticks) / 100)


@pytest.fixture
def line(relay: RunningRelay) -> Iterator[Line]:
    line = Line(relay)
    yield line
    line.close()


@pytest.fixture
def bob(relay: RunningRelay) -> relay_harness.Client:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")
    bob.sync()
    return bob


@pytest.fixture
def ann(relay: RunningRelay, line: Line, bob: relay_harness.Client) -> Iterator[Reader]:
    """Ann, who has an account and another device there, and no connection yet."""
    relay.account("ann")
    ann = Reader(relay, line, "#den")
    with ann.client:
        yield ann


def say(bob: relay_harness.Client, *numbers: int, to: str = "#den") -> list[str]:
    texts = [f"text {number}" for number in numbers]
    bob.send(*(f"PRIVMSG {to} :{text}" for text in texts))
    bob.sync()
    return texts


def come(ann: Reader) -> None:
    ann.client.start()
    ann.see(NamesReceived)
    ann.sync()


def newest(ann: Reader, said: list[str]) -> list[str]:
    """Return the newest of ``said``: as many as are in the window, which are about a page at least.

    The comings and goings in a page count, and are no texts.
    """
    assert len(ann.texts()) >= PAGE // 2
    return said[-len(ann.texts()) :]


def lose(ann: Reader, line: Line) -> None:
    line.cut(back=False)
    ann.see(Disconnected)


def come_back(ann: Reader, line: Line) -> None:
    line.mend()
    ann.see(Welcome)
    ann.see(NamesReceived)
    ann.sync()


def go_back_to(ann: Reader, text: str) -> Buffer:
    """Open the place of a text that is no more in the window."""
    buffer = ann.buffer("#den")
    seen: list[str | None] = []
    while not any(entry.text == text for entry in buffer.entries):
        ann.chat.scrollback.older(buffer)
        ann.until(lambda: not buffer.loading)
    msgid = next(entry.msgid for entry in buffer.entries if entry.text == text)
    assert msgid is not None
    buffer.replace([], lambda event: False, live=False)
    assert ann.chat.scrollback.around(buffer, msgid, lambda: seen.append(msgid))
    ann.until(lambda: seen)
    assert not buffer.live
    return buffer


def go_on(ann: Reader, buffer: Buffer) -> None:
    """Read on up to the present."""
    while not buffer.live:
        ann.chat.scrollback.newer(buffer)
        ann.until(lambda: not buffer.loading)


# ---- upwards ----


def test_page_by_page_up_to_the_beginning(ann: Reader, bob: relay_harness.Client) -> None:
    said = say(bob, *range(35))
    come(ann)
    assert ann.texts() == newest(ann, said)
    buffer = ann.buffer("#den")
    while not buffer.reaches_start:
        ann.chat.scrollback.older(buffer)
        ann.until(lambda: not buffer.loading)
    assert ann.texts() == said


def test_a_page_of_reactions_alone_is_no_end(ann: Reader, bob: relay_harness.Client) -> None:
    first = bob.collect("PRIVMSG #den :text 0")
    msgid = next(message.tags["msgid"] for message in first if message.command == "PRIVMSG")
    bob.send(*(f"@+draft/react=r{n};+reply={msgid} TAGMSG #den" for n in range(2 * PAGE + 3)))
    said = ["text 0", *say(bob, *range(1, PAGE + 1))]
    come(ann)
    buffer = ann.buffer("#den")
    for _page in range(4):
        ann.chat.scrollback.older(buffer)
        ann.until(lambda: not buffer.loading)
    assert ann.texts() == said
    assert buffer.reaches_start


def test_what_nobody_could_say_offline_is_asked_again(
    ann: Reader, bob: relay_harness.Client, line: Line
) -> None:
    said = say(bob, *range(PAGE + 5))
    come(ann)
    buffer = ann.buffer("#den")
    lose(ann, line)
    ann.chat.scrollback.older(buffer)
    assert buffer.reaches_start  # nobody goes on asking
    come_back(ann, line)
    assert not buffer.reaches_start
    ann.chat.scrollback.older(buffer)
    ann.until(lambda: not buffer.loading)
    assert ann.texts() == said


# ---- what was missed ----


@pytest.mark.parametrize("missed", [0, 1, PAGE, 3 * PAGE + 5])
def test_what_was_missed_is_there_and_counted(
    ann: Reader, bob: relay_harness.Client, line: Line, missed: int
) -> None:
    said = say(bob, *range(3))
    come(ann)
    buffer = ann.buffer("#den")
    ann.chat.conversations.attend(buffer)
    until = ann.chat.conversations.mark_read(buffer)
    assert until is not None
    ann.client.mark_read("#den", until)
    ann.chat.conversations.attend(None)
    lose(ann, line)
    said += say(bob, *range(100, 100 + missed))
    come_back(ann, line)
    said += say(bob, 999)
    ann.until(lambda: len(ann.texts()) >= len(said))
    ann.sync()
    assert ann.texts() == said
    assert buffer.unread == missed + 1
    assert buffer.live


def test_pages_that_come_while_others_speak_keep_the_order(
    ann: Reader, bob: relay_harness.Client, line: Line
) -> None:
    """Also where a page ends with a reaction, which is no place in the window."""
    first = bob.collect("PRIVMSG #den :text 0")
    msgid = next(message.tags["msgid"] for message in first if message.command == "PRIVMSG")
    said = ["text 0"]
    come(ann)
    lose(ann, line)
    bob.send(f"@+draft/react=r;+reply={msgid} TAGMSG #den")
    for number in range(100, 100 + 2 * PAGE + 3):
        said += say(bob, number)
        bob.send(f"@+draft/react=r{number};+reply={msgid} TAGMSG #den")
    line.mend()
    page = ann.hold(HistoryReceived)
    said += say(bob, 999)
    ann.until(lambda: "text 999" in ann.texts())
    ann.chat.handle(page)
    ann.until(lambda: len(ann.texts()) >= len(said))
    ann.sync()
    assert ann.texts() == said


def test_of_very_much_the_latest_is_shown(
    ann: Reader, bob: relay_harness.Client, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrollback, "PAGES_LIMIT", 2)
    say(bob, *range(3))
    come(ann)
    lose(ann, line)
    said = say(bob, *range(100, 100 + 4 * PAGE))
    come_back(ann, line)
    buffer = ann.buffer("#den")
    ann.until(lambda: buffer.live and not buffer.loading)
    assert ann.texts() == newest(ann, said)


def test_a_text_of_ours_whose_answer_was_lost_is_where_the_relay_has_it(
    ann: Reader, bob: relay_harness.Client, line: Line
) -> None:
    say(bob, 0)
    come(ann)
    line.hold("relay")
    ann.chat.enter("mine")
    assert line.held.wait(LONG_TIMEOUT_S)
    bob.expect("PRIVMSG", "#den", "mine")
    lose(ann, line)
    say(bob, 1)
    come_back(ann, line)
    assert ann.texts() == ["text 0", "mine", "text 1"]
    mine = next(entry for entry in ann.buffer("#den").entries if entry.text == "mine")
    assert (mine.state, mine.outgoing) == ("", None)
    assert mine.msgid is not None
    assert ann.chat.outgoing.waiting("#den") == []


# ---- another place, and back ----


@pytest.mark.parametrize("way", ["newer", "latest"])
def test_from_the_past_to_the_present(ann: Reader, bob: relay_harness.Client, way: str) -> None:
    said = say(bob, *range(45))
    come(ann)
    buffer = go_back_to(ann, "text 12")
    unread = buffer.unread
    said += say(bob, 100, 101)
    ann.until(lambda: buffer.unread == unread + 2)
    assert "text 101" not in ann.texts()
    if way == "newer":
        go_on(ann, buffer)
    else:
        ann.chat.scrollback.latest(buffer)
        ann.until(lambda: buffer.live)
    assert ann.texts() == newest(ann, said)
    said += say(bob, 102)
    ann.until(lambda: "text 102" in ann.texts())
    assert ann.texts() == newest(ann, said)


@pytest.mark.parametrize("way", ["newer", "latest"])
def test_what_is_said_while_the_last_page_is_on_its_way_is_not_lost(
    ann: Reader, bob: relay_harness.Client, way: str
) -> None:
    said = say(bob, *range(25))
    come(ann)
    buffer = go_back_to(ann, "text 12")
    page = None
    while page is None or (way == "newer" and not page.complete):
        if page is not None:
            ann.chat.handle(page)
        (ann.chat.scrollback.newer if way == "newer" else ann.chat.scrollback.latest)(buffer)
        page = ann.hold(HistoryReceived)
    said += say(bob, 100)
    reaction = bob.collect("PRIVMSG #den :text 101")
    msgid = next(message.tags["msgid"] for message in reaction if message.command == "PRIVMSG")
    bob.send(f"@+draft/react=yes;+reply={msgid} TAGMSG #den", f"REDACT #den {msgid} :no")
    bob.sync()
    ann.sync()  # the page was made before, and is handled behind
    assert "text 100" not in ann.texts()
    ann.chat.handle(page)
    assert buffer.live
    assert ann.texts() == newest(ann, [*said, ""])
    assert buffer.entries[-1].redacted_by == "bob"
    assert buffer.arriving is None


def test_what_is_not_sent_comes_back_with_the_present(
    ann: Reader, bob: relay_harness.Client, line: Line
) -> None:
    said = say(bob, *range(25))
    come(ann)
    buffer = ann.buffer("#den")
    lose(ann, line)
    ann.chat.enter("later")
    buffer.replace([], lambda event: False, live=False)
    assert ann.texts() == []
    come_back(ann, line)
    ann.until(lambda: buffer.live and not ann.chat.outgoing.waiting("#den"))
    ann.sync()
    assert ann.texts() == newest(ann, [*said, "later"])
    assert buffer.entries[-1].msgid is not None


def test_a_conversation_that_is_closed_meanwhile_stays_closed(
    ann: Reader, bob: relay_harness.Client
) -> None:
    say(bob, *range(25))
    come(ann)
    buffer = ann.buffer("#den")
    before = ann.texts()
    ann.chat.scrollback.older(buffer)
    page = ann.hold(HistoryReceived)
    ann.chat.conversations.close(buffer)
    ann.chat.handle(page)
    assert [entry.text for entry in buffer.entries if entry.is_text] == before
    assert ann.names() == {""}
    say(bob, 99)  # before the relay knows that we leave
    ann.sync()
    assert ann.names() == {""}


# ---- conversations with people ----


@pytest.mark.parametrize("limit", ["TARGETS_LIMIT", "_TARGETS_ASKED"])
def test_of_many_conversations_the_latest_are_opened(
    ann: Reader, relay: RunningRelay, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """The relay gives no more than is asked for, and neither do we open more."""
    monkeypatch.setattr(scrollback, limit, 2)
    for name in ("dave", "eve", "frank"):
        person = relay.account(name)
        say(person, 1, to="ann")
        person.quit()
    come(ann)
    assert ann.names() == {"", "#den", "eve", "frank"}
    assert ann.texts("eve") == ["text 1"]


def test_what_is_closed_opens_again_only_when_something_was_said(
    ann: Reader, bob: relay_harness.Client, relay: RunningRelay, line: Line
) -> None:
    dave = relay.account("dave")
    said = say(dave, 1, to="ann")
    say(bob, 2, to="ann")
    come(ann)
    assert {"dave", "bob"} <= ann.names()
    for name in ("dave", "bob"):
        ann.chat.conversations.close(ann.buffer(name))
    lose(ann, line)
    said += say(dave, 3, to="ann")
    come_back(ann, line)
    assert ann.names() == {"", "#den", "dave"}
    assert ann.texts("dave") == said


def test_an_answer_of_a_connection_that_has_gone_breaks_nothing(
    ann: Reader, bob: relay_harness.Client
) -> None:
    say(bob, 1, to="ann")
    ann.client.start()
    answer = ann.hold(TargetsReceived)
    ann.client.close()
    ann.chat.handle(answer)
    assert "bob" in ann.names()
    ann.until(lambda: ann.chat.finished)


def test_texts_to_ourselves_are_one_conversation(ann: Reader, line: Line) -> None:
    come(ann)
    ann.chat.say("ann", "remember the milk")
    ann.until(lambda: not ann.chat.outgoing.waiting("ann"))
    ann.sync()
    assert ann.texts("ann") == ["remember the milk"]
    lose(ann, line)
    come_back(ann, line)
    assert ann.texts("ann") == ["remember the milk"]
    assert ann.buffer("ann").unread == 0


def test_a_nick_that_has_changed_keeps_the_history(ann: Reader, bob: relay_harness.Client) -> None:
    come(ann)
    said = say(bob, 1, to="ann")
    ann.until(lambda: "bob" in ann.names())
    bob.send("NICK robert")
    said += say(bob, 2, to="ann")
    ann.sync()
    assert ann.texts("robert") == said
    assert "bob" not in ann.names()


def test_a_text_to_the_operators_is_in_the_room(ann: Reader, bob: relay_harness.Client) -> None:
    come(ann)
    bob.send("MODE #den +o ann")
    bob.sync()
    ann.chat.say("+#den", "among us")
    ann.until(lambda: not ann.chat.outgoing.waiting("+#den"))
    ann.sync()
    assert ann.texts() == ["among us"]
    assert ann.names() == {"", "#den"}


def test_the_newest_page_is_what_the_relay_says(ann: Reader, bob: relay_harness.Client) -> None:
    """What has come live between the join and the page is not there twice."""
    said = say(bob, *range(3))
    ann.client.start()
    page = ann.hold(HistoryReceived)
    said += say(bob, 3)
    ann.until(lambda: "text 3" in ann.texts())
    ann.chat.handle(page)
    assert ann.texts() == said
    assert isinstance(page.items[-1], TextReceived)


# ---- servers that give little ----


class Asked(NotingClient):
    """A client whose server has history, and answers what the test says."""

    def offers(self, capability: str) -> bool:
        return capability == "draft/chathistory"

    def history(self, *arguments: object, **more: object) -> int:
        self.done.append(("history", *arguments))
        return len(self.done)


def refusal(number: int) -> RequestFailed:
    return RequestFailed(number, "INVALID_TARGET", "no")


def test_where_history_is_refused_the_present_goes_on() -> None:
    client = Asked()
    noon = datetime(2026, 1, 2, 12, 0)
    chat = Chat(client, channels=[], clock=lambda: noon)  # type: ignore[arg-type]

    def hear(*events: Event) -> None:
        for event in events:
            chat.handle(event)

    def text(number: int) -> TextReceived:
        time = noon.astimezone(UTC)
        words, msgid = f"text {number}", f"m{number}"
        return TextReceived(
            "#den", "#den", "bob", None, words, "message", time, direct=False, msgid=msgid
        )

    hear(Joined("alice", "#den", 2, True), refusal(1), text(1))
    hear(Joined("alice", "#den", 2, True), refusal(2), text(2), refusal(3), text(3))
    buffer = chat.conversations.get("#den")
    assert buffer is not None
    assert [entry.text for entry in buffer.entries] == ["text 1", "text 2", "text 3"]
    assert (buffer.live, buffer.loading, buffer.arriving) == (True, "", None)
    assert [done[0] for done in client.done] == ["history"] * 3


class Told(NotingClient):
    """A client with an account, whose connection ends in the middle of what is asked."""

    def offers(self, capability: str) -> bool:
        return True

    def history(self, *arguments: object, **more: object) -> int:
        raise NetworkError("not connected")

    def command(self, *words: str) -> None:
        raise NetworkError("not connected")


def test_names_of_others_open_what_is_new() -> None:
    """Nothing is taken for closed that we have never heard of; nothing breaks offline."""
    client = Told()
    client.account = "alice"
    noon = datetime(2026, 1, 2, 12, 0)
    chat = Chat(client, channels=[], clock=lambda: noon)  # type: ignore[arg-type]
    spoken = noon.astimezone(UTC)
    text = TextReceived("#den", "#den", "bob", None, "hi", "message", spoken, False, msgid="m")

    def hear(*events: Event) -> None:
        for event in events:
            chat.handle(event)

    welcome = Welcome("alice", "alice", "TestNet", "")
    lost = Disconnected("gone", True, 1.0, NetworkError("gone"))
    hear(welcome, Joined("alice", "#den", 2, True), text, lost)  # before the first answer
    hear(welcome, TargetsReceived(2, (("bob", spoken), ("", spoken), ("#tea", spoken))))
    assert [buffer.name for buffer in chat.conversations] == ["", "#den", "bob"]
