"""How the schema came to be: an append-only list, indexed by ``PRAGMA user_version``.

A database of version n has had the first n migrations. To change the schema, append one; never edit
or reorder those that were released, for databases out there have had them as they were. Each one
is a tuple of single statements, run together with the step of ``user_version`` in one transaction:
a crash leaves the version before or the version after, nothing between.

Only what SQLite 3.34 knows may be used (RHEL 9 ships that): no ``STRICT``, no ``RETURNING``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from securechat.errors import NewerSchemaError, StoreError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "check_schema", "migrate"]

# "SCht" in the header of the file, so that a path to some other program's database is noticed
# before its tables are touched.
APPLICATION_ID = 0x53436874

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Times are seconds since 1970, UTC. `folded_name` is the name by which it is looked up.
        """
        CREATE TABLE accounts (
            id INTEGER PRIMARY KEY,
            folded_name TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            password_hash TEXT NOT NULL,
            scram TEXT NOT NULL,
            created_at REAL NOT NULL,
            last_login_at REAL
        )
        """,
        """
        CREATE TABLE relay_secrets (
            name TEXT NOT NULL PRIMARY KEY,
            value BLOB NOT NULL
        )
        """,
    ),
    (
        # `code_hash` is the SHA-256 of the code.
        """
        CREATE TABLE invites (
            code_hash BLOB NOT NULL PRIMARY KEY,
            uses_left INTEGER NOT NULL,
            expires_at REAL NOT NULL,
            created_at REAL NOT NULL
        )
        """,
    ),
)


def check_schema(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Refuse a database that ``migrate`` must not touch; writes nothing.

    Raises ``NewerSchemaError`` for one that a newer version wrote, ``StoreError`` for one of some
    other program.
    """
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is a database of some other program, not of securechat")
    version = _pragma(connection, "user_version")
    if version > len(migrations):
        raise NewerSchemaError(
            f"{path} has schema version {version}, but this securechat knows only versions up to "
            f"{len(migrations)}: start the newer securechat that wrote it, or put back a copy of "
            "the database from before the upgrade"
        )


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring the schema to the newest version; does nothing if it is there already.

    Requires ``check_schema`` to have passed, and foreign keys to be off: with them on, rebuilding
    a table that others refer to would delete their rows. They are checked before each commit
    instead. Raises ``StoreError`` if a migration fails; the database is then as it was before it.
    """
    for version in range(_pragma(connection, "user_version"), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[version]:
                connection.execute(statement)
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StoreError("rows would refer to rows that do not exist")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise StoreError(
                f"cannot bring {path} from schema version {version} to {version + 1}: {error}"
            ) from error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
