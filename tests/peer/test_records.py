from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.peer.records import (
    CHUNK_BYTES,
    CONTROL_BYTES,
    TEXT_BYTES,
    Ack,
    Chunk,
    ChunkAck,
    Close,
    FileAccept,
    FileDone,
    FileEnd,
    FileOffer,
    FileReceived,
    Hello,
    Pick,
    Ping,
    Pong,
    Ready,
    Record,
    RecordReader,
    Text,
    Typing,
    encode,
)

INCARNATION = "0123456789abcdef" * 2
DIGEST = "0123456789abcdef" * 4
MOST = 2**63 - 1

RECORDS: list[Record] = [
    Ready([1]),
    Ready([1, 2, MOST]),
    Pick(1),
    Hello(INCARNATION, "", 0),
    Hello(INCARNATION, INCARNATION[::-1], 7),
    Ack(3),
    Ping(),
    Pong(),
    Close(""),
    Close("bye\r\n\x1b\N{PILE OF POO}"),
    Text(1, "a", "message", "", 0),
    Text(MOST, "x" * 64, "action", "w\u00e4\N{PILE OF POO}\0\u2028\n", MOST),
    Text(2, "b", "notice", "\0" * TEXT_BYTES, 1),
    FileOffer(1, 0, "../\n\0", 0, 0),
    FileOffer(1, MOST, "x" * 1_000, MOST, MOST),
    FileAccept(1, 5, 0, ""),
    FileAccept(1, 5, 1, DIGEST),
    FileEnd(1, 5, "no"),
    FileDone(1, 5, DIGEST),
    FileReceived(1, 5, DIGEST),
    Chunk(5, 0, b"x"),
    Chunk(MOST, MOST, b"\0" * CHUNK_BYTES),
    ChunkAck(0, 0),
    ChunkAck(MOST, MOST),
    Typing("active"),
    Typing("paused"),
    Typing("done"),
]

EXAMPLES: dict[type, dict[str, Any]] = {
    Ready: {"versions": [1]},
    Pick: {"version": 1},
    Hello: {"me": INCARNATION, "you": "", "received": 0},
    Ack: {"received": 0},
    Close: {"reason": ""},
    Text: {"n": 1, "id": "a", "kind": "message", "text": "hi", "time_ms": 0},
    FileOffer: {"n": 1, "file": 5, "name": "a", "size": 0, "modified_ns": 0},
    FileAccept: {"n": 1, "file": 5, "offset": 0, "prefix": ""},
    FileEnd: {"n": 1, "file": 5, "reason": ""},
    FileDone: {"n": 1, "file": 5, "sha256": DIGEST},
    FileReceived: {"n": 1, "file": 5, "sha256": DIGEST},
    Typing: {"state": "done"},
}

NO_NUMBERS: list[Any] = [None, True, -1, 2**63, 1.0, 1e300, "1", [], {}, float("nan")]
NO_TEXTS: list[Any] = [None, 5, True, [], {}, "\ud800", "a\udfffb"]
NO_DIGESTS: list[Any] = [*NO_TEXTS, DIGEST[1:], DIGEST + "0", DIGEST.upper(), f"{DIGEST}\n"]
NO_SHORTS: list[Any] = [*NO_TEXTS, "x" * 1_001]
NO_WORDS: list[Any] = [*NO_TEXTS, "", "Message", "other"]

WRONG: dict[str, list[Any]] = {
    "n": [*NO_NUMBERS, 0],
    "version": NO_NUMBERS,
    "versions": [None, [], 1, {}, "1", [True], [-1], [[1]], [1] * 101],
    "me": [*NO_TEXTS, "", INCARNATION[1:], INCARNATION + "0", INCARNATION.upper()],
    "you": [*NO_TEXTS, INCARNATION[1:], f"{INCARNATION}\n"],
    "received": NO_NUMBERS,
    "reason": NO_SHORTS,
    "id": [*NO_TEXTS, "", "x" * 65],
    "kind": NO_WORDS,
    "text": [*NO_TEXTS, "x" * (TEXT_BYTES + 1), "\N{PILE OF POO}" * (TEXT_BYTES // 4 + 1)],
    "time_ms": NO_NUMBERS,
    "state": NO_WORDS,
    "file": NO_NUMBERS,
    "name": NO_SHORTS,
    "size": NO_NUMBERS,
    "modified_ns": NO_NUMBERS,
    "offset": NO_NUMBERS,
    "prefix": NO_DIGESTS,
    "sha256": [*NO_DIGESTS, ""],
}

WRONG_FIELDS = [
    pytest.param(kind, name, value, id=f"{kind.__name__}-{name}-{n}")
    for kind, example in EXAMPLES.items()
    for name in example
    for n, value in enumerate(WRONG[name])
]

BROKEN_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "two": b"{}{}",
    "a list": b"[]",
    "a number": b"5",
    "null": b"null",
    "a text": b'"received"',
    "deeply nested": b"[" * CONTROL_BYTES,
    "deeply nested in an unknown key": b'{"a":' * 800,
    "a very long number": b'{"received":' + b"9" * 4_000 + b"}",
    "a fraction": b'{"received":1.5}',
    "no number": b'{"received":NaN}',
    "infinite": b'{"received":1e999}',
    "half a pair, escaped": b'{"received":"\\ud800"}',
    "not UTF-8": b'{"received":5,"\xff":1}',
    "half a pair in UTF-8": b'{"received":5,"\xed\xa0\x80":1}',
    "UTF-16": '{"received":5}'.encode("utf-16"),
    "UTF-32": '{"received":5}'.encode("utf-32"),
    "UTF-8 with a mark": '{"received":5}'.encode("utf-8-sig"),
    "a key is missing": b'{"Received":5}',
    "the last of two counts": b'{"received":5,"received":-1}',
}

records_given = pytest.mark.parametrize(
    "record", RECORDS, ids=[f"{n}-{type(one).__name__}" for n, one in enumerate(RECORDS)]
)


def frame(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body), kind) + body


def frame_json(kind: type, values: dict[str, Any]) -> bytes:
    return frame(kind.KIND, json.dumps(values).encode())  # type: ignore[attr-defined]


def read(*pieces: bytes) -> list[Record]:
    reader = RecordReader()
    found: list[Record] = []
    for piece in pieces:
        reader.feed(piece)
        found += reader
    return found


# ---- there and back ----


def test_there_is_an_example_of_each_kind() -> None:
    assert {type(record) for record in RECORDS} == set(Record.__args__)  # type: ignore[attr-defined]
    assert set(EXAMPLES) == set(Record.__args__) - {Ping, Pong, Chunk, ChunkAck}  # type: ignore[attr-defined]


@records_given
def test_whole(record: Record) -> None:
    assert read(encode(record)) == [record]


@records_given
def test_in_small_pieces(record: Record) -> None:
    data = encode(record)
    step = max(1, len(data) // 200)
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    assert read(*pieces[:-1]) == []
    assert read(*pieces) == [record]


@records_given
def test_with_others_around(record: Record) -> None:
    data = encode(Ack(1)) + encode(record) + encode(Ack(2))
    assert read(data + b"\0") == [Ack(1), record, Ack(2)]


def test_all_in_one() -> None:
    assert read(b"".join(map(encode, RECORDS))) == RECORDS


def test_the_wire_format() -> None:
    assert encode(Ack(5)) == b'\0\0\0\x0e\x04{"received":5}'
    assert encode(Close("w\u00e4")) == b'\0\0\0\x10\x07{"reason":"w\xc3\xa4"}'
    assert encode(ChunkAck(1, 2)) == b"\0\0\0\x10\x21" + bytes(7) + b"\1" + bytes(7) + b"\2"
    assert encode(Chunk(1, 2, b"abc"))[-4:] == b"\2abc"


def test_unknown_keys_are_ignored() -> None:
    assert read(frame_json(Ack, {"received": 5, "new": {"deep": [1]}})) == [Ack(5)]


def test_unknown_kinds_from_128_on_are_skipped() -> None:
    data = frame(129, b"\xff") + frame(255, b"x" * CONTROL_BYTES) + encode(Ack(5))
    assert read(data) == [Ack(5)]
    assert read(*(bytes([byte]) for byte in data)) == [Ack(5)]


def test_what_is_not_taken_is_handed_on() -> None:
    reader = RecordReader()
    rest = encode(Ack(2)) + b"\0\0"
    reader.feed(encode(Ack(1)) + rest)
    assert reader.next() == Ack(1)
    assert reader.rest() == rest
    assert reader.rest() == b""
    assert reader.next() is None


# ---- what the other side must not say ----


@pytest.mark.parametrize(("kind", "name", "value"), WRONG_FIELDS)
def test_a_wrong_field(kind: type, name: str, value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        read(frame_json(kind, {**EXAMPLES[kind], name: value}))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, example in EXAMPLES.items() for name in example]
)
def test_a_missing_field(kind: type, name: str) -> None:
    example = dict(EXAMPLES[kind])
    assert len(read(frame_json(kind, example))) == 1
    del example[name]
    with pytest.raises(RemoteProtocolError, match=name):
        read(frame_json(kind, example))


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_a_broken_body(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(frame(Ack.KIND, body))


@pytest.mark.parametrize("kind", [Chunk, ChunkAck])
@pytest.mark.parametrize("size", [0, 15])
def test_a_binary_body_that_is_too_short(kind: type[Chunk] | type[ChunkAck], size: int) -> None:
    with pytest.raises(RemoteProtocolError, match="too short"):
        read(frame(kind.KIND, bytes(size)))


@pytest.mark.parametrize("kind", [Chunk, ChunkAck])
@pytest.mark.parametrize("numbers", [(2**63, 0), (0, 2**63), (2**64 - 1, 2**64 - 1)])
def test_a_binary_number_that_is_too_large(
    kind: type[Chunk] | type[ChunkAck], numbers: tuple[int, int]
) -> None:
    with pytest.raises(RemoteProtocolError, match="too large"):
        read(frame(kind.KIND, struct.pack(">QQ", *numbers) + b"x"))


def test_an_empty_chunk() -> None:
    with pytest.raises(RemoteProtocolError, match="empty"):
        read(frame(Chunk.KIND, bytes(16)))


@pytest.mark.parametrize("kind", [0, 8, 15, 22, 34, 127])
def test_an_unknown_kind(kind: int) -> None:
    with pytest.raises(RemoteProtocolError, match="unknown kind"):
        read(frame(kind, b"{}"))


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        *((kind.KIND, CONTROL_BYTES) for kind in EXAMPLES if kind is not Text),  # type: ignore[attr-defined]
        (Text.KIND, 6 * TEXT_BYTES + CONTROL_BYTES),
        (Chunk.KIND, 16 + CHUNK_BYTES),
        (200, CONTROL_BYTES),
    ],
)
def test_a_body_that_is_too_large_is_noticed_by_its_header(kind: int, limit: int) -> None:
    assert read(struct.pack(">IB", limit, kind)) == []
    with pytest.raises(RemoteProtocolError, match=str(limit + 1)):
        read(struct.pack(">IB", limit + 1, kind))


def test_what_is_behind_the_mistake_is_not_read() -> None:
    reader = RecordReader()
    reader.feed(encode(Ack(1)) + frame(Ack.KIND, b"[]") + encode(Ack(2)))
    assert reader.next() == Ack(1)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            reader.next()


# ---- what we must not say ----


@pytest.mark.parametrize(("kind", "name", "value"), WRONG_FIELDS)
def test_we_do_not_say_what_would_be_refused(kind: type, name: str, value: Any) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        encode(kind(**{**EXAMPLES[kind], name: value}))


@pytest.mark.parametrize(
    "record",
    [
        Chunk(5, 0, b""),
        Chunk(5, 0, bytes(CHUNK_BYTES + 1)),
        Chunk(-1, 0, b"x"),
        Chunk(0, 2**63, b"x"),
        ChunkAck(2**64, 0),
        ChunkAck(0, -1),
        Close("\x1b" * 1_000),  # as JSON it is six times as long
    ],
)
def test_nor_chunks_and_others_that_would_be(record: Record) -> None:
    with pytest.raises(LocalProtocolError):
        encode(record)


# ---- any bytes ----

NUMBERS = st.integers(0, MOST)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
DIGESTS = st.from_regex("[0-9a-f]{64}", fullmatch=True)
INCARNATIONS = st.from_regex("[0-9a-f]{32}", fullmatch=True)
COUNTS = st.integers(1, MOST)
ANY_RECORD: st.SearchStrategy[Record] = st.one_of(
    st.builds(Ready, st.lists(NUMBERS, min_size=1, max_size=5)),
    st.builds(Pick, NUMBERS),
    st.builds(Hello, INCARNATIONS, st.just("") | INCARNATIONS, NUMBERS),
    st.builds(Ack, NUMBERS),
    st.builds(Ping),
    st.builds(Pong),
    st.builds(Close, TEXTS),
    st.builds(
        Text,
        COUNTS,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64),
        st.sampled_from(["message", "notice", "action"]),
        TEXTS,
        NUMBERS,
    ),
    st.builds(FileOffer, COUNTS, NUMBERS, TEXTS, NUMBERS, NUMBERS),
    st.builds(FileAccept, COUNTS, NUMBERS, NUMBERS, st.just("") | DIGESTS),
    st.builds(FileEnd, COUNTS, NUMBERS, TEXTS),
    st.builds(FileDone, COUNTS, NUMBERS, DIGESTS),
    st.builds(FileReceived, COUNTS, NUMBERS, DIGESTS),
    st.builds(Chunk, NUMBERS, NUMBERS, st.binary(min_size=1, max_size=300)),
    st.builds(ChunkAck, NUMBERS, NUMBERS),
    st.builds(Typing, st.sampled_from(["active", "paused", "done"])),
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(sorted(WRONG)), JSON | st.just(DIGEST), max_size=6)
ANY_FRAME = st.builds(
    frame,
    st.integers(0, 255) | st.sampled_from([kind.KIND for kind in EXAMPLES]),  # type: ignore[attr-defined]
    st.binary(max_size=40) | FIELDS.map(lambda fields: json.dumps(fields).encode()),
)


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(records=st.lists(ANY_RECORD, max_size=6), data=st.data())
def test_any_records_any_cuts(records: list[Record], data: st.DataObject) -> None:
    assert read(*cut(data, b"".join(map(encode, records)))) == records


@given(
    pieces=st.lists(ANY_FRAME | st.binary(max_size=12) | ANY_RECORD.map(encode), max_size=6),
    data=st.data(),
)
def test_any_bytes_any_cuts(pieces: list[bytes], data: st.DataObject) -> None:
    """Records or ``RemoteProtocolError``, and the same ones however the bytes come."""
    stream = b"".join(pieces)

    def outcome(parts: list[bytes]) -> tuple[list[Record], bool]:
        reader = RecordReader()
        found: list[Record] = []
        try:
            for part in parts:
                reader.feed(part)
                while (record := reader.next()) is not None:
                    found.append(record)
        except RemoteProtocolError:
            return found, True
        return found, False

    whole = outcome([stream])
    assert outcome(cut(data, stream)) == whole
    assert all(read(encode(record)) == [record] for record in whole[0])


def test_single_bytes_take_no_more_memory_than_others() -> None:
    chunk = encode(Chunk(5, 0, bytes(CHUNK_BYTES)))
    reader = RecordReader()
    pieces = [chunk[at : at + 1] for at in range(100_000)]
    tracemalloc.start()
    try:
        for piece in pieces:
            reader.feed(piece)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * len(pieces)
    reader.feed(chunk[len(pieces) :])
    assert reader.next() == Chunk(5, 0, bytes(CHUNK_BYTES))


def test_what_was_taken_is_not_held() -> None:
    chunk = encode(Chunk(5, 0, bytes(CHUNK_BYTES)))
    reader = RecordReader()
    tracemalloc.start()
    try:
        for _ in range(20):
            for start in range(0, len(chunk), 65_536):
                reader.feed(chunk[start : start + 65_536])
                reader.next()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < CHUNK_BYTES
    assert peak < 4 * CHUNK_BYTES
