"""Telling systemd how the relay is (``Type=notify`` and ``WatchdogSec=`` of its unit).

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html; without systemd, which says
so in the environment, nothing happens.
"""

from __future__ import annotations

import logging
import os
import socket
from functools import cache
from typing import Final

__all__ = ["notify", "watchdog_interval_s"]

_log = logging.getLogger(__name__)

_SEND_S: Final = 1.0
"""How long systemd may take to take a message, in seconds. It is told little, and reads at once."""


def notify(state: str) -> None:
    """Tell systemd ``state``: ``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``, ``STATUS=…``; several
    in lines.

    Blocks for a moment at most. That it cannot be told is logged, once; nothing is raised.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # "If the first character of $NOTIFY_SOCKET is "@", the string is understood as Linux abstract
    # namespace socket."
    address = f"\0{path[1:]}" if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SEND_S)
            sock.sendto(state.encode(), address)
    except (AttributeError, OSError) as error:  # AttributeError: a system without such sockets
        _complain(f"systemd cannot be told how the relay is: {error}")


def watchdog_interval_s() -> float | None:
    """Return how often to tell ``WATCHDOG=1``, in seconds; ``None`` if systemd does not ask for it.

    It is half of the time after which systemd ends the relay: "recommended … every half of the time
    returned" (sd_watchdog_enabled).
    """
    pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    try:
        limit_us = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit_us / 2_000_000 if limit_us > 0 and pid == str(os.getpid()) else None


@cache
def _complain(text: str) -> None:
    _log.warning(text)
