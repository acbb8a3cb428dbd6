"""TLS as a sans-I/O object.

Ciphertext in, plaintext out, and the other way round, over two memory BIOs: no hidden bytes that a
selector cannot see, one read for many records, one write for many lines, and the same object runs
inside a stream that is not a socket.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from securechat.errors import TlsError
from securechat.net.client_hello import NO_APPLICATION_PROTOCOL, ClientHelloReader
from securechat.net.tls import other_side, translate_tls_error

__all__ = ["TlsBuffers", "TlsPipe"]

_READ_BYTES: Final = 65_536


class TlsBuffers:
    """The two memory BIOs between TLS and the wire. Owned by one thread.

    Many pipes of a thread may share them: each leaves them empty when it returns. A BIO never gives
    back what it once has held, so thousands that have one each keep megabytes for nothing, and each
    of them comes into the processor's cache anew.
    """

    __slots__ = ("incoming", "outgoing")

    def __init__(self) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()


class TlsPipe:
    """One end of a TLS connection. Owned by one thread for its whole life.

    OpenSSL does not allow reading and writing one connection from two threads
    (openssl/openssl#20446), and CPython does not protect it (python/cpython#137583).

    :param server_hostname: given: the client's end, which verifies the server to be this host.
        ``None``: the server's end, if ``server_side`` does not say otherwise.
    :param server_side: ``False`` without a host: a client's end that asks for no name, for a
        context that trusts one certificate and does not check the host.
    :param required_protocols: server only: refuse a client that offers protocols by ALPN and none
        of these. A client that offers none is welcome.
    :param buffers: shared with other pipes of the thread; otherwise it has its own.
    """

    __slots__ = (
        "_hello",
        "_incoming",
        "_object",
        "_other_side",
        "_outgoing",
        "_required",
        "_waiting",
        "eof",
        "handshake_done",
        "server_name",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_hostname: str | None = None,
        server_side: bool | None = None,
        required_protocols: Sequence[str] = (),
        buffers: TlsBuffers | None = None,
    ) -> None:
        buffers = buffers or TlsBuffers()
        self._incoming = buffers.incoming
        self._outgoing = buffers.outgoing
        self._waiting = b""
        if server_side is None:
            server_side = server_hostname is None
        self._other_side = other_side(context, server_side=server_side)
        self._object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
        )
        self._required = tuple(required_protocols)
        self._hello = ClientHelloReader() if self._required else None
        self.handshake_done = False
        self.server_name = ""  # the host asked for by the client; with required_protocols only
        self.eof = False  # the other side has said that no more will come

    def start(self) -> None:
        """Begin the handshake; on a client's end there is now something to ``take``."""
        if not self.handshake_done:
            try:
                self._shake_hands()
            finally:
                self._collect()

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext from the wire; return the plaintext that it completes, often empty.

        :raises TlsError: the handshake failed or the stream is broken. ``take`` may still have an
            alert for the other side.
        """
        if self.eof:
            return b""  # or it would pile up, as nothing reads it
        try:
            if self._hello is not None:
                self._check_hello(self._hello, data)
            self._incoming.write(data)
            if not self.handshake_done and not self._shake_hands():
                return b""
            return self._read()
        finally:
            # OpenSSL keeps the beginning of a record itself; only what comes after an error, or
            # after the last word, is left.
            if self._incoming.pending:
                self._incoming.read()
            self._collect()

    def send(self, data: bytes | memoryview) -> None:
        """Encrypt ``data``; allowed once the handshake is done.

        :raises TlsError: the stream is broken.
        """
        try:
            # Takes all: Python does not ask OpenSSL for partial writes, and a memory BIO grows.
            self._object.write(data)
        except ssl.SSLError as error:
            raise translate_tls_error(error) from error
        finally:
            self._collect()

    def take(self) -> bytes:
        """Return what must go to the wire now, and forget it."""
        data, self._waiting = self._waiting, b""
        return data

    @property
    def waiting_bytes(self) -> int:
        """How many bytes there are to ``take``."""
        return len(self._waiting)

    def close(self) -> None:
        """Say that no more will come (``close_notify``); the other side may still send."""
        if self.handshake_done:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                return  # waits for the other side's own notice, which we do not need
            finally:
                self._collect()

    @property
    def protocol(self) -> str | None:
        """The protocol agreed on by ALPN."""
        return self._object.selected_alpn_protocol()

    @property
    def peer_certificate(self) -> bytes | None:
        """The other side's verified certificate in DER; ``None`` if it showed none."""
        return self._object.getpeercert(binary_form=True)

    @property
    def version(self) -> str:
        """The TLS version, ``TLSv1.3``; empty before the handshake."""
        return self._object.version() or ""

    @property
    def cipher(self) -> str:
        """The name of the cipher suite; empty before the handshake."""
        cipher = self._object.cipher()
        return cipher[0] if cipher else ""

    def _collect(self) -> None:
        if self._outgoing.pending:
            data = self._outgoing.read()
            self._waiting = self._waiting + data if self._waiting else data

    def _shake_hands(self) -> bool:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise translate_tls_error(error, of=self._other_side) from error
        self.handshake_done = True
        return True

    def _read(self) -> bytes:
        chunks = []
        try:
            while True:
                chunk = self._object.read(_READ_BYTES)
                if not chunk:
                    self.eof = True
                    break
                chunks.append(chunk)
                if not self._incoming.pending and not self._object.pending():
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.eof = True
        except ssl.SSLError as error:
            raise translate_tls_error(error) from error
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _check_hello(self, hello: ClientHelloReader, data: bytes) -> None:
        offered = hello.feed(data)
        if offered is None:
            return
        self._hello = None
        self.server_name = hello.server_name
        if offered and not set(offered) & set(self._required):
            self._outgoing.write(NO_APPLICATION_PROTOCOL)
            raise TlsError("the client offers only other application protocols")
