"""Waiting for what must happen soon on other threads."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["until"]

TIMEOUT_S = 20.0
"""How long a test waits: only ever used up by one that fails."""

ASK_AGAIN_S = 0.005
"""Between two looks, in seconds."""


def until(condition: Callable[[], object], otherwise: str) -> None:
    """Wait until ``condition`` holds; fail with ``otherwise`` if it does not."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(ASK_AGAIN_S)
