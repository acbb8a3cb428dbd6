"""NATS as an operator has it: real servers with JetStream on disk, TLS, a password, and a cluster.

The servers are children of the test, in a folder of their own and on free ports of 127.0.0.1, which
stay theirs while they are down. ``nats`` is one server, ready in some 30 ms, ``nats_cluster`` are
three, in half a second: so each test has its own, and may do to it what it likes.

Debian's package has 2.9. What of later versions would matter here, and so cannot be relied on:
several filter subjects for one consumer, ``sync_interval`` (2.9 refuses a configuration with it: it
acknowledges before ``fsync``, always), metadata of streams, and TLS before the first word of the
server (all 2.10); a time to live for single messages (2.11).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.e2e.children import TIMEOUT_S

ASK_AGAIN_S = 0.02
"""Between two questions to a server that is not ready."""

HOST = "127.0.0.1"
USER = "relays"
PORTS = ("client", "cluster", "monitor")

CONFIGURATION = """
server_name: {name}
listen: {host}:{client}
http: {host}:{monitor}
max_payload: 1MB
tls {{ {tls} }}
authorization {{ user: {user}, password: "{password}" }}
jetstream {{ store_dir: "{folder}", max_mem: 16MB, max_file: 256MB }}
"""

ROUTES = """
cluster {{
  name: tests
  listen: {host}:{cluster}
  tls {{ {tls} }}
  authorization {{ user: {user}, password: "{password}" }}
  routes: [{routes}]
}}
"""


def find_nats_server() -> str:
    """Return the path of the program; skip the test where it is not installed."""
    path = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        pytest.skip("nats-server is not installed: apt-get install nats-server")
    return path


class ReservedPort:
    """A port that only those get who name it, until ``close``.

    Nobody listens: the socket is bound, so that the system gives the port to nobody else, and
    allows the server, which sets the same option, to be bound as well.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


@dataclass
class Node:
    """A server of the cluster: what it is called, where it is, and its process if there is one."""

    name: str
    folder: Path
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    @property
    def configuration(self) -> Path:
        return self.folder / "nats.conf"

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def log(self) -> str:
        """The last lines of what the server has said."""
        return "\n".join(self.log_file.read_text().splitlines()[-20:])

    def ask(self, path: str) -> dict[str, Any] | None:
        """Return the answer of the monitoring port; None if there is none or it is not a 200."""
        connection = http.client.HTTPConnection(HOST, self.ports["monitor"], timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                answer: dict[str, Any] = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                return None
            return answer if response.status == http.HTTPStatus.OK else None


class NatsCluster:
    """Servers that all are ready once this has been made; a context manager that ends them.

    They also end with the thread that starts them, so that nothing outlives a test that is killed:
    call everything in the test's own thread.

    :param folder: for everything that the servers keep; must exist.
    :param nodes: how many; one is a server without a cluster, ready much sooner.
    """

    user = USER

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self._program = find_nats_server()
        self.password = secrets.token_hex(8)
        self.ca_file = folder / "ca.pem"
        self._ports: list[ReservedPort] = []
        self.nodes = [
            Node(f"nats-{n}", folder / f"nats-{n}", {name: self._reserve() for name in PORTS})
            for n in range(nodes)
        ]
        tls = self._write_certificates(folder)
        for node in self.nodes:
            self._configure(node, tls)
        try:
            for node in self.nodes:
                self._launch(node)
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> NatsCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def urls(self) -> list[str]:
        """Where clients connect, the nodes in their order."""
        return [f"tls://{HOST}:{node.ports['client']}" for node in self.nodes]

    def client_options(self) -> dict[str, Any]:
        """Return what ``nats.connect`` needs to connect to any of the servers, and verify it."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return {
            "servers": self.urls,
            "user": self.user,
            "password": self.password,
            "tls": context,
        }

    def number_of(self, name: str) -> int:
        """Return the number of the node that calls itself this, as in a stream's cluster info."""
        return [node.name for node in self.nodes].index(name)

    def kill(self, n: int) -> None:
        """End a node with SIGKILL, paused or not; return when it is gone."""
        process = self._process(n)
        process.kill()
        process.wait()
        self.nodes[n].process = None

    def pause(self, n: int) -> None:
        """Stop a node where it is: its connections stay and nothing answers."""
        process = self._process(n)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)  # the signal may take effect only later

    def resume(self, n: int) -> None:
        """Let a paused node go on; it may not have caught up yet when this returns."""
        self._process(n).send_signal(signal.SIGCONT)

    def start(self, n: int) -> None:
        """Start a node that was killed, with what it had; return when it has caught up.

        Only where a majority runs: else it is never ready.
        """
        assert self.nodes[n].process is None, f"{self.nodes[n].name} runs"
        self._launch(self.nodes[n])
        self._wait_for(self.nodes[n], self._is_ready)

    def wait_until_ready(self) -> None:
        """Wait until all nodes that run are healthy and the cluster takes streams of all of them.

        Not while a node is paused.
        """
        running = [node for node in self.nodes if node.process is not None]
        for node in running:
            self._wait_for(node, self._is_ready)
        if len(self.nodes) > 1:
            self._wait_for(running[0], lambda _: any(map(self._leads_all, running)))

    def stop(self) -> None:
        """End all that still runs, at once. What they have written stays."""
        for n, node in enumerate(self.nodes):
            if node.process is not None:
                self.kill(n)
        while self._ports:
            self._ports.pop().close()

    def _reserve(self) -> int:
        self._ports.append(ReservedPort())
        return self._ports[-1].number

    def _write_certificates(self, folder: Path) -> str:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", HOST)
        authority.cert_pem.write_to_path(self.ca_file)
        certificate, key = folder / "server.pem", folder / "server-key.pem"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return (
            f'cert_file: "{certificate}", key_file: "{key}", ca_file: "{self.ca_file}", timeout: 10'
        )

    def _configure(self, node: Node, tls: str) -> None:
        node.folder.mkdir()
        others = [other for other in self.nodes if other is not node]
        secret = f"{self.user}:{self.password}"
        values = {
            "name": node.name,
            "host": HOST,
            "folder": node.folder,
            "tls": tls,
            "user": self.user,
            "password": self.password,
            "routes": ", ".join(
                f"nats-route://{secret}@{HOST}:{other.ports['cluster']}" for other in others
            ),
            **node.ports,
        }
        text = CONFIGURATION + (ROUTES if others else "")
        node.configuration.write_text(text.format(**values))

    def _launch(self, node: Node) -> None:
        command = [self._program, "-c", str(node.configuration)]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with node.log_file.open("ab") as log:
            node.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _process(self, n: int) -> subprocess.Popen[bytes]:
        process = self.nodes[n].process
        assert process is not None, f"{self.nodes[n].name} does not run"
        return process

    def _wait_for(self, node: Node, ready: Callable[[Node], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not ready(node):
            assert node.process is not None
            ended = node.process.poll()
            assert ended is None, f"{node.name} has ended ({ended}):\n{node.log}"
            assert time.monotonic() < deadline, f"{node.name} is not ready:\n{node.log}"
            time.sleep(ASK_AGAIN_S)

    def _is_ready(self, node: Node) -> bool:
        """Whether a node has all that is assigned to it, and contact with the leader."""
        return node.ask("/healthz") is not None

    def _leads_all(self, node: Node) -> bool:
        """Whether a node leads JetStream and knows all others that run as up to date."""
        jetstream = node.ask("/jsz?leader-only=true") or {}
        cluster = jetstream.get("meta_cluster", {})
        current = [peer for peer in cluster.get("replicas", ()) if peer["current"]]
        running = sum(node.process is not None for node in self.nodes)
        return cluster.get("leader") == node.name and len(current) >= running - 1


@pytest.fixture
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """One server."""
    with NatsCluster(tmp_path_factory.mktemp("nats"), nodes=1) as server:
        yield server


@pytest.fixture
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers that are a cluster."""
    with NatsCluster(tmp_path_factory.mktemp("nats-cluster")) as cluster:
        yield cluster
