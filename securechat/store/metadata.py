"""Keys and values that people publish about themselves and their rooms.

A subject is whatever the caller tells them apart by; nothing here knows what it means.
"""

from __future__ import annotations

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["Metadata"]


class Metadata:
    """The table of metadata, by subject and key. Owned by the thread that opened the connection.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, subject: str, key: str, value: str) -> None:
        """Keep the value, instead of the one before."""
        with store_errors("save metadata"):
            self._connection.execute(
                "INSERT INTO metadata (subject, key, value) VALUES (?, ?, ?)"
                " ON CONFLICT (subject, key) DO UPDATE SET value = excluded.value",
                (subject, key, value),
            )

    def delete(self, subject: str, key: str) -> None:
        """Forget the value; does nothing if there is none."""
        with store_errors("delete metadata"):
            self._connection.execute(
                "DELETE FROM metadata WHERE subject = ? AND key = ?", (subject, key)
            )

    def clear(self, subject: str) -> None:
        """Forget all values of the subject."""
        with store_errors("delete metadata"):
            self._connection.execute("DELETE FROM metadata WHERE subject = ?", (subject,))

    def load(self) -> dict[str, dict[str, str]]:
        """Return all metadata, by subject and key."""
        metadata: dict[str, dict[str, str]] = {}
        with store_errors("load the metadata"):
            for subject, key, value in self._connection.execute(
                "SELECT subject, key, value FROM metadata"
            ):
                metadata.setdefault(subject, {})[key] = value
        return metadata
