"""What the errors of PostgreSQL mean to the store thread; see ``test_store_thread_postgres``."""

from __future__ import annotations

import pytest

from securechat.errors import StoreError
from securechat.store.connection import DatabaseError
from securechat.store.engine import OutcomeUnknown
from securechat.store.postgres_database import PostgresDatabase
from securechat.store.postgres_url import parse_postgres_url

# https://www.postgresql.org/docs/current/errcodes-appendix.html
ERRORS = {
    "unique_violation": ("23505", False, False),
    "query_canceled": ("57014", False, False),
    "lost, and it did not say why": ("", True, True),
    "admin_shutdown": ("57P01", True, True),
    "deadlock_detected": ("40P01", False, True),
    "serialization_failure": ("40001", False, True),
    "read_only_sql_transaction": ("25006", True, False),
    "disk_full": ("53100", True, False),
    "too_many_connections": ("53300", True, False),
    "invalid_password": ("28P01", True, False),
    "invalid_catalog_name": ("3D000", True, False),
    "io_error": ("58030", True, False),
    "data_corrupted": ("XX001", True, False),
}


@pytest.fixture
def database() -> PostgresDatabase:
    return PostgresDatabase(parse_postgres_url("postgresql://localhost/chat"))


@pytest.mark.parametrize(("code", "trouble", "passing"), ERRORS.values(), ids=ERRORS)
def test_what_an_error_means(database, code, trouble, passing):
    error = DatabaseError("because", code, lost=code in ("", "57P01"))
    wrapped = StoreError("cannot do it")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        assert database.is_trouble(each) is trouble
        assert database.is_passing(each) is passing
    assert database.is_error(error)


def test_what_is_no_error_of_the_database_means_nothing(database):
    for error in (ValueError("because"), StoreError("because")):
        assert not database.is_trouble(error)
        assert not database.is_passing(error)
        assert not database.is_error(error)
    assert not database.is_trouble(None)


def test_an_unknown_outcome_is_trouble_and_not_to_be_done_again(database):
    error = OutcomeUnknown("nobody knows")
    error.__cause__ = DatabaseError("lost again", lost=True)
    assert database.is_trouble(error)
    assert not database.is_passing(error)
