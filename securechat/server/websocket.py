"""IRC over WebSocket: what lies between a browser's connection and its session.

https://ircv3.net/specs/extensions/websocket and RFC 6455. One message is one line without its end,
in both directions. The relay puts lines into a connection's queue as for any other client; here
they become messages just before they are encrypted.

- Both subprotocols are spoken, ``text.ircv3.net`` and ``binary.ircv3.net``; a client that asks for
  neither gets text. Whichever it is, a client may send both kinds: a line is a line.
- A message of several lines is taken as these lines.
- Any path will do: clients have their own defaults, and proxies make up others.
- Browsers tell the page that the connection is made for (``Origin``): other people's pages must not
  chat in the name of whoever visits them. A request without one is not from a browser.
- Compression is not offered: it would tell by its length what TLS hides.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from securechat.errors import NetworkError
from securechat.irc.message import BODY_BYTES
from securechat.irc.tags import CLIENT_TAG_DATA_BYTES
from securechat.net.connection import Connection
from securechat.net.timers import Timer
from securechat.server.session import Session

__all__ = ["ALPN", "MESSAGE_BYTES", "WebSocketHandler"]

_log = logging.getLogger(__name__)

ALPN: Final = "http/1.1"
"""The application protocol: WebSocket begins as HTTP."""

MESSAGE_BYTES: Final = 1 + CLIENT_TAG_DATA_BYTES + 1 + BODY_BYTES + 2
"""Most bytes of one message, however many frames it comes in: a line with tags, and two for an end
that should not be there. A longer one ends the connection (1009)."""

_END_OF_REQUEST: Final = re.compile(rb"\n\r?\n")

_BINARY: Final = "binary.ircv3.net"
_SUBPROTOCOLS: Final = frozenset({"text.ircv3.net", _BINARY})


class WebSocketHandler:
    """The handler and the encoder of a connection. Owned by its I/O thread.

    :param make_session: called at once; the session hears of nothing until the client speaks
        WebSocket.
    :param origins: the pages that may connect, as browsers name them; ``*`` for any.
    :param timeout_s: for the request, from the TLS handshake on.
    """

    __slots__ = (
        "_binary",
        "_connection",
        "_error",
        "_goodbye",
        "_message",
        "_message_bytes",
        "_origins",
        "_reason",
        "_request_tail",
        "_session",
        "_tail",
        "_timeout_s",
        "_timer",
        "_upgraded",
        "_urgent",
        "_websocket",
    )

    def __init__(
        self,
        connection: Connection,
        make_session: Callable[[Connection], Session],
        *,
        origins: Sequence[str],
        timeout_s: float,
    ) -> None:
        self._connection = connection
        self._session = make_session(connection)
        self._origins = origins
        self._timeout_s = timeout_s
        self._timer: Timer | None = None
        self._websocket = WSConnection(ConnectionType.SERVER)
        self._upgraded = False
        self._request_tail = b""  # the last bytes of it, which may be half of its end
        self._binary = False
        self._message: list[bytes] = []  # what has come of a message
        self._message_bytes = 0
        # Sent before any line: the answer to the request, then the answer to the last ping. "MAY
        # elect to send a Pong frame for only the most recently processed Ping frame."
        self._urgent = b""
        self._tail = b""  # of a line that was cut
        self._reason = ""  # the relay's last word, for the close frame
        self._goodbye: CloseConnection | None = None
        self._error: NetworkError | None = None
        connection.encoder = self

    # ---- what the connection tells ----

    def opened(self) -> None:
        """Begin to wait for the request."""
        self._timer = self._connection.thread.call_later(self._timeout_s, self._late)

    def received(self, data: bytes) -> None:
        """Take the messages apart, and hand the lines on."""
        lines: list[bytes] = []
        while data and not self._upgraded and self._error is None:
            data = self._take_request(data, lines)
        if data and self._error is None:
            self._take(data, lines)
        if lines:
            self._session.received(b"\r\n".join([*lines, b""]))

    def closed(self, error: NetworkError | None) -> None:
        """Let the session leave."""
        self._stop_waiting()
        self._session.closed(self._error or error)

    # ---- the encoder ----

    def encode(self, data: bytes) -> bytes:
        """Return ``data``, which are lines, as one message for each line."""
        encoded = [self._urgent]
        self._urgent = b""
        if self._upgraded and self._websocket.state is ConnectionState.OPEN:
            *lines, self._tail = (self._tail + data).split(b"\n")
            for line in lines:
                encoded.append(self._frame(line.removesuffix(b"\r")))
        return b"".join(encoded)

    def finish(self) -> bytes:
        """Return the close frame."""
        goodbye = self._goodbye or CloseConnection(CloseReason.NORMAL_CLOSURE, self._reason)
        try:
            return self._websocket.send(goodbye) if self._upgraded else b""
        except LocalProtocolError:  # it has been said
            return b""

    def _frame(self, line: bytes) -> bytes:
        text = line.decode()  # the relay says nothing but UTF-8
        if text.startswith("ERROR :"):
            self._reason = text.removeprefix("ERROR :")
        event: TextMessage | BytesMessage = (
            BytesMessage(line) if self._binary else TextMessage(text)
        )
        return self._websocket.send(event)

    # ---- inside ----

    def _take_request(self, data: bytes, lines: list[bytes]) -> bytes:
        """Take what belongs to the request, and return the rest.

        "The client MUST wait for a response from the server before sending any further data" (RFC
        6455, 4.1). The library loses what does come with the request, and so maybe half a frame.
        """
        seen = self._request_tail + data
        end = _END_OF_REQUEST.search(seen)
        size = end.end() - len(self._request_tail) if end is not None else len(data)
        self._request_tail = b"" if end is not None else seen[-2:]
        self._take(data[:size], lines)
        return data[size:]

    def _take(self, data: bytes, lines: list[bytes]) -> None:
        try:
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                self._handle(event, lines)
        except RemoteProtocolError as error:
            hint = error.event_hint
            status, headers = 400, []
            if isinstance(hint, RejectConnection):
                status, headers = hint.status_code, list(hint.headers)
            self._refuse(status, f"This address speaks WebSocket only. {error}.", headers)
        except UnicodeError:
            self._refuse(400, "This address speaks WebSocket only. Bad HTTP header.")

    def _handle(self, event: Event, lines: list[bytes]) -> None:
        if self._goodbye is not None or self._error is not None:
            return
        match event:
            case Request():
                self._answer(event)
            case TextMessage() | BytesMessage():
                self._collect(event, lines)
            case Ping():
                self._urgent = self._websocket.send(event.response())
                self._connection.queue(b"")
            case CloseConnection() if self._websocket.state is ConnectionState.OPEN:
                self._fail(event)  # a frame that cannot be; the library has its code
            case CloseConnection():
                self._goodbye = event.response()
                self._connection.close()

    def _answer(self, request: Request) -> None:
        origins = [value for name, value in request.extra_headers if name == b"origin"]
        if origins and "*" not in self._origins:
            origin = origins[0].decode("latin-1")
            if len(origins) > 1 or origin not in self._origins:
                self._refuse(403, "Pages of this origin may not connect to this relay.")
                _log.info("websocket %s: refused origin %r", self._session.label, origin[:200])
                return
        agreed = next((name for name in request.subprotocols if name in _SUBPROTOCOLS), None)
        self._binary = agreed == _BINARY
        self._urgent = self._websocket.send(AcceptConnection(subprotocol=agreed))
        self._connection.queue(b"")
        self._upgraded = True
        self._stop_waiting()
        self._session.opened()

    def _collect(self, event: TextMessage | BytesMessage, lines: list[bytes]) -> None:
        data = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
        self._message_bytes += len(data)
        if self._message_bytes > MESSAGE_BYTES:
            self._fail(CloseConnection(CloseReason.MESSAGE_TOO_BIG, "Message too long"))
            return
        self._message.append(data)
        if event.message_finished:
            lines.append(b"".join(self._message))
            self._message.clear()
            self._message_bytes = 0

    def _fail(self, goodbye: CloseConnection) -> None:
        self._goodbye = goodbye
        self._message.clear()
        self._session.close(f"WebSocket: {goodbye.reason}")

    def _refuse(self, status: int, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Answer the request with an error of HTTP, and close."""
        if self._error is not None:
            return
        self._error = NetworkError(f"HTTP {status}: {text}")
        body = f"{text}\n".encode()
        response = RejectConnection(
            status_code=status,
            headers=[
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                *headers,
            ],
            has_body=True,
        )
        self._urgent = self._websocket.send(response) + self._websocket.send(RejectData(body))
        self._connection.queue(b"")
        self._connection.close()

    def _late(self) -> None:
        self._error = NetworkError("no WebSocket request came")
        self._connection.close()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
