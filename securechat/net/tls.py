"""TLS contexts, and TLS failures in plain words.

A context is set up whole before the first connection uses it, and never changed after. There is no
way to make a client context that does not verify.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from securechat.errors import CertificateRejected, NetworkError, TlsError

__all__ = ["TlsVersion", "client_context", "server_context", "translate_tls_error"]

TlsVersion = Literal["1.2", "1.3"]

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_GROUPS: Final = "X25519:P-256:P-384"
"""The curves wanted. OpenSSL's own default list begins with X25519 and P-256 and holds P-384; a
Python that can say it (``SSLContext.set_groups``, 3.15) is told to offer no others."""


def server_context(
    certificate: Path,
    key: Path,
    *,
    client_ca: Path | None = None,
    minimum_version: TlsVersion = "1.3",
    protocols: Sequence[str] = (),
) -> ssl.SSLContext:
    """Return the context of a listener.

    :param certificate: PEM, with the chain.
    :param client_ca: PEM; clients *may* then show a certificate, which must be of this CA.
    :param protocols: ALPN names, best first.
    :raises TlsError: a file is missing, unreadable, not PEM, or the key does not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[minimum_version]
    # A ticket costs a write for each handshake, and IRC clients do not resume.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    _restrict_groups(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    _load_chain(context, certificate, key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        _load_ca(context, client_ca)
    return context


def client_context(
    ca: Path | None,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    protocols: Sequence[str] = (),
) -> ssl.SSLContext:
    """Return the context of a client, which verifies the chain and the host name.

    :param ca: PEM; trust this CA and no other. ``None`` trusts what the system trusts.
    :param certificate: PEM, shown to the server, with ``key``.
    :raises TlsError: a file is missing, unreadable, not PEM, or the key does not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # CERT_REQUIRED and check_hostname
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.options |= ssl.OP_NO_COMPRESSION
    _restrict_groups(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_ca(context, ca)
    if certificate is not None:
        _load_chain(context, certificate, key or certificate)
    return context


def translate_tls_error(error: OSError, *, of_client: bool = False) -> NetworkError:
    """Return the error of ours for what ``ssl`` raised; for the caller to raise ``from`` it.

    :param of_client: it was raised at a server, so the certificate is that of a client.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        check, text, advice = _VERIFY_FAILURES.get(error.verify_code, _OTHER_FAILURE)
        if of_client:
            text, advice = _CLIENT_REFUSED
        detail = error.verify_message.rstrip(".")
        return CertificateRejected(f"{text} ({detail})", check=check, advice=advice)
    if isinstance(error, ssl.SSLError):
        # Some alerts have no name in some versions of Python, only a text.
        reason = (error.reason or "").replace("_", " ").lower() or _AROUND.sub("", str(error))
        return TlsError(f"TLS failed: {reason}")
    return NetworkError(error.strerror or str(error))


_AROUND: Final = re.compile(r"^\[\w+\] | \(_ssl\.c:\d+\)$")

_CLIENT_REFUSED: Final = (
    "the certificate of the client was refused",
    "The client needs one that is valid now and of the CA given for clients, or shows none.",
)
_UNTRUSTED: Final = (
    "untrusted",
    "the certificate of the server was not issued by the CA that you trust",
    (
        "Ask the person who runs the server for its CA certificate and compare fingerprints; "
        "give it with --ca. If you had the right one before, somebody may be in between."
    ),
)
_EXPIRED_ADVICE: Final = "Check this machine's clock; if it is right, the server's certificate "

# X509_V_ERR_… of OpenSSL → check, text, advice
_VERIFY_FAILURES: Final = {
    2: _UNTRUSTED,
    18: _UNTRUSTED,
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    9: (
        "not-yet-valid",
        "the certificate of the server is not valid yet",
        _EXPIRED_ADVICE + "was made with a wrong one.",
    ),
    10: (
        "expired",
        "the certificate of the server has expired",
        _EXPIRED_ADVICE + "must be renewed (gen_certs.py --renew).",
    ),
    62: (
        "hostname",
        "the certificate of the server is for another host name",
        (
            "Connect by a name that the certificate holds, or have it issued for this one "
            "(gen_certs.py --host NAME --renew)."
        ),
    ),
    64: (
        "hostname",
        "the certificate of the server is for another address",
        (
            "Connect by a name that the certificate holds, or have it issued for this address "
            "(gen_certs.py --host ADDRESS --renew)."
        ),
    ),
}
_OTHER_FAILURE: Final = (
    "invalid",
    "the certificate of the server did not pass verification",
    "The person who runs the server must mend its certificate.",
)


def _restrict_groups(context: ssl.SSLContext) -> None:
    set_groups = getattr(context, "set_groups", None)
    if set_groups is not None:
        set_groups(_GROUPS)


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError as error:
        raise TlsError(f"{ca}: not a certificate in PEM") from error
    except OSError as error:
        raise TlsError(f"{ca}: cannot be read ({error.strerror})") from error


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsError(f"{path}: cannot be read ({error.strerror})") from error

    def refuse_password() -> str:
        raise TlsError(f"{key}: the key is encrypted; a server needs one without a passphrase")

    try:
        context.load_cert_chain(certificate, key, password=refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(
                f"{key}: this key does not match the certificate {certificate}"
            ) from error
        raise TlsError(f"{certificate}, {key}: not a certificate and its key in PEM") from error
