"""Whether the threads of the relay answer.

A disk that fails or work that piles up is not what is looked for here: as long as a thread answers,
a restart would mend nothing. A thread that does not answer is stuck, and a restart is all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from securechat.net.io_thread import IoThread
from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.server.store_thread import StoreThread
from securechat.server.telemetry.rates import Passed, Rates

__all__ = ["STUCK_S", "Health", "ThreadHealth"]

STUCK_S: Final = 10.0
"""How long a thread may leave a question unanswered, in seconds, before it counts as stuck. A turn
takes milliseconds; the longest that is in order is that of a disk which tidies up, some seconds."""


@dataclass(frozen=True, slots=True)
class ThreadHealth:
    """How a thread answers. Immutable.

    :param delay_s: how long it took the last time, in seconds, or has been taking already.
    """

    name: str
    delay_s: float
    stuck: bool


class _Watched:
    """A thread that is asked. Guarded by the lock of ``Health``, but for what never changes."""

    __slots__ = ("ask", "asked_at", "delay_s", "name")

    def __init__(self, name: str, ask: Callable[[Callable[[], None]], None]) -> None:
        self.name = name
        self.ask = ask
        self.asked_at: float | None = None  # while it has not answered
        self.delay_s = 0.0  # of the last answer

    def health(self, now: float) -> ThreadHealth:
        """Return how the thread answers."""
        waited_s = now - self.asked_at if self.asked_at is not None else 0.0
        return ThreadHealth(self.name, max(self.delay_s, waited_s), waited_s >= STUCK_S)


class Health:
    """Asks each I/O thread and the store, again and again. Safe from any thread; nothing blocks.

    ``rates`` has what passes each second.

    :param clock: monotonic, in seconds.
    """

    def __init__(self, threads: Sequence[IoThread], store: StoreThread, clock: Clock) -> None:
        self._threads = tuple(threads)
        self._clock = clock
        self._lock = make_lock("Health", tier=1)  # guards what _Watched says
        self._watched = [_Watched(thread.name, thread.post) for thread in threads]
        self._watched.append(_Watched("store", store.ping))
        self.rates = Rates(self.passed, clock)

    def tick(self) -> None:
        """Ask every thread that has answered the last time; to be called about every second."""
        now = self._clock()
        with self._lock:
            due = [watched for watched in self._watched if watched.asked_at is None]
            for watched in due:
                watched.asked_at = now
        for watched in due:
            watched.ask(partial(self._answered, watched))
        self.rates.tick()

    def threads(self) -> list[ThreadHealth]:
        """Return how each thread answers."""
        now = self._clock()
        with self._lock:
            return [watched.health(now) for watched in self._watched]

    def problems(self) -> list[str]:
        """Return a line for each thread that is stuck; nothing if all is well."""
        return [
            f"{thread.name} has not answered for {thread.delay_s:.0f} s"
            for thread in self.threads()
            if thread.stuck
        ]

    def passed(self) -> Passed:
        """Return what has passed through all I/O threads."""
        found = Passed()
        for thread in self._threads:
            found = found.plus(thread.traffic)
        return found

    def overflows(self) -> int:
        """Return how many connections were closed because too much waited for them."""
        return sum(thread.traffic.overflows for thread in self._threads)

    def handshake_failures(self) -> dict[str, int]:
        """Return how many handshakes came to nothing, by ``HandshakeFailure``."""
        counts: dict[str, int] = {}
        for thread in self._threads:
            for reason, count in thread.traffic.handshake_failures.items():
                counts[reason.value] = counts.get(reason.value, 0) + count
        return counts

    def _answered(self, watched: _Watched) -> None:
        now = self._clock()
        with self._lock:
            if watched.asked_at is not None:
                watched.delay_s = now - watched.asked_at
            watched.asked_at = None
