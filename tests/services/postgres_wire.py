"""A wire to PostgreSQL that breaks when told to: in the middle of a COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from enum import Enum
from functools import partial
from queue import SimpleQueue

from securechat.net.threads import start_thread
from tests.services.nats import HOST
from tests.services.postgres import PostgresServer

COMMIT = b"COMMIT\0"


class Breaks(Enum):
    """When the wire breaks, once."""

    BEFORE_COMMIT = "the server never gets it, and hears that nobody is there"
    IN_SILENCE = "the server never gets it, and hears nothing"
    IN_COMMIT = "the server has got it"
    AFTER_COMMIT = "the server has answered, which nobody hears"


class PostgresWire:
    """Listens on a port of this machine, and passes on to the server, without TLS.

    A context manager that ends its threads.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._listener = socket.create_server((HOST, 0))
        self._breaks: SimpleQueue[Breaks] = SimpleQueue()
        self._sockets: list[socket.socket] = []
        self._deaf: set[socket.socket] = set()
        self._ended = threading.Event()
        self._accepting = start_thread("wire", self._accept)
        self._threads = [self._accepting]

    def __enter__(self) -> PostgresWire:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def url(self, url: str) -> str:
        """Return the address that leads to the same place as ``url``, through the wire."""
        parameters = url.partition("?")[2].split("&")
        options = next(each for each in parameters if each.startswith("options="))
        port = self._listener.getsockname()[1]
        return (
            f"postgresql://{self._server.user}:{self._server.password}@{HOST}:{port}/postgres"
            f"?sslmode=disable&{options}"
        )

    def break_at_commit(self, when: Breaks) -> None:
        """Have the wire break at the next COMMIT; those after pass."""
        self._breaks.put(when)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server.socket_path)
            self._sockets += (client, server)
            self._threads += (
                start_thread("wire up", partial(self._pass_up, client, server)),
                start_thread("wire down", partial(self._pass_down, client, server)),
            )

    def _pass_up(self, client: socket.socket, server: socket.socket) -> None:
        with _both_end(client, server):
            while data := client.recv(65536):
                if COMMIT not in data or self._breaks.empty():
                    server.sendall(data)
                    continue
                when = self._breaks.get()
                if when is Breaks.AFTER_COMMIT:
                    self._deaf.add(client)
                    server.sendall(data)
                    continue
                if when is Breaks.IN_COMMIT:
                    server.sendall(data)
                client.shutdown(socket.SHUT_RDWR)
                if when is Breaks.IN_SILENCE:
                    self._ended.wait()
                return

    def _pass_down(self, client: socket.socket, server: socket.socket) -> None:
        with _both_end(client):
            while data := server.recv(65536):
                if client in self._deaf:
                    return
                client.sendall(data)


@contextlib.contextmanager
def _both_end(*ends: socket.socket) -> Iterator[None]:
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
