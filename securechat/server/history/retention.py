"""How long it is kept: old entries go, and the oldest of what is too many.

A slow sweep in the background. Each piece of work for the store deletes only so much, so that
messages never wait long behind it; between two pieces others have their turn.
"""

from __future__ import annotations

import logging
from functools import partial
from sqlite3 import Connection
from typing import Final

from securechat.errors import StoreBusy
from securechat.net.io_thread import IoThread
from securechat.net.timers import Clock
from securechat.server.config import HistoryConfig
from securechat.server.history.keeper import HistoryKeeper
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.history import History

__all__ = ["SWEEP_S", "Retention"]

_log = logging.getLogger(__name__)

SWEEP_S: Final = 300.0
"""Seconds between two sweeps. What is kept is kept for days: minutes do not matter."""

_PAUSE_S: Final = 0.05
"""Seconds between two pieces of one sweep."""

_ENTRIES: Final = 500
"""Entries that one piece of work deletes at most: some 20 ms."""

_CONVERSATIONS: Final = 8
"""Conversations that one piece looks at: counting 100,000 entries takes some milliseconds."""

_DAY_MS: Final = 86_400_000


class Retention:
    """Sweeps the history. ``start`` once; the rest is done on that thread and the store's."""

    def __init__(
        self, config: HistoryConfig, store: StoreThread, keeper: HistoryKeeper, wall_clock: Clock
    ) -> None:
        self._config = config
        self._store = store
        self._keeper = keeper
        self._wall_clock = wall_clock

    def start(self, thread: IoThread) -> None:
        """Sweep now and then, by timers of ``thread``. Safe from any thread."""
        thread.post(lambda: self._sweep_later(thread, SWEEP_S))

    def _sweep_later(self, thread: IoThread, delay_s: float) -> None:
        thread.call_later(delay_s, lambda: self._sweep(thread))

    def _sweep(self, thread: IoThread) -> None:
        try:
            self._store.submit(self._delete_some, partial(self._deleted, thread))
        except StoreBusy:
            self._sweep_later(thread, SWEEP_S)

    def _deleted(self, thread: IoThread, outcome: Outcome[bool]) -> None:
        if outcome.error is not None:
            _log.error("old messages were not deleted: %s", outcome.error)
        delay_s = _PAUSE_S if outcome.value else SWEEP_S
        thread.post(lambda: self._sweep_later(thread, delay_s))

    def _delete_some(self, connection: Connection) -> bool:
        """Delete a little; return whether there may be more. On the store thread."""
        history = History(connection)
        days, most = self._config.days, self._config.messages_per_room
        oldest_ms = int(self._wall_clock() * 1000) - days * _DAY_MS if days else 0
        if history.expire(max(oldest_ms, 0), _ENTRIES) == _ENTRIES:
            return True
        for key in self._keeper.grown(_CONVERSATIONS) if most else ():
            if history.trim(key, most, _ENTRIES) == _ENTRIES:
                return True
            self._keeper.forget_grown(key)
        return most > 0 and bool(self._keeper.grown(1))
