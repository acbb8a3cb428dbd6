"""How often one may fail to log in."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from securechat.net.limits import TokenBucket
from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.server.cloak import network_of
from securechat.server.names import ASCII_NAMES, Fold

__all__ = ["ACCOUNT_FACTOR", "THROTTLED_KEYS", "LoginThrottle"]

THROTTLED_KEYS: Final = 10_000
"""Addresses and accounts that are remembered. An attacker with more addresses than that pushes out
the oldest; the limit for each account still holds for the accounts attacked last."""

ACCOUNT_FACTOR: Final = 5
"""How many times the failures of one address an account stands: so that no single address can lock
its owner out, while guessing from many addresses is slow all the same."""

_KEY_LENGTH: Final = 80
"""Characters kept of a name. Names come from strangers, and may be thousands of characters."""


class LoginThrottle:
    """Tries that each address and each account has left. Safe from any thread (own lock, tier 1).

    A try is taken *before* the password is looked at, and given back when it was right: so tries
    made at the same moment count as well.

    :param per_minute: failures of one address in a minute; 0 for no limit. What is set later counts
        for addresses and accounts that are new.
    :param fold: gives the form that equal names of accounts share.
    """

    def __init__(self, per_minute: int, clock: Clock, fold: Fold = ASCII_NAMES.fold) -> None:
        self.per_minute = per_minute
        self._fold = fold
        self._clock = clock
        self._lock = make_lock("LoginThrottle", tier=1)  # guards _buckets
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, account: str, address: str) -> bool:
        """Take a try from the account and the address, if both have one left."""
        now = self._clock()
        with self._lock:
            buckets = [
                self._bucket(f"address {network_of(address)}", self.per_minute, now),
                self._bucket(self._account_key(account), ACCOUNT_FACTOR * self.per_minute, now),
            ]
            if not all(bucket.ready(now) for bucket in buckets):
                return False
            for bucket in buckets:
                bucket.take(now)
            return True

    def give_back(self, account: str, address: str) -> None:
        """Give a try back: the password was right."""
        with self._lock:
            for key in (f"address {network_of(address)}", self._account_key(account)):
                if key in self._buckets:
                    self._buckets[key].give_back()

    def __len__(self) -> int:
        with self._lock:
            return len(self._buckets)

    def _bucket(self, key: str, most: int, now: float) -> TokenBucket:
        bucket = self._buckets.setdefault(key, TokenBucket(most / 60, most, now))
        self._buckets.move_to_end(key)
        while len(self._buckets) > THROTTLED_KEYS:
            self._buckets.popitem(last=False)
        return bucket

    def _account_key(self, account: str) -> str:
        return f"account {self._fold(account[:_KEY_LENGTH])}"
