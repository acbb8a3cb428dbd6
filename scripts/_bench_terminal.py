"""The full-screen client in a process of its own, at a terminal whose far end is ours."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from _bench_crowd import LoadError, Target

import securechat

__all__ = ["Terminal"]

COLUMNS: Final = 120
LINES: Final = 40

READ_BYTES: Final = 65_536
END_TIMEOUT_S: Final = 10.0
"""How long the client may take to leave before it is killed: it says goodbye to the relay."""

LEAVE: Final = b"\x11"  # Ctrl-Q

_START: Final = "import sys; from securechat.client.cli import main; sys.exit(main())"
_ESCAPES: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")


class Terminal:
    """Somebody at the full-screen client. Owned by one thread; what goes wrong is a ``LoadError``.

    The client ends when the block is left.

    :param folder: all that it keeps is in there.
    :param deadline: for all waiting, by the monotonic clock.
    """

    def __init__(
        self, target: Target, folder: Path, nick: str, room: str, deadline: float
    ) -> None:
        self._deadline = deadline
        self._seen = b""  # since the last ``press``
        options = {
            "--host": target.hostname,
            "--port": str(target.address[1]),
            "--ca": str(target.ca),
            "--nick": nick,
            "--join": room,
            "--data": str(folder / "data"),
        }
        words = [word for option in options.items() for word in option]
        self._master, slave = pty.openpty()
        try:
            size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
            fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, *words, "--no-peers"],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=folder,
                env=_environment(folder),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)

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

    def type(self, keys: Sequence[tuple[float, str]]) -> Iterator[int]:
        """Press each key at its time, by the monotonic clock, whatever has been answered by then;
        yield how long it took until its character was drawn, in nanoseconds.

        No character may come twice, or stand on the screen already.
        """
        due = list(reversed(keys))
        pressed: dict[bytes, int] = {}
        while due or pressed:
            now = time.monotonic()
            while due and due[-1][0] <= now:
                character = due.pop()[1].encode()
                pressed[character] = time.monotonic_ns()
                os.write(self._master, character)
            self._seen = self._seen[-8:]  # a character may come in two pieces
            self._read(due[-1][0] if due else self._deadline, "what was typed")
            drawn = time.monotonic_ns()
            for character in [one for one in pressed if one in self._seen]:
                yield drawn - pressed.pop(character)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._leave()
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._master)

    def _leave(self) -> None:
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
