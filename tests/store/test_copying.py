"""All of a database into another: every table of either engine, and what may differ."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import StoreError
from securechat.store import copying
from securechat.store.connection import Connection
from securechat.store.copying import TABLES, copy_all, count_all, filled_tables
from securechat.store.database import open_database
from securechat.store.entries import COUNT_BITS, Conversation, Entry, Readable
from securechat.store.history import History
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_url import parse_postgres_url
from tests.store.rich_database import fill

DERIVED = {
    *("message_index", "message_index_data", "message_index_idx", "message_index_content"),
    *("message_index_docsize", "message_index_config", "unindexed_ranges"),
}
"""Tables of SQLite that are made of the others: the search index."""

OF_POSTGRESQL = {"cluster_snapshots", "cluster_keeper", "last_commits", "schema_version"}


def contents(connection: Connection) -> dict[str, list[Any]]:
    """Return all rows of all tables that are copied, with what the engines write alike."""
    found = {}
    for table in TABLES:
        columns = ", ".join(table.columns)
        rows = connection.execute(f"SELECT {columns} FROM {table.name}").fetchall()
        found[table.name] = sorted(rows, key=repr)
    return found


@pytest.fixture
def rich(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with something in every column."""
    with closing(open_database(tmp_path / "rich.db")) as connection:
        fill(connection)
        yield connection


@pytest.fixture
def server(postgres_url: str) -> Iterator[PostgresConnection]:
    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        connection.execute("BEGIN")
        yield connection


@pytest.fixture
def back(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "back.db")) as connection:
        yield connection


def test_every_column_of_sqlite_is_copied(rich: sqlite3.Connection) -> None:
    names = {
        name for (name,) in rich.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    assert names - DERIVED == {table.name for table in TABLES}
    for table in TABLES:
        info = rich.execute(f"PRAGMA table_info({table.name})").fetchall()
        expected = {name for _, name, *_ in info}
        if table.name == "accounts":
            expected.remove("id")  # nothing refers to it
        assert set(table.columns) == expected, table.name


def test_every_column_of_postgresql_is_copied(server: PostgresConnection) -> None:
    rows = server.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema()"
    ).fetchall()
    copied = {(table.name, column) for table in TABLES for column in table.columns}
    assert {row for row in rows if row[0] not in OF_POSTGRESQL} - copied == {("messages", "words")}
    assert copied <= set(rows)


def test_the_rich_database_is_rich(rich: sqlite3.Connection) -> None:
    for table in TABLES:
        for column in table.columns:
            values = [v for (v,) in rich.execute(f"SELECT {column} FROM {table.name}")]
            assert any(value not in (None, "", 0) for value in values), f"{table.name}.{column}"


@pytest.mark.parametrize("rows_a_slice", [1, 3, 10_000])
def test_there_and_back_it_is_the_same(
    rich: sqlite3.Connection,
    server: PostgresConnection,
    back: sqlite3.Connection,
    rows_a_slice: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "_SLICE", rows_a_slice)
    expected = contents(rich)
    counted = copy_all(rich, server)
    assert contents(server) == expected
    assert counted == count_all(rich) == {name: len(rows) for name, rows in expected.items()}
    assert copy_all(server, back) == counted
    assert contents(back) == expected
    assert back.execute("PRAGMA foreign_key_check").fetchall() == []
    back.execute("INSERT INTO message_index (message_index) VALUES ('integrity-check')")


def test_what_was_said_is_found(
    rich: sqlite3.Connection, server: PostgresConnection, back: sqlite3.Connection
) -> None:
    copy_all(rich, server)
    copy_all(server, back)
    room = [Readable("room-1", 0, None)]
    for connection in (rich, server, back):
        history = History(connection)
        found = history.search(room, text="привет", limit=10)
        assert [each.entry.text for each in found] == ["Привет, world"]
        assert history.search(room, text="secret", limit=10) == [], "it was redacted"
        assert len(history.search(room, sender="ann", limit=10)) == 2


def test_what_comes_after_has_numbers_of_its_own(
    rich: sqlite3.Connection, server: PostgresConnection, back: sqlite3.Connection
) -> None:
    copy_all(rich, server)
    copy_all(server, back)
    new = Conversation("another room")
    for connection in (server, back):
        History(connection).add([_entry(new, "new", 5_000)])
        (number,) = connection.execute(
            "SELECT id FROM conversations WHERE key = ?", (new.key,)
        ).fetchone()
        (others,) = connection.execute(
            "SELECT count(*) FROM messages WHERE conversation = ?", (number,)
        ).fetchone()
        assert others == 1


def test_what_has_one_place_in_several_rooms_comes_one_after_the_other(
    server: PostgresConnection, back: sqlite3.Connection
) -> None:
    rooms = [Conversation(f"room-{n}") for n in range(3)]
    entries = [_entry(room, msgid, 1_000) for msgid in ("quit-a", "quit-b") for room in rooms]
    History(server).add(entries)
    copy_all(server, back)
    rows = back.execute("SELECT id, conversation, msgid FROM messages ORDER BY id").fetchall()
    assert [row_id for row_id, _, _ in rows] == [(1_000 << COUNT_BITS) + n for n in range(6)]
    for number in {number for _, number, _ in rows}:
        assert [m for _, each, m in rows if each == number] == ["quit-a", "quit-b"]


def test_a_database_that_is_empty(server: PostgresConnection, back: sqlite3.Connection) -> None:
    assert filled_tables(server) == filled_tables(back) == []
    assert set(copy_all(server, back).values()) == {0}


def test_what_is_filled(rich: sqlite3.Connection, server: PostgresConnection) -> None:
    assert filled_tables(rich) == [table.name for table in TABLES]
    server.execute("INSERT INTO cluster_keeper (id, term, kept) VALUES (1, 1, 1)")
    assert filled_tables(server) == ["cluster_keeper"]


def test_what_postgresql_cannot_hold(rich: sqlite3.Connection, server: PostgresConnection) -> None:
    rich.execute("UPDATE accounts SET name = 'a' || char(0) || 'b'")
    with pytest.raises(StoreError, match="NUL"):
        copy_all(rich, server)


def test_what_has_not_arrived_is_told(rich: sqlite3.Connection, server: PostgresConnection) -> None:
    server.execute(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    server.execute("CREATE TRIGGER lose BEFORE INSERT ON bans FOR EACH ROW EXECUTE FUNCTION lose()")
    with pytest.raises(StoreError, match="not all has arrived in bans"):
        copy_all(rich, server)


def test_progress(
    rich: sqlite3.Connection, server: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_SLICE", 2)
    told: list[tuple[str, int]] = []
    copy_all(rich, server, lambda table, rows: told.append((table, rows)))
    assert [rows for table, rows in told if table == "messages"] == [2, 4, 5]


def _entry(conversation: Conversation, msgid: str, at_ms: int) -> Entry:
    return Entry(conversation, msgid, at_ms, "PRIVMSG", "ann!a@b", "ann", None, "#room", "word", "")
