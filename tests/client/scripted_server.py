"""A TLS server whose every connection follows a script: a function of a ``Peer``."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import trustme

from securechat.irc.message import Message
from tests.timeouts import LONG_TIMEOUT_S

TIMEOUT_S = LONG_TIMEOUT_S
"""For what must happen; how long it takes is of no interest."""

FULL_CAPS = (
    "account-notify account-tag away-notify batch cap-notify draft/account-registration "
    "echo-message extended-join invite-notify labeled-response message-tags multi-prefix "
    "sasl=SCRAM-SHA-256,PLAIN,EXTERNAL server-time setname standard-replies userhost-in-names"
)
"""What our relay offers."""


class Gone(Exception):
    """The client has closed the connection."""


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._buffer = b""
        self.nick = "*"
        self.heard: list[str] = []

    def say(self, *lines: str) -> None:
        self.say_bytes("".join(f"{line}\r\n" for line in lines).encode())

    def say_bytes(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (ConnectionError, ssl.SSLError) as error:
            raise Gone(self.heard) from error

    def next(self) -> Message:
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Gone(self.heard) from error
            if not data:
                raise Gone(self.heard)
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        text = line.rstrip(b"\r").decode()
        self.heard.append(text)
        return Message.parse(text)

    def expect(self, command: str, *params: str) -> Message:
        """Read on until ``command`` comes (with ``params`` first); answer PINGs on the way."""
        while True:
            message = self.next()
            if message.command == command and message.params[: len(params)] == params:
                return message
            if message.command == "PING":
                self.pong(message)

    def pong(self, message: Message) -> None:
        self.say(f":irc.test PONG irc.test :{message.params[-1]}")

    def negotiate(self, caps: str = "") -> None:
        """Go through CAP until CAP END, or take a client that starts without."""
        self.expect("CAP", "LS")
        self.say(f":irc.test CAP * LS :{caps}")
        self.nick = self.expect("NICK").params[0]
        self.expect("USER")
        while True:
            message = self.expect("CAP")
            if message.params[0] == "END":
                return
            self.say(f":irc.test CAP {self.nick} ACK :{message.params[1]}")

    def welcome(self, *, isupport: str = "CASEMAPPING=ascii NETWORK=TestNet CHANTYPES=#") -> None:
        nick = self.nick
        self.say(
            f":irc.test 001 {nick} :Welcome to TestNet, {nick}",
            f":irc.test 005 {nick} {isupport} :are supported by this server",
            f":irc.test 422 {nick} :There is no message of the day",
        )

    def register(self, caps: str = FULL_CAPS) -> None:
        self.negotiate(caps)
        self.welcome()

    def joins(self, channel: str, *others: str) -> None:
        """Take a JOIN and let the client in beside ``others``."""
        self.expect("JOIN", channel)
        self.say(
            f":{self.nick}!u@host JOIN {channel}",
            f":irc.test 353 {self.nick} = {channel} :{' '.join((self.nick, *others))}",
            f":irc.test 366 {self.nick} {channel} :End of /NAMES list.",
        )

    def echo(self, message: Message) -> None:
        """Acknowledge a text by its labelled echo."""
        label = message.tags["label"]
        target, text = message.params
        self.say(f"@label={label} :{self.nick}!u@host {message.command} {target} :{text}")

    def until_gone(self) -> None:
        """Read whatever comes until the client has left, answering QUIT and PING."""
        with contextlib.suppress(Gone):
            while True:
                message = self.next()
                if message.command == "PING":
                    self.pong(message)
                if message.command == "QUIT":
                    self.say("ERROR :bye")
                    return


Script = Callable[[Peer], None]


class ScriptedServer:
    """Listens on loopback; the n-th connection runs the n-th script, the last one over and over."""

    def __init__(self, context: ssl.SSLContext, scripts: Sequence[Script]) -> None:
        self._context = context
        self._scripts = list(scripts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="scripted accept")
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            thread = threading.Thread(target=self._serve, args=(sock, script))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, script: Script) -> None:
        sock.settimeout(TIMEOUT_S)
        try:
            secure = self._context.wrap_socket(sock, server_side=True)
        except OSError:  # the client refuses the certificate
            sock.close()
            return
        with secure:
            peer = Peer(secure)
            self.peers.append(peer)
            try:
                script(peer)
            except Gone:
                pass
            except BaseException as error:
                self.errors.append(error)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()
        if self.errors:
            raise self.errors[0]


class Pki:
    """A CA, its file, and server contexts from it."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def context(self, *names: str, cert: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["irc"])
        (cert or self.ca.issue_cert(*(names or ("localhost", "127.0.0.1")))).configure_cert(context)
        return context


@contextlib.contextmanager
def serving(pki: Pki, *scripts: Script) -> Iterator[ScriptedServer]:
    server = ScriptedServer(pki.context(), scripts)
    try:
        yield server
    finally:
        server.close()
