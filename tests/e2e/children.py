"""The console scripts as child processes: a relay with a CA of its own, clients on terminals."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from securechat.net.threads import start_thread
from tests.timeouts import LONG_TIMEOUT_S

ROOT = Path(__file__).parents[2]
"""Of the project: where ``python -m tests.…`` can be run."""

TIMEOUT_S = LONG_TIMEOUT_S
"""How long a child may take for one thing; far more than it needs on a busy machine."""

STOP_S = 5
"""The relay's promise: gone within so many seconds of a signal."""


def script(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{path} is missing: install the project first (pip install -e .)"
    return str(path)


@dataclass
class RelayProcess:
    process: subprocess.Popen[str]
    port: int
    ca: Path
    folder: Path
    log: list[str] = field(default_factory=list)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextlib.contextmanager
def run_relay(
    ca: Path,
    data: Path,
    *flags: str,
    host: str = "127.0.0.1",
    port: int = 0,
    command: Sequence[str] | None = None,
) -> Iterator[RelayProcess]:
    """Start a relay, wait until it listens; end it, if the test has not.

    :param command: what runs ``securechat-server``, if not its script.
    """
    process = subprocess.Popen(
        [
            *([script("securechat-server")] if command is None else command),
            *("--listen", f"{host}:{port}", "--data", str(data)),
            *("--cert", str(ca.with_name("server.pem"))),
            *("--key", str(ca.with_name("server-key.pem"))),
            *flags,
        ],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    relay = RelayProcess(process, 0, ca, data)
    listening = threading.Event()

    def read_log() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            relay.log.append(line.rstrip("\n"))
            port = line.rstrip("\n").rpartition(":")[2]
            if "listening on" in line and port.isdigit():  # else it is for something else
                relay.port = int(port)
                listening.set()
        listening.set()

    reader = start_thread("relay log", read_log)
    try:
        assert listening.wait(TIMEOUT_S)
        assert relay.port, relay.log
        yield relay
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stderr is not None:
            process.stderr.close()


class TerminalClient:
    """``securechat-client`` on a terminal of its own."""

    def __init__(self, relay: RelayProcess, *flags: str) -> None:
        self._master, self._slave = pty.openpty()
        self.process = subprocess.Popen(
            [
                script("securechat-client"),
                *("--plain", "--ca", str(relay.ca), "--port", str(relay.port), *flags),
            ],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=dict(os.environ) | {"TERM": "xterm", "PYTHONUTF8": "1", "TZ": "UTC"},
            start_new_session=True,
        )
        self.output = ""
        self._seen = 0

    def type(self, line: str) -> None:
        os.write(self._master, f"{line}\r".encode())

    def wait_for(self, text: str) -> None:
        """Read until ``text`` comes, after what was waited for before."""
        deadline = time.monotonic() + TIMEOUT_S
        while (found := self.output.find(text, self._seen)) < 0:
            ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not come; got: {self.output[self._seen :]!r}"
            self.output += os.read(self._master, 65536).decode()
        self._seen = found + len(text)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)
