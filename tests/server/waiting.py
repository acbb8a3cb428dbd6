"""Waiting for what must happen soon on other threads."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.timeouts import LONG_TIMEOUT_S

__all__ = ["until"]

TIMEOUT_S = LONG_TIMEOUT_S

ASK_AGAIN_S = 0.005
"""Between two looks, in seconds."""


def until(condition: Callable[[], object], otherwise: str) -> None:
    """Wait until ``condition`` holds; fail with ``otherwise`` if it does not."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(ASK_AGAIN_S)
