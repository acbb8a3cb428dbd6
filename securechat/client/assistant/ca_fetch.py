"""Fetching the CA of a relay that an invite link names.

The connection is to nobody in particular: whoever answers is asked for a certificate, and told
nothing. What comes is believed for one reason only, that it has the hash which the link names; how
the link has come is what this trust rests on.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.client.assistant.ca_file import CaFile, describe_authority
from securechat.client.words.translation import gettext_noop
from securechat.errors import CertificateRejected, ConnectionLost, NetworkError, TlsError
from securechat.invite_link import CA_ALPN, CA_BYTES
from securechat.net.dialer import dial
from securechat.net.listener import format_address
from securechat.net.timers import Deadline
from securechat.net.tls import translate_tls_error, unverified_context
from securechat.net.tls_pipe import TlsPipe
from securechat.pki import ca_hash, is_authority

__all__ = ["FETCH_S", "CaFetch"]

FETCH_S: Final = 20.0
"""How long it may take from the first packet to the last, in seconds: it is a handshake and one
kilobyte, over lines that are slow at times."""

_READ_BYTES: Final = 65_536

_NO_PROTOCOL: Final = "no application protocol"
"""What OpenSSL calls the alert of a server that speaks none of the protocols asked for."""

_ADVICE: Final = gettext_noop(
    "Somebody may be in between, or the server has a new CA. Ask the person who invited you, by "
    "phone or face to face, for a new link."
)


class CaFetch:
    """One connection that fetches a CA. ``cancel`` is safe from any thread.

    :param sha256: the hash of the certificate (DER) of the CA.
    :param limit_s: how long it may take, in seconds, beside the name look-up.
    """

    def __init__(self, host: str, port: int, sha256: bytes, *, limit_s: float = FETCH_S) -> None:
        self._host = host
        self._port = port
        self._sha256 = sha256
        self._limit_s = limit_s
        self._socket: socket.socket | None = None
        self._cancelled = False

    def run(self) -> CaFile:
        """Return the CA. Blocks. Nothing is believed but what has the right hash.

        :raises CertificateRejected: what has come is another certificate, or none; its ``check`` is
            ``invite``.
        :raises NetworkError: nobody is there, they do not give a CA at all, or it was cancelled.
        """
        certificate = _one_certificate(self._receive(Deadline(self._limit_s)))
        if (
            certificate is None
            or ca_hash(certificate) != self._sha256
            or not is_authority(certificate)
        ):
            raise CertificateRejected(
                gettext_noop("the CA of {place} is not the one that the invite names"),
                check="invite",
                advice=_ADVICE,
                place=format_address(self._host, self._port),
            )
        pem = certificate.public_bytes(Encoding.PEM)  # only this, not what was around it
        return CaFile(None, pem, (describe_authority(certificate),))

    def cancel(self) -> None:
        """Break off; does nothing when it is over."""
        self._cancelled = True
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    def _receive(self, deadline: Deadline) -> bytes:
        """Return what the relay sends until it closes, or until that is too long for a CA."""
        pipe = TlsPipe(unverified_context([CA_ALPN]), server_hostname=self._host)
        with dial(self._host, self._port, deadline.left_s()) as self._socket:
            try:
                if self._cancelled:
                    raise ConnectionLost("closed")
                pem = _read(self._socket, pipe, deadline)
            except TlsError as error:
                if _NO_PROTOCOL in str(error):
                    raise _not_given() from error
                raise
            except TimeoutError as error:
                raise ConnectionLost("the server does not answer any more") from error
            except OSError as error:
                raise translate_tls_error(error) from error
        if not pipe.handshake_done:
            raise ConnectionLost("connection closed during the TLS handshake")
        if pipe.protocol != CA_ALPN or not pem:
            raise _not_given()
        return pem


def _one_certificate(pem: bytes) -> x509.Certificate | None:
    """Return the certificate in ``pem``; ``None`` if that is not one, or several."""
    try:
        [certificate] = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return None
    return certificate


def _not_given() -> NetworkError:
    return NetworkError("the server does not give the certificate of its CA")


def _read(sock: socket.socket, pipe: TlsPipe, deadline: Deadline) -> bytes:
    pem = b""
    pipe.start()
    while not pipe.eof and len(pem) <= CA_BYTES:
        waits_s = deadline.left_s()
        if not waits_s:
            raise TimeoutError
        sock.settimeout(waits_s)
        sock.sendall(pipe.take())
        data = sock.recv(_READ_BYTES)
        if not data:
            break
        pem += pipe.receive(data)
        if pipe.handshake_done and pipe.protocol != CA_ALPN:
            break  # it speaks something else, and may wait for us to speak first
    return pem
