"""The schema in PostgreSQL: made once, whoever starts first, and never by an older version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from securechat.errors import NewerSchemaError, StoreError
from securechat.store import migrations, postgres_migrations
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_migrations import MIGRATIONS, migrate
from securechat.store.postgres_url import parse_postgres_url
from tests.store.rivals import wait_until_blocked

FIRST = ("CREATE TABLE one (number INTEGER)", "INSERT INTO one VALUES (1)")
SECOND = ("ALTER TABLE one ADD COLUMN other INTEGER",)


@pytest.fixture
def connection(empty_postgres_url: str) -> Iterator[PostgresConnection]:
    with closing(connect(parse_postgres_url(empty_postgres_url))) as connection:
        yield connection


@pytest.fixture
def other(empty_postgres_url: str) -> Iterator[PostgresConnection]:
    with closing(connect(parse_postgres_url(empty_postgres_url))) as connection:
        yield connection


def tables(connection: PostgresConnection) -> set[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema")
    return {name for (name,) in rows}


def version(connection: PostgresConnection) -> int:
    ((number,),) = connection.execute("SELECT version FROM schema_version").fetchall()
    return int(number)


def test_a_new_database_has_all_tables(connection):
    migrate(connection)
    assert version(connection) == len(MIGRATIONS)
    assert {"accounts", "rooms", "messages", "cluster_snapshots"} < tables(connection)
    assert not connection.in_transaction


def test_the_tables_are_those_of_sqlite(connection):
    """But for what its search needs, and a cluster."""
    made = {
        name
        for statements in migrations.MIGRATIONS
        for statement in statements
        for name in re.findall(r"CREATE TABLE (\w+)", statement)
    }
    migrate(connection)
    assert made - tables(connection) <= {"unindexed_messages", "unindexed_ranges"}


def test_text_is_compared_byte_by_byte_where_it_is_a_key(connection):
    migrate(connection)
    others = connection.execute(
        "SELECT attrelid::regclass::text, attname FROM pg_index"
        " JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)"
        " JOIN pg_class ON pg_class.oid = indrelid AND relnamespace = current_schema::regnamespace"
        " WHERE atttypid = 'text'::regtype AND attcollation <> '\"C\"'::regcollation"
    ).fetchall()
    assert others == []


def test_what_is_there_stays(connection):
    migrate(connection, [FIRST])
    migrate(connection, [FIRST])
    migrate(connection, [FIRST, SECOND])
    assert version(connection) == 2
    assert connection.execute("SELECT * FROM one").fetchall() == [(1, None)]


def test_what_a_newer_version_has_written_is_not_touched(connection):
    migrate(connection, [FIRST, SECOND])
    with pytest.raises(NewerSchemaError, match=r"schema version 2, .* up to 1: start the newer"):
        migrate(connection, [FIRST])
    assert not connection.in_transaction
    assert version(connection) == 2


def test_a_migration_that_fails_leaves_all_as_it_was(connection):
    migrate(connection, [FIRST])
    with pytest.raises(StoreError, match=r"cannot bring the database to schema version 3: .*one"):
        migrate(connection, [FIRST, SECOND, ("CREATE TABLE one (number INTEGER)",)])
    assert version(connection) == 1
    assert connection.execute("SELECT * FROM one").fetchall() == [(1,)]


def test_two_relays_that_start_at_once_make_it_once(connection, other, in_background):
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(?)", (postgres_migrations.LOCK,))
    made = in_background(lambda: migrate(other, [FIRST, SECOND]))
    wait_until_blocked(connection)
    for statement in ("CREATE TABLE schema_version (version INTEGER NOT NULL)", *FIRST):
        connection.execute(statement)
    connection.execute("INSERT INTO schema_version VALUES (1)")
    connection.execute("COMMIT")
    made()
    assert version(other) == 2
    assert other.execute("SELECT * FROM one").fetchall() == [(1, None)]
