"""Many IRC clients in one thread: the load that bench.py puts on a relay.

It must cost less than the relay, or it would measure itself: TLS over memory BIOs (one ``recv``
takes in many records), buffers that all clients share, ``epoll`` without the layer above it, and
while messages are counted nothing is done for each of them (see ``benchmark.fanout``).
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechat.net.tls import client_context

__all__ = ["TIME_DIGITS", "Client", "Crowd", "LoadError", "Target", "TlsClient"]

BUFFER_BYTES: Final = 65_536
"""Most ciphertext taken from a socket at once."""

TIME_DIGITS: Final = 16
"""Of the time that a message tells."""

CONNECT_TIMEOUT_S: Final = 15.0
"""A relay on this machine that has not accepted by then does not accept."""

_ALLOWED_ERRORS: Final = frozenset({b"422"})  # there is no message of the day
_TLS_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class LoadError(Exception):
    """The run has failed; ``str()`` is one line that says how."""


@dataclass(frozen=True, slots=True)
class Target:
    """The relay to connect to: its address, the name that its certificate holds, the CA."""

    family: socket.AddressFamily
    address: tuple[str, int]
    hostname: str
    ca: Path
    tls: str


class TlsClient:
    """The client's end of one TLS connection. Owned by whoever made it."""

    __slots__ = ("incoming", "nick", "outgoing", "shaking", "socket", "tail", "tls", "unsent")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str, nick: str) -> None:
        self.socket = sock
        self.nick = nick
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.shaking = True
        self.tail = b""  # the beginning of a line
        self.unsent = b""  # ciphertext that the socket did not take


class Client(TlsClient):
    """One connection of a crowd. Owned by the crowd."""

    __slots__ = ("got", "registered")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str, nick: str) -> None:
        super().__init__(sock, context, host, nick)
        self.registered = False
        self.got = 0  # messages received while they are counted


class Crowd:
    """Clients of one relay. Owned by one thread; all waiting is bounded by ``deadline``.

    :param prefix: of all nicks; with the number of the client at most nine characters, which every
        server takes.
    :param first: the number of the first client.
    """

    def __init__(self, target: Target, prefix: str, first: int) -> None:
        self.clients: dict[int, Client] = {}  # by descriptor
        self.deadline = time.monotonic()
        self.capabilities = ""  # what clients ask for that connect from now on
        self.epoll = select.epoll()
        self.cipher = bytearray(BUFFER_BYTES)
        self.plain = bytearray(BUFFER_BYTES)
        self.target = target  # to which clients connect from now on, with the same CA
        self._prefix = prefix
        self._next = first
        self._context = client_context(target.ca)
        version = _TLS_VERSIONS[target.tls]
        self._context.minimum_version = self._context.maximum_version = version
        self._view = memoryview(self.cipher)
        self._registered = 0
        self._joined = 0
        self._answered = 0
        self._on_command: dict[bytes, Callable[[Client], None]] = {
            b"001": self._welcomed,
            b"366": self._has_joined,
            b"PONG": self._has_answered,
        }

    # ---- what a crowd can do ----

    def connect(
        self, count: int, at_once: int, options: Sequence[tuple[int, int, int]] = ()
    ) -> None:
        """Connect and register ``count`` more clients, ``at_once`` of them at a time.

        :param options: of their sockets, as ``setsockopt`` takes them.
        """
        wanted = self._registered + count
        left = count
        while self._registered < wanted:
            while left and len(self.clients) - self._registered < at_once:
                self._open(options)
                left -= 1
            self._turn()

    def join(self, channel: str, members: Collection[Client] | None = None) -> None:
        """Have ``members``, or all, join ``channel``; wait until each has its list of names."""
        joining = self.clients.values() if members is None else members
        self._joined = 0
        for client in joining:
            self.send(client, f"JOIN {channel}\r\n".encode())
        while self._joined < len(joining):
            self._turn()

    def settle(self) -> None:
        """Read, for each client, whatever the relay had for it."""
        self._answered = 0
        for client in self.clients.values():
            self.send(client, b"PING settle\r\n")
        while self._answered < len(self.clients):
            self._turn()

    def pause(self, client: Client) -> None:
        """Stop reading what comes for ``client``. It must send nothing until ``resume``."""
        self.epoll.unregister(client.socket.fileno())

    def resume(self, client: Client) -> None:
        """Read again what comes for ``client``."""
        self.epoll.register(client.socket.fileno(), select.EPOLLIN)

    def drop(self, client: Client) -> None:
        """Close the connection of one that does not pause."""
        del self.clients[client.socket.fileno()]
        client.socket.close()  # which the epoll notices

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients.values():
            client.socket.close()
        self.clients.clear()
        self.epoll.close()

    # ---- for what counts messages ----

    def poll(self, until_s: float | None = None) -> list[tuple[int, int]]:
        """Wait for events on the descriptors; not beyond ``until_s``, never beyond the deadline."""
        now = time.monotonic()
        left = self.deadline - now
        if left <= 0:
            raise LoadError("it took too long; --timeout gives it more")
        if until_s is None:
            return self.epoll.poll(left)
        # An epoll counts in milliseconds, select in microseconds.
        select.select([self.epoll], [], [], max(0.0, min(left, until_s - now)))
        return self.epoll.poll(0)

    def receive(self, client: Client) -> bool:
        """Move what has come for ``client`` into its TLS. Return whether anything had."""
        try:
            size = client.socket.recv_into(self.cipher)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LoadError(f"{client.nick}: connection lost ({error.strerror})") from error
        if not size:
            raise LoadError(f"{client.nick}: the relay closed the connection")
        client.incoming.write(self._view[:size])
        return True

    def decrypt(self, client: Client) -> int:
        """Put the next decrypted bytes for ``client`` into ``plain``; return how many."""
        try:
            return client.tls.read(BUFFER_BYTES, self.plain)
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLError as error:
            raise LoadError(f"{client.nick}: TLS failed: {error}") from error

    def send(self, client: Client, data: bytes) -> None:
        """Encrypt and send ``data``; what the socket does not take follows later."""
        client.tls.write(data)
        self.flush(client)

    def flush(self, client: Client) -> None:
        """Send what is encrypted already, as far as the socket takes it."""
        waited = bool(client.unsent)
        data = client.unsent + client.outgoing.read()
        if not data:
            return
        try:
            client.unsent = data[client.socket.send(data) :]
        except BlockingIOError:
            client.unsent = data
        except OSError as error:
            raise LoadError(f"{client.nick}: connection lost ({error.strerror})") from error
        if waited != bool(client.unsent):
            more = select.EPOLLOUT if client.unsent else 0
            self.epoll.modify(client.socket.fileno(), select.EPOLLIN | more)

    def times(self, client: Client, data: bytes, latencies: list[int] | array[int]) -> int:
        """Take the lines of ``data``. The text of a message begins with its time, in nanoseconds as
        ``TIME_DIGITS`` of hex: add how long ago that is. Return how many messages there are.
        """
        now = time.monotonic_ns()
        *lines, client.tail = (client.tail + data).split(b"\n")
        messages = 0
        for line in lines:
            if line.startswith(b"@"):
                line = line.partition(b" ")[2]
            head, found, text = line.partition(b" :")
            if not found or b" PRIVMSG " not in head:
                self.line(client, line.rstrip(b"\r"))
                continue
            messages += 1
            latencies.append(now - int(text[:TIME_DIGITS], 16))
        return messages

    def line(self, client: Client, line: bytes) -> None:
        """Take one line from the relay."""
        if line.startswith(b"PING"):
            self.send(client, b"PONG" + line[4:] + b"\r\n")
            return
        words = line.split(b" ", 2)
        command = words[1] if len(words) > 1 else b""
        found = self._on_command.get(command)
        refused = command[:1] in (b"4", b"5") and command not in _ALLOWED_ERRORS
        if found is not None:
            found(client)
        elif words[0] == b"ERROR" or refused:
            raise LoadError(f"{client.nick}: the relay says: {line.decode(errors='replace')}")

    # ---- inside ----

    def _open(self, options: Sequence[tuple[int, int, int]]) -> None:
        sock = socket.socket(self.target.family, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT_S)
            for option in options:
                sock.setsockopt(*option)
            sock.connect(self.target.address)
        except OSError as error:
            sock.close()
            raise LoadError(f"cannot connect to {self.target.address}: {error}") from error
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(sock, self._context, self.target.hostname, f"{self._prefix}{self._next}")
        self._next += 1
        self.clients[sock.fileno()] = client
        self.epoll.register(sock.fileno(), select.EPOLLIN)
        self._shake_hands(client)

    def _shake_hands(self, client: Client) -> None:
        try:
            client.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush(client)
            return
        except ssl.SSLError as error:
            raise LoadError(f"{client.nick}: the TLS handshake failed: {error}") from error
        client.shaking = False
        self._introduce(client)

    def _introduce(self, client: Client) -> None:
        hello = f"NICK {client.nick}\r\nUSER bench 0 * :bench\r\n"
        if self.capabilities:
            hello = f"CAP LS 302\r\n{hello}CAP REQ :{self.capabilities}\r\nCAP END\r\n"
        self.send(client, hello.encode())

    def _turn(self) -> None:
        for descriptor, events in self.poll():
            self._serve(self.clients[descriptor], events)

    def _serve(self, client: Client, events: int) -> None:
        if events & select.EPOLLOUT:
            self.flush(client)
        if events & ~select.EPOLLOUT and self.receive(client):
            if client.shaking:
                self._shake_hands(client)
            if not client.shaking:
                self._read_lines(client)

    def _read_lines(self, client: Client) -> None:
        while size := self.decrypt(client):
            *lines, client.tail = (client.tail + self.plain[:size]).split(b"\n")
            for line in lines:
                self.line(client, line.rstrip(b"\r"))

    def _welcomed(self, client: Client) -> None:
        client.registered = True
        self._registered += 1

    def _has_joined(self, client: Client) -> None:
        self._joined += 1

    def _has_answered(self, client: Client) -> None:
        self._answered += 1
