"""Reading the first message of a TLS connection: which application protocols are offered.

``ssl`` tells a server which protocol was agreed on, not which ones were offered, so "offered none"
(most IRC clients) and "offered only others" (a browser that was led here) look the same to it.
RFC 8446 section 4.1.2 has the layout, RFC 7301 the extension.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CLIENT_HELLO_BYTES", "NO_APPLICATION_PROTOCOL", "offered_protocols"]

CLIENT_HELLO_BYTES: Final = 16_384
"""Most bytes looked at, one record's worth: no client in use sends a larger first message."""

NO_APPLICATION_PROTOCOL: Final = bytes((21, 3, 3, 0, 2, 2, 120))
"""A record with the fatal alert ``no_application_protocol``, as RFC 7301 wants it answered."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16


def offered_protocols(data: bytes) -> list[str] | None:
    """Return the protocols that a client offers in the first bytes of its stream.

    An empty list means that it offers none, or that this is not a ClientHello (then ``ssl`` will
    say what is wrong). ``None`` means that more bytes are needed.
    """
    message = bytearray()
    position = 0
    while True:  # the message may be cut over several records
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4]):
            break
        header = data[position : position + 5]
        if header and header[0] != _HANDSHAKE:
            return []
        length = int.from_bytes(header[3:5])
        if len(header) < 5 or len(data) < position + 5 + length:
            return None if len(data) <= CLIENT_HELLO_BYTES else []
        message += data[position + 5 : position + 5 + length]
        position += 5 + length
    if message[0] != _CLIENT_HELLO:
        return []
    try:
        return _alpn(bytes(message[4 : 4 + int.from_bytes(message[1:4])]))
    except IndexError:
        return []


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
