"""Several relays as child processes, to be killed and paused, on real NATS and PostgreSQL."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.children import TIMEOUT_S, script
from tests.services.nats import ASK_AGAIN_S, NatsCluster, ReservedPort

__all__ = ["LEASE_S", "RelayChild", "relay_children"]

LEASE_S = 3

CONFIG = """
[server]
name = "{name}.test"
network = "TestNet"
listen = ["127.0.0.1:{port}"]
[tls]
certificate = "{certificate}"
key = "{key}"
[accounts]
argon2_memory_kib = 8192
argon2_iterations = 1
failures_per_minute = 0
[limits]
commands_per_s = 0
connections_per_address = 2000
[store]
url = "{url}"
[cluster]
nats = [{nats}]
relay = "{name}"
ca = "{ca}"
user = "{user}"
password_file = "{password}"
lease_s = {lease}
stream_mib = 64
"""


@dataclass
class RelayChild:
    """A relay: where it is, and its process if it runs."""

    name: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    paused: bool = False
    _seen: int = 0

    @property
    def config(self) -> Path:
        return self.folder / f"{self.name}.toml"

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Start it; ``wait`` waits until it listens."""
        assert self.process is None, f"{self.name} runs"
        command = [script("securechat-server"), "--config", str(self.config)]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        self._seen = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )

    def wait(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.listens:
            self.check()
            assert time.monotonic() < deadline, f"{self.name} does not listen:\n{self.log}"
            time.sleep(ASK_AGAIN_S)

    @property
    def listens(self) -> bool:
        """Whether it has started, and is not paused."""
        if self.process is None or self.paused:
            return False
        return b"listening on" in self.log_file.read_bytes()[self._seen :]

    def check(self) -> None:
        """Fail if it has ended of itself."""
        if self.process is not None:
            ended = self.process.poll()
            assert ended is None, f"{self.name} has ended ({ended}):\n{self.log}"

    def kill(self) -> None:
        self.check()
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process, self.paused = None, False

    def stop(self) -> int:
        """Have it stop in order; return its exit code."""
        self.check()
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(TIMEOUT_S)
        self.process = None
        return code

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def status(self) -> dict[str, Any]:
        """Return what it tells of itself, with the digest of its state."""
        done = subprocess.run(
            [
                script("securechat-server"),
                "--config",
                str(self.config),
                "status",
                "--json",
                "--digest",
            ],
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
            cwd=self.folder,
        )
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    @property
    def complaints(self) -> str:
        """What it has said of errors, of late."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        found = [
            line for line in lines if "ERROR" in line or "Error" in line or "Traceback" in line
        ]
        return "\n".join((f"{self.name}:", *found[-20:]))

    @property
    def log(self) -> str:
        """The last lines of what it has said."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-40:])


@contextmanager
def relay_children(
    names: str, ca: Path, nats: NatsCluster, postgres_url: str, folder: Path
) -> Iterator[list[RelayChild]]:
    """Give relays that run; they are ended. Each name is a letter."""
    password = folder / "nats-password"
    password.write_text(nats.password)
    ports = [ReservedPort() for _ in names]
    relays = [
        RelayChild(name, port.number, folder) for name, port in zip(names, ports, strict=True)
    ]
    for relay in relays:
        text = CONFIG.format(
            name=relay.name,
            port=relay.port,
            certificate=ca.with_name("server.pem"),
            key=ca.with_name("server-key.pem"),
            url=postgres_url,
            nats=", ".join(f'"{url}"' for url in nats.urls),
            ca=nats.ca_file,
            user=nats.user,
            password=password,
            lease=LEASE_S,
        )
        relay.config.write_text(text, encoding="utf-8")
    try:
        for relay in relays:
            relay.start()
        for relay in relays:
            relay.wait()
        yield relays
    finally:
        for relay in relays:
            if relay.process is not None:
                relay.process.kill()
                relay.process.wait()
        for port in ports:
            port.close()
