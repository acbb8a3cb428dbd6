"""The parts of a relay that is one thread: each does its work when it is told to."""

from __future__ import annotations

import contextlib
import logging
import socket
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from securechat.errors import StoreBusy, StoreError
from securechat.irc.sasl import ScramVerifier
from securechat.net.io_thread import IoThread
from securechat.server import authentication
from securechat.server.hash_workers import HASH_QUEUE_LIMIT, HashersBusy
from securechat.server.session import Session
from securechat.server.store_thread import Outcome, StoreFigures
from securechat.server.telemetry.histogram import Histogram
from securechat.store.accounts import Accounts
from securechat.store.migrations import migrate
from securechat.store.passwords import Argon2Parameters, hash_password

__all__ = [
    "CHEAP",
    "HELLO",
    "PASSWORD",
    "START_S",
    "End",
    "MemoryHashers",
    "MemoryStore",
    "PlainPipe",
    "SteppedThread",
    "Watcher",
    "memory_database",
    "watched_log",
]

PASSWORD: Final = "correct-horse"
CHEAP: Final = Argon2Parameters(memory_kib=8, iterations=1, lanes=1)
START_S: Final = 1_700_000_000.0

HELLO: Final = b"\x16"
"""What stands for a client's handshake."""


def _cheap_credentials(password: str, parameters: Argon2Parameters = CHEAP) -> tuple[str, str]:
    """Return what is kept of a password, in a fraction of a millisecond."""
    verifier = ScramVerifier.derive(password, salt=b"s" * 16, iterations=1)
    return hash_password(password, CHEAP), verifier.to_text()


@lru_cache
def _database(accounts: tuple[str, ...]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=1_000)
    migrate(connection, Path("memory"))
    connection.execute("PRAGMA foreign_keys = ON")
    for name in accounts:
        Accounts(connection).create(name, name.lower(), *_cheap_credentials(PASSWORD), START_S)
    return connection


@contextlib.contextmanager
def memory_database(*accounts: str) -> Iterator[sqlite3.Connection]:
    """Give a database with these accounts, all of whom have ``PASSWORD``.

    It is the same one each time, and what is done to it is undone at the end: one at a time.
    """
    connection = _database(accounts)
    connection.execute("BEGIN")
    try:
        yield connection
    finally:
        connection.execute("PRAGMA query_only = 0")
        connection.execute("ROLLBACK")


class MemoryStore:
    """What ``StoreThread`` is, but that it works when it is told to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.trouble = ""
        self.full = False
        self._connection = connection
        self._tasks: deque[tuple[Callable[..., Any], Callable[[Outcome[Any]], None]]] = deque()

    def submit(self, work: Callable[..., Any], done: Callable[[Outcome[Any]], None]) -> None:
        if self.full:
            raise StoreBusy("too much waits")
        self._tasks.append((work, done))

    def call(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return work(self._connection)

    def ping(self, answer: Callable[[], None]) -> None:
        answer()

    def try_again(self) -> None:
        """Never better by itself: see ``break_down``."""

    def break_down(self, broken: bool) -> None:
        """Be a disk that cannot be written, or no longer."""
        self._connection.execute(f"PRAGMA query_only = {int(broken)}")
        self.trouble = "the disk is full" if broken else ""

    def figures(self) -> StoreFigures:
        return StoreFigures(0, Histogram((1.0,)).snapshot(), 0, 0, len(self._tasks), self.trouble)

    def work(self) -> bool:
        """Do what waits; tell whether anything did."""
        tasks, self._tasks = self._tasks, deque()
        for work, done in tasks:
            done(self._do(work))
        return bool(tasks)

    def _do(self, work: Callable[[sqlite3.Connection], Any]) -> Outcome[Any]:
        connection = self._connection
        connection.execute("SAVEPOINT task")
        try:
            outcome = Outcome(work(connection))
            connection.execute("RELEASE task")
        except Exception as error:
            connection.execute("ROLLBACK TO task")
            connection.execute("RELEASE task")
            if isinstance(error, sqlite3.Error):
                if not self.trouble:
                    raise
                error = StoreError(f"the store refused: {error}")
            outcome = Outcome(error=error)
        return outcome


class MemoryHashers:
    """What ``HashWorkers`` is, but that it works when it is told to."""

    def __init__(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()

    def submit(self, work: Callable[[], None]) -> None:
        if len(self._tasks) >= HASH_QUEUE_LIMIT:
            raise HashersBusy("too many logins at once; try again in a few seconds")
        self._tasks.append(work)

    def work(self) -> bool:
        """Do what waits; tell whether anything did."""
        tasks, self._tasks = self._tasks, deque()
        if tasks:
            with patch.object(authentication, "make_credentials", _cheap_credentials):
                for work in tasks:
                    work()
        return bool(tasks)


class PlainPipe:
    """Bytes as they are, in place of TLS."""

    def __init__(self, protocol: str | None = "irc", certificate: bytes | None = None) -> None:
        self.handshake_done = False
        self.eof = False
        self.peer_certificate = certificate
        self.version = "TLSv1.3"
        self.cipher = "NONE"
        self.protocol = protocol
        self.server_name = "localhost"
        self._waiting = bytearray()

    def start(self) -> None: ...

    def close(self) -> None: ...

    def receive(self, data: bytes) -> bytes:
        if not self.handshake_done:
            self.handshake_done = True
            return data.removeprefix(HELLO)
        return data

    def send(self, data: bytes | memoryview) -> None:
        self._waiting += data

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken

    @property
    def waiting_bytes(self) -> int:
        return len(self._waiting)


def _nothing() -> None: ...


class SteppedThread(IoThread):
    """An I/O thread that is this thread, a turn at a time."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        super().__init__(name, clock=clock)
        self._ident = threading.get_ident()

    def step(self) -> None:
        if self.idle:
            self.post(_nothing)  # or it would wait for something to do
        self._turn()

    @property
    def idle(self) -> bool:
        return not self._inbox and not self._dirty

    def end(self) -> None:
        """Close all, also when one of them fails."""
        try:
            self._close_all()
        except AssertionError:
            self.end()
            raise


class End:
    """The client's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.open = True
        self.reading = True
        self.session: Session | None = None

    def send(self, data: bytes) -> None:
        """Say ``data``, or nothing if the relay has closed the connection."""
        try:
            self._sock.sendall(data)
        except OSError:
            self.open = False

    def receive(self) -> bytes:
        """Return all that has come."""
        found = []
        try:
            while self.reading and (data := self._sock.recv(262_144)):
                found.append(data)
            self.open = self.open and not self.reading
        except BlockingIOError:
            pass
        except ConnectionError:
            self.open = False
        if not self.open:
            self._sock.close()
        return b"".join(found)

    def vanish(self) -> None:
        """Be gone without a word."""
        self.open = False
        self._sock.close()


class Watcher(logging.Handler):
    """Fails at whatever in the log tells of a bug, and at lines that could be taken for several."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.errors: list[str] = []
        """What a disk that cannot be written has led to."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        assert "\n" not in text, f"two lines in the log: {text!r}"
        assert "\r" not in text, f"two lines in the log: {text!r}"
        if record.exc_info:
            raise AssertionError(text) from record.exc_info[1]
        if record.levelno >= logging.ERROR:
            self.errors.append(text)


@contextlib.contextmanager
def watched_log(level: int = logging.INFO) -> Iterator[Watcher]:
    """Have the log watched from ``level`` on, and nobody else see it."""
    logger = logging.getLogger("securechat")
    before = logger.level, logger.propagate
    watcher = Watcher()
    logger.addHandler(watcher)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield watcher
    finally:
        logger.removeHandler(watcher)
        logger.level, logger.propagate = before
