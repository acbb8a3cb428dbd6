"""Somebody with an account, by one connection: says things, and reads what the relay answers."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from benchmark.crowd import LoadError, Target
from securechat.irc.framing import SERVER_TAG_DATA_BYTES, LineBuffer
from securechat.irc.message import Message
from securechat.irc.multiline import BATCH_TYPE
from securechat.net.tls import client_context

__all__ = ["Gone", "Hearing", "Said", "Talker", "multiline"]

CAPS: Final = (
    "batch",
    "draft/account-registration",
    "draft/chathistory",
    "draft/multiline",
    "echo-message",
    "labeled-response",
    "message-tags",
    "sasl",
    "server-time",
    "soju.im/search",
    "standard-replies",
)
"""What somebody asks for who wants to know that what they have said is kept."""

PASSWORD: Final = "correct horse battery"
RECEIVED_BYTES: Final = 65_536
REFUSALS: Final = frozenset({"ERROR", "FAIL", "902", "904", "905", "433", "465"})
"""What ends an attempt to enter."""


class Gone(LoadError):
    """The relay has ended the connection, or has ended itself."""


class Said(NamedTuple):
    """A whole message, as it was heard or read. Immutable."""

    sender: str
    target: str
    text: str
    label: str
    msgid: str


class Talker:
    """One connection. Owned by one thread. ``Gone`` once it has ended; else ``LoadError`` for
    whatever goes wrong.

    :param deadline: for all waiting, by the monotonic clock.
    """

    PROTOCOLS: ClassVar[tuple[str, ...]] = ()
    """The application protocols to ask for."""

    def __init__(self, target: Target, nick: str, deadline: float) -> None:
        self.nick = nick
        self._deadline = deadline
        self._buffer = LineBuffer(tag_bytes=SERVER_TAG_DATA_BYTES)
        try:
            sock = socket.create_connection(target.address, self._left())
        except OSError as error:
            raise Gone(f"{nick}: cannot connect: {error}") from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = _context(target.ca, self.PROTOCOLS)
            self.socket = context.wrap_socket(sock, server_hostname=target.hostname)
        except OSError as error:
            sock.close()
            raise Gone(f"{nick}: the TLS handshake failed: {error}") from error

    def fileno(self) -> int:
        """The descriptor, for ``select``."""
        return self.socket.fileno()

    # ---- being there ----

    def enter(self, *, new: bool = False) -> None:
        """Log in with the account that is named as the nick, and get on the network.

        :param new: whether the account is to be made first.
        """
        self.send(f"CAP REQ :{' '.join(CAPS)}", f"NICK {self.nick}", f"USER {self.nick} 0 * :load")
        if new:
            self.send(f"REGISTER * * :{PASSWORD}")
            self._expect("REGISTER")
        else:
            self._log_in(PASSWORD)
            self._expect("903")
        self.send("CAP END")
        self._expect("001")

    def fail(self) -> None:
        """Try to log in with a password that is not right."""
        self.send("CAP REQ :sasl", f"NICK {self.nick}")
        self._log_in(f"in{PASSWORD}")
        self._expect("904")

    def visit(self) -> None:
        """Get on the network without an account."""
        self.send(f"NICK {self.nick}", f"USER {self.nick} 0 * :load")
        self._expect("001")

    def send(self, *lines: str) -> None:
        """Send lines, given without their ends. Blocks until the socket has taken them."""
        self.write("".join(f"{line}\r\n" for line in lines).encode())

    def write(self, data: bytes) -> None:
        """Send bytes as they are. Blocks until the socket has taken them."""
        self.socket.settimeout(self._left())
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone(f"{self.nick}: connection lost: {error}") from error

    def take(self) -> list[Message]:
        """Return what has come; never waits. What came before the end is returned first."""
        come, ended = [], False
        self.socket.settimeout(0)
        try:
            while data := self.socket.recv(RECEIVED_BYTES):
                come.append(data)
            ended = True
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError:
            ended = True
        if ended and not come:
            raise Gone(f"{self.nick}: the relay has ended the connection")
        return self._messages(b"".join(come))

    def ask(self, *lines: str) -> list[Message]:
        """Send ``lines``; return all that has come once they are done."""
        token = secrets.token_hex(8)
        self.send(*lines, f"PING {token}")
        found: list[Message] = []
        while True:
            for message in self._wait():
                if message.command == "PONG" and message.params[-1] == token:
                    return found
                found.append(message)

    def history(self, target: str, reference: str, limit: int) -> list[Said]:
        """Return what was said to ``target`` after ``reference``, up to ``limit`` messages."""
        answer = self.ask(f"CHATHISTORY AFTER {target} {reference} {limit}")
        for message in answer:
            if message.command == "FAIL":
                raise LoadError(f"{self.nick}: the relay says: {message.to_line()}")
        hearing = Hearing()
        return [said for message in answer if (said := hearing.hear(message)) is not None]

    def close(self) -> None:
        """Be gone, without a word."""
        self.socket.close()

    # ---- inside ----

    def _log_in(self, password: str) -> None:
        self.send("AUTHENTICATE PLAIN")
        self._expect("AUTHENTICATE")
        plain = f"\0{self.nick}\0{password}".encode()
        self.send(f"AUTHENTICATE {base64.b64encode(plain).decode()}")

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise LoadError("it took too long; --timeout gives it more")
        return left

    def _wait(self) -> list[Message]:
        """Return what comes next; waits for it."""
        self.socket.settimeout(self._left())
        try:
            data = self.socket.recv(RECEIVED_BYTES)
        except OSError as error:
            raise Gone(f"{self.nick}: connection lost: {error}") from error
        if not data:
            raise Gone(f"{self.nick}: the relay has ended the connection")
        return self._messages(data)

    def _messages(self, data: bytes) -> list[Message]:
        lines = (line.decode() for line in self._buffer.feed(data) if isinstance(line, bytes))
        found = [Message.parse(line) for line in lines]
        for message in found:
            if message.command == "PING":
                self.send(f"PONG :{message.params[-1]}")
        return found

    def _expect(self, command: str) -> None:
        while True:
            for message in self._wait():
                if message.command == command:
                    return
                if message.command in REFUSALS:
                    raise LoadError(f"{self.nick}: the relay says: {message.to_line()}")


@cache
def _context(ca: Path, protocols: tuple[str, ...]) -> ssl.SSLContext:
    return client_context(ca, protocols=protocols)


class Hearing:
    """Puts the lines of whole messages together. Owned by one thread."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Message, list[str]]] = {}

    def hear(self, message: Message) -> Said | None:
        """Take what has come; return the message that it completes, if it completes one."""
        if message.command == "BATCH":
            return self._batch(message)
        if message.command not in ("PRIVMSG", "NOTICE"):
            return None
        batch = self._open.get(message.tags.get("batch", ""))
        if batch is None:
            return _said(message, message.params[0], message.params[1])
        batch[1].append(message.params[1])
        return None

    def _batch(self, message: Message) -> Said | None:
        sign, reference = message.params[0][0], message.params[0][1:]
        if sign == "+":
            if message.params[1] == BATCH_TYPE:
                self._open[reference] = message, []
            return None
        opening, lines = self._open.pop(reference, (None, []))
        if opening is None:
            return None
        return _said(opening, opening.params[2], "\n".join(lines))


def _said(tagged: Message, target: str, text: str) -> Said:
    tags = tagged.tags
    return Said(tagged.nick, target, text, tags.get("label", ""), tags.get("msgid", ""))


def multiline(target: str, lines: Sequence[str], label: str) -> list[str]:
    """What a client sends to say several lines as one message."""
    reference = secrets.token_hex(4)
    return [
        f"@label={label} BATCH +{reference} {BATCH_TYPE} {target}",
        *(f"@batch={reference} PRIVMSG {target} :{line}" for line in lines),
        f"BATCH -{reference}",
    ]
