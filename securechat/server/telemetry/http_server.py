"""As much of HTTP as a scraper and a health check speak: one small GET for each connection."""

from __future__ import annotations

import contextlib
import http
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from securechat.net.listener import Listener
from securechat.net.locks import make_lock
from securechat.net.threads import Thread, start_thread

__all__ = ["CONNECTIONS", "EXCHANGE_S", "REQUEST_BYTES", "HttpServer", "Response"]

_log = logging.getLogger(__name__)

CONNECTIONS: Final = 8
"""Connections at once, each with a thread: a scraper, a health check, and a person who looks. More
are closed at once, so that whoever opens many takes nothing from the relay."""

EXCHANGE_S: Final = 10.0
"""How long a connection may take from its beginning to its end, in seconds: that of a scrape in the
default of Prometheus."""

REQUEST_BYTES: Final = 8_192
"""The longest request line with its headers."""

_METHODS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered. Immutable."""

    body: bytes
    status: http.HTTPStatus = http.HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


class HttpServer:
    """Answers requests on threads of its own. Made, started and stopped by one thread.

    :param addresses: as for ``Listener``.
    :param pages: what answers each path; called on any thread, several at once.
    :raises NetworkError: an address cannot be listened on.
    """

    def __init__(
        self,
        addresses: Iterable[tuple[str, int]],
        pages: Mapping[str, Callable[[], Response]],
        *,
        name: str,
    ) -> None:
        self._name = name
        self._pages = pages
        self._lock = make_lock("HttpServer", tier=1)  # guards both
        self._open: dict[socket.socket, Thread | None] = {}
        self._stopping = False
        self._listener = Listener(addresses, self._accept, name=f"accept-{name}")

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, with the ports that were taken for 0."""
        return self._listener.addresses

    def start(self, on_crash: Callable[[BaseException], None] | None = None) -> None:
        """Begin to answer."""
        self._listener.start(on_crash)

    def stop(self) -> None:
        """Close all connections, and wait for the threads. Also if it was never started."""
        self._listener.stop()
        with self._lock:
            self._stopping = True
            found = dict(self._open)
        for sock in found:
            with contextlib.suppress(OSError):  # over already
                sock.shutdown(socket.SHUT_RDWR)
        for thread in found.values():
            if thread is not None:
                thread.join()

    def _accept(self, sock: socket.socket, address: str) -> None:
        with self._lock:
            refused = self._stopping or len(self._open) >= CONNECTIONS
            if not refused:
                self._open[sock] = None
        if refused:
            sock.close()
            return
        try:
            thread = start_thread(self._name, lambda: self._serve(sock))
        except RuntimeError:  # the system has no more threads
            with self._lock:
                del self._open[sock]
            raise
        with self._lock:
            if sock in self._open:
                self._open[sock] = thread

    def _serve(self, sock: socket.socket) -> None:
        deadline = time.monotonic() + EXCHANGE_S
        try:
            with sock, contextlib.suppress(OSError):  # it has gone, or is too slow
                head = _read_head(sock, deadline)
                if head:
                    _send(sock, self._answer(head), deadline)
        finally:
            with self._lock:
                del self._open[sock]

    def _answer(self, head: bytes) -> bytes:
        method, target, version = (
            head.partition(b"\r\n")[0].decode("latin-1").split(" ") + 3 * [""]
        )[:3]
        if not version.startswith("HTTP/1.") or b"\r\n\r\n" not in head:
            return _format(_error(http.HTTPStatus.BAD_REQUEST))
        if method not in _METHODS:
            return _format(_error(http.HTTPStatus.METHOD_NOT_ALLOWED))
        page = self._pages.get(target.partition("?")[0])
        if page is None:
            return _format(_error(http.HTTPStatus.NOT_FOUND), method)
        try:
            return _format(page(), method)
        except Exception:  # noqa: BLE001 - one page's bug is not the others'
            _log.exception("the page %s failed", target)
            return _format(_error(http.HTTPStatus.INTERNAL_SERVER_ERROR), method)


def _read_head(sock: socket.socket, deadline: float) -> bytes:
    """Return what came up to the empty line that ends it, or as much as it may be without one."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < REQUEST_BYTES:
        _set_timeout(sock, deadline)
        data = sock.recv(REQUEST_BYTES - len(head))
        if not data:
            break
        head += data
    return head


def _send(sock: socket.socket, data: bytes, deadline: float) -> None:
    _set_timeout(sock, deadline)
    sock.sendall(data)  # its timeout is for all of it
    sock.shutdown(socket.SHUT_WR)
    # What may still come must be read: a socket that is closed with unread input is reset, and the
    # answer is lost on its way.
    while sock.recv(REQUEST_BYTES):
        _set_timeout(sock, deadline)


def _set_timeout(sock: socket.socket, deadline: float) -> None:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    sock.settimeout(left_s)


def _error(status: http.HTTPStatus) -> Response:
    return Response(f"{status.phrase}\n".encode(), status)


def _format(response: Response, method: str = "GET") -> bytes:
    """Return the bytes of a response, without the body for a HEAD."""
    status = response.status
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status is http.HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {', '.join(_METHODS)}")
    head = "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
    return head if method == "HEAD" else head + response.body
