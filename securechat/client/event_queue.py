"""The queue between the I/O thread, where things happen, and the thread that reads of them."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Final

from securechat.client.events import Disconnected, Event

__all__ = ["EVENTS_LIMIT", "EventQueue"]

EVENTS_LIMIT: Final = 20_000
"""Most events that wait to be read. A program that falls so far behind is disconnected, and told
why: reading on would fill its memory, dropping events would leave it with a wrong picture."""


class EventQueue:
    """Events on their way. Safe from any thread; one thread at a time reads.

    :param on_event: called after each event, on the thread that put it; must not block.
    """

    def __init__(self, on_event: Callable[[], None] | None) -> None:
        self._on_event = on_event
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def put(self, event: Event) -> bool:
        """Append an event; false, and nothing is appended, when too many wait."""
        if self._queue.qsize() >= EVENTS_LIMIT:
            return False
        self._queue.put(event)
        if self._on_event is not None:
            self._on_event()
        return True

    def finish(self, event: Disconnected) -> None:
        """Append the last event, however many wait."""
        self._queue.put(event)
        self._queue.put(None)
        if self._on_event is not None:
            self._on_event()

    def get(self, timeout_s: float | None) -> Event | None:
        """Return the next event, waiting for it; ``None`` when there will be no more.

        :raises TimeoutError: there was none in time.
        """
        try:
            event = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"no event within {timeout_s} seconds") from None
        if event is None:
            self._queue.put(None)  # for who asks again
        return event

    def poll(self) -> Event | None:
        """Return the next event if there is one now."""
        return None if self._queue.empty() else self.get(None)
