"""What other relays are writing into the history, in case that one of them does not come to it.

Each relay writes what its own sessions say and do. Until it says that it has (by its beat), those
who have received the same hold it as well; if it is lost, they write it. So does one that is about
to read, or to delete, what may not be written yet. The history takes nothing twice.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from securechat.server.history.entries import Item

__all__ = ["SPARE_ITEMS", "Spare"]

SPARE_ITEMS: Final = 65_536
"""Entries of one relay that are held: more than it can have waiting (``WAITING_ITEMS``), and what
it writes in the seconds between two beats. About 1 KB each."""


class Spare:
    """Holds what others are writing. Guarded by the network lock."""

    def __init__(self) -> None:
        self._held: dict[int, deque[tuple[int, Item]]] = {}  # incarnation → number of event, item

    def add(self, relay: int, sequence: int, items: Iterable[Item]) -> None:
        """Hold what the relay (incarnation) is writing of the event with this number."""
        held = self._held.setdefault(relay, deque(maxlen=SPARE_ITEMS))
        held.extend((sequence, item) for item in items)

    def written(self, relay: int, sequence: int) -> None:
        """Let go of what the relay has written, up to this event."""
        held = self._held.get(relay, deque())
        while held and held[0][0] <= sequence:
            held.popleft()

    def take(self, relay: int) -> list[Item]:
        """Return what the relay, which is lost, may not have written. It is held no longer."""
        return [item for _, item in self._held.pop(relay, ())]

    def take_all(self) -> list[Item]:
        """Return what no relay has said that it is written, in the order of the events."""
        held, self._held = self._held, {}
        return [item for _, item in sorted(itertools.chain(*held.values()), key=itemgetter(0))]

    @property
    def full(self) -> bool:
        """Whether the oldest of a relay goes as the next one comes."""
        return any(len(held) == SPARE_ITEMS for held in self._held.values())

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))
