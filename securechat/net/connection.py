"""One socket, its TLS, its handler, and what waits to be sent."""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from securechat.errors import ConnectionLost, NetworkError, TlsError
from securechat.net.pipe import Pipe
from securechat.net.timers import Timer
from securechat.net.traffic import HandshakeFailure

if TYPE_CHECKING:
    from securechat.net.io_thread import IoThread

__all__ = ["BULK_RECEIVE_BYTES", "RECEIVE_BYTES", "Connection", "ConnectionHandler", "Encoder"]

_log = logging.getLogger(__name__)

RECEIVE_BYTES: Final = 65_536
"""Most ciphertext read from one socket in one turn: four full records; then the others' turn."""

BULK_RECEIVE_BYTES: Final = 131_072
"""The same where files come, eight records: a turn costs something, however much it reads. More is
not faster, as it does not stay in the processor's cache until it is decrypted."""

_ENCRYPT_BYTES: Final = 262_144
"""Most plaintext encrypted before the socket is tried: more would wait in memory as ciphertext."""

LINGER_S: Final = 2.0
"""How long a closed connection waits for the other side to close too, in seconds. Closing a socket
with unread input resets it, and the last line (an ERROR with the reason) would be lost."""


_Address = tuple[str, int]
_NO_ADDRESS: Final[_Address] = ("", 0)
_IP_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class ConnectionHandler(Protocol):
    """Who is told what happens on a connection. All calls come on its I/O thread, one at a time."""

    def opened(self) -> None:
        """Take note: the handshake is done; data may come and go."""

    def received(self, data: bytes) -> None:
        """Take the next bytes of the stream, never empty."""

    def closed(self, error: NetworkError | None) -> None:
        """Take note: it is over. Called exactly once, also when ``opened`` never was.

        ``error`` is ``None`` when we closed it or the other side did so in good order.
        """


class Encoder(Protocol):
    """What puts queued data into another form, last thing before it is encrypted.

    So that the same bytes can be queued for many connections, of which some speak a protocol with
    frames. All calls come on the connection's I/O thread.
    """

    def encode(self, data: bytes) -> bytes:
        """Return the form in which ``data`` is sent. It is what was queued, cut anywhere."""

    def finish(self) -> bytes:
        """Return what is sent last, before TLS says that no more will come. Called once."""


class _Nobody:
    def opened(self) -> None: ...

    def received(self, data: bytes) -> None: ...

    def closed(self, error: NetworkError | None) -> None: ...


_NOBODY: Final = _Nobody()


class _State(enum.Enum):
    OPEN = enum.auto()
    CLOSING = enum.auto()  # no more input counts; what is queued still goes out
    HALF_CLOSED = enum.auto()  # the last is encrypted; once sent, the other side shall close too
    GONE = enum.auto()


class Connection:
    """One TLS connection. Owned by its I/O thread; ``send`` and ``close`` are safe from any thread.

    Nothing blocks: what cannot be sent yet waits, up to ``send_limit_bytes``; beyond that the
    connection is closed, and only it.
    """

    __slots__ = (
        "_addresses",
        "_deadline",
        "_handler",
        "_pipe",
        "_queue",
        "_queued_bytes",
        "_sent",
        "_socket",
        "_state",
        "_unsent",
        "arriving",
        "dirty",
        "encoder",
        "reading",
        "receive_bytes",
        "send_limit_bytes",
        "served",
        "thread",
        "writing",
    )

    def __init__(
        self,
        thread: IoThread,
        sock: socket.socket,
        pipe: Pipe,
        make_handler: Callable[[Connection], ConnectionHandler],
        *,
        send_limit_bytes: int,
    ) -> None:
        self.thread = thread
        # In its handshake, or for as long as the handler says: it has only a part of each turn.
        self.arriving = True
        self.served = 0  # when it was last, for as long as it arrives: a number of the thread's
        self.dirty = False  # listed by the thread for the flush at the end of the turn
        self.reading = True  # the selector watches for input
        self.writing = False  # the selector watches for room in the socket
        self.encoder: Encoder | None = None  # set by the handler, when it is made
        self.receive_bytes = RECEIVE_BYTES  # most that is read at once; a handler may change it
        self.send_limit_bytes = send_limit_bytes  # a handler may change it
        self._socket = sock
        self._pipe = pipe
        self._addresses: tuple[_Address, _Address] | None = None  # ours and theirs, once asked for
        self._queue: list[bytes | memoryview] = []
        self._queued_bytes = 0
        self._unsent: bytes | memoryview | None = None
        self._sent: Callable[[], None] | None = None  # to be called when all is sent
        self._deadline: Timer | None = None
        self._state = _State.OPEN
        self._handler: ConnectionHandler = _NOBODY  # again when the real one knows that it is over
        self._handler = make_handler(self)

    # ---- safe from any thread ----

    def send(self, data: bytes) -> None:
        """Queue ``data``. Dropped when the connection is closed."""
        self.thread.post(partial(self._queue_alone, data))

    def close(self) -> None:
        """Send what is queued, then close. The handler hears ``closed(None)``."""
        self.thread.post(self.finish)

    def when_sent(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the thread, once, when all is sent that is queued; one at a time.

        It is among what the thread may do *later*: others have their turn first.

        So who has much to send can make it piece by piece, and nothing waits in memory for a
        client that reads slowly. Never called when the connection closes first.
        """

        def wait() -> None:
            if self._state is _State.OPEN:
                self._sent = callback
                self.thread.mark_dirty(self)

        self.thread.post(wait)

    @property
    def queued_bytes(self) -> int:
        """What waits to be taken by the socket, as it was a moment ago."""
        return self._queued_bytes + len(self._unsent or b"")

    # ---- owner only ----

    @property
    def pipe(self) -> Pipe:
        """The TLS state: version, cipher, certificate. Owner only."""
        return self._pipe

    @property
    def unsent_bytes(self) -> int:
        """What is queued, or encrypted, and not yet taken by the socket. Owner only."""
        return self.queued_bytes + self._pipe.waiting_bytes

    @property
    def local_address(self) -> tuple[str, int]:
        """Our IP address and port; ``("", 0)`` if this is not TCP, or over. Owner only."""
        return self._find_addresses()[0]

    @property
    def peer_address(self) -> tuple[str, int]:
        """The other side's IP address and port; ``("", 0)`` as above. Owner only."""
        return self._find_addresses()[1]

    @property
    def peer_port(self) -> int:
        """The port that the other side comes from, 0 as above. Owner only."""
        return self.peer_address[1]

    def hand_to(self, handler: ConnectionHandler) -> None:
        """Tell ``handler`` from now on, in place of the one before; also while that is being told.

        Nobody is told of an end twice: when it is over already, ``handler`` hears nothing.
        """
        self.thread.assert_owner()
        if self._state is _State.OPEN:
            self._handler = handler

    def pause_reading(self) -> None:
        """Read no more from the socket until ``resume_reading``; the other side soon must wait.

        What has been read is handed on still: in ``opened``, what came with the handshake. That the
        other side has gone is noticed only by reading, or by sending. Closing ends the pause.
        """
        self.thread.assert_owner()
        if self.reading and self._state is _State.OPEN:
            self._watch(reading=False, writing=self.writing)

    def resume_reading(self) -> None:
        """Read again."""
        self.thread.assert_owner()
        if not self.reading and self._state is not _State.GONE:
            self._watch(reading=True, writing=self.writing)
            if self._pipe.eof:  # it came with the last that was read
                self.close()

    def start(self, handshake_timeout_s: float) -> None:
        """Begin the handshake, which must be done in time."""
        self.thread.assert_owner()
        self._deadline = self.thread.call_later(handshake_timeout_s, self._handshake_late)
        try:
            self._pipe.start()
        except TlsError as error:
            self._fail(error)
            return
        self.thread.mark_dirty(self)

    def queue(self, data: bytes) -> None:
        """Append to what goes out at the end of the turn; nothing once it is closing."""
        if self._state is _State.OPEN:
            if not self.dirty:
                self.thread.mark_dirty(self)
            self._queue.append(data)
            self._queued_bytes += len(data)

    def readable(self) -> None:
        """Read once, decrypt, hand on."""
        self.thread.assert_owner()
        if not self.reading:  # paused by another connection of this turn
            return
        try:
            data = self._socket.recv(self.receive_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self.drop(ConnectionLost(error.strerror or str(error)))
            return
        if self._state is not _State.OPEN:  # only waiting for the end; see LINGER_S
            if not data:
                self.drop(None)
            return
        if not data:
            early = not self._pipe.handshake_done
            self.drop(
                ConnectionLost("connection closed during the TLS handshake") if early else None
            )
            return
        shaking_hands = not self._pipe.handshake_done
        try:
            plain = self._pipe.receive(data)
        except TlsError as error:
            self._fail(error)
            return
        if self._pipe.waiting_bytes:  # also after the handshake: an answer to a change of keys
            self.thread.mark_dirty(self)
        if shaking_hands:
            if not self._pipe.handshake_done:
                return
            self._cancel_deadline()
            self.arriving = False
            self._handler.opened()
        if plain and self._state is _State.OPEN:
            self.thread.traffic.received_bytes += len(plain)
            self._handler.received(plain)
        if self._pipe.eof and self.reading:
            self.close()  # not at once: what the handler has answered is in the inbox

    def writable(self) -> None:
        """Go on sending at the end of the turn."""
        self.thread.mark_dirty(self)

    def flush(self) -> None:
        """Encrypt what is queued as one piece and send it; keep what the socket does not take."""
        self.thread.assert_owner()
        self.dirty = False
        if self._state is _State.GONE:
            return
        try:
            if self._send_waiting():
                if self._sent is not None:
                    self._tell_sent()
                return
        except BlockingIOError:
            blocked = True
        except TlsError as error:
            self.drop(error)
            return
        except OSError as error:
            self._read_rest()
            self.drop(ConnectionLost(error.strerror or str(error)))
            return
        else:
            blocked = False
        # Not all is gone: the socket is full, or the handshake must be done first.
        if self.unsent_bytes > self.send_limit_bytes:
            self.thread.traffic.overflows += 1
            self.drop(NetworkError("SendQ exceeded"))
            return
        if self.writing is not blocked:
            self._watch(reading=self.reading, writing=blocked)
        if self._sent is not None and not blocked:
            self._tell_sent()
        if self._state is _State.HALF_CLOSED and not blocked:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self.drop(None)

    def finish(self) -> None:
        """Send what is queued, say goodbye, and wait a little for the other side to close."""
        self.thread.assert_owner()
        if self._state is _State.OPEN:
            self._end(None)

    def drop(self, error: NetworkError | None) -> None:
        """Close at once; what is queued is lost."""
        self.thread.assert_owner()
        self._state = _State.GONE
        self._sent = None
        self._cancel_deadline()
        self._queue.clear()
        self._queued_bytes = 0
        self._unsent = None
        self.thread.forget(self)
        self._socket.close()
        self._tell(error)

    def fileno(self) -> int:
        """Return the descriptor of the socket, -1 when it is closed."""
        return self._socket.fileno()

    def _find_addresses(self) -> tuple[_Address, _Address]:
        self.thread.assert_owner()
        if self._addresses is None:
            ours = theirs = _NO_ADDRESS
            if self._socket.family in _IP_FAMILIES:
                with contextlib.suppress(OSError):  # over
                    ours, theirs = self._socket.getsockname(), self._socket.getpeername()
            self._addresses = ours[:2], theirs[:2]
        return self._addresses

    def _queue_alone(self, data: bytes) -> None:
        self.thread.traffic.sent_bytes += len(data)
        self.queue(data)

    def _watch(self, *, reading: bool, writing: bool) -> None:
        self.reading = reading
        self.writing = writing
        self.thread.watch(self, reading=reading, writing=writing)

    def _send_waiting(self) -> bool:
        """Send until nothing is left that can be; whether that is all, and nothing else to do."""
        while True:
            data = self._unsent
            if data is None:
                if self._queue and self._pipe.handshake_done:
                    if not self._encrypt():
                        continue
                elif self._state is _State.CLOSING:
                    self._state = _State.HALF_CLOSED
                    self._say_goodbye()
                data = self._unsent = self._pipe.take()
                if not data:
                    self._unsent = None
                    return False
            sent = self._socket.send(data)
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                continue
            self._unsent = None
            if not self._queue and not self.writing and self._state is _State.OPEN:
                return True

    def _encrypt(self) -> bool:
        """Encrypt what is queued, up to a limit; whether there was anything to encrypt."""
        queue = self._queue
        if self._queued_bytes > _ENCRYPT_BYTES:
            data = self._take_part()
        else:
            data = queue[0] if len(queue) == 1 else b"".join(queue)
            queue.clear()
            self._queued_bytes = 0
        if self.encoder is not None:
            data = self.encoder.encode(bytes(data))
            if not data:
                return False
        self._pipe.send(data)
        return True

    def _take_part(self) -> bytes | memoryview:
        """Take what is encrypted next off a long queue, which is not joined over and over."""
        count = size = 0
        while size < _ENCRYPT_BYTES:
            size += len(self._queue[count])
            count += 1
        data = self._queue[0] if count == 1 else b"".join(self._queue[:count])
        del self._queue[:count]
        if len(data) > 2 * _ENCRYPT_BYTES:  # a single large piece
            view = memoryview(data)
            self._queue.insert(0, view[_ENCRYPT_BYTES:])
            data = view[:_ENCRYPT_BYTES]
        self._queued_bytes -= len(data)
        return data

    def _say_goodbye(self) -> None:
        if self.encoder is not None and self._pipe.handshake_done:
            last = self.encoder.finish()
            if last:
                self._pipe.send(last)
        self._pipe.close()

    def _tell_sent(self) -> None:
        callback, self._sent = self._sent, None
        if callback is not None and self._state is _State.OPEN:
            self.thread.later(callback)

    def _read_rest(self) -> None:
        """Hand on what the other side said before it was gone: maybe why it went."""
        with contextlib.suppress(OSError, TlsError):
            data = self._socket.recv(RECEIVE_BYTES)
            if not data or not self._pipe.handshake_done or self._state is not _State.OPEN:
                return
            if plain := self._pipe.receive(data):
                self._hand_on(plain)

    def _hand_on(self, plain: bytes) -> None:
        try:
            self._handler.received(plain)
        except Exception:  # noqa: BLE001 - a handler's bug must not end the thread
            _log.exception("a handler failed; its connection is closed")

    def _fail(self, error: TlsError) -> None:
        # Nothing more can be encrypted, but the alert shall arrive that says why; see LINGER_S.
        self._queue.clear()
        self._queued_bytes = 0
        self.encoder = None
        self._end(error)

    def _end(self, error: TlsError | None) -> None:
        self._state = _State.CLOSING
        self._cancel_deadline()
        self._deadline = self.thread.call_later(LINGER_S, lambda: self.drop(None))
        self.resume_reading()  # or we would not see the other side close
        self._tell(error)
        self.thread.mark_dirty(self)

    def _handshake_late(self) -> None:
        self.drop(TlsError("the TLS handshake took too long"))

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _tell(self, error: NetworkError | None) -> None:
        # A handler knows its connection. Were that mutual, what TLS keeps of the two would stay
        # until the collector comes, which does not see how much it is.
        handler, self._handler = self._handler, _NOBODY
        if error is not None and handler is not _NOBODY and not self._pipe.handshake_done:
            self.thread.traffic.handshake_failures[HandshakeFailure.of(error)] += 1
        try:
            handler.closed(error)
        except Exception:  # noqa: BLE001 - a handler's bug must not leave the socket half done
            _log.exception("a handler failed when its connection closed")
