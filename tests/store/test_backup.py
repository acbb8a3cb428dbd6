"""Copies of the database, made while others write into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import NewerSchemaError, StoreError
from securechat.store.accounts import Accounts
from securechat.store.backup import check_copy, copy_database
from securechat.store.database import database_locked, open_database
from securechat.store.migrations import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(path)) as connection:
        yield connection


def names(path: Path) -> list[str]:
    with closing(open_database(path)) as connection:
        return [name for _, name in Accounts(connection).names()]


def test_a_copy_is_of_one_moment(
    connection: sqlite3.Connection, path: Path, tmp_path: Path
) -> None:
    """What is not committed yet is not in it; nor does a copy keep anybody from writing."""
    accounts, copy = Accounts(connection), tmp_path / "copy.db"
    accounts.create("ann", "ann", "", "", 1.0)
    connection.execute("BEGIN IMMEDIATE")
    accounts.create("bob", "bob", "", "", 1.0)
    assert copy_database(path, copy) == len(MIGRATIONS)
    connection.execute("COMMIT")
    assert [each.name for each in tmp_path.glob("copy*")] == ["copy.db"]
    assert check_copy(copy) == len(MIGRATIONS)
    assert names(copy) == ["ann"]
    assert [name for _, name in accounts.names()] == ["ann", "bob"]


def test_what_was_deleted_takes_no_room_in_a_copy(
    connection: sqlite3.Connection, path: Path, tmp_path: Path
) -> None:
    Accounts(connection).create("ann", "ann", "x" * 100_000, "", 1.0)
    Accounts(connection).delete("ann")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy_database(path, tmp_path / "copy.db")
    assert path.stat().st_size - (tmp_path / "copy.db").stat().st_size >= 90_000


def test_a_database_of_before_an_upgrade_stays_one(path: Path, tmp_path: Path) -> None:
    with closing(open_database(path)) as connection:
        connection.execute("DROP TABLE bans")
        connection.execute("PRAGMA user_version = 4")
    assert copy_database(path, tmp_path / "copy.db") == 4
    assert check_copy(tmp_path / "copy.db") == 4
    assert check_copy(path) == 4


def test_a_newer_database(path: Path, tmp_path: Path) -> None:
    with closing(open_database(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    with pytest.raises(NewerSchemaError):
        copy_database(path, tmp_path / "copy.db")
    with pytest.raises(NewerSchemaError):
        check_copy(path)


def test_no_database(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot copy the database .*relay\.db: unable to open"):
        copy_database(path, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE x (y)")
    with pytest.raises(StoreError, match="a database of some other program"):
        check_copy(path)


def test_a_copy_into_what_is_there_already(
    connection: sqlite3.Connection, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StoreError, match="cannot copy the database"):
        copy_database(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_damaged_copy(connection: sqlite3.Connection, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    for number in range(100):
        Accounts(connection).create(f"name {number}", f"name {number}", "x" * 100, "", 1.0)
    copy_database(path, copy)
    with closing(sqlite3.connect(copy)) as other:
        (page,) = other.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_accounts_1'"
        ).fetchone()
    data = bytearray(copy.read_bytes())
    data[page * 4_096 - 500 : page * 4_096 - 300] = b"?" * 200
    copy.write_bytes(data)
    with pytest.raises(StoreError, match=r"copy\.db is damaged: |malformed"):
        check_copy(copy)


def test_rows_that_are_missing(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO room_people VALUES ('no room', 'ann', '', 1, 0)")
    with pytest.raises(StoreError, match="is damaged: rows are missing"):
        check_copy(path)


def test_a_locked_database_is_opened_by_nobody(path: Path) -> None:
    with database_locked(path):
        assert not path.exists()
        with pytest.raises(StoreError, match="in use by another relay"):
            open_database(path)
    with (
        closing(open_database(path)),
        pytest.raises(StoreError, match="in use by another relay"),
        database_locked(path),
    ):
        pass
    with database_locked(path):
        pass
