"""The threads that hash passwords: slow by design, so never on an I/O thread."""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Callable
from typing import Final

from securechat.errors import SecureChatError
from securechat.net.threads import start_thread

__all__ = ["HASH_QUEUE_LIMIT", "HashWorkers", "HashersBusy"]

_log = logging.getLogger(__name__)

HASH_QUEUE_LIMIT: Final = 64
"""Hashes that may wait: two or three seconds' work. A login flood must neither eat the memory (only
the hashes at work hold any) nor make a person wait for longer than they would."""


class HashersBusy(SecureChatError):
    """Too many passwords wait to be hashed; nothing was queued."""


class HashWorkers:
    """A fixed number of threads and a bounded queue. Safe from any thread.

    The number bounds the memory too: each hash at work takes ``argon2_memory_kib``.

    :param on_crash: called with the exception should one of the threads itself fail.
    """

    def __init__(
        self,
        threads: int = 2,
        *,
        queue_limit: int = HASH_QUEUE_LIMIT,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(queue_limit)
        self._threads = [
            start_thread(f"hash-{n}", self._run, on_crash=on_crash) for n in range(threads)
        ]

    def submit(self, work: Callable[[], None]) -> None:
        """Have ``work`` done on a hash thread; it posts its result itself. Never blocks.

        :raises HashersBusy: the queue is full.
        """
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            raise HashersBusy("too many logins at once; try again in a few seconds") from None

    def close(self) -> None:
        """Drop what is queued, finish what is at work, and join the threads. Blocks for that."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - one login's failure must not end the others'
                _log.exception("hashing failed")
