"""TLS contexts, and TLS failures in plain words.

A context is set up whole before the first connection uses it, and never changed after. There is no
way to make a context to talk through that does not verify: ``unverified_context`` is for fetching
what is known by its hash, and nothing else.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from securechat.errors import CertificateRejected, NetworkError, TlsError, gettext_noop

__all__ = [
    "Side",
    "TlsVersion",
    "client_context",
    "other_side",
    "pinned_context",
    "server_context",
    "translate_tls_error",
    "unverified_context",
]

Side = Literal["server", "client", "peer"]
"""Whose certificate it is that we verify. A peer is the other side of a pinned context."""

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


def pinned_context(
    certificate: Path,
    key: Path,
    peer_certificate: bytes,
    *,
    server_side: bool,
    protocols: Sequence[str],
) -> ssl.SSLContext:
    """Return the context of one end of a session between peers: TLS 1.3, both show a certificate.

    The other side's must be ``peer_certificate`` and no other. Host names are not looked at.

    :param certificate: PEM, self-signed, shown to the other side.
    :param peer_certificate: DER, self-signed. A CA is refused: whatever it issued would be accepted
        in its place.
    :param protocols: ALPN names, best first.
    :raises TlsError: a file is missing, unreadable, not PEM, or the key does not match; or
        ``peer_certificate`` is not one certificate, or is that of a CA.
    """
    role = ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(role)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3  # has no compression, no renegotiation
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED  # not X509_STRICT: its bytes count, not its making
    if server_side:
        context.num_tickets = 0  # nobody resumes: each session has a context of its own
    _restrict_groups(context)
    context.set_alpn_protocols(list(protocols))
    _load_chain(context, certificate, key)
    _pin(context, peer_certificate)
    return context


def unverified_context(protocols: Sequence[str]) -> ssl.SSLContext:
    """Return the context of a client that believes any certificate, of any name.

    Only for fetching the certificate of a CA from a relay, which the caller then compares with the
    hash that an invite link names: whoever is at the other end, nothing is said to them, and only
    those bytes are believed. ``tests/test_layering.py`` lets no other module have this.

    :param protocols: ALPN names, best first.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= ssl.OP_NO_COMPRESSION
    _restrict_groups(context)
    context.set_alpn_protocols(list(protocols))
    return context


def other_side(context: ssl.SSLContext, *, server_side: bool) -> Side:
    """Return whose certificate an end with ``context`` verifies."""
    if context.verify_mode is ssl.CERT_REQUIRED and not context.check_hostname:
        return "peer"  # no other context of ours is so
    return "client" if server_side else "server"


def translate_tls_error(error: OSError, *, of: Side = "server") -> NetworkError:
    """Return the error of ours for what ``ssl`` raised; for the caller to raise ``from`` it.

    :param of: whose certificate it was, if it is about one.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        check, text, advice = _VERIFY_FAILURES.get(error.verify_code, _OTHER_FAILURE)
        if of != "server":
            text, advice = _REFUSED[of]
        detail = error.verify_message.rstrip(".")
        return CertificateRejected(text, check=check, advice=advice, detail=detail)
    if isinstance(error, ssl.SSLError):
        # Some alerts have no name in some versions of Python, only a text.
        reason = (error.reason or "").replace("_", " ").lower() or _AROUND.sub("", str(error))
        return TlsError("TLS failed: {reason}", reason=reason)
    return NetworkError(error.strerror or str(error))


_AROUND: Final = re.compile(r"^\[\w+\] | \(_ssl\.c:\d+\)$")

_REFUSED: Final = {
    "client": (
        gettext_noop("the certificate of the client was refused ({detail})"),
        gettext_noop(
            "The client needs one that is valid now and of the CA given for clients, or shows none."
        ),
    ),
    "peer": (
        gettext_noop("the certificate of the peer is not the one expected ({detail})"),
        gettext_noop(
            "Try again. If it stays so, somebody may be in between: compare your safety codes."
        ),
    ),
}
_UNTRUSTED: Final = (
    "untrusted",
    gettext_noop(
        "the certificate of the server was not issued by the CA that you trust ({detail})"
    ),
    gettext_noop(
        "Ask the person who runs the server for its CA certificate and compare fingerprints; "
        "give it with --ca. If you had the right one before, somebody may be in between."
    ),
)
# X509_V_ERR_… of OpenSSL → check, text, advice
_VERIFY_FAILURES: Final = {
    2: _UNTRUSTED,
    18: _UNTRUSTED,
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    9: (
        "not-yet-valid",
        gettext_noop("the certificate of the server is not valid yet ({detail})"),
        gettext_noop(
            "Check this machine's clock; if it is right, the server's certificate was made with a "
            "wrong one."
        ),
    ),
    10: (
        "expired",
        gettext_noop("the certificate of the server has expired ({detail})"),
        gettext_noop(
            "Check this machine's clock; if it is right, the server's certificate must be renewed "
            "(securechat-server cert renew)."
        ),
    ),
    62: (
        "hostname",
        gettext_noop("the certificate of the server is for another host name ({detail})"),
        gettext_noop(
            "Connect by a name that the certificate holds, or have it issued for this one "
            "(securechat-server cert renew --host NAME)."
        ),
    ),
    64: (
        "hostname",
        gettext_noop("the certificate of the server is for another address ({detail})"),
        gettext_noop(
            "Connect by a name that the certificate holds, or have it issued for this address "
            "(securechat-server cert renew --host ADDRESS)."
        ),
    ),
}
_OTHER_FAILURE: Final = (
    "invalid",
    gettext_noop("the certificate of the server did not pass verification ({detail})"),
    gettext_noop("The person who runs the server must mend its certificate."),
)


def _restrict_groups(context: ssl.SSLContext) -> None:
    set_groups = getattr(context, "set_groups", None)
    if set_groups is not None:
        set_groups(_GROUPS)


def _load_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca)
    except ssl.SSLError as error:
        raise TlsError("{ca}: not a certificate in PEM", ca=ca) from error
    except OSError as error:
        raise TlsError("{ca}: cannot be read ({reason})", ca=ca, reason=error.strerror) from error


def _pin(context: ssl.SSLContext, certificate: bytes) -> None:
    try:
        context.load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError) as error:  # ValueError: of no bytes
        raise TlsError("the certificate of the peer is not one in DER") from error
    if context.cert_store_stats() != {"x509": 1, "x509_ca": 0, "crl": 0}:
        raise TlsError("the certificate of the peer is that of a CA, or more than one")


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsError(
                "{path}: cannot be read ({reason})", path=path, reason=error.strerror
            ) from error

    def refuse_password() -> str:
        raise TlsError(
            "{key}: the key is encrypted; a server needs one without a passphrase", key=key
        )

    try:
        context.load_cert_chain(certificate, key, password=refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(
                "{key}: this key does not match the certificate {certificate}",
                key=key,
                certificate=certificate,
            ) from error
        raise TlsError(
            "{certificate}, {key}: not a certificate and its key in PEM",
            certificate=certificate,
            key=key,
        ) from error
