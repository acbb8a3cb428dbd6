"""Connecting to a host: ``dial`` waits for it, a ``Dial`` is told by its I/O thread."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from securechat.errors import NetworkError, gettext_noop
from securechat.net.listener import format_address, reuse_port
from securechat.net.timers import Deadline, Timer

if TYPE_CHECKING:
    from securechat.net.io_thread import IoThread

__all__ = ["Dial", "dial"]

_FAILURES: Final = {
    errno.ECONNREFUSED: gettext_noop("cannot connect to {where}: nothing listens on that port"),
    errno.ETIMEDOUT: gettext_noop("cannot connect to {where}: no answer"),
    errno.EADDRINUSE: gettext_noop("cannot connect to {where}: the port to dial from is taken"),
    errno.EADDRNOTAVAIL: gettext_noop(
        "cannot connect to {where}: there is such a connection already, or no address to dial from"
    ),
    errno.ENETUNREACH: gettext_noop("cannot connect to {where}: there is no way to that network"),
    errno.EHOSTUNREACH: gettext_noop("cannot connect to {where}: there is no way to that host"),
}


def dial(host: str, port: int, timeout_s: float) -> socket.socket:
    """Return a TCP socket connected to ``host``, trying its addresses in the resolver's order.

    Blocks, for at most ``timeout_s`` beside the name look-up.

    :raises NetworkError: no such host, nobody listens, or nobody answers in time.
    """
    where = format_address(host, port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NetworkError(
            "cannot find the host {host!r}; is the name right?", host=host
        ) from error
    deadline = Deadline(timeout_s)
    failure = NetworkError("cannot connect to {where}", where=where)
    for position, (family, kind, protocol, _, address) in enumerate(found):
        share_s = deadline.left_s() / (len(found) - position)
        if not share_s:
            break
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a family that this machine does not have
        sock.settimeout(share_s)
        try:
            sock.connect(address)
        except OSError as error:
            failure = _failure(where, error)
        else:
            return sock
        sock.close()
    raise failure


class Dial:
    """A connection that is to be, made by ``IoThread.dial``. Owned by that thread.

    :param connected: called with the socket, which it owns from then on.
    :param on_failure: called in place of that, never from within a call of ours.
    """

    __slots__ = ("_connected", "_on_failure", "_socket", "_thread", "_timer", "_where")

    def __init__(
        self,
        thread: IoThread,
        where: str,
        connected: Callable[[socket.socket], None],
        on_failure: Callable[[NetworkError], None],
    ) -> None:
        self._thread = thread
        self._where = where
        self._connected = connected
        self._on_failure: Callable[[NetworkError], None] | None = on_failure
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None

    def start(self, address: tuple[str, int], local_port: int, timeout_s: float) -> None:
        """Begin to connect."""
        try:
            self._socket = _connecting(address, local_port)
        except OSError as error:
            self.drop(_failure(self._where, error))
            return
        self._timer = self._thread.call_later(timeout_s, self._late)
        self._thread.watch(self, reading=False, writing=True)

    def cancel(self) -> None:
        """Give up; nobody is told. Does nothing once there is a connection. Owner only."""
        self._on_failure = None
        self.drop(None)

    # ---- for the I/O thread ----

    def writable(self) -> None:
        """Hand the socket on: it is connected, or has failed."""
        if self._socket is None:  # cancelled by another of this turn
            return
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.drop(_failure(self._where, OSError(code, os.strerror(code))))
            return
        sock = self._socket
        self._let_go()
        self._connected(sock)

    def readable(self) -> None:
        """Do nothing: a socket that connects has nothing to read."""

    def finish(self) -> None:
        """Fail: the thread is stopping."""
        self.drop(NetworkError("cannot connect to {where}: stopped", where=self._where))

    def drop(self, error: NetworkError | None) -> None:
        """Close the socket, if there is one still; ``error`` is told."""
        self._thread.assert_owner()
        if self._socket is not None:
            sock = self._socket
            self._let_go()
            sock.close()
        if error is not None:
            self._thread.post(lambda: self._tell(error))

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 without one."""
        return self._socket.fileno() if self._socket is not None else -1

    def _let_go(self) -> None:
        self._thread.forget(self)
        self._socket = None
        if self._timer is not None:
            self._timer.cancel()

    def _late(self) -> None:
        self.drop(_failure(self._where, TimeoutError()))

    def _tell(self, error: NetworkError) -> None:
        if self._on_failure is not None:
            self._on_failure(error)


def _connecting(address: tuple[str, int], local_port: int) -> socket.socket:
    """Return a socket that does not block and has begun to connect.

    :raises OSError: it cannot even begin.
    """
    (family, kind, protocol, _, found), *_ = socket.getaddrinfo(
        *address, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        if local_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reuse_port(sock)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(("", local_port))
        with contextlib.suppress(BlockingIOError):
            sock.connect(found)
    except OSError:
        sock.close()
        raise
    return sock


def _failure(where: str, error: OSError) -> NetworkError:
    code = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
    told = _FAILURES.get(code or 0)
    if told is not None:
        return NetworkError(told, where=where)
    return NetworkError("cannot connect to {where}: {reason}", where=where, reason=error.strerror)
