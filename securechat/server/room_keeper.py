"""Keeps the rooms that belong to somebody over a restart: what changes in the state is written.

Each event's changes are one piece of work for the store, in the order of the events: all of it is
kept or nothing. Nobody waits for it. Where the store takes no more, or cannot write, the rooms
concerned are written whole with the next changes of these or others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final

from securechat.errors import StoreBusy
from securechat.irc.modes import CHANNEL_MODES, ModeChange
from securechat.net.locks import make_lock
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.effects import Effect
from securechat.server.network import Network
from securechat.server.state import Channel, ListEntry
from securechat.server.store_thread import Outcome, Store
from securechat.store import rooms as store
from securechat.store.connection import Connection
from securechat.store.rooms import PersonRecord, RoomRecord, Rooms, SavedRoom

__all__ = ["RoomKeeper"]

_log = logging.getLogger(__name__)

_AGAIN: Final = 4
"""Other rooms that are written again with a change, at most: they may have a thousand members
each, and while the disk is full none gets better."""

_Write = Callable[[Rooms], None]


class RoomKeeper:
    """Hands changes of rooms to the store. Guarded by the network lock."""

    def __init__(self, store: Store, network: Network) -> None:
        self._store = store
        self._network = network
        self._lock = make_lock("rooms not kept", tier=1)  # guards the next
        self._failed: dict[Channel, None] = {}  # those that waited longest first

    def load(self) -> None:
        """Put all kept rooms into the network, which has none yet. Blocks: for start-up."""
        for saved in self._store.call(lambda connection: Rooms(connection).load()):
            channel = _restore(saved)
            self._network.channels[self._network.fold(channel.name)] = channel
            if channel.owner is not None:
                self._network.count_room(channel.owner, 1)
            for person in saved.people:
                if person.present:
                    self._network.present_before.setdefault(person.account, []).append(channel)

    def forget_absent(self) -> None:
        """Keep that those who were in rooms, and have not been put back, are not in them any more.

        For start-up, when all who are always on are there.
        """
        absent = self._network.present_before
        writes = [
            self._person(channel, account, present=False)
            for account, channels in absent.items()
            for channel in channels
        ]
        absent.clear()
        if writes:
            self._store.call(partial(_write_all, writes))

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have what lasts of an event's effects kept. Does not block."""
        changes: dict[Channel, list[_Write]] = {}
        for effect in found:
            for channel, writes in self._changes(effect):
                changes.setdefault(channel, []).extend(writes)
        if not changes:
            return
        for channel in self._take_failed(changes):
            changes[channel] = self._whole(channel)
        rooms = tuple(changes)
        work = partial(_write_all, [write for writes in changes.values() for write in writes])
        try:
            self._store.submit(work, partial(self._written, rooms))
        except StoreBusy as error:
            self._note_failed(rooms)
            context.note(f"{_names(rooms)}: not kept for now: {error}")

    def retry(self) -> None:
        """Have kept what could not be; for when the store has recovered."""
        with self._lock:
            again = list(self._failed)
            self._failed.clear()
        for channel in again:
            rooms = (channel,)
            work = partial(_write_all, self._whole(channel))
            try:
                self._store.submit(work, partial(self._written, rooms))
            except StoreBusy:
                self._note_failed(rooms)

    def _written(self, rooms: Iterable[Channel], outcome: Outcome[None]) -> None:
        """Take how the store has fared; on its thread."""
        # Told for the first, not for each while it lasts.
        if outcome.error is not None and self._note_failed(rooms):
            _log.error("%s: not kept for now: %s", _names(rooms), outcome.error)

    def _note_failed(self, rooms: Iterable[Channel]) -> bool:
        """Have the rooms written again; return whether they are the first."""
        with self._lock:
            first = not self._failed
            self._failed.update(dict.fromkeys(rooms))
        return first

    def _take_failed(self, changed: Collection[Channel]) -> list[Channel]:
        """Return rooms to write whole: those of ``changed`` that are not kept, and a few others."""
        with self._lock:
            again = [channel for channel in changed if channel in self._failed]
            again += islice((c for c in self._failed if c not in changed), _AGAIN)
            for channel in again:
                del self._failed[channel]
        return again

    # ---- what an effect changes ----

    def _changes(self, effect: Effect) -> Iterator[tuple[Channel, list[_Write]]]:
        """Yield each kept room that ``effect`` has changed, with what is to be written of it."""
        match effect:
            case effects.OwnerChanged(channel=channel):
                yield channel, self._whole(channel)
            case effects.Joined(channel=channel) if effect.stamp.msgid == channel.uid:
                if channel.owner is not None:
                    yield channel, self._whole(channel)
            case effects.Joined(channel=channel, user=user):
                yield from self._people(channel, self._network.account_key(user))
            case effects.Parted(channel=channel, user=user):
                yield from self._people(channel, self._network.account_key(user))
            case effects.Kicked(channel=channel, user=user):
                yield from self._people(channel, self._network.account_key(user))
            case effects.RankRemembered(channel=channel, account=account):
                yield from self._people(channel, account)
            case effects.MemberForgotten(channel=channel, account=account):
                yield from self._people(channel, account)
            case effects.Quit(user=user, channels=channels):
                for channel in channels:
                    yield from self._people(channel, self._network.account_key(user))
            case effects.AccountChanged(user=user, previous=previous):
                for channel in user.channels.values():
                    yield from self._people(channel, self._network.account_key(user), previous)
            case effects.TopicChanged(channel=channel) | effects.ChannelRenamed(channel=channel):
                if channel.owner is not None:
                    yield channel, [_save(channel, self._network)]
            case effects.RetentionChanged(channel=channel):
                yield channel, [_save(channel, self._network)]
            case effects.ChannelModesChanged(channel=channel, changes=changes):
                if channel.owner is not None:
                    yield channel, self._modes(channel, changes)
            case _:
                pass

    def _people(
        self, channel: Channel, *accounts: str | None
    ) -> Iterator[tuple[Channel, list[_Write]]]:
        known = [account for account in accounts if account is not None]
        if channel.owner is not None and known:
            is_present = self._network.is_present
            yield (
                channel,
                [self._person(channel, key, present=is_present(channel, key)) for key in known],
            )

    def _modes(self, channel: Channel, changes: Iterable[ModeChange]) -> list[_Write]:
        writes: dict[tuple[str, str], _Write] = {}
        for change in changes:
            letter, param = change.letter, change.param or ""
            match CHANNEL_MODES.kind(letter):
                case "list":
                    key = self._network.fold(param)
                    writes[letter, key] = _entry(channel, letter, key)
                case "prefix":
                    user = self._network.find_user(param)
                    account = self._network.account_key(user) if user is not None else None
                    if account is not None:
                        present = self._network.is_present(channel, account)
                        writes["", account] = self._person(channel, account, present=present)
                case _:
                    writes["", ""] = _save(channel, self._network)
        return list(writes.values())

    def _whole(self, channel: Channel) -> list[_Write]:
        """Return what writes all of a room anew, or forgets it."""
        writes: list[_Write] = [lambda rooms: rooms.delete(channel.uid)]
        if channel.owner is None:
            return writes
        writes.append(_save(channel, self._network))
        writes += [
            _entry(channel, letter, key)
            for letter, entries in channel.lists.items()
            for key in entries
        ]
        here = {self._network.account_key(member.user) for member in channel.members.values()}
        known = dict.fromkeys((*channel.remembered, *channel.members_since))
        return [*writes, *(self._person(channel, key, present=key in here) for key in known)]

    def _person(self, channel: Channel, account: str, *, present: bool) -> _Write:
        ranks = "".join(sorted(channel.remembered.get(account, ())))
        since_ms = channel.members_since.get(account)
        if since_ms is None and not ranks:
            return lambda rooms: rooms.delete_person(channel.uid, account)
        person = PersonRecord(account, ranks, since_ms or 0, present)
        return lambda rooms: rooms.save_person(channel.uid, person)


# ---- records ----


def _save(channel: Channel, network: Network) -> _Write:
    record = RoomRecord(
        channel.uid,
        network.fold(channel.name),
        channel.name,
        channel.created_ms,
        channel.owner,
        channel.topic,
        channel.topic_by,
        channel.topic_ms,
        channel.history_days,
        dict(channel.modes),
    )
    return lambda rooms: rooms.save(record)


def _entry(channel: Channel, letter: str, key: str) -> _Write:
    entry = channel.lists[letter].get(key)
    if entry is None:
        return lambda rooms: rooms.delete_entry(channel.uid, letter, key)
    saved = store.ListEntry(letter, key, entry.mask, entry.by, entry.at_ms)
    return lambda rooms: rooms.save_entry(channel.uid, saved)


def _restore(saved: SavedRoom) -> Channel:
    record = saved.record
    channel = Channel(
        record.uid,
        record.name,
        record.created_ms,
        record.topic,
        record.topic_by,
        record.topic_ms,
        dict(record.modes),
        history_days=record.history_days,
        owner=record.owner,
    )
    for entry in saved.entries:
        kept = ListEntry(entry.mask, entry.by, entry.at_ms)
        channel.lists[entry.letter][entry.folded_mask] = kept
    for person in saved.people:
        if person.ranks:
            channel.remembered[person.account] = set(person.ranks)
        if person.since_ms:
            channel.members_since[person.account] = person.since_ms
    return channel


def _write_all(writes: Sequence[_Write], connection: Connection) -> None:
    rooms = Rooms(connection)
    for write in writes:
        write(rooms)


def _names(rooms: Iterable[Channel]) -> str:
    return " ".join(sorted(channel.name for channel in rooms))
