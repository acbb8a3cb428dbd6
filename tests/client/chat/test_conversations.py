"""What events do to the conversations, with a client that only takes note."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from securechat.client.chat import buffers, conversations
from securechat.client.chat.buffers import Buffer, Presence
from securechat.client.chat.conversations import Conversations
from securechat.client.chat.outgoing import OutgoingText
from securechat.client.events import (
    ChannelRenamed,
    Disconnected,
    Event,
    Joined,
    NickChanged,
    Parted,
    PeopleBack,
    PeopleLost,
    Quit,
    Reacted,
    ReadMarked,
    Redacted,
    TextReceived,
    Typing,
)
from securechat.client.words.wording import Wording
from securechat.errors import NetworkError
from securechat.peer.events import PeerAsked, PeerClosed, PeerLost, PeerOpened
from securechat.peer.known_peers import Safety
from tests.client.noting_peers import NotingClient

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


class Talk:
    """The conversations of alice, who is in #den."""

    def __init__(self) -> None:
        self.client = NotingClient()
        self.now = 0.0
        self.clock = START
        wording = Wording(self.client, lambda: self.clock)  # type: ignore[arg-type]
        self.all = Conversations(
            self.client,  # type: ignore[arg-type]
            wording,
            wall_clock=lambda: self.clock,
            monotonic=lambda: self.now,
        )
        self.hear(Joined("alice", "#den", 1, True))

    def hear(self, *events: Event) -> None:
        for event in events:
            self.all.note(event)

    def __getitem__(self, name: str) -> Buffer:
        buffer = self.all.get(name)
        assert buffer is not None
        return buffer

    def names(self) -> list[str]:
        return [buffer.name for buffer in self.all]

    def texts(self, name: str) -> list[str]:
        return [entry.text for entry in self[name].entries if entry.is_text]


@pytest.fixture
def talk() -> Talk:
    return Talk()


_numbers = itertools.count(1)


def said(
    minute: int, words: str = "hi", *, by: str = "bob", to: str = "#den", **more: object
) -> TextReceived:
    """Return a text; ``to`` a person it is of a conversation between two."""
    text = TextReceived(
        to,
        to,
        by,
        None,
        words,
        "message",
        START + timedelta(minutes=minute),
        direct=not to.startswith("#"),
        own=by == "alice",
        msgid=f"m{next(_numbers)}",
    )
    return replace(text, **more)  # type: ignore[arg-type]


def marked(minute: int, name: str = "#den") -> ReadMarked:
    return ReadMarked(name, START + timedelta(minutes=minute))


def outgoing(
    state: str, target: str = "#den", mark: str = "x", words: str = "mine"
) -> OutgoingText:
    return OutgoingText(1, target, words, "message", None, mark, state)  # type: ignore[arg-type]


def nobody(event: TextReceived) -> bool:
    return False


# ---- unread ----


def history(talk: Talk) -> None:
    page = [replace(said(minute), replayed=True) for minute in (1, 2, 3, 4)]
    talk["#den"].prepend(page, nobody)
    talk["#den"].count_unread()


@pytest.mark.parametrize(
    "order",
    list(
        itertools.permutations(
            [history, lambda talk: talk.hear(marked(2)), lambda talk: talk.hear(said(5))]
        )
    ),
)
def test_unread_in_every_order(talk: Talk, order: tuple[Callable[[Talk], None], ...]) -> None:
    for step in order:
        step(talk)
    buffer = talk["#den"]
    assert buffer.unread == 3
    assert buffer.line_at is not None
    assert START + timedelta(minutes=2) <= buffer.line_at < START + timedelta(minutes=3)


def test_nothing_is_unread_where_the_user_reads(talk: Talk) -> None:
    talk.hear(said(1, "alice: hi"))
    assert (talk["#den"].unread, talk["#den"].mentions) == (1, 1)
    talk.all.attend(talk["#den"])
    talk.hear(said(2, "alice: hi"), marked(1))
    assert (talk["#den"].unread, talk["#den"].mentions) == (0, 0)
    talk.all.attend(None)
    talk.hear(said(3))
    assert talk["#den"].unread == 1
    assert talk["#den"].line_at is not None
    assert talk["#den"].line_at > START + timedelta(minutes=2)


def test_the_echo_of_an_earlier_mark_takes_nothing_back(talk: Talk) -> None:
    talk.hear(said(1), said(2))
    talk.all.attend(talk["#den"])
    assert talk.all.mark_read(talk["#den"]) == START + timedelta(minutes=2)
    assert talk.all.mark_read(talk["#den"]) is None
    talk.all.attend(None)
    talk.hear(marked(1))
    assert talk["#den"].unread == 0


def test_our_clock_says_nothing_of_what_the_server_has(talk: Talk) -> None:
    talk.hear(said(10))
    talk.clock = START - timedelta(hours=1)
    talk.hear(Joined("carol", "#den", 2, False))
    talk.hear(marked(5))
    assert talk["#den"].unread == 1


def test_texts_of_a_session_that_were_read_stay_so(talk: Talk) -> None:
    secret = said(5, by="bob", to="bob", msgid=None, via="direct")
    talk.hear(said(1, to="bob"), secret)
    talk.all.attend(talk["bob"])
    talk.all.attend(None)
    talk.hear(marked(1, "bob"))
    assert talk["bob"].unread == 0
    talk.hear(replace(secret, text="another"))
    talk.hear(marked(1, "bob"))
    assert talk["bob"].unread == 1


def test_what_is_said_while_the_window_is_in_the_past_is_counted(talk: Talk) -> None:
    talk.hear(said(1))
    talk["#den"].replace([said(-60)], nobody, live=False)
    talk.hear(said(2, "alice?"), marked(1))
    assert (talk["#den"].unread, talk["#den"].mentions) == (2, 1)
    assert talk.texts("#den") == ["hi"]
    talk.hear(marked(2))
    assert (talk["#den"].unread, talk["#den"].mentions) == (0, 0)


@pytest.mark.parametrize(
    ("words", "mention"),
    [
        ("alice: tea?", True),
        ("tea, ALICE?", True),
        ("`alice`", True),
        ("malice", False),
        ("alice2", False),
        ("alice-", False),
        ("alice|away", False),
        ("[alice]", False),
    ],
)
def test_mentions(talk: Talk, words: str, mention: bool) -> None:
    talk.hear(said(1, words))
    assert talk["#den"].entries[-1].mention is mention


# ---- texts come once ----


@pytest.mark.parametrize("again", [False, True])
def test_an_echo_is_the_text_that_was_typed(talk: Talk, again: bool) -> None:
    talk.all.show_outgoing(outgoing("sent"))
    echo = said(1, "mine", by="alice", mark="x")
    talk.hear(echo, *([replace(echo, replayed=True)] if again else []))
    talk.all.show_outgoing(outgoing("delivered"))
    assert talk.texts("#den") == ["mine"]
    assert talk["#den"].entries[-1].msgid == echo.msgid


def test_of_several_messages_each_is_there_once(talk: Talk) -> None:
    """A server without texts of several lines: the mark is on the first message."""
    talk.all.show_outgoing(outgoing("sent", words="one\ntwo"))
    talk.hear(said(1, "one", by="alice", mark="x"), said(1, "two", by="alice"))
    assert talk.texts("#den") == ["one", "two"]


def test_a_text_that_a_page_has_brought_is_in_its_place(talk: Talk) -> None:
    talk.hear(said(1, "before"))
    talk.all.show_outgoing(outgoing("sent"))
    talk.all.show_outgoing(outgoing("delivered"))  # its mark was seen: as Outgoing says it first
    page = [said(2, "mine", by="alice", mark="x"), said(3, "after")]
    talk["#den"].insert_after(talk["#den"].last_reference(), page, nobody)
    assert talk.texts("#den") == ["before", "mine", "after"]
    assert all(entry.msgid for entry in talk["#den"].entries)


def test_a_mark_that_somebody_else_uses_changes_nothing(talk: Talk) -> None:
    talk.all.show_outgoing(outgoing("waiting"))
    talk.hear(said(1, "yours", by="eve", mark="x"))
    talk.all.show_outgoing(outgoing("refused"))
    assert [(entry.text, entry.state) for entry in talk["#den"].entries] == [
        ("mine", "refused"),
        ("yours", ""),
    ]


def test_another_device_of_ours_says_something(talk: Talk) -> None:
    talk.hear(said(1), said(2, "from afar", by="alice", mark="elsewhere"))
    assert talk.texts("#den") == ["hi", "from afar"]
    assert talk["#den"].line_at is None


def test_a_text_to_a_part_of_a_room_is_in_the_room(talk: Talk) -> None:
    talk.all.show_outgoing(outgoing("sent", "@#den"))
    talk.hear(said(1, "mine", by="alice", mark="x", target="@#den"))
    talk.all.show_outgoing(outgoing("delivered", "@#den"))
    assert talk.names() == ["", "#den"]
    assert talk.texts("#den") == ["mine"]
    talk.all.show_outgoing(outgoing("waiting", "@#den", "y"))
    talk.all.forget_outgoing(outgoing("waiting", "@#den", "y"))
    assert talk.texts("#den") == ["mine"]


def test_an_echo_makes_no_hole_in_the_past(talk: Talk) -> None:
    past = said(-60, "long ago")
    talk["#den"].replace([past], nobody, live=False)
    talk.all.show_outgoing(outgoing("sent"))
    talk.hear(said(1, "mine", by="alice", mark="x"))
    talk.all.show_outgoing(outgoing("delivered"))
    assert talk["#den"].last_reference() == f"msgid={past.msgid}"


def test_texts_of_a_session_outlast_a_look_into_the_past(talk: Talk) -> None:
    talk.hear(
        said(1, "open", to="bob"),
        said(2, "secret", to="bob", msgid=None, via="direct"),
        said(4, "open again", to="bob"),
    )
    talk["bob"].replace([said(-60, "long ago", to="bob")], nobody, live=False)
    talk.hear(said(5, "another secret", to="bob", msgid=None, via="direct"))
    assert talk.texts("bob") == ["long ago"]
    page = [said(1, "open", to="bob"), said(4, "open again", to="bob")]
    talk["bob"].replace(page, nobody, live=True)
    assert talk.texts("bob") == ["open", "secret", "open again", "another secret"]


def test_texts_of_the_server_are_in_its_own_conversation(talk: Talk) -> None:
    talk.hear(said(1, "looking you up", by="irc.test", to="", direct=False, kind="notice"))
    assert talk.texts("") == ["looking you up"]
    assert talk.names() == ["", "#den"]


# ---- names ----


def test_a_conversation_is_found_in_any_case(talk: Talk) -> None:
    assert talk.all.open("Bob") is talk.all.open("bob")
    talk.hear(said(1, by="BOB", to="BOB"))
    assert talk.names() == ["", "#den", "Bob"]


def test_somebody_takes_the_nick_of_another_conversation(talk: Talk) -> None:
    talk.hear(said(1, to="bob"), said(1, by="carol", to="carol"))
    talk.hear(_opened("carol"))
    talk.all.show_outgoing(outgoing("waiting", "carol"))
    talk.hear(NickChanged("carol", "bob", False))
    talk.all.show_outgoing(outgoing("waiting", "bob"))
    assert talk.texts("bob") == ["hi", "mine"]
    assert talk.texts("carol") == ["hi"]
    assert (talk["bob"].session, talk["carol"].session) == ("direct", None)
    renamed = talk["bob"].entries[-2].presences
    assert renamed is not None
    assert renamed[0].detail == "bob"


def test_a_room_that_was_closed_does_not_come_back_by_itself(talk: Talk) -> None:
    talk.all.close(talk["#den"])
    talk.hear(said(1), Parted("alice", "#den", 0, "", True))
    assert talk.names() == [""]


def test_a_room_with_another_name(talk: Talk) -> None:
    talk.all.open("#lair")  # that we have left
    talk.hear(ChannelRenamed("#Den", "#lair", "bob", ""), said(1, to="#lair"))
    assert talk.names() == ["", "#lair"]
    assert talk.texts("#lair") == ["hi"]


def _opened(nick: str, account: str = "") -> PeerOpened:
    return PeerOpened(account or nick, nick, "f0", "direct", "[::1]:1", Safety.VERIFIED, False)


@pytest.mark.parametrize("over", [False, True])
def test_a_session_is_shown_where_it_was_opened(talk: Talk, over: bool) -> None:
    """The nick of a peer may be another by now, and nobody has told us of the change."""
    talk.hear(_opened("bob", "bobby"))
    if over:
        talk.hear(PeerClosed("Bobby", "robert", "bye", True))
        assert talk["bob"].session is None
    else:
        talk.hear(PeerLost("Bobby", "robert", "no path"))
        assert talk["bob"].session == "lost"
        talk.hear(_opened("robert", "bobby"))
        assert (talk["bob"].session, talk["robert"].session) == (None, "direct")


# ---- what strangers can fill ----


def test_strangers_cannot_open_conversations_without_end(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "PEOPLE_LIMIT", 5)
    talk.hear(said(1, by="friend", to="friend"))
    talk.hear(said(1, "hello", by="alice", to="friend", mark="a"))
    talk.hear(_opened("peer"))
    talk.all.current = talk.all.open("here")
    talk.all.open("draft").draft = "half a"
    for number in range(20):
        talk.hear(said(10 + number, by=f"eve{number}", to=f"eve{number}"))
    assert talk.names() == ["", "#den", "friend", "peer", "here", "draft", "eve19"]
    assert talk.all.current is talk["here"]


def test_who_types_is_forgotten_also_where_nobody_looks(talk: Talk) -> None:
    for number in range(100):
        talk.now = number * 10.0
        talk.hear(Typing("#den", f"eve{number}", "active"))
    assert list(talk["#den"].typing) == ["eve99"]


def test_what_arrives_while_a_page_is_on_its_way_has_a_limit(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffers, "ARRIVING_LIMIT", 3)
    monkeypatch.setattr(conversations, "ARRIVING_LIMIT", 3)
    buffer = talk["#den"]
    buffer.replace([said(-60)], nobody, live=False)
    buffer.arriving = []
    talk.hear(*(said(minute) for minute in range(10)))
    assert len(buffer.arriving) == 3
    buffer.reach_present(nobody)
    assert not buffer.live  # the rest comes with another page


def test_what_arrives_is_texts_reactions_and_deletions(talk: Talk) -> None:
    buffer = talk["#den"]
    buffer.replace([said(-60)], nobody, live=False)
    buffer.arriving = []
    text, gone = said(1, "good"), said(2, "bad")
    assert text.msgid is not None
    assert gone.msgid is not None
    talk.hear(
        text,
        gone,
        Reacted("#den", text.msgid, "carol", "+1", False, False, START),
        Redacted("#den", gone.msgid, "bob", ""),
    )
    buffer.reach_present(nobody)
    entries = [entry for entry in buffer.entries if entry.is_text]
    assert [entry.text for entry in entries] == ["hi", "good", ""]
    assert entries[1].reactions == {"+1": ["carol"]}
    assert buffer.live


def test_of_those_who_react_not_all_are_kept(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "NICKS_LIMIT", 3)
    text = said(1)
    assert text.msgid is not None
    talk.hear(text)
    for number in range(9):
        talk.hear(Reacted("#den", text.msgid, f"eve{number}", "+1", False, False, START))
    assert talk["#den"].entries[-1].reactions == {"+1": ["eve0", "eve1", "eve2"]}


def test_very_many_who_come_and_go(talk: Talk) -> None:
    for number in range(450):
        talk.hear(Joined(f"n{number}", "#den", number, False))
    talk.clock += timedelta(days=1)
    talk.hear(Quit("n1", (("#den", 9),), ""))
    counts = [len(entry.presences or ()) for entry in talk["#den"].entries]
    assert counts == [200, 200, 50, 1]


# ---- the connection ----


@pytest.mark.parametrize("will_retry", [True, False])
def test_a_lost_connection_is_told_in_each_room_once(talk: Talk, will_retry: bool) -> None:
    talk.hear(*[Disconnected("gone", will_retry, 1.0, NetworkError("gone"))] * 3)
    assert [entry.text for entry in talk["#den"].entries] == ["the connection was lost"]
    assert not talk["#den"].joined


def test_who_asks_for_a_session_is_unread(talk: Talk) -> None:
    talk.hear(PeerAsked("bob", "bob", "x", Safety.NEW))
    assert (talk["bob"].unread, talk["bob"].mentions) == (1, 1)


# ---- relays ----


def test_those_lost_with_a_relay_are_one_line_in_each_room(talk: Talk) -> None:
    talk.hear(Joined("alice", "#tea", 1, True), said(1, to="bob"), Typing("#den", "bob", "active"))
    talk["#den"].members_stale = False
    quits = (
        Quit("bob", (("#den", 2), ("#tea", 2)), "x"),
        Quit("carl", (("#den", 1),), "x"),
        Quit("dora", (("#closed", 1),), "x"),
    )
    talk.hear(PeopleLost("b", quits))
    last = {name: talk[name].entries[-1] for name in ("#den", "#tea", "bob")}
    assert last["#den"].text == "2 people were lost with relay b: bob, carl"
    assert last["#tea"].text == "1 person was lost with relay b: bob"
    assert last["bob"].presences == [Presence("quit", "bob", "b")]
    assert talk["#den"].members_stale
    assert not talk["#den"].typing
    assert sum(entry.kind == "info" for entry in talk["#den"].entries) == 1
    talk.hear(PeopleBack("b", (Joined("bob", "#den", 2, False), Joined("bob", "#tea", 2, False))))
    for name in ("#den", "#tea"):
        assert talk[name].entries[-1].text == "1 person is back with relay b: bob"


def test_that_a_relay_is_cut_off_is_said_where_the_user_is(talk: Talk) -> None:
    talk.all.current = talk["#den"]
    lost = (
        "This relay is cut off from the others (no node answers). You stay connected; what you "
        "send is not taken until it is back"
    )
    for text in ("*** hello", lost):
        event = said(1, text, by="irc.test", to="", kind="notice", direct=False, msgid=None)
        talk.hear(event)
        assert talk.all.server.entries[-1].text == text
    assert [entry.text for entry in talk["#den"].entries] == [lost]
    assert talk["#den"].entries[-1].kind == "warning"
