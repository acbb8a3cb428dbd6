"""A copy of a database in SQLite: made while a relay writes, and checked before it is used.

PostgreSQL has ``pg_dump``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from securechat.errors import StoreError
from securechat.store.database import BUSY_TIMEOUT_MS, store_errors
from securechat.store.migrations import check_schema

__all__ = ["check_copy", "copy_database"]


def copy_database(path: Path, copy: Path) -> int:
    """Write the database as it is now into ``copy``; return the version of its schema.

    A relay may go on writing: what comes meanwhile is not in the copy. Nor is the room that deleted
    rows have left. ``copy`` must be empty or not exist; it is one whole file, with no log of
    transactions beside it. Blocks for as long as it takes to read and write all. Raises
    ``StoreError``; then ``copy`` is of no use.
    """
    with store_errors(f"copy the database {path}"), _opened(path) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
        return _version(connection)


def check_copy(path: Path) -> int:
    """Check a copy in every place; return the version of its schema. Blocks as ``copy_database``.

    Raises ``NewerSchemaError`` if a newer version wrote it, ``StoreError`` if it is damaged.
    """
    with store_errors(f"check the database {path}"), _opened(path) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise StoreError("the database {path} is damaged: {found}", path=path, found=found)
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise StoreError("the database {path} is damaged: rows are missing", path=path)
        return _version(connection)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database of ours as it is: it is neither made nor brought to the newest version."""
    with closing(
        sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
        )
    ) as connection:
        check_schema(connection, path)
        yield connection


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
