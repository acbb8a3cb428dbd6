"""A chat without a face, with a client that takes note: where texts go, and where the user is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from securechat.client.chat.chat import Chat
from securechat.client.events import (
    Disconnected,
    Event,
    Failure,
    Joined,
    NickChanged,
    NickRejected,
    Parted,
    TextReceived,
    Welcome,
)
from securechat.errors import LocalProtocolError, NetworkError
from securechat.peer.events import PeerClosed, PeerLost, PeerOpened
from securechat.peer.known_peers import Safety
from tests.client.noting_peers import NotingClient, snapshot

NOON = datetime(2026, 1, 2, 12, 0)
LOST = Disconnected("gone", True, 1.0, NetworkError("gone"))


class Desk:
    """Alice's chat; she is in #den."""

    def __init__(self) -> None:
        self.client = NotingClient()
        self.chat = Chat(self.client, channels=[], clock=lambda: NOON)  # type: ignore[arg-type]
        self.hear(Welcome("alice", None, "TestNet", ""), Joined("alice", "#den", 1, True))
        self.client.taken()

    def hear(self, *events: Event) -> None:
        for event in events:
            self.chat.handle(event)

    def type(self, line: str) -> list[tuple[object, ...]]:
        """Type a line; return what is asked of the client and of its peers."""
        self.client.taken()
        self.chat.enter(line)
        return self.client.taken()

    def said(self) -> list[str]:
        """Return what is shown where the user is."""
        return [entry.text for entry in self.chat.conversations.current.entries]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def opened(nick: str, account: str = "") -> PeerOpened:
    return PeerOpened(account or nick, nick, "f0", "direct", "[::1]:1", Safety.VERIFIED, False)


def text(by: str, to: str, words: str = "hi") -> TextReceived:
    return TextReceived(
        to, to, by, None, words, "message", NOON.astimezone(UTC), direct=not to.startswith("#")
    )


# ---- never through the relay what was typed for a session ----


@pytest.mark.parametrize("line", ["psst", "/me nods", "/msg bob psst", "/notice bob psst"])
@pytest.mark.parametrize(
    ("last", "renamed"),
    [
        (None, False),
        (None, True),
        (PeerLost("bobby", "bob", "no path"), False),
        (PeerClosed("bobby", "bob", "bye", True), False),
        (PeerClosed("bobby", "robert", "bye", True), False),
    ],
)
def test_what_is_typed_for_a_session(
    desk: Desk, line: str, last: Event | None, renamed: bool
) -> None:
    desk.client.peers.people = (snapshot("bobby", nick="bob", path="direct"),)
    desk.hear(opened("bob", "bobby"))
    desk.chat.set_target("bob")
    if last is not None:
        desk.hear(last)
    if renamed:
        desk.hear(text("robert", "robert"), NickChanged("bob", "robert", False))
        line = line.replace("bob", "robert")
    done = desk.type(line)
    if isinstance(last, PeerClosed):
        assert done == []
        assert "not sent: the session with bob is over" in desk.said()[-1]
    else:
        assert [one[:2] for one in done] == [("send", "bobby")]


def test_the_user_goes_on_with_who_takes_the_nick_of_another(desk: Desk) -> None:
    desk.client.peers.people = (snapshot("carol"),)
    desk.hear(text("bob", "bob"), text("carol", "carol"), opened("carol"))
    desk.chat.set_target("carol")
    desk.hear(NickChanged("carol", "bob", False))
    assert desk.chat.target == "bob"
    assert desk.type("psst") == [("send", "carol", "psst", "message")]


def test_a_text_in_a_session_tells_nothing_of_one_before(desk: Desk) -> None:
    shown: list[str] = []
    desk.chat.set_target("bob")
    desk.hear(LOST)
    desk.type("by the relay")
    desk.hear(opened("bob"))
    desk.chat.show_outgoing = lambda texts: shown.extend(  # type: ignore[method-assign]
        one.text for one in texts
    )
    desk.type("in the session")
    assert shown == []


# ---- where the user is ----


def test_a_room_that_we_are_in_needs_no_join(desk: Desk) -> None:
    desk.chat.set_target("bob")
    assert desk.type("/join #DEN") == []
    assert desk.chat.target == "#den"


def test_a_room_that_would_not_let_us_back_is_entered_later(desk: Desk) -> None:
    desk.chat.set_target("bob")
    desk.hear(LOST, Welcome("alice", None, "TestNet", ""))
    desk.hear(Failure("", "473", ("#den",), "Cannot join"))
    assert desk.type("/join #den") == [("join", "#den")]
    desk.hear(Joined("alice", "#den", 2, True))
    assert desk.chat.target == "#den"


def test_what_was_asked_of_a_lost_connection_moves_nobody(desk: Desk) -> None:
    desk.type("/join #tea")
    desk.hear(LOST, Welcome("alice", None, "TestNet", ""), Joined("alice", "#den", 2, True))
    desk.hear(Joined("alice", "#tea", 1, True))  # another device of ours
    assert desk.chat.target == "#den"


def test_of_several_rooms_the_last_is_shown(desk: Desk) -> None:
    desk.type("/join #tea,#cake")
    desk.hear(Joined("alice", "#tea", 1, True), Joined("alice", "#cake", 1, True))
    assert desk.chat.target == "#cake"


# ---- lines ----


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("/msg bob one\ntwo", [("send", "bob", "one\ntwo")]),
        ("/me one\ntwo", [("action", "#den", "one\ntwo")]),
        ("/* a comment\n*/", [("send", "#den", "/* a comment\n*/")]),
        ("//msg\nbob", [("send", "#den", "/msg\nbob")]),
        ("/msg\nbob psst", []),
        ("/\n", []),
        ("exit\n", []),
    ],
)
def test_lines_that_begin_with_a_slash(
    desk: Desk, line: str, done: list[tuple[object, ...]]
) -> None:
    assert desk.type(line) == done


def test_a_farewell_is_one_line(desk: Desk) -> None:
    desk.type("/quit so\nlong")
    assert (desk.chat.finished, desk.chat.farewell) == (True, "so long")


# ---- texts that are not delivered ----


def test_what_is_forgotten_opens_nothing(desk: Desk) -> None:
    desk.hear(LOST)
    desk.type("later")
    [waiting] = desk.chat.outgoing.waiting("#den")
    desk.chat.conversations.close(desk.chat.conversations.open("#den"))
    desk.chat.drop(waiting)
    assert [buffer.name for buffer in desk.chat.conversations] == [""]
    assert desk.chat.outgoing.waiting("#den") == []


def test_a_text_without_a_name_is_neither_reacted_to_nor_deleted(desk: Desk) -> None:
    desk.hear(text("bob", "#den"))
    entry = desk.chat.conversations.current.entries[-1]
    with pytest.raises(LocalProtocolError):
        desk.chat.react(entry, "+1")
    with pytest.raises(LocalProtocolError):
        desk.chat.redact(entry)
    with pytest.raises(LocalProtocolError):
        desk.chat.last_text()


# ---- the end ----


def test_the_end_is_told_and_asks_nothing_any_more(desk: Desk) -> None:
    desk.type("/login")
    assert desk.chat.question is not None
    error = NetworkError("gone")
    desk.hear(Disconnected("gone", False, 0.0, error))
    assert (desk.chat.finished, desk.chat.error, desk.chat.question) == (True, error, None)
    den = desk.chat.conversations.get("#den")
    assert den is not None
    assert not den.joined
    assert den.entries[-1].text == "the connection was lost"


def test_passwords_are_nowhere_to_be_seen(desk: Desk) -> None:
    desk.hear(NickRejected("alice", True, "registered"), Parted("alice", "#den", 0, "", True))
    desk.type("/login")
    assert desk.chat.question is not None
    assert desk.chat.question.secret
    desk.chat.answer("pencil")
    everything = repr(desk.chat.conversations.server.entries) + repr(list(desk.chat.conversations))
    assert "pencil" not in everything
