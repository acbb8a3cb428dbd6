"""Where the log goes: to the standard error output, as text or as JSON.

A thread that logs never waits for whoever reads that: lines go into a bounded queue, and a thread
of its own writes them. A reader that is gone or asleep costs lines, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from securechat.net.threads import start_thread
from securechat.server.config import LogConfig

__all__ = ["LOG_QUEUE_LIMIT", "LogOutput", "apply", "harmless", "make_formatter"]

LOG_QUEUE_LIMIT: Final = 10_000
"""Lines that may wait for a reader that sleeps: a megabyte or two, and minutes of a busy relay."""

_FLUSH_S: Final = 1.0
"""How long the end of the process waits for the last lines to be written, in seconds."""

_PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""Levels as the journal of systemd calls them (sd-daemon)."""


def apply(config: LogConfig, on_crash: Callable[[BaseException], object] | None = None) -> None:
    """Have all that is logged written to the standard error output, as ``config`` says.

    May be called again, with another configuration. Without such an output nothing is written.

    :param on_crash: from now on called with the exception should the thread that writes fail.
    """
    root = logging.getLogger()
    root.setLevel(config.level.upper())
    output = next((handler for handler in root.handlers if isinstance(handler, LogOutput)), None)
    if output is None:
        descriptor = _standard_error()
        if descriptor is None:
            if not root.handlers:
                root.addHandler(logging.NullHandler())  # or logging finds a way of its own
            return
        output = LogOutput(descriptor, sys.stderr.encoding)
        root.addHandler(output)
    if on_crash is not None:
        output.on_crash = on_crash
    output.setFormatter(make_formatter(config.format, journal=_is_journal(output.descriptor)))


def make_formatter(form: str, *, journal: bool) -> logging.Formatter:
    """Return what makes lines: ``form`` is "text" or "json".

    :param journal: they go to the journal of systemd, which has the time, and takes a priority from
        the beginning of a line of text.
    """
    if form == "json":
        return _JsonFormatter()
    return _JournalFormatter() if journal else _TextFormatter()


class LogOutput(logging.Handler):
    """Writes lines to a descriptor, on a thread of its own; ``emit`` never blocks.

    What finds the queue full is lost; how many lines that were is written in their place. The
    descriptor is not closed. ``on_crash`` is told, on that thread, what has ended it.
    """

    def __init__(self, descriptor: int, encoding: str, limit: int = LOG_QUEUE_LIMIT) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.on_crash: Callable[[BaseException], object] = lambda error: None
        self._encoding = encoding
        self._lost = 0  # guarded by the lock of the handler
        self._queue: queue.Queue[str | threading.Event | None] = queue.Queue(limit)
        # A daemon: the write may never come to an end, and must not keep the process from its.
        self._thread = start_thread("log", self._run, on_crash=self._crashed, daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line of ``record``. The handler's lock is held."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a wrong call of the logger: say where it is
            self.handleError(record)
            return
        try:
            if self._lost:
                self._queue.put_nowait(self._lines_lost())
                self._lost = 0
            self._queue.put_nowait(text)
        except queue.Full:
            self._lost += 1

    def flush(self) -> None:
        """Wait until all that came is written, but not for long."""
        done = threading.Event()
        deadline = time.monotonic() + _FLUSH_S
        with contextlib.suppress(queue.Full):
            self._queue.put(done, timeout=_FLUSH_S)
            done.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Write what is queued, if that can be, and end. May be called again."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_FLUSH_S)
        self._thread.join(_FLUSH_S)
        super().close()

    def _lines_lost(self) -> str:
        text = "%d lines of the log were lost: nobody read them"
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, (self._lost,), None)
        return self.format(record)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            if isinstance(entry, threading.Event):
                entry.set()
            else:
                self._write(f"{entry}\n".encode(self._encoding, "backslashreplace"))

    def _crashed(self, error: BaseException) -> None:
        self.on_crash(error)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the reader has gone, or the disk is full
            while data:
                try:
                    data = data[os.write(self.descriptor, data) :]
                except BlockingIOError:  # made so by another process that shares it
                    select.select((), (self.descriptor,), ())


def harmless(text: str) -> str:
    """Return ``text`` for a terminal: what one might obey in it is shown as a number."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


class _TextFormatter(logging.Formatter):
    """One line for each event, safe for a terminal whatever names people give things."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(message)s") -> None:
        super().__init__(form, "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


class _JournalFormatter(_TextFormatter):
    """The same for the journal: "simply prefix every line with one of these strings"."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


class _JsonFormatter(logging.Formatter):
    """One object on each line, in ASCII: so it is safe for a terminal too."""

    def format(self, record: logging.LogRecord) -> str:
        found = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return json.dumps(found)


def _standard_error() -> int | None:
    """Return the descriptor, ``None`` if there is no such output: its number may be another's."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # ``sys.stderr`` is ``None``, or no file
        return None


def _is_journal(descriptor: int) -> bool:
    """Whether it leads to the journal: "the device and inode numbers … separated by a colon"."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
