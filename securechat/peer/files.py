"""The files of transfers, on the disk: one that is sent, one that arrives. All of it blocks.

Both sides keep the SHA-256 of what is before their position. Python cannot store the state of a
hash, so to go on with a file after a restart means to read again what is there and hash that. It
costs a second for each GB or so, and it proves what *is* on the disk: a part that was damaged, say
by a loss of power, is found before anything is added to it. So nothing is flushed to the disk
before the end; a part that was written survives the end of the process in any case.

A file that arrives is ``<folder>/.securechat-partial/<key>.part`` until it is whole. Beside it is
``<key>.json``, which says what it is part of; a part without that is worth nothing. The key is a
hash, so no name from the other side touches the disk before ``file_names`` has made it harmless.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from securechat.errors import SecureChatError, StoreError, gettext_noop
from securechat.peer.file_names import place
from securechat.peer.records import FileOffer
from securechat.peer.window import CHUNK_LEAST, WINDOW_MOST

__all__ = [
    "CHANGED",
    "DAMAGED",
    "HASH_STEP_BYTES",
    "NO_ROOM",
    "PARTIAL_DAYS",
    "PARTIAL_FOLDER",
    "Block",
    "Description",
    "FileFailed",
    "IncomingFile",
    "OutgoingFile",
    "Partial",
    "Prefix",
    "find_partial",
]

HASH_STEP_BYTES: Final = 33_554_432
"""How much is hashed in one go, in bytes: some 30 ms of work, after which it is others' turn."""

PARTIAL_FOLDER: Final = ".securechat-partial"
"""Where the parts of files are kept, inside the folder that the whole ones will be in."""

PARTIAL_DAYS: Final = 14
"""How long a part is kept, in days after it was last written: who goes on holiday finds it there,
and who has forgotten it need not tidy up."""

CHANGED: Final = gettext_noop("the file has changed while it was sent")
DAMAGED: Final = gettext_noop("the file arrived damaged")
NO_ROOM: Final = gettext_noop("there is not enough room for it")

_NOT_READ: Final = gettext_noop("it cannot be read: {reason}")
_NOT_STORED: Final = gettext_noop("it cannot be stored: {reason}")

_READ_BYTES: Final = 1_048_576
"""How much is read at a time to be hashed."""

_PASSED: Final = WINDOW_MOST // CHUNK_LEAST
"""Positions of a file that is sent whose hash is kept, so that a loss of the path does not mean to
hash all of it again: as many as reads that may not be acknowledged. Each costs some 300 bytes."""

_SIDECAR_BYTES: Final = 16_384
"""Most that is read of a sidecar: an offer fits 4 KiB, and here a character may be ``\\uxxxx``."""

_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NO_BLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
"""Flags that not every system has."""


class FileFailed(SecureChatError):
    """A file cannot be read, written or kept.

    ``str()`` may be told to both sides: it names no path, and fits either.
    """


class Prefix(NamedTuple):
    """The first ``size_bytes`` of a file, and their SHA-256 (empty for none of them)."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Description:
    """A file that can be sent. Immutable."""

    name: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Block:
    """The next chunks of a file, and after the last of them the SHA-256 of the whole. Immutable."""

    chunks: Sequence[memoryview]
    sha256: str


@dataclass(frozen=True, slots=True)
class Partial:
    """What there is of a file, and whether the user wants it still. Immutable."""

    size_bytes: int = 0
    file: int = -1
    accepted: bool = False


class _HashedFile:
    """An open file, and the SHA-256 of what is before the position in it."""

    def __init__(self) -> None:
        self._raw: io.FileIO | None = None
        self._hash = hashlib.sha256()
        self._position = 0
        self._goal = 0  # of ``catch_up``

    @property
    def _opened(self) -> io.FileIO:
        assert self._raw is not None, "not opened"
        return self._raw

    def catch_up(self) -> Prefix | None:
        """Hash on, to where the file was opened or rewound to; ``None``: call again for the rest.

        :raises FileFailed: it cannot be read, or is shorter.
        """
        end = min(self._goal, self._position + HASH_STEP_BYTES)
        while self._position < end:
            self._read(min(_READ_BYTES, end - self._position))
        return self._prefix() if self._position == self._goal else None

    def _read(self, size_bytes: int) -> bytes:
        with _telling(_NOT_READ):
            data = self._opened.read(size_bytes)
        if not data:
            raise FileFailed(CHANGED)
        self._hash.update(data)
        self._position += len(data)
        return data

    def _prefix(self) -> Prefix:
        return Prefix(self._position, self._hash.hexdigest() if self._position else "")


class OutgoingFile(_HashedFile):
    """A file that is sent. Owned by the disk thread; making one does no I/O.

    It stays open from the offer to the end: one that is removed, or replaced by another, is still
    sent as it was offered. One that is *changed* is not sent to its end.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._identity = (0, 0)
        self._passed: deque[tuple[int, hashlib._Hash]] = deque(maxlen=_PASSED)

    def open(self) -> Description:
        """Open it.

        :raises FileFailed: it cannot be read, or is no regular file.
        """
        with _telling(_NOT_READ):
            # A pipe would block until somebody writes to it.
            self._raw = io.FileIO(self._path, "rb", opener=_opener(_NO_BLOCK))
            status = os.fstat(self._raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise FileFailed("it is not a regular file")
        self._identity = (status.st_size, status.st_mtime_ns)
        name = os.fsencode(self._path.name).decode(errors="replace")
        return Description(name, status.st_size, max(0, status.st_mtime_ns))

    def rewind(self, offset: int) -> Prefix | None:
        """Go to ``offset``, which is no more than the size; ``None``: ``catch_up`` goes the rest.

        :raises FileFailed: it cannot be read, or has changed.
        """
        self._check_unchanged()
        self._pass()
        while self._passed and self._passed[-1][0] > offset:
            self._passed.pop()
        self._position, known = self._passed[-1] if self._passed else (0, hashlib.sha256())
        self._hash = known.copy()
        self._goal = offset
        with _telling(_NOT_READ):
            self._opened.seek(self._position)
        return self.catch_up()

    def read(self, size_bytes: int, chunk_bytes: int) -> Block:
        """Return the next ``size_bytes``, less at the end, in pieces of ``chunk_bytes`` at most.

        :raises FileFailed: it cannot be read, or has changed.
        """
        self._pass()
        size = self._identity[0]
        end = min(size, self._position + size_bytes)
        chunks: list[memoryview] = []
        while self._position < end:
            # One large read, hashed at once: each step of these waits for the interpreter's lock.
            data = memoryview(self._read(end - self._position))
            chunks += [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
        if self._position < size:
            return Block(chunks, "")
        self._check_unchanged()
        return Block(chunks, self._hash.hexdigest())

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._raw is not None:
            self._raw.close()

    def _pass(self) -> None:
        if not self._passed or self._passed[-1][0] < self._position:
            self._passed.append((self._position, self._hash.copy()))

    def _check_unchanged(self) -> None:
        with _telling(_NOT_READ):
            status = os.fstat(self._opened.fileno())
        if (status.st_size, status.st_mtime_ns) != self._identity:
            raise FileFailed(CHANGED)


class IncomingFile(_HashedFile):
    """A file that arrives. Owned by the disk thread; making one does no I/O.

    :param folder: where it will be.
    :param account: whose offer it is.
    """

    def __init__(self, folder: Path, account: str, offer: FileOffer) -> None:
        super().__init__()
        self._folder = folder
        self._sidecar = _Sidecar.of(account, offer)
        self._parts = folder / PARTIAL_FOLDER
        self._part = self._parts / f"{self._sidecar.key}.part"

    def open(self) -> Prefix | None:
        """Open the part that there is, or begin one; ``None``: ``catch_up`` reads it to its end.

        The folder is made if it is missing, but not the one that it is in: that may be a mistake.

        :raises FileFailed: it cannot be read or written, or there is no room for the rest.
        """
        with _telling(_NOT_STORED):
            self._folder.mkdir(exist_ok=True)
            _make_private(self._parts)
            _remove_old(self._parts)
            known = _read_partial(self._parts, self._sidecar)
            if self._sidecar.size - known.size_bytes > shutil.disk_usage(self._folder).free:
                raise FileFailed(NO_ROOM)
            self._raw = io.FileIO(self._part, "rb+", opener=_opener(os.O_CREAT | _NO_FOLLOW))
            self._raw.truncate(known.size_bytes)  # from now on it is not an old one, in any case
            self._sidecar.write(self._parts)
        self._goal = known.size_bytes
        return self.catch_up()

    def write(self, chunks: Sequence[bytes | memoryview]) -> Prefix:
        """Add to it; return what there is now.

        :raises FileFailed: it cannot be written. Some may have been.
        """
        for data in chunks:
            rest = memoryview(data)
            with _telling(_NOT_STORED):
                while rest:  # a full disk may take a part; the next call tells why
                    rest = rest[self._opened.write(rest) :]
            self._hash.update(data)
            self._position += len(data)
        return self._prefix()

    def restart(self) -> Prefix:
        """Throw away what there is, and begin at 0.

        :raises FileFailed: it cannot be written.
        """
        with _telling(_NOT_STORED):
            self._opened.truncate(0)
            self._opened.seek(0)
        self._hash = hashlib.sha256()
        self._position = 0
        return self._prefix()

    def finish(self, sha256: str, name: str) -> Path | None:
        """Put it where it shall be, safe on the disk, under ``name`` or one like it; return where.

        :param sha256: what it must have; else it is thrown away, and ``None`` is returned.
        :raises FileFailed: it cannot be put there.
        """
        with _telling(_NOT_STORED):
            if self._hash.hexdigest() != sha256:
                self._opened.close()
                self._remove()
                return None
            os.fsync(self._opened.fileno())
            self._opened.close()
            path = self._move(name)
            _sync_folder(self._folder)
            self._remove()
        return path

    def close(self, *, wanted: bool) -> None:
        """Close it, if it was opened. What there is stays for another try, if it is anything.

        :param wanted: whether the user still wants it.
        :raises FileFailed: that cannot be written down.
        """
        if self._raw is None or self._raw.closed:
            return
        with _telling(_NOT_STORED):
            empty = os.fstat(self._raw.fileno()).st_size == 0
            self._raw.close()
            if empty:
                self._remove()
            elif not wanted:
                replace(self._sidecar, accepted=False).write(self._parts)

    def _move(self, name: str) -> Path:
        try:
            path = place(self._folder, name)
        except StoreError as error:
            raise FileFailed("it cannot be stored: there is no place for it") from error
        try:
            os.replace(self._part, path)
        except OSError:
            path.unlink(missing_ok=True)  # the empty file that kept the place
            raise
        return path

    def _remove(self) -> None:
        self._sidecar.path(self._parts).unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)


def find_partial(folder: Path, account: str, offer: FileOffer) -> Partial:
    """Return what there is of the offered file in ``folder``. Parts that are too old go.

    :raises FileFailed: it cannot be read.
    """
    parts = folder / PARTIAL_FOLDER
    with _telling(_NOT_READ):
        if not parts.is_dir():
            return Partial()
        _make_private(parts)
        _remove_old(parts)
        return _read_partial(parts, _Sidecar.of(account, offer))


# ---- parts and their sidecars ----


@dataclass(frozen=True, slots=True)
class _Sidecar:
    """What a part is a part of. Immutable. ``name`` is the other side's, harmful as it may be."""

    account: str
    file: int
    name: str
    size: int
    modified_ns: int
    accepted: bool

    @classmethod
    def of(cls, account: str, offer: FileOffer) -> _Sidecar:
        return cls(account, offer.file, offer.name, offer.size, offer.modified_ns, True)

    @property
    def key(self) -> str:
        """The same for each offer of the file: ``file`` is another in each life of a client."""
        parts = json.dumps([self.account, self.name, self.size, self.modified_ns])
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    def path(self, parts: Path) -> Path:
        return parts / f"{self.key}.json"

    def write(self, parts: Path) -> None:
        path = self.path(parts)
        draft = path.with_suffix(".new")
        with io.FileIO(draft, "wb", opener=_opener(_NO_FOLLOW)) as file:
            file.write(json.dumps(asdict(self)).encode())
        os.replace(draft, path)


def _read_partial(parts: Path, wanted: _Sidecar) -> Partial:
    try:
        with io.FileIO(wanted.path(parts), "rb", opener=_opener(_NO_FOLLOW)) as file:
            found = _Sidecar(**json.loads(file.read(_SIDECAR_BYTES)))
        size = (parts / f"{wanted.key}.part").lstat().st_size
    except (FileNotFoundError, ValueError, TypeError):  # none; or a sidecar that was cut short
        return Partial()
    if replace(found, file=wanted.file, accepted=True) != wanted or size > wanted.size:
        return Partial()
    return Partial(size, found.file, found.accepted is True)


def _make_private(parts: Path) -> None:
    parts.mkdir(mode=0o700, exist_ok=True)
    status = parts.lstat()
    # In a folder like /tmp somebody else may have been faster.
    ours = os.name != "posix" or status.st_uid == os.geteuid()
    if not stat.S_ISDIR(status.st_mode) or not ours:
        raise FileFailed("it cannot be stored: the folder for parts of files is not ours")


def _remove_old(parts: Path) -> None:
    oldest = time.time() - PARTIAL_DAYS * 86_400
    for path in parts.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another client of ours was faster
            if path.lstat().st_mtime < oldest:
                path.unlink()


# ---- the system ----


@contextlib.contextmanager
def _telling(failure: str) -> Iterator[None]:
    """Turn an error of the system into one that can be told: without the path."""
    try:
        yield
    except OSError as error:
        raise FileFailed(failure, reason=error.strerror or type(error).__name__) from error


def _opener(flags: int) -> Callable[[str, int], int]:
    """Return what opens a file with these flags beside those of its mode, for this user alone."""
    return lambda path, of_mode: os.open(path, of_mode | flags, 0o600)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # a folder cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
