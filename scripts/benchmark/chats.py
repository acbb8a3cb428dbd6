"""The chats that are compared: of one relay alone, and of some that share NATS and PostgreSQL.

The servers are those of the project's tests: real ones of this machine, as children, in folders and
on ports of their own.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET
from typing import Any, Final, Self

from benchmark.crowd import LoadError, Target
from benchmark.relay import STOP_TIMEOUT_S, cpu_s, prepare_relay, start_relay, wait_for_port
from securechat import pki

__all__ = ["Chat", "Chats", "Missing", "RelayProcess", "Usage", "running_chats"]

NODES: Final = 3
"""NATS servers: each event is on all of them, on their disks."""

STREAM_MIB: Final = 32
"""Of each chat: all of them fit into what the servers may have, and 20,000 events into one."""

ROOMS_OF_EACH: Final = 1000

JOIN_TIMEOUT_S: Final = 90.0
"""A relay that knows by then nothing of what has happened gives up by itself."""

HOST: Final = "127.0.0.1"


class Missing(Exception):
    """What is needed is not installed; ``str()`` says what."""


@dataclass(slots=True)
class RelayProcess:
    """A relay that was started, and where it is. Owned by its chat."""

    config: Path
    process: subprocess.Popen[bytes]
    target: Target | None = None

    @property
    def log(self) -> str:
        """What it has said until now."""
        return self.config.with_name("relay.log").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time until now, in seconds; of the relays of one chat, and of all else."""

    relays: float
    nats: float
    postgres: float

    def since(self, before: Usage) -> Usage:
        """What was used in between."""
        return Usage(
            self.relays - before.relays, self.nats - before.nats, self.postgres - before.postgres
        )


@dataclass(slots=True)
class Chat:
    """One chat: its relays, of which each has its number. Owned by ``Chats``."""

    name: str
    settings: Mapping[str, Mapping[str, object]]
    relays: list[RelayProcess] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether it is of no cluster."""
        return "cluster" not in self.settings

    @property
    def targets(self) -> list[Target]:
        """Where the relays are."""
        return [each.target for each in self.relays if each.target is not None]


class Chats:
    """Chats and the servers that they share. Owned by its caller; all is gone when the block is
    left. Made by ``running_chats``.
    """

    def __init__(self, folder: Path, tls: str, nats: Any, postgres: Any, lease_s: int) -> None:
        self._folder = folder
        self._tls = tls
        self._nats = nats
        self._postgres = postgres
        self._lease_s = lease_s
        self._started: list[RelayProcess] = []
        self._pki = folder / "pki"
        self._pki.mkdir()
        prepare_relay(self._pki, tls)
        self._password = folder / "nats-password"
        self._password.write_text(nats.password, encoding="ascii")
        self._postmaster = _postmaster(postgres)

    def start(self, sizes: Mapping[str, int], *, alone: str) -> dict[str, Chat]:
        """Start chats of so many relays, by name; return when all take connections.

        :param alone: the one that is of no cluster, but has a database of its own.
        """
        chats = {
            name: Chat(name, self._alone(name) if name == alone else self._shared(name))
            for name in sizes
        }
        # The first relay of each makes the tables, the stream, and the first snapshot.
        self._start([(chat, 0) for chat in chats.values()])
        self._start([(chats[name], n) for name, size in sizes.items() for n in range(1, size)])
        return chats

    def start_late(self, chat: Chat) -> float:
        """Start one more relay; return after how many seconds it took connections. It is ended."""
        began = time.monotonic()
        late = self._launch(chat, len(chat.relays))
        self._wait(late)
        seconds = time.monotonic() - began
        self._end([late])
        return seconds

    def usage(self, chat: Chat) -> Usage:
        """Return the processor time that was used until now."""
        return Usage(
            sum(cpu_s(each.process.pid) for each in chat.relays),
            sum(cpu_s(node.process.pid) for node in self._nats.nodes),
            _cpu_with_children_s(self._postmaster),
        )

    def last_event(self, chat: Chat) -> int:
        """Return the number of the newest event in the stream of a chat."""
        answer = self._nats.nodes[0].ask("/jsz?streams=true") or {}
        streams = [
            stream
            for account in answer.get("account_details", ())
            for stream in account.get("stream_detail", ())
            if stream["name"] == chat.name
        ]
        if not streams:
            raise LoadError(f"NATS knows no stream {chat.name}")
        return int(streams[0]["state"]["last_seq"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(self._started)

    # ---- inside ----

    def _alone(self, name: str) -> dict[str, dict[str, object]]:
        return {"store": {"path": str(self._folder / f"{name}.db")}}

    def _shared(self, name: str) -> dict[str, dict[str, object]]:
        namespace = name.replace("-", "_")
        with contextlib.closing(self._postgres.connect()) as connection:
            connection.execute(f"CREATE SCHEMA {namespace}")
        return {
            "store": {"path": None, "url": self._postgres.url(namespace)},
            "cluster": {
                "nats": self._nats.urls,
                "ca": str(self._nats.ca_file),
                "user": self._nats.user,
                "password_file": str(self._password),
                "stream": name,
                "stream_mib": STREAM_MIB,
                "lease_s": self._lease_s,
            },
        }

    def _start(self, relays: Sequence[tuple[Chat, int]]) -> None:
        for chat, number in relays:
            chat.relays.append(self._launch(chat, number))
        for chat, number in relays:
            self._wait(chat.relays[number])

    def _launch(self, chat: Chat, number: int) -> RelayProcess:
        name = f"{chat.name}-{number}"
        folder = self._folder / f"{name}-{secrets.token_hex(2)}"
        folder.mkdir()
        files = pki.server_files(self._pki)
        settings = {
            **chat.settings,
            "server": {"name": f"{name}.test"},
            "tls": {"certificate": str(files.certificate), "key": str(files.key)},
            "limits": {"channels_per_user": ROOMS_OF_EACH},
        }
        if not chat.alone:
            settings["cluster"] = {**settings["cluster"], "relay": name}
        config = prepare_relay(folder, self._tls, settings=settings)
        relay = RelayProcess(config, start_relay(config))
        self._started.append(relay)
        return relay

    def _wait(self, relay: RelayProcess) -> None:
        port = wait_for_port(relay.process, relay.config, timeout_s=JOIN_TIMEOUT_S)
        ca = pki.ca_files(self._pki).certificate
        relay.target = Target(AF_INET, (HOST, port), HOST, ca, self._tls)

    def _end(self, relays: Sequence[RelayProcess]) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        try:
            for each in relays:
                each.process.terminate()
            for each in relays:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    each.process.wait(max(0.0, deadline - time.monotonic()))
        finally:  # whoever is told to end once more does not wait
            for each in relays:
                each.kill()


@contextlib.contextmanager
def running_chats(tls: str, lease_s: int) -> Iterator[Chats]:
    """Start NATS and PostgreSQL; give what starts chats. Call it in the main thread.

    :param lease_s: for how long a relay may be silent.
    :raises Missing: they, or what the tests have to start them, are not installed.
    """
    nats, postgres, skipped = _servers()
    with contextlib.ExitStack() as stack:
        folder, data = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
            for prefix in ("securechat-bench-", "securechat-bench-postgres-")
        )
        data.chmod(0o755)  # PostgreSQL does not run as root
        try:
            server = stack.enter_context(postgres.PostgresServer(data))
            cluster = stack.enter_context(nats.NatsCluster(folder, NODES))
        except skipped as reason:
            raise Missing(str(reason)) from None
        except AssertionError as error:
            raise LoadError(f"a server does not start: {error}") from error
        yield stack.enter_context(Chats(folder, tls, cluster, server, lease_s))


def _servers() -> tuple[Any, Any, type[BaseException]]:
    """Return the modules that have the servers, and what they raise where there are none."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        pytest = importlib.import_module("pytest")
        importlib.import_module("nats")
        nats = importlib.import_module("tests.services.nats")
        postgres = importlib.import_module("tests.services.postgres")
    except ModuleNotFoundError as error:
        raise Missing(f"it needs the package {error.name}") from error
    return nats, postgres, pytest.skip.Exception


def _postmaster(postgres: Any) -> int:
    """Return the process of which all others of the server are children."""
    with contextlib.closing(postgres.connect()) as connection:
        (backend,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        status = Path(f"/proc/{backend}/stat").read_text(encoding="utf-8")
    return int(status.rpartition(")")[2].split()[1])


def _cpu_with_children_s(pid: int) -> float:
    """Processor time of a process and its children, and of those that it has outlived."""
    process = Path(f"/proc/{pid}")
    used = cpu_s(pid)
    for child in (process / "task" / str(pid) / "children").read_text(encoding="ascii").split():
        with contextlib.suppress(LoadError):  # it has ended since
            used += cpu_s(int(child))
    status = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ended = int(status[13]) + int(status[14])  # cutime and cstime: fields 16 and 17 of all
    return used + ended / os.sysconf("SC_CLK_TCK")
