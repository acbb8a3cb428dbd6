"""The certificate that the relay shows: read whole, and read again when its files have changed."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from securechat.net.channel_binding import certificate_in, server_end_point
from securechat.net.tls import server_context
from securechat.server.authority import find_authority
from securechat.server.config import TlsConfig

__all__ = ["WARN_DAYS", "CertificateFiles", "Protocols", "ServedCertificate"]

WARN_DAYS: Final = 14
"""From when on the end of the certificate is warned of, in days: time enough for a person who looks
once a week."""

Protocols = tuple[str, ...]
"""The application protocols (ALPN) of a port, best first."""

_Marks = tuple[tuple[int, int, int] | None, ...]
"""What tells a file from the one that was there before, for each file."""


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """A certificate as it was read. Immutable; a connection keeps the one that it began with.

    ``contexts``: for each port's protocols. ``binding``: what logins are bound to by
    SCRAM-SHA-256-PLUS. ``authority``: the CA (PEM) that is given to who comes with an invite link.
    ``marks``: of the files just before they were read; what has changed meanwhile is read again.
    """

    contexts: Mapping[Protocols, ssl.SSLContext]
    binding: bytes | None
    authority: bytes | None
    not_after: datetime
    marks: _Marks

    def days_left(self, now: datetime) -> int:
        """Return for how many whole days it is still valid at ``now`` (aware); below 0: expired."""
        return (self.not_after - now).days


class CertificateFiles:
    """The files of the certificate. Used by one thread, but for ``served``.

    :param ports: the protocols of each port.
    :raises TlsError: a file is missing, unreadable, not PEM, or the key does not match.
    """

    def __init__(self, config: TlsConfig, ports: Iterable[Protocols]) -> None:
        self._ports = tuple(ports)
        self._config = config
        self.served = self.read(config)
        """What new connections are shown. Safe from any thread: it is replaced as a whole."""
        self._marks = self.served.marks

    def read(self, config: TlsConfig) -> ServedCertificate:
        """Return the certificate of ``config``, which may be another one; raises as above.

        It is not served yet: see ``serve``. Does file I/O.
        """
        marks = _marks(config)
        contexts = {
            protocols: server_context(
                config.certificate,
                config.key,
                client_ca=config.client_ca,
                minimum_version=config.minimum_version,
                protocols=protocols,
            )
            for protocols in self._ports
        }
        shown = certificate_in(config.certificate)
        return ServedCertificate(
            contexts,
            server_end_point(shown) if shown is not None else None,
            find_authority(config.certificate),
            _end_of(shown),
            marks,
        )

    def serve(self, config: TlsConfig, certificate: ServedCertificate) -> None:
        """Show new connections ``certificate``, which was read with ``config``, from now on."""
        self._config = config
        self._marks = certificate.marks
        self.served = certificate

    def reread(self) -> bool:
        """Serve what the files hold if they have changed since they were read; tell whether.

        :raises TlsError: they have, and cannot be used; then the certificate before stays, and
            they are not read again until they change again.
        """
        marks = _marks(self._config)
        if marks == self._marks:
            return False
        self._marks = marks
        self.serve(self._config, self.read(self._config))
        return True


def _marks(config: TlsConfig) -> _Marks:
    return tuple(
        _mark(path)
        for path in (config.certificate, config.key, config.client_ca)
        if path is not None
    )


def _mark(path: os.PathLike[str]) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _end_of(certificate: bytes | None) -> datetime:
    try:
        return x509.load_der_x509_certificate(certificate or b"").not_valid_after_utc
    except ValueError:  # OpenSSL takes it, but cannot be asked; so nobody is warned
        return datetime.max.replace(tzinfo=UTC)
