"""Reading the first message of a TLS connection: what a client offers and asks for.

``ssl`` tells a server which protocol was agreed on, not which ones were offered, so "offered none"
(most IRC clients) and "offered only others" (a browser that was led here) look the same to it.
And its way to tell the name that was asked for prints an error for each that is not ASCII.
RFC 8446 section 4.1.2 has the layout, RFC 7301 and RFC 6066 the extensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = [
    "CLIENT_HELLO_BYTES",
    "CLIENT_HELLO_RECORDS",
    "NO_APPLICATION_PROTOCOL",
    "ClientHelloReader",
]

CLIENT_HELLO_BYTES: Final = 16_384
"""Most bytes looked at, one record's worth: no client in use sends a larger first message."""

CLIENT_HELLO_RECORDS: Final = 16
"""Most records that the message is put together from. Real clients send it in one, those that cut
it up to get past a middlebox in two or three; empty and one-byte records only cost us work."""

NO_APPLICATION_PROTOCOL: Final = bytes((21, 3, 3, 0, 2, 2, 120))
"""A record with the fatal alert ``no_application_protocol``, as RFC 7301 wants it answered."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_ALPN: Final = 16


class ClientHelloReader:
    """Reads the offered protocols off the first bytes of a client's stream. Owned by its pipe.

    Each byte is looked at once, however the stream is cut. ``server_name`` is the host that the
    client asks for (SNI, RFC 6066) in lower case, empty if it asks for none; known once ``feed``
    has returned a list. It is what the client says: letters of no host name are not looked for.
    """

    __slots__ = ("_message", "_read_bytes", "_record", "_records", "server_name")

    def __init__(self) -> None:
        self._record = bytearray()  # the record that is not complete yet, with its header
        self._message = bytearray()  # what the records before it hold
        self._records = 0
        self.server_name = ""
        self._read_bytes = 0

    def feed(self, data: bytes) -> list[str] | None:
        """Take what comes next; return the protocols that the client offers.

        An empty list means that it offers none, or that this is not a ClientHello (then ``ssl``
        will say what is wrong). ``None`` means that more bytes are needed. Not to be called again
        once it has returned a list.
        """
        self._read_bytes += len(data)
        self._record += data
        position = 0
        while not self._complete():  # the message may be cut over several records
            header = self._record[position : position + 5]
            if (header and header[0] != _HANDSHAKE) or self._records == CLIENT_HELLO_RECORDS:
                return []
            end = position + 5 + int.from_bytes(header[3:5])
            if len(header) < 5 or len(self._record) < end:
                del self._record[:position]
                return None if self._read_bytes <= CLIENT_HELLO_BYTES else []
            self._message += self._record[position + 5 : end]
            self._records += 1
            position = end
        if self._message[0] != _CLIENT_HELLO:
            return []
        protocols: list[str] = []
        try:
            for kind, content in _extensions(bytes(self._message[4 : self._message_end()])):
                if kind == _ALPN:
                    protocols = _alpn(content)
                elif kind == _SERVER_NAME:
                    self.server_name = _host_name(content)
        except IndexError:
            return []
        return protocols

    def _complete(self) -> bool:
        return len(self._message) >= 4 and len(self._message) >= self._message_end()

    def _message_end(self) -> int:
        return 4 + int.from_bytes(self._message[1:4])


def _extensions(hello: bytes) -> Iterator[tuple[int, bytes]]:
    position = 2 + 32  # version, random
    position += 1 + hello[position]  # session id
    position += 2 + int.from_bytes(hello[position : position + 2])  # cipher suites
    position += 1 + hello[position]  # compression methods
    position += 2  # length of the extensions
    while position + 4 <= len(hello):
        kind = int.from_bytes(hello[position : position + 2])
        end = position + 4 + int.from_bytes(hello[position + 2 : position + 4])
        if end > len(hello):
            raise IndexError
        yield kind, hello[position + 4 : end]
        position = end


def _alpn(data: bytes) -> list[str]:
    names = []
    position = 2  # length of the list
    while position < len(data):
        # Names are any bytes: RFC 8701 has clients make some up, to be ignored.
        name = data[position + 1 : position + 1 + data[position]]
        names.append(name.decode("latin-1"))
        position += 1 + len(name)
    return names


def _host_name(data: bytes) -> str:
    # A list of one: its length, the kind "host name", the length of the name, the name.
    length = int.from_bytes(data[3:5])
    if data[2:3] != b"\0" or len(data) != 5 + length:
        return ""
    return data[5:].decode("ascii", "replace").lower()
