"""The certificate of the CA: which it is, and giving it to whoever comes with an invite link.

What is given is not secret, and whoever asks believes it only if it has the hash that the link
names: see ``securechat.invite_link``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.errors import NetworkError
from securechat.invite_link import CA_BYTES
from securechat.net.connection import Connection
from securechat.pki import has_signed
from securechat.server.admission import Seat

__all__ = ["AuthorityGiver", "find_authority"]

_log = logging.getLogger(__name__)

_BESIDE: Final = "ca.pem"
"""Where the CA is looked for, beside the relay's certificate, if the chain does not hold it."""


def find_authority(certificate: Path) -> bytes | None:
    """Return the CA (PEM) of the relay's certificate; ``None`` if it is not one of our own.

    That is the last certificate of the chain if it has signed itself, or the CA beside the file if
    it has signed the last of the chain. A CA that systems know has to be given to nobody: it is in
    no chain. Does file I/O; a file that cannot be read holds none.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        last = chain[-1]
        if has_signed(last, last):
            return last.public_bytes(Encoding.PEM)
        beside = x509.load_pem_x509_certificate(certificate.with_name(_BESIDE).read_bytes())
    except (OSError, ValueError):
        return None
    return beside.public_bytes(Encoding.PEM) if has_signed(beside, last) else None


class AuthorityGiver:
    """The handler of a connection that wants the CA: it is sent, and that is all. Owned by its I/O
    thread.

    :param authority: the CA, PEM; ``None`` where there is none to give.
    """

    __slots__ = ("_authority", "_connection", "_seat")

    def __init__(self, connection: Connection, seat: Seat, authority: bytes | None) -> None:
        self._connection = connection
        self._seat = seat
        self._authority = authority

    def opened(self) -> None:
        """Send it."""
        authority = self._authority or b""
        if not self._seat.refusal and len(authority) <= CA_BYTES:
            self._connection.send(authority)
        _log.info("the CA was asked for by %s", self._seat.address)
        self._connection.close()

    def received(self, data: bytes) -> None:
        """Do nothing: there is nothing to say to us."""

    def closed(self, error: NetworkError | None) -> None:
        """Leave the seat."""
        self._seat.leave()
