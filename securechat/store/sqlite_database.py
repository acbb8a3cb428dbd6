"""SQLite as the store's engine: a file that this process has for itself."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.store.connection import Connection
from securechat.store.database import BUSY_TIMEOUT_MS, open_database

__all__ = ["SqliteDatabase"]

_TROUBLES: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""What SQLite says when it is not the work that is wrong, but the disk, the file or the machine."""

_log = logging.getLogger(__name__)


class SqliteDatabase:
    """A ``Database`` in the file ``path``, made if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: sqlite3.Connection | None = None
        self._changes = 0

    def open(self, idle: Callable[[], None]) -> None:
        """Open the file; see ``open_database``. There is no server to wait for."""
        self._opened = open_database(self._path)

    def begin(self, *, writing: bool = True) -> Connection:
        """Begin a transaction, a writing one with the lock that it needs."""
        connection = self._connection
        self._changes = connection.total_changes
        connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        return connection

    def commit(self) -> bool:
        """Commit: one fsync, if anything was written."""
        self._connection.execute("COMMIT")
        return self._connection.total_changes != self._changes

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        if self.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                _log.exception("the store could not roll back")

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction is there still.

        A full disk and a few other errors make SQLite roll back all of it at once
        (https://www.sqlite.org/lang_transaction.html, 2.3).
        """
        return self._connection.in_transaction

    def save(self) -> None:
        """Set a savepoint."""
        self._connection.execute("SAVEPOINT task")

    def undo(self) -> None:
        """Go back to it."""
        self._connection.execute("ROLLBACK TO task")

    def release(self) -> None:
        """Take it away."""
        self._connection.execute("RELEASE task")

    def write_nothing(self, connection: Connection) -> None:
        """Write the number of the schema that is there."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version}")

    def hurry(self, hurried: bool) -> None:
        """Wait for no lock of others, or for as long as is usual."""
        self._connection.execute(f"PRAGMA busy_timeout = {0 if hurried else BUSY_TIMEOUT_MS}")

    def is_error(self, error: BaseException) -> bool:
        """Whether SQLite has raised it."""
        return isinstance(error, sqlite3.Error)

    def is_trouble(self, error: BaseException | None) -> bool:
        """Whether it, or its cause, is one of ``_TROUBLES``."""
        while error is not None and not isinstance(error, sqlite3.Error):
            error = error.__cause__
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _TROUBLES

    def is_passing(self, error: BaseException) -> bool:
        """Nothing passes: nobody else writes."""
        return False

    def close(self) -> None:
        """Close the file, and let go of its lock."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    @property
    def _connection(self) -> sqlite3.Connection:
        assert self._opened is not None, "it is not open"
        return self._opened
