from __future__ import annotations

import ssl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from securechat.net.client_hello import (
    CLIENT_HELLO_BYTES,
    CLIENT_HELLO_RECORDS,
    ClientHelloReader,
)

RECORD = 5


def offered_protocols(data: bytes) -> list[str] | None:
    return ClientHelloReader().feed(data)


def captured(*protocols: str, host: str | None = "chat.example.org") -> bytes:
    """What OpenSSL itself sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    pipe = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        pipe.do_handshake()
    return out.read()


def in_records(hello: bytes, size: int) -> bytes:
    """Cut the message into records of ``size`` bytes of it each."""
    body = hello[RECORD:]
    return b"".join(
        hello[:3] + len(piece).to_bytes(2) + piece
        for piece in (body[start : start + size] for start in range(0, len(body), size))
    )


def hello_with(extensions: bytes) -> bytes:
    """A ClientHello made by hand, around ``extensions``."""
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += len(extensions).to_bytes(2) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return b"\x16\x03\x01" + len(message).to_bytes(2) + message


def alpn(*names: bytes) -> bytes:
    listed = b"".join(bytes([len(name)]) + name for name in names)
    body = len(listed).to_bytes(2) + listed
    return b"\0\x10" + len(body).to_bytes(2) + body


OFFERS = [(), ("irc",), ("h2", "http/1.1"), ("securechat-relay/1", "irc")]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("host", ["chat.example.org", None])
def test_whole(offer: tuple[str, ...], host: str | None) -> None:
    assert offered_protocols(captured(*offer, host=host)) == list(offer)


@pytest.mark.parametrize("offer", OFFERS)
def test_cut_anywhere(offer: tuple[str, ...]) -> None:
    hello = captured(*offer)
    for end in range(len(hello)):
        assert offered_protocols(hello[:end]) is None
    assert offered_protocols(hello + b"anything") == list(offer)


@pytest.mark.parametrize("size", [40, 100, 200])
def test_cut_over_records(size: int) -> None:
    """RFC 8446 section 5.1: "Handshake messages MAY be [...] fragmented across several records"."""
    records = in_records(captured("h2", "irc"), size)
    assert offered_protocols(records) == ["h2", "irc"]
    for end in range(0, len(records), 7):
        assert offered_protocols(records[:end]) is None


@pytest.mark.parametrize("size", [1, 3, 4, 5])
def test_a_header_cut_over_records(size: int) -> None:
    hello = captured("h2", "irc")
    first = hello[:3] + size.to_bytes(2) + hello[RECORD : RECORD + size]
    rest = hello[RECORD + size :]
    records = first + hello[:3] + len(rest).to_bytes(2) + rest
    assert offered_protocols(records) == ["h2", "irc"]


@pytest.mark.parametrize("step", [1, 2, 6, 1_000])
def test_a_reader_goes_on_where_it_was(step: int) -> None:
    records = in_records(captured("h2", "irc"), 60)
    reader = ClientHelloReader()
    answers = [reader.feed(records[at : at + step]) for at in range(0, len(records), step)]
    assert answers == [None] * (len(answers) - 1) + [["h2", "irc"]]


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("whole", [False, True], ids=["dripping", "whole"])
def test_too_many_records_are_given_up(size: int, whole: bool) -> None:
    """Six bytes bought one more look at all that had come before."""
    message = b"\x01\x00\x3f\xff".ljust(CLIENT_HELLO_RECORDS, b"\0")
    records = [
        b"\x16\x03\x01" + size.to_bytes(2) + message[at : at + size]
        for at in range(CLIENT_HELLO_RECORDS)
    ]
    reader = ClientHelloReader()
    if whole:
        assert reader.feed(b"".join(records)) == []
        return
    assert [reader.feed(record) for record in records[:-1]] == [None] * (len(records) - 1)
    assert reader.feed(records[-1]) == []


def test_the_last_allowed_record_may_end_it() -> None:
    hello = captured("h2", "irc")
    body = hello[RECORD:]
    size = -(-len(body) // CLIENT_HELLO_RECORDS)
    assert offered_protocols(in_records(hello, size)) == ["h2", "irc"]
    one_more = b"\x16\x03\x01\0\0" * (CLIENT_HELLO_RECORDS + 1 - -(-len(body) // size))
    assert offered_protocols(one_more + in_records(hello, size)) == []


@pytest.mark.parametrize(
    "data",
    [
        b"NICK ann\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",  # an alert
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # an empty ClientHello
        captured("irc")[:20] + b"\xff" * 2000,
    ],
    ids=["text", "alert", "server hello", "empty", "nonsense"],  # the last is another each time
)
def test_what_is_no_client_hello_offers_nothing(data: bytes) -> None:
    assert offered_protocols(data) == []


@pytest.mark.parametrize(
    ("extensions", "offered"),
    [
        (b"", []),
        (b"\0\0\0\0", []),
        (alpn(b"irc"), ["irc"]),
        (b"\0\0\0\x02ab" + alpn(b"h2", b"irc"), ["h2", "irc"]),
        (alpn(b""), [""]),
        (alpn(b"\x8a\x8a", b"irc"), ["\x8a\x8a", "irc"]),  # RFC 8701: names made up to be ignored
        (b"\0\x10\0\x40\0\x04\x03irc", []),  # longer than the message
        (b"\0\x10\0\x06\0\x04\xffirc", ["irc"]),  # a name longer than the extension
        (b"\0\x10\0", []),
    ],
)
def test_made_by_hand(extensions: bytes, offered: list[str]) -> None:
    assert offered_protocols(hello_with(extensions)) == offered


@given(data=st.binary(max_size=400), prefix=st.integers(0, 400))
@example(data=b"", prefix=0)
@example(data=b"\x16" * 200, prefix=0)
def test_any_bytes(data: bytes, prefix: int) -> None:
    for stream in (data, HELLO[:prefix] + data):
        offered = offered_protocols(stream)
        assert offered is None or isinstance(offered, list)


@given(
    filler=st.binary(min_size=1, max_size=64),
    over=st.integers(1, 66_000),
    header=st.sampled_from([b"", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x08\x01\xff\xff\xff"]),
)
def test_never_reads_on(filler: bytes, over: int, header: bytes) -> None:
    size = CLIENT_HELLO_BYTES + over
    stream = (header + filler * (size // len(filler) + 1))[:size]
    assert offered_protocols(stream) is not None


def test_never_reads_on_in_records() -> None:
    size = 2_000
    endless = b"\x16\x03\x01" + size.to_bytes(2) + b"\x01\xff\xff\xff".ljust(size, b"\0")
    data = endless * (CLIENT_HELLO_BYTES // len(endless) + 2)
    assert offered_protocols(data) == []
    assert offered_protocols(data[:CLIENT_HELLO_BYTES]) is None


HELLO = captured("h2", "irc")


# ---- the name asked for ----


def server_name(data: bytes) -> str:
    reader = ClientHelloReader()
    reader.feed(data)
    return reader.server_name


@pytest.mark.parametrize("offer", [(), ("irc", "http/1.1")])
@pytest.mark.parametrize(
    ("host", "name"),
    [("chat.example.org", "chat.example.org"), ("Chat.Example.ORG", "chat.example.org")],
)
def test_the_name_asked_for(offer: tuple[str, ...], host: str, name: str) -> None:
    assert server_name(captured(*offer, host=host)) == name


@pytest.mark.parametrize("host", [None, "192.0.2.7"])
def test_no_name_asked_for(host: str | None) -> None:
    assert server_name(captured(host=host)) == ""


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\0\x06\0\0\x03abc", "abc"),
        (b"\0\x06\0\0\x03a\xffc", "a\ufffdc"),
        (b"\0\x06\1\0\x03abc", ""),  # another kind of name
        (b"\0\x06\0\0\x04abc", ""),
        (b"\0\x06\0\0\x02abc", ""),
        (b"\0\0", ""),
        (b"", ""),
    ],
)
def test_names_made_by_hand(content: bytes, name: str) -> None:
    extension = b"\0\0" + len(content).to_bytes(2) + content
    assert server_name(hello_with(extension)) == name
