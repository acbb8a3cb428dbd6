"""The session with one account, whatever paths it runs on, and the texts and files in it.

It begins with the first path that ``negotiation`` brings. When it has lost its path, it offers
again, with longer and longer waits, and so does the other side, a little later; both accept such an
offer, of the same device, unasked. After ``REESTABLISH_S`` it is given up.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal

from securechat.errors import (
    ConnectionLost,
    LocalProtocolError,
    NetworkError,
    RemoteProtocolError,
    StoreError,
    gettext_noop,
)
from securechat.irc.peering import fingerprint_of
from securechat.net.connection import BULK_RECEIVE_BYTES, Connection
from securechat.net.timers import Timer
from securechat.peer import events, known_peers, session
from securechat.peer.events import PathKind, PeerEvent, PeerSnapshot, PeerState
from securechat.peer.known_peers import Safety, safety_of
from securechat.peer.means import Means
from securechat.peer.negotiation import Failure, Negotiation, Stage
from securechat.peer.path import Path
from securechat.peer.records import Chunk, ChunkAck, Numbered, TextKind, Typing
from securechat.peer.session import Session
from securechat.peer.transfers import Transfers, TransferSnapshot

__all__ = ["REESTABLISH_S", "Contact"]

REESTABLISH_S: Final = 600.0
"""How long a session that has lost its path tries to get another: a laptop is carried home."""

RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 15.0
"""The waits between the tries, in seconds; each is twice as long as the last."""

OTHERS_TURN_S: Final = 3.0
"""How long the side that was asked leaves the first try to the one that had asked."""

TICK_S: Final = 1.0
"""How often a session looks whether the other side is there, and tells how far its files are."""

TEXTS_PER_S: Final = 100.0
TEXT_BURST_S: Final = 10.0
"""What of the other side is taken each second and becomes an event, as texts do, after ten seconds'
worth at once: who sends more is read more slowly, and nothing is lost."""

_BROKEN: Final = gettext_noop("the other side breaks the rules: {broken}")

_STATES: Final[dict[Stage, PeerState]] = {
    Stage.NONE: "connecting",  # picked, and not greeted yet
    Stage.ASKING: "asking",
    Stage.ASKED: "asked",
    Stage.CONNECTING: "connecting",
}


class _Meter:
    """Bytes per second, lately."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._bytes = 0

    def count(self, size: int) -> None:
        self._bytes += size

    def tick(self, passed_s: float) -> None:
        self.rate += (self._bytes / passed_s - self.rate) / 2
        self._bytes = 0


def _is_told(event: session.SessionEvent) -> bool:
    """Whether the user may hear of it: of a file's pieces only now and then."""
    if isinstance(event, session.FileSaid):
        return not isinstance(event.record, Chunk | ChunkAck)
    return isinstance(event, session.TextSaid | session.TypingSaid)


class _Line:
    """The handler of the connection that a session runs on."""

    def __init__(self, contact: Contact, path: Path) -> None:
        self.connection: Connection = path.connection
        self.kind: PathKind = path.kind
        self.address = path.address
        self._contact = contact

    def opened(self) -> None:
        """Never comes: it was open before."""

    def received(self, data: bytes) -> None:
        self._contact.received(self, data)

    def closed(self, error: NetworkError | None) -> None:
        self._contact.line_closed(self, error)


class Contact:
    """One account, and what there is between it and us. Owned by the I/O thread."""

    def __init__(self, means: Means, account: str, nick: str) -> None:
        self.account = account
        self.nick = nick
        self.negotiation = Negotiation(means, self)
        self._means = means
        self._session: Session | None = None
        self._transfers: Transfers | None = None
        self._line: _Line | None = None
        self._certificate = b""  # of the session's device
        self._ours = False  # the session's last offer was
        self._was_open = False
        self._lost_s = 0.0  # since when it has no path
        self._wait_s = RETRY_FIRST_S
        self._retry: Timer | None = None
        self._tick: Timer | None = None
        self._texts: dict[int, tuple[str, TextKind, int]] = {}  # delivery → what waits
        self._sent = _Meter()
        self._heard = _Meter()
        self._flood_s = 0.0  # how much of their rate has been used up, at _flood_at
        self._flood_at = 0.0

    # ---- what there is ----

    @property
    def fingerprint(self) -> str:
        """The device with which there is a session; empty if there is none."""
        return fingerprint_of(self._certificate) if self._session is not None else ""

    @property
    def path(self) -> PathKind | None:
        """How the session runs now; ``None`` without a path."""
        up = self._session is not None and self._session.up
        return self._line.kind if self._line is not None and up else None

    @property
    def address(self) -> str:
        """Of the other side; empty where we see only the relay's."""
        return self._line.address if self._line is not None else ""

    @property
    def safety(self) -> Safety:
        """How far the session's device is known; where that cannot be read, that it is pinned."""
        contact = self._known()
        return safety_of(contact, self.fingerprint) if contact is not None else Safety.KNOWN

    @property
    def blocked(self) -> bool:
        """Whether there is a session with a device that may have none (any more)."""
        return self._session is not None and self.safety is Safety.BLOCKED

    def snapshot(self) -> PeerSnapshot | None:
        """Return how things stand; ``None`` if there is nothing."""
        if self.idle:
            return None
        path = self.path
        if path is not None:
            state: PeerState = "open"
        elif self._session is not None and self._was_open:
            state = "lost"
        else:
            state = _STATES[self.negotiation.stage]
        safety = self.safety if self._session is not None else None
        rates = (self._sent.rate, self._heard.rate) if path is not None else (0.0, 0.0)
        return PeerSnapshot(self.account, self.nick, state, path, self.address, safety, *rates)

    @property
    def idle(self) -> bool:
        """Whether there is neither a session nor an offer."""
        return self._session is None and self.negotiation.stage is Stage.NONE

    @property
    def transfers(self) -> Transfers:
        """The files of the session.

        :raises LocalProtocolError: there is no session.
        """
        if self._transfers is None:
            raise LocalProtocolError(
                "there is no session with {nick}: first /peer {nick}", nick=self.nick
            )
        return self._transfers

    def files(self) -> tuple[TransferSnapshot, ...]:
        """Return the files that are offered or on their way."""
        return self._transfers.snapshot() if self._transfers is not None else ()

    # ---- what the user wants ----

    def open(self) -> None:
        """Ask for a session, or accept the one that is asked for.

        :raises LocalProtocolError: there is one, or we have asked already.
        """
        if self.negotiation.stage is Stage.ASKED:
            self.negotiation.accept()
        elif self._session is not None:
            raise LocalProtocolError("there is a session with {nick} already", nick=self.nick)
        elif self.negotiation.stage is not Stage.NONE:
            raise LocalProtocolError("{nick} has been asked already", nick=self.nick)
        else:
            self.negotiation.ask()

    def say(self, text: str, kind: TextKind, delivery: int) -> None:
        """Say a text in the session, now or when it has a path again.

        ``PeerDelivered`` or ``PeerNotDelivered`` follows.

        :raises LocalProtocolError: there is no session, or as ``Session.say_text``.
        """
        if self._session is None:
            raise LocalProtocolError("there is no session with {nick}", nick=self.nick)
        now_ms = self._means.now_ms()
        self._session.say_text(
            text, kind=kind, identifier=str(delivery), time_ms=now_ms, delivery=delivery
        )
        self._texts[delivery] = text, kind, now_ms
        self.flush()

    def typing(self, state: Literal["active", "paused", "done"]) -> None:
        """Tell that we are typing, or not, if there is a path."""
        if self._session is not None:
            self._session.say_now(Typing(state))
            self.flush()

    def close(self, reason: str) -> None:
        """End the session, and any offer."""
        stopped = self.negotiation.stop(reason)
        if self._session is not None:
            lost = self._session.close(reason)
            self.flush()
            self._over(reason, lost)
        elif stopped:
            self._emit(events.PeerClosed(self.account, self.nick, reason, False))

    # ---- what the negotiation tells ----

    def picked(self, path: Path, certificate: bytes, *, ours: bool) -> None:
        """Go on, or begin, on this path."""
        means = self._means
        try:
            means.known.see(means.network, means.fold(self.account), certificate, means.now_ms())
        except StoreError as error:
            if self._session is None:  # a device that is not pinned would be a new one for ever
                path.connection.drop(None)
                self.failed(Failure(str(error), final=True))
                return
        if self._session is None:
            self._begin()
        assert self._session is not None
        assert self._transfers is not None
        if self._line is not None:  # the other side has come back before we saw it go
            self._drop_line()
        self._certificate, self._ours = certificate, ours
        self._line = _Line(self, path)
        self._line.connection.receive_bytes = BULK_RECEIVE_BYTES
        self._line.connection.hand_to(self._line)
        self._session.path_up(means.io.clock())
        self._stop_ticking()
        self._tick = means.io.call_later(TICK_S, self._look)
        self.flush()
        if rest := path.leave():
            self.received(self._line, rest)

    def failed(self, failure: Failure) -> None:
        """Try again, or give up."""
        if self._session is None:
            self._emit(events.PeerClosed(self.account, self.nick, failure.reason, False))
        elif failure.final:
            self._over(failure.reason, self._session.close(failure.reason))
        elif not self._session.up:
            self._wait_s = min(RETRY_MOST_S, 2 * self._wait_s)
            self._retry_in(self._wait_s)

    # ---- what the line tells ----

    def received(self, line: _Line, data: bytes) -> None:
        """Take what the other side says."""
        if line is not self._line or self._session is None:
            return
        now = self._means.io.clock()
        self._heard.count(len(data))
        broken = ""
        try:
            found = self._session.receive(data, now)
            self._slow_down(line, sum(map(_is_told, found)), now)
        except RemoteProtocolError as error:
            found, broken = self._session.take_events(), str(error)
        try:
            for event in found:
                if line is self._line:  # else what was told before has ended the session
                    self._handle(event)
        except RemoteProtocolError as error:
            broken = str(error)
        if broken and line is self._line:
            self.close(_BROKEN.format(broken=broken))
        self.flush()

    def line_closed(self, line: _Line, error: NetworkError | None) -> None:
        """The path is gone; the session looks for another."""
        if line is not self._line or self._session is None or self._transfers is None:
            return
        self._line = None
        self._stop_ticking()
        was_up = self._session.up
        self._session.path_down()
        self._transfers.path_down()
        reason = str(error) if error is not None else gettext_noop("the connection was closed")
        if was_up:
            self._lost_s = self._means.io.clock()
            self._wait_s = RETRY_FIRST_S
            self._emit(events.PeerLost(self.account, self.nick, reason))
        if self.negotiation.stage is not Stage.NONE:
            return
        if was_up:
            self._retry_in(0.0 if self._ours else OTHERS_TURN_S)
        else:
            self.failed(Failure(reason))

    # ---- inside ----

    def flush(self) -> None:
        """Send what the session has to say."""
        if self._session is not None and self._line is not None:
            data = self._session.data_to_send()
            if data:
                self._sent.count(len(data))
                self._line.connection.queue(data)

    def _begin(self) -> None:
        means = self._means
        self._session = Session(means.make_id())
        self._was_open = False
        self._lost_s = means.io.clock()
        self._wait_s = RETRY_FIRST_S
        self._transfers = Transfers(
            account=self.account,
            nick=lambda: self.nick,
            wire=_Wire(self, self._session),
            disk=means.disk,
            emit=self._file_event,
            numbers=means.numbers,
            clock=means.io.clock,
            random_file=means.make_file,
        )
        self._transfers.folder = means.downloads

    def _handle(self, event: session.SessionEvent) -> None:
        match event:
            case session.Greeted():
                self._greeted(fresh=event.fresh)
            case session.TextSaid(text=text):
                self._emit_text(text.text, text.kind, text.time_ms, own=False)
            case session.TypingSaid():
                self._emit(events.PeerTyping(self.account, self.nick, event.state))
            case session.FileSaid():
                if self._transfers is not None:
                    self._transfers.received(event.record)
            case session.Delivered():
                self._delivered(event.delivery)
            case session.Lost():
                self._lost_text(
                    event.delivery, gettext_noop("it began anew before it had confirmed this")
                )
            case session.Closed():
                self._over(event.reason or gettext_noop("the other side has ended it"), [])

    def _greeted(self, *, fresh: bool) -> None:
        assert self._line is not None
        assert self._transfers is not None
        again, self._was_open = self._was_open, True
        self._wait_s = RETRY_FIRST_S
        self._emit(
            events.PeerOpened(
                self.account,
                self.nick,
                self.fingerprint,
                self._line.kind,
                self._line.address,
                self.safety,
                again,
            )
        )
        self._transfers.path_up(fresh=fresh)

    def _look(self) -> None:
        if self._session is None or self._line is None or self._transfers is None:
            return
        if not self._session.check(self._means.io.clock()):
            self._line.connection.drop(ConnectionLost("the other side does not answer any more"))
            return
        self._transfers.tick()
        self.flush()
        self._sent.tick(TICK_S)
        self._heard.tick(TICK_S)
        self._tick = self._means.io.call_later(TICK_S, self._look)

    def _slow_down(self, line: _Line, texts: int, now: float) -> None:
        """Read no more for a while from who says too much."""
        self._flood_s = max(0.0, self._flood_s - (now - self._flood_at)) + texts / TEXTS_PER_S
        self._flood_at = now
        if self._flood_s > TEXT_BURST_S:
            line.connection.pause_reading()
            wait_s = self._flood_s - TEXT_BURST_S
            self._means.io.call_later(wait_s, line.connection.resume_reading)

    def _delivered(self, delivery: int) -> None:
        self._emit(events.PeerDelivered(delivery))
        said = self._texts.pop(delivery, None)
        if said is not None:
            self._emit_text(*said, own=True)

    def _lost_text(self, delivery: int, reason: str) -> None:
        self._texts.pop(delivery, None)
        self._emit(
            events.PeerNotDelivered(delivery, self.account, self.nick, "NOT_CONFIRMED", reason)
        )

    def _emit_text(self, text: str, kind: TextKind, said_ms: int, *, own: bool) -> None:
        assert self._line is not None
        # It may have waited for a path; but what another machine takes for the time is no matter.
        now_ms = self._means.now_ms()
        at_ms = said_ms if 0 <= now_ms - said_ms <= REESTABLISH_S * 1000 else now_ms
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        self._emit(events.PeerText(self.account, self.nick, text, kind, at, own, self._line.kind))

    def _file_event(self, event: events.FileEvent) -> None:
        self._emit(event)
        if isinstance(event, events.FileOffered) and self._transfers is not None:
            contact = self._known()
            if event.accepted_before or (contact is not None and contact.take_files):
                self._transfers.accept(event.transfer, self._means.downloads)

    def _known(self) -> known_peers.Contact | None:
        """Return what is known of the account; ``None`` where that cannot be read."""
        means = self._means
        try:
            return means.known.contact(means.network, means.fold(self.account))
        except StoreError:
            return None

    def _emit(self, event: PeerEvent) -> None:
        self._means.emit(event)

    # ---- another path, or the end ----

    def _retry_in(self, wait_s: float) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._means.io.call_later(wait_s, self._try_again)

    def _try_again(self) -> None:
        if self._session is None or self._session.up or self.negotiation.stage is not Stage.NONE:
            return
        if self._line is not None:  # it is being greeted
            return
        if self._means.io.clock() - self._lost_s > REESTABLISH_S:
            reason = gettext_noop("it could not be reached again")
            self._over(reason, self._session.close(reason))
        elif self._means.route() is None:  # not on the relay ourselves
            self._retry_in(RETRY_FIRST_S)
        else:
            self.negotiation.ask(self.fingerprint)

    def _over(self, reason: str, lost: list[int]) -> None:
        line, self._line = self._line, None
        transfers, self._transfers = self._transfers, None
        self._session = None
        self._stop_ticking()
        if self._retry is not None:
            self._retry.cancel()
        if line is not None:
            line.connection.finish()
        self.negotiation.stop(reason)
        for delivery in lost:
            self._lost_text(delivery, reason)
        if transfers is not None:
            transfers.close(reason)
        self._emit(events.PeerClosed(self.account, self.nick, reason, self._was_open))

    def _drop_line(self) -> None:
        line, self._line = self._line, None
        if line is not None and self._session is not None and self._transfers is not None:
            line.connection.drop(None)
            self._session.path_down()
            self._transfers.path_down()

    def _stop_ticking(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None


class _Wire:
    """What the transfers of a contact say things through."""

    def __init__(self, contact: Contact, of: Session) -> None:
        self._contact = contact
        self._session = of

    @property
    def up(self) -> bool:
        return self._session.up

    def say(self, kind: type[Numbered], **fields: Any) -> None:
        if self._session.state is not session.State.CLOSED:
            self._session.say(kind, **fields)
            self._contact.flush()

    def say_now(self, record: Chunk | ChunkAck) -> None:
        self._session.say_now(record)
        self._contact.flush()
