import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from securechat.errors import StoreError
from securechat.store.database import open_database
from securechat.store.invites import Invites

NOW = 1_700_000_000.0


@pytest.fixture
def connection(tmp_path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "relay.db")) as connection:
        yield connection


@pytest.fixture
def invites(connection: sqlite3.Connection) -> Invites:
    return Invites(connection)


def test_a_code_is_redeemed_as_often_as_it_says(invites):
    invites.create("come in", uses=2, expires_at=NOW + 10, created_at=NOW)
    assert [invites.redeem("come in", NOW) for _ in range(4)] == [True, True, False, False]


def test_a_code_expires_at_its_time(invites):
    invites.create("come in", uses=9, expires_at=NOW + 10, created_at=NOW)
    assert invites.redeem("come in", NOW + 9.5)
    assert not invites.redeem("come in", NOW + 10)
    assert not invites.redeem("come in", NOW + 11)


@pytest.mark.parametrize("code", ["", "Come in", "come in ", "come", "%", "*"])
def test_another_code_opens_nothing_and_uses_nothing(invites, code):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    assert not invites.redeem(code, NOW)
    assert invites.redeem("come in", NOW)


def test_codes_are_used_up_one_by_one(invites):
    for code in ("first", "second"):
        invites.create(code, uses=1, expires_at=NOW + 10, created_at=NOW)
    assert invites.redeem("first", NOW)
    assert not invites.redeem("first", NOW)
    assert invites.redeem("second", NOW)


def test_the_code_itself_is_not_kept(connection, invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    kept = "".join(connection.iterdump())
    assert "INSERT INTO" in kept
    assert "come in" not in kept
    assert b"come in".hex().upper() not in kept


def test_a_code_made_twice_is_an_error(invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    with pytest.raises(StoreError, match="cannot create an invitation: UNIQUE"):
        invites.create("come in", uses=5, expires_at=NOW + 10, created_at=NOW)
    assert [invites.redeem("come in", NOW) for _ in range(2)] == [True, False]


def test_a_use_that_is_rolled_back_is_not_used_up(connection, invites):
    invites.create("come in", uses=1, expires_at=NOW + 10, created_at=NOW)
    connection.execute("BEGIN IMMEDIATE")
    assert invites.redeem("come in", NOW)
    connection.execute("ROLLBACK")
    assert invites.redeem("come in", NOW)


def test_an_error_of_the_database_is_a_store_error(connection, invites):
    connection.execute("DROP TABLE invites")
    for use in (
        lambda: invites.create("come in", uses=1, expires_at=NOW, created_at=NOW),
        lambda: invites.redeem("come in", NOW),
    ):
        with pytest.raises(StoreError, match="no such table"):
            use()
