"""The liveness of a connection, with a clock of our own."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from securechat.client.events import Event
from securechat.client.link import Link, LinkOwner, Timing
from securechat.errors import NetworkError, SecureChatError
from tests.client.transcript import make


class FakeConnection:
    """A connection and its thread, as far as a link knows them."""

    def __init__(self) -> None:
        self.thread = self
        self.pipe = SimpleNamespace(version="TLSv1.3", cipher="X", peer_certificate=None)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.sent = b""
        self.dropped: NetworkError | None = None

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.timers.append((delay_s, callback))

    def mark_dirty(self, connection: FakeConnection) -> None:
        assert connection is self

    def queue(self, data: bytes) -> None:
        self.sent += data

    def drop(self, error: NetworkError) -> None:
        self.dropped = error
        self.link.closed(error)

    def finish(self) -> None:
        self.link.closed(None)

    link: Link

    def pass_time(self, expected_s: float) -> None:
        delay_s, callback = self.timers.pop(0)
        assert delay_s == expected_s
        callback()


TIMING = Timing(idle_s=60, answer_s=30)


def opened() -> tuple[FakeConnection, list[SecureChatError | None]]:
    connection = FakeConnection()
    ended: list[SecureChatError | None] = []
    events: list[Event] = []
    owner = LinkOwner(lambda link, new: events.extend(new), lambda link, error: ended.append(error))
    connection.link = Link(
        connection,  # type: ignore[arg-type]
        make(),
        owner,
        host="localhost",
        port=6697,
        timing=TIMING,
    )
    connection.link.opened()
    return connection, ended


def welcome(connection: FakeConnection) -> None:
    connection.link.received(b"001 alice :Welcome\r\n422 alice :no MOTD\r\n")
    connection.sent = b""


def test_a_server_that_speaks_is_not_asked() -> None:
    connection, ended = opened()
    welcome(connection)
    for _ in range(3):
        connection.link.received(b"NOTICE alice :hi\r\n")
        connection.pass_time(60)
    assert connection.sent == b""
    assert ended == []


def test_a_server_that_answers_is_alive() -> None:
    connection, ended = opened()
    welcome(connection)
    connection.pass_time(60)
    connection.pass_time(60)
    assert connection.sent == b"PING alive\r\n"
    connection.link.received(b"PONG irc.test alive\r\n")
    connection.pass_time(30)
    assert [delay_s for delay_s, _ in connection.timers] == [60]
    assert ended == []


def test_a_server_that_is_silent_is_given_up() -> None:
    connection, ended = opened()
    welcome(connection)
    connection.pass_time(60)
    connection.pass_time(60)
    connection.pass_time(30)
    assert connection.dropped is not None
    assert "does not answer" in str(connection.dropped)
    assert ended == [connection.dropped]


def test_a_server_that_waits_for_the_user_may_be_silent() -> None:
    connection, ended = opened()
    connection.link.received(b"CAP * LS :x\r\n433 * alice :Nickname is already in use\r\n")
    connection.sent = b""
    for _ in range(3):
        connection.pass_time(60)
    assert (connection.sent, ended) == (b"", [])


def test_timers_of_a_connection_that_is_over_do_nothing() -> None:
    connection, ended = opened()
    connection.link.end(None)
    connection.pass_time(60)
    assert (connection.timers, ended) == ([], [None])
