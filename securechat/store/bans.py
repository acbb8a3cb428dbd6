"""Whom operators have banned from the relay.

A kind says what the mask of a ban is compared with; nothing here knows what either means. Times are
milliseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["BanRecord", "Bans"]


@dataclass(frozen=True, slots=True)
class BanRecord:
    """One ban. Immutable. ``expires_ms`` is ``None`` for one without an end."""

    kind: str
    folded_mask: str
    mask: str
    reason: str
    set_by: str
    set_ms: int
    expires_ms: int | None


class Bans:
    """The table of bans, by kind and folded mask. Owned by the thread that opened the connection.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, ban: BanRecord) -> None:
        """Keep the ban, instead of the one of that kind and folded mask."""
        with store_errors("save a ban"):
            self._connection.execute(
                "INSERT INTO bans (kind, folded_mask, mask, reason, set_by, set_ms, expires_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, folded_mask) DO UPDATE SET mask = excluded.mask,"
                " reason = excluded.reason, set_by = excluded.set_by, set_ms = excluded.set_ms,"
                " expires_ms = excluded.expires_ms",
                (
                    ban.kind,
                    ban.folded_mask,
                    ban.mask,
                    ban.reason,
                    ban.set_by,
                    ban.set_ms,
                    ban.expires_ms,
                ),
            )

    def delete(self, kind: str, folded_mask: str) -> bool:
        """Forget the ban; ``False`` if there is none."""
        with store_errors("delete a ban"):
            cursor = self._connection.execute(
                "DELETE FROM bans WHERE kind = ? AND folded_mask = ?", (kind, folded_mask)
            )
        return cursor.rowcount == 1

    def delete_expired(self, now_ms: int) -> None:
        """Forget the bans that have ended by then."""
        with store_errors("delete bans that have ended"):
            self._connection.execute("DELETE FROM bans WHERE expires_ms <= ?", (now_ms,))

    def load(self) -> list[BanRecord]:
        """Return all bans, the oldest first."""
        with store_errors("load the bans"):
            rows = self._connection.execute(
                "SELECT kind, folded_mask, mask, reason, set_by, set_ms, expires_ms FROM bans"
                " ORDER BY set_ms, kind, folded_mask"
            ).fetchall()
        return [BanRecord(*row) for row in rows]
