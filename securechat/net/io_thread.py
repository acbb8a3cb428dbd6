"""A thread that owns many connections: their sockets, their TLS, their timers."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from securechat.errors import NetworkError
from securechat.net.connection import Connection, ConnectionHandler
from securechat.net.dialer import Dial
from securechat.net.listener import format_address
from securechat.net.locks import make_lock
from securechat.net.pipe import Pipe
from securechat.net.threads import Thread, start_thread
from securechat.net.timers import Clock, Timer, Timers
from securechat.net.traffic import Traffic

__all__ = ["INBOX_ENTRIES", "IoThread"]

_log = logging.getLogger(__name__)

INBOX_ENTRIES: Final = 10_000
"""Entries in an inbox beyond which the other I/O threads stop reading (and so stop posting) until
it has been emptied: the bound on what waits between two threads, beside one turn's work."""

_BUSY_CONNECTIONS: Final = 16
"""Connections with something to say, from which on a turn looks for more input before it flushes
them. For fewer it would cost about as much as it saves."""

_READ_ROUNDS: Final = 4
"""How often a turn reads, at most: what is handled meanwhile has to wait for the flush. Who has
sent a dozen lines one by one is heard in full by then."""

_OVERLOAD_NAP_S: Final = 0.01
"""How long a thread waits, in seconds, before it looks again whether another has caught up."""

_Work = Callable[[], None]
_Multicast = tuple[Collection[Connection], bytes, Connection | None]


_running = threading.local()
"""``thread``: the ``IoThread`` that runs in this thread, if one does."""


class IoThread:
    """Owns connections, and dials. ``send``, ``post``, ``adopt`` and ``begin_stop`` are safe from
    any thread and do not block; they do nothing once the thread has ended.

    All work for the connections comes through one inbox, so it is done in the order in which it was
    posted. Each turn of the loop: read what has come (handlers run here), empty the inbox, run the
    timers, then flush every connection that has something to say — once, so that all lines of a
    turn are joined, encrypted as one record and sent by one call. To flush many takes longer than
    to read: before that, what has come meanwhile is read too, a few times. ``traffic`` has what has
    passed.

    :param name: of the thread.
    :param on_crash: called with the exception should the loop itself fail.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock = time.monotonic,
        on_crash: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.clock = clock
        self.name = name
        self.traffic = Traffic()
        self._on_crash = on_crash
        self._lock = make_lock(f"{name} inbox", tier=1)  # guards _inbox, _woken, _ended
        self._inbox: list[_Work | _Multicast] = []
        self._woken = False
        self._ended = False
        self._receiver, self._waker = socket.socketpair()
        self._receiver.setblocking(False)
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._receiver, selectors.EVENT_READ, None)
        self._timers = Timers()
        self._owned: set[Connection | Dial] = set()
        self._dirty: list[Connection] = []
        self._to_wake: list[IoThread] = []  # threads that this turn has posted to
        self._neighbours: tuple[IoThread, ...] = ()
        self._running = True
        self._ident: int | None = None
        self._thread: Thread | None = None

    def start(self, neighbours: Iterable[IoThread] = ()) -> None:
        """Start the thread. ``neighbours`` are the threads that its handlers send to."""
        self._neighbours = tuple(thread for thread in neighbours if thread is not self)
        self._thread = start_thread(self.name, self._run, on_crash=self._on_crash)

    def begin_stop(self, timeout_s: float) -> None:
        """Finish all connections, then end; drop what is still there after ``timeout_s``."""
        self.post(lambda: self._finish_all(timeout_s))

    def stop(self, timeout_s: float) -> None:
        """Begin to stop and wait for the end. Blocks; not for the thread itself."""
        if self._thread is None:
            self._close_all()
            return
        self.begin_stop(timeout_s)
        self.join()

    def join(self) -> None:
        """Wait for the end, after ``begin_stop``. Blocks; not for the thread itself."""
        if self._thread is not None:
            self._thread.join()

    # ---- safe from any thread ----

    def post(self, work: _Work) -> None:
        """Call ``work`` on the thread, after all that was posted before."""
        self._put(work)

    def send(
        self, recipients: Collection[Connection], data: bytes, skip: Connection | None = None
    ) -> None:
        """Queue ``data`` for each of ``recipients``, which this thread owns, but not for ``skip``.

        ``recipients`` must not change afterwards. Consecutive calls with the same object are joined
        before they are handed on, so a caller does well to keep the tuple of a group. ``traffic``
        counts each of them as a delivery to each recipient.
        """
        self._put((recipients, data, skip))

    def adopt(
        self,
        sock: socket.socket,
        pipe: Pipe,
        make_handler: Callable[[Connection], ConnectionHandler],
        *,
        handshake_timeout_s: float,
        send_limit_bytes: int,
    ) -> None:
        """Take over a connected socket and begin the handshake on it.

        ``make_handler`` is called on this thread. ``pipe`` must not have been used. A thread that
        is stopping takes no more: it closes the socket, and no handler is made.
        """

        def begin() -> None:
            if not self._running:
                sock.close()
                return
            self._begin(sock, lambda: pipe, make_handler, handshake_timeout_s, send_limit_bytes)

        if not self._put(begin):
            sock.close()

    def overloaded(self) -> bool:
        """Whether the inbox is so full that nobody should add to it in bulk."""
        return len(self._inbox) > INBOX_ENTRIES

    # ---- owner only ----

    def dial(
        self,
        address: tuple[str, int],
        make_pipe: Callable[[], Pipe],
        make_handler: Callable[[Connection], ConnectionHandler],
        *,
        on_failure: Callable[[NetworkError], None],
        timeout_s: float,
        handshake_timeout_s: float,
        send_limit_bytes: int,
        local_port: int = 0,
    ) -> Dial:
        """Connect to a numeric ``address``; then go on as with an adopted socket. Owner only.

        Either ``make_pipe`` and ``make_handler`` are called, or ``on_failure``: later, on this
        thread, and neither once the dial is cancelled.

        :param timeout_s: for the connection; its handshake then has ``handshake_timeout_s``.
        :param local_port: the port to dial from; it may be one that a ``Listener`` shares. If the
            other side dials that port from the one dialled, at the same time, the two become one
            connection (simultaneous open, RFC 9293, section 3.5).
        """
        self.assert_owner()

        def connected(sock: socket.socket) -> None:
            self._begin(sock, make_pipe, make_handler, handshake_timeout_s, send_limit_bytes)

        dial = Dial(self, format_address(*address), connected, on_failure)
        if self._running:
            dial.start(address, local_port, timeout_s)
        else:
            dial.finish()
        return dial

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` on this thread after ``delay_s``. Owner only."""
        self.assert_owner()
        return self._timers.add(self.clock() + delay_s, callback)

    def mark_dirty(self, connection: Connection) -> None:
        """Flush ``connection`` at the end of this turn. Owner only."""
        self.assert_owner()
        if not connection.dirty:
            connection.dirty = True
            self._dirty.append(connection)

    def watch(self, owned: Connection | Dial, *, reading: bool, writing: bool) -> None:
        """Own ``owned``, and tell it when there is input, or room in its socket. Owner only."""
        self.assert_owner()
        events = reading * selectors.EVENT_READ | writing * selectors.EVENT_WRITE
        watched = owned in self._owned and owned in self._selector.get_map()
        self._owned.add(owned)
        if watched and events:
            self._selector.modify(owned, events, owned)
        elif watched:  # a selector does not take what waits for nothing
            self._selector.unregister(owned)
        elif events:
            self._selector.register(owned, events, owned)

    def forget(self, owned: Connection | Dial) -> None:
        """Own ``owned`` no longer. Owner only."""
        self.assert_owner()
        if owned in self._owned:
            self._owned.remove(owned)
            with contextlib.suppress(KeyError):  # it may wait for nothing
                self._selector.unregister(owned)

    def assert_owner(self) -> None:
        """Fail when called from another thread."""
        assert self._ident in (None, threading.get_ident()), f"{self.name}: foreign thread"

    def _begin(
        self,
        sock: socket.socket,
        make_pipe: Callable[[], Pipe],
        make_handler: Callable[[Connection], ConnectionHandler],
        handshake_timeout_s: float,
        send_limit_bytes: int,
    ) -> None:
        """Own a connected socket, and begin the handshake on it."""
        try:
            sock.setblocking(False)
            with contextlib.suppress(OSError):  # not TCP in some tests
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(
                self, sock, make_pipe(), make_handler, send_limit_bytes=send_limit_bytes
            )
            self.watch(connection, reading=connection.reading, writing=False)
        except Exception:
            sock.close()
            raise
        connection.start(handshake_timeout_s)

    def _put(self, entry: _Work | _Multicast) -> bool:
        with self._lock:
            if self._ended:
                return False
            self._inbox.append(entry)
            wake = not self._woken and self._ident != threading.get_ident()
            if wake:
                self._woken = True
        if wake:
            poster = getattr(_running, "thread", None)
            if poster is None:
                self._wake()
            else:
                # Once for all that its turn posts. Woken by the first line of many, this thread
                # would flush every member for that line, and then again for the rest.
                poster._to_wake.append(self)
        return True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyhow; closed: it has ended
            self._waker.send(b"\0")

    def _run(self) -> None:
        self._ident = threading.get_ident()
        _running.thread = self
        try:
            while self._running or self._owned:
                self._turn()
        finally:
            self._close_all()
            self._wake_others()

    def _turn(self) -> None:
        rounds = _READ_ROUNDS
        if any(thread.overloaded() for thread in self._neighbours):
            time.sleep(_OVERLOAD_NAP_S)  # to read is to post more
            rounds = 0
        else:
            self._read(0.0 if self._inbox or self._dirty else self._timers.next_in(self.clock()))
        self._empty_inbox()
        while rounds > 1 and len(self._dirty) >= _BUSY_CONNECTIONS and self._read(0.0):
            self._empty_inbox()
            rounds -= 1
        self._run_timers()
        self._wake_others()  # before the flushes: they take the longest
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
        self._wake_others()  # a full socket closes its connection, and others hear of it

    def _wake_others(self) -> None:
        for thread in self._to_wake:
            thread._wake()
        self._to_wake.clear()

    def _read(self, timeout_s: float | None) -> bool:
        """Wait for input, and take it; whether there was any."""
        ready = self._selector.select(timeout_s)
        for key, events in ready:
            owned: Connection | Dial | None = key.data
            if owned is None:
                with contextlib.suppress(BlockingIOError):
                    self._receiver.recv(4096)
                continue
            try:
                if events & selectors.EVENT_WRITE:
                    owned.writable()
                if events & selectors.EVENT_READ:
                    owned.readable()
            except Exception:  # noqa: BLE001 - a handler's bug ends its connection, not the rest
                _log.exception("a handler failed; its connection is closed")
                owned.drop(None)
        return bool(ready)

    def _run_timers(self) -> None:
        now = self.clock()
        try:
            self._timers.run(now)
        except Exception:  # noqa: BLE001 - as above; the others that are due run in the next turn
            _log.exception("a timer failed")

    def _empty_inbox(self) -> None:
        with self._lock:
            entries, self._inbox = self._inbox, []
            self._woken = False
        group: Collection[Connection] = ()
        skipped: Connection | None = None
        parts: list[bytes] = []
        for entry in entries:
            if isinstance(entry, tuple):
                recipients, data, skip = entry
                if recipients is not group or skip is not skipped:
                    self._deliver(group, skipped, parts)
                    group, skipped, parts = recipients, skip, []
                parts.append(data)
                continue
            self._deliver(group, skipped, parts)
            group, skipped, parts = (), None, []
            try:
                entry()
            except Exception:  # noqa: BLE001 - a caller's bug must not end the thread
                _log.exception("posted work failed")
        self._deliver(group, skipped, parts)

    def _deliver(
        self, group: Collection[Connection], skip: Connection | None, parts: list[bytes]
    ) -> None:
        if not parts:
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        dirty = self._dirty
        count = len(group)
        for connection in group:
            if connection is not skip:
                if not connection.dirty:  # queue() would see to it, by one more call for each
                    connection.dirty = True
                    dirty.append(connection)
                connection.queue(data)
            else:
                count -= 1
        self.traffic.deliveries += count * len(parts)
        self.traffic.sent_bytes += count * len(data)

    def _finish_all(self, timeout_s: float) -> None:
        self._running = False
        for owned in list(self._owned):
            owned.finish()
        self.call_later(timeout_s, self._drop_all)

    def _drop_all(self) -> None:
        for owned in list(self._owned):
            owned.drop(None)

    def _close_all(self) -> None:
        self._running = False
        with self._lock:
            self._ended = True
        try:
            self._empty_inbox()  # closes the sockets that were to be adopted
        finally:
            self._drop_all()
            self._selector.close()
            self._receiver.close()
            self._waker.close()
