"""Clients that all come back at the same moment, as after a restart of their relay."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from array import array
from dataclasses import dataclass, field
from typing import Final

from benchmark.crowd import Client, Crowd, LoadError, Target

__all__ = ["CAPABILITIES", "Returned", "Returning"]

CAPABILITIES: Final = "account-tag batch echo-message message-tags multi-prefix server-time"
"""What clients of today ask for, and every server of today has."""

BURST: Final = 100
PAUSE_S: Final = 0.001
"""After so many connections the system has time to pass them on. Between the two ends of loopback
there is room for a thousand packets on each processor; of what is too much some is lost, the
packets of others too, and what is lost is sent again seconds later."""

AGAIN_S: Final = 1.0
"""How long one that was turned away waits before it tries again."""

# struct tcp_info of linux/tcp.h: eight bytes, then numbers of four bytes each.
_TCP_INFO: Final = struct.Struct("8x 24I")
_TOTAL_RETRANS: Final = 23


@dataclass(slots=True)
class Returned:
    """How it went. Times are of the monotonic clock, in nanoseconds.

    ``took_ns`` holds how long each took, from the moment when all began until it had its room's
    list of names; ``shaken_ns`` the same until its handshake was done.
    """

    began_ns: int
    ended_ns: int = 0
    took_ns: array[int] = field(default_factory=lambda: array("q"))
    shaken_ns: array[int] = field(default_factory=lambda: array("q"))
    refused: int = 0
    reset: int = 0
    sent_again: int = 0
    """Connections whose first packet had to be sent again: nobody took it at first."""


class Returning(Crowd):
    """Clients that connect all at once. Owned by one thread.

    :param rooms: channels, each of which is joined by one of so many in turn.
    """

    def __init__(self, target: Target, prefix: str, first: int, rooms: int) -> None:
        super().__init__(target, prefix, first)
        self.capabilities = CAPABILITIES
        self._rooms = rooms
        self._connecting: set[Client] = set()
        self._waiting: list[float] = []  # when those who were turned away try again, ascending
        self._returned = Returned(0)

    def come_back(self, count: int) -> Returned:
        """Have ``count`` clients connect at once; return when each of them is in its room.

        Who is turned away, or loses the connection, comes again ``AGAIN_S`` later under another
        nick.
        """
        ready = [self._make() for _ in range(count)]
        result = self._returned = Returned(time.monotonic_ns())
        for number, client in enumerate(ready):
            self._start(client)
            if number % BURST == BURST - 1:
                time.sleep(PAUSE_S)
        while len(result.took_ns) < count:
            for descriptor, events in self.poll(self._waiting[0] if self._waiting else None):
                client = self.clients[descriptor]
                try:
                    self._advance(client, events)
                except LoadError:
                    if client.registered:
                        raise
                    result.reset += 1
                    self._lose(client)
            while self._waiting and self._waiting[0] <= time.monotonic():
                self._waiting.pop(0)
                self._start(self._make())
        result.ended_ns = time.monotonic_ns()
        return result

    # ---- inside ----

    def _make(self) -> Client:
        sock = socket.socket(self.target.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(sock, self._context, self.target.hostname, f"{self._prefix}{self._next}")
        self._next += 1
        return client

    def _start(self, client: Client) -> None:
        self.clients[client.socket.fileno()] = client
        self._connecting.add(client)
        self.epoll.register(client.socket.fileno(), select.EPOLLOUT)
        with contextlib.suppress(BlockingIOError):
            client.socket.connect(self.target.address)

    def _advance(self, client: Client, events: int) -> None:
        if client in self._connecting:
            self._connected(client)
        else:
            self._serve(client, events)

    def _connected(self, client: Client) -> None:
        self._connecting.discard(client)
        error = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == errno.ECONNREFUSED:
            self._returned.refused += 1
            self._lose(client)
            return
        if error:
            raise LoadError(f"{client.nick}: cannot connect ({errno.errorcode[error]})")
        info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        self._returned.sent_again += _TCP_INFO.unpack(info)[_TOTAL_RETRANS] > 0
        self.epoll.modify(client.socket.fileno(), select.EPOLLIN)
        self._shake_hands(client)

    def _lose(self, client: Client) -> None:
        self.drop(client)
        self._waiting.append(time.monotonic() + AGAIN_S)

    def _shake_hands(self, client: Client) -> None:
        super()._shake_hands(client)
        if not client.shaking:
            self._returned.shaken_ns.append(time.monotonic_ns() - self._returned.began_ns)

    def _welcomed(self, client: Client) -> None:
        super()._welcomed(client)
        number = int(client.nick.removeprefix(self._prefix))
        self.send(client, f"JOIN #{self._prefix}-{number % self._rooms}\r\n".encode())

    def _has_joined(self, client: Client) -> None:
        self._returned.took_ns.append(time.monotonic_ns() - self._returned.began_ns)
