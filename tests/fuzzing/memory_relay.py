"""A whole relay without a thread, a port or TLS: it takes a turn when it is told to.

The parts are those of ``securechat.server.assembly``, on real I/O threads that are never started,
with real connections over socket pairs and a real database in memory. Instead of time there is a
number, instead of TLS nothing, and passwords are hashed as cheaply as can be. So hundreds of
conversations take a second, and the same bytes always lead to the same state.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from securechat.net.connection import Connection, ConnectionHandler
from securechat.server.admission import Admission
from securechat.server.assembly import assemble
from securechat.server.certificate import ServedCertificate
from securechat.server.chat_port import ChatPortHandler
from securechat.server.config import Config
from securechat.server.history.retention import Retention
from securechat.server.session import Session
from securechat.server.store_thread import Outcome
from securechat.server.telemetry.counters import Mishap
from securechat.server.upkeep import admission_limits
from securechat.server.websocket import ALPN as WEB_ALPN
from securechat.server.websocket import WebSocketHandler
from tests.fuzzing.memory_parts import (
    HELLO,
    START_S,
    End,
    MemoryHashers,
    MemoryStore,
    PlainPipe,
    SteppedThread,
)

__all__ = ["MemoryRelay"]

_ROUNDS: Final = 500
"""After so many turns of all threads a relay that still has work will never be done."""

_FULL_SOCKET_BYTES: Final = 32_768
"""After so much a socket may have been full; they take some times more."""

_SERVED: Final = ServedCertificate(
    contexts={},
    binding=b"b" * 32,
    authority=b"-----BEGIN CERTIFICATE-----\n",
    not_after=datetime.max.replace(tzinfo=UTC),
    marks=(),
)


class MemoryRelay:
    """A relay, and the ends of all connections to it."""

    def __init__(self, config: Config, database: sqlite3.Connection) -> None:
        self.now = 5_000.0
        self.config = config
        self.database = database
        self.ends: list[End] = []
        self._start()

    def _start(self) -> None:
        config = self.config
        self.store = MemoryStore(self.database)
        self.hashers = MemoryHashers()
        self.threads = [SteppedThread(f"io-{n}", lambda: self.now) for n in range(2)]
        self.admission = Admission(*admission_limits(config), wall_clock=self.wall_clock)
        self._reloads: list[Callable[[Outcome[list[str]]], None]] = []
        certificate: Any = self  # for its ``served``
        parts: dict[str, Any] = {"store": self.store, "hashers": self.hashers}
        self.services = assemble(
            config,
            threads=self.threads,
            admission=self.admission,
            certificate=certificate,
            cluster=None,
            reload=lambda done, lead=True: self._reloads.append(done),
            clock=lambda: self.now,
            wall_clock=self.wall_clock,
            **parts,
        )
        if config.history.enabled:
            Retention(self.services).start(self.threads[0])

    served = _SERVED

    def wall_clock(self) -> float:
        return START_S + self.now

    # ---- what clients do ----

    def connect(
        self,
        address: str = "192.0.2.1",
        *,
        protocol: str = "irc",
        certificate: bytes | None = None,
    ) -> End | None:
        """Connect; return the client's end, ``None`` if the relay wants none."""
        seat = self.admission.take(address)
        if seat is None:
            return None
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        end = End(ours)
        self.ends.append(end)

        def make_session(connection: Connection) -> Session:
            end.session = Session(self.services, connection, seat=seat, certificate=_SERVED)
            return end.session

        def make_handler(connection: Connection) -> ConnectionHandler:
            if protocol == WEB_ALPN:
                return WebSocketHandler(connection, make_session, origins=("*",), timeout_s=10)
            return ChatPortHandler(connection, make_session, self.services.tunnels)

        limits = self.config.limits
        thread = self.threads[len(self.ends) % 2]
        thread.adopt(
            theirs,
            PlainPipe(protocol, certificate),
            make_handler,
            handshake_timeout_s=limits.handshake_timeout_s,
            send_limit_bytes=limits.sendq_bytes,
        )
        thread.step()
        end.send(HELLO)
        return end

    # ---- time ----

    def turn(self) -> None:
        """Have every I/O thread take a turn."""
        for thread in self.threads:
            thread.step()

    def work(self) -> bool:
        """Have the other threads do what waits for them; tell whether anything did."""
        reloads, self._reloads = self._reloads, []
        for done in reloads:
            done(Outcome(["taken: nothing has changed"]))
        return self.store.work() | self.hashers.work() | bool(reloads)

    def settle(self, hear: Callable[[End, bytes], None]) -> None:
        """Have all done that there is to do; ``hear`` is told what comes to each end."""
        waiting = self.threads
        for _ in range(_ROUNDS):
            for thread in waiting:
                thread.step()
            busy = self.work()
            heard = 0
            for end in self.ends:
                data = end.receive() if end.open else b""
                if data:
                    heard += len(data)
                    hear(end, data)
            # What a socket had no room for is sent once the client has read: a turn finds out.
            everywhere = heard >= _FULL_SOCKET_BYTES
            waiting = [thread for thread in self.threads if everywhere or not thread.idle]
            if not busy and not waiting:
                return
        raise AssertionError("the relay finds no end")

    def pass_time(self, seconds: float) -> None:
        """Have it be later. Work that is due then is done by the next turn."""
        self.now += seconds

    def stop(self, hear: Callable[[End, bytes], None]) -> None:
        """Stop in good order, as ``Relay`` does."""
        for session in self.services.registry.snapshot():
            session.connection.thread.post(partial(session.dismiss, "The relay stops"))
        self.services.tunnels.stop()
        for thread in self.threads:
            thread.post(partial(thread.begin_stop, 1.5))
        for _ in range(4):
            self.turn()
            for end in self.ends:
                if end.open and (data := end.receive()):
                    hear(end, data)
        self.pass_time(2.0)
        self.turn()
        with self.services.lock:
            self.services.event_log.keep_again()
        self.store.break_down(False)
        while self.work():
            pass
        self.kill()

    def kill(self) -> None:
        """End all at once."""
        with contextlib.ExitStack() as stack:
            for end in self.ends:
                stack.callback(end.vanish)
            for thread in self.threads:
                stack.callback(thread.end)
        self.ends.clear()

    def restart(self) -> None:
        """Start again on the same database, after ``stop`` or ``kill``."""
        self._start()

    # ---- what went wrong ----

    def check_mishaps(self) -> None:
        """Check that nothing was logged, or counted, that tells of a bug."""
        assert self.services.counters.mishaps()[Mishap.COMMAND_CRASHED] == 0
