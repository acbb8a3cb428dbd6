"""What a path's connection runs on: TLS behind a first word, or TLS inside a tunnel's TLS.

Both are used like ``TlsPipe`` itself, so that a connection need not know which it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from securechat.errors import CertificateRejected, TlsError
from securechat.irc.peering import JOINED, REFUSED, TUNNEL_LINE_BYTES
from securechat.net.pipe import Pipe

__all__ = ["WORD_BYTES", "DirectPipe", "TunnelPipe", "first_word"]

WORD_BYTES: Final = 32
"""Of the first word of each side on a direct connection."""


def first_word(identifier: str) -> bytes:
    """Return the word by which the sides of the pair ``identifier`` know that they mean it."""
    return hashlib.sha256(b"securechat-peer" + identifier.encode()).digest()


class DirectPipe:
    """TLS behind a first word of each side. Owned by one thread, like the pipe inside.

    :param find: given the word of the other side, returns the pipe to go on with.
        :raises TlsError: the word is of nobody.
    :param ours: of who has dialled: the word to begin with, and its pipe. Who was dialled answers
        with the same word as soon as ``find`` knows it.
    """

    def __init__(
        self, find: Callable[[bytes], Pipe], *, ours: tuple[bytes, Pipe] | None = None
    ) -> None:
        self._find = find
        self._word = ours[0] if ours is not None else b""
        self._inner = ours[1] if ours is not None else None
        self._heard: bytes | None = b""  # of the other side's word; then it is complete

    def start(self) -> None:
        """Begin; where we have dialled, the word and the TLS client's first message go together."""
        if self._inner is not None:
            self._inner.start()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the wire; return the plaintext that they complete.

        :raises TlsError: an unknown word, or as the pipe inside.
        """
        if self._heard is not None:
            heard = self._heard + data
            if len(heard) < WORD_BYTES:
                self._heard = heard
                return b""
            word, data, self._heard = heard[:WORD_BYTES], heard[WORD_BYTES:], None
            found = self._find(word)
            if self._inner is None:
                self._word, self._inner = word, found
                found.start()
        assert self._inner is not None
        return self._inner.receive(data) if data else b""

    def send(self, data: bytes | memoryview) -> None:
        """Encrypt ``data``; allowed once the handshake is done."""
        assert self._inner is not None
        self._inner.send(data)

    def take(self) -> bytes:
        """Return what must go to the wire now, and forget it."""
        word, self._word = self._word, b""
        return word + self._inner.take() if self._inner is not None else word

    def close(self) -> None:
        """Say that no more will come."""
        if self._inner is not None:
            self._inner.close()

    @property
    def waiting_bytes(self) -> int:
        """How many bytes there are to ``take``."""
        return len(self._word) + (self._inner.waiting_bytes if self._inner is not None else 0)

    @property
    def handshake_done(self) -> bool:
        """Whether data may come and go."""
        return self._inner is not None and self._inner.handshake_done

    @property
    def eof(self) -> bool:
        """Whether the other side has said that no more will come."""
        return self._inner is not None and self._inner.eof

    @property
    def peer_certificate(self) -> bytes | None:
        """The other side's verified certificate in DER."""
        return self._inner.peer_certificate if self._inner is not None else None

    @property
    def protocol(self) -> str | None:
        """The protocol agreed on by ALPN."""
        return self._inner.protocol if self._inner is not None else None

    @property
    def version(self) -> str:
        """The TLS version; empty before the handshake."""
        return self._inner.version if self._inner is not None else ""

    @property
    def cipher(self) -> str:
        """The name of the cipher suite; empty before the handshake."""
        return self._inner.cipher if self._inner is not None else ""

    @property
    def server_name(self) -> str:
        """Empty: peers ask for no name."""
        return ""


class TunnelPipe:
    """TLS with a peer inside TLS with the relay. Owned by one thread, like the pipes.

    What it tells of certificate, version and cipher is of the peer.

    :param outer: the client's end of the connection to the relay, which is verified as ever.
    :param token: what opens our side of the tunnel.
    :param inner: begins when the relay has joined the two sides.
    """

    def __init__(self, outer: Pipe, token: str, inner: Pipe) -> None:
        self._outer = outer
        self._token = token.encode() + b"\n"
        self._inner = inner
        self._line = b""  # of the relay, not complete yet
        self._joined = False

    def start(self) -> None:
        """Begin the handshake with the relay."""
        self._outer.start()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the wire; return the peer's plaintext that they complete.

        :raises TlsError: as the pipes; or the relay refuses the tunnel, or is not the one that it
            should be. ``CertificateRejected`` is of the peer.
        """
        try:
            data = self._outer.receive(data)
        except CertificateRejected as error:
            raise TlsError("no tunnel: {error}", error=error) from error
        if self._token and self._outer.handshake_done:
            self._outer.send(self._token)
            self._token = b""
        if not self._joined:
            data = self._wait_for_join(data)
        return self._inner.receive(data) if data else b""

    def send(self, data: bytes | memoryview) -> None:
        """Encrypt ``data`` for the peer; allowed once the handshake with it is done."""
        self._inner.send(data)

    def take(self) -> bytes:
        """Return what must go to the wire now, and forget it."""
        if self._joined and (data := self._inner.take()):
            self._outer.send(data)
        return self._outer.take()

    def close(self) -> None:
        """Say that no more will come, to the peer and to the relay."""
        if self._joined:
            self._inner.close()
            if data := self._inner.take():
                self._outer.send(data)
        self._outer.close()

    @property
    def waiting_bytes(self) -> int:
        """How many bytes there are to ``take``, or a few less than will be."""
        inner = self._inner.waiting_bytes if self._joined else 0
        return self._outer.waiting_bytes + inner

    @property
    def handshake_done(self) -> bool:
        """Whether data may come and go: the handshake with the peer is done."""
        return self._inner.handshake_done

    @property
    def eof(self) -> bool:
        """Whether the peer, or the relay, has said that no more will come."""
        return self._inner.eof or self._outer.eof

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's verified certificate in DER."""
        return self._inner.peer_certificate

    @property
    def protocol(self) -> str | None:
        """The protocol agreed on with the peer."""
        return self._inner.protocol

    @property
    def version(self) -> str:
        """The TLS version with the peer; empty before the handshake."""
        return self._inner.version

    @property
    def cipher(self) -> str:
        """The name of the cipher suite with the peer; empty before the handshake."""
        return self._inner.cipher

    @property
    def server_name(self) -> str:
        """Empty: peers ask for no name."""
        return ""

    def _wait_for_join(self, data: bytes) -> bytes:
        """Take the relay's answer to the token; return what comes behind it, from the peer."""
        line, found, rest = (self._line + data).partition(b"\n")
        if not found:
            self._line = line
            if len(line) > TUNNEL_LINE_BYTES:
                raise TlsError("the relay speaks no tunnel")
            return b""
        if line != JOINED:
            words = line.removeprefix(REFUSED).strip().decode(errors="replace")
            raise TlsError("the relay refuses the tunnel: {words}", words=words)
        self._joined = True
        self._inner.start()
        return rest
