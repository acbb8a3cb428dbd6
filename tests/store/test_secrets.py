import os
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import StoreError
from securechat.store.database import open_database
from securechat.store.secrets import RelaySecrets


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "relay.db"


def never() -> bytes:
    raise AssertionError("made a second time")


def test_a_secret_is_made_once(connection):
    secrets = RelaySecrets(connection)
    made = secrets.get_or_create("cloak", lambda: os.urandom(32))
    assert len(made) == 32
    assert secrets.get_or_create("cloak", never) == made


def test_a_secret_outlives_the_relay(path):
    with closing(open_database(path)) as connection:
        RelaySecrets(connection).get_or_create("cloak", lambda: b"\x00\xff\n'")
    with closing(open_database(path)) as connection:
        assert RelaySecrets(connection).get_or_create("cloak", never) == b"\x00\xff\n'"


def test_each_name_has_its_own(connection):
    secrets = RelaySecrets(connection)
    assert secrets.get_or_create("cloak", lambda: b"1") == b"1"
    assert secrets.get_or_create("salt", lambda: b"2") == b"2"
    assert secrets.get_or_create("cloak", never) == b"1"


def test_the_transaction_is_the_callers(connection):
    connection.execute("BEGIN")
    RelaySecrets(connection).get_or_create("cloak", lambda: b"1")
    connection.execute("ROLLBACK")
    assert RelaySecrets(connection).get_or_create("cloak", lambda: b"2") == b"2"


def test_an_error_of_the_database_is_a_store_error(connection):
    connection.execute("DROP TABLE relay_secrets")
    with pytest.raises(StoreError, match="cannot read or keep the relay's secret cloak"):
        RelaySecrets(connection).get_or_create("cloak", lambda: b"1")
