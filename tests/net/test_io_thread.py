from __future__ import annotations

import random
import re
import socket
import ssl
import threading
from collections.abc import Callable
from functools import partial

import pytest

from securechat.errors import NetworkError
from securechat.net.connection import Connection
from securechat.net.io_thread import (
    _BUSY_CONNECTIONS,
    ARRIVALS,
    INBOX_ENTRIES,
    LATER_S,
    IoThread,
    waking_once,
)
from securechat.net.tls_pipe import TlsPipe
from tests.net.conftest import Connect, StartIo
from tests.net.support import (
    HANDSHAKE_TIMEOUT_S,
    LONG_TIMEOUT_S,
    SEND_LIMIT_BYTES,
    Echo,
    FakeClock,
    Gate,
    InThread,
    Recorder,
    Relay,
    receive_all,
    receive_exactly,
    settle,
    wait_readable,
)

Serve = Callable[..., Relay]
ConnectTcp = Callable[..., socket.socket]
Keep = Callable[[socket.socket], socket.socket]


def adopt(
    io: IoThread, sock: socket.socket, context: ssl.SSLContext, handlers: list[Recorder]
) -> None:
    def make(connection: object) -> Recorder:
        handlers.append(Recorder(connection))  # type: ignore[arg-type]
        return handlers[-1]

    io.adopt(
        sock,
        TlsPipe(context),
        make,
        handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
        send_limit_bytes=SEND_LIMIT_BYTES,
    )


class TestPost:
    def test_in_the_order_posted(self, io: IoThread) -> None:
        done: list[int] = []
        for number in range(1_000):
            io.post(lambda number=number: done.append(number))  # type: ignore[misc]
        settle(io)
        assert done == list(range(1_000))

    def test_on_the_thread(self, io: IoThread) -> None:
        names: list[str] = []
        io.post(lambda: names.append(threading.current_thread().name))
        settle(io)
        assert names == ["io"]

    def test_each_thread_in_its_own_order(self, io: IoThread) -> None:
        done: list[tuple[int, int]] = []

        def work(sender: int) -> None:
            for number in range(300):
                io.post(lambda: done.append((sender, number)))  # noqa: B023
                settle(io) if number % 100 == 99 else None

        threads = [InThread(lambda sender=sender: work(sender)) for sender in range(4)]  # type: ignore[misc]
        for thread in threads:
            thread.join()
        settle(io)
        assert len(done) == 4 * 300

    def test_work_may_post_work(self, io: IoThread) -> None:
        done: list[str] = []

        def first() -> None:
            io.post(lambda: done.append("second"))
            done.append("first")

        io.post(first)
        settle(io)
        assert done == ["first", "second"]

    def test_work_that_fails_is_logged_and_the_rest_done(
        self, io: IoThread, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[str] = []
        gate = Gate(io)
        io.post(lambda: done.append("before"))
        io.post(lambda: [][0])
        io.post(lambda: done.append("after"))
        gate.open()
        settle(io)
        assert done == ["before", "after"]
        assert caplog.messages == ["posted work failed"]

    def test_what_another_thread_posts_together_wakes_once_at_the_end(
        self, io: IoThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle(io)
        woken: list[IoThread] = []
        wake = IoThread._wake

        def note(self: IoThread) -> None:
            woken.append(self)
            wake(self)

        monkeypatch.setattr(IoThread, "_wake", note)
        done: list[int] = []
        with waking_once():
            io.post(lambda: done.append(1))
            io.post(lambda: done.append(2))
            assert woken == []
        assert set(woken) == {io}
        settle(io)
        assert done == [1, 2]


class TestLater:
    def test_long_work_is_spread_over_turns(self, start_io: StartIo) -> None:
        clock = FakeClock()
        io = start_io(clock=clock)
        done: list[str] = []
        over = threading.Event()

        def work(name: str) -> None:
            clock.advance(LATER_S)
            io.post(lambda: done.append(f"posted by {name}"))
            done.append(name)

        def begin() -> None:
            for name in "abc":
                io.later(partial(work, name))
            io.later(over.set)

        io.post(begin)
        assert over.wait(LONG_TIMEOUT_S)
        settle(io)
        assert done == ["a", "posted by a", "b", "posted by b", "c", "posted by c"]

    def test_short_work_is_done_in_one_turn(self, start_io: StartIo) -> None:
        io = start_io(clock=FakeClock())
        done: list[str] = []
        over = threading.Event()

        def post() -> None:
            done.append("posted")
            over.set()

        def first() -> None:
            done.append("a")
            io.post(post)
            io.later(lambda: done.append("a again"))

        def begin() -> None:
            io.later(first)
            io.later(lambda: done.append("b"))

        io.post(begin)
        assert over.wait(LONG_TIMEOUT_S)
        assert done == ["a", "b", "a again", "posted"]

    def test_work_that_fails_is_logged_and_the_rest_done(
        self, io: IoThread, caplog: pytest.LogCaptureFixture
    ) -> None:
        over = threading.Event()

        def begin() -> None:
            io.later(lambda: [][0])
            io.later(over.set)

        io.post(begin)
        assert over.wait(LONG_TIMEOUT_S)
        assert caplog.messages == ["work that was put off failed"]


class TestArrivals:
    def test_who_is_in_does_not_wait_for_all_who_arrive(
        self, io: IoThread, serve: Serve, connect: Connect, server_tls: ssl.SSLContext
    ) -> None:
        order: list[str] = []

        class Member(Recorder):
            def received(self, data: bytes) -> None:
                order.append("heard")
                super().received(data)

        class Newcomer(Recorder):
            def __init__(self, connection: Connection) -> None:
                order.append("arrived")
                super().__init__(connection)

        relay = serve(io, Member)
        client = connect(relay.address)
        member = relay.next_handler()
        member.wait_opened()
        pairs = [socket.socketpair() for _ in range(2 * ARRIVALS)]
        gate = Gate(io)
        for ours, _ in pairs:
            io.adopt(
                ours,
                TlsPipe(server_tls),
                Newcomer,
                handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
                send_limit_bytes=SEND_LIMIT_BYTES,
            )
        client.sendall(b"I am in")
        wait_readable(member.connection)
        gate.open()
        assert member.wait_data(7) == b"I am in"
        assert order.index("heard") <= ARRIVALS  # after those of one turn at the most
        while order.count("arrived") < len(pairs):
            settle(io)
        for _, theirs in pairs:
            theirs.close()

    def test_who_never_ceases_to_ask_keeps_out_nobody(
        self, io: IoThread, serve: Serve, connect: Connect, server_tls: ssl.SSLContext
    ) -> None:
        order: list[str] = []

        class Greedy(Recorder):
            def opened(self) -> None:
                self.connection.arriving = True
                self.connection.receive_bytes = 64
                super().opened()

            def received(self, data: bytes) -> None:
                order.append("asked")

        class Newcomer(Recorder):
            def __init__(self, connection: Connection) -> None:
                order.append("arrived")
                super().__init__(connection)

            def closed(self, error: NetworkError | None) -> None:
                order.append("served")
                super().closed(error)

        relay = serve(io, Greedy)
        greedy = [connect(relay.address) for _ in range(ARRIVALS)]
        for _ in greedy:
            relay.next_handler().wait_opened()
        gate = Gate(io)
        for client in greedy:
            for _ in range(50):
                client.sendall(b"x" * 100)
        ours, theirs = socket.socketpair()
        io.adopt(
            ours,
            TlsPipe(server_tls),
            Newcomer,
            handshake_timeout_s=HANDSHAKE_TIMEOUT_S,
            send_limit_bytes=SEND_LIMIT_BYTES,
        )
        theirs.close()
        gate.open()
        while order.count("asked") < 50 * ARRIVALS:
            settle(io)
        assert order.index("arrived") <= ARRIVALS
        assert order.index("served") <= 4 * ARRIVALS

    def test_it_arrives_until_its_handshake_is_done(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        assert not handler.connection.arriving


class TestGroups:
    def test_each_group_gets_its_piece(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        relay = serve(io)
        clients, connections = [], []
        for _ in range(4):
            clients.append(connect(relay.address))
            handler = relay.next_handler()
            handler.wait_opened()
            connections.append(handler.connection)
        groups = (tuple(connections[:2]), tuple(connections[2:]))
        gate = Gate(io)
        io.send(groups, (b"a1;", b"b1;"))
        io.send(groups, (b"", b"b2;"))
        io.send(groups, (b"a3;", b"b3;"), connections[0])
        io.send((connections[:1],), [b"alone;"])
        gate.open()
        expected = (b"a1;alone;", b"a1;a3;", b"b1;b2;b3;", b"b1;b2;b3;")
        for client, data in zip(clients, expected, strict=True):
            assert receive_exactly(client, len(data)) == data
        assert io.traffic.deliveries == 2 * 2 + 2 + 3 + 1


class TestTimers:
    def test_called_on_the_thread_when_due(self, start_io: StartIo) -> None:
        clock = FakeClock()
        io = start_io(clock=clock)
        calls: list[str] = []
        io.post(lambda: io.call_later(10, lambda: calls.append("ten")))
        io.post(lambda: io.call_later(5, lambda: calls.append(threading.current_thread().name)))
        settle(io)
        clock.advance(4)
        settle(io)
        assert calls == []
        clock.advance(1)
        settle(io)
        assert calls == ["io"]
        clock.advance(100)
        settle(io)
        assert calls == ["io", "ten"]

    def test_a_sleeping_thread_wakes_for_them(self, io: IoThread) -> None:
        called = threading.Event()
        io.post(lambda: io.call_later(0.01, called.set))
        assert called.wait(LONG_TIMEOUT_S)

    def test_one_that_fails_is_logged_and_the_rest_called(
        self, start_io: StartIo, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = FakeClock()
        io = start_io(clock=clock)
        calls: list[str] = []

        def fail() -> None:
            raise RuntimeError

        def prepare() -> None:
            io.call_later(1, fail)
            io.call_later(1, lambda: calls.append("called"))

        io.post(prepare)
        settle(io)
        clock.advance(1)
        settle(io)
        assert calls == ["called"]
        assert caplog.messages == ["a timer failed"]
        io.post(lambda: calls.append("alive"))
        settle(io)
        assert calls == ["called", "alive"]


class TestSend:
    def test_one_order_for_all(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        """Every member sees the same order, and each sender's lines in the order sent."""
        relay = serve(io)
        clients = [connect(relay.address) for _ in range(5)]
        handlers = [relay.next_handler() for _ in clients]
        groups = (tuple(handler.connection for handler in handlers),)
        start = threading.Barrier(6, timeout=LONG_TIMEOUT_S)

        def work(sender: int) -> None:
            start.wait()
            for number in range(300):
                io.send(groups, [b"%d %03d\r\n" % (sender, number)])

        threads = [InThread(lambda sender=sender: work(sender)) for sender in range(6)]  # type: ignore[misc]
        for thread in threads:
            thread.join()
        streams = [receive_exactly(client, 6 * 300 * 7) for client in clients]
        assert len(set(streams)) == 1
        lines = streams[0].split(b"\r\n")[:-1]
        for sender in range(6):
            own = [line for line in lines if line.startswith(b"%d " % sender)]
            assert own == [b"%d %03d" % (sender, number) for number in range(300)]

    def test_all_but_one(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        relay = serve(io)
        clients = [connect(relay.address) for _ in range(3)]
        group = tuple(relay.next_handler().connection for _ in clients)
        for number, skip in enumerate((None, *group, None)):
            io.send((group,), [b"%d" % number], skip)
        expected = [b"0234", b"0134", b"0124"]
        for client, stream in zip(clients, expected, strict=True):
            assert receive_exactly(client, 4) == stream

    def test_any_groups_in_any_order(self, io: IoThread, serve: Serve, connect: Connect) -> None:
        """Joining entries neither loses, repeats, misleads nor swaps any."""
        relay = serve(io)
        clients = [connect(relay.address) for _ in range(4)]
        members = [relay.next_handler().connection for _ in clients]
        chance = random.Random(6697)
        groups = [(tuple(chance.sample(members, size)),) for size in (1, 2, 3, 4, 4, 0)]
        expected = [b""] * 4
        for _ in range(20):
            gate = Gate(io)
            for number in range(chance.randrange(30)):
                group = chance.choice(groups)
                skip = chance.choice((None, *members))
                data = b"<%d>" % number
                for _ in range(chance.choice((1, 1, 3))):
                    io.send(group, [data], skip)
                    for place, member in enumerate(members):
                        if member in group[0] and member is not skip:
                            expected[place] += data
            if chance.random() < 0.5:
                io.post(lambda: None)
            gate.open()
        for client, stream in zip(clients, expected, strict=True):
            assert receive_exactly(client, len(stream)) == stream

    def test_lines_of_a_turn_are_one_record(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        written: list[bytes] = []

        class Watched(TlsPipe):
            def send(self, data: bytes) -> None:
                written.append(data)
                super().send(data)

        relay = serve(io, make_pipe=Watched)
        clients = [connect(relay.address) for _ in range(2)]
        first, second = (relay.next_handler().connection for _ in clients)
        groups = ((first, second),)
        gate = Gate(io)
        for _ in range(50):
            io.send(groups, [b"to all;"])
        first.send(b"to one")
        gate.open()
        assert receive_exactly(clients[0], 356) == b"to all;" * 50 + b"to one"
        assert receive_exactly(clients[1], 350) == b"to all;" * 50
        assert sorted(map(len, written)) == [350, 356]

    @pytest.mark.parametrize("members", [_BUSY_CONNECTIONS - 1, _BUSY_CONNECTIONS])
    def test_what_comes_before_many_are_flushed_goes_with_it(
        self, members: int, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """Of few each line is flushed by itself: that is done in no time."""
        written: list[bytes] = []
        speakers: list[ssl.SSLSocket] = []
        group: list[Connection] = []

        class Watched(TlsPipe):
            def send(self, data: bytes) -> None:
                written.append(data)
                super().send(data)

        class Member(Recorder):
            def received(self, data: bytes) -> None:
                super().received(data)
                io.send((group,), [data])
                if len(group) > 1 and data == b"1":
                    speakers[1].sendall(b"2")
                    wait_readable(group[1])

        relay = serve(io, Member, make_pipe=Watched)
        clients = [connect(relay.address) for _ in range(members)]
        found = [relay.next_handler().connection for _ in clients]
        settle(io)
        group += found
        speakers += clients[:2]
        speakers[0].sendall(b"1")
        for client in clients:
            assert receive_exactly(client, 2) == b"12"
        joined = members >= _BUSY_CONNECTIONS
        assert written == ([b"12"] * members if joined else [b"1"] * members + [b"2"] * members)

    def test_posted_work_keeps_its_place_among_what_is_sent(
        self, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        gate = Gate(io)
        connection.send(b"a")
        io.post(lambda: connection.queue(b"b"))
        connection.send(b"c")
        gate.open()
        assert receive_exactly(client, 3) == b"abc"

    def test_to_nobody(self, io: IoThread) -> None:
        io.send(((),), [b"hello?"])
        settle(io)

    def test_many_threads_between_two_io_threads(
        self, start_io: StartIo, serve: Serve, connect: Connect
    ) -> None:
        """A room whose members are on two threads: each sees each sender's lines in order."""
        ios = [start_io("io 1"), start_io("io 2")]
        rooms: list[tuple[IoThread, tuple[object, ...]]] = []

        class Talker(Recorder):
            def received(self, data: bytes) -> None:
                for io, group in rooms:
                    io.send((group,), [data])  # type: ignore[arg-type]

        relays = [serve(io, Talker) for io in ios]
        clients: list[ssl.SSLSocket] = []
        for relay in relays:
            clients += [connect(relay.address) for _ in range(2)]
            group = tuple(relay.next_handler().connection for _ in range(2))
            rooms.append((relay.io, group))

        def talk(place: int) -> bytes:
            for number in range(100):
                clients[place].sendall(b"%d:%02d;" % (place, number))
            return receive_exactly(clients[place], 4 * 100 * 5)

        threads = [InThread(lambda place=place: talk(place)) for place in range(4)]  # type: ignore[misc]
        streams = [thread.join() for thread in threads]
        for stream in streams:
            assert isinstance(stream, bytes)
            for place in range(4):
                own = re.findall(rb"%d:(\d\d);" % place, stream)
                assert own == [b"%02d" % number for number in range(100)]


class TestWaking:
    """A sleeping thread is woken by what another posts to it, wherever in its turn that one is."""

    @pytest.fixture
    def other(self, start_io: StartIo) -> IoThread:
        other = start_io("other")
        settle(other)
        return other

    def test_from_work(self, io: IoThread, other: IoThread) -> None:
        arrived = threading.Event()
        io.post(lambda: other.post(arrived.set))
        assert arrived.wait(LONG_TIMEOUT_S)

    def test_from_a_timer(self, io: IoThread, other: IoThread) -> None:
        arrived = threading.Event()
        io.post(lambda: io.call_later(0, lambda: other.post(arrived.set)) and None)
        assert arrived.wait(LONG_TIMEOUT_S)

    @pytest.mark.parametrize("event", ["opened", "received", "closed"])
    def test_from_a_handler(
        self, event: str, io: IoThread, other: IoThread, serve: Serve, connect: Connect
    ) -> None:
        arrived = threading.Event()

        def make(connection: Connection) -> Recorder:
            handler = Recorder(connection)
            setattr(handler, event, lambda *_: other.post(arrived.set))
            return handler

        client = connect(serve(io, make).address)
        client.sendall(b"hello")
        if event == "closed":
            client.close()
        assert arrived.wait(LONG_TIMEOUT_S)

    def test_from_the_end_of_the_turn(
        self, io: IoThread, other: IoThread, serve: Serve, connect: Connect
    ) -> None:
        """A connection that is closed because its socket is full, and others must hear of it."""
        arrived = threading.Event()

        class Leaver(Recorder):
            def closed(self, error: NetworkError | None) -> None:
                super().closed(error)
                other.post(arrived.set)

        relay = serve(io, Leaver, send_limit_bytes=1_000, send_buffer_bytes=8_192)
        connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        handler.connection.send(bytes(32 << 20))
        assert str(handler.wait_closed()) == "SendQ exceeded"
        assert arrived.wait(LONG_TIMEOUT_S)


class TestOverload:
    def test_who_posts_to_a_full_inbox_reads_no_more(
        self, start_io: StartIo, serve: Serve, connect: Connect
    ) -> None:
        """The bound on what waits between two threads."""
        full = start_io("full")
        reader = IoThread("reader")
        reader.start([full, reader])
        try:
            relay = serve(reader)
            client = connect(relay.address)
            handler = relay.next_handler()
            handler.wait_opened()
            settle(reader)
            gate = Gate(full)
            for _ in range(INBOX_ENTRIES + 1):
                full.post(lambda: None)
            assert full.overloaded()
            settle(reader)  # it may be reading already
            with_reader = Gate(reader)
            client.sendall(b"more work")
            wait_readable(handler.connection)
            with_reader.open()
            for _ in range(3):
                settle(reader)
            assert handler.data == b""
            gate.open()
            assert handler.wait_data(9) == b"more work"
            assert not full.overloaded()
        finally:
            reader.stop(0)


class TestStop:
    def test_all_connections_are_finished(
        self, start_io: StartIo, serve: Serve, connect: Connect, connect_tcp: ConnectTcp
    ) -> None:
        io = start_io()
        relay = serve(io)
        clients = [connect(relay.address), connect(relay.address)]
        handlers = [relay.next_handler() for _ in clients]
        for handler in handlers:
            handler.wait_opened()
            handler.connection.send(b"last words")
        shaking_hands = connect_tcp(relay.address)
        handlers.append(relay.next_handler())
        settle(io)
        stopping = InThread(lambda: io.stop(LONG_TIMEOUT_S))
        for client in clients:
            assert receive_all(client) == b"last words"
            client.close()
        assert receive_all(shaking_hands) == b""
        shaking_hands.close()
        stopping.join()
        for handler in handlers:
            assert handler.errors == [None]
            assert handler.connection.fileno() == -1

    def test_who_does_not_leave_is_left(
        self, start_io: StartIo, serve: Serve, connect: Connect
    ) -> None:
        clock = FakeClock()
        io = start_io(clock=clock)
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        stopping = InThread(lambda: io.stop(1))
        assert client.recv(1) == b""  # said goodbye, and now waits for ours
        clock.advance(1)
        io.post(lambda: None)
        stopping.join()
        assert handler.events == ["opened", "closed"]
        assert handler.connection.fileno() == -1

    def test_at_once(self, start_io: StartIo, serve: Serve, connect: Connect) -> None:
        io = start_io(clock=FakeClock())
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        io.stop(0)
        assert handler.events == ["opened", "closed"]
        assert client.recv(1) == b""

    def test_without_a_start(self, server_tls: ssl.SSLContext) -> None:
        io = IoThread("never started")
        ours, theirs = socket.socketpair()
        handlers: list[Recorder] = []
        adopt(io, ours, server_tls, handlers)
        io.stop(1)
        assert ours.fileno() == -1
        assert handlers == []
        theirs.close()

    def test_twice(self, start_io: StartIo) -> None:
        io = start_io()
        io.stop(1)
        io.stop(1)
        never = IoThread("never started")
        never.stop(1)
        never.stop(1)

    def test_work_posted_before_is_done(self, start_io: StartIo) -> None:
        io = start_io()
        done: list[int] = []
        for number in range(100):
            io.post(lambda number=number: done.append(number))  # type: ignore[misc]
        io.stop(1)
        assert done == list(range(100))

    def test_what_comes_during_the_stop_is_closed(
        self, start_io: StartIo, serve: Serve, connect: Connect, server_tls: ssl.SSLContext
    ) -> None:
        io = start_io(clock=FakeClock())
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        stopping = InThread(lambda: io.stop(LONG_TIMEOUT_S))
        assert client.recv(1) == b""
        ours, theirs = socket.socketpair()
        handlers: list[Recorder] = []
        adopt(io, ours, server_tls, handlers)
        theirs.settimeout(LONG_TIMEOUT_S)
        assert theirs.recv(1) == b""
        client.close()
        stopping.join()
        assert handlers == []
        theirs.close()

    def test_what_comes_after_the_end_is_closed(
        self, start_io: StartIo, server_tls: ssl.SSLContext
    ) -> None:
        io = start_io()
        io.stop(1)
        ours, theirs = socket.socketpair()
        handlers: list[Recorder] = []
        adopt(io, ours, server_tls, handlers)
        assert ours.fileno() == -1
        assert handlers == []
        theirs.close()

    def test_an_ended_thread_collects_nothing(self, start_io: StartIo) -> None:
        """Else its neighbours would wait for ever for it to catch up."""
        io = start_io()
        io.stop(1)
        for _ in range(INBOX_ENTRIES + 1):
            io.send(((),), [b"x"])
        assert not io.overloaded()

    def test_a_start_with_work_waiting(
        self, keep: Keep, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
    ) -> None:
        io = IoThread("late")
        ours, theirs = socket.socketpair()
        handlers: list[Recorder] = []
        adopt(io, ours, server_tls, handlers)
        io.start()
        try:
            theirs.settimeout(LONG_TIMEOUT_S)
            client = keep(client_tls.wrap_socket(theirs, server_hostname="localhost"))
            client.sendall(b"hello")
            assert handlers[0].wait_data(5) == b"hello"
        finally:
            io.stop(0)


class TestCrash:
    def test_everybody_hears_of_it(
        self,
        start_io: StartIo,
        serve: Serve,
        connect: Connect,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        failure = RuntimeError("no more time")
        heard: list[BaseException] = []

        class BrokenClock(FakeClock):
            broken = False

            def __call__(self) -> float:
                if self.broken:
                    raise failure
                return super().__call__()

        clock = BrokenClock()
        io = IoThread("io", clock=clock, on_crash=heard.append)
        io.start()
        relay = serve(io)
        client = connect(relay.address)
        handler = relay.next_handler()
        handler.wait_opened()
        clock.broken = True
        io.post(lambda: None)
        assert handler.wait_closed() is None
        assert client.recv(1) == b""
        io.stop(1)
        assert heard == [failure]
        assert handler.events == ["opened", "closed"]
        assert caplog.messages == ["thread io crashed"]


class TestOwner:
    @pytest.mark.parametrize("which", ["call_later", "mark_dirty", "watch", "forget"])
    def test_another_thread_is_stopped(
        self, which: str, io: IoThread, serve: Serve, connect: Connect
    ) -> None:
        relay = serve(io, Echo)
        client = connect(relay.address)
        connection = relay.next_handler().connection
        calls: dict[str, Callable[[], object]] = {
            "call_later": lambda: io.call_later(1, lambda: None),
            "mark_dirty": lambda: io.mark_dirty(connection),
            "watch": lambda: io.watch(connection, reading=True, writing=True),
            "forget": lambda: io.forget(connection),
        }
        with pytest.raises(AssertionError, match="io: foreign thread"):
            calls[which]()
        client.sendall(b"hello")
        assert receive_exactly(client, 5) == b"hello"

    def test_before_the_start_there_is_no_owner(self) -> None:
        io = IoThread("not started")
        io.call_later(1, lambda: None)
        io.stop(1)
