"""What a connection needs of the TLS that runs over it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Pipe"]


class Pipe(Protocol):
    """One end of an encrypted stream, sans-I/O. Owned by the thread of its connection.

    ``TlsPipe`` is one; another may speak a first word before TLS, or carry TLS inside of TLS. What
    raises, raises ``TlsError``; the connection then ends.
    """

    @property
    def handshake_done(self) -> bool:
        """Whether data may come and go."""

    @property
    def eof(self) -> bool:
        """Whether the other side has said that no more will come."""

    def start(self) -> None:
        """Begin the handshake. Called once, before anything is received."""

    def receive(self, data: bytes) -> bytes:
        """Take what came from the wire; return the plaintext that it completes, often empty."""

    def send(self, data: bytes | memoryview) -> None:
        """Encrypt ``data``, all of it. Called only when the handshake is done."""

    def take(self) -> bytes:
        """Return what must go to the wire now, and forget it."""

    def close(self) -> None:
        """Say that no more will come; the other side may still send."""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes there are to ``take``."""

    @property
    def peer_certificate(self) -> bytes | None:
        """The other side's verified certificate in DER; ``None`` if it showed none."""

    @property
    def version(self) -> str:
        """The TLS version, ``TLSv1.3``; empty before the handshake."""

    @property
    def cipher(self) -> str:
        """The name of the cipher suite; empty before the handshake."""

    @property
    def protocol(self) -> str | None:
        """The protocol agreed on by ALPN."""

    @property
    def server_name(self) -> str:
        """The host that the client has asked for; empty where that is not known."""
