"""Keeps how far accounts have read over a restart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection
from typing import TYPE_CHECKING

from securechat.errors import StoreBusy
from securechat.server.effects import Effect, MarkedRead
from securechat.server.names import Fold
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.read_markers import ReadMarkers

if TYPE_CHECKING:
    from securechat.server.context import Context

__all__ = ["ReadMarkerKeeper"]

_log = logging.getLogger(__name__)


class ReadMarkerKeeper:
    """Hands read markers to the store. Safe from any thread: it has no state of its own."""

    def __init__(self, store: StoreThread, fold: Fold) -> None:
        self._store = store
        self._fold = fold

    def load(self) -> dict[str, dict[str, int]]:
        """Return the markers of all accounts. Blocks: for start-up."""
        return self._store.call(lambda connection: ReadMarkers(connection).load())

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the markers among ``found`` kept. Does not block."""
        for effect in found:
            if isinstance(effect, MarkedRead) and effect.account is not None:
                try:
                    self._store.submit(partial(self._save, effect, effect.account), _saved)
                except StoreBusy as error:
                    context.note(f"a read marker of {effect.account} is not kept: {error}")

    def _save(self, effect: MarkedRead, account: str, connection: Connection) -> int:
        fold = self._fold
        return ReadMarkers(connection).set(fold(account), fold(effect.target), effect.read_ms)


def _saved(outcome: Outcome[int]) -> None:
    if outcome.error is not None:
        _log.error("a read marker is not kept: %s", outcome.error)
