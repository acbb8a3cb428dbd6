"""Keeps bans over a restart, and tells who lets connections in of those of addresses.

Nobody waits for the store. What it does not take, or cannot write, is written when it has
recovered, as the ban is then.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from securechat.server.admission import Admission
from securechat.server.backlog import Backlog
from securechat.server.bans import Ban
from securechat.server.context import Context
from securechat.server.effects import BanAdded, BanRemoved, Effect
from securechat.server.events import BanKind
from securechat.server.network import Network
from securechat.server.store_thread import Store
from securechat.store.bans import BanRecord, Bans
from securechat.store.connection import Connection

__all__ = ["BanKeeper"]


class BanKeeper:
    """Hands changes of bans to the store and to ``admission``. Guarded by the network lock."""

    def __init__(self, store: Store, network: Network, admission: Admission) -> None:
        self._store = store
        self._network = network
        self._admission = admission
        self._backlog = Backlog(store, "bans")

    def load(self, now_ms: int) -> None:
        """Put the kept bans into the network, which has none yet, and forget those that have ended.

        Blocks: for start-up.
        """
        for record in self._store.call(partial(_load, now_ms)):
            kind: BanKind = "D" if record.kind == "D" else "K"
            ban = Ban(
                kind,
                record.mask,
                record.reason,
                record.set_by,
                record.set_ms,
                record.expires_ms,
            )
            self._network.bans.add(ban)

    def begin(self) -> None:
        """Have those kept out who are banned already."""
        for ban in self._network.bans:
            self._tell_admission(ban, added=True)

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the bans among ``found`` kept, and the ended ones forgotten. Does not block."""
        for effect in found:
            if isinstance(effect, BanAdded | BanRemoved):
                added = isinstance(effect, BanAdded)
                self._tell_admission(effect.ban, added=added)
                key = effect.ban.kind, self._network.bans.key(effect.ban.mask)
                work = partial(_save, key[1], effect.ban) if added else partial(_delete, *key)
                self._backlog.write(key, work, context)

    def retry(self) -> None:
        """Have kept what could not be; for when the store has recovered."""
        self._backlog.retry()

    def _tell_admission(self, ban: Ban, *, added: bool) -> None:
        if ban.kind == "D":
            (self._admission.ban if added else self._admission.end_ban)(ban)


def _load(now_ms: int, connection: Connection) -> list[BanRecord]:
    bans = Bans(connection)
    bans.delete_expired(now_ms)
    return bans.load()


def _save(folded_mask: str, ban: Ban, connection: Connection) -> None:
    Bans(connection).save(
        BanRecord(ban.kind, folded_mask, ban.mask, ban.reason, ban.by, ban.set_ms, ban.expires_ms)
    )


def _delete(kind: BanKind, folded_mask: str, connection: Connection) -> None:
    Bans(connection).delete(kind, folded_mask)
