"""Two connections that want the same: one is in the middle of it while the other begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from securechat.net.threads import start_thread
from securechat.store.connection import Connection
from tests.e2e.children import TIMEOUT_S

T = TypeVar("T")


def run_in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Begin ``work`` in a thread; return what waits for its value, or raises its error."""
    ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:
            ended.put((None, error))

    thread = start_thread("rival", run)

    def wait() -> T:
        value, error = ended.get(timeout=TIMEOUT_S)
        thread.join()
        if error is not None:
            raise error
        return value

    return wait


def wait_until_blocked(connection: Connection) -> None:
    """Return when another connection waits for what this one has locked."""
    deadline = time.monotonic() + TIMEOUT_S
    blocked = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    while connection.execute(blocked).fetchone() is None:
        # In a transaction the view stays as it was when it was first looked at.
        connection.execute("SELECT pg_stat_clear_snapshot()::text")
        assert time.monotonic() < deadline, "nobody waits"
