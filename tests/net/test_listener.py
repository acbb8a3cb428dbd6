from __future__ import annotations

import queue
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import securechat
from securechat.errors import NetworkError
from securechat.net.listener import Listener, format_address, parse_address, reuse_port
from tests.net.support import LONG_TIMEOUT_S, receive_exactly

Keep = Callable[[socket.socket], socket.socket]
Listen = Callable[..., "Accepting"]

ROOT = Path(securechat.__file__).parents[1]


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


needs_sharing = pytest.mark.skipif(
    not hasattr(socket, "SO_REUSEPORT"), reason="ports cannot be shared here"
)


class Accepting:
    """A listener and what it has accepted."""

    def __init__(self, addresses: Iterable[tuple[str, int]], keep: Keep) -> None:
        self.accepted: queue.Queue[tuple[socket.socket, str]] = queue.Queue()
        self._keep = keep
        self.listener = Listener(addresses, lambda *accepted: self.accepted.put(accepted))

    def next(self) -> tuple[socket.socket, str]:
        sock, address = self.accepted.get(timeout=LONG_TIMEOUT_S)
        return self._keep(sock), address


@pytest.fixture
def listen(keep: Keep) -> Iterator[Listen]:
    started: list[Listener] = []

    def start(*addresses: tuple[str, int]) -> Accepting:
        accepting = Accepting(addresses, keep)
        started.append(accepting.listener)
        accepting.listener.start()
        return accepting

    yield start
    for listener in started:
        listener.stop()


@pytest.fixture
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name ``both.test`` stand for both loopback addresses, whatever /etc/hosts says."""
    real = socket.getaddrinfo

    def find(host: str, *rest: object, **options: object) -> list[object]:
        hosts = ["127.0.0.1", "::1"] if host == "both.test" else [host]
        return [found for each in hosts for found in real(each, *rest, **options)]  # type: ignore[call-overload]

    monkeypatch.setattr(socket, "getaddrinfo", find)


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "host", "port"),
        [
            ("0.0.0.0:6697", "0.0.0.0", 6697),
            ("localhost:0", "localhost", 0),
            ("[::]:65535", "::", 65535),
            ("[::1]:6697", "::1", 6697),
        ],
    )
    def test_both_ways(self, text: str, host: str, port: int) -> None:
        assert parse_address(text) == (host, port)
        assert format_address(host, port) == text

    @pytest.mark.parametrize(
        "text",
        ["", ":", "6697", "localhost", ":6697", "::1", "::1:6697", "[::1]", "[::1]6697", "[]:6697"],
    )
    def test_neither(self, text: str) -> None:
        with pytest.raises(ValueError, match=re.escape("HOST:PORT")):
            parse_address(text)

    @pytest.mark.parametrize("port", ["", "x", "-1", "65536", "99999999", " 6697", "6697 ", "٦"])
    def test_bad_ports(self, port: str) -> None:
        with pytest.raises(ValueError, match="the port must be a number from 0 to 65535"):
            parse_address(f"localhost:{port}")


class TestListening:
    def test_accepted_with_the_address(self, listen: Listen, keep: Keep) -> None:
        accepting = listen(("127.0.0.1", 0))
        [(host, port)] = accepting.listener.addresses
        assert host == "127.0.0.1"
        assert port
        client = keep(socket.create_connection((host, port)))
        sock, address = accepting.next()
        assert address == "127.0.0.1"
        sock.sendall(b"hi")
        assert receive_exactly(client, 2) == b"hi"

    def test_many_at_once(self, listen: Listen, keep: Keep) -> None:
        accepting = listen(("127.0.0.1", 0), ("127.0.0.1", 0))
        first, second = accepting.listener.addresses
        assert first != second
        clients = [
            keep(socket.create_connection(where)) for _ in range(50) for where in (first, second)
        ]
        ports = {accepting.next()[0].getpeername()[1] for _ in clients}
        assert ports == {client.getsockname()[1] for client in clients}

    @needs_ipv6
    def test_the_sixth_version(self, listen: Listen, keep: Keep) -> None:
        accepting = listen(("::1", 0))
        [(host, port)] = accepting.listener.addresses
        assert host == "::1"
        keep(socket.create_connection((host, port)))
        assert accepting.next()[1] == "::1"

    @needs_ipv6
    @pytest.mark.usefixtures("two_families")
    def test_all_addresses_of_a_name_on_one_port(self, listen: Listen, keep: Keep) -> None:
        accepting = listen(("both.test", 0))
        addresses = accepting.listener.addresses
        assert [host for host, _ in addresses] == ["127.0.0.1", "::1"]
        assert len({port for _, port in addresses}) == 1
        for where in addresses:
            keep(socket.create_connection(where))
            assert accepting.next()[1] == where[0]

    def test_one_usable_address_of_a_name_is_enough(
        self, listen: Listen, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, port, **options: [  # 192.0.2.1 is for documentation: not ours
                *real("192.0.2.1", port, **options),
                (999, socket.SOCK_STREAM, 6, "", ("no such family", port)),
                *real("127.0.0.1", port, **options),
                *real("127.0.0.1", port, **options),
            ],
        )
        accepting = listen(("several.test", 0))
        assert [host for host, _ in accepting.listener.addresses] == ["127.0.0.1"]


def ignore(sock: socket.socket, address: str) -> None:
    sock.close()


class TestRefusals:
    def test_a_port_that_is_taken(self, keep: Keep) -> None:
        port = keep(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        expected = f"cannot listen on 127.0.0.1:{port}: the port is taken; is another relay running"
        with pytest.raises(NetworkError, match=re.escape(expected)):
            Listener([("127.0.0.1", port)], ignore)

    @needs_sharing
    def test_a_port_that_is_shared(self, keep: Keep) -> None:
        """Only by those who say so: who does not is refused, whoever came first."""
        listener = Listener([("127.0.0.1", 0)], ignore, share_port=True)
        [(host, port)] = listener.addresses
        with keep(socket.socket()) as sock:
            reuse_port(sock)
            sock.bind((host, port))
        with pytest.raises(NetworkError, match="is taken"):
            Listener([(host, port)], ignore)
        listener.stop()

    def test_nothing_stays_open_when_one_of_them_fails(self, keep: Keep) -> None:
        taken = keep(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        with keep(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(NetworkError, match="is taken"):
            Listener([("127.0.0.1", port), ("127.0.0.1", taken)], ignore)
        keep(socket.create_server(("127.0.0.1", port)))

    @needs_ipv6
    @pytest.mark.usefixtures("two_families")
    def test_a_port_that_is_taken_on_one_address_of_a_name(self, keep: Keep) -> None:
        sock = keep(socket.socket(socket.AF_INET6))
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(("::1", 0))
        sock.listen()
        with pytest.raises(NetworkError, match=r"both\.test:\d+: the port is taken"):
            Listener([("both.test", sock.getsockname()[1])], ignore)

    def test_an_address_that_is_not_ours(self) -> None:
        expected = "cannot listen on 192.0.2.1:6697: this machine has no such address."
        with pytest.raises(NetworkError, match=re.escape(expected)):
            Listener([("192.0.2.1", 6697)], ignore)

    @pytest.mark.parametrize("host", ["a..b", "x" * 70])
    def test_what_is_no_host_name(self, host: str) -> None:
        expected = f"cannot listen on {host}:6697: no such host"
        with pytest.raises(NetworkError, match=re.escape(expected)):
            Listener([(host, 6697)], ignore)

    def test_an_unknown_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(NetworkError, match="cannot listen on relay:6697: no such host"):
            Listener([("relay", 6697)], ignore)


class TestStopping:
    def test_while_clients_come(self, keep: Keep) -> None:
        accepting = Accepting([("127.0.0.1", 0)], keep)
        [where] = accepting.listener.addresses
        accepting.listener.start()
        for _ in range(20):
            keep(socket.create_connection(where))
        accepting.next()
        accepting.listener.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)
        while not accepting.accepted.empty():
            accepting.next()

    def test_before_the_start(self) -> None:
        listener = Listener([("127.0.0.1", 0)], ignore)
        [where] = listener.addresses
        listener.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)

    def test_the_port_is_free_at_once(self, listen: Listen, keep: Keep) -> None:
        first = Accepting([("127.0.0.1", 0)], keep)
        first.listener.start()
        [where] = first.listener.addresses
        keep(socket.create_connection(where))
        sock, _ = first.next()
        first.listener.stop()
        sock.close()  # ours is the end that closes first, so it is in TIME-WAIT now
        assert listen(where).listener.addresses == [where]


class TestTrouble:
    def test_a_taker_that_fails_loses_one_connection(
        self, keep: Keep, caplog: pytest.LogCaptureFixture
    ) -> None:
        taken: queue.Queue[socket.socket] = queue.Queue()

        def accept(sock: socket.socket, address: str) -> None:
            if caplog.records:
                taken.put(keep(sock))
            else:
                raise RuntimeError

        listener = Listener([("127.0.0.1", 0)], accept)
        listener.start()
        try:
            first = keep(socket.create_connection(listener.addresses[0], LONG_TIMEOUT_S))
            assert first.recv(1) == b""
            second = keep(socket.create_connection(listener.addresses[0], LONG_TIMEOUT_S))
            taken.get(timeout=LONG_TIMEOUT_S).sendall(b"x")
            assert second.recv(1) == b"x"
        finally:
            listener.stop()
        assert caplog.messages == ["could not take over a connection"]

    def test_a_crash_is_told(self, monkeypatch: pytest.MonkeyPatch, keep: Keep) -> None:
        heard: queue.Queue[BaseException] = queue.Queue()
        failure = RuntimeError()
        listener = Listener([("127.0.0.1", 0)], ignore)

        def fail(_: socket.socket) -> None:
            raise failure

        monkeypatch.setattr(listener, "_accept_one", fail)
        listener.start(heard.put)
        keep(socket.create_connection(listener.addresses[0]))
        assert heard.get(timeout=LONG_TIMEOUT_S) is failure
        listener.stop()

    def test_out_of_descriptors(self, keep: Keep) -> None:
        """The clients that were too many are served once there is room again."""
        pytest.importorskip("resource", reason="POSIX only")
        with subprocess.Popen(
            [sys.executable, "-c", SMALL_RELAY],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as relay:
            assert relay.stdin is not None
            assert relay.stdout is not None
            port = int(relay.stdout.readline())
            clients = [
                keep(socket.create_connection(("127.0.0.1", port), LONG_TIMEOUT_S))
                for _ in range(100)
            ]
            assert relay.stdout.readline() == "cannot accept: Too many open files\n"
            relay.stdin.write("room again\n")
            relay.stdin.flush()
            for client in clients:
                assert receive_exactly(client, 2) == b"hi"
            relay.stdin.close()
            assert relay.wait(LONG_TIMEOUT_S) == 0


# Accepts with room for few descriptors and says so when there is none left; told that there shall
# be room again, it closes what it has accepted.
SMALL_RELAY = """
import logging, resource, sys, threading
from securechat.net.listener import Listener

resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
held, holding = [], True
guard = threading.Condition()

class Say(logging.Handler):
    said = False
    def emit(self, record):
        if not self.said:
            self.said = True
            print(record.getMessage(), flush=True)

def accept(sock, address):
    sock.sendall(b"hi")
    with guard:
        held.append(sock)
        if not holding:
            held.pop().close()

logging.getLogger().addHandler(Say())
listener = Listener([("127.0.0.1", 0)], accept)
listener.start(lambda crash: None)
print(listener.addresses[0][1], flush=True)
sys.stdin.readline()
with guard:
    holding = False
    while held:
        held.pop().close()
sys.stdin.read()
listener.stop()
"""
