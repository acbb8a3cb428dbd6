"""What cuts streams of bytes: lines, records of peers, the first message of TLS.

The first byte of an input says how the rest is cut into reads. However that is, the same must come
out, and no more be kept than the limits say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from securechat.errors import RemoteProtocolError
from securechat.irc.framing import OVERLONG, LineBuffer, Overlong
from securechat.net.client_hello import CLIENT_HELLO_BYTES, ClientHelloReader
from securechat.peer.file_names import NAME_BYTES, safe_name
from securechat.peer.records import Chunk, FileOffer, Record, RecordReader, encode

__all__ = ["run_framing", "run_hello", "run_records"]

_SMALL: Final = ((9, 12), (0, 3), (4094, 510), (40, 510))
"""Limits in bytes, of tags and of the rest: small ones are reached by small inputs."""

_MOST_TWICE: Final = 100
"""What is longer is not read byte by byte."""


def _cut(data: bytes, how: int) -> Iterator[bytes]:
    """Cut ``data`` into reads, by a number below 64."""
    size = 1 + how % 16
    if how < 16 and len(data) <= _MOST_TWICE:
        size = 1
    growing = how >= 48
    start = 0
    while start < len(data):
        yield data[start : start + size]
        start += size
        size += growing * size


def run_framing(data: bytes) -> None:
    how = data[0] if data else 0
    tag_bytes, body_bytes = _SMALL[how % 4]
    stream = data[1:]
    whole = LineBuffer(tag_bytes=tag_bytes, body_bytes=body_bytes)
    buffer = LineBuffer(tag_bytes=tag_bytes, body_bytes=body_bytes)
    lines = whole.feed(stream)
    most = 1 + tag_bytes + 1 + body_bytes
    found: list[bytes | Overlong] = []
    for piece in _cut(stream, how // 4):
        found += buffer.feed(piece)
        assert len(buffer._tail) <= most
    assert found == lines
    assert buffer.feed(b"\nok\n")[-1] == whole.feed(b"\nok\n")[-1] == b"ok"
    for line in lines:
        if isinstance(line, Overlong):
            assert len(line.tag_data) <= tag_bytes
        elif len(line) > body_bytes:
            tags, _, body = line.partition(b" ")
            assert line[:1] == b"@"
            assert len(tags) - 1 <= tag_bytes
            assert len(body) <= body_bytes
    wanted = [line for line in stream.replace(b"\r", b"\n").split(b"\n")[:-1] if line]
    assert len(lines) - len(wanted) in (0, 1)  # and a tail that is too long
    for line, sent in zip(lines, wanted, strict=False):
        assert line in (OVERLONG, sent)


def _read(stream: bytes, how: int) -> tuple[list[Record], str]:
    """Return the records of a stream, and why it ended."""
    reader = RecordReader()
    found: list[Record] = []
    try:
        for piece in _cut(stream, how):
            reader.feed(piece)
            found += reader
    except RemoteProtocolError as error:
        return found, str(error)
    return found, ""


def _same(record: Record) -> Record:
    """Return the record with its data as bytes: views of other buffers are not equal."""
    if isinstance(record, Chunk):
        return Chunk(record.file, record.offset, bytes(record.data))
    return record


def run_records(data: bytes) -> None:
    how = data[0] % 64 if data else 0
    stream = data[1:]
    whole, ended = _read(stream, 63)
    cut, cut_ended = _read(stream, how)
    assert [*map(_same, cut)] == [*map(_same, whole)]
    assert cut_ended == ended
    for record in whole:
        again = RecordReader()
        again.feed(encode(record))
        (same,) = again
        assert _same(same) == _same(record)
        assert again.rest() == b""
        if isinstance(record, FileOffer):
            name = safe_name(record.name)
            assert safe_name(name) == name
            assert 0 < len(name.encode()) <= NAME_BYTES
            assert name not in (".", "..")
            assert not {"/", "\\", "\0", "\n"} & set(name)


def _greeting(stream: bytes, how: int) -> tuple[list[str] | None, str]:
    reader = ClientHelloReader()
    for piece in _cut(stream, how):
        found = reader.feed(piece)
        assert len(reader._record) + len(reader._message) <= CLIENT_HELLO_BYTES + len(piece) + 5
        if found is not None:
            return found, reader.server_name
    return None, reader.server_name


def run_hello(data: bytes) -> None:
    how = data[0] % 48 if data else 0
    stream = data[1 : 2 * CLIENT_HELLO_BYTES]
    whole, cut = _greeting(stream, 63), _greeting(stream, how)
    # What goes on after nonsense is found to be that is up to the cut.
    assert cut == whole or None in (cut[0], whole[0]) or cut[0] == [] or whole[0] == []
