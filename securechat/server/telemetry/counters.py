"""What happens rarely, counted: logins, and what went wrong."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from typing import Final

from securechat.irc.sasl import EXTERNAL, PLAIN, SCRAM_SHA_256, SCRAM_SHA_256_PLUS
from securechat.net.locks import make_lock

__all__ = ["PASS", "Counters", "LoginResult", "Mishap"]

PASS: Final = "PASS"
"""What a login by the command of that name is counted as."""

_MECHANISMS: Final = (PLAIN, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, EXTERNAL, PASS)


class Mishap(enum.StrEnum):
    """What is counted as having gone wrong."""

    CONNECTION_REFUSED = enum.auto()
    """By a limit or a ban, before or right after its handshake."""
    EXCESS_FLOOD = enum.auto()
    """A client that sent faster than its queue could hold, and was closed."""
    COMMAND_CRASHED = enum.auto()
    """A command with a bug: its client was told so, and the log has the rest."""


class LoginResult(enum.StrEnum):
    """How a try to log in ended."""

    OK = enum.auto()
    FAILED = enum.auto()
    THROTTLED = enum.auto()
    """Too many had failed: it was not looked at."""
    UNAVAILABLE = enum.auto()
    """The store or the hash threads could not do it."""


class Counters:
    """Counts, from the start of the relay. Safe from any thread (own lock, tier 1)."""

    def __init__(self) -> None:
        self._lock = make_lock("Counters", tier=1)  # guards both
        self._mishaps = Counter(dict.fromkeys(Mishap, 0))
        # All from the start: what begins to be there with its first event has no rate for it.
        self._logins = Counter(
            {(mechanism, result): 0 for mechanism in _MECHANISMS for result in LoginResult}
        )

    def count(self, mishap: Mishap) -> None:
        """Count one."""
        with self._lock:
            self._mishaps[mishap] += 1

    def count_login(self, mechanism: str, result: LoginResult) -> None:
        """Count a try to log in; ``mechanism`` is one of SASL that we offer, or ``PASS``."""
        with self._lock:
            self._logins[mechanism, result] += 1

    def mishaps(self) -> Mapping[Mishap, int]:
        """Return how often each has happened."""
        with self._lock:
            return dict(self._mishaps)

    def logins(self) -> Mapping[tuple[str, LoginResult], int]:
        """Return how many tries there were, by mechanism and result."""
        with self._lock:
            return dict(self._logins)
