"""Two thousand sockets that connect and say nothing are no trouble for anybody else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from securechat.errors import TlsError
from tests.net.conftest import Connect, StartIo
from tests.net.support import (
    HANDSHAKE_TIMEOUT_S,
    Echo,
    FakeClock,
    Relay,
    receive_exactly,
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
