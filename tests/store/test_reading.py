"""Pages in the order of time, and by which index they are found."""

import sqlite3
from collections.abc import Collection
from itertools import product

import pytest

from securechat.store.connection import Connection
from securechat.store.entries import LAST_ID, SPOKEN_KINDS, Conversation, Entry, Readable
from securechat.store.history import History
from securechat.store.messages import messages_in
from securechat.store.reading import Reading

ROOM = Conversation("room")
KINDS = ["JOIN", "PART", "PRIVMSG", "NOTICE", "TOPIC", "PRIVMSG", "PRIVMSG", "QUIT"]


@pytest.fixture
def filled(connection: Connection) -> Connection:
    """One entry of each of the kinds at the times from 0 on, the even ones of Alice."""
    History(connection).add(
        Entry(ROOM, f"m{at_ms}", at_ms, kind, "a!a@h", "a", (None, "Alice")[at_ms % 2 == 0], *"dtx")
        for at_ms, kind in enumerate(KINDS)
    )
    return connection


@pytest.mark.parametrize(
    ("kinds", "floor_ms", "times", "indexes"),
    [
        (None, 0, [0, 1, 2, 3, 4, 5, 6, 7], {"messages_spoken", "messages_done"}),
        (None, 5, [0, 2, 4, 5, 6, 7], {"messages_spoken", "messages_done", "messages_by_account"}),
        (SPOKEN_KINDS, 0, [2, 3, 5, 6], {"messages_spoken"}),
        (["PRIVMSG"], 4, [2, 5, 6], {"messages_spoken", "messages_by_account"}),
        (["JOIN", "TOPIC"], 0, [0, 4], {"messages_done"}),
        (["JOIN", "NOTICE"], 0, [0, 3], {"messages_spoken", "messages_done"}),
    ],
)
def test_what_is_read_is_in_order_and_nothing_else_is_looked_at(
    filled: Connection,
    kinds: Collection[str] | None,
    floor_ms: int,
    times: list[int],
    indexes: set[str],
) -> None:
    parts, readable = messages_in(filled).parts, Readable(ROOM.key, floor_ms, "Alice")
    (room,) = filled.execute("SELECT id FROM conversations").fetchone()
    reading = Reading(filled, parts, room, readable, kinds)
    for limit, newest in product((1, 3, 9), (False, True)):
        asked: list[str] = []
        if isinstance(filled, sqlite3.Connection):
            filled.set_trace_callback(asked.append)
        rows = reading.rows(0, LAST_ID, limit, newest=newest)
        assert [row[1] for row in rows] == [
            f"m{at_ms}" for at_ms in (times[-limit:] if newest else times[:limit])
        ]
        if isinstance(filled, sqlite3.Connection):
            filled.set_trace_callback(None)
            check_plans(filled, asked, indexes, all_of_them=limit >= len(times))


def check_plans(
    connection: sqlite3.Connection, asked: list[str], indexes: set[str], *, all_of_them: bool
) -> None:
    plans = [connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in asked]
    searches = [
        step
        for plan in plans
        for *_, step in plan
        if step not in ("LEFT", "RIGHT", "MERGE (UNION ALL)")
    ]
    assert all("rowid>? AND rowid<?" in step for step in searches)  # neither a scan nor a sort
    used = {step.split(" INDEX ")[1].split()[0] for step in searches}
    assert used <= indexes
    assert used == indexes or not all_of_them
