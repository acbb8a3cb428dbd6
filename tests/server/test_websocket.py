"""IRC over WebSocket: the handshake, frames, limits, and that all of the relay works over it."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl

import pytest
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from securechat.irc.message import BODY_BYTES
from securechat.server.websocket import MESSAGE_BYTES
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    FakeClock,
    RunningRelay,
    commands,
)
from tests.server.websocket_client import WebClient, dial

TEXT, BINARY = "text.ircv3.net", "binary.ircv3.net"
LISTEN = {"listen": (("127.0.0.1", 0),)}
PAGE = "https://chat.example.org"

HEAD = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.fixture
def web(start_relay: StartRelay) -> RunningRelay:
    """A relay that speaks WebSocket too."""
    return start_relay(websocket=LISTEN | {"origins": (PAGE,)})


def http(relay: RunningRelay, request: str | bytes) -> str:
    """Send a request; return all that is answered."""
    sock = dial(relay)
    sock.sendall(request if isinstance(request, bytes) else request.encode())
    found = b""
    try:
        while data := sock.recv(65_536):
            found += data
    except ConnectionError:
        pass
    return found.decode()


def head(changes: dict[str, str | None] | None = None, start: str = "GET / HTTP/1.1") -> str:
    fields = {**HEAD, **(changes or {})}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([start, *lines, "", ""])


# ---- the handshake ----


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ((TEXT,), TEXT),
        ((BINARY,), BINARY),
        ((TEXT, BINARY), TEXT),
        ((BINARY, TEXT), BINARY),
        (("chat", BINARY), BINARY),
        (("chat",), None),
        ((), None),
    ],
)
def test_subprotocols(web: RunningRelay, asked: tuple[str, ...], agreed: str | None) -> None:
    """ "The server MUST accept any subprotocol it supports, respecting the client's order of
    preference. If no subprotocol can be agreed on, the server MAY continue connection establishment
    without sending the Sec-WebSocket-Protocol header."

    "If binary.ircv3.net is negotiated, then client and server will exchange binary messages; if
    text.ircv3.net is negotiated, then they will exchange text messages."
    """
    client = WebClient(web, *asked)
    assert client.accepted is not None
    assert client.accepted.subprotocol == agreed
    client.binary = agreed == BINARY
    client.register("ann")
    assert client.kinds == {BytesMessage if agreed == BINARY else TextMessage}


def test_lines_have_no_end(web: RunningRelay) -> None:
    """ "each message MUST consist of a single IRC line, except that servers and clients MUST NOT
    include trailing \\r or \\n characters in the message": the client of these tests looks."""
    client = WebClient(web, TEXT)
    client.register("ann")
    assert client.lines


def test_a_client_that_sends_ends_is_understood(web: RunningRelay) -> None:
    client = WebClient(web)
    client.sock.sendall(client.message("PING a\r\n") + client.message("PING b\n"))
    client.sock.sendall(client.message("PING c\r\nPING d\r\n"))
    assert [client.expect("PONG").params[-1] for _ in range(4)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("target", ["/", "/socket", "/webirc/websocket/?x=1"])
def test_any_path_will_do(web: RunningRelay, target: str) -> None:
    WebClient(web, TEXT, target=target).register("ann")


def test_no_compression(web: RunningRelay) -> None:
    request = head({"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})
    sock = dial(web)
    sock.sendall(request.encode())
    answer = sock.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"xtensions" not in answer


def test_the_answer_of_the_rfc(web: RunningRelay) -> None:
    """RFC 6455, section 1.3 has key and answer."""
    sock = dial(web)
    sock.sendall(head().encode())
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in sock.recv(65_536)


def test_always_tls(web: RunningRelay) -> None:
    address = web.relay.websocket_addresses[0]
    with socket.create_connection(address, timeout=LONG_TIMEOUT_S) as sock:
        sock.sendall(head().encode())
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in sock.recv(65_536)


def test_alpn(web: RunningRelay) -> None:
    """The ports are not the same: neither protocol is spoken on the other's."""
    assert dial(web).selected_alpn_protocol() == "http/1.1"
    assert dial(web, alpn=()).selected_alpn_protocol() is None
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(web, alpn=("irc",)).recv(1)


def test_without_configuration_nobody_listens(relay: RunningRelay) -> None:
    assert relay.relay.websocket_addresses == []


# ---- origins ----


def test_a_page_that_may(web: RunningRelay) -> None:
    WebClient(web, TEXT, origin=PAGE).register("ann")


def test_what_is_no_browser_has_no_origin(web: RunningRelay) -> None:
    WebClient(web, TEXT).register("ann")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.org", "http://chat.example.org", f"{PAGE}:8443", "null", "", "*", "é"],
)
def test_a_page_that_may_not(
    web: RunningRelay, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else's page must not chat in the name of its visitors."""
    answer = http(web, head({"Origin": origin}))
    assert answer.startswith("HTTP/1.1 403 ")
    assert answer.endswith("Pages of this origin may not connect to this relay.\n")
    assert "refused origin" in caplog.text


def test_two_origins_are_none(web: RunningRelay) -> None:
    request = head({"Origin": PAGE}).replace("Upgrade: w", f"Origin: {PAGE}\r\nUpgrade: w")
    assert http(web, request).startswith("HTTP/1.1 403 ")


def test_any_page_by_configuration(start_relay: StartRelay) -> None:
    relay = start_relay(websocket=LISTEN | {"origins": ("*",)})
    WebClient(relay, TEXT, origin="https://evil.example.org").register("ann")


def test_no_page_without_configuration(start_relay: StartRelay) -> None:
    relay = start_relay(websocket=LISTEN)
    assert http(relay, head({"Origin": PAGE})).startswith("HTTP/1.1 403 ")


# ---- what is no handshake ----


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head({"Upgrade": None, "Connection": "close"}), 400),
        (head({"Upgrade": "h2c"}), 400),
        (head({"Sec-WebSocket-Key": None}), 400),
        (head({"Sec-WebSocket-Version": None}), 400),
        (head({"Sec-WebSocket-Version": "8"}), 426),
        (head({"Host": None}), 400),
        (head({"Host": "é" * 300}), 400),
        (head({"Connection": "é"}), 400),
        (head(start="POST / HTTP/1.1"), 400),
        (head(start="nonsense"), 400),
        (head({"X": "x" * 70_000}), 400),
        ("\0\1\2\r\n\r\n", 400),
    ],
    ids=range(12),
)
def test_errors_of_http(web: RunningRelay, request_: str, status: int) -> None:
    """In plain words: a person may have opened the address in a browser."""
    answer = http(web, request_)
    assert answer.startswith(f"HTTP/1.1 {status} "), answer
    assert "content-type: text/plain" in answer.lower()
    assert "This address speaks WebSocket only." in answer
    if status == 426:
        assert "sec-websocket-version: 13" in answer.lower()


def test_plain_irc_on_the_wrong_port(web: RunningRelay) -> None:
    assert http(web, b"NICK ann\r\nUSER ann 0 * :Ann\r\n\r\n").startswith("HTTP/1.1 400 ")


def test_half_a_handshake(start_relay: StartRelay, clock: FakeClock) -> None:
    """Neither one that stops in the middle, nor one that goes on for ever, stays."""
    relay = start_relay(websocket=LISTEN, clock=clock)
    silent, slow = dial(relay), dial(relay)
    slow.sendall(head()[:40].encode())
    WebClient(relay, TEXT).register("ann")  # after these, on the same thread or not
    clock.now += relay.config.limits.handshake_timeout_s
    relay.wake()
    assert silent.recv(1) == slow.recv(1) == b""


def test_the_request_may_come_in_pieces(web: RunningRelay) -> None:
    sock = dial(web)
    for byte in head().encode():
        sock.sendall(bytes([byte]))
    assert sock.recv(65_536).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("cut", [0, 1, 3, 4])
def test_what_comes_with_the_request_is_not_lost(web: RunningRelay, cut: int) -> None:
    """A client that does not wait for the answer is understood, wherever its bytes are cut."""
    sock = dial(web)
    frame = b"\x81\x86\0\0\0\0PING x"
    data = head().encode() + frame
    first = len(data) - len(frame) + cut - 2  # also within the request's end
    for part in (data[:first], data[first:]):
        sock.sendall(part)
    found = b""
    while b"PONG" not in found:
        received = sock.recv(65_536)
        assert received, found
        found += received
    assert found.startswith(b"HTTP/1.1 101 ")


# ---- frames ----


def test_many_lines_at_once(web: RunningRelay) -> None:
    client = WebClient(web, TEXT)
    client.send(*(f"PING {number}" for number in range(30)))
    assert [client.expect("PONG").params[-1] for _ in range(30)] == [str(n) for n in range(30)]


def test_a_message_in_fragments(web: RunningRelay) -> None:
    """Also with a control frame in between, and cut within a character."""
    client = WebClient(web, BINARY)
    data = "PING é".encode()
    parts = [client.message(bytes([byte]), finished=False) for byte in data]
    ping = client.websocket.send(Ping(b"here?"))
    client.sock.sendall(b"".join(parts[:6]) + ping + b"".join(parts[6:]))
    client.sock.sendall(client.message(b"", finished=True))
    assert client.expect("PONG").params[-1] == "é"
    assert client.pongs == [b"here?"]


def test_byte_by_byte(web: RunningRelay) -> None:
    client = WebClient(web, TEXT)
    for byte in client.message("PING slow"):
        client.sock.sendall(bytes([byte]))
    client.expect("PONG", "relay.test", "slow")


def test_either_kind_of_message_is_taken(web: RunningRelay) -> None:
    """ "servers and clients should strive for maximum compatibility" """
    client = WebClient(web, TEXT)
    client.sock.sendall(client.message(b"PING bytes"))
    client.expect("PONG", "relay.test", "bytes")


def test_ping_is_answered(web: RunningRelay) -> None:
    """RFC 6455, section 5.5.2: "an endpoint MUST send a Pong frame in response" """
    client = WebClient(web, TEXT)
    client.sock.sendall(client.websocket.send(Ping(b"x" * 125)))
    client.sync()
    assert client.pongs == [b"x" * 125]


def test_text_that_is_no_utf8(web: RunningRelay) -> None:
    """RFC 6455, section 8.1: "it MUST _Fail the WebSocket Connection_" """
    client = WebClient(web, TEXT)
    client.register("ann")
    frame = bytearray(client.message("PRIVMSG ann :x"))
    key = frame[2:6]
    frame[-1] = 0xFF ^ key[13 % 4]
    client.sock.sendall(frame)
    client.read_to_end()
    assert client.close is not None
    assert client.close.code == 1007


def test_bytes_that_are_no_utf8(web: RunningRelay) -> None:
    """ "Servers MUST NOT relay non-UTF-8 content to clients using text messages" """
    ann, bob = WebClient(web, BINARY).register("ann"), WebClient(web, TEXT).register("bob")
    assert isinstance(ann, WebClient)
    ann.sock.sendall(ann.message(b"PRIVMSG bob :\xff"))
    assert "FAIL" in commands(ann.seen())
    assert bob.seen() == []


def test_limits_of_lines(web: RunningRelay) -> None:
    """ "Maximum message size is reduced by two bytes accordingly (ie. to 510 bytes by default for
    the non-tags part of a message)" """
    client = WebClient(web, TEXT).register("ann")
    fits = "PING " + "x" * (BODY_BYTES - 5)
    client.send(fits)
    client.expect("PONG")
    assert commands(client.ask(fits + "x")) == ["417"]
    assert commands(client.ask("@a=" + "t" * 4092 + " PING x")) == ["PONG"]


@pytest.mark.parametrize("parts", [1, 50])
def test_huge_messages(web: RunningRelay, parts: int) -> None:
    """ "Clients and servers SHOULD impose limits on the maximum size of messages they will accept
    (…) The limits SHOULD reflect the increased total line lengths allowed by message-tags" """
    client = WebClient(web, TEXT)
    client.register("ann")
    part = "x" * (MESSAGE_BYTES // parts + 1)
    frames = [client.message(part, finished=parts == 1) for _ in range(parts)]
    client.sock.sendall(b"".join(frames))
    assert client.read_to_end()[-1] == "ERROR :Closing link: WebSocket: Message too long"
    assert client.close is not None
    assert (client.close.code, client.close.reason) == (1009, "Message too long")


def test_a_frame_that_says_it_is_endless(web: RunningRelay) -> None:
    client = WebClient(web, TEXT)
    client.sock.sendall(b"\x82\xff" + (1 << 62).to_bytes(8) + b"mask" + b"x" * 10_000)
    client.read_to_end()
    assert client.close is not None
    assert client.close.code == 1009


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x01x",  # not masked
        b"\x83\x80mask",  # an opcode that there is not
        b"\xc1\x80mask",  # a reserved bit
        b"\x80\x80mask",  # goes on, but nothing began
        b"\x09\x80mask",  # a ping in fragments
        b"\x89\xfe\x00\x7emask",  # a ping that is too long
        b"\x88\x81maskx",  # a close frame of one byte
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_frames_that_cannot_be(web: RunningRelay, frame: bytes) -> None:
    client = WebClient(web, TEXT)
    client.sock.sendall(frame)
    assert client.read_to_end()[-1].startswith("ERROR :Closing link: WebSocket: ")
    assert client.close is not None
    assert client.close.code == 1002


# ---- the end ----


def test_quit(web: RunningRelay) -> None:
    """The close frame says why, as the ERROR does."""
    client = WebClient(web, TEXT)
    client.register("ann")
    assert client.quit() == ["ERROR :Closing link: Quit: "]
    assert client.close is not None
    assert (client.close.code, client.close.reason) == (1000, "Closing link: Quit: ")


@pytest.mark.parametrize(("code", "answer"), [(1000, 1000), (1001, 1001), (1005, 1000)])
def test_the_client_closes(web: RunningRelay, code: int, answer: int) -> None:
    """RFC 6455, section 5.5.1: "the endpoint MUST send a Close frame in response" """
    client = WebClient(web, TEXT)
    client.register("ann")
    bob = web.join("bob")
    client.send("JOIN #a")
    client.sync()
    bob.ask("JOIN #a")
    client.sock.sendall(client.websocket.send(CloseConnection(code)))
    client.read_to_end()
    assert client.close is not None
    assert client.close.code == answer
    bob.expect("QUIT")


def test_gone_without_a_word(web: RunningRelay) -> None:
    client = WebClient(web, TEXT)
    client.register("ann")
    client.send("JOIN #a")
    client.sync()
    bob = web.join("bob")
    bob.ask("JOIN #a")
    client.vanish()
    bob.expect("QUIT")


# ---- the relay over WebSocket ----


def test_talk_with_a_plain_client(web: RunningRelay) -> None:
    """Both kinds of frames and plain lines, in one room, character by character the same."""
    ann = WebClient(web, TEXT).register("ann", "message-tags", "server-time")
    bob = WebClient(web, BINARY).register("bob")
    carl = web.join("carl", "message-tags")
    people = (ann, bob, carl)
    for person in people:
        person.ask("JOIN #a")
    for person in people:
        person.sync()
    for speaker in people:
        said = f"PRIVMSG #a :hällo 👋 from {speaker.nick}"
        speaker.ask(said)
        for listener in people:
            if listener is not speaker:
                assert listener.seen() == [f":{speaker.nick} {said}"]
    assert ann.lines[-2].startswith(b"@")  # the rest of a line's tags came with it


def test_much_to_say(web: RunningRelay) -> None:
    """More than is encrypted in one go: lines are not torn at the seam."""
    ann = WebClient(web, TEXT)
    ann.register("ann")
    bob = web.join("bob")
    bob.send(*(f"PRIVMSG ann :{number} {'x' * 400}" for number in range(1500)))
    for number in range(1500):
        assert ann.expect("PRIVMSG").params[1].split(" ")[0] == str(number)


def test_ping_timeout(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(websocket=LISTEN, clock=clock)
    client = WebClient(relay, TEXT)
    client.register("ann")
    limits = relay.config.limits
    clock.now += limits.ping_interval_s
    relay.wake()
    client.expect("PING")
    clock.now += limits.ping_timeout_s
    relay.wake()
    assert client.read_to_end()[-1].startswith("ERROR :Closing link: Ping timeout: ")
    assert client.close is not None
    assert client.close.reason is not None
    assert client.close.reason.startswith("Closing link: Ping timeout")


def test_registration_timeout(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(websocket=LISTEN, clock=clock)
    client = WebClient(relay, TEXT)
    client.sync()
    clock.now += relay.config.limits.registration_timeout_s
    relay.wake()
    assert client.read_to_end() == ["ERROR :Closing link: Registration timed out"]


def test_sendq(start_relay: StartRelay, caplog: pytest.LogCaptureFixture) -> None:
    """A page that does not read is closed; nobody waits for it."""
    relay = start_relay(websocket=LISTEN, limits={"sendq_bytes": 65_536})
    ann = WebClient(relay, TEXT)
    ann.register("ann")
    bob = relay.join("bob")
    while "303 bob ann" in bob.ask(*(f"PRIVMSG ann :{'x' * 400}" for _ in range(500)), "ISON ann"):
        pass
    assert any("SendQ exceeded" in message for message in caplog.messages)


def test_flood(start_relay: StartRelay) -> None:
    relay = start_relay(websocket=LISTEN, limits={"commands_per_s": 0.1, "command_burst": 20})
    client = WebClient(relay, TEXT)
    client.send(*(f"PING {'x' * 400}" for _ in range(200)))
    assert client.read_to_end()[-1] == "ERROR :Closing link: Excess Flood"


def test_stop(web: RunningRelay) -> None:
    client = WebClient(web, TEXT)
    client.register("ann")
    waiting = dial(web)  # has not asked yet
    web.relay.stop("Upgrade")
    web._stopped = True
    assert client.read_to_end() == ["ERROR :Closing link: Upgrade"]
    assert client.close is not None
    assert client.close.reason == "Closing link: Upgrade"
    assert waiting.recv(1) == b""


def test_connections_from_one_address_count_together(web: RunningRelay) -> None:
    """One counter for both ports."""
    before = web.relay._admission._counter.total()
    WebClient(web, TEXT).register("ann")
    web.join("bob")
    assert web.relay._admission._counter.total() == before + 2


def test_the_log_says_what_was_refused(web: RunningRelay, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    http(web, head({"Upgrade": None}))
    web.join("ann")
    web.relay.stop("over")
    web._stopped = True
    assert "HTTP 400" in caplog.text


def test_scram_plus_over_websocket(web: RunningRelay) -> None:
    """The same certificate, so the same binding."""
    web.account("ann").quit()
    client = WebClient(web, TEXT)
    client.request("sasl")
    assert commands(client.authenticate_scram("ann", binding=client.binding)) == ["900", "903"]
