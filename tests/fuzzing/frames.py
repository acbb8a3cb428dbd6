"""IRC over WebSocket: what comes of a browser's bytes, or of what is none.

The first byte of an input says how the rest is cut into reads, and whether a good request comes
before it. Then come frames, a line each: ``t…`` and ``b…`` a text and a binary message, ``f…`` a
piece of one, ``p…`` a ping, ``c`` the end, ``r…`` bytes as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from securechat.irc.framing import LineBuffer
from securechat.server.websocket import MESSAGE_BYTES, WebSocketHandler
from tests.fuzzing.streams import _cut

__all__ = ["run_websocket"]

_REQUEST: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
_PROTOCOLS: Final = (
    b"\r\n",
    b"Sec-WebSocket-Protocol: text.ircv3.net\r\n\r\n",
    b"Sec-WebSocket-Protocol: binary.ircv3.net\r\n\r\n",
    b"Origin: https://chat.example.org\r\n\r\n",
)
_OPCODES: Final = {
    b"f": 0x01,
    b"g": 0x00,
    b"t": 0x81,
    b"b": 0x82,
    b"p": 0x89,
    b"o": 0x8A,
    b"c": 0x88,
}
_MASK: Final = b"\0\0\0\0"


class _Timer:
    def cancel(self) -> None: ...


class _Thread:
    def call_later(self, delay_s: float, callback: Callable[[], None]) -> _Timer:
        return _Timer()


class _Connection:
    """Takes what is queued, through the encoder, as a connection does at the end of a turn."""

    def __init__(self) -> None:
        self.thread = _Thread()
        self.encoder: Any = None
        self.sent = bytearray()
        self.closing = False

    def queue(self, data: bytes) -> None:
        if not self.closing:
            self.sent += self.encoder.encode(data)

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.sent += self.encoder.finish()


class _Session:
    def __init__(self, connection: _Connection) -> None:
        self.label = "#1"
        self._connection = connection
        self.is_open = False
        self.received_bytes = 0
        self.lines = LineBuffer()
        self.heard: list[Any] = []

    def opened(self) -> None:
        assert not self.is_open
        self.is_open = True

    def received(self, data: bytes) -> None:
        assert self.is_open, "lines before the request"
        assert data.endswith(b"\r\n")
        self.heard += self.lines.feed(data)
        self._connection.queue(b":relay.test PONG x\r\n")

    def close(self, reason: str) -> None:
        self._connection.queue(f"ERROR :{reason}\r\n".encode())
        self._connection.close()

    def closed(self, error: Exception | None) -> None: ...


def _frame(line: bytes) -> bytes:
    opcode = _OPCODES.get(line[:1])
    if opcode is None:
        return line[1:]
    payload = line[1:]
    size = len(payload)
    head = bytes((opcode, 0x80 | size)) if size < 126 else bytes((opcode, 0xFE)) + size.to_bytes(2)
    return head + _MASK + payload


def _listen(stream: bytes, how: int) -> tuple[list[Any], bytes]:
    connection: Any = _Connection()
    sessions: list[_Session] = []

    def make_session(made_for: Any) -> Any:
        sessions.append(_Session(made_for))
        return sessions[0]

    handler = WebSocketHandler(
        connection, make_session, origins=("https://chat.example.org",), timeout_s=10
    )
    handler.opened()
    for piece in _cut(stream, how):
        handler.received(piece)
        assert handler._message_bytes <= MESSAGE_BYTES + len(piece)
        if connection.closing:
            break
    connection.close()
    handler.closed(None)
    return sessions[0].heard, bytes(connection.sent)


def run_websocket(data: bytes) -> None:
    how = data[0] if data else 0
    frames = b"".join(_frame(line[:60_000]) for line in data[1:].split(b"\n")[:64])
    stream = frames if how & 0x40 else _REQUEST + _PROTOCOLS[how % 4] + frames
    heard, _ = _listen(stream, 63)
    if how & 0x80:
        again, _ = _listen(stream, how % 48)
        # After what cannot be nothing counts; a read may have brought lines together with it.
        shorter = min(len(again), len(heard))
        assert again[:shorter] == heard[:shorter]
