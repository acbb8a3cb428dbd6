"""Rooms that belong to an account: they outlive empty times and restarts.

A room is known by its ``uid``, which stays through all renamings. Names come folded where they are
keys; folding is the caller's work, and so is what a mode letter means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.database import store_errors

__all__ = ["ListEntry", "PersonRecord", "RoomRecord", "Rooms", "SavedRoom"]


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """A room as it was when it was read. Immutable.

    ``owner`` is a folded account, ``modes`` has the parameter of each mode that is set ("" for one
    without), ``history_days`` is for how long what is said is kept (0 for not at all, ``None`` for
    as long as in any room). Times are milliseconds since 1970, UTC.
    """

    uid: str
    folded_name: str
    name: str
    created_ms: int
    owner: str | None
    topic: str = ""
    topic_by: str = ""
    topic_ms: int = 0
    history_days: int | None = None
    modes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One mask on one of a room's lists (bans, invitations, …), and who set it when. Immutable."""

    letter: str
    folded_mask: str
    mask: str
    by: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """What a room remembers of a (folded) account. Immutable.

    ``ranks`` are the mode letters of its prefixes, ``since_ms`` is when it first joined, and
    ``present`` tells whether it was in the room at the end.
    """

    account: str
    ranks: str
    since_ms: int
    present: bool


@dataclass(frozen=True, slots=True)
class SavedRoom:
    """Everything that is kept of a room. Immutable."""

    record: RoomRecord
    entries: tuple[ListEntry, ...] = ()
    people: tuple[PersonRecord, ...] = ()


class Rooms:
    """The tables of rooms, their lists and their people. Owned by the connection's thread.

    Neither begins nor commits. Every method raises ``StoreError`` if the database cannot be read or
    written; so do those that save something about a room that was not saved itself.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save(self, record: RoomRecord) -> None:
        """Keep the room, instead of what was kept under its ``uid``; its lists and people stay.

        Raises ``StoreError`` if another room has that folded name.
        """
        with store_errors(f"save the room {record.name}"):
            self._connection.execute(
                "INSERT INTO rooms"
                " (uid, folded_name, name, created_ms, owner, topic, topic_by, topic_ms, modes,"
                " history_days) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (uid) DO UPDATE SET folded_name = excluded.folded_name,"
                " name = excluded.name, created_ms = excluded.created_ms, owner = excluded.owner,"
                " topic = excluded.topic, topic_by = excluded.topic_by,"
                " topic_ms = excluded.topic_ms, modes = excluded.modes,"
                " history_days = excluded.history_days",
                (
                    record.uid,
                    record.folded_name,
                    record.name,
                    record.created_ms,
                    record.owner,
                    record.topic,
                    record.topic_by,
                    record.topic_ms,
                    json.dumps(dict(record.modes), ensure_ascii=False),
                    record.history_days,
                ),
            )

    def save_entry(self, uid: str, entry: ListEntry) -> None:
        """Keep the mask on the room's list, instead of the same folded mask there."""
        with store_errors("save a mask of a room"):
            self._connection.execute(
                "INSERT INTO room_lists (room, letter, folded_mask, mask, set_by, at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (room, letter, folded_mask) DO UPDATE SET"
                " mask = excluded.mask, set_by = excluded.set_by, at_ms = excluded.at_ms",
                (uid, entry.letter, entry.folded_mask, entry.mask, entry.by, entry.at_ms),
            )

    def delete_entry(self, uid: str, letter: str, folded_mask: str) -> None:
        """Take the mask off the list; does nothing if it is not there."""
        with store_errors("delete a mask of a room"):
            self._connection.execute(
                "DELETE FROM room_lists WHERE room = ? AND letter = ? AND folded_mask = ?",
                (uid, letter, folded_mask),
            )

    def save_person(self, uid: str, person: PersonRecord) -> None:
        """Keep what the room remembers of the account, instead of what it did."""
        with store_errors("save a member of a room"):
            self._connection.execute(
                "INSERT INTO room_people (room, account, ranks, since_ms, present)"
                " VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (room, account) DO UPDATE SET"
                " ranks = excluded.ranks, since_ms = excluded.since_ms,"
                " present = excluded.present",
                (uid, person.account, person.ranks, person.since_ms, int(person.present)),
            )

    def delete_person(self, uid: str, account: str) -> None:
        """Forget the account in this room; does nothing if it is not remembered."""
        with store_errors("delete a member of a room"):
            self._connection.execute(
                "DELETE FROM room_people WHERE room = ? AND account = ?", (uid, account)
            )

    def delete_account(self, account: str) -> list[str]:
        """Forget the account in all rooms, and the rooms that belong to it; return their names."""
        with store_errors(f"forget {account} in rooms"):
            own = self._connection.execute(
                "SELECT uid, name FROM rooms WHERE owner = ? ORDER BY folded_name", (account,)
            ).fetchall()
            for uid, _ in own:
                self.delete(uid)
            self._connection.execute("DELETE FROM room_people WHERE account = ?", (account,))
        return [name for _, name in own]

    def delete(self, uid: str) -> None:
        """Forget the room with its lists and people; does nothing if there is none of that uid."""
        with store_errors("delete a room"):
            # Not left to the foreign keys: a connection may have them off.
            self._connection.execute("DELETE FROM room_lists WHERE room = ?", (uid,))
            self._connection.execute("DELETE FROM room_people WHERE room = ?", (uid,))
            self._connection.execute("DELETE FROM rooms WHERE uid = ?", (uid,))

    def names(self) -> list[tuple[str, str]]:
        """Return (folded name, name) of every room, in the order of the folded names."""
        with store_errors("list the rooms"):
            return self._connection.execute(
                "SELECT folded_name, name FROM rooms ORDER BY folded_name"
            ).fetchall()

    def load(self) -> list[SavedRoom]:
        """Return all rooms, in the order of their creation, each list in that of its setting."""
        with store_errors("load the rooms"):
            rooms = self._connection.execute(
                "SELECT uid, folded_name, name, created_ms, owner, topic, topic_by, topic_ms,"
                " history_days, modes FROM rooms ORDER BY created_ms, uid"
            ).fetchall()
            entries: dict[str, list[ListEntry]] = {row[0]: [] for row in rooms}
            for uid, *entry in self._connection.execute(
                "SELECT room, letter, folded_mask, mask, set_by, at_ms"
                " FROM room_lists ORDER BY letter, at_ms, folded_mask"
            ):
                entries[uid].append(ListEntry(*entry))
            people: dict[str, list[PersonRecord]] = {row[0]: [] for row in rooms}
            for uid, account, ranks, since_ms, present in self._connection.execute(
                "SELECT room, account, ranks, since_ms, present FROM room_people ORDER BY account"
            ):
                people[uid].append(PersonRecord(account, ranks, since_ms, bool(present)))
        return [
            SavedRoom(_record(row), tuple(entries[row[0]]), tuple(people[row[0]])) for row in rooms
        ]


def _record(row: tuple[Any, ...]) -> RoomRecord:
    columns = list(row)
    try:
        columns[-1] = dict(json.loads(columns[-1]))
    except (ValueError, TypeError) as error:
        raise StoreError(f"the modes of a saved room are damaged: {error}") from error
    return RoomRecord(*columns)
