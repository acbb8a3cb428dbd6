from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

import pytest

from securechat.errors import CertificateRejected, ConnectionLost, NetworkError, TlsError
from securechat.net.io_thread import IoThread
from securechat.net.tls import server_context
from securechat.net.tls_pipe import TlsPipe
from securechat.net.traffic import HandshakeFailure
from tests.net.conftest import Connect, StartIo
from tests.net.support import (
    HANDSHAKE_TIMEOUT_S,
    Certificates,
    Echo,
    FakeClock,
    Relay,
    receive_exactly,
    settle,
)

Serve = Callable[..., Relay]
ConnectTcp = Callable[..., socket.socket]


def failures(io: IoThread) -> dict[str, int]:
    """Return what is counted, without the zeros."""
    return {str(kind): n for kind, n in io.traffic.handshake_failures.items() if n}


def shake_hands(tcp: socket.socket, context: ssl.SSLContext) -> None:
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(tcp, server_hostname="localhost") as sock,
    ):
        sock.recv(1)


def test_bytes_inside_tls_and_pieces_for_each_recipient(
    io: IoThread, serve: Serve, connect: Connect
) -> None:
    relay = serve(io, Echo)
    clients = [connect(relay.address) for _ in range(3)]
    handlers = [relay.next_handler() for _ in clients]
    clients[0].sendall(b"12345")
    assert receive_exactly(clients[0], 5) == b"12345"
    assert (io.traffic.received_bytes, io.traffic.sent_bytes) == (5, 5)
    assert io.traffic.deliveries == 0  # an answer, to one

    groups = (tuple(handler.connection for handler in handlers),)
    io.send(groups, [b"abc"])
    io.send(groups, [b"de"])  # joined with the first, or not
    settle(io)
    assert (io.traffic.deliveries, io.traffic.sent_bytes) == (6, 5 + 15)


@pytest.mark.parametrize(("skipped", "deliveries"), [(0, 1), (2, 2)])
def test_who_is_left_out_is_not_counted(
    skipped: int, deliveries: int, io: IoThread, serve: Serve, connect: Connect
) -> None:
    relay = serve(io)
    clients = [connect(relay.address) for _ in range(3)]
    connections = [relay.next_handler().connection for _ in clients]
    io.send((tuple(connections[:2]),), [b"abc"], connections[skipped])
    settle(io)
    assert (io.traffic.deliveries, io.traffic.sent_bytes) == (deliveries, 3 * deliveries)
    assert connections[0].queued_bytes == 0


def test_who_does_not_read_is_counted_when_closed(
    io: IoThread, serve: Serve, connect: Connect
) -> None:
    relay = serve(io, send_limit_bytes=300_000, send_buffer_bytes=8_192)
    connect(relay.address)
    slow = relay.next_handler()
    slow.wait_opened()
    slow.connection.send(bytes(290_000))
    settle(io)
    assert 0 < slow.connection.queued_bytes <= 290_000
    assert io.traffic.overflows == 0
    slow.connection.send(bytes(8_000_000))
    slow.wait_closed()
    assert io.traffic.overflows == 1
    assert failures(io) == {}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"NICK alice\r\nUSER alice 0 * :Alice\r\n", HandshakeFailure.NOT_TLS),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", HandshakeFailure.NOT_TLS),
        (b"\x16\x03\x01", HandshakeFailure.CLOSED),
        (b"", HandshakeFailure.CLOSED),
    ],
)
def test_what_is_no_handshake(
    said: bytes, kind: str, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
) -> None:
    relay = serve(io)
    client = connect_tcp(relay.address)
    client.sendall(said)
    client.shutdown(socket.SHUT_WR)
    relay.next_handler().wait_closed()
    assert failures(io) == {kind: 1}


def test_one_that_takes_too_long(start_io: StartIo, serve: Serve, connect_tcp: ConnectTcp) -> None:
    clock = FakeClock()
    io = start_io(clock=clock)
    relay = serve(io)
    client = connect_tcp(relay.address)
    handler = relay.next_handler()
    settle(io)
    clock.advance(HANDSHAKE_TIMEOUT_S)
    settle(io)
    handler.wait_closed()
    assert failures(io) == {"timeout": 1}
    assert client.recv(1) == b""


def test_one_that_the_client_refuses(io: IoThread, serve: Serve, connect_tcp: ConnectTcp) -> None:
    relay = serve(io)
    shake_hands(connect_tcp(relay.address), ssl.create_default_context(cadata=None))
    relay.next_handler().wait_closed()
    assert failures(io) == {"alert": 1}


def test_one_with_a_certificate_that_we_refuse(
    io: IoThread, serve: Serve, connect_tcp: ConnectTcp, certificates: Certificates
) -> None:
    other = server_context(
        certificates.certificate, certificates.key, client_ca=certificates.certificate
    )
    relay = serve(io, context=other)
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.load_cert_chain(certificates.certificate, certificates.key)
    shake_hands(connect_tcp(relay.address), context)
    relay.next_handler().wait_closed()
    assert failures(io) == {"certificate": 1}


def test_one_of_an_old_version(
    io: IoThread, serve: Serve, connect_tcp: ConnectTcp, certificates: Certificates
) -> None:
    newest = server_context(certificates.certificate, certificates.key, minimum_version="1.3")
    relay = serve(io, context=newest)
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    shake_hands(connect_tcp(relay.address), context)
    relay.next_handler().wait_closed()
    assert failures(io) == {"incompatible": 1}


def test_one_for_another_protocol(
    io: IoThread, serve: Serve, connect_tcp: ConnectTcp, certificates: Certificates
) -> None:
    relay = serve(io, make_pipe=lambda context: TlsPipe(context, required_protocols=("irc",)))
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    shake_hands(connect_tcp(relay.address), context)
    relay.next_handler().wait_closed()
    assert failures(io) == {"other_protocol": 1}


def test_what_ends_later_or_in_good_order_is_no_failure(
    io: IoThread, serve: Serve, connect: Connect, connect_tcp: ConnectTcp
) -> None:
    relay = serve(io)
    client = connect(relay.address)
    handler = relay.next_handler()
    handler.wait_opened()
    client.sendall(b"x")
    handler.wait_data(1)
    tcp = client.detach()
    socket.close(tcp)  # without a word of TLS
    handler.wait_closed()

    unfinished = connect_tcp(relay.address)
    closed = relay.next_handler()
    closed.connection.close()
    assert closed.wait_closed() is None
    assert failures(io) == {}
    unfinished.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionLost("Connection reset by peer"), HandshakeFailure.CLOSED),
        (CertificateRejected("no", check="expired", advice=""), HandshakeFailure.CERTIFICATE),
        (TlsError("TLS failed: {reason}", reason="internal error"), HandshakeFailure.OTHER),
        (
            TlsError("TLS failed: {reason}", reason="ssl/tls alert bad certificate"),
            HandshakeFailure.ALERT,
        ),
        (NetworkError("SendQ exceeded"), HandshakeFailure.OTHER),
    ],
)
def test_every_error_is_of_a_kind(error: NetworkError, kind: HandshakeFailure) -> None:
    assert HandshakeFailure.of(error) is kind
