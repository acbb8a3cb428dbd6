"""Rate limits and counts for each address."""

from __future__ import annotations

from typing import Final

from securechat.net.locks import make_lock

__all__ = ["AddressCounter", "TokenBucket"]

_ONE_TOKEN: Final = 1 - 1e-4
"""A token, less what the rounding of a large clock makes of it: who waited as long as told gets
one, instead of being told to wait for no time at all, again and again."""


class TokenBucket:
    """Lets through a burst, then a steady rate. Owned by one thread.

    :param rate: tokens that come back each second; 0 for no limit at all.
    :param burst: tokens when full.
    :param now: the present, in seconds of the clock that ``wait_s`` is given.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, cost: float = 1) -> bool:
        """Take ``cost`` of a token, at most 1, if there is a whole one."""
        if not self._rate:
            return True
        if not self.ready(now):
            return False
        self._tokens -= cost
        return True

    def ready(self, now: float) -> bool:
        """Whether there is a token."""
        if not self._rate:
            return True
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens >= _ONE_TOKEN

    def give_back(self) -> None:
        """Put back one token that was taken."""
        self._tokens = min(self._burst, self._tokens + 1)

    def wait_s(self) -> float:
        """Return the seconds from the last ``take`` or ``ready`` until there is a token."""
        return max(0.0, (1 - self._tokens) / self._rate) if self._rate else 0.0


class AddressCounter:
    """How many of something each address has. Safe from any thread (own lock, tier 1)."""

    def __init__(self) -> None:
        self._lock = make_lock("AddressCounter", tier=1)  # guards _counts and _total
        self._counts: dict[str, int] = {}
        self._total = 0

    def add(self, address: str) -> int:
        """Count one more; return how many there are now."""
        with self._lock:
            count = self._counts[address] = self._counts.get(address, 0) + 1
            self._total += 1
            return count

    def remove(self, address: str) -> None:
        """Count one less."""
        with self._lock:
            count = self._counts[address] - 1
            self._total -= 1
            if count:
                self._counts[address] = count
            else:
                del self._counts[address]

    def total(self) -> int:
        """Return the sum over all addresses."""
        with self._lock:
            return self._total
