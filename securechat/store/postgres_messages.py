"""The history in PostgreSQL, into which several relays write at the same time.

A row's id is where the log says that the entry belongs, so that all relays agree on the order,
whoever of them writes first. Two rows may have one id if they are of different conversations: what
one event does in many rooms is at one place in all of them. Of what two relays write twice, as one
does for another that was lost, the first stays.

What several change at once is locked in one order, and what others are just deleting is left to
them; so nobody waits in a circle, but where two write the same. Then PostgreSQL has one of them
begin again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from securechat.store.connection import Connection
from securechat.store.entries import COUNT_BITS, SPOKEN_KINDS, Entry, Position, Readable
from securechat.store.postgres_search import account_lexeme, message_vector, search
from securechat.store.postgres_use import NAMESPACE
from securechat.store.reading import Parts

__all__ = ["PostgresMessages"]

_LOCK: Final = 0x53486973
"""The first number of the lock of those that write, "SHis"; the second is of the namespace."""

_ROWS: Final = 1024
"""Entries in one statement: a round trip to the server costs as much as some tens of them."""

# The conditions are those of the partial indexes.
_PARTS: Final = Parts(
    spoken="messages WHERE kind IN ('PRIVMSG', 'NOTICE')",
    done="messages WHERE kind NOT IN ('PRIVMSG', 'NOTICE')",
    own="messages WHERE account = ?5",
    merged=False,
)

_NEWEST: Final = """
    SELECT number, newest FROM (
        SELECT number, greatest({newest}) AS newest
        FROM unnest(?1::bigint[], ?2::bigint[], ?3::text[]) AS readable (number, floor_id, own)
    ) AS found WHERE newest IS NOT NULL
"""

_INSERT: Final = """
    INSERT INTO messages
        (id, conversation, msgid, kind, source, sender, account, detail, text, tags, words)
    SELECT id, conversation, msgid, kind, source, sender, account, detail, text, tags,
        words::tsvector
    FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[],
        ?::text[], ?::text[], ?::text[], ?::text[])
        AS sent (id, conversation, msgid, kind, source, sender, account, detail, text, tags, words)
    ON CONFLICT DO NOTHING
"""

# They are numbered in the order in which they come, and inserted in that of their keys.
_INSERT_CONVERSATIONS: Final = """
    INSERT INTO conversations (id, key, party, other_party)
    SELECT number, key, party, other_party FROM (
        SELECT nextval('conversations_id_seq') AS number, key, party, other_party
        FROM unnest(?::text[], ?::text[], ?::text[]) AS sent (key, party, other_party)
    ) AS numbered ORDER BY key
    ON CONFLICT DO NOTHING
"""

_DELETE: Final = """
    DELETE FROM messages WHERE (id, conversation) IN (
        SELECT messages.id, messages.conversation
        FROM unnest(?::bigint[], ?::bigint[]) AS chosen (id, conversation)
        JOIN messages USING (id, conversation)
        ORDER BY 1, 2 FOR UPDATE OF messages SKIP LOCKED
    )
"""

_DISOWN: Final = """
    WITH found AS MATERIALIZED (
        SELECT id, conversation FROM messages WHERE account = ?1
        ORDER BY conversation, id LIMIT ?3 FOR UPDATE SKIP LOCKED
    )
    UPDATE messages SET account = NULL, words = ts_delete(words, ?2::text) FROM found
    WHERE messages.id = found.id AND messages.conversation = found.conversation
"""


class PostgresMessages:
    """See ``Messages``. Expects READ COMMITTED, by which a statement sees what others have done."""

    parts: Final = _PARTS
    by_msgid: Final = "messages"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take_turn(self, *, deleting: bool) -> None:
        """Have a lock until the transaction ends: shared, or exclusive if it is ``deleting``."""
        lock = "pg_advisory_xact_lock" if deleting else "pg_advisory_xact_lock_shared"
        self._connection.execute(f"SELECT {lock}(?, {NAMESPACE})::text", (_LOCK,))

    def add(self, entries: Sequence[Entry]) -> None:
        """Insert the entries where they belong, or at the next free place after it."""
        first: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            first.setdefault((entry.conversation.key, entry.msgid), entry)
        waiting = sorted(first.values(), key=_wanted_id)
        numbers = self._numbers_of(waiting)
        for start in range(0, len(waiting), _ROWS):
            some = waiting[start : start + _ROWS]
            while some:
                some = self._insert(some, numbers)

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
        """Return the newest rows that match, ascending."""
        return search(
            self._connection, readables, text=text, sender=sender, low=low, high=high, limit=limit
        )

    def newest(
        self, readables: Mapping[int, Readable], kinds: Collection[str] | None
    ) -> list[tuple[int, int]]:
        """Return the newest readable id of each conversation that has any."""
        conditions = []
        if kinds is None or not SPOKEN_KINDS.isdisjoint(kinds):
            conditions.append(f"{self.parts.spoken} AND id >= floor_id")
        if kinds is None or not SPOKEN_KINDS.issuperset(kinds):
            conditions.append(f"{self.parts.done} AND id >= floor_id")
        conditions.append("messages WHERE account = own")
        of_kind = "" if kinds is None else " AND kind = ANY(?4::text[])"
        newest = ", ".join(
            f"(SELECT id FROM {condition} AND conversation = number{of_kind}"
            " ORDER BY id DESC LIMIT 1)"
            for condition in conditions
        )
        values: list[object] = [
            list(readables),
            [Position.at(each.floor_ms).first_id for each in readables.values()],
            [each.own_account for each in readables.values()],
        ]
        return self._connection.execute(
            _NEWEST.format(newest=newest), values if kinds is None else [*values, list(kinds)]
        ).fetchall()

    def redact(self, conversation: int, row_id: int) -> bool:
        """Empty a row, and take it out of the search."""
        redacted = self._connection.execute(
            "UPDATE messages SET text = '', tags = '', detail = '', redacted = TRUE, words = NULL"
            " WHERE conversation = ? AND id = ? AND NOT redacted",
            (conversation, row_id),
        )
        return redacted.rowcount == 1

    def disown(self, account: str, most: int) -> int:
        """Have up to ``most`` rows of the account be nobody's, but those that others change."""
        return self._connection.execute(_DISOWN, (account, account_lexeme(account), most)).rowcount

    def delete(self, rows: Sequence[tuple[int, int]]) -> int:
        """Delete the rows, but those that others change, and conversations left empty."""
        ids, conversations = zip(*rows, strict=True)
        deleted = self._connection.execute(_DELETE, (list(ids), list(conversations))).rowcount
        # Who adds to a conversation has locked it too. It is looked at once more when it is ours:
        # what they have added is only seen by a statement that begins after that.
        empty = "NOT EXISTS (SELECT 1 FROM messages WHERE conversation = conversations.id)"
        found = self._connection.execute(
            f"SELECT id FROM conversations WHERE id = ANY(?::bigint[]) AND {empty}"
            " ORDER BY id FOR UPDATE SKIP LOCKED",
            (sorted(set(conversations)),),
        ).fetchall()
        if found:
            self._connection.execute(
                f"DELETE FROM conversations WHERE id = ANY(?::bigint[]) AND {empty}",
                ([number for (number,) in found],),
            )
        return deleted

    def _numbers_of(self, entries: Sequence[Entry]) -> dict[str, int]:
        """Return the number of each conversation, which there is until the transaction ends."""
        conversations = {entry.conversation.key: entry.conversation for entry in entries}
        while True:
            numbers: dict[str, int] = dict(
                self._connection.execute(
                    "SELECT key, id FROM conversations WHERE key = ANY(?::text[])"
                    " ORDER BY id FOR KEY SHARE",
                    (list(conversations),),
                ).fetchall()
            )
            missing = [each for key, each in conversations.items() if key not in numbers]
            if not missing:
                return numbers
            parties = [each.parties or (None, None) for each in missing]
            self._connection.execute(
                _INSERT_CONVERSATIONS,
                ([each.key for each in missing], *map(list, zip(*parties, strict=True))),
            )

    def _insert(self, entries: Sequence[Entry], numbers: Mapping[str, int]) -> list[Entry]:
        """Insert entries that are in the order of time; return those whose place others have taken.

        There is no more than one of a conversation and msgid.
        """
        rows = [
            (row_id, number, entry.msgid, *entry[3:10], message_vector(number, entry))
            for row_id, number, entry in self._placed(entries, numbers)
        ]
        if not rows:
            return []
        columns = list(map(list, zip(*rows, strict=True)))
        if self._connection.execute(_INSERT, columns).rowcount == len(rows):
            return []
        there = set(
            self._connection.execute(
                "SELECT conversation, msgid"
                " FROM unnest(?::bigint[], ?::text[]) AS sent (conversation, msgid)"
                " JOIN messages USING (conversation, msgid)",
                (columns[1], columns[2]),
            ).fetchall()
        )
        lacking = {row[1:3] for row in rows} - there
        return [
            entry for entry in entries if (numbers[entry.conversation.key], entry.msgid) in lacking
        ]

    def _placed(
        self, entries: Sequence[Entry], numbers: Mapping[str, int]
    ) -> list[tuple[int, int, Entry]]:
        """Return each entry with its id and the number of its conversation, in the order of both.

        As far as can be seen, none has an id that is there, and none is there itself. None has an
        id before those in front of it.
        """
        found = [(numbers[entry.conversation.key], entry) for entry in entries]
        rows = self._connection.execute(
            "SELECT conversation, id, msgid FROM messages"
            " WHERE id BETWEEN ? AND ? AND conversation = ANY(?::bigint[])",
            (
                Position.at(entries[0].at_ms).first_id,
                Position.at(entries[-1].at_ms).last_id,
                sorted({number for number, _ in found}),
            ),
        ).fetchall()
        taken = {(number, row_id) for number, row_id, _ in rows}
        there = {(number, msgid) for number, _, msgid in rows}
        newest: dict[int, int] = {}  # of those placed so far, by conversation
        placed = []
        for number, entry in found:
            if (number, entry.msgid) in there:
                continue
            row_id = max(_wanted_id(entry), newest.get(number, -1) + 1)
            while (number, row_id) in taken:
                row_id += 1
            newest[number] = row_id
            placed.append((row_id, number, entry))
        placed.sort(key=lambda row: row[:2])
        return placed


def _wanted_id(entry: Entry) -> int:
    return (entry.at_ms << COUNT_BITS) + entry.place
