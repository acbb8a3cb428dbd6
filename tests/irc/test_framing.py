from __future__ import annotations

import tracemalloc

import pytest

from securechat.irc.framing import OVERLONG, SERVER_TAG_DATA_BYTES, LineBuffer, Overlong
from securechat.irc.message import BODY_BYTES
from securechat.irc.tags import CLIENT_TAG_DATA_BYTES

Lines = list[bytes | Overlong]

TAG_BYTES = 8
BODY = 10
# The most that a legal line can have: "@", the tag data, a space, the body.
LINE_BYTES = 1 + TAG_BYTES + 1 + BODY

PIECE_BYTES = 16_384

CASES: dict[str, tuple[bytes, Lines]] = {
    "cr lf": (b"PING a\r\n", [b"PING a"]),
    "lf alone": (b"PING a\n", [b"PING a"]),
    "cr alone": (b"PING a\r", [b"PING a"]),
    "lf cr": (b"PING a\n\rPING b\n\r", [b"PING a", b"PING b"]),
    "several": (b"A\r\nB\nC\rD\r\n", [b"A", b"B", b"C", b"D"]),
    "empty lines": (b"\r\n\r\n\n\n\r\rA\r\n\r\n", [b"A"]),
    "only spaces": (b"  \r\n", [b"  "]),
    "not utf-8": (b"A \xff\xfe\r\n", [b"A \xff\xfe"]),
    "nul": (b"A \0\r\n", [b"A \0"]),
    "longest body": (b"x" * BODY + b"\r\n", [b"x" * BODY]),
    "body too long": (b"x" * (BODY + 1) + b"\r\n", [OVERLONG]),
    "as long as a line with tags": (b"x" * LINE_BYTES + b"\r\n", [OVERLONG]),
    "longer than any line": (b"x" * (LINE_BYTES + 1) + b"\r\n", [OVERLONG]),
    "many times too long": (b"x" * (9 * LINE_BYTES) + b"\r\n", [OVERLONG]),
    "longest line with tags": (
        b"@" + b"t" * TAG_BYTES + b" " + b"x" * BODY + b"\r\n",
        [b"@" + b"t" * TAG_BYTES + b" " + b"x" * BODY],
    ),
    "tags too long": (b"@" + b"t" * (TAG_BYTES + 1) + b" AB\r\n", [OVERLONG]),
    "tags and no body, too long": (b"@" + b"t" * (BODY + 1) + b"\r\n", [OVERLONG]),
    "body too long after tags": (b"@t " + b"x" * (BODY + 1) + b"\r\n", [OVERLONG]),
    "tags not at the start": (b"A @" + b"t" * TAG_BYTES + b" B\r\n", [OVERLONG]),
    "good lines around a long one": (
        b"A\r\n" + b"x" * 99 + b"\r\nB\r\n",
        [b"A", OVERLONG, b"B"],
    ),
    "two long lines": (b"x" * 99 + b"\n" + b"y" * 99 + b"\nA\n", [OVERLONG, OVERLONG, b"A"]),
}

cases = pytest.mark.parametrize(("stream", "lines"), CASES.values(), ids=CASES)


def small_buffer() -> LineBuffer:
    return LineBuffer(tag_bytes=TAG_BYTES, body_bytes=BODY)


@cases
def test_whole(stream: bytes, lines: Lines) -> None:
    assert small_buffer().feed(stream) == lines


@cases
def test_byte_by_byte(stream: bytes, lines: Lines) -> None:
    buffer = small_buffer()
    found: Lines = []
    for byte in stream:
        found += buffer.feed(bytes([byte]))
    assert found == lines


@cases
def test_with_trailing_bytes(stream: bytes, lines: Lines) -> None:
    buffer = small_buffer()
    assert buffer.feed(stream + b"PING") == lines
    assert buffer.feed(b" z\r\n") == [b"PING z"]


@pytest.mark.parametrize(("stream", "lines"), [(b"", []), (b"PING a", []), (b"A\r\nB", [b"A"])])
def test_no_line_without_its_end(stream: bytes, lines: Lines) -> None:
    """Modern IRC: "Only parse and process a message once you encounter the `\\r\\n` at the end"."""
    assert small_buffer().feed(stream) == lines


def test_single_lf() -> None:
    """Modern IRC: "Servers SHOULD handle single `\\n` character, and MAY handle a single `\\r`
    character, as if it was a `\\r\\n` pair".
    """
    assert LineBuffer().feed(b"NICK a\nUSER b 0 * c\r") == [b"NICK a", b"USER b 0 * c"]


def test_empty_lines() -> None:
    """Modern IRC: "Servers and clients SHOULD ignore empty lines"."""
    assert LineBuffer().feed(b"\r\n\n\rA\r\n\r\n") == [b"A"]


def test_512_bytes() -> None:
    """Modern IRC: "Most IRC servers limit messages to 512 bytes in length, including the trailing
    `CR-LF` characters".
    """
    longest = b"x" * (512 - len(b"\r\n"))
    assert LineBuffer().feed(longest + b"\r\n") == [longest]
    assert LineBuffer().feed(longest + b"x\r\n") == [OVERLONG]


def test_tag_data_of_a_client() -> None:
    """message-tags: "Clients MUST NOT send messages with tag data exceeding 4094 bytes"."""
    body = b"x" * BODY_BYTES
    longest = b"@" + b"t" * 4094 + b" " + body
    assert LineBuffer().feed(longest + b"\r\n") == [longest]
    assert LineBuffer().feed(b"@" + b"t" * 4095 + b" " + body + b"\r\n") == [OVERLONG]
    assert LineBuffer().feed(b"@" + b"t" * 4095 + b" A\r\n") == [OVERLONG]


def test_tag_data_of_a_server() -> None:
    """message-tags: "The size limit for message tags is 8191 bytes, including the leading '@'
    (0x40) and trailing space ' ' (0x20) characters".
    """
    buffer = LineBuffer(tag_bytes=SERVER_TAG_DATA_BYTES)
    tags = b"@" + b"t" * (8191 - len(b"@ ")) + b" "
    assert buffer.feed(tags + b"A\r\n") == [tags + b"A"]
    assert buffer.feed(b"@t" + tags[1:] + b"A\r\n") == [OVERLONG]


def test_a_long_line_is_reported_before_it_ends() -> None:
    buffer = small_buffer()
    assert buffer.feed(b"x" * LINE_BYTES) == []
    assert buffer.feed(b"x") == [OVERLONG]


def test_a_long_line_is_reported_once() -> None:
    buffer = small_buffer()
    assert buffer.feed(b"x" * 99) == [OVERLONG]
    assert buffer.feed(b"x" * 99) == []
    assert buffer.feed(b"x" * 99 + b"\r") == []
    assert buffer.feed(b"\nA\r\n") == [b"A"]


def test_an_endless_line_costs_no_memory() -> None:
    buffer = LineBuffer()
    tracemalloc.start()
    try:
        for _ in range(640):
            buffer.feed(bytes(PIECE_BYTES))
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < CLIENT_TAG_DATA_BYTES
    assert peak < 4 * PIECE_BYTES


def test_the_tag_data_of_a_long_line() -> None:
    """What answers it may need its label, if the tags at least are whole and not too long."""
    for line, tag_data in (
        (b"@t=x " + b"x" * (BODY + 1) + b"\n", b"t=x"),
        (b"@t=x " + b"x" * LINE_BYTES, b"t=x"),
        (b"@" + b"t" * (TAG_BYTES + 1) + b" AB\n", b""),
        (b"@" + b"t" * LINE_BYTES, b""),
        (b"x @t=x " + b"x" * LINE_BYTES, b""),
    ):
        (found,) = small_buffer().feed(line)
        assert isinstance(found, Overlong)
        assert found.tag_data == tag_data
