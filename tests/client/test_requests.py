"""Questions and their answers, as a conversation.

https://ircv3.net/specs/extensions/chathistory, https://ircv3.net/specs/extensions/whox
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from securechat.client.events import (
    Failure,
    Found,
    HistoryReceived,
    Joined,
    LoggedIn,
    MemberSnapshot,
    NamesReceived,
    Parted,
    PresenceReceived,
    Reacted,
    Redacted,
    Reply,
    RequestFailed,
    TargetsReceived,
    TextReceived,
    Welcome,
)
from securechat.client.protocol import ClientProtocol
from securechat.client.requests import (
    OPEN_REQUESTS,
    Question,
    format_time,
    history_page,
    history_targets,
    search,
)
from securechat.client.session import Identity
from securechat.errors import LocalProtocolError
from tests.client.transcript import HELLO, NEW_CAPS, NOW, OLD, C, S, Step, make, play

AT = "2026-01-01T00:00:00.000Z"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
BOB = ":bob!~b@host"

CAPS = f"{NEW_CAPS} draft/chathistory draft/event-playback draft/read-marker soju.im/search"


def asking() -> ClientProtocol:
    return ClientProtocol(
        Identity("alice", "alice", "Alice A.", history=True),
        wall_clock=lambda: NOW,
        make_nonce=lambda: "nonce",
    )


def start(protocol: ClientProtocol, isupport: str = "CHATHISTORY=50 WHOX") -> None:
    """Get onto a server that keeps a history."""
    steps: list[Step] = [
        *HELLO,
        S(f"CAP * LS :{CAPS}"),
        C(f"CAP REQ :{' '.join(sorted(CAPS.split()))}"),
        S(f"CAP alice ACK :{CAPS}"),
        C("CAP END"),
        S("900 alice alice!a@h alice :You are now logged in"),
        LoggedIn("alice", "You are now logged in"),
        S("001 alice :Welcome"),
        S(f"005 alice CASEMAPPING=ascii {isupport} :are supported"),
        S("422 alice :MOTD File is missing"),
        Welcome("alice", "alice", "", "Welcome"),
    ]
    play(protocol, steps)


def ask(question: Question, number: int = 7) -> Callable[[ClientProtocol], None]:
    return lambda protocol: protocol.ask(number, question)


def text(conversation: str, sender: str, words: str, **more: Any) -> TextReceived:
    fields: dict[str, Any] = {
        "target": conversation,
        "account": None,
        "kind": "message",
        "time": LONG_AGO,
        "direct": not conversation.startswith("#"),
        "replayed": True,
    }
    return TextReceived(conversation=conversation, sender=sender, text=words, **(fields | more))


LATEST = history_page("#room", limit=3)

IN_ROOM: list[Step] = [
    S(":alice!~a@host JOIN #Room * :A"),
    Joined("alice", "#Room", 1, True, None, "A"),
    S("353 alice = #Room :alice bob"),
    S("366 alice #Room :End of /NAMES list."),
    NamesReceived("#Room", (MemberSnapshot("alice", ""), MemberSnapshot("bob", "")), True),
]

CONVERSATIONS: dict[str, list[Step]] = {
    # "the batch MUST have type chathistory and take a single additional parameter, the canonical
    # name of the target being queried"
    "a page": [
        *IN_ROOM,
        ask(LATEST),
        C("@label=ask-7 CHATHISTORY LATEST #room * 3"),
        S("@label=ask-7 BATCH +1 chathistory #Room"),
        S(f"@batch=1;msgid=m1;time={AT} :carol!c@h JOIN #Room * :C"),  # counts, and is not shown
        S(f"@batch=1;msgid=m2;time={AT};account=bob {BOB} PRIVMSG #Room :hello"),
        S(f"@batch=1;msgid=m3;time={AT};+reply=m2;+draft/react=:) {BOB} TAGMSG #Room"),
        S("BATCH -1"),
        HistoryReceived(
            7,
            "#Room",
            (
                text("#Room", "bob", "hello", account="bob", msgid="m2"),
                Reacted("#Room", "m2", "bob", ":)", False, False, LONG_AGO, replayed=True),
            ),
            "msgid=m1",
            "msgid=m3",
            complete=False,
        ),
        S(f"@msgid=m4 {BOB} PRIVMSG #Room :now"),
        text("#Room", "bob", "now", time=NOW, msgid="m4", replayed=False),
    ],
    # "If no content exists to return, the server SHOULD return an empty batch"
    "an empty page": [
        ask(history_page("#room", before="msgid=m1", limit=3)),
        C("@label=ask-7 CHATHISTORY BEFORE #room msgid=m1 3"),
        S("@label=ask-7 BATCH +1 chathistory #room"),
        S("BATCH -1"),
        HistoryReceived(7, "#room", (), None, None, complete=True),
    ],
    "a page with a message of several lines, in an answer of more than one batch": [
        ask(history_page("#room", after=f"timestamp={AT}", limit=3)),
        C(f"@label=ask-7 CHATHISTORY AFTER #room timestamp={AT} 3"),
        S("@label=ask-7 BATCH +1 labeled-response"),
        S("@batch=1 NOTE CHATHISTORY SLOW :this may take a while"),
        S("@batch=1 BATCH +2 chathistory #room"),
        S(f"@batch=2;msgid=m1;time={AT};+securechat/mark=k {BOB} BATCH +3 draft/multiline #room"),
        S(f"@batch=3 {BOB} PRIVMSG #room :one"),
        S(f"@batch=3 {BOB} PRIVMSG #room :two"),
        S("@batch=2 BATCH -3"),
        S(f"@batch=2;msgid=m2;time={AT} {BOB} REDACT #room m0 :oops"),
        S("BATCH -2"),
        S("BATCH -1"),
        Reply("NOTE", ("CHATHISTORY", "SLOW", "this may take a while"), "this may take a while"),
        HistoryReceived(
            7,
            "#room",
            (
                text("#room", "bob", "one\ntwo", msgid="m1", mark="k"),
                Redacted("#room", "m0", "bob", "oops"),
            ),
            "msgid=m1",
            "msgid=m2",
            complete=True,
        ),
    ],
    # "if either the current user or the target nickname has changed": who we are is told by the
    # account, and the conversation is the one that was asked for.
    "a page of a conversation with a person": [
        ask(history_page("Bob", limit=5)),
        C("@label=ask-7 CHATHISTORY LATEST Bob * 5"),
        S("@label=ask-7 BATCH +1 chathistory Bob"),
        S(f"@batch=1;time={AT};account=bob :robert!r@h PRIVMSG alice :psst"),
        S(f"@batch=1;time={AT};account=alice :ally!a@h PRIVMSG robert :yes?"),
        S(f"@batch=1;time={AT};account=eve :alice!e@h PRIVMSG robert :who?"),
        S("BATCH -1"),
        HistoryReceived(
            7,
            "Bob",
            (
                text("Bob", "robert", "psst", target="alice", account="bob"),
                text("Bob", "ally", "yes?", target="robert", account="alice", own=True),
                text("Bob", "alice", "who?", target="robert", account="eve"),
            ),
            f"timestamp={AT}",
            f"timestamp={AT}",
            complete=True,
        ),
    ],
    "around a message, nothing is known of the ends": [
        ask(history_page("#room", around="msgid=m1", limit=9)),
        C("@label=ask-7 CHATHISTORY AROUND #room msgid=m1 9"),
        S("@label=ask-7 BATCH +1 chathistory #room"),
        S("BATCH -1"),
        HistoryReceived(7, "#room", (), None, None, complete=False),
    ],
    # "Context messages MUST NOT be counted towards the message limit."
    "messages of the context": [
        ask(history_page("#room", limit=2)),
        C("@label=ask-7 CHATHISTORY LATEST #room * 2"),
        S("@label=ask-7 BATCH +1 chathistory #room"),
        S(f"@batch=1;msgid=m1;time={AT} {BOB} PRIVMSG #room :hello"),
        S(
            f"@batch=1;draft/chathistory-context;msgid=m2;time={AT};+reply=m1;+draft/react=x {BOB} "
            "TAGMSG #room"
        ),
        S("BATCH -1"),
        HistoryReceived(
            7,
            "#room",
            (
                text("#room", "bob", "hello", msgid="m1"),
                Reacted("#room", "m1", "bob", "x", False, False, LONG_AGO, replayed=True),
            ),
            "msgid=m1",
            "msgid=m2",
            complete=True,
        ),
    ],
    "the tag of the beginning": [
        ask(history_page("#room", limit=1)),
        C("@label=ask-7 CHATHISTORY LATEST #room * 1"),
        S("@label=ask-7;draft/chathistory-end BATCH +1 chathistory #room"),
        S(f"@batch=1;msgid=m\\s1;time={AT} {BOB} JOIN #room"),  # an id that cannot be said
        S("BATCH -1"),
        HistoryReceived(7, "#room", (), f"timestamp={AT}", f"timestamp={AT}", complete=True),
    ],
    # "Returned messages have the syntax: CHATHISTORY TARGETS <nickname | channel name>
    # <YYYY-MM-DDThh:mm:ss.sssZ>"
    "conversations": [
        ask(history_targets(LONG_AGO, NOW, limit=100)),
        C(f"@label=ask-7 CHATHISTORY TARGETS timestamp={AT} timestamp=2026-01-02T03:04:05.000Z 50"),
        S("@label=ask-7 BATCH +1 draft/chathistory-targets"),
        S(f"@batch=1 CHATHISTORY TARGETS #room {AT}"),
        S("@batch=1 CHATHISTORY TARGETS bob yesterday"),
        S(f"@batch=1 CHATHISTORY TARGETS carol {AT}"),
        S("BATCH -1"),
        TargetsReceived(7, (("#room", LONG_AGO), ("carol", LONG_AGO))),
    ],
    # "a batch of type soju.im/search with PRIVMSG and NOTICE, original msgid and time, ascending"
    "a search": [
        ask(search("red fox; \\o/", conversation="#room", sender="bob", limit=5)),
        C("@label=ask-7 SEARCH text=red\\sfox\\:\\s\\\\o/;in=#room;from=bob;limit=5"),
        S("@label=ask-7 BATCH +1 soju.im/search"),
        S(f"@batch=1;msgid=m1;time={AT} {BOB} PRIVMSG #room :a red fox"),
        S(f"@batch=1;msgid=m2;time={AT} {BOB} NOTICE alice :red fox"),
        S(f"@batch=1;msgid=m3;time={AT} :alice!a@h PRIVMSG bob :a red fox"),
        S("BATCH -1"),
        Found(
            7,
            (
                text("#room", "bob", "a red fox", msgid="m1"),
                text("bob", "bob", "red fox", target="alice", kind="notice", msgid="m2"),
                text("bob", "alice", "a red fox", own=True, msgid="m3"),
            ),
        ),
    ],
    # "the INVALID_TARGET error code SHOULD be returned"
    "refusals": [
        ask(LATEST),
        C("@label=ask-7 CHATHISTORY LATEST #room * 3"),
        S("@label=ask-7 FAIL CHATHISTORY INVALID_TARGET LATEST #room :No such room"),
        RequestFailed(7, "INVALID_TARGET", "No such room"),
        ask(LATEST, 8),
        C("@label=ask-8 CHATHISTORY LATEST #room * 3"),
        S("@label=ask-8 461 alice CHATHISTORY :Not enough parameters"),
        RequestFailed(8, "461", "Not enough parameters"),
        ask(LATEST, 9),
        C("@label=ask-9 CHATHISTORY LATEST #room * 3"),
        S("@label=ask-9 ACK"),
        RequestFailed(9, "NO_ANSWER", "the server did not answer that"),
        S("@label=ask-9 FAIL CHATHISTORY INVALID_TARGET LATEST #room :No such room"),
        Failure("CHATHISTORY", "INVALID_TARGET", ("LATEST", "#room"), "No such room"),
    ],
    # "Servers supporting this specification MUST include the WHOX token in RPL_ISUPPORT"
    "who is away": [
        *IN_ROOM,
        lambda p: p.ask_presence("#room"),
        C("@label=who-1 WHO #room %tcnf,1"),
        lambda p: p.ask_presence("#ROOM"),  # is asked already
        S("354 alice 1 #Room bob G"),  # of somebody's own question
        Reply("354", ("1", "#Room", "bob", "G"), "G"),
        S("@label=who-1 BATCH +1 labeled-response"),
        S("@batch=1 354 alice 1 #Room alice H"),
        S("@batch=1 354 alice 1 #Room bob G*"),
        S("@batch=1 315 alice #room :End of WHO list"),
        S("BATCH -1"),
        PresenceReceived(
            "#Room", (MemberSnapshot("alice", ""), MemberSnapshot("bob", "", away=True))
        ),
        S("315 alice #room :End of WHO list"),
        Reply("315", ("#room", "End of WHO list"), "End of WHO list"),
        lambda p: p.ask_presence("#room"),
        C("@label=who-2 WHO #room %tcnf,2"),
        S("@label=who-2 263 alice WHO :Please wait a while and try again."),
        Reply(
            "263",
            ("WHO", "Please wait a while and try again."),
            "Please wait a while and try again.",
        ),
        lambda p: p.ask_presence("#room"),
        C("@label=who-3 WHO #room %tcnf,3"),
        S(":alice!~a@host PART #room"),
        Parted("alice", "#Room", 0, "", True),
        S("@label=who-3 315 alice #room :End of WHO list"),
    ],
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(name: str, bytewise: bool) -> None:
    protocol = asking()
    start(protocol)
    play(protocol, CONVERSATIONS[name], bytewise=bytewise)


def test_who_is_away_on_a_server_of_the_old_days() -> None:
    steps: list[Step] = [
        *OLD,
        S(":alice!~a@host JOIN #room"),
        Joined("alice", "#room", 1, True),
        S("353 alice = #room :alice bob"),
        S("366 alice #room :End of /NAMES list."),
        NamesReceived("#room", (MemberSnapshot("alice", ""), MemberSnapshot("bob", "")), True),
        lambda p: p.ask_presence("#room"),
        C("WHO #room"),
        S("352 alice #room ~b host irc.old bob G :0 Bob"),
        S("352 alice #hall ~b host irc.old bob H :0 Bob"),
        Reply("352", ("#hall", "~b", "host", "irc.old", "bob", "H", "0 Bob"), "0 Bob"),
        S("315 alice #room :End of WHO list"),
        PresenceReceived(
            "#room", (MemberSnapshot("alice", ""), MemberSnapshot("bob", "", away=True))
        ),
        S("352 alice #room ~b host irc.old bob G :0 Bob"),
        Reply("352", ("#room", "~b", "host", "irc.old", "bob", "G", "0 Bob"), "0 Bob"),
    ]
    play(make(), steps)


# "in order of decreasing preference. Clients MUST ignore any type they do not support."
@pytest.mark.parametrize(
    ("isupport", "tags", "reference"),
    [
        ("CHATHISTORY=50", f"msgid=m1;time={AT}", "msgid=m1"),
        ("MSGREFTYPES=msgid,timestamp", f"msgid=m1;time={AT}", "msgid=m1"),
        ("MSGREFTYPES=line,timestamp,msgid", f"msgid=m1;time={AT}", f"timestamp={AT}"),
        ("MSGREFTYPES=msgid,timestamp", f"time={AT}", f"timestamp={AT}"),
        ("MSGREFTYPES=msgid", f"time={AT}", None),
    ],
)
def test_how_a_message_is_referred_to(isupport: str, tags: str, reference: str | None) -> None:
    protocol = asking()
    start(protocol, isupport)
    protocol.ask(1, LATEST)
    protocol.receive_data(b"@label=ask-1 BATCH +1 chathistory #room\r\n")
    [page] = protocol.receive_data(f"@batch=1;{tags} {BOB} TOPIC #room :x\r\nBATCH -1\r\n".encode())
    assert isinstance(page, HistoryReceived)
    assert (page.oldest, page.newest, page.items) == (reference, reference, ())


# "If 0, the client SHOULD assume that there is no maximum number of messages."
@pytest.mark.parametrize(
    ("isupport", "limit"),
    [
        ("CHATHISTORY=50", "50"),
        ("CHATHISTORY=0", "200"),
        ("WHOX", "200"),
        ("CHATHISTORY=500", "200"),
    ],
)
def test_the_limit_of_the_server(isupport: str, limit: str) -> None:
    protocol = asking()
    start(protocol, isupport)
    question = history_page("#room", limit=200)
    play(protocol, [ask(question), C(f"@label=ask-7 CHATHISTORY LATEST #room * {limit}")])


def test_what_is_not_asked() -> None:
    protocol = asking()
    play(protocol, [ask(LATEST), RequestFailed(7, "CONNECTION_LOST", "not connected")])
    protocol.ask_presence("#room")
    assert protocol.data_to_send() == b""
    old = make()
    refused = RequestFailed(7, "NOT_OFFERED", "the server does not offer that")
    play(old, [*OLD, ask(LATEST), refused])


def test_questions_that_are_never_answered_do_not_pile_up() -> None:
    protocol = asking()
    start(protocol)
    for number in range(OPEN_REQUESTS):
        protocol.ask(number, LATEST)
        protocol.ask_presence(f"#room{number}")
    protocol.data_to_send()
    protocol.ask_presence("#room")
    text = "too many questions wait for an answer"
    play(protocol, [ask(LATEST, 5000), RequestFailed(5000, "TOO_MANY", text)])
    assert protocol.connection_lost("gone") == [
        RequestFailed(number, "CONNECTION_LOST", "gone") for number in range(OPEN_REQUESTS)
    ]
    assert protocol.connection_lost("gone") == []


@pytest.mark.parametrize(
    "make_question",
    [
        lambda: history_page("#room", before="msgid=m1", after="msgid=m2", limit=5),
        lambda: history_page("#room", before="m1", limit=5),
        lambda: history_page("#room", before="msgid=", limit=5),
        lambda: history_page("#room", after="line=3", limit=5),
        lambda: history_page("#room", around="", limit=5),
        lambda: history_page("#room", limit=0),
        lambda: history_targets(LONG_AGO, NOW, limit=0),
        lambda: search("", limit=5),
        lambda: search("x", limit=-1),
    ],
)
def test_questions_that_cannot_be_asked(make_question: Callable[[], Question]) -> None:
    with pytest.raises(LocalProtocolError):
        make_question()


def test_a_time_is_said_in_utc() -> None:
    east = timezone(timedelta(hours=3))
    time = datetime(2019, 1, 4, 17, 33, 26, 123_999, tzinfo=east)
    assert format_time(time) == "2019-01-04T14:33:26.123Z"
