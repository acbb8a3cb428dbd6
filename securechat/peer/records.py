"""What peers say on a path: bytes ↔ records. The format is in the package's docstring.

Sans-I/O: no socket, thread, clock or chance. What comes from the other side raises
``RemoteProtocolError`` and nothing else, whatever it is.
"""

from __future__ import annotations

import json
import re
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, ClassVar, Final, Literal

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.values import value

__all__ = [
    "ALPN",
    "CHUNK_BYTES",
    "CONTROL_BYTES",
    "TEXT_BYTES",
    "VERSION",
    "Ack",
    "Chunk",
    "ChunkAck",
    "Close",
    "FileAccept",
    "FileDone",
    "FileEnd",
    "FileOffer",
    "FileReceived",
    "Hello",
    "Numbered",
    "Pick",
    "Ping",
    "Pong",
    "Ready",
    "Record",
    "RecordReader",
    "Text",
    "Typing",
    "encode",
]

ALPN: Final = "securechat-peer"
"""The application protocol of a path (RFC 7301)."""

VERSION: Final = 1
"""Of this format. READY tells which ones a side knows, PICK which one it is."""

CONTROL_BYTES: Final = 4_096
"""Largest body of a record that has no limit of its own: names, numbers and reasons."""

TEXT_BYTES: Final = 65_536
"""Longest text of one message, in bytes: some thirty pages."""

_TEXT_BODY_BYTES: Final = 6 * TEXT_BYTES + CONTROL_BYTES
"""Largest body of a TEXT: JSON may write a character of one byte as six."""

CHUNK_BYTES: Final = 1_048_576
"""Most of a file in one record: as much as is read from the disk at a time on a fast path, so that
what each chunk costs besides its bytes does not count. A text that waits behind one waits 4 ms."""

_HEADER: Final = struct.Struct(">IB")
_CHUNK_HEAD: Final = struct.Struct(">QQ")
_FIRST_SKIPPED: Final = 128
"""Kinds from here on may be left out by who does not know them."""

_PIECE_LEAST: Final = 4_096
"""A smaller piece of a stream is joined to the next one, in bytes: each takes some 200 beside its
own, and who sends single bytes is not to fill our memory with that."""

_INCARNATION: Final = re.compile(r"[0-9a-f]{32}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FORBIDDEN: Final = re.compile("[\ud800-\udfff]")

_MOST: Final = 2**63 - 1
"""Largest number in a record: what SQLite and files can hold too."""

TextKind = Literal["message", "notice", "action"]


# ---- what a field may be ----

_Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


def _is_text(value: Any) -> bool:
    return type(value) is str and not _FORBIDDEN.search(value)


def _is_said(value: Any) -> bool:
    return _is_text(value) and len(value.encode()) <= TEXT_BYTES


def _is_short(value: Any) -> bool:
    return _is_text(value) and len(value) <= 1_000


def _is_incarnation(value: Any) -> bool:
    return type(value) is str and _INCARNATION.fullmatch(value) is not None


def _is_digest(value: Any) -> bool:
    return type(value) is str and _DIGEST.fullmatch(value) is not None


def _is_versions(value: Any) -> bool:
    return type(value) is list and 0 < len(value) <= 100 and all(map(_is_number, value))


_CHECKS: Final[dict[str, _Check]] = {
    "n": lambda value: _is_number(value) and value > 0,
    "version": _is_number,
    "versions": _is_versions,
    "me": _is_incarnation,
    "you": lambda value: value == "" or _is_incarnation(value),
    "received": _is_number,
    "reason": _is_short,
    "id": lambda value: _is_text(value) and 0 < len(value) <= 64,
    "kind": lambda value: value in ("message", "notice", "action"),
    "text": _is_said,
    "time_ms": _is_number,
    "state": lambda value: value in ("active", "paused", "done"),
    "file": _is_number,
    "name": _is_short,
    "size": _is_number,
    "modified_ns": _is_number,
    "offset": _is_number,
    "prefix": lambda value: value == "" or _is_digest(value),
    "sha256": _is_digest,
    "data": lambda value: len(value) > 0,
}
"""Each field by its name: whether a value from the other side can be one."""


# ---- the records ----


@value
class _Record:
    """A record. Immutable. ``KIND`` is its number on the wire, ``LIMIT`` that of its body."""

    KIND: ClassVar[int]
    LIMIT: ClassVar[int] = CONTROL_BYTES


@value
class Ready(_Record):
    """The answerer can use this path, and knows these versions of the format."""

    KIND = 1
    versions: list[int]


@value
class Pick(_Record):
    """The offerer takes this path, with that version."""

    KIND = 2
    version: int


@value
class Hello(_Record):
    """The first of a session on a path; ``you`` is empty where we know no incarnation."""

    KIND = 3
    me: str
    you: str
    received: int


@value
class Ack(_Record):
    """So many numbered records have been received."""

    KIND = 4
    received: int


@value
class Ping(_Record):
    """Are you there?"""

    KIND = 5


@value
class Pong(_Record):
    """Yes."""

    KIND = 6


@value
class Close(_Record):
    """The session is over; nothing follows."""

    KIND = 7
    reason: str


@value
class Numbered(_Record):
    """A record that arrives once and in order, whatever becomes of the paths."""

    n: int


@value
class Text(Numbered):
    """Somebody says something. ``id`` is the sender's own name for it."""

    KIND = 16
    LIMIT = _TEXT_BODY_BYTES
    id: str
    kind: TextKind
    text: str
    time_ms: int


@value
class FileOffer(Numbered):
    """A file can be had: its ``file`` number, chosen by its sender, names it from here on."""

    KIND = 17
    file: int
    name: str
    size: int
    modified_ns: int


@value
class FileAccept(Numbered):
    """Send it from ``offset`` on; what is before has the SHA-256 ``prefix`` (empty at 0)."""

    KIND = 18
    file: int
    offset: int
    prefix: str


@value
class FileEnd(Numbered):
    """No, or no more: declined, cancelled or failed, by either side."""

    KIND = 19
    file: int
    reason: str


@value
class FileDone(Numbered):
    """All of it has been sent; the whole has this SHA-256."""

    KIND = 20
    file: int
    sha256: str


@value
class FileReceived(Numbered):
    """All of it has been received and is kept; the whole has this SHA-256."""

    KIND = 21
    file: int
    sha256: str


@value
class Chunk(_Record):
    """A piece of a file."""

    KIND = 32
    LIMIT = _CHUNK_HEAD.size + CHUNK_BYTES
    file: int
    offset: int
    data: bytes | memoryview


@value
class ChunkAck(_Record):
    """The file has arrived, and is written, up to ``offset``."""

    KIND = 33
    file: int
    offset: int


@value
class Typing(_Record):
    """Whether the other one is typing."""

    KIND = 128
    state: Literal["active", "paused", "done"]


Record = (
    Ready
    | Pick
    | Hello
    | Ack
    | Ping
    | Pong
    | Close
    | Text
    | FileOffer
    | FileAccept
    | FileEnd
    | FileDone
    | FileReceived
    | Chunk
    | ChunkAck
    | Typing
)

_KINDS: Final[dict[int, type[Record]]] = {
    kind.KIND: kind
    for kind in (
        Ready,
        Pick,
        Hello,
        Ack,
        Ping,
        Pong,
        Close,
        Text,
        FileOffer,
        FileAccept,
        FileEnd,
        FileDone,
        FileReceived,
        Chunk,
        ChunkAck,
        Typing,
    )
}

_FIELDS: Final = {
    kind: tuple((field.name, _CHECKS[field.name]) for field in fields(kind))
    for kind in _KINDS.values()
}


def encode(record: Record) -> bytes:
    """Return the bytes of a record.

    :raises LocalProtocolError: it is too large, or a value cannot be said.
    """
    parts = _body_parts(record)
    size = sum(map(len, parts))
    if size > record.LIMIT:
        raise LocalProtocolError(
            "too large for a {kind}: {size} bytes", kind=type(record).__name__, size=size
        )
    # Joined once: to copy the data of chunks is most of the work here.
    return b"".join([_HEADER.pack(size, record.KIND), *parts])


def _body_parts(record: Record) -> list[bytes | memoryview]:
    values = {name: getattr(record, name) for name, _ in _FIELDS[type(record)]}
    wrong = [name for name, check in _FIELDS[type(record)] if not check(values[name])]
    if wrong:
        raise LocalProtocolError(
            "not allowed in a {kind}: {wrong}", kind=type(record).__name__, wrong=wrong[0]
        )
    if isinstance(record, Chunk):
        return [_CHUNK_HEAD.pack(record.file, record.offset), record.data]
    if isinstance(record, ChunkAck):
        return [_CHUNK_HEAD.pack(record.file, record.offset)]
    return [json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()]


class RecordReader:
    """Cuts a stream into records. Owned by the thread of its path.

    Holds at most one record that is not complete yet, and what has come behind it in one read. The
    data of a chunk is copied once, or not at all: it may be a view of what was fed.
    """

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()  # of the stream, not taken yet
        self._size = 0  # of all of them

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self._size += len(data)
        if self._pieces and len(self._pieces[-1]) < _PIECE_LEAST:
            data = b"".join([self._pieces.pop(), data])
        self._pieces.append(memoryview(data))

    def next(self) -> Record | None:
        """Return the next record, ``None`` if it is not complete.

        :raises RemoteProtocolError: it is too large, of an unknown kind, or not what its kind is.
        """
        while self._size >= _HEADER.size:
            size, number = _HEADER.unpack(self._first(_HEADER.size))
            kind = _KINDS.get(number)
            limit = kind.LIMIT if kind is not None else CONTROL_BYTES
            if kind is None and number < _FIRST_SKIPPED:
                raise RemoteProtocolError("a record of unknown kind {number}", number=number)
            if size > limit:
                raise RemoteProtocolError(
                    "a record of kind {number} with {size} bytes", number=number, size=size
                )
            end = _HEADER.size + size
            if self._size < end:
                return None
            body = self._first(end)[_HEADER.size :]
            record = _decode(kind, body) if kind is not None else None
            self._drop(end)
            if record is not None:
                return record
        return None

    def __iter__(self) -> Iterator[Record]:
        """Yield the records that are complete."""
        while (record := self.next()) is not None:
            yield record

    def rest(self) -> bytes:
        """Return what is not taken yet, and forget it: for who reads on."""
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return rest

    def _first(self, size: int) -> memoryview:
        """Return the first ``size`` bytes, which are here, and are one piece from then on."""
        if len(self._pieces[0]) < size:
            parts: list[memoryview] = []
            missing = size
            while missing:
                piece = self._pieces.popleft()
                if len(piece) > missing:
                    self._pieces.appendleft(piece[missing:])
                parts.append(piece[:missing])
                missing -= len(parts[-1])
            self._pieces.appendleft(memoryview(b"".join(parts)))
        return self._pieces[0][:size]

    def _drop(self, size: int) -> None:
        """Forget what ``_first`` has returned."""
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
        self._size -= size


def _decode(kind: type[Record], body: memoryview) -> Record:
    if kind is Chunk or kind is ChunkAck:
        return _decode_binary(kind, body)
    try:
        values = json.loads(str(body, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError("a {kind} that is not JSON", kind=kind.__name__) from error
    if type(values) is not dict:
        raise RemoteProtocolError("a {kind} that is not an object", kind=kind.__name__)
    found = {}
    for name, check in _FIELDS[kind]:
        if name not in values or not check(values[name]):
            raise RemoteProtocolError(
                "a {kind} without a usable {name!r}", kind=kind.__name__, name=name
            )
        found[name] = values[name]
    return kind(**found)


def _decode_binary(kind: type[Chunk] | type[ChunkAck], body: memoryview) -> Chunk | ChunkAck:
    if len(body) < _CHUNK_HEAD.size:
        raise RemoteProtocolError("a {kind} that is too short", kind=kind.__name__)
    file, offset = _CHUNK_HEAD.unpack_from(body)
    if max(file, offset) > _MOST:
        raise RemoteProtocolError("a {kind} with a number that is too large", kind=kind.__name__)
    if kind is ChunkAck:
        return ChunkAck(file, offset)
    if len(body) == _CHUNK_HEAD.size:
        raise RemoteProtocolError("an empty chunk")
    return Chunk(file, offset, body[_CHUNK_HEAD.size :])
