"""How long it is kept: old entries go, and the oldest of what is too many.

A slow sweep in the background. Each piece of work for the store deletes only so much, so that
messages never wait long behind it; between two pieces others have their turn.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from securechat.errors import StoreBusy
from securechat.net.io_thread import IoThread
from securechat.server.store_thread import Outcome
from securechat.store.connection import Connection
from securechat.store.history import History

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["SWEEP_S", "Retention"]

_log = logging.getLogger(__name__)

SWEEP_S: Final = 300.0
"""Seconds between two sweeps. What is kept is kept for days: minutes do not matter."""

_PAUSE_S: Final = 0.05
"""Seconds between two pieces of one sweep."""

_ENTRIES: Final = 500
"""Entries that one piece of work deletes at most: some 20 ms."""

_ROOMS: Final = 200
"""Rooms that one piece looks for old entries in: where there are none that takes microseconds."""

_CONVERSATIONS: Final = 8
"""Conversations that one piece counts: 100,000 entries take some milliseconds."""

_DAY_MS: Final = 86_400_000


class Retention:
    """Sweeps the history. ``start`` once; the rest is done on that thread and the store's."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rooms: list[tuple[str, int]] = []
        """Rooms that keep less than the relay, and for how many days, which this sweep has yet to
        look at. Where nothing is kept (0 days) there may be what a crash or a full queue has left.
        Owned by the thread whose turn it is: never both."""

    def start(self, thread: IoThread) -> None:
        """Sweep now and then, by timers of ``thread``. Safe from any thread."""
        thread.post(partial(self._sweep_later, thread))

    def _sweep_later(self, thread: IoThread) -> None:
        thread.call_later(SWEEP_S, partial(self._sweep, thread))

    def _go_on_later(self, thread: IoThread) -> None:
        thread.call_later(_PAUSE_S, partial(self._go_on, thread))

    def _sweep(self, thread: IoThread) -> None:
        services = self._services
        with services.lock:
            self._rooms = [
                (channel.uid, channel.history_days)
                for channel in services.network.channels.values()
                if channel.history_days is not None
            ]
        self._go_on(thread)

    def _go_on(self, thread: IoThread) -> None:
        try:
            self._services.store.submit(self._delete_some, partial(self._deleted, thread))
        except StoreBusy:
            self._sweep_later(thread)

    def _deleted(self, thread: IoThread, outcome: Outcome[bool]) -> None:
        if outcome.error is not None:
            _log.error("old messages were not deleted: %s", outcome.error)
        later = self._go_on_later if outcome.value else self._sweep_later
        thread.post(partial(later, thread))

    def _delete_some(self, connection: Connection) -> bool:
        """Delete a little; return whether there may be more. On the store thread."""
        history, keeper = History(connection), self._services.history
        config = self._services.config.history  # another one after a reload
        days, most = config.days, config.messages_per_room
        if history.expire(self._oldest_ms(days) if days else 0, _ENTRIES) == _ENTRIES:
            return True
        for _ in range(min(_ROOMS, len(self._rooms))):
            uid, days = self._rooms[-1]
            if history.expire_conversation(uid, self._oldest_ms(days), _ENTRIES) == _ENTRIES:
                return True
            self._rooms.pop()
        for key in keeper.grown(_CONVERSATIONS):
            if most and history.trim(key, most, _ENTRIES) == _ENTRIES:
                return True
            keeper.forget_grown(key)
        return bool(self._rooms) or bool(keeper.grown(1))

    def _oldest_ms(self, days: int) -> int:
        """Return from when on entries stay that are kept for so many days."""
        return max(self._services.now_ms() - days * _DAY_MS, 0)
