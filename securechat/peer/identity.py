"""Who we are as a device: a key and a self-signed certificate, made on first use, then kept.

The fingerprint of the certificate is what contacts pin. So the files are never replaced here: where
they are broken, the user decides between a copy of them and a new device.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from securechat.errors import PkiError
from securechat.irc.peering import fingerprint_of
from securechat.pki import PairFiles, device_files, left_key, load_pair, make_device, save_pair

__all__ = ["Device", "default_folder", "load_device"]

_RACES: Final = 2
"""How often another process can be faster: once with the key, once with a certificate for it."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device of ours. Immutable. The certificate is in DER, the files are in PEM."""

    certificate: bytes
    fingerprint: str
    files: PairFiles


def default_folder() -> Path:
    """Return where this user's device and known peers are kept, unless another folder is named.

    :raises PkiError: the user has no home.
    """
    try:
        if sys.platform == "win32":
            # Not "Roaming": a device is one machine.
            local = os.environ.get("LOCALAPPDATA")
            data = Path(local) if local else Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            data = Path.home() / "Library" / "Application Support"
        else:
            # XDG Base Directory Specification: a relative path is invalid and to be ignored.
            data = Path(os.environ.get("XDG_DATA_HOME", ""))
            if not data.is_absolute():
                data = Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise PkiError("there is no home folder in which to keep this device's key") from error
    return data / "securechat"


def load_device(folder: Path) -> Device:
    """Return the device whose files are in ``folder``; make the folder and the files if need be.

    Safe from any thread, and from several processes at once: all get the same device. Does file
    I/O.

    :raises PkiError: a file cannot be read or written, the two do not match, or the key is open to
        other users; the text says what to do.
    """
    files = device_files(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PkiError(
            "cannot make the folder {folder}: {reason}", folder=folder, reason=error.strerror
        ) from error
    _make_missing(files)
    with _advice():
        pair = load_pair(files)
    _check_private(files.key)
    certificate = pair.certificate.public_bytes(Encoding.DER)
    return Device(certificate, fingerprint_of(certificate), files)


def _make_missing(files: PairFiles) -> None:
    for races in range(_RACES + 1):
        if os.path.lexists(files.certificate):
            return
        with _advice():
            key = left_key(files)
        try:
            save_pair(make_device(key=key), files)
        except PkiError:
            if races == _RACES:
                raise


@contextlib.contextmanager
def _advice() -> Iterator[None]:
    """Add to an error of reading what can be done about it."""
    try:
        yield
    except PkiError as error:
        raise PkiError(
            "the identity of this device cannot be used ({error}); put both files back from a "
            "copy, or remove both: then a new device is made, which your contacts must accept",
            error=error,
        ) from error


def _check_private(key: Path) -> None:
    # Not mended in silence: whoever could read the key may have a copy of it, and a copy is as good
    # as the device. Only the user can know.
    if os.name == "posix" and key.stat().st_mode & 0o077:
        raise PkiError(
            "{key} is open to other users of this machine: if none of them has read it, give it "
            "the mode 600; otherwise remove both files, and a new device is made",
            key=key,
        )
