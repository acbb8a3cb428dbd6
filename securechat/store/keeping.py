"""Who of several relays may write the state of the chat: the one with the highest term.

In the database is one row with that term, which every write of the state locks in its transaction.
So whoever takes over waits for what its predecessor is writing, and nothing comes after.
"""

from __future__ import annotations

from typing import Final

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["Keeping", "Superseded"]

_ROW: Final = 1


class Superseded(StoreError):
    """Another relay has a higher term: it writes the state, and this one must not."""


class Keeping:
    """The row of the keeper, in PostgreSQL. Owned by the thread that opened the connection.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def forget(self) -> None:
        """Have no keeper, and nothing written: the terms are those of a stream that is no more."""
        with store_errors("forget the keeper of the state"):
            self._connection.execute("DELETE FROM cluster_keeper WHERE id = ?", (_ROW,))

    def claim(self, term: int) -> int:
        """Become the keeper with this term, or still be; return up to which event it is written.

        0 where nothing is. Raises ``Superseded`` if a higher term has been claimed.
        """
        with store_errors("become the keeper of the state"):
            claimed = self._connection.execute(
                "INSERT INTO cluster_keeper (id, term, kept) VALUES (?, ?, 0)"
                " ON CONFLICT (id) DO UPDATE SET term = excluded.term"
                " WHERE cluster_keeper.term <= excluded.term",
                (_ROW, term),
            ).rowcount
            if claimed != 1:
                raise Superseded("the state is kept with a higher term than {term}", term=term)
            (kept,) = self._connection.execute(
                "SELECT kept FROM cluster_keeper WHERE id = ?", (_ROW,)
            ).fetchone()
        return int(kept)

    def advance(self, term: int, kept: int) -> None:
        """Take note that the state is written up to the event ``kept``; never goes back.

        In the transaction that writes it, and before. Raises ``Superseded`` if this term is not the
        keeper's, so that nothing is written.
        """
        with store_errors("keep the state"):
            advanced = self._connection.execute(
                "UPDATE cluster_keeper SET kept = greatest(kept, ?) WHERE id = ? AND term = ?",
                (kept, _ROW, term),
            ).rowcount
        if advanced != 1:
            raise Superseded("the state is kept by another relay than that of {term}", term=term)
