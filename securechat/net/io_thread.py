"""A thread that owns many connections: their sockets, their TLS, their timers."""

from __future__ import annotations

import contextlib
import itertools
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from securechat.errors import NetworkError
from securechat.net.connection import Connection, ConnectionHandler
from securechat.net.dialer import Dial
from securechat.net.listener import format_address
from securechat.net.locks import make_lock
from securechat.net.pipe import Pipe
from securechat.net.threads import Thread, start_thread
from securechat.net.timers import Clock, Timer, Timers
from securechat.net.tls_pipe import TlsBuffers
from securechat.net.traffic import Traffic

__all__ = ["INBOX_ENTRIES", "IoThread", "waking_once"]

_log = logging.getLogger(__name__)

ARRIVALS: Final = 8
"""How often those who arrive are served in one turn: what all who come back at once ask for takes
many seconds, and those who are in must not wait for it. It is some 5 ms of work: little beside
what people notice, much beside what a turn costs. Counted and not timed, so that a busy machine
does not come to have turns only."""

ARRIVALS_FLUSH_S: Final = 0.015
"""How often all are flushed, while more arrive than a turn has time for, in seconds. They hear of
each other above all: fifty times as one joins a room of fifty."""

ADOPTED: Final = 64
"""Connections that wait to be begun, beyond which new ones had better wait in the kernel: there
they take no memory of ours, and who accepts them takes no time from who serves."""

LATER_S: Final = 0.000_5
"""How much of a turn is for what may be done later, in seconds: all who ask for much together, so
that those who ask for little hardly wait for them, however many they are."""

_FLUSH_S: Final = 0.000_03
"""What one more connection to flush takes at the most, in seconds. For as long as the flush may
take, more is done of what may be done later: what then goes out in one piece costs the less."""

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
_Groups = Sequence[Collection[Connection]]
_Multicast = tuple[_Groups, Sequence[bytes], Connection | None]
"""To each group a piece, but not to one connection."""


_posting = threading.local()
"""``wakes``: the threads that this one is to wake later, if there is such a time."""


@contextlib.contextmanager
def waking_once() -> Iterator[None]:
    """Wake the threads that are posted to inside once each, at the end.

    For a thread that is none of them, and posts much at a time.
    """
    wakes = _posting.wakes = []
    try:
        yield
    finally:
        del _posting.wakes
        for thread in wakes:
            thread._wake()


class IoThread:
    """Owns connections, and dials. ``send``, ``post``, ``adopt`` and ``begin_stop`` are safe from
    any thread and do not block; they do nothing once the thread has ended.

    All work for the connections comes through one inbox, so it is done in the order in which it was
    posted. Each turn of the loop: read what has come (handlers run here), empty the inbox, run the
    timers, then flush every connection that has something to say — once, so that all lines of a
    turn are joined, encrypted as one record and sent by one call. To flush many takes longer than
    to read: before that, what has come meanwhile is read too, a few times. ``traffic`` has what has
    passed.

    Connections that *arrive* (see ``Connection.arriving``), and those adopted and not begun, are
    served ``ARRIVALS`` times in each turn. Who has waited the longest is first; of what is new, one
    is begun beside them, and more only as they leave time.

    What may be done *later* has ``LATER_S`` of each turn, and at least one piece of it is done.

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
        self.tls_buffers = TlsBuffers()  # for the pipes of its connections
        self._on_crash = on_crash
        self._lock = make_lock(f"{name} inbox", tier=1)  # guards _inbox, _adopted, _woken, _ended
        self._inbox: list[_Work | _Multicast] = []
        self._adopted: deque[_Work] = deque()  # each begins a connection
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
        self._later: deque[_Work] = deque()
        self._services = itertools.count(1)  # of those who arrive
        self._behind = False  # more arrive than this turn had time for
        self._flush_at = 0.0  # not before, while that is so
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
        else:
            self._close_all()

    # ---- safe from any thread ----

    def post(self, work: _Work) -> None:
        """Call ``work`` on the thread, after all that was posted before."""
        self._put(work)

    def send(
        self, groups: _Groups, pieces: Sequence[bytes], skip: Connection | None = None
    ) -> None:
        """Queue for all connections of a group the piece that has its place, but not for ``skip``.

        This thread owns them; none is in two groups. An empty piece is not sent. ``groups`` must
        not change afterwards: consecutive calls with the same object are joined, group by group,
        before they are handed on, so a caller does well to keep it. ``traffic`` counts each piece
        as a delivery to each recipient.
        """
        self._put((groups, pieces, skip))

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

        if not self._put(begin, self._adopted):
            sock.close()

    def overloaded(self) -> bool:
        """Whether the inbox is so full that nobody should add to it in bulk."""
        return len(self._inbox) > INBOX_ENTRIES

    def crowded(self) -> bool:
        """Whether so many connections wait to be begun that nobody should have it adopt more."""
        return len(self._adopted) >= ADOPTED

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

    def later(self, work: _Work) -> None:
        """Call ``work`` when those have had their turn who asked for it before. Owner only.

        It is for long work in pieces of a fraction of ``LATER_S``, each of which puts off the next:
        in between, what has come meanwhile is read, and what was queued is sent.
        """
        self.assert_owner()
        self._later.append(work)

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
            connection.served = next(self._services)
            self.watch(connection, reading=connection.reading, writing=False)
        except Exception:
            sock.close()
            raise
        connection.start(handshake_timeout_s)

    def _put(self, entry: Any, where: deque[_Work] | None = None) -> bool:
        with self._lock:
            if self._ended:
                return False
            (self._inbox if where is None else where).append(entry)
            wake = not self._woken and self._ident != threading.get_ident()
            if wake:
                self._woken = True
        if wake:
            wakes: list[IoThread] | None = getattr(_posting, "wakes", None)
            if wakes is None:
                self._wake()
            else:
                # Once for all that is posted together. Woken by the first line of many, this thread
                # would flush every member for that line, and then again for the rest.
                wakes.append(self)
        return True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyhow; closed: it has ended
            self._waker.send(b"\0")

    def _run(self) -> None:
        self._ident = threading.get_ident()
        _posting.wakes = self._to_wake
        try:
            while self._running or self._owned:
                self._turn()
        finally:
            self._close_all()
            self._wake_others()

    def _turn(self) -> None:
        rounds = _READ_ROUNDS
        self._behind = False
        if any(thread.overloaded() for thread in self._neighbours):
            time.sleep(_OVERLOAD_NAP_S)  # to read is to post more
            rounds = 0
        else:
            busy = self._inbox or self._adopted or self._later or self._dirty
            self._read(0.0 if busy else self._timers.next_in(self.clock()))
        self._empty_inbox()
        self._run_timers()
        if self._later:
            self._do_later()
            self._empty_inbox()
        while rounds > 1 and len(self._dirty) >= _BUSY_CONNECTIONS and not self._behind:
            if not self._read(0.0):
                break
            self._empty_inbox()
            rounds -= 1
        self._wake_others()  # before the flushes: they take the longest
        if not self._behind or self.clock() >= self._flush_at:
            self._flush()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
        self._flush_at = self.clock() + ARRIVALS_FLUSH_S
        self._wake_others()  # a full socket closes its connection, and others hear of it

    def _wake_others(self) -> None:
        for thread in self._to_wake:
            thread._wake()
        self._to_wake.clear()

    def _read(self, timeout_s: float | None) -> bool:
        """Wait for input, and take it; whether any was taken."""
        arrivals: list[tuple[Connection, int]] = []
        ready = self._selector.select(timeout_s)
        for key, events in ready:
            owned: Connection | Dial | None = key.data
            if owned is None:
                with contextlib.suppress(BlockingIOError):
                    self._receiver.recv(4096)
            elif isinstance(owned, Connection) and owned.arriving:
                arrivals.append((owned, events))
            else:
                self._tell(owned, events)
        self._serve_arrivals(arrivals)
        return bool(ready)

    def _serve_arrivals(self, arrivals: list[tuple[Connection, int]]) -> None:
        """Serve those who have waited the longest; the selector tells of the others again."""
        if len(arrivals) > ARRIVALS:
            arrivals.sort(key=lambda arrival: arrival[0].served)
            self._behind = True
        for connection, events in arrivals[:ARRIVALS]:
            connection.served = next(self._services)
            self._tell(connection, events)
        # One at least: who never ceases to ask must not keep out all others.
        for _ in range(max(1, ARRIVALS - len(arrivals))):
            if not self._adopted:
                return
            self._call(self._adopted.popleft(), "posted work")
        self._behind = self._behind or bool(self._adopted)

    def _tell(self, owned: Connection | Dial, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                owned.writable()
            if events & selectors.EVENT_READ:
                owned.readable()
        except Exception:  # noqa: BLE001 - a handler's bug ends its connection, not the rest
            _log.exception("a handler failed; its connection is closed")
            owned.drop(None)

    def _do_later(self) -> None:
        until = self.clock() + max(LATER_S, len(self._dirty) * _FLUSH_S)
        while self._later:
            self._call(self._later.popleft(), "work that was put off")
            if self.clock() >= until:
                return

    def _call(self, work: _Work, what: str) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - a caller's bug must not end the thread
            _log.exception("%s failed", what)

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
        groups: _Groups = ()
        skipped: Connection | None = None
        sent: list[Sequence[bytes]] = []  # to these groups
        for entry in entries:
            if isinstance(entry, tuple):
                to, pieces, skip = entry
                if to is not groups or skip is not skipped:
                    self._deliver(groups, skipped, sent)
                    groups, skipped, sent = to, skip, []
                sent.append(pieces)
                continue
            self._deliver(groups, skipped, sent)
            groups, skipped, sent = (), None, []
            self._call(entry, "posted work")
        self._deliver(groups, skipped, sent)

    def _deliver(
        self, groups: _Groups, skip: Connection | None, sent: Sequence[Sequence[bytes]]
    ) -> None:
        if not sent:
            return
        for group, pieces in zip(groups, zip(*sent, strict=True), strict=True):
            parts = [piece for piece in pieces if piece]
            if parts:
                self._queue(group, skip, parts)

    def _queue(
        self, group: Collection[Connection], skip: Connection | None, parts: list[bytes]
    ) -> None:
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
            self._later.clear()
            while self._adopted:
                self._adopted.popleft()()  # closes the socket
            self._empty_inbox()
        finally:
            self._drop_all()
            self._selector.close()
            self._receiver.close()
            self._waker.close()
