"""The connection to PostgreSQL: it is used as one to SQLite is, and verifies whom it talks to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
import trustme

from securechat.errors import StoreError
from securechat.store.connection import DatabaseError
from securechat.store.database import store_errors
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_url import parse_postgres_url
from securechat.store.settings import AccountSettings
from tests.services.postgres import PostgresServer


@pytest.fixture
def connection(postgres_url: str) -> Iterator[PostgresConnection]:
    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        yield connection


@pytest.mark.parametrize(
    ("sql", "parameters", "found"),
    [
        ("SELECT ?::int + 1, ?::text", (1, "a"), (2, "a")),
        ("SELECT ?2::text, ?1::int, ?2 || '!'", (1, "a"), ("a", 1, "a!")),
        ("""SELECT 'why?', 'it''s ?', 5 AS "?", ?::int""", (7,), ("why?", "it's ?", 5, 7)),
        ("SELECT 'a' LIKE '%', 7 % 4, ?::text", ("%s",), (True, 3, "%s")),
        (
            "SELECT ?::bytea, ?::float8, ?::bigint",
            (b"\0\xff", 0.5, 1 << 62),
            (b"\0\xff", 0.5, 1 << 62),
        ),
        ("SELECT 1", (), (1,)),
    ],
)
def test_the_places_of_values(connection, sql, parameters, found):
    assert connection.execute(sql, parameters).fetchall() == [found]


def test_what_a_statement_has_found_and_done(connection):
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    assert (
        connection.executemany("INSERT INTO numbers VALUES (?)", [(3,), (1,), (2,)]).rowcount == 3
    )
    assert connection.executemany("INSERT INTO numbers VALUES (?)", []).rowcount <= 0
    cursor = connection.execute("SELECT number FROM numbers ORDER BY number")
    assert cursor.fetchone() == (1,)
    assert list(cursor) == [(2,), (3,)]
    assert cursor.fetchone() is None
    assert connection.execute("DELETE FROM numbers WHERE number > ?", (1,)).rowcount == 2


def test_a_transaction_is_what_is_between_begin_and_commit(connection):
    connection.execute("CREATE TABLE numbers (number INTEGER)")
    assert not connection.in_transaction
    connection.execute("BEGIN")
    connection.execute("INSERT INTO numbers VALUES (1)")
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert not connection.in_transaction
    assert connection.execute("SELECT * FROM numbers").fetchall() == []


def test_an_error_has_the_code_of_the_server_and_one_line(connection):
    with pytest.raises(DatabaseError) as caught:
        connection.execute("SELECT nothing FROM nowhere")
    assert str(caught.value) == 'relation "nowhere" does not exist'
    assert (caught.value.code, caught.value.lost) == ("42P01", False)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_text_with_a_nul_is_refused_clearly(connection):
    with pytest.raises(StoreError, match=r"cannot save .*: .*NUL"):
        AccountSettings(connection).set("alice", "key", "a\0b")
    assert AccountSettings(connection).load() == {}


def test_a_connection_that_is_lost_says_so(connection, postgres):
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    with closing(postgres.connect()) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    with pytest.raises(DatabaseError) as caught:
        connection.execute("SELECT 1")
    assert caught.value.lost
    assert not connection.in_transaction


def test_a_server_that_does_not_answer_is_given_up(postgres_url):
    with closing(connect(parse_postgres_url(postgres_url), answer_timeout_s=1.0)) as connection:
        with pytest.raises(StoreError, match=r"cannot wait: no answer within 1 seconds"):
            wait(connection)
        with pytest.raises(DatabaseError, match="closed"):
            connection.execute("SELECT 1")


def wait(connection: PostgresConnection) -> None:
    with store_errors("wait"):
        connection.execute("SELECT pg_sleep(60)::text")


def test_a_server_that_the_ca_does_not_vouch_for_is_none(postgres, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    url = postgres.url("public", sslmode="verify-full", sslrootcert=str(tmp_path / "other.pem"))
    with pytest.raises(DatabaseError, match="certificate verify failed"):
        connect(parse_postgres_url(url))


def test_a_server_that_is_too_old(postgres, monkeypatch):
    monkeypatch.setattr("securechat.store.postgres._OLDEST_VERSION", 99)
    with pytest.raises(DatabaseError, match="too old: it must be 99 or newer"):
        connect(parse_postgres_url(postgres.url("public")))


def test_who_has_not_the_password_is_told_so_without_it(postgres: PostgresServer):
    url = parse_postgres_url(postgres.url("public")).with_password("not this one")
    with pytest.raises(DatabaseError, match="password authentication failed") as caught:
        connect(url)
    assert "not this one" not in str(caught.value)


# ---- addresses ----


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://localhost/chat",
        "postgres://127.0.0.1:5433/chat?sslmode=disable",
        "postgresql://relay:secret@[::1]/chat",
        "postgresql:///chat?host=/run/postgresql",
        "postgresql://db.example.org/chat?sslmode=verify-full&sslrootcert=ca.pem",
        "postgresql://a.example.org,b.example.org/chat?sslmode=verify-full",
    ],
)
def test_addresses_that_may_be_used(text):
    assert parse_postgres_url(text).parameters["dbname"] == "chat"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "begins with"),
        ("host=localhost", "begins with"),
        ("postgresql://localhost/a\0", "begins with"),
        ("postgresql://u:secret@localhost:x:y/chat?odd", "libpq"),
        ("postgresql://localhost/chat?secret=1", "libpq"),
        ("postgresql:///chat", "names a host"),
        ("postgresql://localhost/chat?service=secret", "service cannot be used"),
        ("postgresql://u:secret@db.example.org/chat", "needed for db.example.org"),
        ("postgresql://u:secret@db.example.org/chat?sslmode=verify-ca", "needed for"),
        ("postgresql://localhost,db.example.org/chat", "needed for db.example.org"),
        ("postgresql://localhost/chat?hostaddr=192.0.2.7", "needed for 192.0.2.7"),
        ("postgresql://localhost.example.org/chat", "needed for localhost.example.org"),
    ],
)
def test_addresses_that_may_not(text, problem):
    with pytest.raises(StoreError, match=problem) as caught:
        parse_postgres_url(text)
    assert "secret" not in str(caught.value).replace("secret=1", "")
    assert caught.value.__cause__ is None


def test_an_address_is_shown_without_secrets():
    url = parse_postgres_url("postgresql://relay:secret@localhost:5433/chat?sslpassword=secret")
    assert (str(url), repr(url)) == (
        "postgresql://relay@localhost:5433/chat",
        "<postgresql://relay@localhost:5433/chat>",
    )
    other = url.with_password("another")
    assert other != url
    assert str(other) == str(url)
    assert "password=another" in other.connection_string()
    assert str(parse_postgres_url("postgresql:///x?host=/run")) == "postgresql://[socket]/x"


def test_of_several_servers_the_one_that_can_be_written_is_chosen():
    several = "postgresql://a.example.org,b.example.org/chat?sslmode=verify-full"
    given = parse_postgres_url(several).connection_string()
    assert "target_session_attrs=read-write" in given
    given = parse_postgres_url(f"{several}&target_session_attrs=primary").connection_string()
    assert "target_session_attrs=primary" in given


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r'pip install "securechat\[cluster\]"'):
        parse_postgres_url("postgresql://localhost/chat")
