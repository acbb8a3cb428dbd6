from __future__ import annotations

import http.client
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from securechat.errors import NetworkError
from securechat.net.threads import Thread, start_thread
from securechat.server.telemetry import http_server
from securechat.server.telemetry.http_server import (
    CONNECTIONS,
    REQUEST_BYTES,
    HttpServer,
    Response,
)
from tests.server.relay_harness import LONG_TIMEOUT_S

LARGE = bytes(4_000_000)


def fail() -> Response:
    raise ValueError("a bug")


class Gate:
    """A page that waits until a test lets it go on."""

    def __init__(self) -> None:
        self.entered: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.open = threading.Event()

    def __call__(self) -> Response:
        self.entered.put(None)
        self.open.wait(LONG_TIMEOUT_S)
        return Response(b"late\n")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def server(gate: Gate) -> Iterator[HttpServer]:
    pages = {
        "/": lambda: Response(b"hello\n", content_type="text/plain; version=1"),
        "/large": lambda: Response(LARGE),
        "/bug": fail,
        "/wait": gate,
    }
    server = HttpServer([("127.0.0.1", 0)], pages, name="test")
    server.start()
    yield server
    gate.open.set()
    server.stop()


@pytest.fixture
def keep() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(server: HttpServer, keep: ExitStack) -> socket.socket:
    return keep.enter_context(socket.create_connection(server.addresses[0], timeout=LONG_TIMEOUT_S))


def read_all(sock: socket.socket) -> bytes:
    found = b""
    while data := sock.recv(65_536):
        found += data
    return found


def ask(server: HttpServer, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    with closing(
        http.client.HTTPConnection(*server.addresses[0], timeout=LONG_TIMEOUT_S)
    ) as client:
        client.request(method, path)
        answer = client.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/", 200, b"hello\n"),
        ("GET", "/?name=value", 200, b"hello\n"),
        ("HEAD", "/", 200, b""),
        ("GET", "/other", 404, b"Not Found\n"),
        ("HEAD", "/other", 404, b""),
        ("POST", "/", 405, b"Method Not Allowed\n"),
        ("GET", "/large", 200, LARGE),
    ],
)
def test_answers(server: HttpServer, method: str, path: str, status: int, body: bytes) -> None:
    assert ask(server, method, path)[:2] == (status, body)


def test_headers(server: HttpServer) -> None:
    _, _, headers = ask(server, "HEAD", "/")
    assert headers["Content-Type"] == "text/plain; version=1"
    assert headers["Content-Length"] == "6"
    assert headers["Connection"] == "close"
    assert ask(server, "DELETE", "/")[2]["Allow"] == "GET, HEAD"


def test_a_page_that_fails(server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(server, "GET", "/bug")[:2] == (500, b"Internal Server Error\n")
    assert "the page /bug failed" in caplog.text
    assert ask(server, "GET", "/")[0] == 200


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / SPDY/3\r\n\r\n",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * REQUEST_BYTES,  # it has no end
    ],
)
def test_what_is_no_request(server: HttpServer, keep: ExitStack, said: bytes) -> None:
    client = connect(server, keep)
    client.sendall(said)
    client.shutdown(socket.SHUT_WR)
    assert read_all(client).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_one_that_comes_in_pieces_with_more_behind_it(server: HttpServer, keep: ExitStack) -> None:
    client = connect(server, keep)
    for piece in (b"GET", b" / HTTP/1.1\r\nHost: x\r", b"\n\r", b"\nand more"):
        client.sendall(piece)
    client.shutdown(socket.SHUT_WR)
    assert read_all(client).endswith(b"\r\n\r\nhello\n")


def test_who_says_nothing_and_goes_is_forgotten(server: HttpServer, keep: ExitStack) -> None:
    for _ in range(3 * CONNECTIONS):
        client = connect(server, keep)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert ask(server, "GET", "/")[0] == 200


def test_more_than_some_connections_at_once_are_closed(
    server: HttpServer, keep: ExitStack, gate: Gate
) -> None:
    clients = [connect(server, keep) for _ in range(CONNECTIONS)]
    for client in clients:
        client.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        gate.entered.get(timeout=LONG_TIMEOUT_S)
    assert read_all(connect(server, keep)) == b""
    gate.open.set()
    for client in clients:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"late\n")
    assert ask(server, "GET", "/")[0] == 200


def test_who_gets_no_thread_takes_up_no_place(
    monkeypatch: pytest.MonkeyPatch, server: HttpServer, keep: ExitStack
) -> None:
    def fail(name: str, target: Callable[[], None]) -> Thread:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(http_server, "start_thread", fail)
        for _ in range(CONNECTIONS):
            assert read_all(connect(server, keep)) == b""
    assert ask(server, "GET", "/")[0] == 200


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", b"GET /large HTTP/1.1\r\n\r\n"], ids=["nothing", "half", "no reader"]
)
def test_who_is_slow_is_closed(
    monkeypatch: pytest.MonkeyPatch, server: HttpServer, keep: ExitStack, said: bytes
) -> None:
    monkeypatch.setattr(http_server, "EXCHANGE_S", 0.1)
    started: queue.SimpleQueue[Thread] = queue.SimpleQueue()

    def start(name: str, target: Callable[[], None]) -> Thread:
        thread = start_thread(name, target)
        started.put(thread)
        return thread

    monkeypatch.setattr(http_server, "start_thread", start)
    client = keep.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # before it connects
    client.connect(server.addresses[0])
    client.sendall(said)
    thread = started.get(timeout=LONG_TIMEOUT_S)
    thread.join(LONG_TIMEOUT_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("said", [b"", b"GET /large HTTP/1.1\r\n\r\n"])
def test_stopping_waits_for_nobody(keep: ExitStack, said: bytes) -> None:
    server = HttpServer([("127.0.0.1", 0)], {"/large": lambda: Response(LARGE)}, name="test")
    server.start()
    client = connect(server, keep)
    client.sendall(said)
    if said:
        client.recv(1)  # it is being served
    server.stop()
    assert "test" not in [thread.name for thread in threading.enumerate()]


def test_one_that_was_never_started_can_be_stopped() -> None:
    server = HttpServer([("127.0.0.1", 0)], {}, name="test")
    address = server.addresses[0]
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_an_address_that_is_taken(server: HttpServer) -> None:
    with pytest.raises(NetworkError, match="the port is taken"):
        HttpServer(server.addresses, {}, name="other")
