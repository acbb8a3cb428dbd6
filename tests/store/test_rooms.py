from contextlib import closing
from dataclasses import replace

import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.database import open_database
from securechat.store.rooms import ListEntry, PersonRecord, RoomRecord, Rooms, SavedRoom

RECORD = RoomRecord(
    uid="u1",
    folded_name="#room{}",
    name="#Room[]",
    created_ms=1700000000123,
    owner="alice",
    topic="Ärger",
    topic_by="Alice!a@cloak",
    topic_ms=1700000000456,
    modes={"n": "", "k": 'a "key"', "l": "5"},
    history_days=0,
)
OTHER = RoomRecord("u2", "#other", "#other", 5, None)
BAN = ListEntry("b", "bad!*@*", "Bad!*@*", "Alice!a@cloak", 7)
PERSON = PersonRecord("bob{}", "ov", 9, True)


@pytest.fixture
def rooms(connection: Connection) -> Rooms:
    return Rooms(connection)


def test_what_was_saved_is_loaded(rooms):
    assert rooms.load() == []
    rooms.save(RECORD)
    rooms.save(OTHER)
    rooms.save_entry("u1", BAN)
    rooms.save_person("u1", PERSON)
    assert rooms.load() == [SavedRoom(OTHER), SavedRoom(RECORD, (BAN,), (PERSON,))]
    assert rooms.names() == [("#other", "#other"), ("#room{}", "#Room[]")]


def test_saving_again_replaces_the_room_and_keeps_its_lists_and_people(rooms):
    rooms.save(RECORD)
    rooms.save_entry("u1", BAN)
    rooms.save_person("u1", PERSON)
    changed = replace(
        RECORD, owner="bob{}", topic="", topic_by="", topic_ms=0, modes={}, history_days=7
    )
    rooms.save(changed)
    assert rooms.load() == [SavedRoom(changed, (BAN,), (PERSON,))]


def test_a_renamed_room_keeps_its_uid_and_leaves_its_old_name_to_others(rooms):
    rooms.save(RECORD)
    rooms.save(replace(RECORD, folded_name="#new", name="#New"))
    another = replace(RECORD, uid="u3", created_ms=RECORD.created_ms + 1)
    rooms.save(another)
    assert [(room.record.uid, room.record.folded_name) for room in rooms.load()] == [
        ("u1", "#new"),
        ("u3", "#room{}"),
    ]


def test_two_rooms_of_one_name_are_refused(rooms):
    rooms.save(RECORD)
    with pytest.raises(StoreError, match=r"cannot save the room #Room\[\]"):
        rooms.save(replace(RECORD, uid="u3"))
    assert rooms.load() == [SavedRoom(RECORD)]


def test_list_entries_are_one_for_each_letter_and_folded_mask(rooms):
    rooms.save(RECORD)
    exempt = replace(BAN, letter="e")
    newer = replace(BAN, mask="BAD!*@*", by="bob", at_ms=8)
    for entry in (BAN, exempt, newer):
        rooms.save_entry("u1", entry)
    assert rooms.load()[0].entries == (newer, exempt)
    rooms.delete_entry("u1", "b", "bad!*@*")
    rooms.delete_entry("u1", "b", "bad!*@*")
    assert rooms.load()[0].entries == (exempt,)


def test_lists_come_in_the_order_of_their_setting(rooms):
    rooms.save(RECORD)
    later, first = replace(BAN, folded_mask="a", at_ms=9), replace(BAN, folded_mask="z", at_ms=3)
    for entry in (later, BAN, first):
        rooms.save_entry("u1", entry)
    assert rooms.load()[0].entries == (first, BAN, later)


def test_a_person_is_remembered_once(rooms):
    rooms.save(RECORD)
    rooms.save_person("u1", PERSON)
    changed = replace(PERSON, ranks="", present=False)
    rooms.save_person("u1", changed)
    assert rooms.load()[0].people == (changed,)
    rooms.delete_person("u1", PERSON.account)
    rooms.delete_person("u1", PERSON.account)
    assert rooms.load()[0].people == ()


def test_a_deleted_room_takes_its_lists_and_people_with_it(connection, rooms):
    for record in (RECORD, OTHER):
        rooms.save(record)
        rooms.save_entry(record.uid, BAN)
        rooms.save_person(record.uid, PERSON)
    rooms.delete("u1")
    rooms.delete("u1")
    assert rooms.load() == [SavedRoom(OTHER, (BAN,), (PERSON,))]
    rooms.save(RECORD)
    assert rooms.load()[1] == SavedRoom(RECORD)


def test_nothing_is_saved_about_a_room_that_is_not(rooms):
    with pytest.raises(StoreError, match="cannot save a mask"):
        rooms.save_entry("u1", BAN)
    with pytest.raises(StoreError, match="cannot save a member"):
        rooms.save_person("u1", PERSON)


def test_damaged_modes_are_a_store_error(connection, rooms):
    rooms.save(RECORD)
    for damaged in ("nonsense", "[1]", "5"):
        connection.execute("UPDATE rooms SET modes = ?", (damaged,))
        with pytest.raises(StoreError, match="damaged"):
            rooms.load()


def test_rooms_outlive_the_relay(tmp_path):
    with closing(open_database(tmp_path / "relay.db")) as connection:
        Rooms(connection).save(RECORD)
    with closing(open_database(tmp_path / "relay.db")) as connection:
        assert Rooms(connection).load() == [SavedRoom(RECORD)]
