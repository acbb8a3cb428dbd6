"""How far an account has read each of its conversations, on whichever device.

A time is milliseconds since 1970, UTC. Accounts and targets come folded.
"""

from __future__ import annotations

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["ReadMarkers"]


class ReadMarkers:
    """The table of read markers, by account and target. Owned by the connection's thread.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(self, account: str, target: str, at_ms: int) -> int:
        """Move the marker forward to ``at_ms``, never back; return where it is now."""
        with store_errors(f"move a read marker of {account}"):
            self._connection.execute(
                "INSERT INTO read_markers (account, target, at_ms) VALUES (?, ?, ?)"
                " ON CONFLICT (account, target) DO UPDATE SET at_ms = excluded.at_ms"
                " WHERE excluded.at_ms > read_markers.at_ms",
                (account, target, at_ms),
            )
            (now,) = self._connection.execute(
                "SELECT at_ms FROM read_markers WHERE account = ? AND target = ?", (account, target)
            ).fetchone()
        return int(now)

    def move(self, old: str, new: str) -> None:
        """Make all accounts' markers of the target ``old`` those of ``new``; what it had goes."""
        with store_errors(f"move the read markers of {old}"):
            self._connection.execute("DELETE FROM read_markers WHERE target = ?", (new,))
            # Another relay may set one there meanwhile.
            self._connection.execute(
                "INSERT INTO read_markers (account, target, at_ms)"
                " SELECT account, CAST(? AS TEXT), at_ms FROM read_markers WHERE target = ?"
                " ON CONFLICT (account, target) DO UPDATE SET at_ms = excluded.at_ms",
                (new, old),
            )
            self._connection.execute("DELETE FROM read_markers WHERE target = ?", (old,))

    def get(self, account: str, target: str) -> int | None:
        """Return where the marker is, or None if it was never set."""
        with store_errors(f"read a read marker of {account}"):
            row = self._connection.execute(
                "SELECT at_ms FROM read_markers WHERE account = ? AND target = ?", (account, target)
            ).fetchone()
        return None if row is None else int(row[0])

    def load(self) -> dict[str, dict[str, int]]:
        """Return all markers, by account and target."""
        markers: dict[str, dict[str, int]] = {}
        with store_errors("load the read markers"):
            for account, target, at_ms in self._connection.execute(
                "SELECT account, target, at_ms FROM read_markers"
            ):
                markers.setdefault(account, {})[target] = at_ms
        return markers

    def delete(self, account: str, target: str) -> None:
        """Forget the marker; does nothing if there is none."""
        with store_errors(f"delete a read marker of {account}"):
            self._connection.execute(
                "DELETE FROM read_markers WHERE account = ? AND target = ?", (account, target)
            )

    def delete_account(self, account: str) -> None:
        """Forget all markers of the account."""
        with store_errors(f"delete the read markers of {account}"):
            self._connection.execute("DELETE FROM read_markers WHERE account = ?", (account,))
