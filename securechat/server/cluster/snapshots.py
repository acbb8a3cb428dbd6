"""The state as it was at some event, in the database: where a relay starts.

The keeper makes one from time to time, and takes out of the stream what nobody needs any more. So a
relay starts in seconds whatever the age of the chat, and the stream stays small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from securechat.errors import SecureChatError, StoreError
from securechat.server.cluster.keeping import StateStore
from securechat.server.cluster.log import ClusterLog
from securechat.server.cluster.membership import Membership
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.nats_values import StreamInfo
from securechat.server.network import Network
from securechat.server.snapshot import (
    SNAPSHOT_VERSION,
    from_bytes,
    restore,
    take_snapshot,
    to_bytes,
)
from securechat.server.store_thread import StoreThread
from securechat.store.connection import Connection
from securechat.store.keeping import Keeping
from securechat.store.snapshots import SavedSnapshot, Snapshots

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["SNAPSHOT_EVENTS", "SNAPSHOT_S", "SnapshotMaker", "load_state"]

_log = logging.getLogger(__name__)

SNAPSHOT_EVENTS: Final = 20_000
"""After how many events there is a new snapshot: a relay applies them in a second or two."""

SNAPSHOT_S: Final = 600.0
"""After how many seconds there is one in any case, if anything has happened."""

_KEPT: Final = 2
"""Snapshots that stay: a relay may be reading the last but one. The stream begins at the oldest."""

_CROWDED: Final = 0.25
"""How full a stream is when there is a new snapshot, whatever the number of events: two times as
much is in it then, as the last but one stays."""

_FULL: Final = 0.75
"""How full it is when only the newest snapshot stays: a full stream takes nothing more."""

_AGAIN_S: Final = 10.0
"""When a snapshot is tried again that was not possible, in seconds: it takes the network lock."""


def load_state(
    network: Network, store: StoreThread, info: StreamInfo, begin: Callable[[], None], now_ms: int
) -> int:
    """Put into ``network`` the newest snapshot; return the number of the last event in it. Blocks.

    :param begin: fills ``network`` from what is kept of a chat before it had several relays; for
        the first relay of the first start.
    :raises StoreError: there is none, but there are events.
    :raises SnapshotError: it cannot be used.
    """
    saved = store.call(lambda connection: Snapshots(connection).newest(info.made))
    if saved is None:
        if info.last > 0:  # the first relay has made one before the first event
            raise StoreError(
                "the stream has events up to {last}, and the database has no snapshot of it: is it "
                "the database of this chat? One that was copied or restored needs a new stream: "
                "give another [cluster] stream, or delete the old one",
                last=info.last,
            )
        begin()
        data = to_bytes(take_snapshot(network))
        first = SavedSnapshot(info.made, 0, SNAPSHOT_VERSION, now_ms, data)
        saved = store.call(lambda connection: _add_first(connection, first))
    restore(network, from_bytes(saved.data))
    return saved.sequence


class SnapshotMaker:
    """Makes snapshots while this relay is the keeper. Used by one thread that holds no lock."""

    def __init__(
        self,
        services: Services,
        event_log: ClusterLog,
        state: StateStore,
        stream: NatsStream,
        members: Membership,
        made: str,
    ) -> None:
        """``made`` is that of the stream."""
        self._services = services
        self._event_log = event_log
        self._state = state
        self._stream = stream
        self._members = members
        self._strays = 0  # for whom there is a snapshot
        self._made = made
        self._last = event_log.standing.applied
        self._last_s = services.clock()
        self._not_before_s = self._last_s

    @property
    def latest(self) -> tuple[int, float]:
        """The event of the snapshot that was the last to be made or read here, and when that was
        (monotonic, in seconds), or was last tried. Safe from any thread.
        """
        return self._last, self._last_s

    def look_after(self) -> None:
        """Make a snapshot if it is time. Blocks while NATS and the database answer."""
        now = self._services.clock()
        if not self._state.is_keeper or now < self._not_before_s:
            return
        try:
            self._make_if_due(now)
        except SecureChatError as error:
            self._not_before_s = now + _AGAIN_S
            _log.warning("no snapshot for now: %s", error)

    def _make_if_due(self, now: float) -> None:
        full = self._stream.info().full
        new = self._event_log.standing.applied - self._last
        strays = self._members.strays  # they begin after what they have heard otherwise
        due = now - self._last_s >= SNAPSHOT_S or full >= _CROWDED or strays > self._strays
        if not (new >= SNAPSHOT_EVENTS or (new > 0 and due) or full >= _FULL):
            return
        self._last_s = now
        services, kept = self._services, _KEPT if full < _FULL else 1
        with services.lock:
            sequence = self._event_log.standing.applied
            plain = take_snapshot(services.network)
        data = to_bytes(plain)
        saved = SavedSnapshot(self._made, sequence, SNAPSHOT_VERSION, services.now_ms(), data)
        oldest = services.store.call(lambda connection: _save(Snapshots(connection), saved, kept))
        if oldest:  # before the first event there is nothing; NATS would take all of them
            self._stream.purge(oldest + 1)
        self._last, self._strays = sequence, strays
        _log.info("snapshot at event %d: %d KiB", sequence, len(data) // 1024)


def _add_first(connection: Connection, first: SavedSnapshot) -> SavedSnapshot:
    """Keep the first snapshot of a stream, unless there is one; return the newest."""
    saved = Snapshots(connection).add_first(first)
    if saved is first:
        Keeping(connection).forget()  # of a former stream, whose numbers may be higher
    return saved


def _save(snapshots: Snapshots, saved: SavedSnapshot, kept: int) -> int:
    """Keep a snapshot, ``kept`` in all; return the number of the oldest that stays."""
    snapshots.save(saved)
    return snapshots.delete_older(saved.stream, kept)
