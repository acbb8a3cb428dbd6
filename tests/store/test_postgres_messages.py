"""The history in PostgreSQL, into which several write at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from securechat.store.account_history import disown
from securechat.store.connection import Connection
from securechat.store.history import Conversation, Entry, History, Readable
from securechat.store.postgres import connect
from securechat.store.postgres_url import parse_postgres_url
from tests.store.history_checks import check_integrity
from tests.store.rivals import wait_until_blocked

ROOM = Conversation("room")
ROOMS = [Conversation(f"room {number}") for number in range(5)]


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        yield connection


def entry(msgid: str, place: int, at_ms: int = 5, **changes: object) -> Entry:
    said = Entry(ROOM, msgid, at_ms, "PRIVMSG", "a!a@h", "a", "A", "", "hello", "", place)
    return said._replace(**changes)  # type: ignore[arg-type]


def everything(connection: Connection, conversation: Conversation = ROOM) -> str:
    page = History(connection).page(Readable(conversation.key), limit=10_000, newest=True)
    return " ".join(kept.entry.msgid for kept in page.entries)


def test_the_log_says_where_an_entry_belongs(connection):
    history = History(connection)
    history.add([entry("m9", 9), entry("m2", 2), entry("m0", 0, at_ms=6)])
    history.add([entry("m5", 5), entry("m1", 1), entry("m8", 8)])
    assert everything(connection) == "m1 m2 m5 m8 m9 m0"
    found = history.get(ROOM.key, "m5")
    assert found.position.first_id == (5 << 16) + 5
    assert found.entry == entry("m5", 0)  # the position has it


def test_at_one_place_the_order_is_that_of_addition(connection):
    history = History(connection)
    history.add([entry("a", 3), entry("b", 3), entry("c", 4), entry("z", 9)])
    history.add([entry("d", 3), entry("e", 4), entry("a", 3), entry("f", 9)])
    assert everything(connection) == "a b c d e z f"


def test_one_place_in_many_conversations(connection):
    """As somebody leaves who was in all of them; and it is in none behind what came later."""
    history = History(connection)
    history.add(entry("later", 1, conversation=room) for room in ROOMS)
    history.add(entry("left", 0, conversation=room) for room in reversed(ROOMS))
    assert {everything(connection, room) for room in ROOMS} == {"left later"}
    found = history.search([Readable(room.key) for room in ROOMS], text="hello", limit=7)
    assert [kept.entry.msgid for kept in found] == ["left"] * 2 + ["later"] * 5


@pytest.mark.parametrize("begun", [False, True])
def test_two_write_into_one_conversation_at_once(connection, other, in_background, begun):
    """What is new, what the other one writes too, and what has the same place."""
    if begun:
        History(connection).add([entry("first", 0, at_ms=1)])
    ours = [entry(f"a{number}", 2 * number) for number in range(300)]
    theirs = [entry(f"b{number}", 2 * number + 1) for number in range(300)]
    both = [entry(f"c{number}", 600 + number) for number in range(300)]
    same_place = [entry(name, 900) for name in ("x", "y")]
    connection.execute("BEGIN")
    History(connection).add([*ours, *both[:150], same_place[0]])
    wait = in_background(
        lambda: History(other).add([*theirs, *both, same_place[1], entry("last", 2000)])
    )
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    wait()
    mixed = [name for number in range(300) for name in (f"a{number}", f"b{number}")]
    assert everything(connection).split() == [
        *["first"] * begun,
        *mixed,
        *(f"c{number}" for number in range(300)),
        *("x", "y", "last"),
    ]
    check_integrity(connection)


def test_two_write_for_a_while(connection, other, in_background):
    """Every third entry is written by both; no group waits in a circle for another."""

    def write(into: Connection, own: int) -> None:
        for at_ms in range(20):
            into.execute("BEGIN")
            History(into).add(
                entry(f"{at_ms}-{place}", place, at_ms, conversation=ROOMS[place % 5])
                for place in sorted(range(200), key=lambda place: place * (1 - 2 * own))
                if place % 3 in (own, 2)
            )
            into.execute("COMMIT")

    waits = [
        in_background(lambda: write(connection, 0)),
        in_background(lambda: write(other, 1)),
    ]
    for wait in waits:
        wait()
    for number, room in enumerate(ROOMS):
        assert everything(connection, room).split() == [
            f"{at_ms}-{place}" for at_ms in range(20) for place in range(number, 200, 5)
        ]


@pytest.mark.parametrize("deleting", [(False, True), (True, False), (True, True)])
def test_who_deletes_is_alone(connection, other, in_background, deleting):
    """Else one could wait for a conversation that the other has, who waits for one of its own."""
    connection.execute("BEGIN")
    History(connection).take_turn(deleting=deleting[0])
    other.execute("BEGIN")
    wait = in_background(lambda: History(other).take_turn(deleting=deleting[1]))
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    wait()
    other.execute("COMMIT")


def test_all_others_write_at_once(connection, other):
    for each in (connection, other):
        each.execute("BEGIN")
        History(each).take_turn(deleting=False)
    for each in (connection, other):
        each.execute("COMMIT")


def test_two_begin_the_same_conversations(connection, other, in_background):
    connection.execute("BEGIN")
    History(connection).add(entry("m1", 1, conversation=room) for room in ROOMS)
    wait = in_background(
        lambda: History(other).add(entry("m2", 2, conversation=room) for room in reversed(ROOMS))
    )
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    wait()
    assert {everything(connection, room) for room in ROOMS} == {"m1 m2"}


def test_conversations_are_numbered_in_the_order_in_which_they_begin(connection):
    keys = ("z", "a", "m")
    History(connection).add(
        entry("m1", 1, conversation=Conversation(key, ("me", key))) for key in keys
    )
    found = History(connection).direct_conversations("me")
    assert tuple(each.key for each in found) == keys


def test_a_conversation_that_one_empties_while_another_writes_there(connection, other):
    History(connection).add([entry("old", 0, at_ms=1)])
    connection.execute("BEGIN")
    History(connection).add([entry("new", 0)])
    assert History(other).expire(3, 10) == 1
    connection.execute("COMMIT")
    assert everything(connection) == "new"


def test_a_conversation_that_one_writes_to_while_another_deletes_it(
    connection, other, in_background
):
    History(connection).add([entry("old", 0, at_ms=1)])
    connection.execute("BEGIN")
    assert History(connection).expire(3, 10) == 1
    wait = in_background(lambda: History(other).add([entry("new", 0)]))
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    wait()
    assert everything(connection) == "new"


def test_what_one_deletes_or_disowns_is_left_to_it(connection, other):
    History(connection).add(entry(f"m{place}", place) for place in range(6))
    connection.execute("BEGIN")
    assert History(connection).trim(ROOM.key, 4, 10) == 2
    assert disown(connection, "A", 2) == 2
    assert History(other).trim(ROOM.key, 4, 10) == 0
    assert disown(other, "A", 10) == 2
    connection.execute("COMMIT")
    assert everything(connection) == "m2 m3 m4 m5"
    check_integrity(connection)
    own = Readable(ROOM.key, floor_ms=99, own_account="A")
    assert History(connection).search([own], text="hello", limit=9) == []


def test_two_redact_one_message(connection, other, in_background):
    History(connection).add([entry("m1", 1)])
    connection.execute("BEGIN")
    assert History(connection).redact(ROOM.key, "m1")
    wait = in_background(lambda: History(other).redact(ROOM.key, "m1"))
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    assert not wait()
