"""What a login is bound to, so that it is worth nothing on another TLS connection.

https://www.rfc-editor.org/rfc/rfc5929#section-4 (``tls-server-end-point``). Unlike the bindings to
a single connection it is the same in TLS 1.2 and 1.3, and both ends can know it through ``ssl``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = ["certificate_in", "server_end_point"]

_TOO_WEAK: Final = (hashes.MD5, hashes.SHA1)


def server_end_point(certificate: bytes) -> bytes | None:
    """Return the binding to the server with this certificate (DER).

    ``None`` if it has none: "the channel binding is undefined" for a signature without a hash
    function of its own, such as Ed25519, or when the certificate cannot be read.
    """
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        algorithm = parsed.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if algorithm is None:
        return None
    # "If the certificate's signatureAlgorithm uses a single hash function, and that hash function
    # is either MD5 or SHA-1, then use SHA-256"
    return parsed.fingerprint(hashes.SHA256() if isinstance(algorithm, _TOO_WEAK) else algorithm)


def certificate_in(path: Path) -> bytes | None:
    """Return the first certificate of a PEM file as DER, which is the one that a server shows.

    ``None`` if there is none: making the TLS context of it has said what is wrong.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    except (OSError, ValueError):
        return None
