"""Who writes the state: one relay at a time, and nothing after it was superseded."""

from contextlib import closing

import pytest

from securechat.errors import StoreError
from securechat.store.keeping import Keeping, Superseded
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_url import parse_postgres_url
from tests.store.rivals import wait_until_blocked


@pytest.fixture
def connection(postgres_url):
    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        yield connection


def test_the_first_keeper_finds_nothing_written(connection):
    keeping = Keeping(connection)
    assert keeping.claim(7) == 0
    keeping.advance(7, 30)
    keeping.advance(7, 20)
    assert keeping.claim(7) == 30


def test_the_next_keeper_goes_on_where_the_last_was(connection, other):
    Keeping(connection).claim(7)
    Keeping(connection).advance(7, 30)
    assert Keeping(other).claim(8) == 30
    with pytest.raises(Superseded):
        Keeping(connection).advance(7, 31)
    with pytest.raises(Superseded):
        Keeping(connection).claim(7)
    assert Keeping(other).claim(8) == 30


def test_nobody_keeps_anything_without_a_claim(connection):
    with pytest.raises(Superseded):
        Keeping(connection).advance(1, 1)


def test_who_takes_over_waits_for_what_is_being_written(connection, other, in_background):
    Keeping(connection).claim(7)
    connection.execute("BEGIN")
    Keeping(connection).advance(7, 30)
    claimed = in_background(lambda: Keeping(other).claim(8))
    wait_until_blocked(connection)
    connection.execute("COMMIT")
    assert claimed() == 30
    with pytest.raises(Superseded):
        Keeping(connection).advance(7, 31)


def test_an_error_of_the_database_is_a_store_error(connection: PostgresConnection):
    connection.execute("DROP TABLE cluster_keeper")
    for use in (lambda: Keeping(connection).claim(1), lambda: Keeping(connection).advance(1, 1)):
        with pytest.raises(StoreError, match="keep"):
            use()
