"""Snapshots of the chat's state."""

from contextlib import closing
from dataclasses import replace

import pytest

from securechat.errors import StoreError
from securechat.store.postgres import connect
from securechat.store.postgres_url import parse_postgres_url
from securechat.store.snapshots import SavedSnapshot, Snapshots
from tests.store.rivals import wait_until_blocked

FIRST = SavedSnapshot("chat", 0, 1, 1_700_000_000_000, b"\x00state\xff")


@pytest.fixture
def connection(postgres_url):
    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        yield connection


@pytest.fixture
def snapshots(connection) -> Snapshots:
    return Snapshots(connection)


def test_there_is_none_at_first(snapshots):
    assert snapshots.newest("chat") is None
    assert snapshots.delete_older("chat") == 0


def test_the_newest_of_a_stream(snapshots):
    later = replace(FIRST, sequence=1 << 40, data=b"later")
    for snapshot in (later, FIRST, replace(FIRST, stream="another", sequence=1 << 41)):
        snapshots.save(snapshot)
    assert snapshots.newest("chat") == later


def test_two_snapshots_of_one_event_are_the_same(snapshots):
    snapshots.save(FIRST)
    snapshots.save(replace(FIRST, made_ms=5))
    assert snapshots.newest("chat") == FIRST


def test_the_first_is_only_kept_where_there_is_none(snapshots):
    assert snapshots.add_first(FIRST) == FIRST
    later = replace(FIRST, sequence=9)
    assert snapshots.add_first(replace(FIRST, data=b"another")) == FIRST
    assert snapshots.add_first(later) == FIRST
    snapshots.save(later)
    assert snapshots.add_first(FIRST) == later
    assert snapshots.add_first(replace(FIRST, stream="another")).stream == "another"


def test_of_two_relays_that_start_at_once_one_is_the_first(connection, other, in_background):
    connection.execute("BEGIN")
    assert Snapshots(connection).add_first(FIRST) == FIRST
    found = in_background(lambda: in_one(other, replace(FIRST, sequence=3)))
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    assert found() == FIRST
    assert Snapshots(other).newest("chat") == FIRST


def in_one(connection, snapshot: SavedSnapshot) -> SavedSnapshot:
    connection.execute("BEGIN")
    kept = Snapshots(connection).add_first(snapshot)
    connection.execute("COMMIT")
    return kept


@pytest.mark.parametrize(("keep", "left"), [(2, [4, 5]), (1, [5]), (0, [5]), (9, [3, 4, 5])])
def test_old_ones_are_deleted(connection, snapshots, keep, left):
    for sequence in (3, 4, 5):
        snapshots.save(replace(FIRST, sequence=sequence))
    snapshots.save(replace(FIRST, stream="another", sequence=1))
    assert snapshots.delete_older("chat", keep) == left[0]
    rows = connection.execute(
        "SELECT sequence FROM cluster_snapshots WHERE stream = 'chat' ORDER BY sequence"
    ).fetchall()
    assert [sequence for (sequence,) in rows] == left
    assert snapshots.newest("another") is not None


def test_an_error_of_the_database_is_a_store_error(connection, snapshots):
    connection.execute("DROP TABLE cluster_snapshots")
    for use in (
        lambda: snapshots.newest("chat"),
        lambda: snapshots.save(FIRST),
        lambda: snapshots.add_first(FIRST),
        lambda: snapshots.delete_older("chat"),
    ):
        with pytest.raises(StoreError, match="snapshot"):
            use()
