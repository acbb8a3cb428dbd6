"""The relay as a whole: TLS, limits, the end, the log."""

from __future__ import annotations

import logging
import resource
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest

from securechat.net.connection import LINGER_S
from securechat.net.timers import Deadline
from securechat.server.config import OperatorConfig
from securechat.store.passwords import Argon2Parameters, hash_password
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    PASSWORD,
    Client,
    Closed,
    FakeClock,
    RunningRelay,
    commands,
)

HANDSHAKES = 10_000
"""Connections that never finish the handshake; their clients are in a child process."""


@pytest.fixture
def pairs() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


def accept(relay: RunningRelay, address: str, pairs: list[socket.socket]) -> socket.socket:
    """Have the relay accept a connection as if from ``address``; return the client's end."""
    pairs.append(relay.connect_from(address))
    return pairs[-1]


def wrap(relay: RunningRelay, sock: socket.socket, pairs: list[socket.socket]) -> Client:
    context = ssl.create_default_context(cafile=str(relay.certificates.ca_file))
    wrapped = context.wrap_socket(sock, server_hostname="localhost")
    pairs.append(wrapped)
    return Client(wrapped)


# ---- TLS ----


@pytest.mark.parametrize("protocols", [(), ("irc",), ("http/1.1", "irc")])
def test_alpn_that_fits(relay: RunningRelay, protocols: tuple[str, ...]) -> None:
    """RFC 7301: the server picks one of the client's; a client that offers none is of old."""
    client = relay.connect(alpn=protocols)
    assert client.sock.selected_alpn_protocol() == ("irc" if protocols else None)
    client.register("ann")


def test_alpn_that_does_not(relay: RunningRelay) -> None:
    """RFC 7301: "the server SHALL send a fatal "no_application_protocol" alert." """
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
        relay.connect(alpn=("http/1.1",)).ask("CAP LS")
    relay.join("ann")


def test_old_tls_is_refused(relay: RunningRelay) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        relay.connect(newest=ssl.TLSVersion.TLSv1_2)
    assert relay.join("ann").sock.version() == "TLSv1.3"


def test_old_tls_by_configuration(start_relay: StartRelay) -> None:
    relay = start_relay(tls={"minimum_version": "1.2"})
    client = relay.connect(newest=ssl.TLSVersion.TLSv1_2)
    assert client.sock.version() == "TLSv1.2"
    client.register("ann")


def test_no_plaintext(relay: RunningRelay) -> None:
    sock = relay.connect_tcp()
    sock.sendall(b"NICK ann\r\nUSER ann 0 * :x\r\n")
    found = b""
    try:
        while data := sock.recv(4096):
            found += data
    except ConnectionError:
        pass
    assert b"001" not in found
    assert b"ERROR" not in found


# ---- limits ----


def test_connections_from_one_address(
    start_relay: StartRelay, pairs: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    """The ERROR says why; far over the limit it is not worth a handshake."""
    relay = start_relay(limits={"connections_per_address": 2})

    def connect(address: str) -> Client:
        return wrap(relay, accept(relay, address, pairs), pairs)

    first, second = (connect("203.0.113.7") for _ in range(2))
    first.register("ann")
    second.register("bob")
    refused = ["ERROR :Closing link: Too many connections from your address"]
    third = connect("203.0.113.7")
    assert third.read_to_end() == refused
    assert "refused 203.0.113.7: 3 connections from there" in caplog.messages
    connect("203.0.113.8").register("carl")
    first.quit()
    connect("203.0.113.7").register("dora")
    # an IPv6 customer has a whole /64
    connect("2001:db8::1").register("eve")
    connect("2001:db8::2").register("fay")
    assert connect("2001:db8::3").read_to_end() == refused
    connect("2001:db8:0:1::3").register("gil")


def test_far_too_many_from_one_address(start_relay: StartRelay, pairs: list[socket.socket]) -> None:
    relay = start_relay(limits={"connections_per_address": 2})
    sockets = [accept(relay, "203.0.113.7", pairs) for _ in range(6)]
    assert sockets[4].recv(1) == sockets[5].recv(1) == b""
    wrap(relay, sockets[0], pairs).register("ann")


def test_loopback_has_no_limit(start_relay: StartRelay) -> None:
    relay = start_relay(limits={"connections_per_address": 1})
    for nick in ("ann", "bob", "carl"):
        relay.join(nick)


def test_all_connections(start_relay: StartRelay, pairs: list[socket.socket]) -> None:
    """The limit holds also while the I/O threads are behind."""
    relay = start_relay(limits={"connections": 3}, server={"io_threads": 1})
    go_on, stuck = threading.Event(), threading.Event()

    def block() -> None:
        stuck.set()
        go_on.wait(LONG_TIMEOUT_S)

    relay.relay._threads[0].post(block)
    assert stuck.wait(LONG_TIMEOUT_S)
    try:
        sockets = [accept(relay, f"203.0.113.{number}", pairs) for number in range(5)]
    finally:
        go_on.set()
    assert [sock.recv(1) for sock in sockets[3:]] == [b"", b""]
    clients = [wrap(relay, sock, pairs).register(f"ann{n}") for n, sock in enumerate(sockets[:3])]
    clients[0].quit()
    assert accept(relay, "203.0.113.9", pairs) is not None


def test_handshakes_that_never_end(start_relay: StartRelay, clock: FakeClock) -> None:
    """10,000 at once: meanwhile others come and talk; at the deadline they are closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = HANDSHAKES if hard == resource.RLIM_INFINITY else min(HANDSHAKES, hard - 500)
    if soft != resource.RLIM_INFINITY and soft < number + 500:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number + 500, hard), hard))
    relay = start_relay(clock=clock, limits={"connections": 20_000})
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(relay.address[1]), str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        ann, bob = together(relay, "ann", "bob")
        ann.ask("PRIVMSG #a :can you hear me?")
        assert bob.seen() == [":ann PRIVMSG #a :can you hear me?"]
        wait_for_unknown(ann, number)
        clock.now += relay.config.limits.handshake_timeout_s
        relay.wake()
        assert child.stdout.readline() == f"closed {number}\n"
        wait_for_unknown(ann, 0)
        assert bob.ask("ISON ann") == ["303 bob ann"]
    finally:
        child.kill()
        child.communicate()


def wait_for_unknown(client: Client, number: int) -> None:
    """Ask until there are so many: a socket is closed just before its session is forgotten."""
    deadline = Deadline(LONG_TIMEOUT_S)
    while f"253 {client.nick} {number} :unknown connection(s)" not in client.ask("LUSERS"):
        assert not deadline.over()


CHILD = textwrap.dedent("""
    import resource, socket, sys
    port, number = map(int, sys.argv[1:])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets = []
    for _ in range(number):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(b"\\x16\\x03\\x01")  # the beginning of a ClientHello
        sockets.append(sock)
    print("open", flush=True)
    closed = 0
    for sock in sockets:
        try:
            closed += sock.recv(1) == b""
        except ConnectionError:
            closed += 1
    print("closed", closed, flush=True)
""")


# ---- the end ----


def test_stop_tells_every_client(relay: RunningRelay) -> None:
    """ERROR: "before terminating the client's connection": all learn the reason, and nobody is
    shown how the others go."""
    clients = together(relay, *(f"ann{number}" for number in range(8)))
    clients.append(relay.connect())
    found: dict[int, list[str]] = {}

    def read(number: int, client: Client) -> None:
        found[number] = client.read_to_end()
        client.sock.close()

    readers = [
        threading.Thread(target=read, args=pair, name=f"reader-{pair[0]}")
        for pair in enumerate(clients)
    ]
    for reader in readers:
        reader.start()
    relay.relay.stop("Back in five minutes")
    relay._stopped = True
    for reader in readers:
        reader.join(LONG_TIMEOUT_S)
    assert found == {number: ["ERROR :Closing link: Back in five minutes"] for number in range(9)}


def test_a_relay_that_stops_waits_for_nobody(relay: RunningRelay) -> None:
    """A client that does not close its side is dropped."""
    client = relay.join("ann")
    assert LINGER_S < LONG_TIMEOUT_S
    relay.relay.stop("The end")
    relay._stopped = True
    assert client.read_to_end() == ["ERROR :Closing link: The end"]


# ---- the log ----


def test_one_line_an_event(start_relay: StartRelay, caplog: pytest.LogCaptureFixture) -> None:
    relay = start_relay()
    ann = relay.account("ann")
    bob = relay.join("bob")
    for client in (ann, bob):
        client.ask("JOIN #a")
    bob.ask("PART #a", "JOIN #a", "TOPIC #a :x")
    ann.ask("KICK #a bob", "NICK anna")
    ann.quit()
    messages = [message for message in caplog.messages if message.startswith("#")]
    key = "#1"
    assert f"{key} registered account ann" in messages
    assert f"{key} registered ann account ann" in messages
    assert f"{key} join ann #a: 1 there" in messages
    assert "#2 registered bob as a guest" in messages
    assert "#2 join bob #a: 2 there" in messages
    assert "#2 leave bob #a: 1 remain" in messages
    assert "#2 refused TOPIC: 482 You're not channel operator" in messages
    assert f"{key} kick bob #a by ann: 1 remain" in messages
    assert f"{key} nick ann is now anna" in messages
    assert f"{key} leave anna #a: 0 remain" in messages
    assert f"disconnect {key}: Quit: by the client" in caplog.messages
    assert all("\n" not in message for message in caplog.messages)


def test_a_failed_handshake_is_logged_with_its_address(
    start_relay: StartRelay, caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    relay = start_relay(clock=clock)
    sock = relay.connect_tcp()
    sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
    try:
        while sock.recv(4096):
            pass
    except ConnectionError:
        pass
    relay.join("ann")
    (line,) = [message for message in caplog.messages if "TLS failed" in message]
    assert "127.0.0.1" in line


def test_no_text_and_no_secret_is_logged(
    start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what people say, in whatever command, nor a password, right or wrong."""
    caplog.set_level(logging.DEBUG)
    cheap = Argon2Parameters(memory_kib=8_192, iterations=1, lanes=1)
    relay = start_relay(operators=(OperatorConfig("root", hash_password("toor-secret", cheap)),))
    ann = relay.account("ann", "sasl", "message-tags")
    ann.ask(
        "PASS xyzzy", "PRIVMSG ann :xyzzy", "NOTICE ann :xyzzy", "PRIVMSG nobody :xyzzy",
        "@+x=xyzzy TAGMSG ann", "JOIN #a", "TOPIC #a :xyzzy", "AWAY :xyzzy", "SETNAME :xyzzy",
        "KICK #a ann :xyzzy", "JOIN #a", "PART #a :xyzzy", "JOIN #a xyzzy", "MODE #a +k xyzzy",
        "OPER root xyzzy", "OPER root toor-secret", "REGISTER ann * :xyzzy-xyzzy", "xyzzy xyzzy",
        "AUTHENTICATE xyzzy", ":xyzzy", "PRIVMSG #a :xyzzy", "HELP xyzzy", "\0xyzzy",
        "VERIFY ann xyzzy", "PING xyzzy", "NAMES xyzzy", "CAP REQ xyzzy",
    )  # fmt: skip
    bob = relay.connect()
    bob.request("sasl")
    bob.authenticate_plain("ann", "xyzzy-wrong")
    bob.authenticate_scram("ann", "xyzzy-wrong")
    assert commands(bob.authenticate_plain("ann")) == ["900", "903"]
    bob.send("QUIT :xyzzy")
    bob.read_to_end()
    ann.send("QUIT :xyzzy")
    ann.read_to_end()
    relay.stop()
    text = caplog.text.lower()
    for secret in ("xyzzy", PASSWORD, "toor-secret", "eHl6enk"):
        assert secret.lower() not in text
