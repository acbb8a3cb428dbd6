import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.read_markers import ReadMarkers


@pytest.fixture
def markers(connection: Connection) -> ReadMarkers:
    return ReadMarkers(connection)


def test_a_marker_only_moves_forward(markers):
    assert markers.get("alice", "#room") is None
    assert markers.set("alice", "#room", 1700000000123) == 1700000000123
    assert markers.set("alice", "#room", 1700000000122) == 1700000000123
    assert markers.set("alice", "#room", 1700000000123) == 1700000000123
    assert markers.get("alice", "#room") == 1700000000123
    assert markers.set("alice", "#room", 1700000000124) == 1700000000124
    assert markers.get("alice", "#room") == 1700000000124


def test_each_account_and_target_has_its_own(markers):
    markers.set("alice", "#room", 1)
    markers.set("alice", "bob{}", 2)
    markers.set("bob{}", "#room", 3)
    assert markers.load() == {"alice": {"#room": 1, "bob{}": 2}, "bob{}": {"#room": 3}}
    markers.delete("alice", "#room")
    markers.delete("alice", "#room")
    assert markers.load() == {"alice": {"bob{}": 2}, "bob{}": {"#room": 3}}
    markers.delete_account("alice")
    assert markers.load() == {"bob{}": {"#room": 3}}


def test_markers_move_to_another_target(markers):
    markers.set("alice", "#old", 1)
    markers.set("alice", "#new", 9)
    markers.set("bob", "#new", 9)
    markers.set("carol", "#old", 2)
    markers.set("carol", "#other", 3)
    markers.move("#old", "#new")
    assert markers.load() == {"alice": {"#new": 1}, "carol": {"#new": 2, "#other": 3}}


def test_an_error_of_the_database_is_a_store_error(connection, markers):
    connection.execute("DROP TABLE read_markers")
    with pytest.raises(StoreError, match="cannot move a read marker of alice"):
        markers.set("alice", "#room", 1)
