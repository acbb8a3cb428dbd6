"""Two sessions joined in memory: what is said arrives once and in order, whatever the path does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.peer.records import (
    TEXT_BYTES,
    Ack,
    Chunk,
    ChunkAck,
    Close,
    FileDone,
    FileEnd,
    FileOffer,
    Hello,
    Pick,
    Ping,
    Pong,
    Ready,
    Record,
    RecordReader,
    Text,
    Typing,
    encode,
)
from securechat.peer.session import (
    DEAD_AFTER_S,
    PING_AFTER_S,
    UNACKNOWLEDGED_BYTES,
    UNACKNOWLEDGED_RECORDS,
    UNACKNOWLEDGED_TEXTS,
    Closed,
    Delivered,
    FileSaid,
    Greeted,
    Lost,
    Session,
    SessionEvent,
    State,
    TextSaid,
    TypingSaid,
)

ALICE, BOB, OTHER = "a" * 32, "b" * 32, "c" * 32


class Side:
    """A session, what it has told, and the bytes that wait to be carried to the other side."""

    def __init__(self, incarnation: str) -> None:
        self.session = Session(incarnation)
        self.events: list[SessionEvent] = []
        self.deliveries = 0

    def say(self, text: str) -> int:
        self.deliveries += 1
        self.session.say_text(
            text, kind="message", identifier="x", time_ms=5, delivery=self.deliveries
        )
        return self.deliveries

    def take(self, data: bytes) -> None:
        self.events += self.session.receive(data, 0.0)

    @property
    def texts(self) -> list[str]:
        return [event.text.text for event in self.events if isinstance(event, TextSaid)]

    @property
    def delivered(self) -> list[int]:
        return [event.delivery for event in self.events if isinstance(event, Delivered)]

    @property
    def lost(self) -> list[int]:
        return [event.delivery for event in self.events if isinstance(event, Lost)]


def carry(left: Side, right: Side) -> None:
    """Carry what both say until neither says more."""
    while True:
        there, back = left.session.data_to_send(), right.session.data_to_send()
        if not there and not back:
            return
        if there:
            right.take(there)
        if back:
            left.take(back)


def connect(left: Side, right: Side) -> None:
    left.session.path_up(0.0)
    right.session.path_up(0.0)
    carry(left, right)


def cut(*sides: Side) -> None:
    for side in sides:
        side.session.path_down()


def pair() -> tuple[Side, Side]:
    alice, bob = Side(ALICE), Side(BOB)
    connect(alice, bob)
    return alice, bob


def opened(side: Side, *records: Record) -> Session:
    """Return a session of which the other side has said HELLO and then ``records``."""
    side.session.path_up(0.0)
    data = encode(Hello(OTHER, "", 0)) + b"".join(encode(record) for record in records)
    side.take(data)
    return side.session


def said(side: Side) -> list[Record]:
    reader = RecordReader()
    reader.feed(side.session.data_to_send())
    return list(reader)


def text(n: int, words: str = "hi") -> Text:
    return Text(n, "x", "message", words, 5)


# ---- a path ----


def test_both_are_open_when_both_have_greeted() -> None:
    alice, bob = Side(ALICE), Side(BOB)
    alice.session.path_up(0.0)
    assert not alice.session.up
    connect(alice, bob)
    assert alice.session.up
    assert bob.session.up
    assert alice.events == [Greeted(fresh=False)]


def test_texts_arrive_in_order_and_are_acknowledged() -> None:
    alice, bob = pair()
    numbers = [alice.say("one"), alice.say("two"), alice.say("three")]
    bob.say("and back")
    carry(alice, bob)
    assert bob.texts == ["one", "two", "three"]
    assert alice.delivered == numbers
    assert alice.texts == ["and back"]


def test_many_records_are_acknowledged_by_one() -> None:
    bob = Side(BOB)
    opened(bob, text(1), text(2), text(3))
    assert said(bob)[1:] == [Ack(3)]


def test_what_is_said_without_a_path_waits_for_one() -> None:
    alice, bob = Side(ALICE), Side(BOB)
    number = alice.say("early")
    connect(alice, bob)
    assert bob.texts == ["early"]
    assert alice.delivered == [number]


def test_what_was_not_acknowledged_is_said_again_and_read_once() -> None:
    alice, bob = pair()
    alice.say("one")
    bob.take(alice.session.data_to_send())  # the acknowledgement gets lost with the path
    alice.say("two")
    alice.session.data_to_send()  # and so does this
    cut(alice, bob)
    connect(alice, bob)
    assert bob.texts == ["one", "two"]
    assert alice.delivered == [1, 2]
    assert not alice.lost


def test_a_half_record_is_forgotten_with_its_path() -> None:
    alice, bob = pair()
    alice.say("one")
    bob.take(alice.session.data_to_send()[:7])
    cut(alice, bob)
    connect(alice, bob)
    assert bob.texts == ["one"]


def test_a_greeting_that_only_one_side_heard_loses_nothing() -> None:
    alice, bob = Side(ALICE), Side(BOB)
    alice.session.path_up(0.0)
    bob.session.path_up(0.0)
    alice.take(bob.session.data_to_send())  # alice is open, and says things that get lost
    alice.say("one")
    cut(alice, bob)
    connect(alice, bob)
    assert bob.texts == ["one"]
    assert [event for event in alice.events if isinstance(event, Greeted)] == [
        Greeted(fresh=False),
        Greeted(fresh=False),
    ]


@given(
    st.lists(st.one_of(st.sampled_from(["alice", "bob", "cut"]), st.integers(0, 200)), max_size=60)
)
def test_nothing_is_lost_or_doubled_however_the_path_is_cut(script: list[str | int]) -> None:
    """A number carries so many bytes in both directions; a cut loses all that is under way."""
    alice, bob = pair()
    wires = {"alice": b"", "bob": b""}
    expected: dict[str, list[str]] = {"alice": [], "bob": []}
    sides = {"alice": alice, "bob": bob}
    for step in script:
        if step == "cut":
            wires = {"alice": b"", "bob": b""}
            cut(alice, bob)
            alice.session.path_up(0.0)
            bob.session.path_up(0.0)
        elif isinstance(step, str):
            words = f"{step} {len(expected[step])}"
            expected[step].append(words)
            sides[step].say(words)
        else:
            for name, other in (("alice", bob), ("bob", alice)):
                wires[name] += sides[name].session.data_to_send()
                other.take(wires[name][:step])
                wires[name] = wires[name][step:]
    cut(alice, bob)
    connect(alice, bob)
    assert bob.texts == expected["alice"]
    assert alice.texts == expected["bob"]
    assert alice.delivered == list(range(1, len(expected["alice"]) + 1))
    assert not alice.lost
    assert not bob.lost


# ---- the other side begins anew ----


def test_a_restarted_side_is_told_what_waited_but_not_what_may_have_arrived() -> None:
    alice, _ = pair()
    sent = alice.say("maybe read")
    alice.session.data_to_send()
    cut(alice)
    waiting = alice.say("said while nobody was there")
    again = Side(OTHER)
    connect(alice, again)
    assert alice.events[-2:] == [Greeted(fresh=True), Delivered(waiting)]
    assert alice.lost == [sent]
    assert again.texts == ["said while nobody was there"]
    again.say("hello again")
    carry(alice, again)
    assert alice.texts == ["hello again"]


def test_records_of_files_are_forgotten_for_a_side_that_begins_anew() -> None:
    alice, _ = pair()
    cut(alice)
    alice.session.say(FileOffer, file=7, name="a", size=1, modified_ns=1)
    again = Side(OTHER)
    connect(alice, again)
    assert again.events == [Greeted(fresh=False)]


def test_a_side_that_forgets_what_it_received_breaks_the_rules() -> None:
    alice, bob = pair()
    alice.say("one")
    carry(alice, bob)
    alice.say("two")
    cut(alice)
    alice.session.path_up(0.0)
    with pytest.raises(RemoteProtocolError, match="forgotten"):
        alice.take(encode(Hello(BOB, "", 0)))


# ---- the end ----


def test_a_close_tells_the_reason_and_what_is_not_known_to_have_arrived() -> None:
    alice, bob = pair()
    number = bob.say("maybe")
    bob.session.data_to_send()
    lost = alice.session.close("good night")
    assert lost == []
    carry(alice, bob)
    assert bob.events[-2:] == [Lost(number), Closed("good night")]
    assert alice.session.state is State.CLOSED
    assert bob.session.state is State.CLOSED


def test_after_the_close_nothing_is_taken_and_nothing_can_be_said() -> None:
    alice = Side(ALICE)
    session = opened(alice, Close("bye"), text(1))
    assert alice.texts == []
    with pytest.raises(LocalProtocolError):
        alice.say("too late")
    session.path_up(0.0)
    assert session.state is State.CLOSED


def test_our_own_close_returns_what_was_not_acknowledged() -> None:
    alice, _ = pair()
    numbers = [alice.say("one"), alice.say("two")]
    assert alice.session.close("over") == numbers


# ---- liveness ----


def test_silence_is_broken_by_one_ping_and_then_the_path_is_dead() -> None:
    alice = Side(ALICE)
    session = opened(alice)
    said(alice)
    assert session.check(PING_AFTER_S - 1)
    assert said(alice) == []
    assert session.check(PING_AFTER_S)
    assert session.check(PING_AFTER_S + 1)
    assert said(alice) == [Ping()]
    assert not session.check(DEAD_AFTER_S)


def test_an_answer_keeps_the_path_alive() -> None:
    alice, bob = pair()
    alice.session.check(PING_AFTER_S)
    bob.take(alice.session.data_to_send())
    alice.events += alice.session.receive(bob.session.data_to_send(), PING_AFTER_S + 1)
    assert alice.session.check(DEAD_AFTER_S)


def test_a_side_that_never_greets_is_dead_too() -> None:
    alice = Side(ALICE)
    alice.session.path_up(0.0)
    assert not alice.session.check(DEAD_AFTER_S)


def test_without_a_path_there_is_nothing_to_be_dead() -> None:
    assert Session(ALICE).check(1e9)


# ---- limits ----


def test_so_many_texts_may_wait() -> None:
    alice = Side(ALICE)
    for _ in range(UNACKNOWLEDGED_TEXTS):
        alice.say("x")
    with pytest.raises(LocalProtocolError, match="too many"):
        alice.say("x")


def test_so_much_text_may_wait() -> None:
    """All of it is said at once on the next path: more would be too much for that, each time."""
    alice, bob = pair()
    cut(alice, bob)
    count = UNACKNOWLEDGED_BYTES // TEXT_BYTES
    for _ in range(count):
        alice.say("x" * TEXT_BYTES)
    with pytest.raises(LocalProtocolError, match="too many"):
        alice.say("x")
    connect(alice, bob)
    assert len(bob.texts) == len(alice.delivered) == count
    alice.say("there is room again")


def test_what_waits_for_another_incarnation_counts_as_before() -> None:
    alice, bob = pair()
    cut(alice, bob)
    for _ in range(UNACKNOWLEDGED_BYTES // TEXT_BYTES):
        alice.say("x" * TEXT_BYTES)
    alice.session.path_up(0.0)
    alice.session.receive(encode(Hello(OTHER, "", 0)), 0.0)
    with pytest.raises(LocalProtocolError, match="too many"):
        alice.say("x")


@pytest.mark.parametrize("words", ["", "x" * (TEXT_BYTES + 1), "ж" * (TEXT_BYTES // 2 + 1)])
def test_a_text_has_a_length(words: str) -> None:
    alice = Side(ALICE)
    with pytest.raises(LocalProtocolError):
        alice.say(words)
    alice.say("\N{GRINNING FACE}" * (TEXT_BYTES // 4))


def test_a_text_that_cannot_be_said_takes_no_number() -> None:
    alice, bob = pair()
    with pytest.raises(LocalProtocolError):
        alice.say("\ud800")
    alice.say("fine")
    carry(alice, bob)
    assert bob.texts == ["fine"]


def test_who_never_acknowledges_does_not_fill_our_memory() -> None:
    alice = Side(ALICE)
    session = opened(alice)
    for _ in range(UNACKNOWLEDGED_RECORDS + 1):
        session.say(FileEnd, file=1, reason="no")
    with pytest.raises(RemoteProtocolError, match="acknowledges nothing"):
        alice.take(encode(Ping()))


def test_what_was_understood_before_a_broken_rule_is_not_lost() -> None:
    alice = Side(ALICE)
    alice.session.path_up(0.0)
    with pytest.raises(RemoteProtocolError):
        alice.take(encode(Hello(OTHER, "", 0)) + encode(text(1, "kept")) + encode(text(9)))
    assert alice.session.take_events() == [Greeted(fresh=False), TextSaid(text(1, "kept"))]


# ---- what breaks the rules ----

BROKEN: dict[str, Callable[[], list[Record]]] = {
    "a text before the greeting": lambda: [text(1)],
    "READY in a session": lambda: [Hello(OTHER, "", 0), Ready([1])],
    "PICK in a session": lambda: [Hello(OTHER, "", 0), Pick(1)],
    "a second greeting": lambda: [Hello(OTHER, "", 0), Hello(OTHER, "", 0)],
    "a gap": lambda: [Hello(OTHER, "", 0), text(2)],
    "a gap later": lambda: [Hello(OTHER, "", 0), text(1), text(3)],
    "what was never sent": lambda: [Hello(OTHER, "", 0), Ack(1)],
    "what was never sent, in the greeting": lambda: [Hello(OTHER, ALICE, 1)],
    "a chunk before the greeting": lambda: [Chunk(1, 0, b"x")],
}


@pytest.mark.parametrize("records", BROKEN.values(), ids=BROKEN.keys())
def test_broken_rules_are_told(records: Callable[[], list[Record]]) -> None:
    alice = Side(ALICE)
    alice.session.path_up(0.0)
    with pytest.raises(RemoteProtocolError):
        alice.take(b"".join(encode(record) for record in records()))


def test_ping_is_answered_before_the_greeting_too() -> None:
    alice = Side(ALICE)
    alice.session.path_up(0.0)
    said(alice)
    alice.take(encode(Ping()) + encode(Pong()))
    assert said(alice) == [Pong()]


# ---- the rest ----


def test_what_is_of_files_and_typing_is_handed_on() -> None:
    alice = Side(ALICE)
    done = FileDone(1, 7, "0" * 64)
    opened(alice, done, Chunk(7, 0, b"abc"), ChunkAck(7, 3), Typing("active"))
    assert alice.events[1:] == [
        FileSaid(done),
        FileSaid(Chunk(7, 0, b"abc")),
        FileSaid(ChunkAck(7, 3)),
        TypingSaid("active"),
    ]


def test_what_is_of_the_moment_is_dropped_without_a_path() -> None:
    alice, bob = Side(ALICE), Side(BOB)
    alice.session.say_now(Typing("active"))
    connect(alice, bob)
    assert bob.events == [Greeted(fresh=False)]


def test_a_session_reads_any_cut() -> None:
    alice, bob = pair()
    alice.say("in pieces")
    for byte in alice.session.data_to_send():
        bob.take(bytes([byte]))
    assert bob.texts == ["in pieces"]
