"""CHATHISTORY. https://ircv3.net/specs/extensions/chathistory"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from securechat.errors import StoreError
from securechat.irc.message import Message
from securechat.server.commands.history import parse_timestamp
from securechat.store.history import History
from tests.server.commands.operators import as_operator, with_operator
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    WALL_S,
    Client,
    FakeClock,
    RunningRelay,
    commands,
    short,
)

CAPS = (
    *("batch", "server-time", "message-tags", "echo-message", "labeled-response"),
    *("account-tag", "draft/chathistory", "standard-replies"),
)
EVENTS = (*CAPS, "draft/event-playback")
ALWAYS = "timestamp=1970-01-01T00:00:00.000Z timestamp=2100-01-01T00:00:00.000Z"
REFUSED = "FAIL CHATHISTORY INVALID_TARGET LATEST #a :Messages could not be retrieved"


@pytest.fixture
def wall() -> FakeClock:
    return FakeClock(WALL_S)


@pytest.fixture
def relay(start_relay: StartRelay, wall: FakeClock) -> RunningRelay:
    return start_relay(wall_clock=wall)


def batch(found: list[Message]) -> list[Message]:
    """Return what is in the one batch of ``found``, which is the last that came."""
    begin = next(n for n, message in enumerate(found) if message.command == "BATCH")
    start, *inner, end = found[begin:]
    assert start.command == end.command == "BATCH"
    reference = start.params[0]
    assert reference[0] == "+"
    assert end.params == (f"-{reference[1:]}",)
    assert all(message.tags["batch"] == reference[1:] for message in inner)
    return inner


def history(client: Client, command: str) -> list[str]:
    """Return what CHATHISTORY answers with in its batch, as short lines."""
    return [short(message) for message in batch(client.collect(f"CHATHISTORY {command}"))]


def texts(client: Client, command: str) -> list[str]:
    return [message.params[-1] for message in batch(client.collect(f"CHATHISTORY {command}"))]


def said(client: Client, wall: FakeClock, target: str, count: int = 10) -> list[Message]:
    """Say 0, 1, 2, …, a second apart; return the echoes."""
    echoes = []
    for number in range(count):
        wall.now += 1
        client.sync()
        echoes += client.collect(f"PRIVMSG {target} :{number}")
    assert len(echoes) == count
    return echoes


@pytest.fixture
def ann(relay: RunningRelay) -> Client:
    client = relay.account("ann", *CAPS)
    client.ask("JOIN #a")
    return client


@pytest.fixture
def echoes(ann: Client, wall: FakeClock) -> list[Message]:
    return said(ann, wall, "#a")


def references(message: Message) -> Iterator[str]:
    yield f"msgid={message.tags['msgid']}"
    yield f"timestamp={message.tags['time']}"


# ---- the subcommands ----


def test_latest(ann: Client, echoes: list[Message]) -> None:
    """ "Request up to limit number of the most recent messages that have been sent. If a timestamp
    or msgid is given, the returned messages are restricted to those sent after and excluding that
    timestamp or msgid; if a * is given, no such restriction applies." """
    assert texts(ann, "LATEST #a * 100") == [*"0123456789"]
    assert texts(ann, "LATEST #a * 5") == [*"56789"]
    for reference in references(echoes[4]):
        assert texts(ann, f"LATEST #a {reference} 100") == [*"56789"]
        assert texts(ann, f"LATEST #a {reference} 2") == [*"89"]


def test_before(ann: Client, echoes: list[Message]) -> None:
    """ "Request up to limit number of messages before and excluding the given timestamp or
    msgid." """
    for reference in references(echoes[6]):
        assert texts(ann, f"BEFORE #a {reference} 100") == [*"012345"]
        assert texts(ann, f"BEFORE #a {reference} 2") == [*"45"]


def test_after(ann: Client, echoes: list[Message]) -> None:
    """ "Request up to limit number of messages after and excluding the given timestamp or
    msgid." """
    for reference in references(echoes[3]):
        assert texts(ann, f"AFTER #a {reference} 100") == [*"456789"]
        assert texts(ann, f"AFTER #a {reference} 3") == [*"456"]


def test_around(ann: Client, echoes: list[Message]) -> None:
    """ "Request a number of messages before and after the timestamp or msgid with the total number
    of returned messages not exceeding limit." """
    for reference in references(echoes[7]):
        assert texts(ann, f"AROUND #a {reference} 1") == ["7"]
        assert texts(ann, f"AROUND #a {reference} 3") == [*"678"]


def test_between(ann: Client, echoes: list[Message]) -> None:
    """ "Request up to limit number of messages between the given timestamp or msgid values. With
    respect to the limit, the returned messages MUST be counted starting from and excluding the
    first message selector, while finishing on and excluding the second. This may be forwards or
    backwards in time." """
    for first, last in zip(references(echoes[0]), references(echoes[-1]), strict=True):
        assert texts(ann, f"BETWEEN #a {first} {last} 100") == [*"12345678"]
        assert texts(ann, f"BETWEEN #a {last} {first} 100") == [*"12345678"]
        assert texts(ann, f"BETWEEN #a {first} {last} 3") == [*"123"]
        assert texts(ann, f"BETWEEN #a {last} {first} 3") == [*"678"]


def test_one_millisecond(relay: RunningRelay) -> None:
    """ "Servers SHOULD provide clients with a consistent message order that … determinately orders
    any two messages (even if they share a timestamp)" """
    ann = relay.join("ann", *CAPS)
    ann.ask("JOIN #a")
    found = ann.collect(*(f"PRIVMSG #a :{n}" for n in range(9)))
    assert len({message.tags["time"] for message in found}) == 1
    assert texts(ann, f"BEFORE #a msgid={found[4].tags['msgid']} 2") == [*"23"]
    assert texts(ann, f"AFTER #a msgid={found[4].tags['msgid']} 2") == [*"56"]


def test_targets(relay: RunningRelay, wall: FakeClock, ann: Client) -> None:
    """ "it lists channels the user has visible history in, together with users with which the user
    has exchanged direct messages, ordered by the time of the latest message" """
    bob, guest = relay.account("bob", *CAPS), relay.join("Guest")
    bob.ask("JOIN #a", "JOIN #bobs")
    for client, target in ((bob, "#bobs"), (bob, "ann"), (ann, "#a"), (ann, "Guest"), (ann, "bob")):
        wall.now += 60
        client.ask(f"PRIVMSG {target} :x")
    times = ["22:16:20", "22:17:20", "22:18:20"]
    # "Returned messages have the syntax: CHATHISTORY TARGETS <nickname | channel name> <time>"
    wanted = [
        f"CHATHISTORY TARGETS {name} 2023-11-14T{time}.250Z"
        for name, time in zip(("#a", "Guest", "bob"), times, strict=True)
    ]
    found = ann.collect(f"CHATHISTORY TARGETS {ALWAYS} 10")
    # "For TARGETS, the batch MUST have type draft/chathistory-targets"
    assert found[0].params[1:] == ("draft/chathistory-targets",)
    assert [short(message) for message in batch(found)] == wanted
    # "The parameters have the same semantics as BETWEEN"
    assert history(ann, f"TARGETS {ALWAYS} 2") == wanted[:2]
    later, earlier = reversed(ALWAYS.split(" "))
    assert history(ann, f"TARGETS {later} {earlier} 2") == wanted[1:]
    # "they match against the latest message stored for the target"
    between = "timestamp=2023-11-14T22:16:20.250Z timestamp=2023-11-14T22:18:20.250Z"
    assert history(ann, f"TARGETS {between} 10") == wanted[1:2]
    assert history(bob, f"TARGETS {ALWAYS} 9")[0].split(" ")[2] == "#bobs"
    guest.request(*CAPS)
    assert history(guest, f"TARGETS {ALWAYS} 9") == []


# ---- the answer ----


def test_the_batch(ann: Client, echoes: list[Message]) -> None:
    """ "the batch MUST have type chathistory and take a single additional parameter, the canonical
    name of the target being queried" """
    start, *inner, _ = ann.collect("CHATHISTORY LATEST #A * 3")
    assert start.params[1:] == ("chathistory", "#a")
    for message, echo in zip(inner, echoes[-3:], strict=True):
        # "The msgid tag … MUST be the msgid tag as originally sent", "The server-time tag … SHOULD
        # be the time at which the message was received"
        tags = dict(message.tags)
        tags.pop("batch")
        assert tags == echo.tags
        assert message.source == echo.source
        assert message.params == echo.params


def test_marks_of_the_author(start_relay: StartRelay) -> None:
    """bot-mode: "This tag SHOULD be added by the server to all commands sent by a bot"; oper-tag:
    "The tag MUST be added by the ircd to all commands sent by a user" """
    relay = with_operator(start_relay)
    ann = relay.join("ann", *EVENTS, "draft/oper-tag")
    bob = relay.join("bob", *CAPS)
    chief = as_operator(relay.join("chief", "message-tags"))
    ann.ask("JOIN #a")
    chief.ask("MODE chief +B", "JOIN #a", "@+x=y PRIVMSG #a :hello", "MODE chief -oB", "TOPIC #a")
    bob.ask("JOIN #a")
    chief.ask("PRIVMSG #a :bye")
    seen = {
        (message.command, message.params[-1]): message.tags
        for message in batch(ann.collect("CHATHISTORY LATEST #a * 10"))
        if message.nick == "chief"
    }
    for line in (("JOIN", "#a"), ("PRIVMSG", "hello")):
        assert (seen[line].get("bot"), seen[line].get("draft/oper")) == ("", "")
    assert seen["PRIVMSG", "hello"]["+x"] == "y"
    assert not {"bot", "draft/oper"} & seen["PRIVMSG", "bye"].keys()
    hello, bye = batch(bob.collect("CHATHISTORY LATEST #a * 10"))
    assert "bot" in hello.tags
    assert not any("draft/oper" in message.tags for message in (hello, bye))


def test_a_label_is_on_the_batch(ann: Client, echoes: list[Message]) -> None:
    """labeled-response: "The batch type MUST be one of: An existing type applicable to the entire
    response" """
    start, *_ = ann.collect("@label=x CHATHISTORY LATEST #a * 3")
    assert (start.tags["label"], start.params[1]) == ("x", "chathistory")
    fail = ann.collect("@label=y CHATHISTORY LATEST #none * 3")
    assert [message.tags["label"] for message in fail] == ["y"]


def test_an_empty_batch(relay: RunningRelay, ann: Client) -> None:
    """ "If no content exists to return, the server SHOULD return an empty batch" """
    assert history(ann, "LATEST #a * 10") == []
    assert history(ann, "LATEST nobody * 10") == []
    guest = relay.join("guest", *CAPS)
    assert history(guest, "LATEST ann * 10") == []


def test_without_the_batch_capability(ann: Client, echoes: list[Message]) -> None:
    """ "Servers SHOULD NOT enforce that clients support all related capabilities" """
    ann.request("-batch", "-server-time", "-message-tags", "-account-tag")
    found = ann.collect("CHATHISTORY LATEST #a * 2")
    assert [short(message) for message in found] == [":ann PRIVMSG #a 8", ":ann PRIVMSG #a 9"]
    assert all(message.tags == {} for message in found)


def test_the_end_is_told(ann: Client, echoes: list[Message]) -> None:
    """The proposed tag "draft/chathistory-end" on the batch that reaches the oldest message."""
    first = echoes[0].tags["msgid"]
    for command, ends in (
        ("LATEST #a * 9", False),
        ("LATEST #a * 10", True),
        (f"BEFORE #a msgid={first} 5", True),
        (f"AFTER #a msgid={first} 5", False),
        (f"AROUND #a msgid={first} 3", True),
    ):
        start = ann.collect(f"CHATHISTORY {command}")[0]
        assert ("draft/chathistory-end" in start.tags) == ends, command


def test_the_limit(start_relay: StartRelay) -> None:
    """ "CHATHISTORY MUST be sent to the client to state the maximum number of messages a client can
    request in a single command" """
    relay = start_relay(history={"page": 3})
    ann = relay.connect()
    ann.request(*CAPS)
    ann.send("NICK ann", "USER ann 0 * ann", "CAP END", "JOIN #a")
    tokens = [
        token for message in ann.sync() if message.command == "005" for token in message.params
    ]
    assert "CHATHISTORY=3" in tokens
    # "MSGREFTYPES SHOULD be sent … in order of decreasing preference"
    assert "MSGREFTYPES=msgid,timestamp" in tokens
    ann.ask(*(f"PRIVMSG #a :{n}" for n in range(5)))
    assert texts(ann, "LATEST #a * 1000") == [*"234"]


def test_only_messages_without_event_playback(relay: RunningRelay, ann: Client) -> None:
    """ "If the client has not negotiated the draft/event-playback capability, the server MUST NOT
    send any lines other than PRIVMSG and NOTICE in the reply batch" """
    ann.ask("TOPIC #a :new", "NOTICE #a :n", "MODE #a +m", "@+react=x TAGMSG #a", "NICK ann2")
    assert history(ann, "LATEST #a * 100") == [":ann NOTICE #a n"]


def test_no_events_without_batch(relay: RunningRelay) -> None:
    """Outside a batch a JOIN of yesterday would be one of now."""
    relay.join("ann", *CAPS).ask("JOIN #a", "TOPIC #a :new", "PRIVMSG #a :hello")
    bob = relay.join("bob", "draft/chathistory", "draft/event-playback", "server-time")
    bob.ask("JOIN #a", "MODE bob")
    found = commands(bob.ask("CHATHISTORY LATEST #a * 100"))
    assert found == ["PRIVMSG"]


def test_event_playback(relay: RunningRelay) -> None:
    """ "If the client has negotiated draft/event-playback, the server SHOULD send additional lines
    relevant to the chat history, including but not limited to TAGMSG, JOIN, PART, QUIT, MODE,
    TOPIC, and NICK." """
    ann, bob = relay.join("ann", *EVENTS), relay.join("bob")
    ann.ask("JOIN #a", "MODE #a +v-t ann", "TOPIC #a :new")
    for line in ("JOIN #a", "PART #a :bye all", "JOIN #a"):
        bob.ask(line)
    ann.ask("KICK #a bob :why not", "@+react=x;+typing=active TAGMSG #a", "NICK anna", "NICK ann")
    carl = relay.join("carl")
    carl.ask("JOIN #a")
    carl.quit()
    ann.sync()
    host = relay.session("ann").host
    assert history(ann, "LATEST #a * 100") == [
        ":ann JOIN #a",
        ":ann MODE #a +v-t ann",
        ":ann TOPIC #a new",
        ":bob JOIN #a",
        ":bob PART #a :bye all",
        ":bob JOIN #a",
        ":ann KICK #a bob :why not",
        ":ann TAGMSG #a",
        ":ann NICK anna",
        ":anna NICK ann",
        ":carl JOIN #a",
        ":carl QUIT :Quit: ",
    ]
    ann.request("extended-join")
    first = batch(ann.collect("CHATHISTORY LATEST #a * 100"))[0]
    assert first.params == ("#a", "*", "Real ann")
    assert first.source == f"ann!~ann@{host}"


def test_nothing_is_kept_where_the_owner_says_so(relay: RunningRelay, ann: Client) -> None:
    ann.request("draft/event-playback", "draft/message-redaction")
    (echo,) = ann.collect("PRIVMSG #a :before")
    bob = relay.join("bob")
    ann.ask("ROOM HISTORY #a off")
    ann.ask("PRIVMSG #a :hello", "NOTICE #a :n", "TOPIC #a :new", "MODE #a +m", "MODE #a -m")
    for line in ("JOIN #a", "PART #a :bye all", "JOIN #a", "NICK rob", "NICK bob"):
        bob.ask(line)
    ann.ask("KICK #a bob :why not", "@+react=x TAGMSG #a", "RENAME #a #b", "RENAME #b #a")
    bob.ask("JOIN #a")
    bob.quit()
    ann.sync()
    assert history(ann, "LATEST #a * 100") == []
    gone = ann.ask(f"REDACT #a {echo.tags['msgid']}")
    assert gone[0].startswith("FAIL REDACT UNKNOWN_MSGID")
    ann.ask("ROOM HISTORY #a default", "PRIVMSG #a :after")
    assert history(ann, "LATEST #a * 100") == [":ann PRIVMSG #a after"]


def test_a_room_that_was_renamed(relay: RunningRelay, ann: Client) -> None:
    """It is the same room: what was said before is there under the new name."""
    ann.request("draft/channel-rename", "draft/event-playback")
    ann.ask("PRIVMSG #a :before", "RENAME #a #b :better", "PRIVMSG #b :after")
    wanted = [":ann PRIVMSG #b before", ":ann RENAME #a #b better", ":ann PRIVMSG #b after"]
    assert history(ann, "LATEST #b * 3") == wanted
    ann.request("-draft/channel-rename")
    assert history(ann, "LATEST #b * 3") == wanted[::2]


def test_client_tags_are_kept(ann: Client) -> None:
    sent = "@+example/x=a\\sb\\:;+draft/persist PRIVMSG #a :x"
    (echo,) = ann.collect(sent)
    (found,) = batch(ann.collect("CHATHISTORY LATEST #a * 100"))
    assert found.tags["+example/x"] == "a b;"
    assert {**found.tags, **echo.tags} == found.tags


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ("+typing=active", False),
        ("+draft/typing=done", False),
        ("+draft/react=x;+draft/reply=y", True),
        ("+typing=active;+x", True),
    ],
)
def test_what_passes_is_not_kept(relay: RunningRelay, tags: str, kept: bool) -> None:
    ann, bob = relay.account("ann", *EVENTS), relay.account("bob", *EVENTS)
    ann.ask("JOIN #a")
    for target in ("#a", "bob"):
        assert len(ann.collect(f"@{tags} TAGMSG {target}")) == 1
        lines = history(ann, f"LATEST {target} * 9")
        assert (f":ann TAGMSG {target}" in lines) == kept
    assert (":ann TAGMSG bob" in history(bob, "LATEST ann * 9")) == kept


# ---- errors ----


def test_errors(ann: Client) -> None:
    """ "Errors are returned using the standard replies syntax." """
    time = "timestamp=2023-11-14T22:13:20.250Z"
    invalid = "FAIL CHATHISTORY INVALID_PARAMS"
    by = "Messages are referred to by msgid= or timestamp="
    cannot = ":Messages could not be retrieved"
    for command, answer in (
        ("", f"{invalid} * :Unknown command"),
        ("NEWEST #a * 5", f"{invalid} NEWEST :Unknown command"),
        ("latest #a *", f"{invalid} LATEST :Insufficient parameters"),
        (f"BETWEEN #a {time} 5", f"{invalid} BETWEEN :Insufficient parameters"),
        (f"BEFORE #a {time} 5 6", f"{invalid} BEFORE :Too many parameters"),
        ("BEFORE #a * 5", f"{invalid} BEFORE * :Invalid reference to a message"),
        ("BEFORE #a msgid= 5", f"{invalid} BEFORE msgid= :Invalid reference to a message"),
        ("BEFORE #a timestamp=1 5", f"{invalid} BEFORE timestamp=1 :Invalid timestamp"),
        ("LATEST #a * 0", f"{invalid} LATEST 0 :Invalid limit"),
        ("LATEST #a * -1", f"{invalid} LATEST -1 :Invalid limit"),
        ("LATEST #a * x", f"{invalid} LATEST x :Invalid limit"),
        (f"TARGETS {time} msgid=1 5", f"{invalid} TARGETS msgid=1 :Invalid timestamp"),
        (f"TARGETS {time} * 5", f"{invalid} TARGETS * :Invalid timestamp"),
        ("LATEST #no * 5", f"FAIL CHATHISTORY INVALID_TARGET LATEST #no {cannot}"),
        ("LATEST ?! * 5", f"FAIL CHATHISTORY INVALID_TARGET LATEST ?! {cannot}"),
        ("AFTER #a msgid=x 5", f"FAIL CHATHISTORY MESSAGE_ERROR AFTER #a msgid=x {cannot}"),
        (
            "AFTER #a row=1 5",
            f"FAIL CHATHISTORY INVALID_MSGREFTYPE AFTER #a :{by}",
        ),
    ):
        assert ann.ask(f"CHATHISTORY {command}") == [answer]


def test_the_capability_is_needed(relay: RunningRelay) -> None:
    """ "The draft/chathistory capability MUST be negotiated." """
    ann = relay.join("ann", "batch")
    ann.ask("JOIN #a")
    assert ann.ask("CHATHISTORY LATEST #a * 5") == ["421 ann CHATHISTORY :Unknown command"]


def test_history_can_be_off(start_relay: StartRelay) -> None:
    relay = start_relay(history={"enabled": False})
    ann = relay.join("ann", "echo-message")
    lines = ann.collect("CAP LS 302")
    assert "chathistory" not in " ".join(lines[0].params)
    assert ann.ask("JOIN #a", "PRIVMSG #a :x")[-1] == ":ann PRIVMSG #a x"


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2011-10-07T15:06:40.007Z", 1_318_000_000_007),
        ("2011-10-07T15:06:40Z", 1_318_000_000_000),
        ("2000-02-29T00:00:00.9999Z", 951_782_400_999),
        ("2001-02-29T00:00:00.000Z", None),
        ("2001-13-01T00:00:00.000Z", None),
        ("0000-01-01T00:00:00.000Z", None),
        ("2001-01-01T24:00:00.000Z", None),
        ("2001-01-01T23:60:00.000Z", None),
        ("2001-01-01 23:00:00.000Z", None),
        ("2001-01-01T23:00:00.000", None),
        ("٢٠٠١-01-01T23:00:00.000Z", None),
        ("", None),
    ],
)
def test_timestamps(text: str, at_ms: int | None) -> None:
    """ "MUST have the format timestamp=YYYY-MM-DDThh:mm:ss.sssZ" """
    assert parse_timestamp(text) == at_ms


# ---- who may read what ----


def test_only_members_read_a_room(relay: RunningRelay, ann: Client, echoes: list[Message]) -> None:
    """ "If the target does not exist or the client does not have permissions to query it, the
    INVALID_TARGET error code SHOULD be returned" """
    bob = relay.join("bob", *CAPS)
    assert bob.ask("CHATHISTORY LATEST #a * 5") == [REFUSED]
    bob.ask("JOIN #a")
    assert texts(bob, "LATEST #a * 5") == [*"56789"]
    bob.ask("PART #a")
    assert bob.ask("CHATHISTORY LATEST #a * 5") == [REFUSED]


def test_a_closed_room_is_read_since_one_is_in_it(
    relay: RunningRelay, wall: FakeClock, ann: Client
) -> None:
    said(ann, wall, "#a", 3)
    ann.ask("MODE #a +k key")
    wall.now += 1
    bob = relay.account("bob", *EVENTS)
    bob.ask("JOIN #a key")
    said(bob, wall, "#a", 2)
    assert history(bob, "LATEST #a * 9") == [
        ":bob JOIN #a",
        ":bob PRIVMSG #a 0",
        ":bob PRIVMSG #a 1",
    ]
    bob.ask("PART #a")
    said(ann, wall, "#a", 2)
    wall.now += 1
    bob.ask("JOIN #a key")
    # Of what one has said oneself one knows.
    assert history(bob, "LATEST #a * 9")[:3] == [
        ":bob JOIN #a",
        ":bob PRIVMSG #a 0",
        ":bob PRIVMSG #a 1",
    ]
    assert not any(line.startswith(":ann") for line in history(bob, "LATEST #a * 9"))
    ann.ask("MODE #a -k key")
    assert len(history(bob, "LATEST #a * 100")) > 9


@pytest.mark.parametrize("mode", ["+i", "+k key"])
def test_the_invited_read_a_closed_room_since_then(
    relay: RunningRelay, wall: FakeClock, ann: Client, mode: str
) -> None:
    bob = relay.join("bob", *CAPS)
    ann.ask(f"MODE #a {mode}", "PRIVMSG #a :before")
    assert bob.ask("CHATHISTORY LATEST #a * 9") == [REFUSED]
    wall.now += 1
    ann.ask("INVITE bob #a", "PRIVMSG #a :since")
    bob.sync()
    assert texts(bob, "LATEST #a * 9") == ["since"]
    wall.now += 1
    ann.ask("INVITE bob #a")  # once more changes nothing
    bob.sync()
    assert texts(bob, "LATEST #a * 9") == ["since"]
    bob.ask("JOIN #a")
    assert texts(bob, "LATEST #a * 9") == ["since"]
    ann.sync()
    ann.ask("KICK #a bob")
    bob.sync()
    assert bob.ask("CHATHISTORY LATEST #a * 9") == [REFUSED]


def test_before_joining_can_be_off(start_relay: StartRelay, wall: FakeClock) -> None:
    relay = start_relay(history={"before_joining": False}, wall_clock=wall)
    ann, bob = relay.join("ann", *CAPS), relay.join("bob", *CAPS)
    ann.ask("JOIN #a", "PRIVMSG #a :before")
    wall.now += 1
    bob.ask("JOIN #a")
    ann.ask("PRIVMSG #a :after")
    assert texts(bob, "LATEST #a * 9") == ["after"]
    assert texts(ann, "LATEST #a * 9") == ["before", "after"]


def test_another_room_of_the_same_name(relay: RunningRelay, ann: Client) -> None:
    guest = relay.join("guest", *CAPS)
    guest.ask("JOIN #g", "PRIVMSG #g :old", "PART #g", "JOIN #g", "PRIVMSG #g :new")
    assert texts(guest, "LATEST #g * 9") == ["new"]


def test_direct_messages(relay: RunningRelay, wall: FakeClock, ann: Client) -> None:
    """ "the server SHOULD include history sent between the current user and the target nickname,
    including outgoing messages" """
    bob, carl = relay.account("bob", *CAPS), relay.account("carl", *CAPS)
    ann.ask("PRIVMSG bob :1")
    bob.ask("PRIVMSG ann :2")
    carl.ask("PRIVMSG ann :other")
    wanted = [":ann PRIVMSG bob 1", ":bob PRIVMSG ann 2"]
    assert history(ann, "LATEST bob * 9") == wanted
    assert history(bob, "LATEST ANN * 9") == wanted
    assert history(carl, "LATEST bob * 9") == []
    # "The server SHOULD attempt to include history involving other nicknames if either the current
    # user or the target nickname has changed"
    bob.ask("NICK bobby")
    ann.ask("PRIVMSG bobby :3")
    wanted.append(":ann PRIVMSG bobby 3")
    assert history(ann, "LATEST bobby * 9") == wanted
    assert history(bob, "LATEST ann * 9") == wanted
    bob.quit()
    assert history(ann, "LATEST bob * 9") == wanted


def test_messages_to_oneself(ann: Client) -> None:
    ann.ask("PRIVMSG ann :me")
    assert history(ann, "LATEST ann * 9") == [":ann PRIVMSG ann me"]


def test_guests_and_direct_messages(relay: RunningRelay, ann: Client) -> None:
    """What an account and a guest say the account can read; nobody who comes to have the nick."""
    guest, other = relay.join("guest", *CAPS), relay.join("other", *CAPS)
    ann.ask("PRIVMSG guest :secret")
    guest.ask("PRIVMSG ann :known", "PRIVMSG other :unknown")
    wanted = [":ann PRIVMSG guest secret", ":guest PRIVMSG ann known"]
    assert history(ann, "LATEST guest * 9") == wanted
    assert history(guest, "LATEST ann * 9") == []
    assert history(guest, "LATEST other * 9") == []
    guest.quit()
    assert history(ann, "LATEST guest * 9") == wanted
    other.ask("NICK guest")
    assert history(other, "LATEST ann * 9") == []
    other.quit()
    owner = relay.account("guest", *CAPS)
    assert history(owner, "LATEST ann * 9") == []
    assert history(ann, "LATEST guest * 9") == []


def test_it_outlives_the_relay(start_relay: StartRelay) -> None:
    relay = start_relay()
    ann, bob = relay.account("ann", *CAPS), relay.account("bob")
    ann.ask("PRIVMSG bob :kept")
    bob.ask("PRIVMSG ann :too")
    relay.stop()
    again = start_relay()
    bob = again.login("bob", *CAPS)
    assert texts(bob, "LATEST ann * 9") == ["kept", "too"]


def test_the_store_fails(relay: RunningRelay, ann: Client, monkeypatch: Any) -> None:
    """ "If no message history can be returned due to an error, the MESSAGE_ERROR error code SHOULD
    be returned" """

    def fail(*args: Any, **kwargs: Any) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(History, "page", fail)
    assert ann.ask("CHATHISTORY LATEST #a * 5") == [
        "FAIL CHATHISTORY MESSAGE_ERROR LATEST #a * :Messages could not be retrieved"
    ]
