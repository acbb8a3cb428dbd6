from __future__ import annotations

import os
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import CertificateRejected, TlsError
from securechat.net.client_hello import NO_APPLICATION_PROTOCOL
from securechat.net.tls import client_context
from securechat.net.tls_pipe import TlsBuffers, TlsPipe
from tests.net.support import Certificates, move, shake_hands

SIZES = [pytest.param(None, id="whole"), pytest.param(1, id="byte by byte")]


def feed(pipe: TlsPipe, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        assert pipe.receive(data[start : start + size]) == b""


@pytest.fixture
def client(client_tls: ssl.SSLContext) -> TlsPipe:
    return TlsPipe(client_tls, server_hostname="localhost")


@pytest.fixture
def server(server_tls: ssl.SSLContext) -> TlsPipe:
    return TlsPipe(server_tls, required_protocols=["irc"])


@pytest.fixture
def ends(client: TlsPipe, server: TlsPipe) -> list[TlsPipe]:
    shake_hands(client, server)
    return [client, server]


class TestStream:
    @pytest.mark.parametrize("size", SIZES)
    def test_both_ways(self, client: TlsPipe, server: TlsPipe, size: int | None) -> None:
        shake_hands(client, server, size)
        client.send(b"NICK ann\r\n")
        assert move(client, server, size) == b"NICK ann\r\n"
        server.send(b"PING 1\r\n")
        server.send(b"PING 2\r\n")
        assert move(server, client, size) == b"PING 1\r\nPING 2\r\n"

    def test_what_is_known_of_it(self, client: TlsPipe, server: TlsPipe) -> None:
        assert (server.version, server.cipher, server.protocol) == ("", "", None)
        assert not server.handshake_done
        shake_hands(client, server)
        assert server.version == client.version == "TLSv1.3"
        assert server.cipher == client.cipher != ""
        assert server.peer_certificate is None
        assert client.peer_certificate is not None

    @pytest.mark.parametrize("size", [None, 1_000, 16_384 + 1])
    def test_more_than_a_record(self, ends: list[TlsPipe], size: int | None) -> None:
        data = os.urandom(300_000)
        for sender, receiver in (ends, ends[::-1]):
            sender.send(data)
            assert move(sender, receiver, size) == data

    def test_many_records_are_one_read(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        for number in range(100):
            client.send(b"%d\r\n" % number)
        assert server.receive(client.take()).split() == [b"%d" % n for n in range(100)]

    def test_taking_forgets(self, ends: list[TlsPipe]) -> None:
        client, _ = ends
        client.send(b"once")
        assert client.take()
        assert client.take() == b""

    def test_nothing_comes_of_nothing(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.send(b"")
        assert move(client, server) == b""
        assert not server.eof

    def test_the_first_data_may_come_with_the_end_of_the_handshake(
        self, client: TlsPipe, server: TlsPipe
    ) -> None:
        client.start()
        move(client, server)
        move(server, client)
        client.send(b"early")
        assert move(client, server) == b"early"

    def test_starting_again_does_nothing(self, ends: list[TlsPipe]) -> None:
        for end in ends:
            end.start()
            assert end.take() == b""

    @given(sizes=st.lists(st.integers(1, 40_000), min_size=1, max_size=8), cut=st.integers(1, 999))
    def test_any_cuts(
        self,
        sizes: list[int],
        cut: int,
        client_tls: ssl.SSLContext,
        server_tls: ssl.SSLContext,
    ) -> None:
        client = TlsPipe(client_tls, server_hostname="localhost")
        server = TlsPipe(server_tls)
        shake_hands(client, server, cut)
        pieces = [os.urandom(size) for size in sizes]
        for piece in pieces:
            client.send(piece)
        assert move(client, server, cut * 7) == b"".join(pieces)


class TestWithoutAName:
    """A client's end that asks for no host: for contexts that trust one certificate."""

    def test_it_asks_for_none(self, certificates: Certificates, server: TlsPipe) -> None:
        context = client_context(certificates.ca)
        context.check_hostname = False
        client = TlsPipe(context, server_side=False)
        shake_hands(client, server)
        assert server.server_name == ""
        client.send(b"hello")
        assert move(client, server) == b"hello"

    def test_a_name_is_told(self, client: TlsPipe, server: TlsPipe) -> None:
        shake_hands(client, server)
        assert server.server_name == "localhost"

    def test_it_verifies(self, server_tls: ssl.SSLContext) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        trustme.CA().configure_trust(context)
        client, server = TlsPipe(context, server_side=False), TlsPipe(server_tls, server_side=True)
        client.start()
        move(client, server)
        with pytest.raises(CertificateRejected):
            move(server, client)


class TestProtocols:
    """RFC 7301: "the server SHALL send a fatal "no_application_protocol" alert"."""

    def client_of(self, certificates: Certificates, *protocols: str) -> TlsPipe:
        context = client_context(certificates.ca, protocols=protocols)
        return TlsPipe(context, server_hostname="localhost")

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize(
        ("offered", "agreed"),
        [([], None), (["irc"], "irc"), (["h2", "irc"], "irc")],
    )
    def test_welcome(
        self,
        offered: list[str],
        agreed: str | None,
        size: int | None,
        certificates: Certificates,
        server: TlsPipe,
    ) -> None:
        client = self.client_of(certificates, *offered)
        shake_hands(client, server, size)
        assert client.protocol == server.protocol == agreed

    @pytest.mark.parametrize("size", SIZES)
    def test_only_unknown_ones_are_refused(
        self, size: int | None, certificates: Certificates, server: TlsPipe
    ) -> None:
        client = self.client_of(certificates, "h2", "http/1.1")
        client.start()
        with pytest.raises(TlsError, match="offers only other application protocols"):
            move(client, server, size)
        alert = server.take()
        assert alert == NO_APPLICATION_PROTOCOL
        with pytest.raises(TlsError) as caught:
            client.receive(alert)
        assert str(caught.value) == "TLS failed: tlsv1 alert no application protocol"

    def test_without_a_requirement_all_are_welcome(
        self, certificates: Certificates, server_tls: ssl.SSLContext
    ) -> None:
        client, server = self.client_of(certificates, "h2"), TlsPipe(server_tls)
        shake_hands(client, server)
        assert client.protocol is None


class TestFailures:
    @pytest.mark.parametrize(
        "garbage",
        [
            b"NICK ann\r\nUSER ann 0 * :Ann\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            bytes(64),
            b"\xff" * 64,
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        ],
    )
    @pytest.mark.parametrize("required", [[], ["irc"]])
    @pytest.mark.parametrize("size", SIZES)
    def test_no_client_hello(
        self,
        garbage: bytes,
        required: list[str],
        size: int | None,
        server_tls: ssl.SSLContext,
    ) -> None:
        server = TlsPipe(server_tls, required_protocols=required)
        server.start()
        with pytest.raises(TlsError, match=r"^TLS failed: "):
            feed(server, garbage, size or len(garbage))
        assert not server.handshake_done

    @given(data=st.binary(max_size=200))
    def test_any_bytes_are_taken_or_refused(
        self, data: bytes, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
    ) -> None:
        for end in (
            TlsPipe(server_tls, required_protocols=["irc"]),
            TlsPipe(client_tls, server_hostname="localhost"),
        ):
            end.start()
            try:
                assert end.receive(data) == b""
            except TlsError:
                continue
            assert not end.handshake_done

    def test_a_broken_record(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.send(b"pay 10 to bob")
        record = bytearray(client.take())
        record[-1] ^= 1
        with pytest.raises(TlsError, match="bad record mac"):
            server.receive(bytes(record))
        with pytest.raises(TlsError, match="bad record mac"):
            client.receive(server.take())  # the alert

    def test_sending_on_a_broken_stream(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        with pytest.raises(TlsError):
            server.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(TlsError):
            server.send(b"anything")
        server.close()  # nothing to add
        with pytest.raises(TlsError):
            move(server, client)

    def test_replayed_records_are_refused(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.send(b"once")
        record = client.take()
        assert server.receive(record) == b"once"
        with pytest.raises(TlsError):
            server.receive(record)

    def test_a_context_that_allows_nothing(self, ca: trustme.CA) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.configure_trust(context)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(TlsError):
            TlsPipe(context, server_hostname="localhost").start()


class TestClosing:
    def test_the_notice_is_the_end_of_the_stream(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.send(b"QUIT\r\n")
        client.close()
        assert not server.eof
        assert move(client, server) == b"QUIT\r\n"
        assert server.eof

    def test_the_other_side_may_still_send(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.close()
        move(client, server)
        server.send(b"ERROR :Bye\r\n")
        server.close()
        assert move(server, client) == b"ERROR :Bye\r\n"
        assert client.eof

    def test_after_the_end_nothing_is_read(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.close()
        move(client, server)
        for junk in (b"", b"NICK ann\r\n", bytes(100)):
            assert server.receive(junk) == b""
        assert server.eof

    def test_closing_with_input_unread(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.send(b"not read")
        server.close()
        move(server, client)
        assert client.eof

    def test_closing_twice(self, ends: list[TlsPipe]) -> None:
        client, server = ends
        client.close()
        client.close()
        move(client, server)
        assert server.eof

    def test_before_the_handshake_there_is_nothing_to_say(self, server: TlsPipe) -> None:
        server.start()
        server.close()
        assert server.take() == b""


class TestSharedBuffers:
    def test_pipes_that_take_turns(
        self, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
    ) -> None:
        shared = TlsBuffers()
        clients = [TlsPipe(client_tls, server_hostname="localhost") for _ in range(3)]
        servers = [TlsPipe(server_tls, buffers=shared) for _ in clients]
        for client in clients:
            client.start()
        # Each step is done for all before the next: nothing of one may be left for another.
        while not all(pipe.handshake_done for pipe in (*clients, *servers)):
            for client, server in zip(clients, servers, strict=True):
                server.receive(client.take())
            assert not shared.incoming.pending
            assert not shared.outgoing.pending
            for client, server in zip(clients, servers, strict=True):
                client.receive(server.take())
        for number, client in enumerate(clients):
            client.send(b"to %d" % number)
        records = [client.take() for client in clients]
        for server, record in zip(servers, records, strict=True):
            assert server.receive(record[:9]) == b""  # the beginning of a record
        assert [
            server.receive(record[9:]) for server, record in zip(servers, records, strict=True)
        ] == [b"to 0", b"to 1", b"to 2"]
        for number, server in enumerate(servers):
            server.send(b"back %d" % number)
        assert [
            client.receive(server.take()) for client, server in zip(clients, servers, strict=True)
        ] == [b"back 0", b"back 1", b"back 2"]

    def test_what_breaks_one_is_not_left_for_another(
        self, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
    ) -> None:
        shared = TlsBuffers()
        clients = [TlsPipe(client_tls, server_hostname="localhost") for _ in range(2)]
        broken, server = (TlsPipe(server_tls, buffers=shared) for _ in clients)
        shake_hands(clients[0], broken)
        shake_hands(clients[1], server)
        with pytest.raises(TlsError):
            broken.receive(b"\x17\x03\x03\x00\x20" + 32 * b"x" + 1_000 * b"more of it")
        assert not shared.incoming.pending
        assert broken.waiting_bytes  # the alert
        clients[1].send(b"unharmed")
        assert server.receive(clients[1].take()) == b"unharmed"
        assert server.waiting_bytes == 0

    def test_what_follows_the_last_word_is_not_left_for_another(
        self, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
    ) -> None:
        shared = TlsBuffers()
        client, server = (
            TlsPipe(client_tls, server_hostname="localhost"),
            TlsPipe(server_tls, buffers=shared),
        )
        shake_hands(client, server)
        client.close()
        assert server.receive(client.take() + b"and more") == b""
        assert server.eof
        assert not shared.incoming.pending
