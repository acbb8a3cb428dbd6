"""The log where several relays are one chat: the order of events is that of a stream.

A relay proposes an event by publishing it, and applies it when it comes back, in the stream's
order, as all relays do: so all come to the same state. Time is the stream's too. Whoever proposed
it is held meanwhile, and answered here.

What changes the state goes to all. What is said goes to the relays that need it by the state that
its relay knows; by the time it is in order, one more may need it. Then it is *void*, for all, which
all can tell by the state at that place; and its relay proposes it again. So nobody misses what
others in the room see, and all see it in one order.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.errors import NetworkError, SecureChatError
from securechat.irc.modes import lowest_rank
from securechat.irc.names import is_channel
from securechat.net.io_thread import waking_once
from securechat.server.cluster.event_codec import (
    EVENTS_VERSION,
    EventFormatError,
    check_version,
    decode,
    encode,
)
from securechat.server.cluster.keeping import StateStore
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.nats_values import EVENT_BYTES, Link, Received
from securechat.server.cluster.subjects import (
    slots_in,
    state_filter,
    state_subject,
    talk_filter,
    talk_subject,
)
from securechat.server.cluster.tally import Tally
from securechat.server.context import Context, Elsewhere, relay_context
from securechat.server.delivery.delivery import Delivery
from securechat.server.event_log import EventLog, Keeper
from securechat.server.events import (
    Attach,
    CloseAccount,
    CreateAccount,
    Detach,
    Event,
    LetIn,
    RelayLost,
    RelayStarted,
    SendMessage,
    Stamp,
)
from securechat.server.network import Network
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.relays import STARTED_SINCE
from securechat.server.state import SESSION_BITS, Relay, User, relay_of

if TYPE_CHECKING:
    from securechat.server.config import ClusterConfig
    from securechat.server.services import Services

__all__ = [
    "PROPOSALS",
    "ClusterLog",
    "LogsDiffer",
    "Mark",
    "NotTakenIn",
    "RelayTwice",
    "Standing",
]

_log = logging.getLogger(__name__)

PROPOSALS: Final = 16_384
"""Events that may be on their way at once: each session has one, or a few of one command."""

_JOIN_S: Final = 60.0
"""How long it may take to learn all that has happened since the snapshot, and to be taken in, in
seconds: some 10,000 events a second."""

_FAREWELL_S: Final = 3.0
"""How long the others may take to hear that a relay stops, in seconds; else they find out."""

_NOT_YET: Final = "This relay has still to join the others"
_CUT_OFF: Final = "This relay was cut off from the others for too long; connect again"
_VOID_TRIES: Final = 16
"""How often something is said again that a further relay had come to need meanwhile."""

_MARKS: Final = 16_384
"""Events for which a relay remembers what it had heard up to there: others tell every second, and
may be some seconds behind, or ahead."""

_WITHOUT_SESSION: Final = (Attach, Detach, CreateAccount, CloseAccount, LetIn)
"""What may be proposed for a session that is not, or no longer, in the chat."""

_HASH_BYTES: Final = 7  # a snapshot holds numbers of 63 bits
_MS_NS: Final = 1_000_000
_PLACES: Final = 1 << 16

_OnRefusal = Callable[[Refusal | Fail], None]


class _Proposal(NamedTuple):
    """An event of this relay that has still to come back."""

    event: Event
    context: Context
    then: Callable[[], None] | None
    refused: _OnRefusal
    tries: int
    at_s: float


class _Arrived(NamedTuple):
    """An event that has come, with the relay (incarnation) that has proposed it."""

    received: Received
    relay: int
    event: Event


class Standing(NamedTuple):
    """How a relay stands with the others.

    ``incarnation`` is 0 while it is not one of them; ``cut_off`` why it can change nothing at the
    moment, often empty; ``applied`` the number of the last event in the log that it knows;
    ``on_their_way`` how many it has proposed that have not come back.
    """

    incarnation: int
    cut_off: str
    applied: int
    on_their_way: int


class Mark(NamedTuple):
    """What a relay has heard up to an event that changes the state: equal for equal logs."""

    event: int
    log_hash: int


class ClusterLog(EventLog):
    """The log of one relay of several. Guarded by the network lock, but for what says otherwise.

    :param stream: connected, and not served by anybody else.
    :param state: what the ``keepers`` write to.
    :param applied: the number of the last event that ``network`` has seen.
    """

    def __init__(
        self,
        network: Network,
        delivery: Delivery,
        history: Keeper,
        keepers: Iterable[Keeper],
        *,
        config: ClusterConfig,
        stream: NatsStream,
        state: StateStore,
        applied: int,
    ) -> None:
        super().__init__(network, delivery, history, keepers)
        self._config = config
        self._stream = stream
        self._state = state
        self._applied = applied
        self._incarnation = 0
        self._slots: dict[int, int] = {}  # incarnation → slot
        self._services: Services
        self._cut_off = _NOT_YET
        self._pending: dict[str, _Proposal] = {}
        self._complete = threading.Event()
        self._joined = threading.Event()
        self._stopping = False
        self._farewell = ""  # what people are told as it stops
        self._begins_anew = False  # when it knows what has happened since it was lost
        self._former = 0  # the incarnation that was lost
        self._refusal: Refusal | Fail | None = None  # of its start
        self._failure: BaseException | None = None  # because of which it never joins
        self._beginnings = 0  # how often it has joined the others
        self._marks: dict[int, int] = {}  # event → hash, in their order
        self.tally = Tally()
        self._count_slots()

    @property
    def name(self) -> str:
        """What this relay is called among the others."""
        return self._config.relay

    @property
    def standing(self) -> Standing:
        """How this relay stands with the others. Safe from any thread, a moment old then."""
        return Standing(self._incarnation, self._cut_off, self._applied, len(self._pending))

    @property
    def mark(self) -> Mark:
        """What this relay has heard, for others to compare. Requires holding the network lock."""
        event = next(reversed(self._marks), 0)
        return Mark(event, self._marks.get(event, 0))

    def contradicts(self, mark: Mark) -> bool:
        """Whether another relay has heard something else up to an event that is known to both.

        NATS gives all relays the same log. It has been seen not to: after one of its servers had
        been suspended for some seconds, 2.9.10 had other events in it under the same numbers.
        """
        known = self._marks.get(mark.event)
        return known is not None and known != mark.log_hash

    # ---- begin and end; without the lock ----

    def join(
        self,
        services: Services,
        on_beat: Callable[[bytes], None],
        on_tick: Callable[[], None],
    ) -> None:
        """Learn what has happened since the snapshot, and become one of the relays. Blocks.

        :param on_beat, on_tick: see ``NatsStream.serve``.
        :raises NetworkError: it takes too long.
        :raises SecureChatError: it cannot be; see ``fail``.
        """
        self._services = services
        self._stream.serve(self._take_events, self._know_all, self._take_link, on_beat, on_tick)
        self._stream.follow(state_filter(self._config.stream), self._applied)
        self._wait_for(self._complete, "NATS has not told in {s:.0f} s what has happened")
        with services.lock:
            self._start()
        self._wait_for(self._joined, "the other relays have not taken this one in for {s:.0f} s")
        _log.info("relay %s is one of %d", self._config.relay, len(self._network.relays))

    def fail(self, error: BaseException) -> None:
        """Have ``join`` raise this at once: the stream's thread has ended by it. Safe from any."""
        self._failure = error
        self._complete.set()
        self._joined.set()

    def _wait_for(self, event: threading.Event, otherwise: str) -> None:
        if not event.wait(_JOIN_S):
            raise NetworkError(otherwise, s=_JOIN_S)
        if isinstance(self._failure, SecureChatError):
            raise self._failure
        if self._failure is not None:
            raise NetworkError("what NATS tells cannot be taken: {error!r}", error=self._failure)

    def leave(self, reason: str) -> None:
        """Tell the others that this relay stops, and with it all its sessions. Blocks.

        These are told the ``reason``, if they are here still when the others know.
        """
        gone = threading.Event()
        with self._services.lock:
            self._stopping, self._farewell = True, reason
            if self._incarnation:
                stamp = self._services.stamp(0)
                lost = RelayLost(stamp, self._config.relay, self._incarnation, "is stopping")
                self._propose(lost, relay_context(self._services), gone.set, lambda refusal: None)
        gone.wait(_FAREWELL_S if self._incarnation and self._stream.works else 0)
        with self._services.lock:
            self._incarnation, self._cut_off = 0, "This relay is stopping"

    # ---- proposing ----

    def propose(
        self,
        event: Event,
        context: Context,
        then: Callable[[], None] | None,
        refused: _OnRefusal,
    ) -> None:
        """Have ``event`` put in order; it is settled when it comes back.

        Refused at once while this relay is cut off from the others, or has too much on its way.
        That a session has ended is told in any case, as soon as may be.
        """
        lasting = type(event) is Detach
        if self._cut_off and not lasting:
            refused(Fail("*", "RELAY_ISOLATED", text=self._cut_off))
            return
        if len(self._pending) >= PROPOSALS and not lasting:
            text = f"{PROPOSALS} changes are on their way already; try again"
            refused(Fail("*", "RELAY_ISOLATED", text=text))
            return
        if self._incarnation:
            self._propose(event, context, then, refused)

    def _propose(
        self,
        event: Event,
        context: Context,
        then: Callable[[], None] | None,
        refused: _OnRefusal,
        tries: int = 0,
    ) -> None:
        try:
            data = self._write(event)
        except EventFormatError as error:
            refused(Fail("*", "INVALID_MESSAGE", text=str(error)))
            return
        subject = self._subject(event)
        key = f"{event.stamp.msgid}/{tries}"
        self._pending[key] = _Proposal(event, context, then, refused, tries, self._services.clock())
        if context.origin is not None and not tries:
            context.await_event()
        self._stream.publish(subject, key, data)

    def _write(self, event: Event) -> bytes:
        """Return the bytes of an event, for the stream."""
        plain = {"v": EVENTS_VERSION, "relay": self._incarnation, "event": encode(event)}
        data = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
        if len(data) > EVENT_BYTES:
            raise EventFormatError("it is too large: {size} bytes", size=len(data))
        return data

    def _subject(self, event: Event) -> str:
        stream = self._config.stream
        if type(event) is SendMessage:
            return talk_subject(stream, self._needed(event))
        return state_subject(stream)

    def _needed(self, event: SendMessage) -> int:
        """Return the slots of the relays that need a message as things stand; a bit for each."""
        network, target = self._network, event.target
        relays = {relay_of(event.stamp.session)}
        _, name = lowest_rank(target)
        if is_channel(name):
            channel = network.find_channel(name)
            if channel is not None:
                relays |= self._delivery.reach(channel)
            sender = network.sessions.get(event.stamp.session)
            relays |= _relays_of(sender) if name != target else frozenset()
        else:
            relays |= _relays_of(network.find_user(target))
            relays |= _relays_of(network.sessions.get(event.stamp.session))
        slots = self._slots
        return sum(1 << slots[relay] for relay in relays if relay in slots)

    # ---- what comes; on the stream's thread, without the lock ----

    def _take_events(self, some: Sequence[Received]) -> None:
        arrived = [each for each in map(self._read, some) if each is not None]
        beginnings = self._beginnings
        with waking_once(), self._services.lock:
            for each in arrived:
                self._take(each)
                if self._beginnings != beginnings:
                    return  # all after it come once more, with what was said among them

    def _read(self, received: Received) -> _Arrived | None:
        """Return an event of the stream with the stream's time, ``None`` if it is none.

        :raises UnknownVersion: a relay of another version has written it.
        """
        try:
            plain = json.loads(received.data)
        except ValueError:
            plain = None
        if not isinstance(plain, dict):
            _log.error("event %d is unreadable", received.sequence)
            return None
        check_version(plain.get("v"))
        relay = plain.get("relay")
        try:
            event = decode(plain.get("event"))
        except EventFormatError as error:
            _log.error("event %d is unreadable: %s", received.sequence, error)
            return None
        at_ms, rest = divmod(received.at_ns, _MS_NS)
        stamp = Stamp(event.stamp.session, at_ms, event.stamp.msgid, rest * _PLACES // _MS_NS)
        known = relay if isinstance(relay, int) else 0
        return _Arrived(received, known, replace(event, stamp=stamp))

    def _take_link(self, link: Link) -> None:
        """Take note that the stream answers, or answers no more, and tell people."""
        with self._services.lock:
            if not self._incarnation:
                return
            self._cut_off = "" if link.up else f"This relay is cut off from the others: {link.why}"
        if link.up:
            _log.warning("the other relays are there again")
            text = "This relay is one with the others again"
        else:
            _log.error("cut off from the other relays: %s", link.why)
            text = (
                f"This relay is cut off from the others ({link.why}). You stay connected; what you "
                "send is not taken until it is back"
            )
        self._tell_all(text)

    def _tell_all(self, text: str) -> None:
        services = self._services
        for session in services.registry.snapshot():
            if session.registration.complete:
                session.notice(text)

    # ---- what comes, in order; under the lock ----

    def _take(self, arrived: _Arrived) -> None:
        received, relay, event = arrived
        if received.sequence <= self._applied:
            return
        self._applied = received.sequence
        if type(event) is not SendMessage:  # these, all relays receive
            self._note_mark(received)
        proposal = self._pending.pop(received.id, None)
        self.tally.taken += 1
        if proposal is not None:
            self.tally.returns.observe(self._services.clock() - proposal.at_s)
        session = event.stamp.session
        strange = relay not in self._slots or (session != 0 and relay_of(session) != relay)
        if strange and type(event) is not RelayStarted:
            self._refuse(proposal, Fail("*", "RELAY_ISOLATED", text=_CUT_OFF))
            return  # its relay is taken for lost, and its sessions with it
        if type(event) is SendMessage and self._needed(event) & ~slots_in(received.subject):
            if proposal is not None:
                self._repeat(proposal)
            return
        absent = session and session not in self._network.sessions
        if absent and not isinstance(event, _WITHOUT_SESSION):
            self._refuse(proposal, Fail("*", "NOT_CONNECTED", text="You are not in the chat"))
            return
        self._settle(arrived, proposal)
        if isinstance(event, RelayStarted | RelayLost):
            self._count_slots()
            self._look_for_oneself(event, own=proposal is not None)

    def _note_mark(self, received: Received) -> None:
        network, sequence = self._network, received.sequence
        heard = f"{network.log_hash} {sequence} {received.at_ns} {received.id}".encode()
        digest = hashlib.blake2b(heard, digest_size=_HASH_BYTES).digest()
        network.log_hash = int.from_bytes(digest)
        self._marks[sequence] = network.log_hash
        if len(self._marks) > _MARKS:
            del self._marks[next(iter(self._marks))]

    def _settle(self, arrived: _Arrived, proposal: _Proposal | None) -> None:
        """Apply an event as all relays do; a bug in that must not part this one from them."""
        self._state.sequence = arrived.received.sequence
        context = proposal.context if proposal is not None else relay_context(self._services)
        if proposal is None:
            context.elsewhere = Elsewhere(arrived.relay, arrived.received.sequence)
        then, refused = (proposal.then, proposal.refused) if proposal else (None, _ignore)
        try:
            self.settle(arrived.event, context, then, refused)
        except (Refusal, Fail) as refusal:  # of what was to be done then
            refused(refusal)
        except Exception:  # noqa: BLE001 - as in ``dispatch.run``
            name = type(arrived.event).__name__
            _log.exception("event %d (%s) failed", arrived.received.sequence, name)
        if context.origin is not None:
            context.event_is_back()

    def _refuse(self, proposal: _Proposal | None, refusal: Fail) -> None:
        if proposal is None:
            return
        try:
            proposal.refused(refusal)
        except Exception:  # noqa: BLE001 - a bug in an answer: all others go on
            _log.exception("the refusal of %s failed", type(proposal.event).__name__)
        if proposal.context.origin is not None:
            proposal.context.event_is_back()

    def _repeat(self, proposal: _Proposal) -> None:
        event, context, then, refused, tries, _ = proposal
        if tries < _VOID_TRIES:
            self.tally.repeated += 1
            self._propose(event, context, then, refused, tries + 1)
        else:
            text = "Too many relays come and go at the moment; try again"
            self._refuse(proposal, Fail("*", "RELAY_ISOLATED", text=text))

    # ---- coming and going of relays ----

    def _count_slots(self) -> None:
        self._slots = {each.incarnation: each.slot for each in self._network.relays.values()}

    def _start(self) -> None:
        """Have the others know that this relay is there."""
        stamp = self._services.stamp(0)._replace(msgid=secrets.token_urlsafe(12))
        known = self._network.relays_started
        started = RelayStarted(stamp, self._config.relay, self._config.address, known)
        self._propose(started, relay_context(self._services), None, self._not_started)

    def _not_started(self, refusal: Refusal | Fail) -> None:
        self._refusal = refusal

    def _know_all(self) -> None:
        """Take note that all was received that has happened; on the stream's thread."""
        self._complete.set()
        if self._begins_anew and not self._stopping:
            self._begins_anew = False
            with self._services.lock:
                self._start()

    def _look_for_oneself(self, event: RelayStarted | RelayLost, *, own: bool) -> None:
        """See whether this relay is one of them. An earlier start of it may still be, for now."""
        found = self._network.relays.get(self._config.relay)
        if self._incarnation and (found is None or found.incarnation != self._incarnation):
            self._be_lost(event)
        elif own and isinstance(event, RelayStarted) and not self._stopping:
            self._begin_if_taken_in(found)
        elif self._begins_anew and isinstance(event, RelayStarted) and self._is_replaced(event):
            raise RelayTwice(self.name)

    def _is_replaced(self, event: RelayStarted) -> bool:
        """Whether another one was started in place of this one, which was asleep."""
        return event.name == self.name and event.known >= self._former

    def _begin_if_taken_in(self, found: Relay | None) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is None and found is not None:
            self._begin(found.incarnation, found.slot)
        elif isinstance(refusal, Fail) and refusal.params[1] == STARTED_SINCE:
            self._start()  # now it knows of that one
        else:
            raise NotTakenIn(str(refusal))

    def _begin(self, incarnation: int, slot: int) -> None:
        """Be one of the relays from now on."""
        self._incarnation, self._cut_off = incarnation, ""
        services = self._services
        services.registry.begin_at(incarnation << SESSION_BITS)
        self._dismiss_all(_CUT_OFF)  # if any: of an earlier incarnation
        self._beginnings += 1
        self._stream.follow(talk_filter(self._config.stream, slot), self._applied)
        self._joined.set()

    def _be_lost(self, event: RelayStarted | RelayLost) -> None:
        """The others have taken this relay for lost, and all that it had on its way for nothing."""
        self._former, self._incarnation, self._cut_off = self._incarnation, 0, _NOT_YET
        self._stream.give_up(list(self._pending))
        pending, self._pending = self._pending, {}
        for proposal in pending.values():
            self._refuse(proposal, Fail("*", "RELAY_ISOLATED", text=_CUT_OFF))
        if self._stopping:
            self._dismiss_all(self._farewell)
            return
        if isinstance(event, RelayStarted):
            raise RelayTwice(self._config.relay)
        _log.error("the other relays have taken this one for lost: it joins them anew")
        self._dismiss_all(_CUT_OFF)
        self._begins_anew = True

    def _dismiss_all(self, reason: str) -> None:
        for session in self._services.registry.snapshot():
            if not self._incarnation or relay_of(session.id) != self._incarnation:
                session.dismiss_soon(reason)


class NotTakenIn(SecureChatError):
    """The rules of the chat do not let this relay be one of them."""

    def __init__(self, why: str) -> None:
        super().__init__("the other relays do not take this one in: {why}", why=why)


class LogsDiffer(SecureChatError):
    """NATS has not given all relays the same log."""

    def __init__(self, keeper: str, event: int) -> None:
        super().__init__(
            "NATS has told this relay other events than {keeper}, up to event {event}: it must "
            "start again. Its servers may need to be newer, or one of them is damaged",
            keeper=keeper,
            event=event,
        )


class RelayTwice(SecureChatError):
    """Another relay has started with the name of this one."""

    def __init__(self, name: str) -> None:
        text = "another relay was started as {name}: each needs a name of its own"
        super().__init__(text, name=name)


def _relays_of(user: User | None) -> frozenset[int]:
    return frozenset(map(relay_of, user.sessions)) if user is not None else frozenset()


def _ignore(refusal: Refusal | Fail) -> None:
    """Who is answered is elsewhere."""
