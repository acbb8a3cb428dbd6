"""Opening the database: the file, the lock, the pragmas, the schema."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from securechat.errors import StoreError
from securechat.store.connection import DatabaseError
from securechat.store.migrations import check_schema, migrate

__all__ = [
    "BUSY_TIMEOUT_MS",
    "CACHE_KIB",
    "database_locked",
    "give_to_owner_of",
    "open_database",
    "read_only",
    "store_errors",
]

# How long a statement waits for another program that has the file open (a backup, the sqlite3
# shell). Such a lock lasts milliseconds; after seconds, failing tells more than waiting.
BUSY_TIMEOUT_MS = 5000

# Pages kept in memory, at most. SQLite's own 2 MiB do not hold the inner pages of the indexes of
# two million messages, nor those that a group of messages for a hundred rooms changes.
CACHE_KIB = 32768


@contextlib.contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn what a database or the file system raises inside into a ``StoreError``: cannot …"""
    try:
        yield
    except (sqlite3.Error, DatabaseError, OSError) as error:
        raise StoreError(f"cannot {doing}: {error}") from error


def open_database(path: Path) -> sqlite3.Connection:
    """Open the relay's database for the calling thread; make or upgrade it as needed.

    The file is made readable by its owner only (0600), and so is its folder if missing (0700).
    Until the connection is closed no other relay can open the same database; reading it with other
    programs (a backup) and by ``read_only`` stays possible. Transactions are the caller's: BEGIN
    IMMEDIATE, COMMIT.

    Raises ``NewerSchemaError`` if a newer version wrote it, ``StoreError`` if it cannot be used.
    """
    with store_errors(f"open the database {path}"):
        path = Path(os.path.realpath(path))  # one name, and thus one lock, for one file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(path)
        try:
            return _open(path, lock)
        except BaseException:
            lock.close()
            raise


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection for reading a database, which is neither made nor upgraded.

    A relay may use it meanwhile. Transactions are the caller's: without one each statement sees
    what is there by then. Raises ``StoreError`` if it cannot be read, also while it is used.
    """
    with store_errors(f"read the database {path}"):
        # Not mode=ro, which would leave the -wal and -shm files behind.
        uri = f"{Path(os.path.realpath(path)).as_uri()}?mode=rw"
        opened = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None
        )
        with contextlib.closing(opened) as connection:
            connection.execute("PRAGMA query_only = ON")
            yield connection


@contextlib.contextmanager
def database_locked(path: Path) -> Iterator[None]:
    """While inside, no relay can open the database, which need not exist; its folder is made.

    Raises ``StoreError`` if a relay uses it.
    """
    with store_errors(f"use the database {path}"):
        path = Path(os.path.realpath(path))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(path)
    with contextlib.closing(lock):
        yield


class _LockedConnection(sqlite3.Connection):
    """A connection that lets go of the relay's lock after it is closed."""

    lock: sqlite3.Connection | None = None

    def close(self) -> None:
        super().close()
        if self.lock is not None:
            self.lock.close()


def _lock(path: Path) -> sqlite3.Connection:
    """Take the lock by which one relay alone uses ``path``; held until the result is closed.

    It is an exclusive transaction on an empty database beside the real one. Not
    ``PRAGMA locking_mode``, which would shut out backups too; not ``fcntl``, which not every
    platform has. SQLite's own locks work wherever SQLite does, within one process as well, and end
    with the process however it ends. The lock file stays: deleting it could delete one that
    another relay has just locked.
    """
    lock_path = path.with_name(path.name + ".lock")
    _create_private(lock_path)
    lock = sqlite3.connect(lock_path, timeout=0, isolation_level=None)
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")  # else a journal lies beside the lock
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        lock.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise StoreError(
                f"the database {path} is in use by another relay: stop that one first, or give "
                "this one a database of its own. A command that writes there is done in a moment"
            ) from error
        raise
    return lock


def _open(path: Path, lock: sqlite3.Connection) -> sqlite3.Connection:
    _create_private(path)
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_MS / 1000,  # sqlite3_busy_timeout
        isolation_level=None,
        factory=_LockedConnection,
    )
    try:
        check_schema(connection, path)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"cannot open the database {path}: no WAL on this file system")
        # A message whose echo the sender has seen must be in the history whatever happens next, so
        # a commit has to be on the disk when COMMIT returns. In WAL mode NORMAL would stand a
        # killed process but not a power cut. The price is one fsync for each commit, and the
        # relay groups its writes to share it.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        # SQLite opens a file that it may not write without complaint, and lets even BEGIN IMMEDIATE
        # pass; only a write tells.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA user_version = 0")
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA foreign_keys = OFF")  # as `migrate` requires
        migrate(connection, path)
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    connection.lock = lock
    return connection


def _create_private(path: Path) -> None:
    """Make ``path``, readable by its owner only, unless it exists.

    What root makes belongs to whom the folder belongs to: to the user that the relay runs as.
    SQLite gives the -wal and -shm files the mode of the database. A file that exists must not be
    opened here: closing any descriptor of it would drop the POSIX locks that this process holds on
    it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            give_to_owner_of(path.parent, descriptor)
        finally:
            os.close(descriptor)


def give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Have an open file belong to whom ``folder`` belongs to, if we are root and can do that."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        owner = folder.stat()
        with contextlib.suppress(OSError):  # as in a container that knows no such user
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
