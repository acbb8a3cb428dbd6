"""Locks with a tier, so that a deadlock by order cannot be written without a test noticing.

Tier 1 is innermost. A thread that holds a lock of some tier may take only locks of lower tiers:

- tier 1: queues (inboxes, counters)
- tier 2: ``SessionRegistry``
- tier 3: the relay's network lock (chat state)

Under any of them: no I/O, no SQL, no password hash, no logging handler, no foreign callback.

In production a lock is a bare ``threading.Lock``. After ``check_lock_order(True)``, which the tests
call before anything is built, ``make_lock`` returns locks that raise ``AssertionError`` on a wrong
order.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol

__all__ = ["Lock", "check_lock_order", "make_lock"]

_held = threading.local()
_checking = False


class Lock(Protocol):
    """What ``make_lock`` returns: a non-re-entrant lock, used as a context manager."""

    def __enter__(self) -> bool:
        """Block until the lock is held."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Release the lock."""

    def locked(self) -> bool:
        """Whether any thread holds the lock; for assertions."""


class _CheckedLock:
    def __init__(self, name: str, tier: int) -> None:
        self._name = name
        self._tier = tier
        self._lock = threading.Lock()

    def __enter__(self) -> bool:
        stack: list[_CheckedLock] = _held.__dict__.setdefault("stack", [])
        if stack and stack[-1]._tier <= self._tier:
            raise AssertionError(
                f"lock order: {self._name} (tier {self._tier}) taken while holding "
                f"{stack[-1]._name} (tier {stack[-1]._tier})"
            )
        self._lock.acquire()
        stack.append(self)
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        _held.stack.remove(self)
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()


def check_lock_order(on: bool) -> None:
    """Make ``make_lock`` return checking locks from now on (or plain ones again)."""
    global _checking
    _checking = on


def make_lock(name: str, *, tier: int) -> Lock:
    """Return a new lock; ``name`` says what it guards, ``tier`` (1 innermost) where it ranks."""
    return _CheckedLock(name, tier) if _checking else threading.Lock()
