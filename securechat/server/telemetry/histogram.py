"""How long something took, each time, in few numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Distribution", "Histogram"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram held at one moment. Immutable.

    ``counts`` has one number more than ``bounds``: values up to each bound and above the one
    before, then those above all.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Histogram:
    """Counts values by size. ``observe`` is for one thread; any may take a ``snapshot``.

    :param bounds: the upper bounds of the buckets, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def snapshot(self) -> Distribution:
        """Return what was counted; of a value that comes right now maybe the count only."""
        return Distribution(self._bounds, tuple(self._counts), self._total)
