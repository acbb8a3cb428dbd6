"""How a conversation is read in the order of time: what was said, what else was done, or both.

Either is in an index of its own, so that each message is in one and what was said is found where a
thousand joins are between two messages. What is asked of both is merged as it is read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from securechat.store.connection import Connection
from securechat.store.entries import SPOKEN_KINDS, Position, Readable

__all__ = ["COLUMNS", "Parts", "Reading"]

COLUMNS: Final = "id, msgid, kind, source, sender, account, detail, text, tags, redacted"
"""What is read of an entry."""


class Parts(NamedTuple):
    """Where the entries of a conversation are in the order of time, as it stands after FROM.

    ``spoken`` is what was said, ``done`` the rest, ``own`` what is of the account ``?5``. Each has
    a WHERE to which a condition can be added. ``merged`` tells whether the engine reads two of them
    together in the order of both: if not, each is read in its own, as far as may be needed.
    """

    spoken: str
    done: str
    own: str
    merged: bool

    def in_time(self, columns: str, condition: str, limit: str, *, newest: bool = False) -> str:
        """Return a SELECT of all in the order of time, or of the ``newest`` in front.

        The condition stands in it more than once, as may the limit, so their parameters have
        numbers. ``id`` is one of the columns.
        """
        return self.some_in_time((self.spoken, self.done), columns, condition, limit, newest=newest)

    def some_in_time(
        self, parts: Sequence[str], columns: str, condition: str, limit: str, *, newest: bool
    ) -> str:
        """Return the same of some of the parts."""
        order = f"ORDER BY id {'DESC' if newest else 'ASC'} LIMIT {limit}"
        selects = [f"SELECT {columns} FROM {part} AND {condition}" for part in parts]
        if not self.merged and len(parts) > 1:
            selects = [f"({select} {order})" for select in selects]
        return f"{' UNION ALL '.join(selects)} {order}"


class Reading:
    """What a ``Readable`` allows of its conversation, of some kinds, as ranges of rows.

    Owned by the thread that opened the connection. Raises what the engine does: it is a part of
    ``History``.
    """

    def __init__(
        self,
        connection: Connection,
        parts: Parts,
        conversation: int,
        readable: Readable,
        kinds: Collection[str] | None,
    ) -> None:
        self._connection = connection
        self._parts = parts
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
        parts = []
        if self._kinds is None or not SPOKEN_KINDS.isdisjoint(self._kinds):
            parts.append(self._parts.spoken)
        if self._kinds is None or not SPOKEN_KINDS.issuperset(self._kinds):
            parts.append(self._parts.done)
        return self._select(parts, (), low, high, limit, newest)

    def _own(self, low: int, high: int, limit: int, newest: bool) -> list[tuple[Any, ...]]:
        if self._own_account is None:
            return []
        return self._select([self._parts.own], (self._own_account,), low, high, limit, newest)

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
            self._parts.some_in_time(parts, COLUMNS, condition, "?4", newest=newest),
            (*values, *kinds),
        ).fetchall()
        if newest:
            rows.reverse()
        return rows
