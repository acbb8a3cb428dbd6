"""What the tests of the wire share: a clock, handlers that write down, a relay of nothing."""

from __future__ import annotations

import queue
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from securechat.errors import NetworkError
from securechat.net.connection import Connection, ConnectionHandler
from securechat.net.io_thread import IoThread
from securechat.net.listener import Listener
from securechat.net.pipe import Pipe
from securechat.net.threads import Thread, start_thread
from securechat.net.timers import Deadline
from securechat.net.tls_pipe import TlsPipe
from tests.timeouts import LONG_TIMEOUT_S

T = TypeVar("T")

HANDSHAKE_TIMEOUT_S = 1_000.0
LINGERS_S = 1_000.0
SEND_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Certificates:
    """A CA and one certificate of it, as files."""

    ca: Path
    certificate: Path
    key: Path


class FakeClock:
    """Seconds that pass when a test says so. Safe from any thread."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Recorder:
    """A handler that writes down what it is told. Any thread may wait for that."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[str] = []
        self.data = bytearray()
        self.errors: list[NetworkError | None] = []
        self.threads: set[int] = set()
        self._changed = threading.Condition()

    def opened(self) -> None:
        self._note("opened")

    def received(self, data: bytes) -> None:
        assert data
        with self._changed:
            self.data += data
        self._note("received")

    def closed(self, error: NetworkError | None) -> None:
        with self._changed:
            self.errors.append(error)
        self._note("closed")

    def wait_opened(self) -> None:
        self._wait(lambda: "opened" in self.events)

    def wait_data(self, size: int) -> bytes:
        self._wait(lambda: len(self.data) >= size)
        return bytes(self.data)

    def wait_closed(self) -> NetworkError | None:
        """Return the error that the handler was told of."""
        self._wait(lambda: bool(self.errors))
        return self.errors[0]

    def _note(self, event: str) -> None:
        with self._changed:
            self.events.append(event)
            self.threads.add(threading.get_ident())
            self._changed.notify_all()

    def _wait(self, happened: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, LONG_TIMEOUT_S), (self.events, self.errors)


class Echo(Recorder):
    """Sends back what comes."""

    def received(self, data: bytes) -> None:
        super().received(data)
        self.connection.send(data)


class Relay:
    """Accepts on loopback and hands to an I/O thread; ``handlers`` in the order of adoption."""

    def __init__(
        self,
        io: IoThread,
        context: ssl.SSLContext,
        make_handler: Callable[[Connection], ConnectionHandler] = Recorder,
        *,
        handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
        send_limit_bytes: int = SEND_LIMIT_BYTES,
        make_pipe: Callable[[ssl.SSLContext], Pipe] = TlsPipe,
        send_buffer_bytes: int | None = None,
    ) -> None:
        self.io = io
        self.handlers: queue.Queue[Recorder] = queue.Queue()

        def make(connection: Connection) -> ConnectionHandler:
            handler = make_handler(connection)
            self.handlers.put(handler)  # type: ignore[arg-type]
            return handler

        def accept(sock: socket.socket, address: str) -> None:
            assert address == "127.0.0.1"
            if send_buffer_bytes is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            io.adopt(
                sock,
                make_pipe(context),
                make,
                handshake_timeout_s=handshake_timeout_s,
                send_limit_bytes=send_limit_bytes,
            )

        self.listener = Listener([("127.0.0.1", 0)], accept)
        self.listener.start()

    @property
    def address(self) -> tuple[str, int]:
        return self.listener.addresses[0]

    def next_handler(self) -> Recorder:
        return self.handlers.get(timeout=LONG_TIMEOUT_S)


class PlainPipe:
    """A pipe that encrypts nothing."""

    peer_certificate = None
    version = cipher = server_name = ""
    protocol = None

    def __init__(self) -> None:
        self.handshake_done = False
        self.eof = False
        self._outgoing = b""

    def start(self) -> None:
        self.send(b"hello")

    def receive(self, data: bytes) -> bytes:
        self.handshake_done = True
        return data

    def send(self, data: bytes) -> None:
        self._outgoing += data

    def take(self) -> bytes:
        data, self._outgoing = self._outgoing, b""
        return data

    @property
    def waiting_bytes(self) -> int:
        return len(self._outgoing)

    def close(self) -> None:
        self.send(b"bye")


def on_thread(io: IoThread, work: Callable[[], T]) -> T:
    """Have ``io`` do ``work``, and wait for it; return its result."""
    results: queue.Queue[T] = queue.Queue()
    io.post(lambda: results.put(work()))
    return results.get(timeout=LONG_TIMEOUT_S)


def settle(io: IoThread) -> None:
    """Wait until ``io`` has done all that was posted before, and has flushed it."""
    for _ in range(2):  # the first may be done in a turn that has not flushed yet
        done = threading.Event()
        io.post(done.set)
        assert done.wait(LONG_TIMEOUT_S)


def wait_gone(connection: Connection) -> None:
    """Wait until its socket is closed: the other side has left, which may be noticed any turn."""
    deadline = Deadline(LONG_TIMEOUT_S)
    while connection.fileno() != -1:
        settle(connection.thread)
        assert not deadline.over()


def wait_readable(*connections: Connection) -> None:
    """Wait until each has something to read; its thread must be held, or it would read it first."""
    poll = select.poll()
    left = {connection.fileno() for connection in connections}
    for descriptor in left:
        poll.register(descriptor, select.POLLIN)
    while left:
        ready = poll.poll(LONG_TIMEOUT_S * 1_000)
        assert ready
        for descriptor, _ in ready:
            poll.unregister(descriptor)
            left.remove(descriptor)


class Gate:
    """Holds an I/O thread in the middle of its turn until it is opened."""

    def __init__(self, io: IoThread) -> None:
        self._open = threading.Event()
        reached = threading.Event()

        def wait() -> None:
            reached.set()
            assert self._open.wait(LONG_TIMEOUT_S)

        io.post(wait)
        assert reached.wait(LONG_TIMEOUT_S)

    def open(self) -> None:
        self._open.set()


class InThread:
    """Runs ``work`` in a thread; ``join`` gives its result or raises what it raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._result: list[object] = []
        self._error: list[BaseException] = []

        def run() -> None:
            try:
                self._result.append(work())
            except BaseException as error:
                self._error.append(error)

        self._thread: Thread = start_thread("test", run)

    def join(self) -> object:
        self._thread.join(LONG_TIMEOUT_S)
        assert not self._thread.is_alive()
        if self._error:
            raise self._error[0]
        return self._result[0]


def move(sender: TlsPipe, receiver: TlsPipe, size: int | None = None) -> bytes:
    """Carry what ``sender`` has for the wire, in pieces of ``size``; return what it says."""
    data = sender.take()
    step = size or len(data) or 1
    return b"".join(
        receiver.receive(data[start : start + step]) for start in range(0, len(data), step)
    )


def shake_hands(client: TlsPipe, server: TlsPipe, size: int | None = None) -> None:
    """Begin both ends and carry what they say until both are done."""
    client.start()
    server.start()
    for _ in range(4):
        assert not move(client, server, size)
        assert not move(server, client, size)
    assert client.handshake_done
    assert server.handshake_done


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(65_536, size - len(data)))
        assert piece, f"the stream ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def receive_all(sock: socket.socket) -> bytes:
    """Read to the end of the stream."""
    data = bytearray()
    while piece := sock.recv(65_536):
        data += piece
    return bytes(data)


def reset(sock: socket.socket) -> None:
    """Close so that the other side gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
