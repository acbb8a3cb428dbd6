"""The window on paths of memory: of a rate, a delay and a queue, with a clock that is counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from securechat.peer.records import CHUNK_BYTES
from securechat.peer.window import (
    CHUNK_LEAST,
    TARGET_DELAY_S,
    WINDOW_MOST,
    WINDOW_START,
    Window,
)


@dataclass
class SlowPath:
    """Carries so many bytes in a second, one chunk after the other; then it takes ``delay_s`` until
    the acknowledgement is there.
    """

    rate: float
    delay_s: float
    window: Window = field(default_factory=Window)
    now: float = 0.0
    free_at: float = 0.0  # when the last chunk has left
    in_flight: int = 0
    acknowledged: int = 0
    waits: list[float] = field(default_factory=list)  # of a text, if one were said now
    _flight: deque[tuple[float, float, int]] = field(default_factory=deque)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self.waits.clear()
        while self.now < end:
            self._fill()
            at, said, size = self._flight.popleft()
            self.now = at
            self.window.acknowledged(size, self.now - said, self.in_flight)
            self.in_flight -= size
            self.acknowledged += size
            self.waits.append(max(0.0, self.free_at - self.now))

    def _fill(self) -> None:
        while self.in_flight + self.window.read_bytes <= self.window.size_bytes:
            size = self.window.chunk_bytes
            self.free_at = max(self.free_at, self.now) + size / self.rate
            self._flight.append((self.free_at + self.delay_s, self.now, size))
            self.in_flight += size


def test_it_begins_as_it_says() -> None:
    window = Window()
    assert window.size_bytes == WINDOW_START
    assert window.chunk_bytes == window.read_bytes == WINDOW_START // 4


@pytest.mark.parametrize("delay_s", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("rate", [100_000, 1_000_000, 5_000_000])
def test_a_text_waits_about_as_long_as_it_may(rate: float, delay_s: float) -> None:
    path = SlowPath(rate, delay_s)
    path.run(60)
    path.run(60)
    assert max(path.waits) < 1.5 * TARGET_DELAY_S


@pytest.mark.parametrize("delay_s", [0.001, 0.05, 0.3, 0.7])
@pytest.mark.parametrize("rate", [100_000, 1_000_000, 5_000_000])
def test_the_path_is_used(rate: float, delay_s: float) -> None:
    """Also one whose delay alone is more than a text may wait."""
    path = SlowPath(rate, delay_s)
    path.run(60)
    before, since = path.acknowledged, path.now
    path.run(60)
    assert (path.acknowledged - before) / (path.now - since) > 0.9 * rate


def test_a_path_that_becomes_slow() -> None:
    path = SlowPath(20_000_000, 0.05)
    path.run(10)
    path.rate = 200_000
    path.run(60)
    path.run(60)
    assert max(path.waits) < 1.5 * TARGET_DELAY_S


def test_a_fast_path_gets_all_of_it() -> None:
    path = SlowPath(1e9, 0.001)
    path.run(1)
    assert path.window.size_bytes == WINDOW_MOST
    assert path.window.chunk_bytes == CHUNK_BYTES
    assert path.window.read_bytes == WINDOW_MOST // 4


def test_a_window_that_is_not_used_does_not_grow() -> None:
    """Many small files say nothing of how a large one would do."""
    window = Window()
    for _ in range(1_000):
        window.acknowledged(10_000, 0.01, 10_000)
    assert window.size_bytes == WINDOW_START


def test_the_least() -> None:
    window = Window()
    window.acknowledged(1, 0.001, 1)
    window.acknowledged(100_000, 1_000.0, 100_000)
    assert window.size_bytes == window.read_bytes == window.chunk_bytes == CHUNK_LEAST
