"""The full-screen client in a process of its own, at a terminal whose far end is ours."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import securechat
from benchmark.crowd import LoadError, Target

__all__ = ["COLUMNS", "LINES", "Terminal", "running_screen"]

COLUMNS: Final = 120
LINES: Final = 40

READ_BYTES: Final = 65_536
END_TIMEOUT_S: Final = 10.0
"""How long the client may take to leave before it is killed: it says goodbye to the relay."""

TAIL_BYTES: Final = 4
"""A character may be drawn in two pieces."""

LEAVE: Final = b"\x11"  # Ctrl-Q

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The terminal is made the one that the client hangs on: it ends, too, if we are killed.
_START: Final = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
from securechat.client.cli import main
sys.exit(main())
"""
_ESCAPES: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")


@contextlib.contextmanager
def running_screen(
    target: Target, folder: Path, nick: str, room: str, deadline: float
) -> Iterator[Terminal]:
    """The full-screen client of this checkout, which enters ``room``.

    It ends when the block is left. What goes wrong is a ``LoadError``.

    :param folder: all that it keeps is in there.
    :param deadline: for all waiting, by the monotonic clock.
    """
    options = {
        "--host": target.hostname,
        "--port": str(target.address[1]),
        "--ca": str(target.ca),
        "--nick": nick,
        "--join": room,
        "--data": str(folder / "data"),
    }
    words = [word for option in options.items() for word in option]
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    # Answered by an exception, a signal must not come before there is something to end.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _START, *words, "--no-peers"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env=_environment(folder),
        start_new_session=True,
    )
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(slave)
        terminal = Terminal(process, master, deadline)
        yield terminal
        terminal.leave()
    finally:
        process.kill()
        process.wait()
        os.close(master)


class Terminal:
    """Somebody at the client. Owned by one thread; made by ``running_screen``."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, deadline: float) -> None:
        self._process = process
        self._master = master
        self._deadline = deadline
        self._seen = b""  # since the last ``press``

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def press(self, keys: bytes) -> None:
        """Press keys. What was drawn until now does not count any more."""
        self._seen = b""
        os.write(self._master, keys)

    def see(self, text: str) -> int:
        """Wait until ``text`` has been drawn since the last ``press``; return when, in nanoseconds
        of the monotonic clock.
        """
        wanted = text.encode()
        while wanted not in self._seen:
            self._read(self._deadline, text)
        return time.monotonic_ns()

    def rest(self, seconds: float) -> None:
        """Let the client draw for so long."""
        until = min(time.monotonic() + seconds, self._deadline)
        while time.monotonic() < until:
            self._read(until)

    def type_keys(self, keys: Sequence[tuple[float, str]]) -> Iterator[int]:
        """Press keys at their times, in seconds from now, whatever has been answered by then;
        yield how long it took until the last character of each was drawn, in nanoseconds.

        None of these may come twice, or stand on the screen already.
        """
        began = time.monotonic()
        due = [(began + at, key) for at, key in reversed(keys)]
        pressed: dict[bytes, int] = {}
        while due or pressed:
            now = time.monotonic()
            while due and due[-1][0] <= now:
                key = due.pop()[1]
                pressed[key[-1].encode()] = time.monotonic_ns()
                os.write(self._master, key.encode())
            self._seen = self._seen[-TAIL_BYTES:]
            self._read(due[-1][0] if due else self._deadline, "what was typed")
            drawn = time.monotonic_ns()
            for character in [one for one in pressed if one in self._seen]:
                yield drawn - pressed.pop(character)

    def leave(self) -> None:
        """End the client."""
        os.write(self._master, LEAVE)
        until = time.monotonic() + END_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < until:
            self._read(time.monotonic() + 0.02, ending=True)
        if self._process.returncode != 0:
            raise LoadError(f"the client ended with exit code {self._process.returncode}")

    def _read(self, until_s: float, waited_for: str = "", *, ending: bool = False) -> None:
        """Read what is drawn; nothing if nothing comes until then."""
        now = time.monotonic()
        if now >= self._deadline:
            what = f" for {waited_for}" if waited_for else ""
            raise LoadError(f"it took too long{what}; --timeout gives it more; {self._last()}")
        if not select.select([self._master], [], [], max(0.0, until_s - now))[0]:
            return
        try:
            self._seen += os.read(self._master, READ_BYTES)
        except OSError as error:  # so Linux tells that nobody has the terminal any more
            if not ending:
                raise LoadError(f"the client has ended; {self._last()}") from error
            self._process.wait(END_TIMEOUT_S)

    def _last(self) -> str:
        shown = _ESCAPES.sub(b" ", self._seen[-4000:]).decode(errors="replace")
        return "it last drew: " + " ".join(shown.split())[-300:]


def _environment(folder: Path) -> dict[str, str]:
    """The environment, in which the client finds nothing of its user's, nor of another terminal."""
    package = str(Path(securechat.__file__).parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TEXTUAL", "XDG_", "LC_")) and name not in ("NO_COLOR", "COLUMNS")
    }
    return {
        **kept,
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "PYTHONPATH": os.pathsep.join(paths),
    }
