"""Who writes the state into the database: one relay, the *keeper*, for all.

Each relay knows the whole state, and what of it must last. If all wrote it, a slow one would put
back what a fast one has written since. So only the keeper does: the relay that has been there for
longest, of which all agree. The others hold what it is writing. When it is gone, the next one
claims the database (by the number of the event that made it the keeper, which is higher than all
before) and writes what is missing. A former keeper that was only asleep is refused by then.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from securechat.errors import StoreBusy
from securechat.net.locks import make_lock
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.connection import Connection
from securechat.store.keeping import Keeping

__all__ = ["HELD_WRITES", "StateStore"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

HELD_WRITES: Final = 65_536
"""Changes that a relay holds for the case that it becomes the keeper: those of a few seconds, of
which there may be thousands when many come back at once. About 1 KB each."""

_Work = Callable[[Connection], Any]


class _Held(NamedTuple):
    """A change of the state that is to be written, and the number of its event."""

    sequence: int
    work: _Work


class StateStore:
    """What the keepers of the state write to: the store if this relay is to write, else memory.

    ``submit`` and what else changes it is guarded by the network lock.
    """

    def __init__(self, store: StoreThread) -> None:
        self._store = store
        self.sequence = 0
        """The number of the event that is being applied."""
        self._term = 0  # of this relay as the keeper; 0 while it is not
        self._claimed = False
        self._held: deque[_Held] = deque(maxlen=HELD_WRITES)
        self._claiming = self._in_vain = False
        self._claimed_to = 0  # the last event of which the claim writes what is held
        self._lock = make_lock("state store", tier=1)  # guards what follows
        self._claim: Outcome[int] | None = None
        self._open: deque[int] = deque()  # numbers of events that are being written
        self._ended = 0  # writes, ever
        self._failed: int | None = None  # the first event of which something was not written
        self._redone = 0  # it is when so many writes have ended; 0 until it is done again

    @property
    def is_keeper(self) -> bool:
        """Whether this relay writes the state. Safe from any thread."""
        return self._claimed

    @property
    def held(self) -> int:
        """How many changes it holds in case that it becomes the keeper. Safe from any thread."""
        return len(self._held)

    def submit(self, work: Callable[[Connection], T], done: Callable[[Outcome[T]], None]) -> None:
        """Have ``work`` done by whoever is the keeper: see ``StoreThread.submit``.

        Of what another relay does ``done`` hears at once that it is done, without a value.
        """
        if not self._claimed:
            self._held.append(_Held(self.sequence, work))
            done(Outcome())
            return
        self._submit(self.sequence, work, done)

    def _submit(
        self, sequence: int, work: Callable[[Connection], T], done: Callable[[Outcome[T]], None]
    ) -> None:
        with self._lock:
            self._open.append(sequence)
        write = partial(self._write, self._term, sequence, work)
        try:
            self._store.submit(write, partial(self._end, sequence, done))
        except StoreBusy:
            with self._lock:
                self._open.pop()
            raise

    def call(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` now: see ``StoreThread.call``. For reading."""
        return self._store.call(work)

    def written(self, sequence: int) -> None:
        """Let go of what the keeper has written, up to this event."""
        while self._held and self._held[0].sequence <= sequence:
            self._held.popleft()

    def written_to(self, applied: int) -> int:
        """Return up to which event the state is written, ``applied`` being the last there was.

        As far as is known here: what is held is not written, or that has not been heard.
        """
        if self._held:
            return self._held[0].sequence - 1
        with self._lock:
            first = self._open[0] if self._open else applied + 1
            return min(first, self._failed or first) - 1

    def retried(self) -> None:
        """Take note that what could not be written was submitted again."""
        with self._lock:
            if self._failed is not None and not self._redone:
                self._redone = self._ended + len(self._open)
                self._see_if_redone()

    def be_keeper(self) -> None:
        """Write the state from now on, as the keeper by the event that is being applied."""
        if not self._term:
            self._term = self.sequence

    def be_none(self) -> None:
        """Leave it to another relay from now on."""
        self._term, self._claimed = 0, False
        with self._lock:
            self._failed, self._redone = None, 0

    def look_after(self) -> None:
        """Claim the database if this relay has become the keeper; again and again until it is done.

        Under the network lock; never blocks.
        """
        with self._lock:
            outcome, self._claim = self._claim, None
        if outcome is not None:
            self._claiming = False
            self._take_claim(outcome)
        if self._term and not self._claimed and not self._claiming:
            self._claiming, self._claimed_to = True, self.sequence
            work = partial(_take_over, self._term, self.sequence, tuple(self._held))
            try:
                self._store.submit(work, self._told)
            except StoreBusy:
                self._claiming = False

    def take_held(self) -> tuple[_Held, ...]:
        """Hand over what is held, for ``finish``. Requires holding the network lock."""
        held, self._held = tuple(self._held), deque(maxlen=HELD_WRITES)
        return held

    def finish(self, held: Sequence[_Held]) -> None:
        """Write what was held, as the last of all relays, which has left them. Blocks.

        There was no time to claim the database, perhaps; and no other relay will do it. Raises
        ``StoreError`` if it cannot be written. Without the network lock.
        """
        if held:
            self._store.call(partial(_take_over, self.sequence, self.sequence, held))

    def _told(self, outcome: Outcome[int]) -> None:
        with self._lock:
            self._claim = outcome

    def _take_claim(self, outcome: Outcome[int]) -> None:
        """Be the keeper, or try again: nobody else writes meanwhile, and it is held here."""
        if outcome.error is not None:
            if not self._in_vain:  # said once, not every second while it lasts
                _log.error("the state is not written for now: %s", outcome.error)
            self._in_vain = True
        elif outcome.result() == self._term:
            later = [each for each in self._held if each.sequence > self._claimed_to]
            try:
                if later:
                    self._submit(later[0].sequence, partial(_write_all, later), _note_failure)
            except StoreBusy:
                return
            self._claimed, self._in_vain = True, False
            self._held.clear()
            _log.info("this relay writes the state from now on")

    # ---- on the store's thread ----

    def _write(
        self, term: int, sequence: int, work: Callable[[Connection], T], connection: Connection
    ) -> T:
        with self._lock:
            first = sequence if self._failed is None else min(sequence, self._failed)
        Keeping(connection).advance(term, first - 1)  # there may be more to write of this event
        return work(connection)

    def _end(self, sequence: int, done: Callable[[Outcome[T]], None], outcome: Outcome[T]) -> None:
        with self._lock:
            self._open.popleft()  # they end in the order in which they were submitted
            self._ended += 1
            if outcome.error is not None:
                self._failed = min(self._failed or sequence, sequence)
                self._redone = 0
            self._see_if_redone()
        done(outcome)

    def _see_if_redone(self) -> None:
        if self._redone and self._ended >= self._redone:
            self._failed, self._redone = None, 0


def _take_over(term: int, sequence: int, held: Iterable[_Held], connection: Connection) -> int:
    """Claim the database, and write what the last keeper has not; return the term."""
    keeping = Keeping(connection)
    kept = keeping.claim(term)
    _write_all([each for each in held if each.sequence > kept], connection)
    keeping.advance(term, max(kept, sequence))
    return term


def _write_all(held: Iterable[_Held], connection: Connection) -> None:
    for each in held:
        each.work(connection)


def _note_failure(outcome: Outcome[Any]) -> None:
    if outcome.error is not None:
        _log.error("a change of the state was not written: %s", outcome.error)
