"""What has passed through the connections of one I/O thread, as plain counts."""

from __future__ import annotations

import enum
from typing import Final

from securechat.errors import CertificateRejected, ConnectionLost, NetworkError

__all__ = ["HandshakeFailure", "Traffic"]


class HandshakeFailure(enum.StrEnum):
    """Why a TLS handshake came to nothing: one of a few, whatever the other side does."""

    CLOSED = enum.auto()
    """The other side has gone in the middle of it."""
    TIMEOUT = enum.auto()
    ALERT = enum.auto()
    """The other side refused by a TLS alert: it may not trust our certificate."""
    CERTIFICATE = enum.auto()
    """We refused its certificate."""
    NOT_TLS = enum.auto()
    """It speaks something else: plain text, HTTP."""
    INCOMPATIBLE = enum.auto()
    """It has no version of TLS, or no cipher, that we take."""
    OTHER_PROTOCOL = enum.auto()
    """By ALPN it wants what we do not speak."""
    OTHER = enum.auto()

    @classmethod
    def of(cls, error: NetworkError) -> HandshakeFailure:
        """Return the kind of failure by what the connection ended with."""
        if isinstance(error, ConnectionLost):
            return cls.CLOSED
        if isinstance(error, CertificateRejected):
            return cls.CERTIFICATE
        reason = str(error.values.get("reason", error.message))
        return cls.ALERT if " alert " in reason else _BY_REASON.get(reason, cls.OTHER)


_BY_REASON: Final = {
    "the TLS handshake took too long": HandshakeFailure.TIMEOUT,
    "the client offers only other application protocols": HandshakeFailure.OTHER_PROTOCOL,
    "http request": HandshakeFailure.NOT_TLS,
    "https proxy request": HandshakeFailure.NOT_TLS,
    "packet length too long": HandshakeFailure.NOT_TLS,
    "record layer failure": HandshakeFailure.NOT_TLS,
    "wrong version number": HandshakeFailure.NOT_TLS,
    "no protocols available": HandshakeFailure.INCOMPATIBLE,
    "no shared cipher": HandshakeFailure.INCOMPATIBLE,
    "unsupported protocol": HandshakeFailure.INCOMPATIBLE,
    "version too low": HandshakeFailure.INCOMPATIBLE,
}
"""By the texts of ours, and by the reasons that OpenSSL gives."""


class Traffic:
    """Counts, from the start of the thread. Written by that thread only; others may read them at
    any time, and find each as it was a moment ago.

    ``received_bytes`` and ``sent_bytes`` are what was said inside TLS, the latter when it was
    queued. ``deliveries`` are pieces given to ``IoThread.send``, times those they were for.
    ``received_messages`` and ``answers`` are counted by handlers, who know what a message is.
    ``overflows`` are connections that were closed because too much waited for them.
    """

    __slots__ = (
        "answers",
        "deliveries",
        "handshake_failures",
        "overflows",
        "received_bytes",
        "received_messages",
        "sent_bytes",
    )

    def __init__(self) -> None:
        self.received_bytes = 0
        self.sent_bytes = 0
        self.deliveries = 0
        self.received_messages = 0
        self.answers = 0
        self.overflows = 0
        # All kinds from the start: who reads it must not find it growing.
        self.handshake_failures = dict.fromkeys(HandshakeFailure, 0)
