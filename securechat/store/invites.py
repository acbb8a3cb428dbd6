"""Invitation codes: who may register an account where not everybody may.

Only a hash of each code is kept, so the database lets nobody in.
"""

from __future__ import annotations

import hashlib
import sqlite3

from securechat.store.database import store_errors

__all__ = ["Invites"]


class Invites:
    """The table of invitation codes. Owned by the thread that opened the connection.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def create(self, code: str, *, uses: int, expires_at: float, created_at: float) -> None:
        """Let ``code`` register ``uses`` accounts until ``expires_at`` (seconds since 1970 UTC)."""
        with store_errors("create an invitation"):
            self._connection.execute(
                "INSERT INTO invites (code_hash, uses_left, expires_at, created_at)"
                " VALUES (?, ?, ?, ?)",
                (_hash(code), uses, expires_at, created_at),
            )

    def redeem(self, code: str, now: float) -> bool:
        """Use ``code`` once; ``False`` if there is no such code, or it is used up or expired."""
        with store_errors("redeem an invitation"):
            cursor = self._connection.execute(
                "UPDATE invites SET uses_left = uses_left - 1"
                " WHERE code_hash = ? AND uses_left > 0 AND expires_at > ?",
                (_hash(code), now),
            )
            return cursor.rowcount == 1


def _hash(code: str) -> bytes:
    # A code is long and random, so a fast hash is enough.
    return hashlib.sha256(code.encode()).digest()
