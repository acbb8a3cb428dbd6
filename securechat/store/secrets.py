"""Random values that the relay makes once and keeps for good: keys of cloaks, of made-up salts."""

from __future__ import annotations

from collections.abc import Callable

from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["RelaySecrets"]


class RelaySecrets:
    """The table of the relay's secrets. Owned by the thread that opened the connection.

    Neither begins nor commits: a new secret lasts when the caller's transaction does, and should
    not be used before.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get_or_create(self, name: str, make: Callable[[], bytes]) -> bytes:
        """Return the secret ``name``; the first time, the one that ``make`` returns.

        Raises ``StoreError`` if the database cannot be read or written.
        """
        with store_errors(f"read or keep the relay's secret {name}"):
            rows = self._read(name)
            if not rows:
                # Unless another relay does it at this moment: all have the same.
                self._connection.execute(
                    "INSERT INTO relay_secrets (name, value) VALUES (?, ?)"
                    " ON CONFLICT (name) DO NOTHING",
                    (name, make()),
                )
                rows = self._read(name)
        return bytes(rows[0][0])

    def _read(self, name: str) -> list[tuple[bytes]]:
        return self._connection.execute(
            "SELECT value FROM relay_secrets WHERE name = ?", (name,)
        ).fetchall()
