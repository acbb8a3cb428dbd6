"""Many sockets that connect and say nothing, and many that live and die in every way."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from securechat.errors import TlsError
from securechat.net.connection import Connection
from securechat.net.tls_pipe import TlsPipe
from tests.net.conftest import Connect, StartIo
from tests.net.support import (
    HANDSHAKE_TIMEOUT_S,
    LONG_TIMEOUT_S,
    Echo,
    FakeClock,
    InThread,
    Recorder,
    Relay,
    receive_exactly,
    reset,
    settle,
)

resource = pytest.importorskip("resource", reason="POSIX only")

SILENT = 2_000
DESCRIPTORS = 2 * SILENT + 500
"""Both ends of each are in this process."""


@pytest.fixture(autouse=True)
def _room_for_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
            pytest.skip(f"only {hard} descriptors allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Moody(Recorder):
    """Does anything that a handler may do, and some things that it may not."""

    def __init__(self, connection: Connection, chance: random.Random, all_of_them: list[Moody]):
        super().__init__(connection)
        self._chance = chance
        self._all = all_of_them
        self._all.append(self)

    def received(self, data: bytes) -> None:
        super().received(data)
        mood = self._chance.random()
        if mood < 0.02:
            raise RuntimeError
        if mood < 0.04:
            self.connection.drop(None)
        elif mood < 0.06:
            self.connection.queue(b"bye")
            self.connection.finish()
        elif mood < 0.08:
            self._chance.choice(self._all).connection.close()
        else:
            for io in {handler.connection.thread for handler in self._all}:
                group = tuple(h.connection for h in self._all[-20:] if h.connection.thread is io)
                io.send((group,), [data], self._chance.choice((None, self.connection)))


def live(
    chance: random.Random, address: tuple[str, int], context: ssl.SSLContext, mood: float
) -> None:
    """One client's life; what it meets on the way is not its concern."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as end:
        sock = end.enter_context(socket.create_connection(address, LONG_TIMEOUT_S))
        if mood < 0.3:
            sock.sendall(chance.randbytes(chance.randrange(3_000)))
            if mood < 0.15:
                reset(sock)
            return
        tls = end.enter_context(context.wrap_socket(sock, server_hostname="localhost"))
        for _ in range(chance.randrange(12)):
            tls.sendall(chance.randbytes(chance.randrange(1, 30_000)))
            tls.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.recv(chance.randrange(1, 100_000))
            tls.settimeout(LONG_TIMEOUT_S)
        if mood < 0.5:
            reset(tls)
        elif mood < 0.7:
            tls.unwrap()
        elif mood < 0.8:
            with socket.socket(fileno=tls.detach()) as raw:
                raw.sendall(b"no record at all")


def test_lives_of_all_kinds(
    start_io: StartIo, serve: Callable[..., Relay], client_tls: ssl.SSLContext
) -> None:
    """Whatever happens, each handler is told of one end, nothing leaks and no thread dies."""
    ios = [start_io("io 1"), start_io("io 2")]
    handlers: list[Moody] = []
    chances = {io: random.Random(place) for place, io in enumerate(ios)}
    relays = [
        serve(
            io,
            lambda connection: Moody(connection, chances[connection.thread], handlers),
            send_limit_bytes=100_000,
            make_pipe=lambda context: TlsPipe(context, required_protocols=["irc"]),
        )
        for io in ios
    ]

    def lives(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(20):
            live(chance, relays[number % 2].address, client_tls, chance.random())

    for thread in [InThread(lambda seed=seed: lives(seed)) for seed in range(8)]:  # type: ignore[misc]
        thread.join()
    for io in ios:
        io.stop(LONG_TIMEOUT_S)
    for handler in handlers:
        assert handler.events.count("opened") <= 1
        assert handler.events.count("closed") == 1
        assert handler.events[-1] == "closed"
        assert handler.connection.fileno() == -1


def test_silent_sockets(
    start_io: StartIo,
    serve: Callable[..., Relay],
    connect: Connect,
    connect_tcp: Callable[..., socket.socket],
) -> None:
    clock = FakeClock()
    io = start_io(clock=clock)
    relay = serve(io, Echo)
    silent: list[socket.socket] = []
    behaved = []
    for number in range(SILENT):
        silent.append(connect_tcp(relay.address))
        if number % 2:
            silent[-1].sendall(b"\x16")  # begins to speak, at least
        if number % 400 == 399:
            behaved.append(connect(relay.address))
            behaved[-1].sendall(b"hello")
            assert receive_exactly(behaved[-1], 5) == b"hello"
    handlers = [relay.next_handler() for _ in range(SILENT + len(behaved))]
    settle(io)
    assert not any(handler.errors for handler in handlers)

    clock.advance(HANDSHAKE_TIMEOUT_S)
    settle(io)
    for sock in silent:
        assert sock.recv(1) == b""
    closed = [handler for handler in handlers if handler.errors]
    assert len(closed) == SILENT
    for handler in closed:
        assert handler.events == ["closed"]
        assert isinstance(handler.errors[0], TlsError)
        assert handler.connection.fileno() == -1
    for client in behaved:
        client.sendall(b"still here")
        assert receive_exactly(client, 10) == b"still here"
