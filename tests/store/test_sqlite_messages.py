"""What the history does in SQLite only."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from securechat.errors import StoreError
from securechat.store.database import open_database
from securechat.store.history import Conversation, Entry, History, Readable
from tests.store.history_checks import check_integrity

ROOM = Conversation("room")


@pytest.fixture
def connection(tmp_path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "relay.db")) as connection:
        yield connection


def entry(number: int, at_ms: int, place: int = 0) -> Entry:
    return Entry(
        ROOM, f"m{number}", at_ms, "PRIVMSG", "a!a@h", "a", None, "", "hello", "", place=place
    )


def test_many_messages_are_indexed_as_they_come(connection):
    history = History(connection)
    for start in range(0, 2000, 100):
        history.add(entry(number, number) for number in range(start, start + 100))
    (indexed,) = connection.execute(
        "SELECT count(*) FROM message_index WHERE message_index MATCH 'hello'"
    ).fetchone()
    assert indexed > 1400
    check_integrity(connection)


def test_a_place_is_behind_those_that_are_there(connection):
    """One relay writes, in the order of its log."""
    history = History(connection)
    history.add([entry(0, 5, 9), entry(1, 5, 10), entry(2, 6, 3)])
    history.add([entry(3, 5, 11)])
    kept = history.page(Readable("room"), limit=9, newest=True).entries
    assert [found.entry for found in kept] == [entry(0, 5), entry(1, 5), entry(3, 5), entry(2, 6)]


def test_an_index_that_cannot_be_written_is_a_store_error(connection):
    connection.execute("DROP TABLE unindexed_ranges")
    with pytest.raises(StoreError, match="cannot write the history"):
        History(connection).add([entry(1, 1)])
