"""What was said and done, in rooms and in direct conversations, and searching in it.

What a line looks like is the caller's: kinds, sources, details and tags are kept as they come.
Only this is known here: ``PRIVMSG`` and ``NOTICE`` are what people say, which ``search`` looks in.

Reading is always through a ``Readable``, so that there is no way to read what one may not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from securechat.store.connection import Connection
from securechat.store.database import store_errors
from securechat.store.entries import (
    COUNT_BITS,
    FIRST_ID,
    LAST_ID,
    SPOKEN_KINDS,
    Conversation,
    Entry,
    KeptEntry,
    Page,
    Position,
    Readable,
)
from securechat.store.messages import messages_in
from securechat.store.reading import COLUMNS, Reading

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

_KEYS: Final = 500
"""Conversations named in one statement, lest its text grow without limit."""


class History:
    """The tables of conversations and messages. Owned by the thread that opened the connection.

    Keeps nothing itself, so one may be made for each use. Neither begins nor commits. Every method
    raises ``StoreError`` if the database cannot be read or written. In PostgreSQL several may write
    at a time, also into one conversation.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._messages = messages_in(connection)

    # ---- writing ----

    def take_turn(self, *, deleting: bool) -> None:
        """Before all else that a transaction writes: wait for others, until it ends.

        Those that delete whole conversations are alone; all others write at the same time. So no
        two relays wait for each other, each for what the other has written already.
        """
        with store_errors("write the history"):
            self._messages.take_turn(deleting=deleting)

    def add(self, entries: Iterable[Entry]) -> None:
        """Keep the entries. Of two with one msgid in a conversation, the first stays."""
        entries = list(entries)
        if entries:
            with store_errors("write the history"):
                self._messages.add(entries)

    def redact(self, key: str, msgid: str) -> bool:
        """Empty an entry and take it out of the search; ``False`` if there is none to redact.

        It stays in its place, marked. One that is redacted already is none to redact.
        """
        with store_errors("redact a message"):
            row = self._connection.execute(
                "SELECT conversation, messages.id FROM messages JOIN conversations"
                " ON conversations.id = conversation"
                " WHERE key = ? AND msgid = ? AND NOT redacted",
                (key, msgid),
            ).fetchone()
            return row is not None and self._messages.redact(*row)

    # ---- reading ----

    def get(self, key: str, msgid: str) -> KeptEntry | None:
        """Return an entry, for whoever decides who may read or redact it."""
        with store_errors("read a message"):
            found = self._find(key)
            if found is None:
                return None
            number, conversation = found
            row = self._connection.execute(
                f"SELECT {COLUMNS} FROM messages WHERE conversation = ? AND msgid = ?",
                (number, msgid),
            ).fetchone()
        return None if row is None else _kept(conversation, row)

    def locate(self, readable: Readable, msgid: str) -> Position | None:
        """Return the position of an entry, or None if there is none that can be read."""
        kept = self.get(readable.key, msgid)
        if kept is None:
            return None
        position, account = kept.position, kept.entry.account
        return position if readable.allows(position.first_id, account) else None

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
        low = FIRST_ID if after is None else after.last_id + 1
        high = LAST_ID if before is None else before.first_id - 1
        with store_errors("read the history"):
            found = self._find(readable.key)
            if found is None:
                return Page([], from_oldest=True)
            reading = self._reading(found[0], readable, kinds)
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
        first = position.first_id
        with store_errors("read the history"):
            found = self._find(readable.key)
            if found is None:
                return Page([], from_oldest=True)
            reading = self._reading(found[0], readable, kinds)
            older = reading.rows(FIRST_ID, first - 1, limit, newest=True)
            newer = reading.rows(first, LAST_ID, limit, newest=False)
            count = min(len(older), max(limit // 2, limit - len(newer)))
            rows = older[len(older) - count :] + newer[: limit - count]
            return _page(found[1], reading, rows, first - 1)

    def latest_times(
        self, readables: Iterable[Readable], kinds: Collection[str] | None = None
    ) -> dict[str, int]:
        """Return the time of the newest readable entry of each conversation that has any, by key.

        Times are milliseconds since 1970, UTC.
        """
        with store_errors("read the history"):
            by_number, conversations = self._find_all(readables)
            return {
                conversations[number].key: newest >> COUNT_BITS
                for number, newest in self._messages.newest(by_number, kinds)
            }

    def direct_conversations(self, person: str) -> list[Conversation]:
        """Return this (folded) person's direct conversations, the one begun first in front."""
        with store_errors("read the history"):
            rows = self._connection.execute(
                "SELECT id, key, party, other_party FROM conversations WHERE party = ?1"
                " UNION SELECT id, key, party, other_party FROM conversations"
                " WHERE other_party = ?1 ORDER BY id",
                (person,),
            ).fetchall()
        return [_conversation(*row) for _, *row in rows]

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
        low = FIRST_ID if after_ms is None else Position.at(after_ms).last_id + 1
        high = LAST_ID if before_ms is None else Position.at(before_ms).first_id - 1
        with store_errors("search the history"):
            by_number, conversations = self._find_all(readables)
            rows = self._messages.search(
                by_number, text=text, sender=sender, low=low, high=high, limit=limit
            )
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
                "SELECT messages.id, conversation FROM conversations JOIN messages"
                " ON conversation = conversations.id WHERE key IS NULL LIMIT ?",
                (most,),
            )
            return deleted + self._delete(
                "SELECT id, conversation FROM messages WHERE id < ? ORDER BY id LIMIT ?",
                (Position.at(before_ms).first_id, most - deleted),
            )

    def expire_conversation(self, key: str, before_ms: int, most: int) -> int:
        """Delete up to ``most`` of the conversation's entries that are older, as ``expire``."""
        with store_errors("delete old messages"):
            found = self._find(key)
            if found is None:
                return 0
            return self._delete_oldest(found[0], Position.at(before_ms).first_id - 1, most)

    def trim(self, key: str, keep: int, most: int) -> int:
        """Delete up to ``most`` of the conversation's oldest entries, to leave ``keep`` of them.

        Returns how many were deleted. Call it again while that is ``most``.
        """
        with store_errors("delete old messages"):
            found = self._find(key)
            if found is None:
                return 0
            # No more is counted than this call deletes.
            (count,) = self._connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {self._messages.by_msgid}"
                " WHERE conversation = ? LIMIT ?) AS counted",
                (found[0], keep + most),
            ).fetchone()
            return self._delete_oldest(found[0], LAST_ID, count - keep) if count > keep else 0

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

    def delete_other_rooms(self, keys: Iterable[str]) -> None:
        """Delete all conversations but these and the direct ones, as ``delete_conversation``."""
        with store_errors("delete conversations"):
            others = self._connection.execute(
                "SELECT key FROM conversations WHERE key IS NOT NULL AND party IS NULL"
            ).fetchall()
            staying = set(keys)
            for (key,) in others:
                if key not in staying:
                    self.delete_conversation(key)

    # ---- inside ----

    def _reading(
        self, conversation: int, readable: Readable, kinds: Collection[str] | None
    ) -> Reading:
        return Reading(self._connection, self._messages.parts, conversation, readable, kinds)

    def _find(self, key: str) -> tuple[int, Conversation] | None:
        row = self._connection.execute(
            "SELECT id, key, party, other_party FROM conversations WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else (row[0], _conversation(*row[1:]))

    def _find_all(
        self, readables: Iterable[Readable]
    ) -> tuple[dict[int, Readable], dict[int, Conversation]]:
        """Return those whose conversation there is, and these, both by its number."""
        by_key = {readable.key: readable for readable in readables}
        conversations: dict[int, Conversation] = {}
        keys = iter(by_key)
        while some := list(islice(keys, _KEYS)):
            for number, *row in self._connection.execute(
                "SELECT id, key, party, other_party FROM conversations"
                f" WHERE key IN ({', '.join('?' * len(some))})",
                some,
            ):
                conversations[number] = _conversation(*row)
        numbers = {found.key: number for number, found in conversations.items()}
        by_number = {numbers[key]: by_key[key] for key in by_key if key in numbers}
        return by_number, conversations

    def _delete_oldest(self, conversation: int, last_id: int, most: int) -> int:
        """Delete up to ``most`` rows of a conversation, the oldest first, up to ``last_id``."""
        oldest = self._messages.parts.in_time(
            "id, conversation", "conversation = ?1 AND id <= ?2", "?3"
        )
        return self._delete(oldest, (conversation, last_id, most))

    def _delete(self, chosen: str, parameters: Sequence[Any]) -> int:
        """Delete the rows whose id and conversation the SELECT ``chosen`` returns."""
        rows = self._connection.execute(chosen, parameters).fetchall()
        return self._messages.delete(rows) if rows else 0


def _conversation(key: str, party: str | None, other_party: str | None) -> Conversation:
    return Conversation(key, None if party is None or other_party is None else (party, other_party))


def _kept(conversation: Conversation, row: Sequence[Any]) -> KeptEntry:
    number, msgid, *rest, redacted = row
    return KeptEntry(
        Entry(conversation, msgid, number >> COUNT_BITS, *rest),
        Position(number, number),
        bool(redacted),
    )


def _page(
    conversation: Conversation, reading: Reading, rows: list[tuple[Any, ...]], high: int
) -> Page:
    before = rows[0][0] - 1 if rows else high
    return Page(
        [_kept(conversation, row) for row in rows],
        from_oldest=not reading.rows(FIRST_ID, before, 1, newest=True),
    )
