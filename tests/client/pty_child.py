"""``securechat-client`` as a child process on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.client.scripted_server import TIMEOUT_S

ROOT = Path(__file__).parents[2]
MAIN = "import sys; from securechat.client.cli import main; sys.exit(main())"
ON_A_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); " + MAIN


class Child:
    def __init__(
        self,
        arguments: Sequence[str],
        term: str,
        stdout: int | None,
        before: str,
        variables: Mapping[str, str],
    ) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + ON_A_TERMINAL, "--plain", *arguments],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            cwd=ROOT,
            env=environment() | {"TERM": term, "COLUMNS": "80"} | variables,
            start_new_session=True,
        )
        self.slave = slave  # kept open: what was written last can still be read when it has ended
        self.output = ""
        self._seen = 0

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until ``text`` comes, after what was waited for before."""
        deadline = time.monotonic() + TIMEOUT_S
        while (found := self.output.find(text, self._seen)) < 0:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come; got: {self.output[self._seen :]!r}"
            self.output += os.read(self._master, 65536).decode()
        self._seen = found + len(text)

    def leave_by(self, key: str) -> int:
        """Type ``key`` until the child ends, as people do; return its exit code.

        Python hears Ctrl-C only with the next one if it comes just before a line is waited for.
        """
        for _ in range(int(TIMEOUT_S)):
            self.type(key)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
                break
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        code = self.process.wait(TIMEOUT_S)
        while select.select([self._master], [], [], 0)[0]:
            self.output += os.read(self._master, 65536).decode()
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self.slave)


@contextlib.contextmanager
def on_a_terminal(
    *arguments: str,
    term: str = "xterm",
    stdout: int | None = None,
    before: str = "",
    **variables: str,
) -> Iterator[Child]:
    """Run it with ``--plain``.

    :param before: Python code to be run before.
    :param variables: more of the environment.
    """
    child = Child(arguments, term, stdout, before, variables)
    try:
        yield child
    finally:
        child.close()


def environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "TZ": "UTC"}
