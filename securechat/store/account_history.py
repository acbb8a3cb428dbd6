"""What the history holds of one account: for giving it a copy, and for the account's end.

An account is known here by its name as it was written, which is what messages have, and by its
folded one, by which it is a party of direct conversations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from securechat.store.connection import Connection
from securechat.store.database import store_errors
from securechat.store.entries import COUNT_BITS, FIRST_ID, LAST_ID, Position, Readable
from securechat.store.messages import messages_in
from securechat.store.reading import Reading

__all__ = ["OwnEntry", "delete_direct", "disown", "own_entries"]

_SLICE: Final = 1_000
"""Entries that are in memory at a time."""

_NOTHING: Final = Position.at(LAST_ID).at_ms
"""The floor for who may read only what is their own."""


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """One line that is an account's, or is in a direct conversation of it. Immutable.

    ``conversation`` is the key of a room; ``party`` the other one in a direct conversation.
    ``at_ms`` is milliseconds since 1970, UTC.
    """

    conversation: str
    party: str
    at_ms: int
    kind: str
    source: str
    account: str | None
    detail: str
    text: str
    tags: str
    redacted: bool


def own_entries(connection: Connection, folded_name: str, name: str) -> Iterator[OwnEntry]:
    """Yield the direct conversations of the account, and then what it has said and done in rooms.

    One conversation after the other, each in the order of time; whatever their number, a thousand
    at a time are in memory. The caller keeps the database as it is meanwhile (a read transaction).

    Raises ``StoreError`` if the database cannot be read.
    """
    with store_errors(f"read the history of {name}"):
        direct = connection.execute(
            "SELECT id, key, party, other_party FROM conversations WHERE party = ?1"
            " UNION SELECT id, key, party, other_party FROM conversations WHERE other_party = ?1"
            " ORDER BY id",
            (folded_name,),
        ).fetchall()
        for number, key, party, other_party in direct:
            other = other_party if party == folded_name else party
            for row in _rows(connection, number, Readable(key)):
                yield _entry(key, other, row)
        rooms = connection.execute(
            "SELECT id, key FROM conversations WHERE party IS NULL AND key IS NOT NULL AND EXISTS"
            " (SELECT 1 FROM messages WHERE conversation = conversations.id AND account = ?)"
            " ORDER BY id",
            (name,),
        ).fetchall()
        for number, key in rooms:
            for row in _rows(connection, number, Readable(key, _NOTHING, name)):
                yield _entry(key, "", row)


def disown(connection: Connection, name: str, most: int) -> int:
    """Have up to ``most`` entries of the account be nobody's; return how many.

    What was said stays as it is, with its source. But it is not the words of an account any more:
    whoever registers the name later must not be able to read or redact it as their own. Call it
    again while it returns ``most``, in a transaction of its own, as ``History.expire``.

    Raises ``StoreError`` if the database cannot be written.
    """
    with store_errors(f"take the name {name} from the history"):
        return messages_in(connection).disown(name, most)


def delete_direct(connection: Connection, folded_name: str) -> None:
    """Delete the direct conversations of the account, as ``History.delete_conversation`` does."""
    with store_errors(f"delete the direct conversations of {folded_name}"):
        connection.execute(
            "UPDATE conversations SET key = NULL, party = NULL, other_party = NULL"
            " WHERE party = ?1 OR other_party = ?1",
            (folded_name,),
        )


def _rows(
    connection: Connection, conversation: int, readable: Readable
) -> Iterator[tuple[Any, ...]]:
    reading = Reading(connection, messages_in(connection).parts, conversation, readable, None)
    rows = reading.rows(FIRST_ID, LAST_ID, _SLICE, newest=False)
    while rows:
        yield from rows
        rows = reading.rows(rows[-1][0] + 1, LAST_ID, _SLICE, newest=False)


def _entry(conversation: str, party: str, row: Sequence[Any]) -> OwnEntry:
    number, _, kind, source, _, account, detail, text, tags, redacted = row
    at_ms = number >> COUNT_BITS
    return OwnEntry(
        conversation, party, at_ms, kind, source, account, detail, text, tags, bool(redacted)
    )
