"""The history in SQLite, into which one relay writes: the rows of messages and their numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from securechat.store.entries import (
    COUNT_BITS,
    FIRST_ID,
    LAST_ID,
    Conversation,
    Entry,
    Position,
    Readable,
)
from securechat.store.message_index import MessageIndex
from securechat.store.reading import COLUMNS, Parts, Reading

__all__ = ["SqliteMessages"]

_ROWS = 32
"""Entries in one statement. SQLite gives other threads their turn at the interpreter with each, and
has to get it back."""

# What is bound for each of them.
_ROW_VALUES = 10

_PLACES = f"({', '.join('?' * _ROW_VALUES)})"

# Without statistics SQLite may well take another index, and read through all.
_PARTS: Final = Parts(
    spoken="messages INDEXED BY messages_spoken WHERE kind IN ('PRIVMSG', 'NOTICE')",
    done="messages INDEXED BY messages_done WHERE kind NOT IN ('PRIVMSG', 'NOTICE')",
    own="messages INDEXED BY messages_by_account WHERE account = ?5",
    merged=True,
)


class SqliteMessages:
    """See ``Messages``. No two rows have one id, whatever their conversation."""

    parts: Final = _PARTS
    by_msgid: Final = "messages INDEXED BY messages_by_msgid"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._index = MessageIndex(connection)

    def take_turn(self, *, deleting: bool) -> None:
        """Do nothing: whoever writes here is alone."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Insert the entries, at least one, behind those that are there of their time."""
        ids = self._new_ids([entry.at_ms for entry in entries])
        self._index.put_off(ids)
        values: list[int | str | None] = []
        for number, conversation, entry in zip(
            ids, self._numbers_of(entries), entries, strict=True
        ):
            values += (number, conversation, entry.msgid, *entry[3:10])
        for start in range(0, len(values), _ROWS * _ROW_VALUES):
            some = values[start : start + _ROWS * _ROW_VALUES]
            places = ", ".join([_PLACES] * (len(some) // _ROW_VALUES))
            self._connection.execute(
                "INSERT INTO messages (id, conversation, msgid, kind, source, sender, account,"
                f" detail, text, tags) VALUES {places}"
                " ON CONFLICT (conversation, msgid) DO NOTHING",
                some,
            )
        self._index.take_in_if_many()

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
        """Return the newest rows that match, ascending. Takes in what waits for the index."""
        ids = self._index.search(
            readables, text=text, sender=sender, low=low, high=high, limit=limit
        )
        return [
            self._connection.execute(
                f"SELECT conversation, {COLUMNS} FROM messages WHERE id = ?", (found_id,)
            ).fetchone()
            for found_id in ids
        ]

    def newest(
        self, readables: Mapping[int, Readable], kinds: Collection[str] | None
    ) -> Iterator[tuple[int, int]]:
        """Yield the newest readable id of each conversation that has any."""
        for number, readable in readables.items():
            reading = Reading(self._connection, self.parts, number, readable, kinds)
            for row in reading.rows(FIRST_ID, LAST_ID, 1, newest=True):
                yield number, row[0]

    def redact(self, conversation: int, row_id: int) -> bool:
        """Empty a row, and take it out of the search."""
        self._index.take_out([row_id])
        redacted = self._connection.execute(
            "UPDATE messages SET text = '', tags = '', detail = '', redacted = TRUE"
            " WHERE conversation = ? AND id = ? AND NOT redacted",
            (conversation, row_id),
        )
        return redacted.rowcount == 1

    def disown(self, account: str, most: int) -> int:
        """Have up to ``most`` rows of the account be nobody's; return how many."""
        found = self._connection.execute(
            "SELECT messages.id FROM conversations"
            " CROSS JOIN messages INDEXED BY messages_by_account"
            " ON messages.conversation = conversations.id WHERE account = ? LIMIT ?",
            (account, most),
        ).fetchall()
        ids = [number for (number,) in found]
        if ids:
            # The search knows a message by its account too.
            self._index.take_out(ids)
            self._connection.execute(
                f"UPDATE messages SET account = NULL WHERE id IN ({_places(ids)})", ids
            )
            self._index.put_off(ids)
        return len(ids)

    def delete(self, rows: Sequence[tuple[int, int]]) -> int:
        """Delete the rows, and conversations left empty."""
        ids = [row_id for row_id, _ in rows]
        self._index.take_out(ids)
        deleted = self._connection.execute(
            f"DELETE FROM messages WHERE id IN ({_places(ids)})", ids
        ).rowcount
        self._connection.executemany(
            "DELETE FROM conversations WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)",
            sorted({(conversation,) for _, conversation in rows}),
        )
        return deleted

    def _new_ids(self, times: Sequence[int]) -> list[int]:
        """Return an id for each time in milliseconds: the next ones of its millisecond."""
        first, last = Position.at(min(times)).first_id, Position.at(max(times)).last_id
        taken = dict(
            self._connection.execute(
                f"SELECT id >> {COUNT_BITS} AS at_ms, max(id) FROM messages"
                " WHERE id BETWEEN ? AND ? GROUP BY at_ms",
                (first, last),
            ).fetchall()
        )
        ids = []
        for at_ms in times:
            before = taken.get(at_ms)
            number = taken[at_ms] = at_ms << COUNT_BITS if before is None else before + 1
            ids.append(number)
        return ids

    def _numbers_of(self, entries: Iterable[Entry]) -> Iterator[int]:
        """Yield the number of each entry's conversation, which there is from now on."""
        numbers: dict[Conversation, int] = {}
        for entry in entries:
            conversation = entry.conversation
            number = numbers.get(conversation)
            if number is None:
                number = numbers[conversation] = self._number_of(conversation)
            yield number

    def _number_of(self, conversation: Conversation) -> int:
        key, parties = conversation.key, conversation.parties or (None, None)
        row = self._connection.execute(
            "SELECT id FROM conversations WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            self._connection.execute(
                "INSERT INTO conversations (key, party, other_party) VALUES (?, ?, ?)",
                (key, *parties),
            )
            row = self._connection.execute("SELECT last_insert_rowid()").fetchone()
        return int(row[0])


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
