"""Keeps how far accounts have read over a restart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from securechat.server.backlog import Backlog
from securechat.server.effects import AccountClosed, ChannelRenamed, Effect, MarkedRead
from securechat.server.names import Fold
from securechat.server.store_thread import Store
from securechat.store.connection import Connection
from securechat.store.read_markers import ReadMarkers

if TYPE_CHECKING:
    from securechat.server.context import Context

__all__ = ["ReadMarkerKeeper"]


class ReadMarkerKeeper:
    """Hands read markers to the store. Safe from any thread."""

    def __init__(self, store: Store, fold: Fold) -> None:
        self._store = store
        self._backlog = Backlog(store, "read markers")
        self._fold = fold

    def load(self) -> dict[str, dict[str, int]]:
        """Return the markers of all accounts. Blocks: for start-up."""
        return self._store.call(lambda connection: ReadMarkers(connection).load())

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the markers among ``found`` kept, and moved with their rooms. Does not block."""
        fold, write = self._fold, self._backlog.write
        for effect in found:
            match effect:
                case MarkedRead(account=str(account), target=target, read_ms=read_ms):
                    thing = "set", fold(account), fold(target)
                    write(thing, partial(_set, *thing[1:], read_ms), context)
                case ChannelRenamed(old_name=old, channel=channel):
                    if fold(old) != fold(channel.name):
                        move = partial(_move, fold(old), fold(channel.name))
                        write(("move", fold(old)), move, context)
                case AccountClosed(account=account, forgotten=True):
                    write(("forget", account), partial(_forget, account), context)
                case _:
                    pass

    def retry(self) -> None:
        """Have kept what could not be; for when the store has recovered."""
        self._backlog.retry()


def _set(account: str, target: str, read_ms: int, connection: Connection) -> None:
    ReadMarkers(connection).set(account, target, read_ms)


def _move(old: str, new: str, connection: Connection) -> None:
    ReadMarkers(connection).move(old, new)


def _forget(account: str, connection: Connection) -> None:
    ReadMarkers(connection).delete_account(account)
