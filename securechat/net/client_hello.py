"""Reading the first message of a TLS connection: which application protocols are offered.

``ssl`` tells a server which protocol was agreed on, not which ones were offered, so "offered none"
(most IRC clients) and "offered only others" (a browser that was led here) look the same to it.
RFC 8446 section 4.1.2 has the layout, RFC 7301 the extension.
"""

from __future__ import annotations

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
_ALPN: Final = 16


class ClientHelloReader:
    """Reads the offered protocols off the first bytes of a client's stream. Owned by its pipe.

    Each byte is looked at once, however the stream is cut.
    """

    __slots__ = ("_message", "_read_bytes", "_record", "_records")

    def __init__(self) -> None:
        self._record = bytearray()  # the record that is not complete yet, with its header
        self._message = bytearray()  # what the records before it hold
        self._records = 0
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
        try:
            return _alpn(bytes(self._message[4 : self._message_end()]))
        except IndexError:
            return []

    def _complete(self) -> bool:
        return len(self._message) >= 4 and len(self._message) >= self._message_end()

    def _message_end(self) -> int:
        return 4 + int.from_bytes(self._message[1:4])


def _alpn(hello: bytes) -> list[str]:
    position = 2 + 32  # version, random
    position += 1 + hello[position]  # session id
    position += 2 + int.from_bytes(hello[position : position + 2])  # cipher suites
    position += 1 + hello[position]  # compression methods
    position += 2  # length of the extensions
    while position + 4 <= len(hello):
        kind = int.from_bytes(hello[position : position + 2])
        end = position + 4 + int.from_bytes(hello[position + 2 : position + 4])
        if kind == _ALPN:
            names = []
            position += 6
            while position < end:
                # Names are any bytes: RFC 8701 has clients make some up, to be ignored.
                name = hello[position + 1 : position + 1 + hello[position]]
                names.append(name.decode("latin-1"))
                position += 1 + len(name)
            return names
        position = end
    return []
