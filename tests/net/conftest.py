"""Fixtures of the wire: certificates as files, contexts, I/O threads, a relay, clients."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import trustme

from securechat.net.io_thread import IoThread
from securechat.net.tls import client_context, server_context
from tests.net.support import LONG_TIMEOUT_S, Certificates, Relay


class StartIo(Protocol):
    """Starts an I/O thread that the fixture stops."""

    def __call__(
        self, name: str = ..., *, clock: Callable[[], float] = ..., may_crash: bool = ...
    ) -> IoThread: ...


class Connect(Protocol):
    """Connects a verifying client made of the standard library's own blocking TLS."""

    def __call__(
        self, address: tuple[str, int], *, protocols: tuple[str, ...] = ()
    ) -> ssl.SSLSocket: ...


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


def write_certificates(folder: Path, ca: trustme.CA, issued: trustme.LeafCert) -> Certificates:
    files = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    ca.cert_pem.write_to_path(files.ca)
    files.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(files.key)
    return files


@pytest.fixture(scope="session")
def certificates(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    issued = ca.issue_cert("localhost", "127.0.0.1", "::1")
    return write_certificates(tmp_path_factory.mktemp("certificates"), ca, issued)


@pytest.fixture(scope="session")
def server_tls(certificates: Certificates) -> ssl.SSLContext:
    return server_context(certificates.certificate, certificates.key, protocols=["irc"])


@pytest.fixture(scope="session")
def client_tls(certificates: Certificates) -> ssl.SSLContext:
    return client_context(certificates.ca)


@pytest.fixture
def start_io() -> Iterator[StartIo]:
    threads: list[IoThread] = []
    crashes: list[BaseException] = []

    def start(
        name: str = "io", *, clock: Callable[[], float] | None = None, may_crash: bool = False
    ) -> IoThread:
        on_crash = None if may_crash else crashes.append
        io = IoThread(name, on_crash=on_crash, **({} if clock is None else {"clock": clock}))
        threads.append(io)
        io.start()
        return io

    yield start
    for io in threads:
        io.stop(0)
    assert not crashes


@pytest.fixture
def io(start_io: StartIo) -> IoThread:
    return start_io()


@pytest.fixture
def serve(server_tls: ssl.SSLContext, start_io: StartIo) -> Iterator[Callable[..., Relay]]:
    # start_io: the listeners end before the threads that they hand to
    relays: list[Relay] = []

    def start(io: IoThread, *arguments: object, **options: object) -> Relay:
        context = options.pop("context", server_tls)
        relays.append(Relay(io, context, *arguments, **options))  # type: ignore[arg-type]
        return relays[-1]

    yield start
    for relay in relays:
        relay.listener.stop()


@pytest.fixture
def keep() -> Iterator[Callable[..., socket.socket]]:
    """Close the socket at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def connect_tcp(keep: Callable[[socket.socket], socket.socket]) -> Callable[..., socket.socket]:
    def connect(address: tuple[str, int]) -> socket.socket:
        return keep(socket.create_connection(address, timeout=LONG_TIMEOUT_S))

    return connect


@pytest.fixture
def connect(certificates: Certificates, keep: Callable[[ssl.SSLSocket], ssl.SSLSocket]) -> Connect:
    def connect(address: tuple[str, int], *, protocols: tuple[str, ...] = ()) -> ssl.SSLSocket:
        context = client_context(certificates.ca, protocols=protocols)
        sock = socket.create_connection(address, timeout=LONG_TIMEOUT_S)
        try:
            return keep(context.wrap_socket(sock, server_hostname="localhost"))
        except BaseException:
            sock.close()
            raise

    return connect
