"""What a relay of several counts of the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from securechat.server.telemetry.histogram import Histogram

__all__ = ["RETURN_BOUNDS_S", "Tally"]

RETURN_BOUNDS_S: Final = (
    *(0.001, 0.002, 0.003, 0.005, 0.0075, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Buckets for the times until an event has come back, in seconds: 2 to 5 ms on one machine, some 10
with three servers in one place, 50 to 250 with servers in several countries. From 2 s on it was
published again: a server was lost."""


@dataclass(slots=True)
class Tally:
    """Counts since the start. Counted under the network lock; any thread may read.

    ``taken`` events have come; ``repeated`` is how often one of this relay was void, and was
    proposed again; ``returns`` has the times from proposal to return, in seconds.
    """

    taken: int = 0
    repeated: int = 0
    returns: Histogram = field(default_factory=lambda: Histogram(RETURN_BOUNDS_S))
