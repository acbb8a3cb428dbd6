"""Keeps how far accounts have read over a restart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection
from typing import TYPE_CHECKING

from securechat.errors import StoreBusy
from securechat.server.effects import ChannelRenamed, Effect, MarkedRead
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
        """Have the markers among ``found`` kept, and moved with their rooms. Does not block."""
        fold = self._fold
        for effect in found:
            match effect:
                case MarkedRead(account=str(account), target=target, read_ms=read_ms):
                    work = partial(_set, fold(account), fold(target), read_ms)
                case ChannelRenamed(old_name=old, channel=channel) if fold(old) != fold(
                    channel.name
                ):
                    work = partial(_move, fold(old), fold(channel.name))
                case _:
                    continue
            try:
                self._store.submit(work, _kept)
            except StoreBusy as error:
                context.note(f"read markers are not kept: {error}")


def _set(account: str, target: str, read_ms: int, connection: Connection) -> None:
    ReadMarkers(connection).set(account, target, read_ms)


def _move(old: str, new: str, connection: Connection) -> None:
    ReadMarkers(connection).move(old, new)


def _kept(outcome: Outcome[None]) -> None:
    if outcome.error is not None:
        _log.error("read markers are not kept: %s", outcome.error)
