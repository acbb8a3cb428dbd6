"""What was said and done, in rooms and in direct conversations, and searching in it.

What a line looks like is the caller's: kinds, sources, details and tags are kept as they come.
Only this is known here: ``PRIVMSG`` and ``NOTICE`` are what people say, which ``search`` looks in.

Every entry has a ``Position``, first by time, then in the order in which entries were added. It is
the number of its row: the time in milliseconds, shifted, and a count within the millisecond. So a
page, a time, an age and the newest hits of a search are all ranges of row numbers.

Reading is always through a ``Readable``, so that there is no way to read what one may not.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from securechat.store.database import store_errors

__all__ = [
    "SPOKEN_KINDS",
    "Conversation",
    "Entry",
    "History",
    "KeptEntry",
    "Page",
    "Position",
    "Readable",
]

SPOKEN_KINDS: Final = frozenset({"PRIVMSG", "NOTICE"})
"""What can be searched. The schema names them too."""

# Messages that wait for the search index. A search takes them in first, at some 10 µs each.
_UNINDEXED_LIMIT = 512

# Hits of a search that are checked one by one, at some 3 µs each, before the search index is asked
# with the conversations. That takes up to 1 ms for each of them, and 10 ms for a hundred.
_CHECKED_HITS = 500

# Conversations named in one query of the search index, lest its text grow without limit.
_CONVERSATIONS_A_QUERY = 500

# 65,536 entries of one millisecond. One that gets no number is an error of that entry's addition.
_COUNT_BITS = 16

# The year 4199; row numbers have 63 bits, and people ask for any time.
_MAX_MS = 1 << 46

_FIRST_ID: Final = 0
_LAST_ID: Final = (1 << 63) - 1


class Conversation(NamedTuple):
    """A room, or what two people say to each other.

    ``key`` is opaque and unique. ``parties`` are the two people of a direct conversation.
    """

    key: str
    parties: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a conversation. Immutable.

    ``at_ms`` is milliseconds since 1970, UTC; ``sender`` the folded nick of ``source``. ``detail``
    is whatever else the line needs, ``tags`` its client-only tags. The same ``msgid`` may be in
    several conversations, but only once in each.
    """

    conversation: Conversation
    msgid: str
    at_ms: int
    kind: str
    source: str
    sender: str
    account: str | None
    detail: str
    text: str
    tags: str


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order of all entries: that of an entry, or a time. Immutable, opaque.

    What is before or after a time excludes all entries of that millisecond.
    """

    _first_id: int
    _last_id: int

    @classmethod
    def at(cls, at_ms: int) -> Position:
        """Return the position of a time; one far out of range is that of the end of time."""
        first = min(max(at_ms, 0), _MAX_MS) << _COUNT_BITS
        return cls(first, first | ((1 << _COUNT_BITS) - 1))

    @property
    def at_ms(self) -> int:
        """The time, in milliseconds since 1970, UTC."""
        return self._first_id >> _COUNT_BITS


class KeptEntry(NamedTuple):
    """An entry as it was read back. Of a redacted one, text, tags and detail are empty."""

    entry: Entry
    position: Position
    redacted: bool


class Page(NamedTuple):
    """Some entries of a conversation, ascending.

    ``from_oldest`` tells that nothing readable of the kinds asked for is before them (or, without
    entries, before the place where they would be).
    """

    entries: list[KeptEntry]
    from_oldest: bool


@dataclass(frozen=True, slots=True)
class Readable:
    """What somebody may read of a conversation. Immutable.

    That is the entries at or after ``floor_ms``, and all of ``own_account``.
    """

    key: str
    floor_ms: int = 0
    own_account: str | None = None


_COLUMNS = "id, msgid, kind, source, sender, account, detail, text, tags, redacted"


class History:
    """The tables of conversations and messages. Owned by the thread that opened the connection.

    Keeps nothing itself, so one may be made for each use. Neither begins nor commits. Every method
    raises ``StoreError`` if the database cannot be read or written.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    # ---- writing ----

    def add(self, entries: Iterable[Entry]) -> None:
        """Keep the entries. Of two with one msgid in a conversation, the first stays."""
        entries = list(entries)
        with store_errors("write the history"):
            self._connection.executemany(
                "INSERT INTO conversations (key, party, other_party) VALUES (?, ?, ?)"
                " ON CONFLICT (key) DO NOTHING",
                [
                    (conversation.key, *(conversation.parties or (None, None)))
                    for conversation in dict.fromkeys(entry.conversation for entry in entries)
                ],
            )
            self._connection.executemany(
                "INSERT INTO messages (id, conversation, msgid, kind, source, sender, account,"
                " detail, text, tags) VALUES (coalesce("
                "(SELECT max(id) + 1 FROM messages WHERE id BETWEEN ?1 AND ?2), ?1),"
                " (SELECT id FROM conversations WHERE key = ?3), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                " ON CONFLICT (conversation, msgid) DO NOTHING",
                map(_row, entries),
            )
            (waiting,) = self._connection.execute(
                "SELECT max(number) FROM unindexed_messages"
            ).fetchone()
            if waiting is not None and waiting >= _UNINDEXED_LIMIT:
                self._index()

    def redact(self, key: str, msgid: str) -> bool:
        """Empty an entry and take it out of the search; ``False`` if there is none to redact.

        It stays in its place, marked. One that is redacted already is none to redact.
        """
        with store_errors("redact a message"):
            row = self._connection.execute(
                "SELECT messages.id FROM messages JOIN conversations"
                " ON conversations.id = conversation"
                " WHERE key = ? AND msgid = ? AND NOT redacted",
                (key, msgid),
            ).fetchone()
            if row is None:
                return False
            self._unindex("SELECT ?", row)
            self._connection.execute(
                "UPDATE messages SET text = '', tags = '', detail = '', redacted = 1 WHERE id = ?",
                row,
            )
        return True

    # ---- reading ----

    def get(self, key: str, msgid: str) -> KeptEntry | None:
        """Return an entry, for whoever decides who may read or redact it."""
        with store_errors("read a message"):
            found = self._find(key)
            if found is None:
                return None
            number, conversation = found
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM messages WHERE conversation = ? AND msgid = ?",
                (number, msgid),
            ).fetchone()
        return None if row is None else _kept(conversation, row)

    def locate(self, readable: Readable, msgid: str) -> Position | None:
        """Return the position of an entry, or None if there is none that can be read."""
        kept = self.get(readable.key, msgid)
        if kept is None:
            return None
        position, account = kept.position, kept.entry.account
        return position if _may_read(readable, position._first_id, account) else None

    def page(
        self,
        readable: Readable,
        *,
        after: Position | None = None,
        before: Position | None = None,
        limit: int,
        newest: bool,
        kinds: Collection[str] | None = None,
    ) -> Page:
        """Return up to ``limit`` entries strictly between two positions.

        ``newest`` tells which are left out if there are more: the oldest, or else the newest.
        """
        low = _FIRST_ID if after is None else after._last_id + 1
        high = _LAST_ID if before is None else before._first_id - 1
        with store_errors("read the history"):
            found = self._find(readable.key)
            if found is None:
                return Page([], from_oldest=True)
            reading = _Reading(self._connection, found[0], readable, kinds)
            rows = reading.rows(low, high, limit, newest=newest)
            return _page(found[1], reading, rows, high)

    def around(
        self,
        readable: Readable,
        position: Position,
        *,
        limit: int,
        kinds: Collection[str] | None = None,
    ) -> Page:
        """Return up to ``limit`` entries around a position, those at it included.

        About half are before it; where one side has fewer, there are more of the other.
        """
        first = position._first_id
        with store_errors("read the history"):
            found = self._find(readable.key)
            if found is None:
                return Page([], from_oldest=True)
            reading = _Reading(self._connection, found[0], readable, kinds)
            older = reading.rows(_FIRST_ID, first - 1, limit, newest=True)
            newer = reading.rows(first, _LAST_ID, limit, newest=False)
            count = min(len(older), max(limit // 2, limit - len(newer)))
            rows = older[len(older) - count :] + newer[: limit - count]
            return _page(found[1], reading, rows, first - 1)

    def latest_times(
        self, readables: Iterable[Readable], kinds: Collection[str] | None = None
    ) -> dict[str, int]:
        """Return the time of the newest readable entry of each conversation that has any, by key.

        Times are milliseconds since 1970, UTC.
        """
        times = {}
        with store_errors("read the history"):
            for readable in readables:
                found = self._find(readable.key)
                if found is not None:
                    reading = _Reading(self._connection, found[0], readable, kinds)
                    for row in reading.rows(_FIRST_ID, _LAST_ID, 1, newest=True):
                        times[readable.key] = row[0] >> _COUNT_BITS
        return times

    def direct_conversations(self, person: str) -> list[Conversation]:
        """Return the direct conversations of this (folded) person, in no particular order."""
        with store_errors("read the history"):
            rows = self._connection.execute(
                "SELECT key, party, other_party FROM conversations WHERE party = ?1"
                " UNION SELECT key, party, other_party FROM conversations WHERE other_party = ?1",
                (person,),
            ).fetchall()
        return [_conversation(*row) for row in rows]

    # ---- searching ----

    def search(
        self,
        readables: Iterable[Readable],
        *,
        text: str | None = None,
        sender: str | None = None,
        after_ms: int | None = None,
        before_ms: int | None = None,
        limit: int,
    ) -> list[KeptEntry]:
        """Return the newest ``limit`` messages that match everything given, ascending.

        Each conversation may be named once in ``readables``.

        ``text`` is words, each of which must be in the message, in any order and case, with or
        without accents. Of one like ``e-mail`` the parts must follow each other. Text without any
        word is in no message. ``after_ms`` and ``before_ms`` are exclusive.
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
        low = _FIRST_ID if after_ms is None else Position.at(after_ms)._last_id + 1
        high = _LAST_ID if before_ms is None else Position.at(before_ms)._first_id - 1
        with store_errors("search the history"):
            self._index()
            conversations: dict[int, Conversation] = {}
            by_number: dict[int, Readable] = {}
            for readable in readables:
                found = self._find(readable.key)
                if found is not None:
                    number, conversations[number] = found
                    by_number[number] = readable
            search = _Search(self._connection, by_number, terms, limit)
            rows = [
                self._connection.execute(
                    f"SELECT conversation, {_COLUMNS} FROM messages WHERE id = ?", (found_id,)
                ).fetchone()
                for found_id in search.newest(low, high)
            ]
        return [_kept(conversations[number], row) for number, *row in rows]

    # ---- retention ----

    def expire(self, before_ms: int, most: int) -> int:
        """Delete up to ``most`` entries that are older, the oldest first; return how many.

        Those of deleted conversations go first, whatever their age. Call it again while it returns
        ``most``, in a transaction of its own: in a large database a hundred take some 20 ms, as
        most of them change pages of their own.
        """
        with store_errors("delete old messages"):
            deleted = self._delete(
                "SELECT messages.id FROM conversations JOIN messages"
                " ON conversation = conversations.id WHERE key IS NULL LIMIT ?",
                (most,),
            )
            return deleted + self._delete(
                "SELECT id FROM messages WHERE id < ? ORDER BY id LIMIT ?",
                (Position.at(before_ms)._first_id, most - deleted),
            )

    def trim(self, key: str, keep: int, most: int) -> int:
        """Delete up to ``most`` of the conversation's oldest entries, to leave ``keep`` of them.

        Returns how many were deleted. Call it again while that is ``most``.
        """
        with store_errors("delete old messages"):
            found = self._find(key)
            if found is None:
                return 0
            row = self._connection.execute(
                "SELECT id FROM messages INDEXED BY messages_by_time WHERE conversation = ?"
                " ORDER BY id DESC LIMIT 1 OFFSET ?",
                (found[0], keep),
            ).fetchone()
            if row is None:
                return 0
            return self._delete(
                "SELECT id FROM messages INDEXED BY messages_by_time WHERE conversation = ?"
                " AND id <= ? ORDER BY id LIMIT ?",
                (found[0], row[0], most),
            )

    def delete_conversation(self, key: str) -> None:
        """Delete all that was said there; does nothing if there is no such conversation.

        At once nobody can read or find it. Its rows go when ``expire`` is called, in slices.
        """
        with store_errors("delete a conversation"):
            self._connection.execute(
                "UPDATE conversations SET key = NULL, party = NULL, other_party = NULL"
                " WHERE key = ?",
                (key,),
            )

    # ---- inside ----

    def _find(self, key: str) -> tuple[int, Conversation] | None:
        row = self._connection.execute(
            "SELECT id, key, party, other_party FROM conversations WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else (row[0], _conversation(*row[1:]))

    def _index(self) -> None:
        """Take into the search index what waits for it."""
        if self._connection.execute("SELECT 1 FROM unindexed_messages LIMIT 1").fetchone() is None:
            return
        self._connection.execute(
            "INSERT INTO message_index (rowid, conversation, author, text)"
            " SELECT id, conversation, author, text"
            " FROM unindexed_messages JOIN searchable_messages ON id = message ORDER BY id"
        )
        self._connection.execute("DELETE FROM unindexed_messages")

    def _unindex(self, chosen: str, parameters: Sequence[Any]) -> None:
        """Take out of the search index those whose ids the SELECT ``chosen`` returns."""
        self._index()
        # The index must be told the very words that it was given.
        # https://www.sqlite.org/fts5.html#the_delete_command
        self._connection.execute(
            "INSERT INTO message_index (message_index, rowid, conversation, author, text)"
            " SELECT 'delete', id, conversation, author, text FROM searchable_messages"
            f" WHERE id IN ({chosen}) ORDER BY id",
            parameters,
        )

    def _delete(self, chosen: str, parameters: Sequence[Any]) -> int:
        """Delete those whose ids the SELECT ``chosen`` returns, and conversations left empty."""
        concerned = self._connection.execute(
            f"SELECT DISTINCT conversation FROM messages WHERE id IN ({chosen})", parameters
        ).fetchall()
        if not concerned:
            return 0
        self._unindex(chosen, parameters)
        deleted = self._connection.execute(
            f"DELETE FROM messages WHERE id IN ({chosen})", parameters
        ).rowcount
        self._connection.executemany(
            "DELETE FROM conversations WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM messages WHERE conversation = ?1)",
            concerned,
        )
        return deleted


class _Reading:
    """What a ``Readable`` allows, of some kinds, as ranges of rows."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        conversation: int,
        readable: Readable,
        kinds: Collection[str] | None,
    ) -> None:
        self._connection = connection
        self._conversation = conversation
        self._floor_id = Position.at(readable.floor_ms)._first_id
        self._own_account = readable.own_account
        self._kinds = kinds

    def rows(self, low: int, high: int, limit: int, *, newest: bool) -> list[tuple[Any, ...]]:
        """Return up to ``limit`` rows from id ``low`` to ``high``, ascending."""
        # Nothing of others is below the floor: two ranges, each of one index, one after the other.
        parts: list[list[tuple[Any, ...]]] = []
        for own in (False, True) if newest else (True, False):
            missing = limit - sum(map(len, parts))
            if own:
                parts.append(self._own(low, min(high, self._floor_id - 1), missing, newest))
            else:
                parts.append(self._all(max(low, self._floor_id), high, missing, newest))
        if newest:
            parts.reverse()
        return parts[0] + parts[1]

    def _all(self, low: int, high: int, limit: int, newest: bool) -> list[tuple[Any, ...]]:
        if self._kinds is not None and SPOKEN_KINDS.issuperset(self._kinds):
            index, condition = "messages_spoken", " AND kind IN ('PRIVMSG', 'NOTICE')"
        else:
            index, condition = "messages_by_time", ""
        return self._select(index, condition, (), low, high, limit, newest)

    def _own(self, low: int, high: int, limit: int, newest: bool) -> list[tuple[Any, ...]]:
        if self._own_account is None:
            return []
        account = (self._own_account,)
        return self._select(
            "messages_by_account", " AND account = ?", account, low, high, limit, newest
        )

    def _select(
        self,
        index: str,
        condition: str,
        parameters: tuple[str, ...],
        low: int,
        high: int,
        limit: int,
        newest: bool,
    ) -> list[tuple[Any, ...]]:
        kinds = () if self._kinds is None else tuple(self._kinds)
        if limit <= 0 or low > high or (self._kinds is not None and not kinds):
            return []
        if kinds:
            condition += f" AND kind IN ({', '.join('?' * len(kinds))})"
        # Without statistics SQLite may well take another index, and read through all.
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM messages INDEXED BY {index}"
            f" WHERE conversation = ?{condition} AND id BETWEEN ? AND ?"
            f" ORDER BY id {'DESC' if newest else 'ASC'} LIMIT ?",
            (self._conversation, *parameters, *kinds, low, high, limit),
        ).fetchall()
        if newest:
            rows.reverse()
        return rows


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
            floor_id = Position.at(floor_ms)._first_id
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
                if readable is not None and _may_read(readable, found_id, account):
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


def _may_read(readable: Readable, number: int, account: str | None) -> bool:
    return number >> _COUNT_BITS >= readable.floor_ms or (
        readable.own_account is not None and account == readable.own_account
    )


def _row(entry: Entry) -> tuple[Any, ...]:
    first = entry.at_ms << _COUNT_BITS
    return (
        first,
        first | ((1 << _COUNT_BITS) - 1),
        entry.conversation.key,
        entry.msgid,
        entry.kind,
        entry.source,
        entry.sender,
        entry.account,
        entry.detail,
        entry.text,
        entry.tags,
    )


def _conversation(key: str, party: str | None, other_party: str | None) -> Conversation:
    return Conversation(key, None if party is None or other_party is None else (party, other_party))


def _kept(conversation: Conversation, row: Sequence[Any]) -> KeptEntry:
    number, msgid, *rest, redacted = row
    return KeptEntry(
        Entry(conversation, msgid, number >> _COUNT_BITS, *rest),
        Position(number, number),
        bool(redacted),
    )


def _page(
    conversation: Conversation, reading: _Reading, rows: list[tuple[Any, ...]], high: int
) -> Page:
    before = rows[0][0] - 1 if rows else high
    return Page(
        [_kept(conversation, row) for row in rows],
        from_oldest=not reading.rows(_FIRST_ID, before, 1, newest=True),
    )


def _hex(name: str) -> str:
    return name.encode().hex()


def _quoted(word: str) -> str:
    # A string of FTS5, in which only the quotation mark is special; a NUL would end the query.
    return '"' + word.replace("\0", " ").replace('"', '""') + '"'
