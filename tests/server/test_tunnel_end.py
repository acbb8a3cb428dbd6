"""Tunnels through a relay that runs: two devices, their bytes, and who must wait for whom."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import random
import secrets
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import pytest

from securechat.irc.peering import TUNNEL_ALPN, TUNNEL_LINE_BYTES
from securechat.net.connection import LINGER_S, RECEIVE_BYTES
from securechat.net.threads import start_thread
from securechat.net.timers import Deadline
from securechat.server import tunnels
from securechat.server.tunnel_end import (
    FIRST_LINE_S,
    HIGH_WATER_BYTES,
    SEND_LIMIT_BYTES,
    TunnelEnd,
)
from securechat.server.tunnels import TOKEN_S, WRONG_TOKENS
from tests.server.commands.test_channels import together
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, Closed, FakeClock, RunningRelay

T = TypeVar("T")

NOT_GOOD = b"REFUSED This token is not good, or no longer\n"
SESSIONS = (1_000_001, 1_000_002)
"""Of nobody: sessions that do not end."""


class InThread:
    """Runs ``work`` in a thread; ``join`` raises what it raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._failures: list[BaseException] = []
        self._thread = start_thread("test", work, on_crash=self._failures.append)

    def join(self) -> None:
        self._thread.join(LONG_TIMEOUT_S)
        assert not self._thread.is_alive()
        if self._failures:
            raise self._failures[0]


def grant(
    relay: RunningRelay,
    accounts: tuple[str, str] = ("ann", "bob"),
    sessions: tuple[int, int] = SESSIONS,
) -> tuple[str, str]:
    """Return the tokens of a tunnel."""
    tokens = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    (account_a, account_b), (session_a, session_b) = accounts, sessions
    tunnels = relay.relay.services.tunnels
    assert tunnels.grant(session_a, account_a, session_b, account_b, *tokens) == ""
    return tokens


def come(relay: RunningRelay, token: str | bytes, address: str = "") -> ssl.SSLSocket:
    """Connect as an end, and say the token."""
    sock = relay.connect(alpn=(TUNNEL_ALPN,), address=address).sock
    assert sock.selected_alpn_protocol() == TUNNEL_ALPN
    sock.sendall((token.encode() if isinstance(token, str) else token) + b"\n")
    return sock


def read_exactly(sock: ssl.SSLSocket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(65_536, size - len(data)))
        assert piece, f"the stream ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def read_to_end(sock: ssl.SSLSocket) -> bytes:
    data = bytearray()
    while piece := sock.recv(65_536):
        data += piece
    return bytes(data)


def read_joined(sock: ssl.SSLSocket) -> ssl.SSLSocket:
    assert read_exactly(sock, 7) == b"JOINED\n"
    return sock


def join(
    relay: RunningRelay,
    accounts: tuple[str, str] = ("ann", "bob"),
    sessions: tuple[int, int] = SESSIONS,
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    one, other = [come(relay, token) for token in grant(relay, accounts, sessions)]
    return read_joined(one), read_joined(other)


def status(relay: RunningRelay) -> tuple[int, int]:
    """Return how many tunnels and ends there are."""
    found = relay.relay.services.tunnels.snapshot()
    return found.tunnels, found.ends


def wait_until(relay: RunningRelay, happened: Callable[[], bool]) -> None:
    """Wait, turn by turn of the I/O threads."""
    deadline = Deadline(LONG_TIMEOUT_S)
    while not happened():
        assert not deadline.over()
        settle(relay)


def settle(relay: RunningRelay) -> None:
    """Wait until the I/O threads have done what was posted, and have looked at their timers."""
    for _ in range(2):
        for thread in relay.relay._threads:
            done = threading.Event()
            thread.post(done.set)
            assert done.wait(LONG_TIMEOUT_S)


def wait_for_tunnels(relay: RunningRelay, number: int) -> None:
    wait_until(relay, lambda: status(relay)[0] == number)


class Ends(NamedTuple):
    """What the relay has of a tunnel, in the order of its tokens."""

    one: TunnelEnd
    other: TunnelEnd


def ends_of(relay: RunningRelay) -> Ends:
    """Return the ends of the one tunnel."""
    [tunnel] = relay.relay.services.tunnels._tunnels
    one, other = tunnel.ends
    assert one is not None
    assert other is not None
    return Ends(one, other)


def look(end: TunnelEnd, work: Callable[[], T]) -> T:
    """Return what ``work`` returns on the thread of an end."""
    found: list[T] = []
    done = threading.Event()

    def run() -> None:
        found.append(work())
        done.set()

    end.connection.thread.post(run)
    assert done.wait(LONG_TIMEOUT_S)
    return found[0]


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def any_relay(request: pytest.FixtureRequest, start_relay: StartRelay) -> RunningRelay:
    """A relay on whose I/O threads the two ends are, together or each on its own."""
    return start_relay(server={"io_threads": request.param})


# ---- what a connection is ----


@pytest.mark.parametrize("protocols", [(), ("irc",), (TUNNEL_ALPN, "irc")])
def test_a_session_still(relay: RunningRelay, protocols: tuple[str, ...]) -> None:
    client = relay.connect(alpn=protocols)
    assert client.sock.selected_alpn_protocol() == ("irc" if protocols else None)
    client.register("ann")


def test_an_end_is_no_session(relay: RunningRelay, caplog: pytest.LogCaptureFixture) -> None:
    sock = come(relay, grant(relay)[0])
    wait_until(relay, lambda: status(relay) == (1, 1))
    assert len(relay.relay.services.registry) == 0
    sock.close()
    wait_for_tunnels(relay, 0)
    assert not [message for message in caplog.messages if "connect" in message]


@pytest.mark.parametrize("protocols", [(TUNNEL_ALPN,), (TUNNEL_ALPN, "h2")])
def test_without_tunnels_the_protocol_is_unknown(
    start_relay: StartRelay, protocols: tuple[str, ...]
) -> None:
    relay = start_relay(peers={"enabled": False})
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
        relay.connect(alpn=protocols).receive()
    relay.join("ann")


# ---- joining ----


def test_bytes_are_copied_as_they_are(any_relay: RunningRelay) -> None:
    """Both ways at once, several MiB, in pieces of any size."""
    pair = join(any_relay)
    sent = [os.urandom(5 << 20) for _ in pair]
    received: dict[int, bytes] = {}

    def send(side: int) -> None:
        chance = random.Random(side)
        at = 0
        while at < len(sent[side]):
            size = chance.choice([1, 100, 5_000, 16_384, 100_000, 400_000])
            pair[side].sendall(sent[side][at : at + size])
            at += size

    def receive(side: int) -> None:
        received[side] = read_exactly(pair[side], len(sent[1 - side]))

    # One thread for both directions of a socket: TLS allows no more.
    for sender, receiver in ((0, 1), (1, 0)):
        threads = [
            InThread(lambda side=sender: send(side)),  # type: ignore[misc]
            InThread(lambda side=receiver: receive(side)),  # type: ignore[misc]
        ]
        for thread in threads:
            thread.join()
    for side in (0, 1):
        assert digest(received[side]) == digest(sent[1 - side])


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_both_ways_at_once(any_relay: RunningRelay) -> None:
    """Each side sends a piece and waits for the other's."""
    one, other = join(any_relay)
    data = os.urandom(50_000)

    def play(sock: ssl.SSLSocket) -> None:
        for _ in range(40):
            sock.sendall(data)
            assert read_exactly(sock, len(data)) == data

    threads = [InThread(lambda sock=sock: play(sock)) for sock in (one, other)]  # type: ignore[misc]
    for thread in threads:
        thread.join()


def test_who_does_not_wait_loses_nothing(any_relay: RunningRelay) -> None:
    """What is sent behind the token is kept, or waits in the sender's socket."""
    token_a, token_b = grant(any_relay)
    sock = any_relay.connect(alpn=(TUNNEL_ALPN,)).sock
    data = os.urandom(3 << 20)
    eager = InThread(lambda: sock.sendall(token_a.encode() + b"\n" + data))
    wait_until(any_relay, lambda: status(any_relay) == (1, 1))
    patient = come(any_relay, token_b)
    read_joined(patient)
    assert digest(read_exactly(patient, len(data))) == digest(data)
    eager.join()
    read_joined(sock)
    patient.sendall(b"thanks")
    assert read_exactly(sock, 6) == b"thanks"


def test_while_it_waits_little_is_kept(start_relay: StartRelay) -> None:
    relay = start_relay(peers={"tunnel_bytes_per_s": 0})
    token_a, token_b = grant(relay)
    sock = relay.connect(alpn=(TUNNEL_ALPN,)).sock
    data = os.urandom(16 << 20)
    eager = InThread(lambda: sock.sendall(token_a.encode() + b"\n" + data))
    wait_until(relay, lambda: status(relay) == (1, 1))
    [tunnel] = relay.relay.services.tunnels._tunnels
    [end] = [found for found in tunnel.ends if found is not None]
    wait_until(relay, lambda: look(end, lambda: not end.connection.reading))
    for _ in range(20):
        assert 0 < look(end, lambda: len(end._held)) <= RECEIVE_BYTES
    other = read_joined(come(relay, token_b))
    assert digest(read_exactly(other, len(data))) == digest(data)
    eager.join()


def test_the_token_may_come_in_pieces(relay: RunningRelay) -> None:
    token_a, token_b = grant(relay)
    sock = relay.connect(alpn=(TUNNEL_ALPN,)).sock
    for byte in f"{token_a}\nx".encode():
        sock.sendall(bytes([byte]))
    other = come(relay, token_b)
    assert read_exactly(other, 8) == b"JOINED\nx"
    read_joined(sock)


# ---- refusals ----


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"A" * 43,
        b"GET / HTTP/1.1\r",
        b"NICK ann\r",
        b"\xff\x00" * 30,
        b"x" * TUNNEL_LINE_BYTES,
    ],
)
def test_what_is_no_token(relay: RunningRelay, line: bytes) -> None:
    assert read_to_end(come(relay, line)) == NOT_GOOD


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end(relay: RunningRelay, end: bytes) -> None:
    sock = relay.connect(alpn=(TUNNEL_ALPN,)).sock
    sock.sendall(b"x" * (TUNNEL_LINE_BYTES + 1) + end)
    assert read_to_end(sock) == b"REFUSED This is no token\n"


def test_no_line(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock)
    sock = relay.connect(alpn=(TUNNEL_ALPN,)).sock
    settle(relay)
    clock.now += FIRST_LINE_S
    relay.wake()
    assert read_to_end(sock) == b"REFUSED No token came\n"


def test_a_third_user_with_a_used_token(relay: RunningRelay) -> None:
    """The two do not notice."""
    token_a, token_b = grant(relay)
    one = come(relay, token_a)
    wait_until(relay, lambda: status(relay) == (1, 1))
    assert read_to_end(come(relay, token_a)) == NOT_GOOD
    other = come(relay, token_b)
    for token in (token_a, token_b):
        assert read_to_end(come(relay, token)) == NOT_GOOD
    for sock in (one, other):
        read_joined(sock)
    one.sendall(b"private")
    assert read_exactly(other, 7) == b"private"


def test_a_token_that_is_too_old(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock)
    token, _ = grant(relay)
    clock.now += TOKEN_S
    assert read_to_end(come(relay, token)) == NOT_GOOD


def test_the_other_side_does_not_come(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock)
    token_a, token_b = grant(relay)
    clock.now += TOKEN_S / 2
    sock = come(relay, token_a)
    wait_until(relay, lambda: status(relay) == (1, 1))
    clock.now += TOKEN_S / 2 - 1
    settle(relay)
    assert status(relay) == (1, 1)
    clock.now += 1
    relay.wake()
    assert read_to_end(sock) == b"REFUSED The other side has not come\n"
    wait_for_tunnels(relay, 0)
    assert read_to_end(come(relay, token_b)) == NOT_GOOD


def test_too_many_wrong_tokens(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock)
    for _ in range(WRONG_TOKENS):
        assert read_to_end(come(relay, "guess", "192.0.2.1")) == NOT_GOOD
    token_a, token_b = grant(relay)
    refused = b"REFUSED Too many wrong tokens from your address\n"
    assert read_to_end(come(relay, token_a, "192.0.2.1")) == refused
    pair = come(relay, token_a, "192.0.2.2"), come(relay, token_b, "192.0.2.3")
    for sock in pair:
        read_joined(sock)


def test_too_many_connections_from_one_address(start_relay: StartRelay) -> None:
    relay = start_relay(limits={"connections_per_address": 1})
    token, _ = grant(relay)
    first = come(relay, token, "192.0.2.1")
    wait_until(relay, lambda: status(relay) == (1, 1))
    second = relay.connect(alpn=(TUNNEL_ALPN,), address="192.0.2.1").sock
    assert read_to_end(second) == b"REFUSED Too many connections from your address\n"
    first.close()


# ---- who must wait ----


def test_a_slow_reader_makes_the_sender_wait(start_relay: StartRelay) -> None:
    """The memory of the relay is bounded, the chat goes on, nobody is dropped; all arrives."""
    relay = start_relay(
        limits={"sendq_bytes": 65_536},
        server={"io_threads": 1},
        peers={"tunnel_bytes_per_s": 0},
    )
    ann, bob = together(relay, "ann", "bob")
    fast, slow = join(relay)
    ends = ends_of(relay)
    data = os.urandom(32 << 20)
    sending = InThread(lambda: fast.sendall(data))
    wait_until(relay, lambda: look(ends.one, lambda: not ends.one.connection.reading))
    for number in range(30):
        ann.send(f"PRIVMSG #a :{number}")
        bob.expect("PRIVMSG", "#a", str(number))
        waiting = look(ends.other, lambda: ends.other.connection.unsent_bytes)
        assert waiting <= HIGH_WATER_BYTES + RECEIVE_BYTES + 4_096 < SEND_LIMIT_BYTES
    assert relay.relay.services.tunnels.snapshot().bytes < len(data)
    assert digest(read_exactly(slow, len(data))) == digest(data)
    sending.join()
    assert status(relay) == (1, 2)
    slow.sendall(b"all is here")
    assert read_exactly(fast, 11) == b"all is here"


def test_both_send_and_neither_reads(start_relay: StartRelay, clock: FakeClock) -> None:
    """They block each other; that ends, as any silence does."""
    relay = start_relay(clock=clock, peers={"tunnel_bytes_per_s": 0})
    pair = join(relay)
    ends = ends_of(relay)
    data = bytes(32 << 20)

    def flood(sock: ssl.SSLSocket) -> None:
        with contextlib.suppress(OSError):
            sock.sendall(data)

    floods = [InThread(lambda sock=sock: flood(sock)) for sock in pair]  # type: ignore[misc]
    for end in ends:
        wait_until(relay, lambda end=end: look(end, lambda: end.connection.writing))  # type: ignore[misc]
    deadline = Deadline(LONG_TIMEOUT_S)
    while any(end.connection.fileno() != -1 for end in ends):
        assert not deadline.over()
        clock.now += relay.config.peers.tunnel_idle_s
        settle(relay)
    assert status(relay) == (0, 0)
    for thread in floods:
        thread.join()


def test_over_the_rate_the_sender_waits(start_relay: StartRelay, clock: FakeClock) -> None:
    """One read at a time, then the rest when there is room; all tunnels of the account."""
    rate = 100_000
    relay = start_relay(clock=clock, peers={"tunnel_bytes_per_s": rate})
    tunnels = relay.relay.services.tunnels
    one, other = join(relay)
    data = os.urandom(300_000)
    sending = InThread(lambda: one.sendall(data))
    received = read_exactly(other, 1)
    wait_until(relay, lambda: tunnels.snapshot().bytes > 0)
    ends = ends_of(relay)
    wait_until(relay, lambda: look(ends.one, lambda: not ends.one.connection.reading))
    for _ in range(20):
        settle(relay)
        assert tunnels.snapshot().bytes <= RECEIVE_BYTES
    # Another tunnel of the account, which has used up what there is.
    third, fourth = join(relay, ("carl", "ann"))
    third.sendall(b"hello")
    assert read_exactly(fourth, 5) == b"hello"
    third.sendall(b"and more")
    settle(relay)
    passed = tunnels.snapshot().bytes
    while passed < len(data) + 13:
        clock.now += 1
        wait_until(relay, lambda: tunnels.snapshot().bytes > passed)  # noqa: B023
        assert tunnels.snapshot().bytes <= passed + rate + 2 * RECEIVE_BYTES
        passed = tunnels.snapshot().bytes
    assert received + read_exactly(other, len(data) - 1) == data
    assert read_exactly(fourth, 8) == b"and more"
    sending.join()


def test_silence(start_relay: StartRelay, clock: FakeClock) -> None:
    """Of one side is enough: who is there says something."""
    relay = start_relay(clock=clock)
    one, other = join(relay)
    ends = ends_of(relay)
    idle_s = relay.config.peers.tunnel_idle_s

    def say(sender: ssl.SSLSocket, receiver: ssl.SSLSocket) -> None:
        sender.sendall(b"x")
        assert read_exactly(receiver, 1) == b"x"
        for end in ends:  # that it was taken counts as well, and comes a little later
            wait_until(relay, lambda: look(end, lambda: not end._asked))  # noqa: B023

    settle(relay)
    for _ in range(3):
        clock.now += idle_s - 1
        settle(relay)
        say(one, other)
        say(other, one)
    clock.now += 1
    say(one, other)
    clock.now += idle_s - 1
    relay.wake()
    assert read_to_end(other) == b""
    assert read_to_end(one) == b""


# ---- the end ----


def politely(sock: ssl.SSLSocket) -> None:
    sock.unwrap().close()


def without_a_word(sock: ssl.SSLSocket) -> None:
    sock.close()


@pytest.mark.parametrize("leave", [politely, without_a_word])
def test_what_is_on_its_way_arrives(
    leave: Callable[[ssl.SSLSocket], None],
    any_relay: RunningRelay,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = join(any_relay)
    data = os.urandom(5 << 20)

    def send_and_leave() -> None:
        one.sendall(data)
        leave(one)

    sending = InThread(send_and_leave)
    assert digest(read_to_end(other)) == digest(data)
    other.close()
    sending.join()
    wait_for_tunnels(any_relay, 0)
    text = f"tunnel between ann and bob closed after {len(data)} and 0 bytes: ann: closed"
    wait_until(any_relay, lambda: text in caplog.messages)


def fill(relay: RunningRelay, sender: ssl.SSLSocket) -> int:
    """Send until the other side's socket in the relay is full; return how much that was."""
    ends = ends_of(relay)
    tunnels = relay.relay.services.tunnels
    while not look(ends.other, lambda: ends.other.connection.writing):
        passed = tunnels.snapshot().bytes
        sender.sendall(bytes(16_384))
        wait_until(relay, lambda: tunnels.snapshot().bytes == passed + 16_384)  # noqa: B023
        settle(relay)
    return tunnels.snapshot().bytes


def test_a_slow_reader_has_time_for_the_rest(start_relay: StartRelay, clock: FakeClock) -> None:
    """More than ``LINGER_S``: much may be on its way."""
    relay = start_relay(clock=clock, peers={"tunnel_bytes_per_s": 0})
    one, other = join(relay)
    end = ends_of(relay).other
    size = fill(relay, one)
    one.close()
    wait_until(relay, lambda: look(end, lambda: end._over))
    clock.now += 5 * LINGER_S
    settle(relay)
    assert len(read_to_end(other)) == size
    other.close()
    wait_until(relay, lambda: end.connection.fileno() == -1)


def test_who_never_reads_the_rest_is_left(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock, peers={"tunnel_bytes_per_s": 0})
    one, _ = join(relay)
    end = ends_of(relay).other
    fill(relay, one)
    one.close()
    wait_until(relay, lambda: look(end, lambda: end._over))
    clock.now += relay.config.peers.tunnel_idle_s
    settle(relay)
    clock.now += LINGER_S
    settle(relay)
    assert end.connection.fileno() == -1


def test_a_reset(relay: RunningRelay, caplog: pytest.LogCaptureFixture) -> None:
    one, other = join(relay)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
    assert read_to_end(other) == b""
    text = "tunnel between ann and bob closed after 0 and 0 bytes: ann: Connection reset by peer"
    assert text in caplog.messages


def test_a_session_ends(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it its tunnels, after a last word, and its tokens; others go on."""
    monkeypatch.setattr(tunnels, "FAREWELL_S", 0.3)
    ann, bob, carl = (relay.account(nick) for nick in ("ann", "bob", "carl"))
    ids = {client: relay.session(client.nick).id for client in (ann, bob, carl)}
    joined = join(relay, sessions=(ids[ann], ids[bob]))
    waiting = come(relay, grant(relay, sessions=(ids[carl], ids[ann]))[0])
    wait_until(relay, lambda: status(relay) == (2, 3))
    unused = grant(relay, sessions=(ids[ann], ids[carl]))
    others = join(relay, ("bob", "carl"), (ids[bob], ids[carl]))
    ann.quit()
    joined[0].sendall(b"goodbye")
    assert read_to_end(joined[1]) == b"goodbye"
    assert read_to_end(joined[0]) == b""
    assert read_to_end(waiting) == b"REFUSED A session has ended\n"
    assert [read_to_end(come(relay, token)) for token in unused] == [NOT_GOOD] * 2
    others[0].sendall(b"still here")
    assert read_exactly(others[1], 10) == b"still here"
    assert status(relay) == (1, 2)


def test_the_relay_stops(relay: RunningRelay) -> None:
    """Ends that do not close their side do not keep it."""
    pair = join(relay)
    waiting = come(relay, grant(relay)[0])
    silent = relay.connect(alpn=(TUNNEL_ALPN,)).sock
    wait_until(relay, lambda: status(relay) == (2, 3))
    relay.relay.stop("The end")
    relay._stopped = True
    assert [read_to_end(sock) for sock in pair] == [b"", b""]
    assert read_to_end(waiting) == b"REFUSED The relay stops\n"
    assert read_to_end(silent) == b""


def test_seats_are_given_back(start_relay: StartRelay) -> None:
    """Once, however an end ends; else one address could shut itself out, or nobody."""
    relay = start_relay(limits={"connections_per_address": 3, "connections": 8})
    counter = relay.relay._admission._counter
    for _ in range(5):
        tokens = grant(relay)
        socks = [come(relay, token, "192.0.2.1") for token in tokens]
        socks.append(come(relay, "guess", "192.0.2.1"))
        assert read_to_end(socks[2]) == NOT_GOOD
        for sock in socks[:2]:
            read_joined(sock)
        for sock in socks:
            sock.close()
        wait_until(relay, lambda: counter.total() == 0)
        half = relay.connect_from("192.0.2.1")
        half.close()
        wait_until(relay, lambda: counter.total() == 0)
    assert counter._counts == {}


def test_nothing_is_kept_of_an_end(relay: RunningRelay) -> None:
    """Its memory comes back at once: TLS objects are large, and the collector does not see that."""
    gc.collect()
    gc.disable()
    try:
        pair = join(relay)
        for sock in pair:
            sock.sendall(b"hello")
            sock.close()
        waiting = come(relay, grant(relay)[0])
        wait_for_tunnels(relay, 1)
        waiting.close()
        wait_for_tunnels(relay, 0)
        wait_until(
            relay, lambda: not any(isinstance(found, TunnelEnd) for found in gc.get_objects())
        )
    finally:
        gc.enable()


def test_no_token_and_no_content_is_logged(
    relay: RunningRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token_a, token_b = grant(relay)
    one, other = read_joined_pair(come(relay, token_a), come(relay, token_b))
    one.sendall(b"xyzzy")
    assert read_exactly(other, 5) == b"xyzzy"
    assert read_to_end(come(relay, token_a)) == NOT_GOOD
    one.close()
    assert read_to_end(other) == b""
    relay.stop()
    for secret in (token_a, token_b, "xyzzy"):
        assert secret not in caplog.text
    assert "tunnel between ann and bob closed after 5 and 0 bytes" in caplog.text


def read_joined_pair(*socks: ssl.SSLSocket) -> list[ssl.SSLSocket]:
    return [read_joined(sock) for sock in socks]
