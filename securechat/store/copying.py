"""All of a database into an empty one, from either engine to either.

It is read in slices by the keys of the tables, so that the largest history takes no more memory
than a small one. What only several relays need of each other (``cluster_…``, ``last_commits``) is
not copied: they begin from the rest. Nor is the search index, which is made anew.

In SQLite no two messages have one id, in PostgreSQL those of one conversation: there what one event
does in many rooms is at one place in all. On the way to SQLite they come one after the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.database import store_errors
from securechat.store.entries import COUNT_BITS, Conversation, Entry
from securechat.store.message_index import MessageIndex
from securechat.store.postgres_search import message_vector

__all__ = ["TABLES", "Progress", "Table", "copy_all", "count_all", "filled_tables"]

_SLICE: Final = 10_000
"""Rows that are in memory at a time: some 10 MB of messages, and 0.1 s of work."""

Progress = Callable[[str, int], object]
"""Told a table, and how many of its rows are copied by now."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, by columns that both engines have; the first ``keys`` of them are its key."""

    name: str
    columns: tuple[str, ...]
    keys: int = 1


def _table(name: str, columns: str, keys: int = 1) -> Table:
    return Table(name, tuple(columns.split()), keys)


_MESSAGES: Final = _table(
    "messages",
    "id conversation msgid kind source sender account detail text tags redacted",
    2,
)

TABLES: Final = (
    _table(
        "accounts",
        "folded_name name password_hash scram created_at last_login_at suspended",
    ),
    _table("relay_secrets", "name value"),
    _table("invites", "code_hash uses_left uses expires_at created_at account room"),
    _table(
        "rooms",
        "uid folded_name name created_ms owner topic topic_by topic_ms modes history_days",
    ),
    _table("room_lists", "room letter folded_mask mask set_by at_ms", 3),
    _table("room_people", "room account ranks since_ms present", 2),
    _table("account_settings", "account key value", 2),
    _table("account_certificates", "fingerprint account label added_ms"),
    _table("read_markers", "account target at_ms", 2),
    _table("metadata", "subject key value", 2),
    _table("peer_devices", "account fingerprint certificate first_ms last_ms", 2),
    _table("bans", "kind folded_mask mask reason set_by set_ms expires_ms", 2),
    _table("conversations", "id key party other_party"),
    _MESSAGES,
)
"""What is copied, and in which order: a row refers only to those of tables before."""

_OF_RELAYS: Final = ("cluster_snapshots", "cluster_keeper")
"""Tables of PostgreSQL by which relays would take an older state for the newest."""


def filled_tables(connection: Connection) -> list[str]:
    """Return the tables that a database to copy into must not have rows in, and has.

    Raises ``StoreError`` if it cannot be read.
    """
    names = [table.name for table in TABLES]
    if not isinstance(connection, sqlite3.Connection):
        names += _OF_RELAYS
    with store_errors("look whether the database is empty"):
        return [name for name in names if _has_rows(connection, name)]


def count_all(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has that is copied. Raises ``StoreError``."""
    with store_errors("count what is in the database"):
        return {table.name: _count(connection, table.name) for table in TABLES}


def copy_all(
    source: Connection, target: Connection, progress: Progress = lambda table, rows: None
) -> dict[str, int]:
    """Copy all rows of ``source``, and return how many each table has now; blocks for long.

    Both have the newest schema; ``source`` stays as it is meanwhile (a transaction of the
    caller's), ``target`` is empty. In PostgreSQL the caller begins and commits. In SQLite each
    slice is committed, as one transaction would write it all twice: the caller takes a new file,
    and drops it if this raises.

    Raises ``StoreError``, also if not all has arrived.
    """
    expected = count_all(source)
    with store_errors("copy the database"):
        if isinstance(target, sqlite3.Connection):
            _fill_file(source, target, progress)
        else:
            _fill_server(source, target, progress)
    arrived = count_all(target)
    lacking = [name for name, count in expected.items() if arrived[name] != count]
    if lacking:
        raise StoreError("not all has arrived in {tables}", tables=", ".join(lacking))
    return arrived


# ---- reading ----


def _slices(connection: Connection, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    """Yield all rows in the order of their keys, some at a time."""
    keys = ", ".join(table.columns[: table.keys])
    places = ", ".join("?" * table.keys)
    select = f"SELECT {', '.join(table.columns)} FROM {table.name}"
    end = f"ORDER BY {keys} LIMIT {_SLICE}"
    rows = connection.execute(f"{select} {end}").fetchall()
    while rows:
        yield rows
        last = rows[-1][: table.keys]
        rows = connection.execute(f"{select} WHERE ({keys}) > ({places}) {end}", last).fetchall()


def _told(
    slices: Iterable[list[tuple[Any, ...]]], table: Table, progress: Progress
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield what is there, and tell of each slice when it is done."""
    count = 0
    for rows in slices:
        yield rows
        count += len(rows)
        progress(table.name, count)


def _count(connection: Connection, name: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    return int(count)


def _has_rows(connection: Connection, name: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() is not None


# ---- writing: SQLite ----


def _fill_file(source: Connection, target: sqlite3.Connection, progress: Progress) -> None:
    index = MessageIndex(target)
    for table in TABLES:
        insert = (
            f"INSERT INTO {table.name} ({', '.join(table.columns)})"
            f" VALUES ({', '.join('?' * len(table.columns))})"
        )
        slices = _slices(source, table)
        if table is _MESSAGES:
            slices = _one_after_the_other(slices)
        for rows in _told(slices, table, progress):
            target.execute("BEGIN IMMEDIATE")
            if table is _MESSAGES:
                index.put_off([row[0] for row in rows])
            target.executemany(insert, rows)
            index.take_in()
            target.execute("COMMIT")


def _one_after_the_other(
    slices: Iterable[list[tuple[Any, ...]]],
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the messages, each with an id after that of the one before."""
    last = -1
    for rows in slices:
        moved = []
        for row_id, *rest in rows:
            last = max(row_id, last + 1)
            moved.append((last, *rest))
        yield moved


# ---- writing: PostgreSQL ----

# All but that of the key.
_INDEXES: Final = (
    "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
    " WHERE indrelid = ?::regclass AND NOT indisprimary ORDER BY 1"
)


def _fill_server(source: Connection, target: Connection, progress: Progress) -> None:
    # Only who has chosen PostgreSQL has such a connection, and the extra that it needs.
    from securechat.store.postgres import PostgresConnection

    server = cast(PostgresConnection, target)
    # To make an index at once is several times as fast as to have it grow.
    indexes = server.execute(_INDEXES, (_MESSAGES.name,)).fetchall()
    for name, _ in indexes:
        server.execute(f"DROP INDEX {name}")
    for table in TABLES:
        slices = _told(_slices(source, table), table, progress)
        if table is _MESSAGES:
            columns = (*table.columns, "words")
            server.copy_in(table.name, columns, _with_words(slices))
        else:
            server.copy_in(table.name, table.columns, (row for rows in slices for row in rows))
    for _, definition in indexes:
        server.execute(definition)
    server.execute(
        "SELECT setval('conversations_id_seq', max(id)) FROM conversations HAVING max(id) > 0"
    )
    server.execute("ANALYZE")


def _with_words(slices: Iterable[list[tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    """Yield the messages with what the search knows of them."""
    for rows in slices:
        for row in rows:
            found = dict(zip(_MESSAGES.columns, row, strict=True))
            redacted = bool(found["redacted"])
            words = None if redacted else message_vector(found["conversation"], _entry(found))
            yield (*row[:-1], redacted, words)


_NOWHERE: Final = Conversation("")


def _entry(found: Mapping[str, Any]) -> Entry:
    fields: Sequence[Any] = [found[name] for name in _MESSAGES.columns[3:10]]
    return Entry(_NOWHERE, found["msgid"], found["id"] >> COUNT_BITS, *fields)
