"""A whole relay in this process, and small blocking clients that talk to it over real TLS."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from securechat.irc.message import Message
from securechat.irc.sasl import ScramClient, authenticate_chunks, plain_response
from securechat.net.channel_binding import server_end_point
from securechat.server.config import (
    AccountsConfig,
    Config,
    GatewayConfig,
    HistoryConfig,
    LimitsConfig,
    MetricsConfig,
    OperatorConfig,
    PeersConfig,
    ServerConfig,
    StoreConfig,
    TlsConfig,
    WebSocketConfig,
)
from securechat.server.relay import Relay
from securechat.server.session import Session
from tests.timeouts import LONG_TIMEOUT_S

NAME = "relay.test"
NETWORK = "TestNet"
PASSWORD = "correct horse battery"
WALL_S = 1_700_000_000.25
"""What the relay takes for the present: 2023-11-14T22:13:20.250Z."""


class FakeClock:
    """Seconds that pass when a test says so. Safe from any thread."""

    def __init__(self, now: float = 5_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Certificates:
    """A CA, the relay's certificate of it, and certificates of people, as files."""

    folder: Path
    ca: trustme.CA
    other_ca: trustme.CA

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def server_file(self) -> Path:
        return self.folder / "server.pem"

    def of_person(self, name: str, ca: trustme.CA | None = None) -> Path:
        """Return a file with certificate and key of a person."""
        issued = (ca or self.ca).issue_cert(f"{secrets.token_hex(4)}@example.org", common_name=name)
        path = self.folder / f"person-{secrets.token_hex(4)}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return path


def make_certificates(folder: Path) -> Certificates:
    made = Certificates(folder, trustme.CA(), trustme.CA())
    made.ca.cert_pem.write_to_path(made.ca_file)
    issued = made.ca.issue_cert("localhost", "127.0.0.1", "chat.example.org", "other.example.org")
    issued.private_key_and_cert_chain_pem.write_to_path(made.server_file)
    return made


class Closed(Exception):
    """The relay has closed the connection."""


class Client:
    """A client that does just what a test says. Owned by the test's thread."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.nick = ""
        self.lines: list[bytes] = []
        """Every line that has come, without its end."""
        self._buffer = b""
        self._tokens = 0

    # ---- lines ----

    def send(self, *lines: str) -> None:
        self.send_bytes("".join(f"{line}\r\n" for line in lines).encode())

    def send_bytes(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> bytes:
        """Return what comes next. Raises ``Closed`` at the end of the connection."""
        try:
            data = self.sock.recv(65_536)
        except ConnectionError as error:
            raise Closed from error
        if not data:
            raise Closed
        return data

    def read(self) -> Message:
        """Return the next message. Raises ``Closed`` at the end of the connection."""
        while b"\n" not in self._buffer:
            self._buffer += self.receive()
        line, _, self._buffer = self._buffer.partition(b"\n")
        assert line.endswith(b"\r"), line
        self.lines.append(line[:-1])
        return Message.parse(line[:-1].decode())

    def expect(self, command: str, *params: str) -> Message:
        """Return the next message ``command`` that begins with ``params``; drop those before."""
        while True:
            message = self.read()
            if message.command == command and message.params[: len(params)] == params:
                return message

    def sync(self) -> list[Message]:
        """Return all that has come up to now: the relay has done what was sent."""
        self._tokens += 1
        token = f"sync-{self._tokens}"
        self.send(f"PING {token}")
        found = []
        while (message := self.read()).command != "PONG" or message.params[-1] != token:
            found.append(message)
        return found

    def seen(self) -> list[str]:
        """Return all that has come up to now, as short lines."""
        return [short(message) for message in self.sync()]

    def ask(self, *lines: str) -> list[str]:
        """Send ``lines``; return all that has come when they are done, as short lines."""
        return [short(message) for message in self.collect(*lines)]

    def collect(self, *lines: str) -> list[Message]:
        """Send ``lines``; return all that has come when they are done."""
        self.send(*lines)
        return self.sync()

    def read_to_end(self) -> list[str]:
        """Return all that comes until the relay closes the connection, as short lines."""
        found = []
        try:
            while True:
                found.append(short(self.read()))
        except Closed:
            return found

    # ---- conversations ----

    def register(self, nick: str, *caps: str) -> Client:
        """Get on the network as ``nick`` with the capabilities ``caps``."""
        if caps:
            self.request(*caps)
        self.send(f"NICK {nick}", f"USER {nick} 0 * :Real {nick}", "CAP END")
        self.expect("001")
        self.nick = nick
        self.sync()
        return self

    def request(self, *caps: str) -> None:
        """Take capabilities, as many at once as one answer has room for."""
        for start in range(0, len(caps), 10):
            self.send(f"CAP REQ :{' '.join(caps[start : start + 10])}")
            assert self.expect("CAP").params[1] == "ACK"

    def authenticate_plain(self, account: str, password: str = PASSWORD) -> list[str]:
        """Try to log in with PLAIN; return what was answered."""
        self.send("AUTHENTICATE PLAIN")
        self.expect("AUTHENTICATE", "+")
        return self.ask(
            *(
                f"AUTHENTICATE {chunk}"
                for chunk in authenticate_chunks(plain_response(account, password))
            )
        )

    def authenticate_scram(
        self, account: str, password: str = PASSWORD, *, binding: bytes | None = None
    ) -> list[str]:
        """Try to log in with SCRAM-SHA-256, or -PLUS with a binding; return what was answered after
        the proof."""
        plus = binding is not None
        nonce = secrets.token_urlsafe(18)
        scram = ScramClient(account, password, nonce, binding=binding, plus=plus)
        self.send(f"AUTHENTICATE SCRAM-SHA-256{'-PLUS' if plus else ''}")
        self.expect("AUTHENTICATE", "+")
        self.answer(scram.respond(b""))
        self.answer(scram.respond(self.challenge()))
        found = self.sync()
        if found and found[0].command == "AUTHENTICATE":
            self.answer(scram.respond(unchunk(found[0].params[0])))
            assert scram.server_proved
            found = self.sync()
        return [short(message) for message in found]

    @property
    def binding(self) -> bytes | None:
        """What a login on this connection is bound to by SCRAM-SHA-256-PLUS."""
        certificate = self.sock.getpeercert(binary_form=True)
        assert certificate is not None
        return server_end_point(certificate)

    def answer(self, response: bytes) -> None:
        self.send(*(f"AUTHENTICATE {chunk}" for chunk in authenticate_chunks(response)))

    def challenge(self) -> bytes:
        return unchunk(self.expect("AUTHENTICATE").params[0])

    # ---- the end ----

    def quit(self) -> list[str]:
        """Leave; when this returns the relay has forgotten the session."""
        try:
            self.send("QUIT")
        except OSError:
            return []
        found = self.read_to_end()
        self.sock.close()
        return found

    def vanish(self) -> None:
        """Be gone without a word."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def unchunk(text: str) -> bytes:
    return b"" if text == "+" else base64.b64decode(text)


def short(message: Message) -> str:
    """Return a message without tags; of its source only the nick, and nothing of the relay's."""
    line = Message(message.command, message.params).to_line()
    return f":{message.nick} {line}" if message.source not in (None, NAME) else line


def commands(lines: Iterable[str]) -> list[str]:
    """Return the commands of short lines."""
    return [line.split(" ")[1 if line.startswith(":") else 0] for line in lines]


class RunningRelay:
    """A relay that runs. Made, used and stopped by the test's thread."""

    def __init__(self, config: Config, certificates: Certificates, **clocks: Any) -> None:
        self.certificates = certificates
        self.config = config
        self.clients: list[Client] = []
        self.sockets: list[socket.socket] = []
        self.may_log_errors = False
        self._stopped = False
        self._crashed = threading.Event()
        self.relay = Relay(config, on_crash=self._crashed.set, **clocks)
        self.relay.start()

    @property
    def address(self) -> tuple[str, int]:
        return self.relay.addresses[0]

    def connect_tcp(self) -> socket.socket:
        """Connect and do no handshake."""
        sock = socket.create_connection(self.address, timeout=LONG_TIMEOUT_S)
        # Small writes follow each other: none must wait for the acknowledgement of the last.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets.append(sock)
        return sock

    def connect_from(self, address: str) -> socket.socket:
        """Have the relay accept a connection as if from ``address``; return the client's end."""
        ours, theirs = socket.socketpair()
        ours.settimeout(LONG_TIMEOUT_S)
        self.sockets.append(ours)
        self.relay._listeners[0]._accept(theirs, address)
        return ours

    def connect(
        self,
        *,
        certificate: Path | None = None,
        alpn: Iterable[str] = ("irc",),
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        address: str = "",
        host: str = "localhost",
    ) -> Client:
        """Connect and do the handshake; as if from ``address``, asking for the name ``host``."""
        context = ssl.create_default_context(cafile=str(self.certificates.ca_file))
        context.maximum_version = newest
        if certificate is not None:
            context.load_cert_chain(certificate)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        tcp = self.connect_from(address) if address else self.connect_tcp()
        sock = context.wrap_socket(tcp, server_hostname=host)
        self.sockets.append(sock)
        client = Client(sock)
        self.clients.append(client)
        return client

    def join(self, nick: str, *caps: str, **connect: Any) -> Client:
        """Connect as a guest, on the network as ``nick``."""
        return self.connect(**connect).register(nick, *caps)

    def account(self, nick: str, *caps: str) -> Client:
        """Connect as ``nick`` with an account that is made for it."""
        client = self.connect()
        client.request("draft/account-registration", *caps)
        client.send(f"NICK {nick}", f"REGISTER * * :{PASSWORD}")
        assert client.expect("REGISTER").params[:2] == ("SUCCESS", nick)
        return client.register(nick)

    def login(self, account: str, *caps: str, nick: str = "") -> Client:
        """Connect and log in to an account."""
        client = self.connect()
        client.request("sasl", *caps)
        assert "903" in commands(client.authenticate_plain(account))
        return client.register(nick or account)

    def session(self, nick: str) -> Session:
        """Return the session of a user who has one."""
        with self.relay.services.lock:
            user = self.relay.services.network.find_user(nick)
            assert user is not None
            (key,) = user.sessions
        session = self.relay.services.registry.get(key)
        assert session is not None
        return session

    def wake(self) -> None:
        """Have the I/O threads look at their timers, as after a wait."""
        for thread in self.relay._threads:
            thread.post(lambda: None)

    def run_on(self, session: Session, work: Callable[[], None]) -> None:
        """Have the session's thread do ``work``, and wait for it."""
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        session.connection.thread.post(run)
        assert done.wait(LONG_TIMEOUT_S)

    def stop(self, reason: str = "The test is over") -> None:
        """Stop, once. The clients go first: the relay would wait for them to close."""
        for sock in self.sockets:
            sock.close()
        if self._stopped:
            return
        self._stopped = True
        self.relay.stop(reason)
        assert self.relay.crash is None, repr(self.relay.crash)


@contextlib.contextmanager
def running(config: Config, certificates: Certificates) -> Iterator[RunningRelay]:
    """Give a relay that is stopped at the end."""
    relay = RunningRelay(config, certificates)
    try:
        yield relay
    finally:
        relay.stop()


def make_config(
    certificates: Certificates,
    database: Path,
    *,
    server: dict[str, Any] | None = None,
    tls: dict[str, Any] | None = None,
    accounts: dict[str, Any] | None = None,
    history: dict[str, Any] | None = None,
    peers: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    websocket: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    operators: tuple[OperatorConfig, ...] = (),
    webirc: tuple[GatewayConfig, ...] = (),
) -> Config:
    """Return the default configuration, but with cheap hashes and no flood limit, and changes."""
    return dataclasses.replace(
        Config(),
        server=ServerConfig(
            **{"name": NAME, "network": NETWORK, "listen": (("127.0.0.1", 0),), "io_threads": 2}
            | (server or {})
        ),
        tls=TlsConfig(
            **{"certificate": certificates.server_file, "key": certificates.server_file}
            | (tls or {})
        ),
        accounts=AccountsConfig(
            **{"argon2_memory_kib": 64, "argon2_iterations": 1} | (accounts or {})
        ),
        store=StoreConfig(path=database),
        history=HistoryConfig(**(history or {})),
        peers=PeersConfig(**(peers or {})),
        limits=LimitsConfig(**{"commands_per_s": 0.0} | (limits or {})),
        operators=operators,
        webirc=webirc,
        websocket=WebSocketConfig(**(websocket or {})),
        metrics=MetricsConfig(**(metrics or {})),
    )
