"""What the store could not keep yet, until it can: while a disk is full the chat goes on.

Of each thing only the last write counts, so what waits is bounded by how many things there are,
however long the trouble lasts and whatever people do meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

from securechat.errors import StoreBusy
from securechat.net.locks import make_lock
from securechat.server.store_thread import Outcome, Store
from securechat.store.connection import Connection

if TYPE_CHECKING:
    from securechat.server.context import Context

__all__ = ["Backlog"]

_log = logging.getLogger(__name__)

_Work = Callable[[Connection], Any]


class Backlog:
    """Writes of one kind, by the thing that they are of. Safe from any thread; nothing blocks.

    :param what: of what they are, for the log: "settings".
    """

    def __init__(self, store: Store, what: str) -> None:
        self._store = store
        self._what = what
        self._lock = make_lock(f"backlog of {what}", tier=1)  # guards the next two
        self._newest: dict[Hashable, _Work] = {}  # what is not kept yet
        self._failed: dict[Hashable, None] = {}  # of that, what the store was asked for in vain

    def write(self, thing: Hashable, work: _Work, context: Context) -> None:
        """Have ``work`` done by the store, in place of what is not done yet for ``thing``.

        What has failed is done again by ``retry``. ``context`` is where it is noted for the log.
        """
        with self._lock:
            self._newest[thing] = work
            self._failed.pop(thing, None)
        error = self._submit(thing, work)
        if error is not None:
            context.note(f"{self._what} are not kept for now: {error}")

    def retry(self) -> None:
        """Have the store try again what has failed; for when it has recovered."""
        with self._lock:
            again = [(thing, self._newest[thing]) for thing in self._failed]
            self._failed.clear()
        for thing, work in again:
            self._submit(thing, work)

    def __len__(self) -> int:
        with self._lock:
            return len(self._failed)

    def _submit(self, thing: Hashable, work: _Work) -> StoreBusy | None:
        try:
            self._store.submit(work, partial(self._written, thing, work))
        except StoreBusy as error:
            self._settle(thing, work, failed=True)
            return error
        return None

    def _written(self, thing: Hashable, work: _Work, outcome: Outcome[Any]) -> None:
        """Take how the store has fared; on its thread."""
        waiting = self._settle(thing, work, failed=outcome.error is not None)
        if waiting == 1:  # told for the first, not for each of thousands while it lasts
            _log.error("%s are not kept for now: %s", self._what, outcome.error)

    def _settle(self, thing: Hashable, work: _Work, *, failed: bool) -> int:
        """Take note of how it went; return how many wait if this one does now, else 0."""
        with self._lock:
            if self._newest.get(thing) is not work:  # there is a newer one
                return 0
            if failed:
                self._failed[thing] = None
                return len(self._failed)
            del self._newest[thing]
            return 0
