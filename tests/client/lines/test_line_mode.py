"""The line interface, with a client that only takes note."""

from __future__ import annotations

import gettext
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from securechat.client.commands.dispatch import COMMANDS
from securechat.client.events import (
    AccountChanged,
    AccountRequired,
    AwayChanged,
    ChannelRenamed,
    Disconnected,
    Event,
    Failure,
    HostChanged,
    Invited,
    Joined,
    Kicked,
    LoginRejected,
    MemberSnapshot,
    ModeChanged,
    NamesReceived,
    NickChanged,
    NickRejected,
    NotDelivered,
    Parted,
    PeopleBack,
    PeopleLost,
    Quit,
    RawReceived,
    Reacted,
    Redacted,
    Registered,
    RelaysAnnounced,
    Reply,
    TextReceived,
    TopicChanged,
    Welcome,
)
from securechat.client.lines.line_mode import LineMode
from securechat.client.relays import RelayAddress
from securechat.client.words import translation
from securechat.errors import NetworkError
from securechat.irc.message import Message

NOON = datetime(2026, 1, 2, 12, 0)


class NotingClient:
    """Writes down what it is asked to do."""

    def __init__(self) -> None:
        self.nick = "alice"
        self.relays = frozenset({"chat.example.org:6697"})
        self.email_required = False
        self.events: deque[Event] = deque()
        self.done: list[tuple[str, ...]] = []
        self.connected = True

    def poll(self) -> Event | None:
        return self.events.popleft() if self.events else None

    def is_channel(self, target: str) -> bool:
        return target.startswith("#")

    def same_name(self, left: str, right: str) -> bool:
        return left.lower() == right.lower()

    def offers(self, capability: str) -> bool:
        return capability == "draft/account-registration"

    def __getattr__(self, name: str) -> object:
        def note(*arguments: str, **more: str) -> int:
            if not self.connected:
                raise NetworkError("not connected")
            more.pop("mark", None)  # chosen by chance
            given = [value for value in (*arguments, *more.values()) if value is not None]
            self.done.append((name, *given))
            return len(self.done)

        return note


class Chat:
    def __init__(self, *channels: str) -> None:
        self.client = NotingClient()
        self.ui = LineMode(self.client, channels=channels, clock=lambda: NOON)  # type: ignore[arg-type]

    def hear(self, *events: Event) -> list[str]:
        self.client.events.extend(events)
        self.ui.handle_events()
        return self.ui.take_output()

    def type(self, line: str) -> list[str]:
        self.ui.handle_line(line)
        return self.ui.take_output()

    def done(self) -> list[tuple[str, ...]]:
        done, self.client.done = self.client.done, []
        return done


@pytest.fixture
def chat() -> Chat:
    chat = Chat()
    chat.hear(Welcome("alice", None, "TestNet", "hello"), Joined("alice", "#room", 1, True))
    return chat


# ---- what the user types ----


@pytest.mark.parametrize(
    ("line", "done"),
    [
        ("hello", ("send", "#room", "hello")),
        ("//etc/hosts", ("send", "#room", "/etc/hosts")),
        ("exit stage left", ("send", "#room", "exit stage left")),
        ("/join #tea", ("join", "#tea")),
        ("/J #tea secret", ("join", "#tea", "secret")),
        ("/part", ("part", "#room", "")),
        ("/part see you all", ("part", "#room", "see you all")),
        ("/part #tea for  two", ("part", "#tea", "for  two")),
        ("/msg bob hi  there", ("send", "bob", "hi  there")),
        ("/me waves  twice", ("action", "#room", "waves  twice")),
        ("/notice bob psst", ("notice", "bob", "psst")),
        ("/nick alicia", ("set_nick", "alicia")),
        ("/topic", ("command", "TOPIC", "#room")),
        ("/topic tea at five", ("set_topic", "#room", "tea at five")),
        ("/topic #tea tea at five", ("set_topic", "#tea", "tea at five")),
        ("/names", ("command", "NAMES", "#room")),
        ("/who", ("command", "WHO", "#room")),
        ("/who *bob*", ("command", "WHO", "*bob*")),
        ("/whois bob", ("command", "WHOIS", "bob")),
        ("/list", ("command", "LIST")),
        ("/away", ("away",)),
        ("/away lunch time", ("away", "lunch time")),
        ("/kick bob", ("command", "KICK", "#room", "bob")),
        ("/kick bob go away", ("command", "KICK", "#room", "bob", "go away")),
        ("/kick #tea bob go away", ("command", "KICK", "#tea", "bob", "go away")),
        ("/invite bob", ("command", "INVITE", "bob", "#room")),
        ("/invite bob #tea", ("command", "INVITE", "bob", "#tea")),
        ("/mode", ("command", "MODE", "#room")),
        ("/mode +o bob", ("command", "MODE", "#room", "+o", "bob")),
        ("/mode #tea +i", ("command", "MODE", "#tea", "+i")),
        ("/mode alice", ("command", "MODE", "alice")),
        ("/raw PING :x  y", ("raw", "PING :x  y")),
    ],
)
def test_what_is_typed(chat: Chat, line: str, done: tuple[str, ...]) -> None:
    assert chat.type(line) == []
    assert chat.done() == [done]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/nonsense", "! there is no command /nonsense; /help lists them"),
        ("/", "! there is no command /; /help lists them"),
        ("/msg bob", "! usage: /msg NICK TEXT"),
        ("/kick #room", "! usage: /kick [#ROOM] NICK [REASON]"),
        ("/list #tea*", "! usage: /list"),  # the relay takes no pattern
        ("/help nonsense", "! there is no command /nonsense; /help lists them"),
        ("/help /join", "/join #ROOM [KEY]: enter a room and talk there, also /j"),
        ("", None),
        ("   ", None),
    ],
)
def test_what_cannot_be_done(chat: Chat, line: str, answer: str | None) -> None:
    assert chat.type(line) == ([answer] if answer else [])
    assert chat.done() == []


def test_help_lists_every_command(chat: Chat) -> None:
    text = "\n".join(chat.type("/help"))
    for name, command in COMMANDS.items():
        assert f"/{name}" in text
        assert command.description in text


def test_nobody_to_talk_to() -> None:
    chat = Chat()
    assert chat.ui.prompt == "> "
    for line in ("hello", "/me waves"):
        assert chat.type(line) == ["! you talk to nobody yet: /join #ROOM or /query NICK"]
    assert chat.type("/names") == ["! which channel? you are in none now"]


def test_not_connected(chat: Chat) -> None:
    chat.client.connected = False
    assert chat.type("/topic tea") == ["! not connected"]


def test_what_is_said_without_a_connection_is_kept_and_said_once(chat: Chat) -> None:
    chat.hear(Disconnected("gone", True, 1.0))
    chat.client.connected = False
    assert chat.type("hello") == ["12:00 * kept until it can be said: hello"]
    assert chat.type("/unsent") == ["waiting: hello"]
    chat.client.connected = True
    chat.hear(Welcome("alice", None, "TestNet", "hello"))
    assert ("send", "#room", "hello") not in chat.done()  # we are not back in the room yet
    chat.hear(Joined("alice", "#room", 1, True), Joined("bob", "#room", 2, False))
    assert chat.done().count(("send", "#room", "hello")) == 1


def test_what_is_not_said_yet_can_be_forgotten(chat: Chat) -> None:
    chat.hear(Disconnected("gone", True, 1.0))
    chat.type("hello")
    assert chat.type("/unsent drop") == chat.type("/unsent") == []
    chat.hear(Welcome("alice", None, "TestNet", "hello"), Joined("alice", "#room", 1, True))
    assert ("send", "#room", "hello") not in chat.done()


@pytest.mark.parametrize(
    ("line", "farewell"), [("exit", "leaving"), (" exit ", "leaving"), ("/quit so long", "so long")]
)
def test_leaving(chat: Chat, line: str, farewell: str) -> None:
    chat.type(line)
    assert (chat.ui.finished, chat.ui.farewell, chat.ui.error) == (True, farewell, None)


# ---- where the user is ----


def test_the_target_follows(chat: Chat) -> None:
    assert chat.ui.prompt == "[#room] "
    chat.hear(Joined("alice", "#attic", 1, True))  # another device of ours
    assert chat.ui.prompt == "[#room] "
    chat.hear(Parted("alice", "#attic", 0, "", True))
    chat.type("/join #tea")
    chat.hear(Joined("alice", "#tea", 1, True))
    assert chat.ui.prompt == "[#tea] "
    chat.type("/query bob")
    assert chat.ui.prompt == "[bob] "
    chat.hear(NickChanged("Bob", "robert", False))
    assert chat.ui.prompt == "[robert] "
    chat.type("/query")
    assert chat.ui.prompt == "[#tea] "
    chat.hear(Parted("alice", "#Tea", 0, "", True))
    assert chat.ui.prompt == "[#room] "
    chat.hear(Kicked("alice", "#room", 0, "bob", "spam", True))
    assert chat.ui.prompt == "> "


# ---- replies, reactions, deletions ----


def test_what_was_said_last_is_answered_reacted_to_and_deleted(chat: Chat) -> None:
    chat.hear(
        text("#room", "bob", "tea?", msgid="m1"),
        text("#room", "carl", "coffee!", msgid="m2"),
        text("#room", "alice", "both", msgid="m3", own=True),
    )
    chat.done()
    chat.type("/reply bob yes please")
    chat.type("/react BOB +1")
    chat.type("/react 👍")
    chat.type("/delete too hasty")
    assert chat.done() == [
        ("send", "#room", "yes please", "m1"),
        ("react", "#room", "m1", "+1", False),
        ("react", "#room", "m2", "👍", False),
        ("redact", "#room", "m3", "too hasty"),
    ]
    assert chat.type("/reply dave hi") == ["! there is no such message here"]


def test_answers_and_reactions_name_what_they_are_about(chat: Chat) -> None:
    chat.hear(text("#room", "bob", "tea?", msgid="m1"))
    heard = chat.hear(text("#room", "carl", "yes", msgid="m2", reply_to="m1"))
    assert heard[0] == "12:00 * carl answers bob: tea?"
    assert heard[1].endswith("<carl> yes")
    reaction = Reacted("#room", "m2", "bob", "👍", False, False, NOON.astimezone(UTC))
    assert chat.hear(reaction) == ["12:00 * bob reacts to carl with 👍: yes"]
    unknown = Reacted("#room", "m9", "bob", "👍", False, False, NOON.astimezone(UTC))
    assert chat.hear(unknown) == []


# ---- what is shown ----


def text(conversation: str, sender: str, words: str, **more: object) -> TextReceived:
    fields: dict[str, object] = {
        "direct": False,
        "kind": "message",
        "target": conversation,
        "time": datetime(2026, 1, 2, 12, 4).astimezone(UTC),
    }
    return TextReceived(
        conversation=conversation,
        sender=sender,
        account=None,
        text=words,
        **(fields | more),  # type: ignore[arg-type]
    )


EVIL = "\x1b]0;x\x07"
MARK = "\N{REPLACEMENT CHARACTER}"

SHOWN: list[tuple[Event, str]] = [
    (text("#room", "bob", "hi"), "12:04 <bob> hi"),
    (text("#tea", "bob", "hi"), "12:04 [#tea] <bob> hi"),
    (text("#room", "bob", "waves", kind="action"), "12:04 * bob waves"),
    (text("#room", "bob", "psst", kind="notice"), "12:04 -bob- psst"),
    (text("bob", "bob", "hi", direct=True), "12:04 [private] <bob> hi"),
    (text("bob", "alice", "hi", direct=True, own=True), "12:04 [private to bob] <alice> hi"),
    (text("", "irc.test", "hello", kind="notice"), "12:04 -irc.test- hello"),
    (
        text("bob", "bob", "VERSION", kind="ctcp", direct=True),
        "12:04 [private] * bob asks by CTCP, and is not answered: VERSION",
    ),
    (text("#room", f"b{EVIL}", f"h{EVIL}"), f"12:04 <b{MARK}]0;x{MARK}> h{MARK}]0;x{MARK}"),
    (
        text("#room", "bob", f"hi\n12:05 <eve> {EVIL}\n\nyou"),
        f"12:04 <bob> hi\n      | 12:05 <eve> {MARK}]0;x{MARK}\n      | \n      | you",
    ),
    (text("#room", "bob", "hi", replayed=True), "12:04 <bob> hi"),
    (
        text("#room", "bob", "hi", replayed=True, time=datetime(2025, 12, 31, 9).astimezone(UTC)),
        "2025-12-31 09:00 <bob> hi",
    ),
    (Redacted("#room", "id", "bob", ""), "12:00 * bob has deleted a message in #room"),
    (Redacted("bob", "id", "bob", "oops"), "12:00 * bob has deleted a message in bob: oops"),
    (
        ChannelRenamed("#tea", "#coffee", "bob", "awake"),
        "12:00 * bob has renamed #tea to #coffee: awake",
    ),
    (HostChanged("bob", "u", "h.example"), "12:00 * bob is now seen at u@h.example"),
    (Joined("carol", "#room", 3, False), "12:00 --> carol joined #room (3 people)"),
    (Parted("carol", "#room", 1, "", False), "12:00 <-- carol left #room (1 person)"),
    (Parted("carol", "#room", 2, "tea", False), "12:00 <-- carol left #room (2 people): tea"),
    (
        Quit("carol", (("#room", 2), ("#tea", 1)), "bye"),
        "12:00 <-- carol quit (#room: 2 people, #tea: 1 person): bye",
    ),
    (
        Kicked("carol", "#room", 2, "bob", "spam", False),
        "12:00 <-- carol was thrown out of #room by bob (2 people): spam",
    ),
    (
        NamesReceived("#room", (MemberSnapshot("bob", "@"), MemberSnapshot("alice", "")), True),
        "12:00 --> you joined #room (2 people): @bob alice",
    ),
    (NickChanged("bob", "robert", False), "12:00 * bob is now known as robert"),
    (TopicChanged("#room", "tea", None), "12:00 * topic of #room: tea"),
    (TopicChanged("#room", "tea", "bob"), "12:00 * bob set the topic of #room: tea"),
    (ModeChanged("#room", ("+o", "bob"), "carol"), "12:00 * carol set modes +o bob on #room"),
    (
        Invited("alice", "#tea", "bob", True),
        "12:00 * bob invites you to #tea; /join #tea accepts",
    ),
    (AwayChanged("bob", "lunch"), "12:00 * bob is away: lunch"),
    (AwayChanged("bob", None), "12:00 * bob is back"),
    (AccountChanged("bob", "bobs"), "12:00 * bob logged in as bobs"),
    (AccountChanged("bob", None), "12:00 * bob logged out"),
    (
        Reply("311", ("bob", "~b", "host", "*", "Bob B."), "Bob B."),
        "12:00 * bob is ~b@host (Bob B.)",
    ),
    (Reply("322", ("#room", "3", "tea"), "tea"), "12:00 * #room (3): tea"),
    (Reply("311", ("bob",), "bob"), "12:00 * bob"),
    (Reply("999", ("a", "b"), "b"), "12:00 * a b"),
    (Failure("", "403", ("#x",), "No such channel"), "12:00 ! #x: No such channel"),
    (Failure("*", "X", (), "Something"), "12:00 ! Something"),
    (NotDelivered(1, "bob", "401", "No such nick"), "12:00 ! not delivered to bob: No such nick"),
    (RawReceived(Message("WALLOPS", ("hi",))), "12:00 ? WALLOPS hi"),
]


@pytest.mark.parametrize(("event", "line"), SHOWN)
def test_what_is_shown(chat: Chat, event: Event, line: str) -> None:
    assert chat.hear(event) == [line]


@pytest.mark.parametrize(
    "event",
    [
        Reply("366", ("#x", "End"), "End"),
        Joined("alice", "#x", 1, True),
        AccountChanged("alice", "alice"),
    ],
)
def test_what_is_not_shown(chat: Chat, event: Event) -> None:
    assert chat.hear(event) == []


def test_the_small_talk_of_servers_is_not_shown() -> None:
    chat = Chat("#room")
    assert chat.hear(Reply("002", ("x",), "x"), Reply("372", ("- hi",), "- hi")) == ["12:00 * - hi"]
    assert chat.hear(Welcome("alice", "alice", "", "")) == [
        "12:00 * welcome to the network: you are alice, logged in as alice"
    ]


def test_hints_for_a_guest_who_is_nowhere() -> None:
    assert Chat().hear(Welcome("alice", None, "TestNet", "")) == [
        "12:00 * welcome to TestNet: you are alice",
        "12:00 * /register keeps the nick alice yours",
        "12:00 * /join #ROOM enters a room; /help lists all commands",
    ]


# ---- questions ----


def test_a_reserved_nick_and_another() -> None:
    chat = Chat()
    chat.hear(NickRejected("alice", True, "registered"))
    assert chat.ui.prompt == "Password for alice (empty: take another nick): "
    assert chat.ui.secret
    chat.type("")
    assert (chat.ui.prompt, chat.ui.secret) == ("Your nick: ", False)
    chat.type("two words")
    assert chat.ui.prompt == "Your nick: "
    chat.type("alicia")
    assert chat.done() == [("set_nick", "alicia")]
    chat.hear(NickRejected("alicia", False, "in use"))
    assert chat.ui.prompt == "Your nick: "
    chat.type("exit")
    assert chat.ui.finished


def test_a_wrong_password_is_asked_for_again() -> None:
    chat = Chat()
    chat.hear(NickRejected("alice", True, "registered"))
    chat.type("pen")
    chat.hear(LoginRejected("alice", "904", "no"))
    assert chat.ui.prompt.startswith("Password for alice")
    chat.type("pencil")
    assert chat.done() == [("login", "alice", "pen"), ("login", "alice", "pencil")]


def test_an_account_is_required_and_made() -> None:
    chat = Chat()
    chat.hear(AccountRequired("log in"))
    assert chat.ui.prompt == "Password for alice (empty: register it): "
    chat.type("")
    assert chat.ui.prompt == "New password for alice: "
    chat.type("pen\x07cil")  # cannot be a password: asked again
    assert chat.ui.prompt == "New password for alice: "
    chat.type("pencil")
    chat.type("pencil")
    assert chat.done() == [("register", "pencil", "*")]
    chat.hear(Failure("REGISTER", "WEAK_PASSWORD", (), "too weak"))
    assert chat.ui.prompt == "Password for alice (empty: register it): "
    assert chat.hear(Registered("alice", "ok")) == ["12:00 * the account alice is yours now"]


def test_where_an_invitation_is_needed_it_is_asked_for() -> None:
    chat = Chat()
    chat.client.email_required = True
    chat.hear(AccountRequired("log in"))
    chat.type("")
    assert chat.ui.prompt == "Invitation code or e-mail address: "
    chat.type("invite:abc")
    assert chat.ui.prompt == "New password for alice: "
    chat.type("pencil")
    chat.type("pencil")
    assert chat.done() == [("register", "pencil", "invite:abc")]


def test_registering_by_an_invite_link(chat: Chat) -> None:
    assert chat.type("/register securechat://elsewhere.example.org/#token=abc") == [
        "! this invite is for another server: elsewhere.example.org:6697"
    ]
    assert chat.type("/register securechat://chat.example.org") == [
        "! this invite link is not complete: copy all of it"
    ]
    chat.type("/register securechat://chat.example.org/#token=abc")
    chat.type("pencil")
    chat.type("pencil")
    assert chat.done() == [("register", "pencil", "invite:abc")]


def test_registering_needs_a_password(chat: Chat) -> None:
    chat.type("/register me@example.org")
    assert chat.type("") == ["! not registered: there was no password"]
    assert chat.ui.prompt == "[#room] "


def test_logging_in_later(chat: Chat) -> None:
    chat.type("/login bob")
    assert chat.ui.prompt == "Password for bob: "
    chat.type("pencil")
    assert chat.done() == [("login", "bob", "pencil")]
    chat.type("/login")
    chat.type("")
    assert chat.done() == []
    assert chat.hear(LoginRejected("bob", "904", "no")) == ["12:00 ! login as bob failed: no"]
    assert chat.ui.prompt == "[#room] "


# ---- the end of the connection ----


def test_a_lost_connection(chat: Chat) -> None:
    chat.type("/login bob")
    lost = Disconnected("gone", True, 3.7, NetworkError("gone"))
    assert chat.hear(lost) == ["12:00 ! connection lost: gone; trying again in 4 s"]
    assert not chat.ui.finished


@pytest.mark.parametrize("target", ["bob", "#tea"])
def test_who_is_talked_to_stays_when_the_client_comes_back(chat: Chat, target: str) -> None:
    """What is typed for one person must not be said to a room, nor to another room."""
    chat.hear(Joined("alice", "#tea", 1, True), Joined("alice", "#room2", 1, True))
    chat.type(f"/query {target}")
    chat.hear(
        Disconnected("gone", True, 3.7, NetworkError("gone")),
        Welcome("alice", None, "TestNet", ""),
        *(Joined("alice", room, 1, True) for room in ("#room", "#tea", "#room2")),
    )
    chat.type("psst")
    assert chat.done() == [("send", target, "psst")]


@pytest.mark.parametrize("command", ["/login bob", "/register"])
def test_an_answer_to_a_question_that_the_connection_took_along_is_not_said(
    chat: Chat, command: str
) -> None:
    lost = Disconnected("gone", True, 3.7, NetworkError("gone"))
    chat.type(command)
    asked = chat.ui.question
    assert asked is not None
    chat.hear(lost, lost, Welcome("alice", None, "TestNet", ""), Joined("alice", "#room", 1, True))
    assert chat.ui.question is not asked
    assert chat.ui.prompt == "The question is void; Enter goes on. "
    assert chat.ui.secret
    assert chat.type("pencil") == []
    assert chat.done() == []
    assert (chat.ui.question, chat.ui.prompt) == (None, "[#room] ")
    chat.type("hello")
    assert chat.done() == [("send", "#room", "hello")]


def test_each_question_is_another_one(chat: Chat) -> None:
    assert chat.ui.question is None
    chat.type("/register")
    first = chat.ui.question
    chat.type("pen\x07cil")  # cannot be a password: the same question
    assert chat.ui.question is first
    chat.type("pencil")
    assert chat.ui.question not in (None, first)


def test_exit_leaves_where_a_question_is_void(chat: Chat) -> None:
    chat.type("/login bob")
    chat.hear(Disconnected("gone", True, 3.7, NetworkError("gone")))
    chat.type("exit")
    assert chat.ui.finished


def test_the_end(chat: Chat) -> None:
    error = NetworkError("gone")
    assert chat.hear(Disconnected("gone", False, 0.0, error)) == []
    assert (chat.ui.finished, chat.ui.error) == (True, error)


def test_a_room_with_another_name_stays_the_target(chat: Chat) -> None:
    chat.hear(Joined("alice", "#room", 1, True))
    chat.hear(ChannelRenamed("#Room", "#hall", "bob", ""))
    assert chat.ui.target == "#hall"
    chat.hear(Parted("alice", "#hall", 0, "", True))
    assert chat.ui.target == ""


# ---- texts that come again, or are refused ----


def test_what_was_shown_is_not_played_back(chat: Chat) -> None:
    live = text("#room", "bob", "hi", msgid="m1")
    assert chat.hear(live) == ["12:04 <bob> hi"]
    missed = text("#room", "bob", "again", msgid="m2", replayed=True)
    assert chat.hear(replace(live, replayed=True), missed) == ["12:04 <bob> again"]


def test_a_text_without_a_name_is_played_back(chat: Chat) -> None:
    live = text("#room", "bob", "hi")
    assert chat.hear(live, replace(live, replayed=True)) == ["12:04 <bob> hi"] * 2


def test_what_is_kept_for_a_room_that_lets_us_in_no_more_is_told(chat: Chat) -> None:
    chat.hear(Disconnected("gone", True, 1.0))
    chat.type("hello")
    chat.hear(Welcome("alice", None, "TestNet", ""))
    assert chat.hear(Failure("", "474", ("#room",), "You are banned")) == [
        "12:00 ! #room: You are banned",
        "! not delivered to #room: You are banned",
    ]
    assert chat.type("/unsent") == ["refused: hello"]


def test_what_the_relay_refuses_is_told_once(chat: Chat) -> None:
    chat.type("hello")
    delivery = len(chat.client.done)
    assert chat.hear(NotDelivered(delivery, "#room", "404", "Cannot send")) == [
        "12:00 ! not delivered to #room: Cannot send"
    ]
    assert chat.type("/unsent") == ["refused: hello"]


def test_what_a_relay_refuses_that_is_cut_off_can_be_said_again(chat: Chat) -> None:
    chat.type("hello")
    delivery = len(chat.client.done)
    text = "This relay is cut off from the others: no node answers"
    assert chat.hear(NotDelivered(delivery, "#room", "RELAY_ISOLATED", text)) == [
        f"12:00 ! not delivered to #room: {text}"
    ]
    assert chat.type("/unsent") == ["refused: hello"]
    chat.done()
    chat.type("/unsent again")
    assert chat.done() == [("send", "#room", "hello")]


# ---- relays ----


def notice(text: str) -> TextReceived:
    """Return what the server itself says."""
    return TextReceived(
        "", "alice", "irc.test", None, text, "notice", NOON.replace(minute=4), direct=False
    )


def test_what_the_relay_says_of_itself_is_translated(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = "This relay is one with the others again"
    alone = (
        "This relay is cut off from the others ({reason}). You stay connected; what you send is "
        "not taken until it is back"
    )
    assert chat.hear(notice(again)) == [f"12:04 -irc.test- {again}"]
    monkeypatch.setattr(translation._Chosen, "language", "ru")
    russian = gettext.translation(translation.DOMAIN, translation.LOCALES, ["ru"])
    monkeypatch.setattr(translation._Chosen, "catalogue", russian)
    words = translation._(again)
    assert words != again
    assert chat.hear(notice(again)) == [f"12:04 -irc.test- {words}"]
    words = translation._(alone, reason="x")
    assert words != alone.format(reason="x")
    assert chat.hear(notice(alone.format(reason="x"))) == [f"12:04 -irc.test- {words}"]
    refused = Failure("*", "RELAY_ISOLATED", (), "Something else")
    cut_off = translation._(
        "this relay is cut off from the others, and does nothing without them; try again later"
    )
    assert chat.hear(refused) == [f"12:00 ! {cut_off}"]


@pytest.mark.parametrize(
    ("wait_s", "line"),
    [
        (0.0, "! gone; going on with b.example.org:6700"),
        (1.7, "! connection lost: gone; trying b.example.org:6700 in 2 s"),
    ],
)
def test_where_it_goes_on(chat: Chat, wait_s: float, line: str) -> None:
    lost = Disconnected("gone", True, wait_s, NetworkError("gone"), "b.example.org:6700")
    assert chat.hear(lost) == [f"12:00 {line}"]


def lost(count: int, relay: str = "b.example.org") -> PeopleLost:
    quits = (Quit(f"n{n}", (("#room", 9), ("#tea", 9)), f"{relay}: gone") for n in range(count))
    return PeopleLost(relay, tuple(quits))


def test_those_lost_with_a_relay_are_one_line(chat: Chat) -> None:
    assert chat.hear(lost(1)) == ["12:00 <-- 1 person was lost with relay b.example.org: n0"]
    assert chat.hear(lost(3)) == [
        "12:00 <-- 3 people were lost with relay b.example.org: n0, n1, n2"
    ]
    assert chat.hear(lost(2, "")) == ["12:00 <-- 2 people were lost with a relay: n0, n1"]
    [line] = chat.hear(lost(10_000))
    assert line.startswith("12:00 <-- 10000 people were lost with relay b.example.org: n0, n1, ")
    assert line.endswith(", n29, …")


def test_those_who_are_back_are_one_line(chat: Chat) -> None:
    joins = (Joined("bob", "#room", 2, False), Joined("bob", "#tea", 2, False))
    assert chat.hear(PeopleBack("b", joins)) == ["12:00 --> 1 person is back with relay b: bob"]
    joins = (*joins, Joined("ev\x1bil", "#room", 3, False))
    assert chat.hear(PeopleBack("", joins)) == [
        "12:00 --> 2 people are back: bob, ev\N{REPLACEMENT CHARACTER}il"
    ]


def test_the_relays_that_there_are_can_be_kept(chat: Chat) -> None:
    event = RelaysAnnounced((RelayAddress("b.example.org"),))
    assert chat.hear(event) == []
    kept: list[RelaysAnnounced] = []
    chat.ui = LineMode(
        chat.client,  # type: ignore[arg-type]
        channels=(),
        clock=lambda: NOON,
        remember=kept.append,
    )
    assert chat.hear(event) == []
    assert kept == [event]
