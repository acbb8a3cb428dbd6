"""Checks of certificate, keys and CA."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509

from securechat import pki
from securechat.errors import PkiError, TlsError
from securechat.invite_link import CA_BYTES
from securechat.net.tls import server_context
from securechat.server.administration.desk import Desk
from securechat.server.administration.findings import Finding, ok, problem, warning
from securechat.server.authority import find_authority
from securechat.server.certificate import WARN_DAYS
from securechat.server.config import Config
from securechat.server.config_checks import is_loopback

__all__ = [
    "check_authority",
    "check_dates",
    "check_files",
    "check_keys",
    "check_names",
    "configured_certificate",
]

_CA_WARN_DAYS: Final = 180
"""From when on the end of the CA is warned of, in days: then every client needs the new one, and
people are not all there at once."""

_RENEW: Final = "securechat-server cert renew"


def configured_certificate(config: Config) -> x509.Certificate | None:
    """Return the relay's certificate; ``None`` if it cannot be read: ``check_files`` says so."""
    with contextlib.suppress(PkiError):
        return pki.load_certificate(config.tls.certificate)
    return None


def check_files(desk: Desk) -> Iterator[Finding]:
    """Check that certificate, chain, key and client CA can be used, and belong together."""
    tls = desk.config.tls
    try:
        server_context(
            tls.certificate, tls.key, client_ca=tls.client_ca, minimum_version=tls.minimum_version
        )
    except TlsError as error:
        yield problem(str(error), "securechat-server cert make makes a certificate and its key")
    else:
        yield ok(f"{tls.certificate} and its key can be used")


def check_dates(desk: Desk) -> Iterator[Finding]:
    """Check how long certificate and CA are still valid."""
    if (certificate := configured_certificate(desk.config)) is None:
        return
    days = pki.days_left(certificate, now=desk.now())
    end = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if days < 0:
        yield problem(f"it has expired on {end}: no client connects", _RENEW)
    elif days < WARN_DAYS:
        yield warning(f"it ends on {end}, in {days} days", _RENEW)
    else:
        yield ok(f"it is valid until {end}, for {days} days")
    if (authority := find_authority(desk.config.tls.certificate)) is not None:
        yield _check_end_of_ca(x509.load_pem_x509_certificate(authority), desk)


def _check_end_of_ca(ca: x509.Certificate, desk: Desk) -> Finding:
    days, end = pki.days_left(ca, now=desk.now()), f"{ca.not_valid_after_utc:%Y-%m-%d}"
    advice = "Make a new one in a new folder, and give it to every client before that day"
    if days < 0:
        return problem(f"its CA has expired on {end}: no client connects", advice)
    if days < _CA_WARN_DAYS:
        return warning(f"its CA ends on {end}, in {days} days", advice)
    return ok(f"its CA is valid until {end}")


def check_names(desk: Desk) -> Iterator[Finding]:
    """Check that the certificate is for the names by which clients come."""
    if (certificate := configured_certificate(desk.config)) is None:
        return
    config, names = desk.config, pki.hosts_of(certificate)
    findings = [*_missing_sts_names(config, names), *_missing_listen_names(config, names)]
    yield from findings or [ok(f"it is for {', '.join(names)}")]


def _missing_sts_names(config: Config, names: tuple[str, ...]) -> Iterator[Finding]:
    for name in config.tls.sts_names:
        if not pki.is_for(names, name):
            yield problem(
                f"it is not for {name}, which is in [tls] sts_names: clients that were told never "
                "to connect there without TLS cannot connect at all",
                f"{_RENEW} with a --host for each name",
            )


def _missing_listen_names(config: Config, names: tuple[str, ...]) -> Iterator[Finding]:
    hosts = [host for host, _ in (*config.server.listen, *config.websocket.listen)]
    advice = f"{_RENEW} with a --host for each name by which clients come"
    if not names:
        yield problem("it is for no name at all: no client can verify it", advice)
        return
    if all(map(is_loopback, hosts)):
        if not any(map(is_loopback, names)):
            yield warning(f"it is only for {', '.join(names)}, and not for localhost", advice)
        return
    if all(map(is_loopback, names)):
        yield warning("it is only for this machine itself, but others get to the relay", advice)
    for host in dict.fromkeys(hosts):
        if _is_name(host) and not is_loopback(host) and not pki.is_for(names, host):
            yield warning(f"it is not for {host}, where the relay listens", advice)


def _is_name(host: str) -> bool:
    with contextlib.suppress(PkiError):
        return isinstance(pki.parse_host(host), x509.DNSName)
    return False


def check_keys(desk: Desk) -> Iterator[Finding]:
    """Check who can read the key, and that of the CA if it is beside the certificate."""
    if os.name != "posix":
        yield ok("who can read them is not known on this system")
        return
    tls = desk.config.tls
    findings = [
        *_opened_to_others(tls.key, stat.S_IWGRP | stat.S_IRWXO, "0600 or 0640"),
        *_opened_to_others(
            pki.ca_files(tls.certificate.parent).key, stat.S_IRWXG | stat.S_IRWXO, "0600"
        ),
    ]
    yield from findings or [ok("nobody else can read them")]


def _opened_to_others(path: Path, forbidden: int, advised: str) -> Iterator[Finding]:
    with contextlib.suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & forbidden:
            yield problem(f"others get at {path} ({mode:04o})", f"chmod it to {advised}")


def check_authority(desk: Desk) -> Iterator[Finding]:
    """Check that invite links can bring the CA with them."""
    if (certificate := configured_certificate(desk.config)) is None:
        return
    authority = find_authority(desk.config.tls.certificate)
    if authority is None:
        issuer = certificate.issuer.rfc4514_string()
        yield ok(f"it is not here ({issuer}): only clients whose system knows it can connect")
    elif len(authority) > CA_BYTES:
        yield problem(
            f"it has {len(authority)} bytes, and is too long to be given to clients with an invite",
            "Make a smaller one: securechat-server cert make, in another folder",
        )
    elif not pki.is_authority(x509.load_pem_x509_certificate(authority)):
        yield problem(
            "the certificate has signed itself and is none of a CA: clients refuse it",
            "Move it away, then: securechat-server cert make",
        )
    else:
        yield ok("it is given to clients that come with an invite")
