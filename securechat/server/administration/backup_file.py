"""The file of a backup: a compressed tar with a manifest at its end.

The files in it have fixed names, whatever they are called where they come from, and no name that
is read from it is ever taken for a path. What has no manifest is not complete.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from securechat import __version__
from securechat.errors import StoreError
from securechat.store.database import store_errors

__all__ = [
    "CERTIFICATES",
    "CONFIGURATION",
    "DATABASE",
    "TEMPORARY_PREFIXES",
    "Manifest",
    "read_backup",
    "write_backup",
]

DATABASE: Final = "securechat.db"
CONFIGURATION: Final = "securechat.toml"
CERTIFICATES: Final = ("server.pem", "server-key.pem", "ca.pem", "ca-key.pem", "client-ca.pem")
"""What the certificates and keys are called in a backup."""

TEMPORARY_PREFIXES: Final = (".unfinished-backup-", ".unfinished-restore-", ".unfinished-copy-")
"""How the names of the folders begin in which a backup is made or unpacked, or a database copied,
beside the database: like no folder that a person would make."""

_MANIFEST: Final = "manifest.json"
_FORMAT: Final = 1
_NAMES: Final = frozenset({DATABASE, CONFIGURATION, *CERTIFICATES, _MANIFEST})

_SMALL_BYTES: Final = 1_048_576
"""Most bytes of any file but the database: chains of certificates have some thousands."""

_CHUNK_BYTES: Final = 1_048_576
"""What is in memory of the database at a time."""

_COMPRESSION: Final = 6
"""What gzip takes by itself: chat shrinks to a third, at some 30 MB a second."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. Immutable.

    ``version`` is that of the securechat that made it, ``schema`` that of the database in it,
    ``made`` the time in ISO 8601. ``files`` are the names of what is in it.
    """

    version: str
    schema: int
    made: str
    files: tuple[str, ...]


def write_backup(
    output: IO[bytes], files: Mapping[str, Path], *, schema: int, made: datetime
) -> None:
    """Write a backup of ``files``, by their names in it. Blocks.

    :raises StoreError: a file cannot be read, or the backup not be written.
    """
    hashes = {}
    made_s = int(made.timestamp())
    with (
        store_errors("write the backup"),
        gzip.GzipFile("", "wb", _COMPRESSION, output, made_s) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=_CHUNK_BYTES) as tar,
    ):
        for name, path in files.items():
            with store_errors(f"read {path}"), path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if name != DATABASE and size > _SMALL_BYTES:
                    raise StoreError("{path} is too large to be what it should be", path=path)
                hashes[name] = _add(tar, name, file, size, made_s)
        about = {
            "format": _FORMAT,
            "securechat": __version__,
            "schema": schema,
            "made": made.isoformat(timespec="seconds"),
            "files": hashes,
        }
        text = json.dumps(about, indent=2).encode()
        _add(tar, _MANIFEST, io.BytesIO(text), len(text), made_s)
    with store_errors("write the backup"):
        output.flush()


def read_backup(file: Path, folder: Path) -> Manifest:
    """Unpack a backup into ``folder``, which is empty, and check that all is as it was written.

    The files there have the names that they have in the backup, and can be read by their owner
    only. What the database holds is not looked at. Blocks.

    :raises StoreError: it cannot be read or unpacked, is no backup, is damaged, or was made by a
        newer version.
    """
    hashes: dict[str, str] = {}
    try:
        with store_errors(f"unpack {file}"), tarfile.open(file, "r|*") as tar:
            for member in tar:
                if member.name not in _NAMES or member.name in hashes:
                    raise _no_backup(file, f"there is no place for {member.name!r} in one")
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    raise _no_backup(file, f"{member.name} is not a file")
                if member.name != DATABASE and member.size > _SMALL_BYTES:
                    raise _no_backup(file, f"{member.name} is too large")
                packed = tar.extractfile(member)
                assert packed is not None
                hashes[member.name] = _unpack(packed, folder / member.name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _no_backup(file, str(error)) from error
    if hashes.pop(_MANIFEST, None) is None:
        raise _no_backup(file, "its end is missing")
    return _read_manifest(file, (folder / _MANIFEST).read_bytes(), hashes)


def _no_backup(file: Path, reason: str) -> StoreError:
    return StoreError("{file} is not a whole backup: {reason}", file=file, reason=reason)


def _read_manifest(file: Path, text: bytes, hashes: Mapping[str, str]) -> Manifest:
    try:
        about: dict[str, Any] = json.loads(text)
        format_, version = int(about["format"]), str(about["securechat"])
        if format_ > _FORMAT:
            raise StoreError(
                "{file} was made by securechat {version}, which is newer than this one",
                file=file,
                version=version,
            )
        schema, made = int(about["schema"]), str(about["made"])
        expected = {name: str(digest) for name, digest in dict(about["files"]).items()}
    except (ValueError, KeyError, TypeError) as error:
        raise _no_backup(file, "its manifest cannot be read") from error
    wrong = sorted({name for name, _ in expected.items() ^ hashes.items()})
    if wrong or DATABASE not in expected:
        raise _no_backup(file, f"not as it was written: {', '.join(wrong) or DATABASE}")
    return Manifest(version, schema, made, tuple(expected))


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int, made_s: int) -> str:
    """Put a file into the tar; return its SHA-256."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, made_s
    hashed = _Hashed(file)
    tar.addfile(info, hashed)
    return hashed.hexdigest()


def _unpack(packed: IO[bytes], place: Path) -> str:
    """Write a new file; return its SHA-256 once it is on the disk."""
    hashed = _Hashed(packed)
    descriptor = os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while chunk := hashed.read(_CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)
    return hashed.hexdigest()


class _Hashed:
    """A file that is read once, and its SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes of what is left."""
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def hexdigest(self) -> str:
        """Return the SHA-256 of what was read."""
        return self._hash.hexdigest()
