"""Whether the tables of the history say what they should, on either engine."""

from __future__ import annotations

import sqlite3

from securechat.store.connection import Connection
from securechat.store.entries import SPOKEN_KINDS, Conversation, Entry
from securechat.store.history import History
from securechat.store.postgres_search import message_vector

__all__ = ["check_integrity", "count"]


def check_integrity(connection: Connection) -> None:
    """Check that each message is in the search index as it is, and nothing else is in there."""
    if isinstance(connection, sqlite3.Connection):
        History(connection).search([], limit=1)  # takes in what waits for the index
        connection.execute(
            "INSERT INTO message_index (message_index, rank) VALUES ('integrity-check', 1)"
        )
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return
    for number, redacted, words, *said in connection.execute(
        "SELECT conversation, redacted, words::text, msgid, kind, source, sender, account, detail,"
        " text, tags FROM messages"
    ).fetchall():
        msgid, *rest = said
        entry = Entry(Conversation(""), msgid, 0, *rest)
        expected = None if redacted else message_vector(number, entry)
        assert (expected is None) == (redacted or entry.kind not in SPOKEN_KINDS)
        assert connection.execute("SELECT ?::tsvector::text", (expected,)).fetchone() == (words,)


def count(connection: Connection, table: str) -> int:
    """Return how many rows the table has."""
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)
