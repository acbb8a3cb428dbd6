from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable

import pytest

from securechat.errors import NetworkError
from securechat.net import dialer
from securechat.net.dialer import dial
from tests.net.support import LONG_TIMEOUT_S, receive_all

Keep = Callable[[socket.socket], socket.socket]
Resolve = Callable[..., None]


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


def test_no_answer_in_time(keep: Keep) -> None:
    # A listener that accepts nobody: its queue of one is soon full, and Linux then drops the rest.
    full = keep(socket.create_server(("127.0.0.1", 0), backlog=0))
    waiting = []
    for _ in range(4):
        sock = keep(socket.socket())
        sock.setblocking(False)
        waiting.append(sock.connect_ex(full.getsockname()))
    assert set(waiting) <= {0, errno.EINPROGRESS}
    with pytest.raises(NetworkError, match=r"cannot connect to .*: no answer"):
        dial(*full.getsockname(), 0.05)


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
