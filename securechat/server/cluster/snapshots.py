"""The state as it was at some event, in the database: where a relay starts.

The keeper makes one from time to time, and takes out of the stream what nobody needs any more. So a
relay starts in seconds whatever the age of the chat, and the stream stays small.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from securechat.errors import NetworkError, StoreBusy, StoreError
from securechat.server.cluster.keeping import StateStore
from securechat.server.cluster.log import ClusterLog
from securechat.server.cluster.nats_stream import NatsStream, StreamInfo
from securechat.server.network import Network
from securechat.server.snapshot import (
    SNAPSHOT_VERSION,
    from_bytes,
    restore,
    take_snapshot,
    to_bytes,
)
from securechat.server.store_thread import StoreThread
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


def load_state(
    network: Network, store: StoreThread, info: StreamInfo, begin: Callable[[], None], now_ms: int
) -> int:
    """Put into ``network`` the newest snapshot; return the number of the last event in it. Blocks.

    :param begin: fills ``network`` from what is kept of a chat before it had several relays; for
        the first relay of the first start.
    :raises StoreError: there is none, and the stream is not at its beginning.
    :raises SnapshotError: it cannot be used.
    """
    saved = store.call(lambda connection: Snapshots(connection).newest(info.made))
    if saved is None:
        if info.first > 1:
            raise StoreError(
                "the stream begins with event {first}, and the database has no snapshot of it: is "
                "it the database of this chat?",
                first=info.first,
            )
        begin()
        data = to_bytes(take_snapshot(network))
        first = SavedSnapshot(info.made, 0, SNAPSHOT_VERSION, now_ms, data)
        saved = store.call(lambda connection: Snapshots(connection).add_first(first))
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
        made: str,
    ) -> None:
        """``made`` is that of the stream."""
        self._services = services
        self._event_log = event_log
        self._state = state
        self._stream = stream
        self._made = made
        self._last = event_log.standing.applied
        self._last_s = services.clock()

    @property
    def latest(self) -> tuple[int, float]:
        """The event of the snapshot that was the last to be made or read here, and when that was
        (monotonic, in seconds), or was last tried. Safe from any thread.
        """
        return self._last, self._last_s

    def look_after(self) -> None:
        """Make a snapshot if it is time. Blocks while the database writes it."""
        services, now = self._services, self._services.clock()
        new = self._event_log.standing.applied - self._last
        due = new >= SNAPSHOT_EVENTS or (new > 0 and now - self._last_s >= SNAPSHOT_S)
        if not due or not self._state.is_keeper:
            return
        self._last_s = now
        with services.lock:
            sequence = self._event_log.standing.applied
            plain = take_snapshot(services.network)
        saved = SavedSnapshot(
            self._made, sequence, SNAPSHOT_VERSION, services.now_ms(), to_bytes(plain)
        )

        try:
            oldest = services.store.call(lambda connection: _save(Snapshots(connection), saved))
            self._stream.purge(oldest + 1)
        except (StoreBusy, StoreError, NetworkError) as error:
            _log.warning("no snapshot for now: %s", error)
            return
        self._last = sequence
        _log.info("snapshot at event %d: %d KiB", sequence, len(saved.data) // 1024)


def _save(snapshots: Snapshots, saved: SavedSnapshot) -> int:
    """Keep a snapshot; return the number of the oldest that stays."""
    snapshots.save(saved)
    return snapshots.delete_older(saved.stream, _KEPT)
