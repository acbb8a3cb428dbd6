"""A program in tmux: keys in, what a person would see out."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.children import TIMEOUT_S
from tests.e2e.real_clients import find_program

EVERY_S = 0.05


class Tmux:
    """A terminal of its own, on a tmux server of its own. Owned by the test's thread."""

    def __init__(self, size: tuple[int, int] = (80, 24)) -> None:
        self._tmux = find_program("tmux", "tmux")
        self._socket = f"securechat-test-{secrets.token_hex(4)}"
        self._size = size

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command; its exit code is shown when it has ended."""
        columns, lines = self._size
        words = shlex.join(
            ["env", *(f"{name}={value}" for name, value in environment.items()), *command]
        )
        self._run(
            *("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", str(lines)),
            f"{words}; echo ended with $?; exec cat",
        )

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names, ``Enter``, ``M-a``."""
        self._run("send-keys", *keys)

    def resize(self, columns: int, lines: int) -> None:
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self) -> str:
        """What is on the screen."""
        return self._run("capture-pane", "-p")

    def see(self, *words: str) -> str:
        """Wait until all of these are on the screen; return that."""
        deadline = time.monotonic() + TIMEOUT_S
        while not all(word in (screen := self.screen()) for word in words):
            assert time.monotonic() < deadline, f"never seen: {words}\n{screen}"
            time.sleep(EVERY_S)
        return screen

    def see_no(self, word: str) -> str:
        """Wait until this is not on the screen; return that."""
        deadline = time.monotonic() + TIMEOUT_S
        while word in (screen := self.screen()):
            assert time.monotonic() < deadline, f"still there: {word}\n{screen}"
            time.sleep(EVERY_S)
        return screen

    def child(self) -> int:
        """The process id of the program that was started last in the terminal."""
        shell = self._run("display-message", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(children[-1])

    def close(self) -> None:
        subprocess.run(
            [self._tmux, "-L", self._socket, "kill-server"], capture_output=True, check=False
        )

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._tmux, "-L", self._socket, *arguments],
            capture_output=True,
            encoding="utf-8",
            check=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"},
            timeout=TIMEOUT_S,
        )
        return done.stdout
