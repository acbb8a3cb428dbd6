"""What is kept of the rooms that belong to somebody."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from securechat.errors import StoreBusy, StoreError
from securechat.server import events, room_keeper
from securechat.server.events import Stamp
from securechat.server.network import Network
from securechat.server.refusals import Refusal
from securechat.server.room_keeper import RoomKeeper
from securechat.server.snapshot import take_snapshot
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.rooms import Rooms, SavedRoom
from securechat.store.sqlite_database import SqliteDatabase
from tests.server.network_transcripts import LIMITS, START_MS, STEP_MS, parse_event


class Notes:
    """The part of a context that a keeper uses."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


class Kept:
    """A network whose rooms are kept, and what the store has of them."""

    def __init__(self, store: StoreThread) -> None:
        self.store = store
        self.notes = Notes()
        self.network = Network(LIMITS)
        self.keeper = RoomKeeper(store, self.network)
        self.keeper.load()
        self.now_ms = START_MS

    def play(self, *lines: str) -> None:
        for line in lines:
            event = parse_event(line, self.now_ms)
            self.now_ms += STEP_MS
            with contextlib.suppress(Refusal):
                self.keeper.keep(self.network.apply(event), self.notes)  # type: ignore[arg-type]

    def saved(self) -> list[SavedRoom]:
        return self.store.call(lambda connection: Rooms(connection).load())

    def rooms(self) -> list[dict[str, Any]]:
        """Return the rooms of the state that belong to somebody, as they are when all have left."""
        channels = take_snapshot(self.network)["channels"]
        gone = {"members": [], "invited": [], "renamed_ms": 0}
        return [{**each, **gone} for each in channels if each["owner"]]

    def check(self) -> None:
        """What is kept is what there is."""
        other = Kept(self.store)
        key: Callable[[dict[str, Any]], str] = lambda room: room["name"]  # noqa: E731
        assert sorted(other.rooms(), key=key) == sorted(self.rooms(), key=key)
        present = {
            (room.record.name, person.account)
            for room in self.saved()
            for person in room.people
            if person.present
        }
        assert present == {
            (channel.name, account)
            for channel in self.network.channels.values()
            for account in channel.members_since
            if self.network.is_present(channel, account)
        }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreThread]:
    thread = StoreThread(SqliteDatabase(tmp_path / "relay.db"))
    with contextlib.closing(thread):
        yield thread


@pytest.fixture
def kept(store: StoreThread) -> Kept:
    kept = Kept(store)
    kept.play(
        *("1 account alice", "2 account bob", "1 attach alice as alice", "2 attach bob as bob"),
        *("3 attach carol", "1 join #den", "2 join #den", "3 join #den"),
    )
    return kept


def test_a_new_room(kept: Kept) -> None:
    (room,) = kept.saved()
    assert (room.record.name, room.record.owner) == ("#den", "alice")
    assert room.record.uid == kept.network.channels["#den"].uid
    people = {person.account: (person.ranks, person.present) for person in room.people}
    assert people == {"alice": ("oq", True), "bob": ("", True)}
    kept.check()


@pytest.mark.parametrize(
    "change",
    [
        "1 topic #den tea",
        "1 mode #den +ikl-t key 5",
        "1 mode #den +bb x!*@* y!*@*",
        "1 mode #den +v bob",
        "1 mode #den +vvo bob carol carol",
        "1 rank #den bob +h",
        "1 transfer #den bob",
        "1 retain #den 7",
        "1 retain #den 0",
        "1 kick #den bob out",
        "2 part #den bye",
        "2 detach bye",
        "1 detach bye",
        "3 login carol",
        "1 drop #den",
        "0 close alice x",
        "0 close bob x",
        "0 forget alice x",
        "0 forget bob x",
        "1 nick alison",
        "1 rename #den #yard",
        "1 rename #den #DEN",
    ],
)
def test_each_change(kept: Kept, change: str) -> None:
    kept.play(change)
    kept.check()


def test_the_opposite_of_each_change(kept: Kept) -> None:
    kept.play("1 topic #den tea", "1 mode #den +kbbe key x y z", "1 mode #den +hv bob bob")
    kept.check()
    kept.play("1 topic #den", "1 mode #den -kb * X", "1 mode #den -h bob")
    kept.check()
    kept.play("2 part #den", "1 part #den", "3 part #den")
    kept.check()
    kept.play("2 join #den", "1 join #den", "1 mode #den -v bob", "2 part #den")
    kept.check()


def test_rooms_of_nobody_are_not_kept_until_they_are_claimed(kept: Kept) -> None:
    kept.play("3 join #hall", "3 mode #hall +b x", "3 topic #hall x", "2 join #hall")
    assert len(kept.saved()) == 1
    kept.play("3 login carol", "3 claim #hall")
    assert len(kept.saved()) == 2
    kept.check()


def test_a_name_is_free_for_another_room(kept: Kept) -> None:
    kept.play("1 part #den", "2 part #den", "3 part #den", "1 drop #den", "2 join #Den")
    kept.check()
    assert [room.record.owner for room in kept.saved()] == ["bob"]


def test_what_the_store_did_not_take_is_written_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "submit", _refuse)
        kept.play("1 topic #den tea", "1 mode #den +b x")
    assert kept.notes.texts == ["#den: not kept for now: full"] * 2
    kept.play("2 join #b")
    kept.check()


def test_what_could_not_be_written_is_written_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    submit = kept.store.submit

    def fail(work: Callable[[Connection], None], done: Callable[[Outcome[None]], None]) -> None:
        def failing(connection: Connection) -> None:
            work(connection)
            raise StoreError("the disk is full")

        submit(failing, done)

    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "submit", fail)
        kept.play("1 topic #den tea", "1 mode #den +b x")
    kept.saved()  # so the store has come to them
    assert "#den: not kept for now: the disk is full" in caplog.text
    assert kept.saved()[0].record.topic == ""
    kept.play("2 join #b")
    kept.check()


def test_a_new_room_that_the_store_did_not_take(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written whole with its next change, which alone would be of a room not kept."""
    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "submit", _refuse)
        kept.play("2 join #b")
    kept.play("1 join #b")
    kept.check()


def test_few_rooms_are_written_again_at_a_time(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_keeper, "_AGAIN", 1)
    kept.play("1 join #a", "2 join #b")
    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "submit", _refuse)
        kept.play("1 topic #den tea", "1 topic #a tea", "2 topic #b tea", "1 topic #den more tea")
    written = []
    for change in "1 mode #den +m", "1 mode #den -m":
        kept.play(change)
        written.append(sorted(room.record.name for room in kept.saved() if room.record.topic))
    assert written == [["#a", "#den"], ["#a", "#b", "#den"]]
    kept.check()


def _refuse(work: object, done: object) -> None:
    raise StoreBusy("full")


def test_who_was_there_is_put_back_or_forgotten(kept: Kept) -> None:
    again = Kept(kept.store)
    den = again.network.channels["#den"]
    assert again.network.present_before == {"alice": [den], "bob": [den]}
    again.network.apply(events.CreateAccount(Stamp(0, START_MS, ""), "bob", "guest"))
    again.network.apply(events.ChangeSetting(Stamp(0, START_MS, ""), "bob", "always-on", "on"))
    fields = {"username": "~b", "realname": "B", "cloak": "b.ip", "gone_ms": START_MS}
    again.network.apply(events.Restore(Stamp(0, START_MS, ""), "bob", **fields))
    assert [member.user.nick for member in den.members.values()] == ["bob"]
    assert den.members_since == kept.network.channels["#den"].members_since
    again.keeper.forget_absent()
    assert again.network.present_before == {}
    again.check()


def test_a_forgotten_account_is_remembered_by_no_room(kept: Kept) -> None:
    """Be it there, away for now, or not a member at all."""
    kept.play("2 join #b", "1 join #b", "1 rank #den bob +v", "1 detach bye", "0 forget alice x")
    kept.check()
    assert [room.record.name for room in kept.saved()] == ["#b"]
    assert [person.account for room in kept.saved() for person in room.people] == ["bob"]
    kept.play("3 login carol", "3 join #b", "2 rank #b carol +h", "3 detach x", "0 forget carol x")
    kept.check()
    assert [person.account for room in kept.saved() for person in room.people] == ["bob"]
