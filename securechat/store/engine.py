"""What keeps a database in one thread: connecting, transactions, and what its errors mean.

The classes of this package only execute SQL; when a transaction begins and ends is decided above
them, for either engine in the same way, through a ``Database``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from securechat.errors import StoreError
from securechat.store.connection import Connection

__all__ = ["Database", "OutcomeUnknown"]


class OutcomeUnknown(StoreError):
    """The server was lost in a COMMIT, and has not come back: nobody knows what was kept."""


class Database(Protocol):
    """A database for the one thread that opens it. Everything may block.

    Methods raise what the engine does, which ``store_errors`` knows, unless they say otherwise.
    """

    def open(self, idle: Callable[[], None]) -> None:
        """Open it, and bring its schema to the newest version.

        From then on ``idle`` is called every moment while one of these methods, or a statement,
        waits for a server; it must not take long, nor use the database.

        Raises ``NewerSchemaError`` if a newer version wrote it, ``StoreError`` if it cannot be
        used.
        """

    def begin(self, *, writing: bool = True) -> Connection:
        """Begin a transaction, and return the connection for what is done in it.

        :param writing: whether it fails now, and not later, where nothing can be written.
        """

    def commit(self) -> bool:
        """Commit; when this returns it is on the disk. Return whether there was anything to keep.

        If this raises nothing was kept, but for ``OutcomeUnknown``.
        """

    def roll_back(self) -> None:
        """Undo the transaction, if there is one. Raises nothing."""

    @property
    def in_transaction(self) -> bool:
        """Whether the transaction is there still: some errors end it."""

    def save(self) -> None:
        """Take note of where the transaction is, before a part of it that may fail."""

    def undo(self) -> None:
        """Go back to where ``save`` was."""

    def release(self) -> None:
        """Forget where ``save`` was: the part has come to its end, one way or the other."""

    def write_nothing(self, connection: Connection) -> None:
        """Write what is there already, to see whether that can be done."""

    def hurry(self, hurried: bool) -> None:
        """Wait for nobody from now on, neither for the locks of others nor for the server."""

    def is_error(self, error: BaseException) -> bool:
        """Whether the error is one of the engine's own."""

    def is_trouble(self, error: BaseException | None) -> bool:
        """Whether it is not the work that is wrong, but the disk, the server or the machine.

        The error is of the engine, or has one as its cause, or the cause of that.
        """

    def is_passing(self, error: BaseException) -> bool:
        """Whether the whole transaction may well succeed if it is done again, and at once."""

    def close(self) -> None:
        """Close the database. May be called again."""
