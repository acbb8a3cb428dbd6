"""How much of files is on its way at a time: enough to fill the path, not so much that texts wait.

All files to a contact share one path with the texts, and a text waits behind what was said before
it. The waiting shows in the time from a chunk to its acknowledgement, less the shortest such time
on this path, which is that of an empty one. The window is led towards the size at which that is
``TARGET_DELAY_S``, in proportion to how far it is from there: the control of LEDBAT (RFC 6817).
"""

from __future__ import annotations

import math
from typing import Final

from securechat.peer.records import CHUNK_BYTES

__all__ = ["CHUNK_LEAST", "TARGET_DELAY_S", "WINDOW_MOST", "WINDOW_START", "Window"]

TARGET_DELAY_S: Final = 0.5
"""How long a text may wait behind files, in seconds: a person who types does not notice."""

CHUNK_LEAST: Final = 16_384
"""Smallest chunk, in bytes, but for a file's last: a full record of TLS. It is the smallest window
too, which a path of 32 KB/s carries within ``TARGET_DELAY_S``."""

WINDOW_START: Final = 262_144
"""Window of a new path, in bytes: half a second of 4 Mbit/s."""

WINDOW_MOST: Final = 4_194_304
"""Largest window, in bytes. It fills 1 Gbit/s over 30 ms, or 100 Mbit/s over 300 ms; and it is what
a receiver that acknowledges nothing can make us keep in memory."""

_GAIN: Final = 0.5
"""Bytes by which the window grows for each acknowledged one while nothing waits. RFC 6817 allows 1
at most; half of that swings less, and still doubles the window in two round trips."""

_READS: Final = 4
"""Reads of the disk into which a window is cut: one comes in while others are on their way."""


class Window:
    """The window of one path. Owned by the I/O thread. It reads no clock."""

    def __init__(self) -> None:
        self.size_bytes = WINDOW_START
        self._shortest_s = math.inf  # from a chunk to its acknowledgement

    @property
    def read_bytes(self) -> int:
        """How much to read from the disk at a time."""
        pieces = self.size_bytes // (_READS * CHUNK_LEAST)
        return max(1, pieces) * CHUNK_LEAST

    @property
    def chunk_bytes(self) -> int:
        """How much to put into one record."""
        return min(CHUNK_BYTES, self.read_bytes)

    def acknowledged(self, count_bytes: int, delay_s: float, in_flight_bytes: int) -> None:
        """Take note that ``count_bytes`` of ``in_flight_bytes`` arrived, ``delay_s`` after leaving.

        A window that is not used does not grow: it would say nothing about the path.
        """
        self._shortest_s = min(self._shortest_s, delay_s)
        waited_s = delay_s - self._shortest_s
        size = self.size_bytes + int(_GAIN * count_bytes * (1 - waited_s / TARGET_DELAY_S))
        if size > self.size_bytes:
            size = max(self.size_bytes, min(size, 2 * in_flight_bytes))
        self.size_bytes = max(CHUNK_LEAST, min(size, WINDOW_MOST))
