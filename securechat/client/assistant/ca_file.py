"""The CA that a person has got, in a file most often: find it, look at it, say what is wrong.

A person compares the fingerprint with what the host has told. So what is not a CA, or not valid
now, is refused here, with words, and not by a handshake later.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from securechat.client.words.safe_text import make_safe
from securechat.errors import PkiError
from securechat.pki import ca_hash, fingerprint, is_authority

__all__ = [
    "CA_BYTES",
    "Authority",
    "CaFile",
    "complete_path",
    "describe_authority",
    "find_ca",
    "hashes_in",
    "read_ca",
]

CA_BYTES: Final = 1_048_576
"""The largest file that is looked at for a CA: the CAs of a whole system are a quarter of it."""

_FOLDER_ENTRIES: Final = 10_000
"""Most names of a folder that are looked at to complete one: it is done while somebody types."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA's certificate, to be looked at by a person. Immutable; ``name`` is safe."""

    name: str
    not_before: datetime
    not_after: datetime
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CaFile:
    """CAs, one at least. Immutable. ``path``: the file that holds them, all valid now; ``None``:
    they have come from a server, and its handshake will tell whether they are valid.
    """

    path: Path | None
    pem: bytes = field(repr=False)
    authorities: tuple[Authority, ...]


def read_ca(text: str, *, now: datetime) -> CaFile:
    """Return what is in the file ``text``, a path in which ``~`` is the home. Does file I/O.

    :param now: aware.
    :raises PkiError: there is no such file, or something in it is not the certificate of a CA that
        is valid now.
    """
    path = _as_path(text)
    try:
        if not path.is_file():  # also what would never end: a pipe, a device
            raise PkiError("there is no file {path}", path=make_safe(text))
        with path.open("rb") as file:
            pem = file.read(CA_BYTES + 1)
        certificates = x509.load_pem_x509_certificates(pem if len(pem) <= CA_BYTES else b"")
    except OSError as error:
        raise PkiError("the file cannot be read: {reason}", reason=error.strerror) from error
    except ValueError as error:
        raise PkiError("there is no certificate in this file (in PEM)") from error
    for certificate in certificates:
        _check_authority(certificate, now)
    return CaFile(path, pem, tuple(map(describe_authority, certificates)))


def find_ca(folder: Path) -> Path | None:
    """Return the CA that ``gen_certs.py`` has left below ``folder``, if it has. Does file I/O."""
    path = folder / "certs" / "ca.pem"
    try:
        return path if path.is_file() else None
    except OSError:
        return None


def complete_path(text: str) -> str | None:
    """Return ``text`` completed to the first path that begins so, if there is one; a folder ends in
    a slash. Does file I/O.
    """
    folder, start = os.path.split(text)
    if not start:
        return None
    try:
        with os.scandir(_as_path(folder) if folder else ".") as entries:
            found = {
                entry.name + (os.sep if entry.is_dir() else "")
                for entry in itertools.islice(entries, _FOLDER_ENTRIES)
                if entry.name.startswith(start) and entry.name.isprintable()
            }
    except (OSError, PkiError):
        return None
    return os.path.join(folder, min(found)) if found else None


def hashes_in(path: Path) -> frozenset[bytes]:
    """Return the hashes of the CAs in the file ``path``, valid or not; none if it cannot be read.
    Does file I/O.
    """
    try:
        return frozenset(map(ca_hash, x509.load_pem_x509_certificates(path.read_bytes())))
    except (OSError, ValueError):
        return frozenset()


def describe_authority(certificate: x509.Certificate) -> Authority:
    """Return what a person must know of a CA's certificate."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else certificate.subject.rfc4514_string()
    return Authority(
        make_safe(name),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        fingerprint(certificate),
    )


def _as_path(text: str) -> Path:
    try:
        if "\0" in text:
            raise ValueError
        return Path(text).expanduser()
    except (RuntimeError, ValueError) as error:  # RuntimeError: no such user
        raise PkiError("there is no file {path}", path=make_safe(text)) from error


def _check_authority(certificate: x509.Certificate, now: datetime) -> None:
    if not is_authority(certificate):
        raise PkiError(
            "this is a certificate, but not that of a CA: ask the person who runs the server for "
            "the CA certificate"
        )
    if now > certificate.not_valid_after_utc:
        end = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        raise PkiError("this CA has expired on {end}: ask for the new one", end=end)
    if now < certificate.not_valid_before_utc:
        start = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        raise PkiError("this CA is valid only from {start}: is the clock right?", start=start)
