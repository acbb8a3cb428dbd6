from __future__ import annotations

import errno
import queue
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securechat.errors import NetworkError
from securechat.net import dialer
from securechat.net.connection import Connection, ConnectionHandler
from securechat.net.dialer import Dial, dial
from securechat.net.io_thread import IoThread
from securechat.net.listener import Listener, reuse_port
from securechat.net.pipe import Pipe
from securechat.net.tls_pipe import TlsPipe
from tests.net.conftest import StartIo
from tests.net.support import (
    HANDSHAKE_TIMEOUT_S,
    LONG_TIMEOUT_S,
    SEND_LIMIT_BYTES,
    Echo,
    FakeClock,
    Gate,
    InThread,
    PlainPipe,
    Recorder,
    Relay,
    on_thread,
    receive_all,
    settle,
)
from tests.net.test_listener import needs_ipv6, needs_sharing

Keep = Callable[[socket.socket], socket.socket]
Resolve = Callable[..., None]
Serve = Callable[..., Relay]

DIAL_TIMEOUT_S = 1_000.0


@pytest.fixture
def listening(keep: Keep) -> socket.socket:
    return keep(socket.create_server(("127.0.0.1", 0)))


@pytest.fixture
def free_port(keep: Keep) -> int:
    """A port that nobody listens on: bound, so that nobody else gets it."""
    sock = keep(socket.socket())
    sock.bind(("127.0.0.1", 0))
    return int(sock.getsockname()[1])


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Let the name look-up answer with these; no test may ask a real name server."""

    def answer(*addresses: tuple[int, tuple[object, ...]]) -> None:
        found = [
            (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
            for family, address in addresses
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return answer


def test_connected(listening: socket.socket, keep: Keep) -> None:
    sock = keep(dial(*listening.getsockname(), LONG_TIMEOUT_S))
    other = keep(listening.accept()[0])
    sock.sendall(b"hello")
    sock.shutdown(socket.SHUT_WR)
    assert receive_all(other) == b"hello"


def test_by_name(listening: socket.socket, keep: Keep) -> None:
    sock = keep(dial("localhost", listening.getsockname()[1], LONG_TIMEOUT_S))
    assert sock.getpeername() == listening.getsockname()


def test_nobody_listens(free_port: int) -> None:
    expected = f"cannot connect to 127.0.0.1:{free_port}: nothing listens on that port"
    with pytest.raises(NetworkError, match=re.escape(expected)):
        dial("127.0.0.1", free_port, LONG_TIMEOUT_S)


def test_the_next_address_is_tried(
    listening: socket.socket, free_port: int, keep: Keep, resolve: Resolve
) -> None:
    resolve(
        (999, ("no such family", 1)),
        (socket.AF_INET, ("127.0.0.1", free_port)),
        (socket.AF_INET, listening.getsockname()),
    )
    sock = keep(dial("several.test", 1, LONG_TIMEOUT_S))
    assert sock.getpeername() == listening.getsockname()


def test_none_answers(free_port: int, resolve: Resolve) -> None:
    resolve(*[(socket.AF_INET, ("127.0.0.1", free_port))] * 2)
    with pytest.raises(NetworkError, match=r"cannot connect to several\.test:7: nothing listens"):
        dial("several.test", 7, LONG_TIMEOUT_S)


def test_no_time_at_all(listening: socket.socket) -> None:
    with pytest.raises(NetworkError, match="cannot connect to"):
        dial(*listening.getsockname(), 0)


def accept_nobody(full: socket.socket, keep: Keep) -> None:
    """Listen, but answer nobody: the queue of one is soon full, and Linux then drops the rest."""
    full.listen(0)
    waiting = []
    for _ in range(4):
        sock = keep(socket.socket())
        sock.setblocking(False)
        waiting.append(sock.connect_ex(full.getsockname()))
    assert set(waiting) <= {0, errno.EINPROGRESS}


def test_no_answer_in_time(listening: socket.socket, keep: Keep) -> None:
    accept_nobody(listening, keep)
    with pytest.raises(NetworkError, match=r"cannot connect to .*: no answer"):
        dial(*listening.getsockname(), 0.05)


def test_another_failure(resolve: Resolve) -> None:
    resolve((socket.AF_INET, ("255.255.255.255", 9)))
    with pytest.raises(NetworkError, match=r"cannot connect to odd\.test:9: \w"):
        dial("odd.test", 9, LONG_TIMEOUT_S)


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_what_is_no_host_name(host: str) -> None:
    with pytest.raises(NetworkError, match=re.escape(f"cannot find the host {host!r}")):
        dial(host, 6697, LONG_TIMEOUT_S)


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dialer.socket, "getaddrinfo", fail)
    with pytest.raises(NetworkError, match="cannot find the host 'relay'; is the name right"):
        dial("relay", 6697, LONG_TIMEOUT_S)


# ---- Dial: the same, without waiting ----


def begin(
    io: IoThread,
    address: tuple[str, int],
    make_handler: Callable[[Connection], ConnectionHandler],
    on_failure: Callable[[NetworkError], None],
    make_pipe: Callable[[], Pipe] = PlainPipe,
    local_port: int = 0,
) -> Dial:
    return io.dial(
        address,
        make_pipe,
        make_handler,
        on_failure=on_failure,
        timeout_s=DIAL_TIMEOUT_S,
        handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
        send_limit_bytes=SEND_LIMIT_BYTES,
        local_port=local_port,
    )


class Dialing:
    """A dial by an I/O thread, and what comes of it."""

    def __init__(
        self,
        io: IoThread,
        address: tuple[str, int],
        make_pipe: Callable[[], Pipe] = PlainPipe,
        *,
        local_port: int = 0,
    ) -> None:
        self.io = io
        self._outcomes: queue.Queue[Recorder | NetworkError] = queue.Queue()

        def make_handler(connection: Connection) -> Recorder:
            handler = Recorder(connection)
            self._outcomes.put(handler)
            return handler

        def dial() -> Dial:
            found = begin(io, address, make_handler, self._outcomes.put, make_pipe, local_port)
            assert self._outcomes.empty(), "told from within the call"
            return found

        self.dial = on_thread(io, dial)

    def cancel(self) -> None:
        on_thread(self.io, self.dial.cancel)

    def outcome(self) -> Recorder | NetworkError:
        return self._outcomes.get(timeout=LONG_TIMEOUT_S)

    def handler(self) -> Recorder:
        found = self.outcome()
        assert isinstance(found, Recorder), found
        return found

    def failure(self) -> str:
        found = self.outcome()
        assert isinstance(found, NetworkError), found
        return str(found)

    def no_outcome(self) -> None:
        """Check that nothing has been told, or is about to be."""
        settle(self.io)
        assert self._outcomes.empty()


@pytest.fixture
def tls_client(client_tls: ssl.SSLContext) -> Callable[[], TlsPipe]:
    return lambda: TlsPipe(client_tls, server_hostname="localhost")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def still_io(start_io: StartIo, clock: FakeClock) -> IoThread:
    return start_io("still io", clock=clock)


class TestDial:
    def test_a_connection_as_any_other(
        self, io: IoThread, serve: Serve, tls_client: Callable[[], TlsPipe]
    ) -> None:
        relay = serve(io, Echo)
        handler = Dialing(io, relay.address, tls_client).handler()
        connection = handler.connection
        connection.send(b"hello")
        assert handler.wait_data(5) == b"hello"
        assert handler.events == ["opened", "received"]
        assert on_thread(io, lambda: connection.peer_address) == relay.address
        assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.close()
        assert handler.wait_closed() is None

    @needs_ipv6
    def test_the_sixth_version(self, io: IoThread, keep: Keep) -> None:
        listening = keep(socket.create_server(("::1", 0), family=socket.AF_INET6))
        address = listening.getsockname()[:2]
        connection = Dialing(io, address).handler().connection
        assert on_thread(io, lambda: connection.peer_address) == address

    def test_the_handshake_has_a_time_of_its_own(
        self, still_io: IoThread, clock: FakeClock, listening: socket.socket, keep: Keep
    ) -> None:
        handler = Dialing(still_io, listening.getsockname()).handler()
        other = keep(listening.accept()[0])
        settle(still_io)  # or its time would begin later
        clock.advance(max(DIAL_TIMEOUT_S, HANDSHAKE_TIMEOUT_S))
        settle(still_io)
        assert str(handler.wait_closed()) == "the TLS handshake took too long"
        assert receive_all(other) == b"hello"

    def test_nobody_listens(self, io: IoThread, free_port: int) -> None:
        expected = f"cannot connect to 127.0.0.1:{free_port}: nothing listens on that port"
        assert Dialing(io, ("127.0.0.1", free_port)).failure() == expected

    def test_no_answer_in_time(
        self, still_io: IoThread, clock: FakeClock, listening: socket.socket, keep: Keep
    ) -> None:
        accept_nobody(listening, keep)
        dialing = Dialing(still_io, listening.getsockname())
        clock.advance(DIAL_TIMEOUT_S - 1)
        dialing.no_outcome()
        clock.advance(1)
        settle(still_io)
        assert dialing.failure().endswith(": no answer")
        dialing.no_outcome()

    def test_the_port_to_dial_from_is_taken(self, io: IoThread, listening: socket.socket) -> None:
        """By somebody who does not share it."""
        address = listening.getsockname()
        dialing = Dialing(io, address, local_port=address[1])
        assert dialing.failure().endswith(": the port to dial from is taken")

    @needs_sharing
    def test_there_is_such_a_connection_already(
        self, io: IoThread, listening: socket.socket, keep: Keep
    ) -> None:
        shared = keep(socket.socket())
        reuse_port(shared)
        shared.bind(("127.0.0.1", 0))
        port = shared.getsockname()[1]
        Dialing(io, listening.getsockname(), local_port=port).handler()
        second = Dialing(io, listening.getsockname(), local_port=port)
        assert ": there is such a connection already" in second.failure()

    def test_another_failure(self, io: IoThread) -> None:
        failure = Dialing(io, ("255.255.255.255", 9)).failure()
        assert re.match(r"cannot connect to 255\.255\.255\.255:9: \w", failure)

    def test_names_are_not_looked_up(self, io: IoThread) -> None:
        """All connections of the thread would have to wait for that."""
        failure = Dialing(io, ("localhost", 9)).failure()
        assert re.match(r"cannot connect to localhost:9: \w", failure)

    def test_what_makes_the_pipe_fails(
        self, io: IoThread, listening: socket.socket, keep: Keep, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> Pipe:
            raise RuntimeError

        dialing = Dialing(io, listening.getsockname(), fail)
        assert receive_all(keep(listening.accept()[0])) == b""
        dialing.no_outcome()
        assert caplog.messages == ["a handler failed; its connection is closed"]

    def test_another_thread_is_stopped(self, io: IoThread, listening: socket.socket) -> None:
        address = listening.getsockname()
        dialing = Dialing(io, address)
        dialing.handler()
        with pytest.raises(AssertionError, match="io: foreign thread"):
            dialing.dial.cancel()
        with pytest.raises(AssertionError, match="io: foreign thread"):
            begin(io, address, Recorder, lambda error: None)


class TestCancel:
    def test_before_it_is_connected(
        self, still_io: IoThread, clock: FakeClock, listening: socket.socket, keep: Keep
    ) -> None:
        accept_nobody(listening, keep)
        dialing = Dialing(still_io, listening.getsockname())
        dialing.cancel()
        assert dialing.dial.fileno() == -1
        clock.advance(DIAL_TIMEOUT_S)
        dialing.cancel()
        dialing.no_outcome()

    def test_before_a_failure_is_told(self, io: IoThread, listening: socket.socket) -> None:
        told: list[NetworkError] = []
        on_thread(io, lambda: begin(io, ("not numeric", 9), Recorder, told.append).cancel())
        settle(io)
        assert told == []

    def test_a_connection_is_not_cancelled(
        self, io: IoThread, serve: Serve, tls_client: Callable[[], TlsPipe]
    ) -> None:
        dialing = Dialing(io, serve(io, Echo).address, tls_client)
        handler = dialing.handler()
        dialing.cancel()
        handler.connection.send(b"hello")
        assert handler.wait_data(5) == b"hello"

    def test_a_race_whose_winner_cancels_the_rest(
        self, io: IoThread, listening: socket.socket, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Also those that are connected in the same turn."""
        dials: list[Dial] = []
        outcomes: list[object] = []

        def win(connection: Connection) -> Recorder:
            for each in dials:
                each.cancel()
            outcomes.append(connection)
            return Recorder(connection)

        def race() -> None:
            for _ in range(5):
                dials.append(begin(io, listening.getsockname(), win, outcomes.append))

        on_thread(io, race)
        settle(io)
        [winner] = outcomes
        assert isinstance(winner, Connection)
        assert [each.fileno() for each in dials] == [-1] * 5
        assert caplog.messages == []


class TestStop:
    """Who waits for a dial hears of it, also when the thread stops."""

    def test_while_it_dials(self, start_io: StartIo, listening: socket.socket, keep: Keep) -> None:
        accept_nobody(listening, keep)
        io = start_io("stopping", clock=FakeClock())
        dialing = Dialing(io, listening.getsockname())
        io.stop(LONG_TIMEOUT_S)
        assert dialing.failure().endswith(": stopped")

    def test_while_it_stops(self, start_io: StartIo, listening: socket.socket) -> None:
        io = start_io("stopping")
        told: list[NetworkError] = []
        gate = Gate(io)
        io.begin_stop(LONG_TIMEOUT_S)
        io.post(lambda: begin(io, listening.getsockname(), Recorder, told.append) and None)
        gate.open()
        io.join()
        [failure] = told
        assert str(failure).endswith(": stopped")


class Side:
    """One who listens, and dials from there; its end of TLS is the same whoever dialled."""

    def __init__(
        self,
        io: IoThread,
        make_pipe: Callable[[], Pipe],
        *,
        host: str = "127.0.0.1",
        accepting: bool = True,
    ) -> None:
        self.io = io
        self.accepted: queue.Queue[Recorder] = queue.Queue()
        self._make_pipe = make_pipe
        self.listener = Listener([(host, 0)], self._accept, share_port=True)
        if accepting:
            self.listener.start()

    @property
    def address(self) -> tuple[str, int]:
        return self.listener.addresses[0]

    def dial(self, other: Side) -> Dialing:
        return Dialing(self.io, other.address, self._make_pipe, local_port=self.address[1])

    def end_of(self, dialing: Dialing) -> Recorder:
        """Return our end of what has come of a dial, or of one from the other side."""
        found = dialing.outcome()
        if isinstance(found, Recorder):
            return found
        return self.accepted.get(timeout=LONG_TIMEOUT_S)

    def _accept(self, sock: socket.socket, address: str) -> None:
        def make_handler(connection: Connection) -> Recorder:
            handler = Recorder(connection)
            self.accepted.put(handler)
            return handler

        self.io.adopt(
            sock,
            self._make_pipe(),
            make_handler,
            handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
            send_limit_bytes=SEND_LIMIT_BYTES,
        )


@needs_sharing
class TestFromAListeningPort:
    """How two behind NATs find each other: each dials from where it is dialled."""

    @pytest.fixture
    def make_sides(
        self,
        start_io: StartIo,
        tls_client: Callable[[], TlsPipe],
        server_tls: ssl.SSLContext,
    ) -> Iterator[Callable[..., tuple[Side, Side]]]:
        made: list[Side] = []

        def make(**options: Any) -> tuple[Side, Side]:
            made.append(Side(start_io("first"), tls_client, **options))
            made.append(Side(start_io("second"), lambda: TlsPipe(server_tls), **options))
            return made[0], made[1]

        yield make
        for side in made:
            side.listener.stop()

    def talk(self, ours: Recorder, theirs: Recorder) -> None:
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            sender.connection.send(b"hello")
            assert receiver.wait_data(5) == b"hello"

    @pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
    def test_the_other_side_sees_that_port(
        self, host: str, make_sides: Callable[..., tuple[Side, Side]]
    ) -> None:
        first, second = make_sides(host=host)
        ours = first.dial(second).handler()
        theirs = second.accepted.get(timeout=LONG_TIMEOUT_S)
        assert on_thread(first.io, lambda: ours.connection.local_address) == first.address
        assert on_thread(second.io, lambda: theirs.connection.peer_address) == first.address
        self.talk(ours, theirs)

    def test_simultaneous_open(
        self, make_sides: Callable[..., tuple[Side, Side]], keep: Keep
    ) -> None:
        """RFC 9293, section 3.5: "A TCP implementation MUST support simultaneous open attempts".

        The first packet of one is lost, as at a NAT; that of the other then meets a side that
        dials: nobody accepts.
        """
        first, second = make_sides(accepting=False)
        accept_nobody(first.listener._sockets[0], keep)
        dialing = second.dial(first)
        ours, theirs = first.dial(second).handler(), dialing.handler()
        self.talk(ours, theirs)
        assert on_thread(first.io, lambda: ours.connection.peer_address) == second.address
        assert on_thread(second.io, lambda: theirs.connection.peer_address) == first.address

    def test_both_at_once(self, make_sides: Callable[..., tuple[Side, Side]]) -> None:
        """Whose packet comes first is left to chance: in any case there is one connection."""
        sides = make_sides()
        gates = [Gate(side.io) for side in sides]
        dialing = [
            InThread(lambda side=side, other=other: side.dial(other))  # type: ignore[misc]
            for side, other in (sides, sides[::-1])
        ]
        for gate in gates:
            gate.open()
        ends = []
        for side, thread in zip(sides, dialing, strict=True):
            begun = thread.join()
            assert isinstance(begun, Dialing)
            ends.append(side.end_of(begun))
        self.talk(*ends)
