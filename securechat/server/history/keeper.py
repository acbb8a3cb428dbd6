"""From effects to the store: what waits to be kept, and who waits for it.

Under the network lock an effect is only put into a list. One piece of work for the store takes the
whole list: at once if somebody waits for it, else a little later; while the store is at it the next
list grows. So a message costs the relay's hot path about a microsecond, and the slower the disk,
the larger the groups.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from securechat.errors import StoreBusy
from securechat.net.io_thread import IoThread
from securechat.net.locks import make_lock
from securechat.server.effects import Effect
from securechat.server.history.entries import (
    MESSAGE_EFFECTS,
    Item,
    Redaction,
    RoomForgotten,
    collect,
    make_entry,
)
from securechat.server.history.spare import Spare
from securechat.server.names import ASCII_NAMES, Fold
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.connection import Connection
from securechat.store.history import Entry, History

if TYPE_CHECKING:
    from securechat.server.context import Context
    from securechat.server.session import Session

__all__ = ["WAITING_ITEMS", "HistoryKeeper"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

WAITING_ITEMS: Final = 16_384
"""How much may wait for the store: a second or two of a stalling disk at 10,000 messages a second.
About 1 KB each, ten times that where tags and lines are as long as they may be."""

_GROUP_S: Final = 0.05
"""How long what nobody waits for may wait for more to come, in seconds: a commit costs as much for
one entry as for many, and the relay has other work for the processor."""

_RETRY_S: Final = 0.1
"""When the store is asked again after it was too busy to be asked, in seconds."""


class _Group(NamedTuple):
    """What is written at once, and who is told."""

    items: list[Item]
    waiting: dict[Session, None]
    dropped: int


class HistoryKeeper:
    """Keeps what is said and done. ``keep`` and ``read`` are guarded by the network lock.

    :param enabled: without it nothing is kept, and nobody waits for anything.
    :param patient: whether what the store cannot write is kept here until it can, and whoever waits
        for it waits on: a server comes back, which nobody says of a disk that is full.
    """

    def __init__(
        self,
        store: StoreThread,
        *,
        enabled: bool,
        fold: Fold = ASCII_NAMES.fold,
        limit: int = WAITING_ITEMS,
        patient: bool = False,
    ) -> None:
        self.enabled = enabled
        self._patient = patient
        self._fold = fold
        self._store = store
        self._limit = limit
        self.spare = Spare()
        self._lock = make_lock("history", tier=1)  # guards the next six
        self._items: list[Item] = []
        self._dropped = 0  # those that came meanwhile and found it full
        self._count = 0  # items that ever were taken; the number of an item is its *ticket*
        self._waiting: dict[Session, None] = {}  # whom to tell when these items are kept
        self._submitted = False  # the store will take them
        self._scheduled = False  # a timer will submit them
        # Owned by the store thread.
        self.lost = 0  # entries that were not kept; anybody may read it
        self._lost_before: int | None = None  # the same, at the beginning of what still lasts
        self._kept = 0  # the ticket of the last item that was written, or lost
        self._group: _Group | None = None
        self._patience = False  # the group waits until the store has recovered
        self._grown: dict[str, None] = {}  # conversations written to since they were trimmed

    @property
    def full(self) -> bool:
        """Whether so much waits for the store that nothing more is taken."""
        return len(self._items) >= self._limit

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Take what must last of ``found``. What is too much is dropped: see ``full``."""
        if not self.enabled:
            return
        for effect in found:
            items = collect(effect)
            if not items:
                continue
            if context.elsewhere is not None:
                self.spare.add(*context.elsewhere, items)
                # Each relay forgets a room, after what it has still to write of it.
                items = [item for item in items if isinstance(item, RoomForgotten)]
                if not items:
                    continue
            if any(isinstance(item, Redaction | RoomForgotten) for item in items):
                items = [*self.spare.take_all(), *items]  # or it would be written after that
            answered = type(effect) in MESSAGE_EFFECTS and context.origin is not None
            # What comes back from a stream was let in before, and cannot be refused any more.
            let_in = answered and self._patient
            if len(self._items) >= self._limit and not let_in:
                with self._lock:
                    self._dropped += len(items)
                continue
            waits = answered and context.acknowledges
            with self._lock:
                first = self._count + 1
                self._items += items
                self._count += len(items)
                if waits:
                    self._waiting[context.session] = None
                # Without a session there is no thread that could come back to it later.
                hurry = (waits or context.origin is None) and not self._submitted
                later = not (hurry or self._submitted or self._scheduled)
                self._submitted = self._submitted or hurry
                self._scheduled = self._scheduled or later
            if waits:
                context.wait_for_store(first, self._count)
            if hurry:
                self._retry_later(self._submit(), context)
            elif later:
                self._flush_later(context, _GROUP_S)

    def read(
        self,
        context: Context,
        work: Callable[[History], T],
        done: Callable[[Outcome[T]], None],
    ) -> None:
        """Have ``work`` read what was kept, all that came before included; then tell ``done``.

        As ``StoreThread.submit``, of which it is a use.
        """
        self._take(self.spare.take_all())
        self.flush(context)
        self._store.submit(lambda connection: work(History(connection)), done)

    def flush(self, context: Context | None = None) -> None:
        """Have all written that came, at once. Safe from any thread, without a context.

        If the store takes nothing it is tried again: soon with a context, else by ``retry``.
        """
        error = self._submit_items()
        if context is not None:
            self._retry_later(error, context)
        elif error is not None:
            _log.warning("%d entries of the history must wait: %s", len(self._items), error)

    def take_over(self, relay: int) -> None:
        """Write what another relay (incarnation), which is lost, may not have written."""
        self._take(self.spare.take(relay))
        self.flush()

    @property
    def taken(self) -> int:
        """The ticket of the last item that was taken. Safe from any thread."""
        return self._count

    @property
    def kept(self) -> int:
        """The ticket of the last item that was written, or lost. Safe from any thread."""
        return self._kept

    def retry(self) -> None:
        """Have written what waits, now that the store has recovered. What was lost stays so."""
        self._submit_items()

    def _take(self, items: Sequence[Item]) -> None:
        with self._lock:
            self._items += items
            self._count += len(items)

    def _retry_later(self, error: StoreBusy | None, context: Context) -> None:
        if error is not None:
            context.note(f"the history must wait: {error}")
            if context.origin is not None:  # else it is written with what comes next
                self._flush_later(context, _RETRY_S)

    def _flush_later(self, context: Context, delay_s: float) -> None:
        thread = context.session.connection.thread

        def wait() -> None:
            thread.call_later(delay_s, partial(self._flush_now, context))

        thread.post(wait)  # where several relays are one chat, this may be another thread

    def _flush_now(self, context: Context) -> None:
        with self._lock:
            self._scheduled = False
        self.flush(context)

    def _submit_items(self) -> StoreBusy | None:
        """Have the store take what waits, if there is anything; return why it does not."""
        with self._lock:
            submit = not self._submitted and (bool(self._items) or self._patience)
            self._submitted = self._submitted or submit
        return self._submit() if submit else None

    def _submit(self) -> StoreBusy | None:
        try:
            self._store.submit(self._write, self._written)
        except StoreBusy as error:
            with self._lock:
                self._submitted = False
            return error
        return None

    # ---- on the store thread ----

    def grown(self, most: int) -> list[str]:
        """Return the keys of up to ``most`` conversations that may have grown too long."""
        return list(itertools.islice(self._grown, most))

    def forget_grown(self, key: str) -> None:
        """Take note that a conversation is not too long."""
        self._grown.pop(key, None)

    def _take_group(self) -> _Group:
        with self._lock:
            group = _Group(self._items, self._waiting, self._dropped)
            self._items, self._waiting, self._dropped = [], {}, 0
            self._submitted = False
        return group

    def _write(self, connection: Connection) -> None:
        self._group = self._group or self._take_group()  # again if it was undone
        history = History(connection)
        history.take_turn(deleting=any(isinstance(i, RoomForgotten) for i in self._group.items))
        entries: list[Entry] = []
        for item in self._group.items:
            if isinstance(item, RoomForgotten):
                history.add(entries)
                entries.clear()
                history.delete_conversation(item.room)
                continue
            if isinstance(item, Redaction):
                history.add(entries)
                entries.clear()
                history.redact(item.effect.event.conversation, item.effect.event.msgid)
            entry = make_entry(item, self._fold)
            entries.append(entry)
            self._grown[entry.conversation.key] = None
        history.add(entries)

    def _written(self, outcome: Outcome[None]) -> None:
        group = self._group or self._take_group()  # the store may fail before it comes to us
        if outcome.error is not None and self._patient and self._store.trouble:
            self._wait_with(group, outcome.error)
            return
        waited, self._group, self._patience = self._patience, None, False
        if waited:
            _log.warning("the history is kept again, all that has waited included")
            with self._lock:
                self._submitted = False
            self._submit_items()  # what has come meanwhile
        first = self._kept + 1
        self._kept += len(group.items)
        self._note_loss(group, outcome.error)
        threads: dict[IoThread, list[Session]] = {}
        for session in group.waiting:
            threads.setdefault(session.connection.thread, []).append(session)
        for thread, sessions in threads.items():
            thread.post(partial(_tell, sessions, first, self._kept, outcome.error is None))

    def _wait_with(self, group: _Group, error: BaseException) -> None:
        """Write the group when the store has recovered: then it is the first, as it was."""
        self._group = group
        if not self._patience:
            _log.error("the history waits: %s", error)
        self._patience = True
        with self._lock:
            self._submitted = False

    def _note_loss(self, group: _Group, error: BaseException | None) -> None:
        """Say that entries are lost when it begins, and how many when it ends; not for each."""
        if error is not None or group.dropped:
            if self._lost_before is None:
                self._lost_before = self.lost
                why = error or "too much waits for the store"
                _log.error("the history is not kept for now: %s", why)
            self.lost += group.dropped + (len(group.items) if error is not None else 0)
        elif self._lost_before is not None:
            lost, self._lost_before = self.lost - self._lost_before, None
            _log.warning("the history is kept again; entries that were lost: %d", lost)


def _tell(sessions: Sequence[Session], first: int, last: int, kept: bool) -> None:
    for session in sessions:
        session.stored(first, last, kept=kept)
