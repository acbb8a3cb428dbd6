import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.metadata import Metadata


@pytest.fixture
def metadata(connection: Connection) -> Metadata:
    return Metadata(connection)


def test_values_are_kept_by_subject_and_key(metadata):
    assert metadata.load() == {}
    metadata.set("alice", "url", "https://example.com/ü")
    metadata.set("alice", "status", "here")
    metadata.set("room 1", "url", "")
    metadata.set("alice", "status", "there")
    assert metadata.load() == {
        "alice": {"url": "https://example.com/ü", "status": "there"},
        "room 1": {"url": ""},
    }


def test_values_are_deleted_singly_or_all_of_a_subject(metadata):
    for subject in ("alice", "bob"):
        metadata.set(subject, "a", "1")
        metadata.set(subject, "b", "2")
    metadata.delete("alice", "a")
    metadata.delete("alice", "a")
    metadata.clear("bob")
    assert metadata.load() == {"alice": {"b": "2"}}


def test_an_error_of_the_database_is_a_store_error(connection, metadata):
    connection.execute("DROP TABLE metadata")
    with pytest.raises(StoreError, match="cannot save metadata"):
        metadata.set("alice", "a", "1")
