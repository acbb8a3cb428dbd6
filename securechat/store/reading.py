"""How a conversation is read in the order of time: what was said, what else was done, or both.

Either is in an index of its own, so that each message is in one and what was said is found where a
thousand joins are between two messages. What is asked of both is merged as it is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final

from securechat.store.entries import SPOKEN_KINDS, Position, Readable

__all__ = ["COLUMNS", "DONE", "SPOKEN", "Reading", "in_time"]

COLUMNS: Final = "id, msgid, kind, source, sender, account, detail, text, tags, redacted"
"""What is read of an entry."""

# Without statistics SQLite may well take another index, and read through all.
SPOKEN: Final = "messages INDEXED BY messages_spoken WHERE kind IN ('PRIVMSG', 'NOTICE')"
DONE: Final = "messages INDEXED BY messages_done WHERE kind NOT IN ('PRIVMSG', 'NOTICE')"
"""Where the entries of a conversation are in the order of time."""

_OWN: Final = "messages INDEXED BY messages_by_account WHERE account = ?5"


def in_time(
    columns: str, condition: str, *, newest: bool = False, parts: Sequence[str] = (SPOKEN, DONE)
) -> str:
    """Return a SELECT from ``parts`` in the order of time, or of the ``newest`` in front.

    The condition stands in it once for each part, so its parameters have numbers. ``id`` is one of
    the columns.
    """
    selects = [f"SELECT {columns} FROM {part} AND {condition}" for part in parts]
    return f"{' UNION ALL '.join(selects)} ORDER BY id {'DESC' if newest else 'ASC'}"


class Reading:
    """What a ``Readable`` allows of its conversation, of some kinds, as ranges of rows.

    Owned by the thread that opened the connection. Raises what SQLite does: it is a part of
    ``History``.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        conversation: int,
        readable: Readable,
        kinds: Collection[str] | None,
    ) -> None:
        self._connection = connection
        self._conversation = conversation
        self._floor_id = Position.at(readable.floor_ms).first_id
        self._own_account = readable.own_account
        self._kinds = kinds

    def rows(self, low: int, high: int, limit: int, *, newest: bool) -> list[tuple[Any, ...]]:
        """Return up to ``limit`` rows of ``COLUMNS`` from id ``low`` to ``high``, ascending."""
        # Nothing of others is below the floor: two ranges, one after the other.
        parts: list[list[tuple[Any, ...]]] = []
        for own in (False, True) if newest else (True, False):
            missing = limit - sum(map(len, parts))
            if own:
                parts.append(self._own(low, min(high, self._floor_id - 1), missing, newest))
            else:
                parts.append(self._all(max(low, self._floor_id), high, missing, newest))
        if newest:
            parts.reverse()
        return parts[0] + parts[1]

    def _all(self, low: int, high: int, limit: int, newest: bool) -> list[tuple[Any, ...]]:
        if self._kinds is None:
            parts = [SPOKEN, DONE]
        else:
            spoken = [SPOKEN] if not SPOKEN_KINDS.isdisjoint(self._kinds) else []
            parts = spoken + ([DONE] if not SPOKEN_KINDS.issuperset(self._kinds) else [])
        return self._select(parts, (), low, high, limit, newest)

    def _own(self, low: int, high: int, limit: int, newest: bool) -> list[tuple[Any, ...]]:
        if self._own_account is None:
            return []
        return self._select([_OWN], (self._own_account,), low, high, limit, newest)

    def _select(
        self,
        parts: Sequence[str],
        parameters: tuple[str, ...],
        low: int,
        high: int,
        limit: int,
        newest: bool,
    ) -> list[tuple[Any, ...]]:
        kinds = () if self._kinds is None else tuple(self._kinds)
        if limit <= 0 or low > high or (self._kinds is not None and not kinds):
            return []
        condition = "conversation = ?1 AND id BETWEEN ?2 AND ?3"
        values = (self._conversation, low, high, limit, *parameters)
        if kinds:
            numbers = range(len(values) + 1, len(values) + len(kinds) + 1)
            condition += f" AND kind IN ({', '.join(f'?{number}' for number in numbers)})"
        rows = self._connection.execute(
            f"{in_time(COLUMNS, condition, newest=newest, parts=parts)} LIMIT ?4",
            (*values, *kinds),
        ).fetchall()
        if newest:
            rows.reverse()
        return rows
