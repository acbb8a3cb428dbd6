"""A blocking WebSocket client for tests, which can also say what no client should."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Pong,
    Request,
    TextMessage,
)

from tests.server.relay_harness import LONG_TIMEOUT_S, Client, Closed, RunningRelay


def dial(relay: RunningRelay, *, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLSocket:
    """Connect to the relay's WebSocket port by TLS."""
    context = ssl.create_default_context(cafile=str(relay.certificates.ca_file))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    host, port = relay.relay.websocket_addresses[0]
    tcp = socket.create_connection((host, port), timeout=LONG_TIMEOUT_S)
    relay.sockets.append(tcp)
    sock = context.wrap_socket(tcp, server_hostname="localhost")
    relay.sockets.append(sock)
    return sock


class WebClient(Client):
    """A client whose lines go as messages. Owned by the test's thread."""

    def __init__(
        self,
        relay: RunningRelay,
        *subprotocols: str,
        origin: str | None = None,
        target: str = "/",
    ) -> None:
        super().__init__(dial(relay))
        self.websocket = WSConnection(ConnectionType.CLIENT)
        self.binary = False
        self.kinds: set[type[Event]] = set()
        """Of the messages that have come."""
        self.close: CloseConnection | None = None
        self.pongs: list[bytes] = []
        headers = [(b"Origin", origin.encode())] if origin is not None else []
        request = Request(
            host="localhost",
            target=target,
            subprotocols=list(subprotocols),
            extra_headers=headers,
        )
        self.sock.sendall(self.websocket.send(request))
        self.accepted: AcceptConnection | None = None
        while self.accepted is None:
            self._buffer += self.receive()
        relay.clients.append(self)

    def send(self, *lines: str) -> None:
        self.sock.sendall(b"".join(self.message(line) for line in lines))

    def message(self, line: str | bytes, *, finished: bool = True) -> bytes:
        """Return the bytes of one message, or of a part of it."""
        if isinstance(line, bytes) or self.binary:
            data = line if isinstance(line, bytes) else line.encode()
            return bytes(self.websocket.send(BytesMessage(data, message_finished=finished)))
        return bytes(self.websocket.send(TextMessage(line, message_finished=finished)))

    def receive(self) -> bytes:
        """Return the lines that come next, with ends."""
        self.websocket.receive_data(super().receive())
        lines: list[bytes] = []
        for event in self.websocket.events():
            match event:
                case AcceptConnection():
                    self.accepted = event
                case Message():
                    self.kinds.add(type(event))
                    data = event.data.encode() if isinstance(event.data, str) else event.data
                    if event.message_finished:
                        assert b"\n" not in data
                        assert b"\r" not in data
                    lines += [bytes(data), b"\r\n" if event.message_finished else b""]
                case Pong():
                    self.pongs.append(bytes(event.payload))
                case CloseConnection():
                    self.close = event
                    raise Closed
        return b"".join(lines)
