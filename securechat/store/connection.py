"""What the classes of this package ask of a database: some way to execute SQL.

``sqlite3.Connection`` is one as it is; for PostgreSQL ``postgres.PostgresConnection`` is. Values
stand in the SQL as ``?``, or ``?1``, ``?2`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

__all__ = ["Connection", "Cursor", "DatabaseError"]


class Cursor(Protocol):
    """What a statement has found or done. A row is a tuple."""

    @property
    def rowcount(self) -> int:
        """How many rows an INSERT, UPDATE or DELETE has written."""

    def fetchone(self) -> Any:
        """Return the next row, ``None`` after the last."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection to a database, of the thread that opened it. Transactions are the caller's."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Execute one statement. Blocks. Raises what ``store_errors`` turns into ``StoreError``."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Execute the statement once for each of ``parameters``."""


class DatabaseError(Exception):
    """What an engine says against a statement, where SQLite raises ``sqlite3.Error``.

    ``code`` is the SQLSTATE, empty if the server has not said one; ``lost`` tells that the
    connection is of no use any more, and its transaction gone.
    """

    def __init__(self, text: str, code: str = "", *, lost: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.lost = lost
