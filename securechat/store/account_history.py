"""What the history holds of one account: for giving it a copy, and for the account's end.

An account is known here by its name as it was written, which is what messages have, and by its
folded one, by which it is a party of direct conversations.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from securechat.store.database import store_errors
from securechat.store.entries import COUNT_BITS
from securechat.store.message_index import MessageIndex
from securechat.store.reading import DONE, SPOKEN

__all__ = ["OwnEntry", "delete_direct", "disown", "own_entries"]

_COLUMNS = "messages.id AS message, kind, source, account, detail, text, tags, redacted"


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


def own_entries(connection: sqlite3.Connection, folded_name: str, name: str) -> Iterator[OwnEntry]:
    """Yield the direct conversations of the account, and then what it has said and done in rooms.

    One conversation after the other, each in the order of time; whatever their number, one at a
    time is in memory. The caller keeps the database as it is meanwhile (a read transaction).

    Raises ``StoreError`` if the database cannot be read.
    """
    with store_errors(f"read the history of {name}"):
        direct = " UNION ALL ".join(
            "SELECT conversations.id AS number, key,"
            f" CASE party WHEN ?1 THEN other_party ELSE party END, {_COLUMNS}"
            f" FROM conversations CROSS JOIN {part} AND messages.conversation = conversations.id"
            " AND conversations.id IN (SELECT id FROM conversations WHERE party = ?1"
            " UNION SELECT id FROM conversations WHERE other_party = ?1)"
            for part in (SPOKEN, DONE)
        )
        for _, *row in connection.execute(f"{direct} ORDER BY number, message", (folded_name,)):
            yield _entry(*row)
        for row in connection.execute(
            f"SELECT key, '', {_COLUMNS}"
            " FROM conversations CROSS JOIN messages INDEXED BY messages_by_account"
            " ON messages.conversation = conversations.id"
            " WHERE party IS NULL AND key IS NOT NULL AND account = ?"
            " ORDER BY conversations.id, messages.id",
            (name,),
        ):
            yield _entry(*row)


def disown(connection: sqlite3.Connection, name: str, most: int) -> int:
    """Have up to ``most`` entries of the account be nobody's; return how many.

    What was said stays as it is, with its source. But it is not the words of an account any more:
    whoever registers the name later must not be able to read or redact it as their own. Call it
    again while it returns ``most``, in a transaction of its own, as ``History.expire``.

    Raises ``StoreError`` if the database cannot be written.
    """
    with store_errors(f"take the name {name} from the history"):
        found = connection.execute(
            "SELECT messages.id FROM conversations"
            " CROSS JOIN messages INDEXED BY messages_by_account"
            " ON messages.conversation = conversations.id WHERE account = ? LIMIT ?",
            (name, most),
        ).fetchall()
        ids = [number for (number,) in found]
        if not ids:
            return 0
        places = ", ".join("?" * len(ids))
        # The search knows a message by its account too.
        message_index = MessageIndex(connection)
        message_index.take_out(f"VALUES {', '.join(['(?)'] * len(ids))}", ids)
        connection.execute(f"UPDATE messages SET account = NULL WHERE id IN ({places})", ids)
        message_index.put_off(ids)
    return len(ids)


def delete_direct(connection: sqlite3.Connection, folded_name: str) -> None:
    """Delete the direct conversations of the account, as ``History.delete_conversation`` does."""
    with store_errors(f"delete the direct conversations of {folded_name}"):
        connection.execute(
            "UPDATE conversations SET key = NULL, party = NULL, other_party = NULL"
            " WHERE party = ?1 OR other_party = ?1",
            (folded_name,),
        )


def _entry(conversation: str, party: str, number: int, *said: Any) -> OwnEntry:
    kind, source, account, detail, text, tags, redacted = said
    at_ms = number >> COUNT_BITS
    return OwnEntry(
        conversation, party, at_ms, kind, source, account, detail, text, tags, bool(redacted)
    )
