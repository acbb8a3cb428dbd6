"""The listening sockets and the thread that accepts on them."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

from securechat.errors import NetworkError, gettext_noop
from securechat.net.threads import Thread, start_thread

__all__ = ["Listener", "format_address", "parse_address", "reuse_port"]

_log = logging.getLogger(__name__)

_BACKLOG: Final = 4096
"""Connections that wait to be accepted, in the kernel (Linux allows as many): all come back at once
after a restart, and whom the queue does not take tries again a second or more later."""

_AT_ONCE: Final = 64
"""Connections accepted before the sockets are looked at again: of each other, and of the end."""

_NO_DESCRIPTORS_NAP_S: Final = 0.1
"""How long to wait, in seconds, when the process is out of descriptors: nothing else helps."""

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT`` or ``[IPv6]:PORT``.

    :raises ValueError: it is neither, or the port is not one.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or not host or (":" in host and not bracketed):
        raise ValueError("write HOST:PORT, or [IPv6]:PORT")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("the port must be a number from 0 to 65535")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """Return ``HOST:PORT``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reuse_port(sock: socket.socket) -> None:
    """Let others bind the port of ``sock`` too, if they say the same, where that can be."""
    if hasattr(socket, "SO_REUSEPORT"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


class Listener:
    """Accepts connections on a thread of its own. Made, started and stopped by one thread.

    :param addresses: hosts and ports. A name stands for all its addresses, of which at least one
        must be usable here; the empty one for all of this machine. Port 0 takes a free one.
    :param name: of the thread.
    :param accept: called on the accept thread with each new socket and the address of the other
        side (an IP address); it owns the socket from then on and must not block.
    :param share_port: others of the same user may bind the ports too (``SO_REUSEPORT``, where there
        is such a thing): so ``IoThread.dial`` can dial from a port that is listened on.
    :raises NetworkError: an address is taken, not ours, or not allowed.
    """

    def __init__(
        self,
        addresses: Iterable[tuple[str, int]],
        accept: Callable[[socket.socket, str], None],
        *,
        name: str = "accept",
        share_port: bool = False,
    ) -> None:
        self._accept = accept
        self._name = name
        self._sockets: list[socket.socket] = []
        try:
            for host, port in addresses:
                self._sockets += _listen(host, port, share_port)
        except NetworkError:
            self._close()
            raise
        self._receiver, self._waker = socket.socketpair()
        self._thread: Thread | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses listened on, with the ports that were taken for 0."""
        return [sock.getsockname()[:2] for sock in self._sockets]

    def start(self, on_crash: Callable[[BaseException], None] | None = None) -> None:
        """Begin to accept."""
        self._thread = start_thread(self._name, self._run, on_crash=on_crash)

    def stop(self) -> None:
        """Accept no more; close the sockets; wait for the thread."""
        self._waker.send(b"\0")
        if self._thread is not None:
            self._thread.join()
        self._close()
        self._receiver.close()
        self._waker.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver, selectors.EVENT_READ)
            for sock in self._sockets:
                selector.register(sock, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._receiver:
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    for _ in range(_AT_ONCE):
                        if not self._accept_one(key.fileobj):
                            break

    def _accept_one(self, listening: socket.socket) -> bool:
        """Accept a connection; return whether there may be another."""
        try:
            sock, address = listening.accept()
        except OSError as error:
            # The other side has gone already, or we are out of descriptors or memory.
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                _log.warning("cannot accept: %s", os.strerror(error.errno))
                time.sleep(_NO_DESCRIPTORS_NAP_S)
            return False
        try:
            self._accept(sock, address[0])
        except Exception:  # noqa: BLE001 - one connection's trouble must not stop the others
            _log.exception("could not take over a connection")
            sock.close()
        return True

    def _close(self) -> None:
        for sock in self._sockets:
            sock.close()


def _listen(host: str, port: int, share_port: bool) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise NetworkError(
            "cannot listen on {address}: no such host", address=format_address(host, port)
        ) from error
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            failure = error
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share_port:
                reuse_port(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # All addresses of a name get the same port when it may be any.
            chosen = sockets[0].getsockname()[1] if sockets and not port else port
            sock.bind((address[0], chosen, *address[2:]))
            sock.listen(_BACKLOG)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            if error.errno not in _NOT_HERE:
                for other in sockets:
                    other.close()
                raise _failure(host, port, error) from error
            failure = error
        else:
            sockets.append(sock)
    if not sockets:
        assert failure is not None
        raise _failure(host, port, failure) from failure
    return sockets


_FAILURES: Final = {
    errno.EADDRINUSE: gettext_noop(
        "cannot listen on {address}: the port is taken; is another relay running? "
        "Choose another port."
    ),
    errno.EACCES: gettext_noop(
        "cannot listen on {address}: not allowed; ports below 1024 need special rights. "
        "Choose another port."
    ),
    errno.EADDRNOTAVAIL: gettext_noop(
        "cannot listen on {address}: this machine has no such address."
    ),
}


def _failure(host: str, port: int, error: OSError) -> NetworkError:
    address, told = format_address(host, port), _FAILURES.get(error.errno or 0)
    if told is not None:
        return NetworkError(told, address=address)
    return NetworkError(
        "cannot listen on {address}: {reason}.", address=address, reason=error.strerror
    )
