"""The search index in SQLite: which messages have which words, in which conversation, and by whom.

It takes in messages in groups, before a search or when many wait; the schema has the reason.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing

from securechat.store.entries import Position, Readable

__all__ = ["MessageIndex"]

# Messages that wait for the search index. A search takes them in first, at some 10 µs each.
_UNINDEXED_LIMIT = 512

# Hits of a search that are checked one by one, at some 3 µs each, before the search index is asked
# with the conversations. That takes up to 1 ms for each of them, and 10 ms for a hundred.
_CHECKED_HITS = 500

# Conversations named in one query of the search index, lest its text grow without limit.
_CONVERSATIONS_A_QUERY = 500


class MessageIndex:
    """The search index. Owned by the thread that opened the connection.

    Neither begins nor commits, and raises what SQLite does: it is a part of ``History``.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def put_off(self, ids: Sequence[int]) -> None:
        """Have wait what is about to be added under these ids, or was taken out.

        At least one; each is new, or is not in the search index.
        """
        first, last = min(ids), max(ids)
        # Mostly nothing else is between them, and one range costs as much as one id. But where the
        # clock was set back, what is between them may be in the search index.
        between = self._connection.execute(
            "SELECT 1 FROM messages WHERE id BETWEEN ? AND ? LIMIT 1", (first, last)
        ).fetchone()
        self._connection.executemany(
            "INSERT INTO unindexed_ranges"
            " SELECT coalesce(max(number), 0) + ?, ?, ? FROM unindexed_ranges",
            [(len(ids), first, last)] if between is None else [(1, each, each) for each in ids],
        )

    def take_in_if_many(self) -> None:
        """Take in what waits if that is so much that a search would have to wait for it."""
        (waiting,) = self._connection.execute("SELECT max(number) FROM unindexed_ranges").fetchone()
        if waiting is not None and waiting >= _UNINDEXED_LIMIT:
            self.take_in()

    def take_in(self) -> None:
        """Take into the search index what waits for it."""
        if self._connection.execute("SELECT 1 FROM unindexed_ranges LIMIT 1").fetchone() is None:
            return
        self._connection.execute(
            "INSERT INTO message_index (rowid, conversation, author, text)"
            " SELECT id, conversation, author, text FROM searchable_messages WHERE id IN"
            " (SELECT id FROM unindexed_ranges CROSS JOIN messages ON id BETWEEN first AND last)"
            " ORDER BY id"
        )
        self._connection.execute("DELETE FROM unindexed_ranges")

    def take_out(self, ids: Sequence[int]) -> None:
        """Take these messages out of the search index."""
        self.take_in()
        # The index must be told the very words that it was given.
        # https://www.sqlite.org/fts5.html#the_delete_command
        self._connection.execute(
            "INSERT INTO message_index (message_index, rowid, conversation, author, text)"
            " SELECT 'delete', id, conversation, author, text FROM searchable_messages"
            f" WHERE id IN ({', '.join('?' * len(ids))}) ORDER BY id",
            ids,
        )

    def search(
        self,
        readables: Mapping[int, Readable],
        *,
        text: str | None,
        sender: str | None,
        low: int,
        high: int,
        limit: int,
    ) -> list[int]:
        """Return the newest ``limit`` ids from ``low`` to ``high`` that match, ascending.

        ``readables`` are by the number of their conversation. For the rest see ``History.search``.
        """
        if limit <= 0:
            return []
        terms = []
        if text is not None:
            words = [word for word in text.split() if any(map(str.isalnum, word))]
            if not words:
                return []
            terms += [f"text : {_quoted(word)}" for word in words]
        if sender is not None:
            terms.append(f"author : n{_hex(sender)}")
        self.take_in()
        return _Search(self._connection, readables, terms, limit).newest(low, high)


class _Search:
    """One search: the newest ids so far, and thus what is too old to look for."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        readables: Mapping[int, Readable],
        terms: Sequence[str],
        limit: int,
    ) -> None:
        self._connection = connection
        self._readables = readables  # by the number of the conversation
        self._terms = terms
        self._limit = limit
        self._newest: list[int] = []  # ascending

    def newest(self, low: int, high: int) -> list[int]:
        """Return the newest ids from ``low`` to ``high`` that may be read, ascending.

        If there are few hits, or most of them may be read, the fastest is to check each. If there
        are many that may not, the index itself has to leave out other conversations.
        """
        if self._terms:
            unchecked = self._check(self._terms, low, high, _CHECKED_HITS)
            if unchecked is None:
                return self._newest
            high = unchecked
        below_floors = {
            readable.own_account for readable in self._readables.values() if readable.floor_ms > 0
        }
        for account in below_floors:
            if account is not None:
                self._check([*self._terms, f"author : a{_hex(account)}"], low, high, -1)
        floors: defaultdict[int, list[int]] = defaultdict(list)
        for number, readable in self._readables.items():
            floors[readable.floor_ms].append(number)
        for floor_ms, numbers in floors.items():
            floor_id = Position.at(floor_ms).first_id
            for start in range(0, len(numbers), _CONVERSATIONS_A_QUERY):
                some = " OR ".join(map(str, numbers[start : start + _CONVERSATIONS_A_QUERY]))
                terms = [f"conversation : ({some})", *self._terms]
                self._take_all(terms, max(low, floor_id), high)
        return self._newest

    def _check(self, terms: Sequence[str], low: int, high: int, most: int) -> int | None:
        """Take what may be read of the newest ``most`` hits (-1: of all).

        Returns the highest id that was not checked, or None if it is of no interest.
        """
        taken: list[int] = []
        with closing(
            self._connection.execute(
                "SELECT messages.id, messages.conversation, account"
                " FROM message_index CROSS JOIN messages ON messages.id = message_index.rowid"
                " WHERE message_index MATCH ? AND message_index.rowid BETWEEN ? AND ?"
                " ORDER BY message_index.rowid DESC",
                (" AND ".join(terms), low, high),
            )
        ) as hits:
            unchecked = None
            for checked, (found_id, number, account) in enumerate(hits, start=1):
                readable = self._readables.get(number)
                if readable is not None and readable.allows(found_id, account):
                    taken.append(found_id)
                    if len(taken) == self._limit:
                        break
                if checked == most:
                    unchecked = found_id - 1
                    break
        self._take(taken)
        return unchecked

    def _take_all(self, terms: Sequence[str], low: int, high: int) -> None:
        if len(self._newest) == self._limit:
            low = max(low, self._newest[0] + 1)
        if low <= high:
            rows = self._connection.execute(
                "SELECT rowid FROM message_index WHERE message_index MATCH ?"
                " AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?",
                (" AND ".join(terms), low, high, self._limit),
            )
            self._take([found_id for (found_id,) in rows])

    def _take(self, ids: list[int]) -> None:
        self._newest = sorted({*self._newest, *ids})[-self._limit :]


def _hex(name: str) -> str:
    return name.encode().hex()


def _quoted(word: str) -> str:
    # A string of FTS5, in which only the quotation mark is special; a NUL would end the query.
    return '"' + word.replace("\0", " ").replace('"', '""') + '"'
