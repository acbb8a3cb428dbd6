"""The one way to start a thread: named, and with a crash that somebody hears of."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Thread", "start_thread"]

_log = logging.getLogger(__name__)

Thread = threading.Thread
"""What ``start_thread`` returns; for annotations only."""


def start_thread(
    name: str,
    target: Callable[[], None],
    *,
    on_crash: Callable[[BaseException], None] | None = None,
    daemon: bool = False,
) -> Thread:
    """Start ``target`` in a thread called ``name`` and return the thread, already running.

    If ``target`` raises, the traceback goes to the log and ``on_crash`` is called in that thread
    with the exception; the process goes on. ``daemon`` is only for a thread that may stay blocked
    on the terminal or in a name look-up: nothing else can be stopped for it at exit.
    """

    def run() -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - the top of the thread: its last safety net
            _log.exception("thread %s crashed", name)
            if on_crash is not None:
                on_crash(error)

    thread = threading.Thread(target=run, name=name, daemon=daemon)
    thread.start()
    return thread
