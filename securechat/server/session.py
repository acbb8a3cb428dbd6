"""One connection of one device, from the handshake to the end."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.errors import NetworkError
from securechat.irc.framing import LineBuffer, Overlong
from securechat.irc.message import BODY_BYTES, Message
from securechat.net.connection import Connection
from securechat.net.limits import TokenBucket
from securechat.net.timers import Timer
from securechat.server.admission import Seat
from securechat.server.certificate import ServedCertificate
from securechat.server.client_batch import ClientBatch
from securechat.server.cloak import cloak
from securechat.server.context import Context, end_line
from securechat.server.dispatch import dispatch, run
from securechat.server.events import Detach
from securechat.server.registration import Registration, SaslExchange
from securechat.server.state import session_label
from securechat.server.telemetry.counters import Mishap

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["Session"]

_log = logging.getLogger(__name__)

BATCHED_LINE_COST: Final = 1 / 8
"""What a line of an open batch takes of the token bucket, in commands: a message of 32 lines is
work for the relay as four are, and people who send one must not wait for it."""

SPELL_S: Final = 0.000_25
"""How long a session's lines are handled at a time, in seconds, after which the thread may go on
with them *later*. An ordinary command takes a tenth of it."""

ANSWER_BYTES: Final = 65_536
"""Answers to one session in one turn of its thread, in bytes, after which the others have theirs:
forty lines can ask for megabytes, and what is not sent must count before more is made."""


UNSTORED_ANSWERS: Final = 512
"""Answers of one session that may wait for the store, after which its input waits too: half a
megabyte at the worst, and thousands of messages a second on the slowest disk."""

STORE_PATIENCE_S: Final = 5.0
"""How long anything but an acknowledgement waits for acknowledgements, in seconds. A store that is
away must keep nobody from the rest of the chat, nor let a client that hears no PONG take the relay
for dead."""


class _Answer(NamedTuple):
    """The answers to a command, which wait until something is stored."""

    ticket: int
    data: bytes
    context: Context


SYNCS_PER_S: Final = 0.25
SYNC_BURST: Final = 8
"""METADATA SYNC of one session: as many at once, and then so many each second. One may take as long
as a thousand messages."""

SIGNALS_PER_S: Final = 0.5
SIGNAL_BURST: Final = 10
"""Signals of one session to peers that make others work (OFFER), or the disk (ANNOUNCE) or the
tunnels (TUNNEL): as many at once, and then so many each second. A person needs fewer."""


def _size(line: bytes | Overlong) -> int:
    """Return what a line counts in the queue, in bytes."""
    return BODY_BYTES + len(line.tag_data) if isinstance(line, Overlong) else len(line)


def _take(bucket: TokenBucket, now: float) -> int:
    """Take a token; return in how many seconds there is one, 0 if there was."""
    return 0 if bucket.take(now) else math.ceil(bucket.wait_s())


class Session:
    """A device attached to the relay; the handler of its connection.

    Owned by its I/O thread. ``caps``, ``account``, ``sasl``, ``registration`` and ``batch`` are
    guarded by the network lock: other sessions' commands look at them.

    Lines wait in a queue while the session is *held* (a command of it waits for a login, say) or
    has used up its token bucket; a queue over its limit is a flood and ends the session.

    *Acknowledgements* of messages wait for the store (see ``history``), and the session goes on
    with its next messages meanwhile: their answers queue behind. Any other command waits until all
    are out. Its answers tell of the state as it is then, and what others do next must not
    overtake them. After ``STORE_PATIENCE_S`` the acknowledgements are *late*: until they are out,
    all the rest is done and answered without them.
    """

    __slots__ = (
        "_after_stored",
        "_answered_bytes",
        "_batches",
        "_bucket",
        "_closed",
        "_detaching",
        "_expected",
        "_going_on",
        "_heard",
        "_input",
        "_input_bytes",
        "_late",
        "_leaving",
        "_lines",
        "_lost",
        "_patience",
        "_pinged",
        "_seat",
        "_seen",
        "_services",
        "_signals",
        "_stored",
        "_syncs",
        "_throttle",
        "_timer",
        "_unstored",
        "account",
        "awaited",
        "batch",
        "cap_version",
        "caps",
        "certificate",
        "connection",
        "dropped_batch",
        "failed_logins",
        "gateway",
        "held",
        "host",
        "id",
        "registration",
        "sasl",
        "secure",
        "served",
        "server_name",
        "tls",
    )

    def __init__(
        self,
        services: Services,
        connection: Connection,
        *,
        seat: Seat,
        certificate: ServedCertificate,
    ) -> None:
        """Begin with the connection, which was shown ``certificate``. With a refusal in ``seat``
        the client is only told that; the session leaves the seat when it is over.
        """
        self._services = services
        self._seat = seat
        self.connection = connection
        self.served = certificate
        self.host = cloak(services.cloak_secret, seat.address)
        self.id = services.registry.new_id()
        self._syncs: TokenBucket | None = None  # of METADATA
        self._signals: TokenBucket | None = None  # of PEER
        self.registration = Registration()
        self.caps = 0
        self.cap_version = 301
        self.account: str | None = None
        self.certificate: bytes | None = None
        self.tls = ""
        self.gateway = ""  # the web gateway that connects for the client (WEBIRC)
        self.secure = True  # TLS all the way to the client
        self.server_name = ""  # the host that the client has asked for
        self.sasl: SaslExchange | None = None
        self.batch: ClientBatch | None = None
        self.dropped_batch = ""  # the reference of one that has failed, while it goes on
        self.failed_logins = 0
        self.held = False
        self.awaited = 0  # events that its contexts wait for
        self._detaching: str | None = None  # why it has ended, until all of these are back
        self._expected = 0  # how often answers were, or will be, posted to its thread
        self._heard = 0  # how many of these have come
        now = services.clock()
        limits = services.config.limits
        self._lines = LineBuffer()
        # The next line last. Mostly empty: a list, where a deque would take 600 bytes for nothing.
        self._input: list[bytes | Overlong] = []
        self._input_bytes = 0
        self._bucket = TokenBucket(limits.commands_per_s, limits.command_burst, now)
        self._seen = now
        self._pinged = False
        self._closed = False
        self._leaving: tuple[str, str] | None = None  # the reason, and what the log has of it
        self._answered_bytes = 0
        self._going_on = False  # when others have had their turn, or all is sent
        self._timer: Timer | None = None
        self._throttle: Timer | None = None
        self._batches = 0
        self._unstored: list[_Answer] = []
        self._late = False  # nothing else waits for these any more
        self._patience: Timer | None = None  # until that
        self._stored = 0  # the last ticket that it has been told of
        self._lost = (1, 0)  # the tickets that it was last told are lost
        self._after_stored: tuple[Context, Callable[[], None]] | None = None
        services.registry.add(self)

    # ---- what the connection tells ----

    def opened(self) -> None:
        """Begin to wait for the registration."""
        pipe = self.connection.pipe
        self.certificate = pipe.peer_certificate
        self.server_name = pipe.server_name
        self.tls = f"{pipe.version}, {pipe.cipher}"
        _log.info("connect %s from %s (%s)", self.label, self.address, self.tls)
        if self._seat.refusal:
            self.close(self._seat.refusal)
            return
        self.connection.arriving = True  # still: what it asks for next is as much work
        limits = self._services.config.limits
        self._set_timer(limits.registration_timeout_s, self._registration_late)

    def received(self, data: bytes) -> None:
        """Cut the bytes into lines and handle as many as may be handled now."""
        self._seen = self._services.clock()
        self._pinged = False
        lines = self._lines.feed(data)
        self.connection.thread.traffic.received_messages += len(lines)
        self._input[:0] = reversed(lines)
        self._input_bytes += sum(map(_size, lines))
        self._handle_lines()
        self._check_flood()

    def closed(self, error: NetworkError | None) -> None:
        """Leave the network."""
        if self._closed:
            return
        if self._leaving is not None:
            self._end(*self._leaving)
        else:
            self._end(str(error) if error is not None else "Connection closed")

    def give_way(self) -> Seat:
        """Be no session after all, without a word, before the connection has opened.

        Return the seat, which is now for another to leave.
        """
        self._closed = True
        self._services.registry.remove(self)
        return self._seat

    # ---- for handlers ----

    @property
    def address(self) -> str:
        """Where the client is: an IP address, for the log, limits and operators."""
        return self._seat.address

    @property
    def channel_binding(self) -> bytes | None:
        """What a login can be bound to: the certificate that the client sees, if it is ours."""
        return self.served.binding if not self.gateway else None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the client's certificate in lower-case hex, empty without one."""
        return hashlib.sha256(self.certificate).hexdigest() if self.certificate else ""

    def come_through(self, gateway: str, address: str, *, secure: bool) -> str:
        """Stand for somebody at ``address`` from now on, for whom the gateway has connected.

        Return why there may be no further connection from there, empty if there may. What TLS says
        of the gateway is not said of the client.
        """
        self.gateway = gateway
        self.secure = secure
        self.certificate = None
        self.server_name = ""
        self._seat.move(address)
        self.host = cloak(self._services.cloak_secret, address)
        return self._seat.refusal

    @property
    def label(self) -> str:
        """What the log calls the session: by its relay too, where there are several."""
        return f"#{session_label(self.id)}"

    def close(self, reason: str, logged: str = "") -> None:
        """Tell the client why, and end the session. Not under the network lock.

        The log has ``logged`` in place of a reason that holds words of the client.
        """
        if not self._closed:
            self.connection.send(end_line("", f"ERROR :Closing link: {reason}"))
            self._end(reason, logged)
            self.connection.close()

    def close_soon(self, reason: str, logged: str = "") -> None:
        """Handle no further line, and ``close``. Safe under the network lock."""
        self.held = True
        self._leaving = reason, logged  # also if the client is faster and closes first
        self.connection.thread.post(lambda: self.close(reason, logged))

    def notice(self, text: str) -> None:
        """Tell the client something in words, from the relay. Safe from any thread."""
        name = self._services.name
        self.connection.send(end_line("", Message("NOTICE", ("*", text), source=name).to_line()))

    def dismiss(self, reason: str) -> None:
        """Tell the client that the relay stops. Nobody is told of it who is told the same."""
        if not self._closed:
            self.connection.send(end_line("", f"ERROR :Closing link: {reason}"))
            self._let_go(reason)
            self.connection.close()

    def dismiss_soon(self, reason: str) -> None:
        """Handle no further line, and ``dismiss``. Under the network lock; safe from any thread."""
        self.held = True
        self._leaving = reason, reason
        self.connection.thread.post(lambda: self.dismiss(reason))

    def registered(self) -> None:
        """Take note that the registration is complete: from now on silence is answered by PING."""
        self.registration.complete = True
        self.connection.thread.post(self._has_registered)

    def _has_registered(self) -> None:
        self.connection.arriving = False
        if not self._closed:
            self._set_timer(self._services.config.limits.ping_interval_s, self._check_alive)

    @property
    def ended(self) -> bool:
        """Whether the session is over, or about to be: it is or will be not on the network."""
        return self._closed or self._leaving is not None

    def resume(self, context: Context, work: Callable[[], None], *, anyway: bool) -> None:
        """Go on with a held command, then with the lines that have come meanwhile."""
        if self._closed and not anyway:
            return

        def go_on() -> None:
            if anyway or not self.ended:  # another's command may have ended it
                work()
            else:
                context.label = ""  # or it would be acknowledged

        context.held = False
        self._let_go_on()
        run(context, go_on)
        self._handle_lines()

    def await_event(self) -> None:
        """Handle no further line until an event has come back. Under the network lock."""
        self.awaited += 1
        self.expect_answers()

    def expect_answers(self) -> None:
        """Handle no further line until answers have come by ``events_are_back``.

        Under the network lock.
        """
        self._expected += 1
        self.held = True

    def event_is_back(self) -> None:
        """Await an event less. Under the network lock; safe from any thread."""
        self.awaited -= 1
        if not self.awaited and self._detaching is not None:
            reason, self._detaching = self._detaching, None
            self._detach(Context(self._services, self, Message("QUIT")), reason)

    def events_are_back(self, answers: bytes, notes: Iterable[str], context: Context) -> None:
        """Send what an event of ``context`` was answered; go on if nothing else is to come."""
        self._heard += 1
        context.has_arrived()
        for note in notes:
            _log.info("%s %s", self.label, note)
        if self._closed:
            return
        if answers:
            self.answer(answers, context)
        if not context.held:
            self._let_go_on()
            self._handle_lines()

    def go_on_later(self, context: Context, work: Callable[[], None]) -> None:
        """Do ``work`` for the held command when others have had their turn."""
        self._put_off(
            lambda: self.resume(context, work, anyway=False), self.connection.thread.later
        )

    def go_on_when_sent(self, context: Context, work: Callable[[], None]) -> None:
        """Do ``work`` for the held command when the client has taken all that was sent to it."""
        self._put_off(lambda: self.resume(context, work, anyway=False), self.connection.when_sent)

    def answer(self, data: bytes, context: Context) -> None:
        """Send the answers to a command, when what they wait for is stored.

        They are counted, see ``ANSWER_BYTES``.
        """
        self._answered_bytes += len(data)
        self.connection.thread.traffic.answers += data.count(b"\n")
        own = context.ticket > self._stored
        if own or (self._unstored and not self._late):
            ticket = max(context.ticket, self._unstored[-1].ticket if self._unstored else 0)
            self._unstored.append(_Answer(ticket, data, context))
            if not own:
                self._be_patient()
        elif context.waits_for(*self._lost):
            with self._services.lock:
                data = context.not_stored()
            self.connection.send(data)
        else:
            self.connection.send(data)

    @property
    def unstored_full(self) -> bool:
        """Whether so many acknowledgements wait for the store that there may be no more."""
        return len(self._unstored) >= UNSTORED_ANSWERS

    def must_wait(self, *, overtakes: bool) -> bool:
        """Whether a command must wait for acknowledgements of earlier ones.

        :param overtakes: it may come before these, up to ``UNSTORED_ANSWERS`` of them.
        """
        if self._late:
            return False
        return self.unstored_full if overtakes else bool(self._unstored)

    def go_on_when_stored(self, context: Context, work: Callable[[], None]) -> None:
        """Hold the command until all acknowledgements are out, or late; then do ``work``."""
        context.hold()
        self._after_stored = context, work
        self._be_patient()

    def stored(self, first: int, last: int, *, kept: bool) -> None:
        """Take note: what has these tickets is stored, or was lost. Send what waited for it."""
        waiting = self._unstored
        self._stored = last
        if not kept:
            self._lost = first, last
            with self._services.lock:
                waiting[:] = [
                    answer._replace(data=answer.context.not_stored())
                    if answer.context.waits_for(first, last)
                    else answer
                    for answer in waiting
                ]
        done = sum(answer.ticket <= last for answer in waiting)
        if done:
            self.connection.send(b"".join(answer.data for answer in waiting[:done]))
            del waiting[:done]
        if not waiting:
            self._late = False
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            self._go_on_after_stored()

    def _be_patient(self) -> None:
        if self._patience is None:
            self._patience = self.connection.thread.call_later(STORE_PATIENCE_S, self._be_late)

    def _be_late(self) -> None:
        """Send what only waits its turn behind acknowledgements, and go on without them."""
        self._patience, self._late = None, True
        waiting, self._unstored = self._unstored, []
        others: list[_Answer] = []
        for answer in waiting:
            if answer.context.ticket > self._stored:
                self._unstored.append(answer)
            else:
                others.append(answer)
        self.connection.send(b"".join(answer.data for answer in others))
        self._go_on_after_stored()

    def _go_on_after_stored(self) -> None:
        if self._after_stored is not None:
            (context, work), self._after_stored = self._after_stored, None
            self.resume(context, work, anyway=False)

    def new_batch_reference(self) -> str:
        """Return a reference that no open batch of this session has."""
        self._batches += 1
        return f"{self._batches:x}"

    def sync_wait_s(self) -> int:
        """Count a METADATA SYNC; return how many seconds it must wait, 0 if it need not."""
        now = self._services.clock()
        if self._syncs is None:
            self._syncs = TokenBucket(SYNCS_PER_S, SYNC_BURST, now)
        return _take(self._syncs, now)

    def signal_wait_s(self) -> int:
        """Count a signal to peers (``SIGNALS_PER_S``); return what it must wait, as above."""
        now = self._services.clock()
        if self._signals is None:
            self._signals = TokenBucket(SIGNALS_PER_S, SIGNAL_BURST, now)
        return _take(self._signals, now)

    # ---- inside ----

    def _handle_lines(self) -> None:
        if self._going_on:
            return
        waiting = self._input
        services = self._services
        self._answered_bytes = 0
        now = services.clock()
        end = now + SPELL_S
        while waiting and not self.held and not self._closed:
            if self._answered_bytes > ANSWER_BYTES or now >= end:
                self._put_off(self._handle_lines, self.connection.thread.later)
                return
            if not self._bucket.take(now, 1 if self.batch is None else BATCHED_LINE_COST):
                if self._throttle is None:
                    self._throttle = self.connection.thread.call_later(
                        self._bucket.wait_s(), self._have_tokens
                    )
                return
            line = waiting.pop()
            self._input_bytes -= _size(line)
            dispatch(services, self, line)
            now = services.clock()

    def _let_go_on(self) -> None:
        self.held = self.ended or self._heard < self._expected

    def _put_off(
        self, work: Callable[[], None], when: Callable[[Callable[[], None]], None]
    ) -> None:
        self._going_on = True
        # What comes meanwhile is no flood, and no end before what was said first is done.
        self.connection.pause_reading()
        when(lambda: self._go_on(work))

    def _go_on(self, work: Callable[[], None]) -> None:
        self._going_on = False
        self._seen = self._services.clock()  # nobody listened: that was no silence
        work()
        if not self._going_on:
            self.connection.resume_reading()
            self._check_flood()

    def _have_tokens(self) -> None:
        self._throttle = None
        self._handle_lines()

    def _check_flood(self) -> None:
        if self._going_on or self._closed:
            return
        if self._input_bytes > self._services.config.limits.input_queue_bytes:
            self._services.counters.count(Mishap.EXCESS_FLOOD)
            self.close("Excess Flood")

    def _check_alive(self) -> None:
        limits = self._services.config.limits
        silent_s = self._services.clock() - self._seen
        if self._pinged and silent_s >= limits.ping_interval_s + limits.ping_timeout_s:
            self.close(f"Ping timeout: {silent_s:.0f} seconds")
        elif self._pinged:
            self._set_timer(
                limits.ping_interval_s + limits.ping_timeout_s - silent_s, self._check_alive
            )
        elif silent_s >= limits.ping_interval_s:
            self._pinged = True
            self.connection.send(end_line("", f"PING {self._services.name}"))
            self._set_timer(limits.ping_timeout_s, self._check_alive)
        else:
            self._set_timer(limits.ping_interval_s - silent_s, self._check_alive)

    def _registration_late(self) -> None:
        self.close("Registration timed out")

    def _set_timer(self, delay_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.connection.thread.call_later(delay_s, callback)

    def _end(self, reason: str, logged: str = "") -> None:
        self._closed = True
        context = Context(self._services, self, Message("QUIT"))
        run(context, lambda: self._detach(context, reason))
        self._let_go(logged or reason)

    def _detach(self, context: Context, reason: str) -> None:
        if self.awaited:
            # It could overtake them, and its own coming among them: see ``event_is_back``.
            self._detaching = reason
        elif self.id in self._services.network.sessions:
            context.propose(Detach(context.stamp(), reason))

    def _let_go(self, reason: str) -> None:
        self._closed = True
        batch_timer = self.batch.timer if self.batch else None
        for timer in (self._timer, self._throttle, self._patience, batch_timer):
            if timer is not None:
                timer.cancel()
        self._unstored.clear()
        self._after_stored = None
        self._input.clear()
        self._input_bytes = 0
        services = self._services
        services.registry.remove(self)
        services.tunnels.session_ended(self.id)
        self._seat.leave()
        # What never came to a handshake has no line that tells its address.
        who = self.label if self.tls else f"{self.label} from {self.address}"
        _log.info("disconnect %s: %s", who, reason)
