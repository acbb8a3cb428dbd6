from __future__ import annotations

import gc
import hashlib
import os
import re
import socket
import ssl
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from securechat.errors import ConnectionLost, NetworkError, TlsError
from securechat.net.connection import LINGER_S, Connection
from securechat.net.dialer import dial
from securechat.net.io_thread import IoThread
from securechat.net.tls import client_context, server_context
from securechat.net.tls_pipe import TlsPipe
from tests.net.conftest import Connect, StartIo, write_certificates
from tests.net.support import (
    HANDSHAKE_TIMEOUT_S,
    LONG_TIMEOUT_S,
    Certificates,
    Echo,
    FakeClock,
    Gate,
    InThread,
    PlainPipe,
    Recorder,
    Relay,
    on_thread,
    receive_all,
    receive_exactly,
    reset,
    settle,
    wait_gone,
    wait_readable,
)

Serve = Callable[..., Relay]
ConnectTcp = Callable[..., socket.socket]
Keep = Callable[[socket.socket], socket.socket]

PLENTY = 64 << 20

NO_CLIENT_HELLO = b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"
"""The beginning of a TLS stream, but not what a client begins with."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def still_io(start_io: StartIo, clock: FakeClock) -> IoThread:
    """An I/O thread for which no time passes but what the test lets pass."""
    return start_io("still io", clock=clock)


def adopt_client(
    io: IoThread,
    address: tuple[str, int],
    context: ssl.SSLContext,
    make_handler: Callable[[Connection], Recorder] = Recorder,
    *,
    send_limit_bytes: int = PLENTY,
) -> Recorder:
    """Connect with a connection of ours; return its handler."""
    made: list[Recorder] = []

    def make(connection: Connection) -> Recorder:
        made.append(make_handler(connection))
        return made[0]

    io.adopt(
        dial(*address, LONG_TIMEOUT_S),
        TlsPipe(context, server_hostname="localhost"),
        make,
        handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
        send_limit_bytes=send_limit_bytes,
    )
    settle(io)
    return made[0]


def shaken_by_hand(wire: socket.socket, context: ssl.SSLContext) -> tuple[socket.socket, TlsPipe]:
    """Do a client's handshake on ``wire``, but for its last words, which are still to be taken."""
    pipe = TlsPipe(context, server_hostname="localhost")
    pipe.start()
    while not pipe.handshake_done:
        wire.sendall(pipe.take())
        pipe.receive(wire.recv(65_536))
    return wire, pipe


class Shouter:
    """An encoder: every line in upper case, with its number; says goodbye."""

    def __init__(self) -> None:
        self.tail = b""
        self.lines = 0

    def encode(self, data: bytes) -> bytes:
        *lines, self.tail = (self.tail + data).split(b"\n")
        found = b""
        for line in lines:
            self.lines += 1
            if line:
                found += b"%d %s\n" % (self.lines, line.upper())
        return found

    def finish(self) -> bytes:
        return b"BYE\n"


class Encoded(Recorder):
    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        connection.encoder = Shouter()


class TestEncoder:
    def test_what_is_queued_is_encoded_and_the_last_word_comes_last(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, Encoded)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        connection.send(b"one\ntw")
        connection.send(b"o\n")
        connection.close()
        assert receive_all(client) == b"1 ONE\n2 TWO\nBYE\n"

    def test_others_get_the_same_bytes_as_they_are(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relays = serve(io, Encoded), serve(io)
        clients = [connect(relay.address) for relay in relays]
        group = tuple(relay.next_handler().connection for relay in relays)
        io.send((group,), [b"hello\n"])
        assert receive_exactly(clients[0], 8) == b"1 HELLO\n"
        assert receive_exactly(clients[1], 6) == b"hello\n"

    def test_much_of_it_is_cut_anywhere(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        relay = serve(io, Encoded, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        connection.send(b"".join(b"%s\n" % (b"x" * (n % 700 + 1)) for n in range(3_000)))
        connection.close()
        *lines, bye, end = receive_all(client).split(b"\n")
        assert [int(line.split(b" ")[0]) for line in lines] == list(range(1, 3_001))
        assert [len(line.split(b" ")[1]) for line in lines] == [n % 700 + 1 for n in range(3_000)]
        assert (bye, end) == (b"BYE", b"")

    def test_nothing_to_encode_is_no_end(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """What the encoder swallows must not keep the connection from closing in time."""
        relay = serve(io, Encoded)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        connection.send(b"\n\n")
        connection.send(b"\n")
        settle(io)
        connection.send(b"\n")
        connection.close()
        assert receive_all(client) == b"BYE\n"

    def test_no_goodbye_without_a_handshake(
        self, still_io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(still_io, Encoded)
        client = connect_tcp(relay.address)
        relay.next_handler().connection.close()
        assert receive_all(client) == b""


class TestData:
    def test_echo(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        relay = serve(io, Echo)
        client = connect(relay.address)
        client.sendall(b"hello")
        assert receive_exactly(client, 5) == b"hello"
        handler = relay.next_handler()
        assert handler.events == ["opened", "received"]
        assert len(handler.threads) == 1

    def test_our_own_client(self, io: IoThread, serve: Serve, client_tls: ssl.SSLContext) -> None:
        relay = serve(io, Echo)
        handler = adopt_client(io, relay.address, client_tls)
        handler.connection.send(b"hello")
        assert handler.wait_data(5) == b"hello"
        assert handler.connection.pipe.version == "TLSv1.3"
        handler.connection.close()
        assert handler.wait_closed() is None
        assert relay.next_handler().wait_closed() is None

    def test_much_of_it_through_small_buffers(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """Nothing is lost or swapped where the socket takes a part at a time."""
        relay = serve(io, Echo, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        client = connect(relay.address)
        data = os.urandom(6 << 20)
        client.sendall(data)
        assert receive_exactly(client, len(data)) == data
        connection = relay.next_handler().connection
        settle(io)
        assert not connection.writing  # else the thread would spin

    def test_a_long_queue_is_sent_without_copies_of_it(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """To join all that is queued, for each piece that is sent, would take quadratic time."""
        pieces = [os.urandom(size) for size in (*[262_165] * 32, 1, 700_000, 5)]
        size, sha256 = sum(map(len, pieces)), hashlib.sha256(b"".join(pieces)).digest()

        class Teller(Recorder):
            def opened(self) -> None:
                super().opened()
                for piece in pieces:
                    self.connection.queue(piece)

        relay = serve(io, Teller, send_limit_bytes=PLENTY)
        received, arrived = 0, hashlib.sha256()
        tracemalloc.start()
        try:
            client = connect(relay.address)
            while received < size:
                data = client.recv(65_536)
                arrived.update(data)
                received += len(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert arrived.digest() == sha256
        assert peak < size / 2

    def test_a_handler_says_how_much_is_read_at_once(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        class Sipping(Recorder):
            largest = 0

            def __init__(self, connection: Connection) -> None:
                super().__init__(connection)
                connection.receive_bytes = 64

            def opened(self) -> None:
                self.connection.pause_reading()
                super().opened()

            def received(self, data: bytes) -> None:
                self.largest = max(self.largest, len(data))
                super().received(data)

        relay = serve(io, Sipping)
        client = connect(relay.address)
        handler = relay.next_handler()
        assert isinstance(handler, Sipping)
        handler.wait_opened()
        for _ in range(100):
            client.sendall(b"0123456789")  # each is a record of its own
        wait_readable(handler.connection)
        on_thread(io, handler.connection.resume_reading)
        assert handler.wait_data(1_000) == 100 * b"0123456789"
        assert handler.largest <= 64

    def test_early_data_waits_for_the_handshake(
        self, io: IoThread, serve: Serve, client_tls: ssl.SSLContext
    ) -> None:
        class Eager(Recorder):
            def __init__(self, connection: Connection) -> None:
                super().__init__(connection)
                connection.send(b"first ")

            def opened(self) -> None:
                super().opened()
                self.connection.send(b"second")

        relay = serve(io, Eager)
        client = adopt_client(io, relay.address, client_tls, Eager)
        assert client.wait_data(12) == b"first second"
        assert relay.next_handler().wait_data(12) == b"first second"

    def test_the_owner_may_queue_at_once(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        class Direct(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                self.connection.queue(data)

        client = connect(serve(io, Direct).address)
        for line in (b"one", b"two"):
            client.sendall(line)
            assert receive_exactly(client, 3) == line

    def test_a_flood_does_not_keep_others_waiting(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, lambda connection: Echo(connection), send_limit_bytes=PLENTY)
        quiet = connect(relay.address)
        floods = [connect(relay.address) for _ in range(3)]
        over = False

        def flood(client: ssl.SSLSocket) -> None:
            while not over:
                client.sendall(bytes(100_000))
                receive_exactly(client, 100_000)

        threads = [InThread(lambda client=client: flood(client)) for client in floods]  # type: ignore[misc]
        try:
            for number in range(50):
                quiet.sendall(b"%3d" % number)
                assert receive_exactly(quiet, 3) == b"%3d" % number
        finally:
            over = True
            for thread in threads:
                thread.join()

    def test_what_tls_itself_has_to_say_is_sent(
        self, io: IoThread, certificates: Certificates, keep: Keep
    ) -> None:
        """An answer to the other side's TLS does not wait until we have data to send too: a flood
        of such questions would fill the memory.
        """
        context = server_context(certificates.certificate, certificates.key)
        context.load_verify_locations(certificates.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        asks, incoming, outgoing = None, ssl.MemoryBIO(), ssl.MemoryBIO()
        asks = context.wrap_bio(incoming, outgoing, server_side=True)
        ours = client_context(certificates.ca)
        ours.post_handshake_auth = True
        listening = keep(socket.create_server(("127.0.0.1", 0)))
        handler = adopt_client(io, listening.getsockname(), ours)
        wire = keep(listening.accept()[0])
        wire.settimeout(LONG_TIMEOUT_S)
        while True:
            try:
                asks.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.sendall(outgoing.read())
                incoming.write(wire.recv(65_536))
        context.verify_mode = ssl.CERT_OPTIONAL
        asks.verify_client_post_handshake()
        asks.write(b"who are you?")
        wire.sendall(outgoing.read())
        assert handler.wait_data(12) == b"who are you?"
        assert wire.recv(65_536)


class TestHandingOver:
    def test_the_next_handler_hears_all_that_follows(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        client = connect(relay.address)
        first = relay.next_handler()
        client.sendall(b"one")
        first.wait_data(3)
        second = on_thread(io, lambda: handed_to(Echo(first.connection)))
        client.sendall(b"two")
        assert receive_exactly(client, 3) == b"two"
        client.close()
        assert second.wait_closed() is None
        assert first.events == ["opened", "received"]
        assert second.events == ["received", "closed"]

    def test_while_it_opens(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp, client_tls: ssl.SSLContext
    ) -> None:
        """What has come with the end of the handshake is for the next one already."""
        seconds: list[Recorder] = []

        class Porter(Recorder):
            def opened(self) -> None:
                super().opened()
                seconds.append(handed_to(Echo(self.connection)))

        relay = serve(io, Porter)
        wire, pipe = shaken_by_hand(connect_tcp(relay.address), client_tls)
        pipe.send(b"early")
        wire.sendall(pipe.take())
        assert pipe.receive(wire.recv(65_536)) == b"early"
        assert relay.next_handler().events == ["opened"]
        assert seconds[0].events == ["received"]

    def test_while_it_receives(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        class Porter(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                handed_to(Echo(self.connection)).received(data[4:])

        relay = serve(io, Porter)
        client = connect(relay.address)
        client.sendall(b"for you")
        assert receive_exactly(client, 3) == b"you"
        client.sendall(b"more")
        assert receive_exactly(client, 4) == b"more"
        assert relay.next_handler().data == b"for you"

    @pytest.mark.parametrize("how", ["finish", "drop"])
    def test_an_end_is_told_once(
        self, how: str, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        connect(relay.address)
        first = relay.next_handler()
        first.wait_opened()
        connection = first.connection

        def end_and_hand_over() -> Recorder:
            connection.finish() if how == "finish" else connection.drop(None)
            return handed_to(Recorder(connection))

        second = on_thread(io, end_and_hand_over)
        on_thread(io, lambda: connection.drop(None))
        assert first.events == ["opened", "closed"]
        assert second.events == []


def handed_to(handler: Recorder) -> Recorder:
    handler.connection.hand_to(handler)
    return handler


class TestPause:
    """The other side must wait; all else works."""

    @pytest.fixture
    def ends(self, io: IoThread, serve: Serve, connect: Connect) -> tuple[ssl.SSLSocket, Recorder]:
        """A client, and the handler of its connection, which is paused."""
        relay = serve(io, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        on_thread(io, handler.connection.pause_reading)
        return client, handler

    def test_nothing_is_read_until_it_is_resumed(
        self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]
    ) -> None:
        client, handler = ends
        client.sendall(b"hello")
        wait_readable(handler.connection)
        settle(io)
        assert handler.events == ["opened"]
        on_thread(io, handler.connection.resume_reading)
        assert handler.wait_data(5) == b"hello"

    def test_the_sender_must_wait_and_nothing_is_lost(
        self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]
    ) -> None:
        client, handler = ends
        data = os.urandom(24 << 20)  # more than the kernel keeps
        sending = InThread(lambda: client.sendall(data))
        wait_readable(handler.connection)
        settle(io)
        assert handler.data == b""
        on_thread(io, handler.connection.resume_reading)
        sending.join()
        assert handler.wait_data(len(data)) == data

    def test_after_each_read(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        """A read ends within a record mostly; its beginning waits inside TLS for the rest."""

        class Hesitant(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                self.connection.pause_reading()
                self.connection.thread.post(self.connection.resume_reading)

        relay = serve(io, Hesitant)
        client = connect(relay.address)
        data = os.urandom(3 << 20)
        client.sendall(data)
        handler = relay.next_handler()
        assert handler.wait_data(len(data)) == data
        assert handler.events.count("received") > 1

    def test_twice_is_as_once(self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]) -> None:
        client, handler = ends
        connection = handler.connection
        for change in (
            connection.pause_reading,
            connection.resume_reading,
            connection.resume_reading,
        ):
            on_thread(io, change)
        client.sendall(b"hello")
        assert handler.wait_data(5) == b"hello"

    def test_sending_goes_on(self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]) -> None:
        """Also while the selector watches for room in the socket, and nothing else."""
        client, handler = ends
        connection = handler.connection
        data = os.urandom(1 << 20)
        connection.send(data)
        client.sendall(b"wait")
        settle(io)
        assert on_thread(io, lambda: (connection.writing, connection.reading)) == (True, False)
        assert receive_exactly(client, len(data)) == data
        settle(io)
        assert on_thread(io, lambda: (connection.writing, connection.reading)) == (False, False)
        assert handler.events == ["opened"]
        connection.send(b"and more")
        assert receive_exactly(client, 8) == b"and more"
        on_thread(io, connection.resume_reading)
        assert handler.wait_data(4) == b"wait"

    def test_paused_and_resumed_while_it_sends(
        self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]
    ) -> None:
        client, handler = ends
        connection = handler.connection
        data = os.urandom(1 << 20)
        connection.send(data)
        settle(io)
        on_thread(io, connection.resume_reading)
        client.sendall(b"one")
        assert handler.wait_data(3) == b"one"
        on_thread(io, connection.pause_reading)
        assert receive_exactly(client, len(data)) == data
        on_thread(io, connection.resume_reading)
        client.sendall(b"two")
        assert handler.wait_data(6) == b"onetwo"

    def test_closing(self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]) -> None:
        """The last line arrives, and the input is read again, so that we see the other side go."""
        client, handler = ends
        client.sendall(b"never heard")
        wait_readable(handler.connection)
        handler.connection.send(b"the end")
        handler.connection.close()
        assert receive_all(client) == b"the end"
        assert handler.wait_closed() is None
        on_thread(io, handler.connection.pause_reading)
        client.close()
        wait_gone(handler.connection)
        assert handler.events == ["opened", "closed"]

    def test_dropping(self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]) -> None:
        client, handler = ends
        on_thread(io, lambda: handler.connection.drop(NetworkError("enough")))
        assert str(handler.wait_closed()) == "enough"
        assert client.recv(1) == b""
        on_thread(io, handler.connection.pause_reading)
        on_thread(io, handler.connection.resume_reading)
        assert handler.connection.fileno() == -1

    def test_stopping(self, start_io: StartIo, serve: Serve, connect: Connect) -> None:
        io = start_io()
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        on_thread(io, handler.connection.pause_reading)
        stopping = InThread(lambda: io.stop(LONG_TIMEOUT_S))
        assert receive_all(client) == b""
        client.close()
        stopping.join()
        assert handler.events == ["opened", "closed"]

    def test_the_other_side_leaves(
        self, io: IoThread, ends: tuple[ssl.SSLSocket, Recorder]
    ) -> None:
        client, handler = ends
        client.sendall(b"last")
        client.close()
        wait_readable(handler.connection)
        settle(io)
        assert handler.events == ["opened"]
        on_thread(io, handler.connection.resume_reading)
        assert handler.wait_closed() is None
        assert handler.data == b"last"

    def test_the_end_came_with_what_made_it_pause(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp, client_tls: ssl.SSLContext
    ) -> None:
        class Full(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                self.connection.pause_reading()

        relay = serve(io, Full)
        wire, pipe = shaken_by_hand(connect_tcp(relay.address), client_tls)
        pipe.send(b"last")
        pipe.close()
        wire.sendall(pipe.take())
        handler = relay.next_handler()
        assert handler.wait_data(4) == b"last"
        settle(io)
        assert handler.errors == []
        io.post(handler.connection.resume_reading)
        assert handler.wait_closed() is None
        wire.close()
        wait_gone(handler.connection)

    def test_by_another_connection_of_the_same_turn(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        handlers: list[Recorder] = []

        class Jealous(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                for other in handlers:
                    if other is not self:
                        other.connection.pause_reading()

        def make(connection: Connection) -> Recorder:
            handlers.append(Jealous(connection))
            return handlers[-1]

        relay = serve(io, make)
        clients = [connect(relay.address) for _ in range(5)]
        made = [relay.next_handler() for _ in clients]
        for handler in made:
            handler.wait_opened()
        gate = Gate(io)
        for client in clients:
            client.sendall(b"me!")
        wait_readable(*(handler.connection for handler in made))
        gate.open()
        settle(io)
        assert sum(handler.data == b"me!" for handler in made) == 1
        assert sum(handler.data == b"" for handler in made) == 4

    def test_from_the_beginning(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        class Late(Recorder):
            def __init__(self, connection: Connection) -> None:
                super().__init__(connection)
                connection.pause_reading()

        relay = serve(io, Late)
        connecting = InThread(lambda: connect(relay.address))
        handler = relay.next_handler()
        wait_readable(handler.connection)
        settle(io)
        assert handler.events == []
        on_thread(io, handler.connection.resume_reading)
        connecting.join()
        handler.wait_opened()


class TestWhatIsKnown:
    def test_unsent_bytes(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        """Queued, encrypted, half sent: all that the socket has not taken, and nothing else."""
        relay = serve(io, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        settle(io)
        assert on_thread(io, lambda: connection.unsent_bytes) == 0

        def queue() -> int:
            connection.queue(bytes(1_000))
            return connection.unsent_bytes

        assert on_thread(io, queue) == 1_000
        assert receive_exactly(client, 1_000)
        connection.send(bytes(1 << 20))
        settle(io)
        unsent = on_thread(io, lambda: connection.unsent_bytes)
        assert (1 << 18) < unsent < (1 << 20) + (1 << 15)  # TLS adds a little
        assert receive_exactly(client, 1 << 20)
        settle(io)
        assert on_thread(io, lambda: connection.unsent_bytes) == 0

    def test_unsent_bytes_before_the_handshake(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(io)
        connect_tcp(relay.address)
        connection = relay.next_handler().connection
        connection.send(b"hello")
        settle(io)
        assert on_thread(io, lambda: connection.unsent_bytes) == 5

    def test_addresses(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        relay = serve(io)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        assert on_thread(io, lambda: connection.local_address) == relay.address
        assert on_thread(io, lambda: connection.peer_address) == client.getsockname()
        assert on_thread(io, lambda: connection.peer_port) == client.getsockname()[1]

    def test_addresses_once_read_stay_known(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        clients = connect(relay.address), connect(relay.address)
        asked, not_asked = (relay.next_handler().connection for _ in clients)
        known = on_thread(io, lambda: asked.peer_address)
        for connection in (asked, not_asked):
            on_thread(io, lambda connection=connection: connection.drop(None))  # type: ignore[misc]
        assert on_thread(io, lambda: asked.peer_address) == known != ("", 0)
        assert on_thread(io, lambda: not_asked.peer_address) == ("", 0)
        assert on_thread(io, lambda: not_asked.local_address) == ("", 0)

    def test_what_is_not_tcp_has_none(
        self, io: IoThread, server_tls: ssl.SSLContext, keep: Keep
    ) -> None:
        ours, theirs = socket.socketpair()
        keep(theirs)
        made: list[Recorder] = []

        def make(connection: Connection) -> Recorder:
            made.append(Recorder(connection))
            return made[0]

        io.adopt(
            ours,
            TlsPipe(server_tls),
            make,
            handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
            send_limit_bytes=PLENTY,
        )
        settle(io)
        connection = made[0].connection
        assert on_thread(io, lambda: (connection.peer_address, connection.local_address)) == (
            ("", 0),
            ("", 0),
        )
        assert on_thread(io, lambda: connection.peer_port) == 0


def test_any_pipe_will_do(
    io: IoThread, serve: Serve, connect_tcp: ConnectTcp, server_tls: ssl.SSLContext
) -> None:
    relay = serve(io, Echo, make_pipe=lambda _: PlainPipe())
    client = connect_tcp(relay.address)
    assert receive_exactly(client, 5) == b"hello"
    client.sendall(b"one")
    assert receive_exactly(client, 3) == b"one"
    client.shutdown(socket.SHUT_WR)
    handler = relay.next_handler()
    assert handler.wait_closed() is None
    assert handler.events == ["opened", "received", "closed"]


class TestHandshake:
    def test_it_must_be_done_in_time(
        self, still_io: IoThread, clock: FakeClock, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(still_io)
        client = connect_tcp(relay.address)
        handler = relay.next_handler()
        settle(still_io)  # or its time would begin later
        client.sendall(b"\x16\x03")
        clock.advance(HANDSHAKE_TIMEOUT_S - 1)
        settle(still_io)
        gate = Gate(still_io)
        client.sendall(b"\x01")  # progress does not give it more time
        wait_readable(handler.connection)
        gate.open()
        settle(still_io)
        assert handler.events == []
        clock.advance(1)
        settle(still_io)
        error = handler.wait_closed()
        assert isinstance(error, TlsError)
        assert str(error) == "the TLS handshake took too long"
        assert handler.events == ["closed"]
        assert client.recv(1) == b""

    def test_no_limit_once_it_is_done(
        self, still_io: IoThread, clock: FakeClock, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(still_io, Echo)
        client = connect(relay.address)
        relay.next_handler().wait_opened()
        clock.advance(HANDSHAKE_TIMEOUT_S * 2)
        settle(still_io)
        client.sendall(b"here")
        assert receive_exactly(client, 4) == b"here"

    @pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01"])
    def test_the_other_side_leaves(
        self, begun: bytes, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(io)
        client = connect_tcp(relay.address)
        client.sendall(begun)
        client.close()
        handler = relay.next_handler()
        error = handler.wait_closed()
        assert isinstance(error, ConnectionLost)
        assert str(error) == "connection closed during the TLS handshake"
        assert handler.events == ["closed"]

    def test_a_reset(self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp) -> None:
        relay = serve(io)
        reset(connect_tcp(relay.address))
        handler = relay.next_handler()
        assert isinstance(handler.wait_closed(), ConnectionLost)
        assert handler.events == ["closed"]

    def test_garbage_is_answered_by_an_alert(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(io)
        client = connect_tcp(relay.address)
        client.sendall(NO_CLIENT_HELLO)
        alert = receive_all(client)
        assert alert[0] == 21
        assert len(alert) == 7
        handler = relay.next_handler()
        error = handler.wait_closed()
        assert isinstance(error, TlsError)
        assert str(error).startswith("TLS failed: ")
        assert handler.events == ["closed"]

    def test_plain_text_is_just_refused(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(io)
        client = connect_tcp(relay.address)
        client.sendall(b"NICK ann\r\nUSER ann 0 * :Ann\r\n")
        assert receive_all(client) == b""
        assert str(relay.next_handler().wait_closed()) == "TLS failed: wrong version number"

    def test_the_alert_arrives_though_the_other_side_sends_on(
        self, still_io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        """Closing a socket with unread input would reset it, and the reason might be lost."""
        relay = serve(still_io)
        client = connect_tcp(relay.address)
        handler = relay.next_handler()
        gate = Gate(still_io)
        sending = InThread(lambda: client.sendall(NO_CLIENT_HELLO * 20_000))
        wait_readable(handler.connection)
        gate.open()
        sending.join()
        assert isinstance(handler.wait_closed(), TlsError)
        assert receive_all(client)[0] == 21
        client.close()
        wait_gone(handler.connection)
        assert handler.events == ["closed"]

    def test_another_protocol_is_refused(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, make_pipe=lambda context: TlsPipe(context, required_protocols=["irc"]))
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            connect(relay.address, protocols=("h2",))
        error = relay.next_handler().wait_closed()
        assert "application protocols" in str(error)
        assert connect(relay.address, protocols=("irc",)).selected_alpn_protocol() == "irc"

    def test_a_client_learns_that_its_certificate_was_refused(
        self, io: IoThread, serve: Serve, certificates: Certificates, tmp_path: Path
    ) -> None:
        """In TLS 1.3 a client's handshake ends before the server has judged its certificate, so it
        is sending already when the alert comes.
        """

        class Talkative(Recorder):
            def opened(self) -> None:
                super().opened()
                self.connection.send(b"NICK ann\r\n" * 30_000)

        strict = server_context(
            certificates.certificate, certificates.key, client_ca=certificates.ca
        )
        other = trustme.CA()
        mine = write_certificates(tmp_path, other, other.issue_cert("ann"))
        context = client_context(certificates.ca, certificate=mine.certificate, key=mine.key)
        relay = serve(io, context=strict)
        client = adopt_client(io, relay.address, context, Talkative)
        error = client.wait_closed()
        assert isinstance(error, TlsError)
        assert "unknown ca" in str(error)
        assert client.events == ["opened", "closed"]
        server = relay.next_handler()
        assert isinstance(server.wait_closed(), TlsError)
        assert server.events == ["closed"]

    def test_a_client_that_cannot_even_begin(
        self, io: IoThread, serve: Serve, ca: trustme.CA
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.configure_trust(context)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        relay = serve(io)
        client = adopt_client(io, relay.address, context)
        assert isinstance(client.wait_closed(), TlsError)
        assert isinstance(relay.next_handler().wait_closed(), NetworkError)

    def test_what_is_sent_before_it_is_done_is_limited_too(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(io, send_limit_bytes=10_000)
        client = connect_tcp(relay.address)
        handler = relay.next_handler()
        handler.connection.send(bytes(10_000))
        settle(io)
        assert handler.events == []
        handler.connection.send(b"x")
        assert str(handler.wait_closed()) == "SendQ exceeded"
        assert client.recv(1) == b""

    def test_finishing_before_it_is_done(
        self, io: IoThread, serve: Serve, connect_tcp: ConnectTcp
    ) -> None:
        relay = serve(io)
        client = connect_tcp(relay.address)
        handler = relay.next_handler()
        handler.connection.send(b"never encrypted")
        handler.connection.close()
        assert handler.wait_closed() is None
        assert client.recv(1) == b""
        assert handler.events == ["closed"]


def leave_politely(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    client.unwrap().close()


def leave_without_a_word(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    client.close()


def leave_by_reset(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    reset(client)


def break_the_stream(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    with socket.socket(fileno=client.detach()) as raw:
        raw.settimeout(LONG_TIMEOUT_S)
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        assert receive_all(raw)


def close(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    connection.close()
    assert client.recv(1) == b""


def close_often(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    threads = [InThread(connection.close) for _ in range(5)]
    for thread in threads:
        thread.join()


def drop(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    io.post(lambda: connection.drop(NetworkError("enough")))


def drop_often(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    io.post(lambda: connection.drop(NetworkError("enough")))
    io.post(lambda: connection.drop(None))
    io.post(connection.finish)


def finish_then_drop(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    io.post(connection.finish)
    io.post(lambda: connection.drop(NetworkError("too late to tell")))


def drop_with_input_waiting(client: ssl.SSLSocket, io: IoThread, connection: Connection) -> None:
    gate = Gate(io)
    io.post(lambda: connection.drop(NetworkError("enough")))
    client.sendall(bytes(10_000))
    wait_readable(connection)
    gate.open()


class TestEnds:
    """However it ends, the handler hears of it once, and nothing after."""

    @pytest.mark.parametrize(
        ("end", "error"),
        [
            (leave_politely, None),
            (leave_without_a_word, None),
            (leave_by_reset, ConnectionLost("Connection reset by peer")),
            (break_the_stream, TlsError),
            (close, None),
            (close_often, None),
            (drop, NetworkError("enough")),
            (drop_often, NetworkError("enough")),
            (finish_then_drop, None),
            (drop_with_input_waiting, NetworkError("enough")),
        ],
    )
    def test_closed_once(
        self,
        end: Callable[[ssl.SSLSocket, IoThread, Connection], None],
        error: NetworkError | type[NetworkError] | None,
        io: IoThread,
        serve: Serve,
        connect: Connect,
    ) -> None:
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        connection = handler.connection
        end(client, io, connection)
        told = handler.wait_closed()
        if isinstance(error, NetworkError):
            assert type(told) is type(error)
            assert str(told) == str(error)
        else:
            assert told is error or isinstance(error, type)
            assert error is None or isinstance(told, error)
        connection.send(b"too late")
        connection.close()
        io.send(((connection,),), [b"too late"])
        client.close()
        settle(io)
        io.post(lambda: connection.drop(None))
        settle(io)
        assert connection.fileno() == -1
        assert [event for event in handler.events if event != "received"] == ["opened", "closed"]
        assert handler.events[-1] == "closed"

    def test_the_last_line_arrives(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        relay = serve(io, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        data = os.urandom(2 << 20)
        connection.send(data)
        connection.send(b"ERROR :Closing link\r\n")
        connection.close()
        connection.send(b"not this")
        assert receive_all(client) == data + b"ERROR :Closing link\r\n"

    def test_the_last_line_arrives_though_the_other_side_sends_on(
        self, still_io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(still_io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        gate = Gate(still_io)
        sending = InThread(lambda: client.sendall(bytes(400_000)))
        handler.connection.send(b"ERROR :Excess flood\r\n")
        handler.connection.close()
        gate.open()
        sending.join()
        assert handler.wait_closed() is None
        size = len(handler.data)
        assert receive_all(client) == b"ERROR :Excess flood\r\n"
        settle(still_io)
        assert len(handler.data) == size  # what came after the end does not count
        assert handler.events[-1] == "closed"

    def test_an_answer_to_the_last_line_arrives(
        self,
        io: IoThread,
        serve: Serve,
        connect_tcp: ConnectTcp,
        client_tls: ssl.SSLContext,
    ) -> None:
        """The other side has said all it will, in one piece, and waits for the answer."""
        relay = serve(io, Echo)
        wire, pipe = shaken_by_hand(connect_tcp(relay.address), client_tls)
        pipe.send(b"QUIT\r\n")
        pipe.close()
        wire.sendall(pipe.take())
        assert pipe.receive(receive_all(wire)) == b"QUIT\r\n"
        assert pipe.eof
        handler = relay.next_handler()
        assert handler.wait_closed() is None
        assert handler.events == ["opened", "received", "closed"]

    def test_it_waits_for_the_other_side_only_so_long(
        self, still_io: IoThread, clock: FakeClock, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(still_io)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        connection.close()
        assert client.recv(1) == b""
        settle(still_io)
        assert connection.fileno() != -1
        clock.advance(LINGER_S)
        settle(still_io)
        assert connection.fileno() == -1

    def test_a_reader_too_slow_for_the_end_is_left(
        self, still_io: IoThread, clock: FakeClock, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(still_io, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        connect(relay.address)
        handler = relay.next_handler()
        handler.connection.send(bytes(32 << 20))
        handler.connection.close()
        assert handler.wait_closed() is None
        settle(still_io)
        assert handler.connection.writing
        clock.advance(LINGER_S)
        settle(still_io)
        assert handler.connection.fileno() == -1

    def test_a_reset_while_there_is_much_to_send(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, send_limit_bytes=PLENTY, send_buffer_bytes=8_192)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.connection.send(bytes(32 << 20))
        assert receive_exactly(client, 100_000)
        reset(client)
        assert isinstance(handler.wait_closed(), ConnectionLost)
        assert handler.errors == [handler.errors[0]]

    def test_a_reset_that_is_noticed_by_sending(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()

        def send_after_the_reset() -> None:
            reset(client)
            wait_readable(handler.connection)
            handler.connection.queue(b"anybody there?")

        io.post(send_after_the_reset)
        assert isinstance(handler.wait_closed(), ConnectionLost)

    def test_the_last_word_before_a_reset_is_heard(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """A client that quits, and leaves what we have sent it unread, resets the connection."""
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        connection = handler.connection
        connection.send(b"never read")
        settle(io)

        def send_after_the_end() -> None:
            client.sendall(b"good night")
            client.close()
            wait_readable(connection)
            while connection.fileno() != -1:
                connection.queue(b"more")
                connection.flush()

        io.post(send_after_the_end)
        assert isinstance(handler.wait_closed(), ConnectionLost)
        assert bytes(handler.data) == b"good night"

    def test_a_stream_that_breaks_on_our_side(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        class Broken(TlsPipe):
            def send(self, data: bytes) -> None:
                raise TlsError("broken")

        relay = serve(io, Echo, make_pipe=Broken)
        client = connect(relay.address)
        client.sendall(b"hello")
        handler = relay.next_handler()
        assert str(handler.wait_closed()) == "broken"
        assert handler.events == ["opened", "received", "closed"]
        assert client.recv(1) == b""

    def test_nothing_is_kept_of_it(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        """Memory comes back at once: TLS objects are large, and the collector does not see that."""
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        alive = weakref.ref(handler)
        gc.disable()
        try:
            client.close()
            handler.wait_closed()
            del handler
            settle(io)
            assert alive() is None
        finally:
            gc.enable()


class TestSendLimit:
    def test_who_does_not_read_is_closed_and_nobody_else(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, send_limit_bytes=300_000, send_buffer_bytes=8_192)
        connect(relay.address)
        slow = relay.next_handler()
        reads = connect(relay.address)
        quick = relay.next_handler()
        group = (slow.connection, quick.connection)
        chunk = os.urandom(50_000)
        for _ in range(1_000):
            io.send((group,), [chunk])
            assert receive_exactly(reads, len(chunk)) == chunk
            if slow.errors:
                break
        [error] = slow.errors
        assert type(error) is NetworkError
        assert str(error) == "SendQ exceeded"
        assert slow.connection.fileno() == -1
        io.send((group,), [b"go on"])
        assert receive_exactly(reads, 5) == b"go on"
        assert quick.errors == []

    def test_what_the_socket_takes_at_once_does_not_count(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, send_limit_bytes=10)
        client = connect(relay.address)
        handler = relay.next_handler()
        for _ in range(100):
            handler.connection.send(b"eleven bytes")
            assert receive_exactly(client, 12) == b"eleven bytes"
        assert handler.errors == []


class TestWhenSent:
    def test_called_when_the_socket_has_taken_all(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, send_buffer_bytes=8_192)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        called: list[int] = []
        data = os.urandom(900_000)
        connection.send(data)
        connection.when_sent(lambda: called.append(threading.get_ident()))
        settle(io)
        assert called == []
        assert receive_exactly(client, len(data)) == data
        connection.send(b"x")
        assert receive_exactly(client, 1) == b"x"
        settle(io)
        assert len(called) == 1
        assert called != [threading.get_ident()]

    def test_called_at_once_when_nothing_waits(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        connection.when_sent(lambda: connection.send(b"now"))
        assert receive_exactly(client, 3) == b"now"

    def test_never_called_when_the_connection_ends_first(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, send_buffer_bytes=8_192)
        connect(relay.address)
        handler = relay.next_handler()
        called: list[str] = []
        handler.connection.send(os.urandom(900_000))
        handler.connection.when_sent(lambda: called.append("first"))
        io.post(lambda: handler.connection.drop(None))
        handler.connection.when_sent(lambda: called.append("second"))
        settle(io)
        settle(io)
        assert called == []


class TestHandlersThatFail:
    @pytest.mark.parametrize("where", ["opened", "received", "closed"])
    def test_only_their_connection_ends(
        self,
        where: str,
        io: IoThread,
        serve: Serve,
        connect: Connect,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def make(connection: Connection) -> Recorder:
            handler = Echo(connection)
            if not relay.handlers.qsize():
                real = getattr(handler, where)

                def fail(*arguments: object) -> None:
                    real(*arguments)
                    raise RuntimeError(where)

                setattr(handler, where, fail)
            return handler

        relay = serve(io, make)
        first, second = connect(relay.address), connect(relay.address)
        bad, good = relay.next_handler(), relay.next_handler()
        if where == "closed":
            bad.connection.close()
        else:
            first.sendall(b"hello")
        assert bad.wait_closed() is None
        assert b"hello".startswith(receive_all(first))
        first.close()
        wait_gone(bad.connection)
        assert bad.events.count("closed") == 1
        second.sendall(b"and we?")
        assert receive_exactly(second, 7) == b"and we?"
        assert good.errors == []
        [record] = caplog.records
        assert record.exc_info is not None
        assert str(record.exc_info[1]) == where

    def test_no_handler_no_connection(
        self,
        io: IoThread,
        serve: Serve,
        connect: Connect,
        connect_tcp: ConnectTcp,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def make(connection: Connection) -> Recorder:
            if not caplog.records:
                raise RuntimeError
            return Echo(connection)

        relay = serve(io, make)
        assert connect_tcp(relay.address).recv(1) == b""
        client = connect(relay.address)
        client.sendall(b"hello")
        assert receive_exactly(client, 5) == b"hello"
        assert caplog.messages == ["posted work failed"]

    @pytest.mark.parametrize("how", ["finish", "drop"])
    @pytest.mark.parametrize("where", ["opened", "received"])
    def test_a_handler_may_end_its_connection(
        self, where: str, how: str, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        class Ending(Recorder):
            def opened(self) -> None:
                super().opened()
                if where == "opened":
                    self.end()

            def received(self, data: bytes) -> None:
                super().received(data)
                self.end()

            def end(self) -> None:
                self.connection.queue(b"bye")
                if how == "finish":
                    self.connection.finish()
                else:
                    self.connection.drop(None)

        relay = serve(io, Ending)
        client = connect(relay.address)
        if where == "received":
            client.sendall(b"QUIT")
        assert receive_all(client) == (b"bye" if how == "finish" else b"")
        handler = relay.next_handler()
        handler.wait_closed()
        client.close()
        settle(io)
        assert handler.events == ["opened", "closed"][: 1 + (where == "opened")] or (
            handler.events == ["opened", "received", "closed"]
        )

    def test_a_handler_may_end_another_connection_of_its_thread(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """Also one that has something to read in the same turn."""
        handlers: list[Recorder] = []

        class Jealous(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                for other in handlers:
                    if other is not self:
                        other.connection.drop(None)

        def make(connection: Connection) -> Recorder:
            handlers.append(Jealous(connection))
            return handlers[-1]

        relay = serve(io, make)
        clients = [connect(relay.address) for _ in range(10)]
        made = [relay.next_handler() for _ in clients]
        for handler in made:
            handler.wait_opened()
        gate = Gate(io)
        for client in clients:
            client.sendall(b"me!")
        wait_readable(*(handler.connection for handler in made))
        gate.open()
        settle(io)
        assert sum(handler.events == ["opened", "received"] for handler in made) == 1
        assert sum(handler.events == ["opened", "closed"] for handler in made) == 9


class TestOwner:
    @pytest.mark.parametrize(
        "call",
        [
            lambda connection: connection.start(1),
            lambda connection: connection.queue(b"x"),
            lambda connection: connection.readable(),
            lambda connection: connection.flush(),
            lambda connection: connection.finish(),
            lambda connection: connection.drop(None),
            lambda connection: connection.pause_reading(),
            lambda connection: connection.resume_reading(),
            lambda connection: connection.hand_to(Recorder(connection)),
            lambda connection: connection.peer_address,
        ],
        ids=[
            *("start", "queue", "readable", "flush", "finish", "drop"),
            *("pause_reading", "resume_reading", "hand_to", "peer_address"),
        ],
    )
    def test_another_thread_is_stopped_before_it_does_harm(
        self,
        call: Callable[[Connection], None],
        io: IoThread,
        serve: Serve,
        connect: Connect,
    ) -> None:
        relay = serve(io, Echo)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        settle(io)
        with pytest.raises(AssertionError, match=re.escape("io: foreign thread")):
            call(handler.connection)
        client.sendall(b"still here")
        assert receive_exactly(client, 10) == b"still here"
        handler.connection.close()
        assert handler.wait_closed() is None
        assert receive_all(client) == b""
