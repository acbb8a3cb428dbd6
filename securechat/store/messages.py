"""The tables of the history, by what SQLite and PostgreSQL do differently.

How entries get their place when one relay writes or several do, how words are found, and what is
said to the planner. All else that ``History`` does is the same SQL for both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from securechat.store.connection import Connection
from securechat.store.entries import Entry, Readable
from securechat.store.postgres_messages import PostgresMessages
from securechat.store.reading import Parts
from securechat.store.sqlite_messages import SqliteMessages

__all__ = ["Messages", "messages_in"]


class Messages(Protocol):
    """The tables of one connection, of the thread that opened it.

    Neither begins nor commits, and raises what the engine does: it is a part of ``History``. A row
    of the table is known by its id and the number of its conversation.
    """

    @property
    def parts(self) -> Parts:
        """How a conversation is read in the order of time."""

    @property
    def by_msgid(self) -> str:
        """The table, by the one index that has all entries of a conversation."""

    def take_turn(self, *, deleting: bool) -> None:
        """Wait for those that write: see ``History.take_turn``."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Insert the entries, at least one, and their conversations where there are none yet."""

    def search(
        self,
        readables: Mapping[int, Readable],
        *,
        text: str | None,
        sender: str | None,
        low: int,
        high: int,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        """Return the newest ``limit`` rows from id ``low`` to ``high`` that match, ascending.

        ``readables`` are by the number of their conversation. A row is that number, and
        ``COLUMNS``. For the rest see ``History.search``.
        """

    def newest(
        self, readables: Mapping[int, Readable], kinds: Collection[str] | None
    ) -> Iterable[tuple[int, int]]:
        """Return (number of the conversation, newest readable id) of each that has any entry."""

    def redact(self, conversation: int, row_id: int) -> bool:
        """Empty a row and mark it; ``False`` if it was redacted already."""

    def disown(self, account: str, most: int) -> int:
        """Have up to ``most`` rows of the account be nobody's; return how many."""

    def delete(self, rows: Sequence[tuple[int, int]]) -> int:
        """Delete the rows of these (id, conversation), and conversations left empty.

        Returns how many rows it has deleted, which others may have done before.
        """


def messages_in(connection: Connection) -> Messages:
    """Return the tables of the connection, in the way of its engine."""
    if isinstance(connection, sqlite3.Connection):
        return SqliteMessages(connection)
    return PostgresMessages(connection)
