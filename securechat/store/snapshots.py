"""Snapshots of the chat's state, from which a relay starts: the newest, and the events after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["SavedSnapshot", "Snapshots"]

_COLUMNS: Final = "stream, sequence, version, made_ms, data"

_LOCK: Final = 0x534E6170
"""The number under which the first snapshot of a stream is made by one alone: "SNap"."""


@dataclass(frozen=True, slots=True)
class SavedSnapshot:
    """The state after the event ``sequence`` of the stream. Immutable.

    ``version`` is that of the form of ``data``, opaque here. ``made_ms`` is milliseconds since
    1970, UTC.
    """

    stream: str
    sequence: int
    version: int
    made_ms: int
    data: bytes = field(repr=False)


class Snapshots:
    """The table of snapshots, in PostgreSQL. Owned by the thread that opened the connection.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_first(self, snapshot: SavedSnapshot) -> SavedSnapshot:
        """Keep it as the first one of its stream, unless there is one; return the newest.

        Of several relays that start at once one is the first; the others wait and get its snapshot.
        """
        with store_errors("save the first snapshot"):
            self._connection.execute(
                "SELECT pg_advisory_xact_lock(?, hashtext(?))::text", (_LOCK, snapshot.stream)
            )
            found = self.newest(snapshot.stream)
            if found is None:
                self.save(snapshot)
        return found or snapshot

    def save(self, snapshot: SavedSnapshot) -> None:
        """Keep it; does nothing if there is one of that event, which is of the same state."""
        with store_errors("save a snapshot"):
            self._connection.execute(
                f"INSERT INTO cluster_snapshots ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (stream, sequence) DO NOTHING",
                (
                    snapshot.stream,
                    snapshot.sequence,
                    snapshot.version,
                    snapshot.made_ms,
                    snapshot.data,
                ),
            )

    def newest(self, stream: str) -> SavedSnapshot | None:
        """Return the newest snapshot of the stream, or None if there is none."""
        with store_errors("read the newest snapshot"):
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM cluster_snapshots WHERE stream = ?"
                " ORDER BY sequence DESC LIMIT 1",
                (stream,),
            ).fetchone()
        return None if row is None else SavedSnapshot(*row)

    def delete_older(self, stream: str, keep: int = 2) -> int:
        """Delete all but the newest ``keep``; return the sequence of the oldest that is left.

        At least one is kept. 0 where there is none.
        """
        with store_errors("delete old snapshots"):
            kept = self._connection.execute(
                "SELECT sequence FROM cluster_snapshots WHERE stream = ?"
                " ORDER BY sequence DESC LIMIT ?",
                (stream, max(keep, 1)),
            ).fetchall()
            oldest = int(kept[-1][0]) if kept else 0
            self._connection.execute(
                "DELETE FROM cluster_snapshots WHERE stream = ? AND sequence < ?", (stream, oldest)
            )
        return oldest
