"""What a process holds, sampled while it works, and whether that grows."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

from benchmark.crowd import LoadError

__all__ = ["Sample", "Trend", "sample", "trend"]

POINTS: Final = 200
"""Most points that a trend is computed of: all pairs of them are looked at."""


class Sample(NamedTuple):
    """What a process held at a time, by the monotonic clock. Immutable.

    ``private_bytes`` is memory that no file stands behind, swapped out or not: what it has of a
    program's code comes and goes as the kernel likes. ``resident_bytes`` has that too.
    """

    at_s: float
    private_bytes: int
    resident_bytes: int
    threads: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Trend:
    """The straight line through a process's private memory. Immutable.

    ``grown_bytes`` is by how much it rises over all the samples, ``per_hour_bytes`` in an hour.
    """

    grown_bytes: int
    per_hour_bytes: int


def sample(pid: int) -> Sample:
    """Look at a process. ``LoadError`` if there is none."""
    process = Path(f"/proc/{pid}")
    try:
        status = (process / "status").read_text(encoding="ascii")
        descriptors = sum(1 for _ in (process / "fd").iterdir())
    except OSError as error:
        raise LoadError(f"there is no process {pid} any more") from error
    found = dict(re.findall(r"^(\w+):\s+(\d+)(?: kB)?$", status, re.MULTILINE))
    try:
        private = int(found["RssAnon"]) + int(found["VmSwap"])
        resident, threads = int(found["VmRSS"]), int(found["Threads"])
    except KeyError as error:
        raise LoadError(f"/proc/{pid}/status says nothing of {error}") from error
    return Sample(time.monotonic(), private * 1024, resident * 1024, threads, descriptors)


def trend(samples: Sequence[Sample]) -> Trend:
    """Return the trend of memory, by the median of the slopes between all pairs of samples.

    So a few samples while a lot was done at once, or one step up and down again, do not count
    (Theil-Sen).
    """
    if len(samples) < 2:
        raise LoadError("too short for a trend")
    some = samples[:: 1 + len(samples) // POINTS]
    slope = statistics.median(
        (late.private_bytes - early.private_bytes) / (late.at_s - early.at_s)
        for early, late in combinations(some, 2)
    )
    return Trend(round(slope * (samples[-1].at_s - samples[0].at_s)), round(slope * 3600))
