"""The relays as they see each other: who is there, how they do, and who is lost.

Each relay says every second how it does (its *beat*). One that was not heard for as long as its
lease lasts is lost: whoever notices proposes it, and by the event all agree. Nothing else of the
chat depends on a clock.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from securechat import __version__
from securechat.errors import StoreError
from securechat.net.locks import make_lock
from securechat.server.caretaker import CaretakerBusy
from securechat.server.cluster.keeping import HELD_WRITES, StateStore
from securechat.server.cluster.log import ClusterLog, LogsDiffer, Mark
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.context import Context, relay_context
from securechat.server.effects import Effect, RelayCame, RelayGone, Reloaded
from securechat.server.events import RelayLost
from securechat.server.refusals import Fail, Refusal
from securechat.server.reload import announce_relays
from securechat.server.state import Relay
from securechat.server.store_thread import Outcome

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["BEAT_S", "Membership", "Neighbour"]

_log = logging.getLogger(__name__)

BEAT_S: Final = 1.0
"""How often a relay says that it is there, in seconds."""

_ASLEEP_S: Final = 2.0
"""After how many seconds without a look at the others this relay was asleep itself, or its machine:
what they have said meanwhile, it has still to hear. Or NATS was, if not even its own beats come."""

_PATIENCE_S: Final = 15.0
"""How long other relays may take to write what they have: they tell every second how far they are,
and a store that is in trouble for longer is not waited for."""

_LOOK_EVERY_S: Final = 0.05

_NEIGHBOURS: Final = 64
"""Relays whose beats are remembered: those that there may be, and a few that were."""


class Neighbour(NamedTuple):
    """How another relay does, as it has said at ``heard_s`` (monotonic, in seconds).

    ``applied`` is the last event that it knows; ``history`` and ``state`` are the events up to
    which it has written what it is to write. ``sessions`` are registered ones; ``mark`` is what it
    has heard.
    """

    name: str
    incarnation: int
    heard_s: float
    applied: int
    history: int
    state: int
    sessions: int
    cut_off: str
    version: str
    mark: Mark


class Membership:
    """Watches over the relays of a chat. ``look_after`` is for one thread that holds no lock, the
    stream's; it is also a keeper (see ``event_log``), and that is guarded by the network lock.
    """

    def __init__(self, stream: NatsStream, state: StateStore, lease_s: float) -> None:
        self._stream = stream
        self._state = state
        self._lease_s = lease_s
        self._services: Services
        self._event_log: ClusterLog
        self._lock = make_lock("membership", tier=1)  # guards the next
        self._heard: dict[str, Neighbour] = {}
        self._looked = 0.0  # this and what follows: of the thread that looks after it
        self._watching_since = 0.0
        self._known: dict[int, float] = {}  # incarnation → since when it is known to be there
        self._given_up: dict[int, float] = {}  # incarnation → when it was proposed to be lost
        self._mark = 0, 0  # a ticket of the history, and the event that was the last then
        self._history = 0  # the event up to which the history of this relay is written
        self._strays: set[int] = set()  # incarnations that have another log than this keeper
        self._full = False  # what is held of others is as much as may be
        self._news: list[tuple[int, str]] = []  # levels and lines for the log; network lock

    def serve(self, services: Services, event_log: ClusterLog) -> None:
        """Begin; to be called once, before the relay joins the others."""
        self._services, self._event_log = services, event_log
        self._watching_since = services.clock()

    def take_beat(self, data: bytes) -> None:
        """Take what another relay has said. Safe from any thread."""
        neighbour = _read(data, self._services.clock())
        if neighbour is None:
            return
        with self._lock:
            known = self._heard.get(neighbour.name)
            if known is not None and 0 < neighbour.incarnation < known.incarnation:
                return  # of a process that was asleep, and is replaced
            if len(self._heard) >= _NEIGHBOURS and neighbour.name not in self._heard:
                oldest = min(self._heard.values(), key=lambda each: each.heard_s)
                del self._heard[oldest.name]
            self._heard[neighbour.name] = neighbour

    @property
    def neighbours(self) -> Sequence[Neighbour]:
        """How the others have said that they do, this relay among them. Safe from any thread."""
        with self._lock:
            return list(self._heard.values())

    @property
    def strays(self) -> int:
        """How many relays have been seen to have another log than this one, which was the keeper.
        Safe from any thread.
        """
        return len(self._strays)

    @property
    def own(self) -> Neighbour:
        """How this relay does itself. Requires holding the network lock."""
        services, standing = self._services, self._event_log.standing
        return Neighbour(
            self._event_log.name,
            standing.incarnation,
            services.clock(),
            standing.applied,
            self._history,
            self._state.written_to(standing.applied),
            services.registry.people.sessions,
            standing.cut_off,
            __version__,
            self._event_log.mark,
        )

    @property
    def keeper(self) -> str:
        """The relay that is to write the state. Requires holding the network lock."""
        return next(iter(self._services.network.relays), "")

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Take note of relays that come and go."""
        services = self._services
        for effect in found:
            match effect:
                case RelayGone(relay=relay, incarnation=incarnation, reason=reason):
                    services.history.take_over(incarnation)
                    self._choose_keeper()
                    self._note(logging.WARNING, f"relay {relay} is gone ({reason})")
                case RelayCame(relay=relay):
                    self._choose_keeper()
                    self._note(logging.INFO, f"relay {relay} has come")
                case Reloaded(relay=relay) if relay != self._event_log.name:
                    self._reload(relay)
                case _:
                    pass

    def retry(self) -> None:
        """Take note that all other keepers have done so: this one comes after them."""
        self._state.retried()

    def look_after(self) -> None:
        """Say how this relay does; see who is lost; have written what is to be written.

        To be called often; does something every ``BEAT_S``.
        """
        services, now = self._services, self._services.clock()
        if now - self._looked < BEAT_S:
            return
        standing = self._event_log.standing
        own_s = now - self._heard_at().get(standing.incarnation, 0.0)
        if standing.cut_off or now - self._looked > _ASLEEP_S or own_s > _ASLEEP_S:
            self._watching_since = now  # who cannot hear anybody takes nobody for lost
        self._looked = now
        self._look_at_history(standing.applied)
        with services.lock:
            self._state.look_after()
            full = self._state.held >= HELD_WRITES or services.history.spare.full
            for neighbour in self.neighbours:
                services.history.spare.written(neighbour.incarnation, neighbour.history)
            self._forget_written_state()
            own, keeper = self.own, self.keeper
            relays = list(services.network.relays.values())
            news, self._news = self._news, []
        for level, text in news:
            _log.log(level, "%s", text)
        if full and not self._full:
            _log.warning("others write too slowly: were they lost now, some of it would be too")
        self._full = full
        if news:
            announce_relays(services)
        self._compare_logs(keeper, relays)
        self._stream.beat(_write(own))
        if not standing.cut_off:
            others = [each for each in relays if each.incarnation != standing.incarnation]
            self._find_lost(others, now)

    # ---- for tools; without a lock ----

    def await_writes(self) -> None:
        """Wait until all relays have written what has happened up to now. Blocks, for some seconds.

        What one of them wrote later, of an account that is being deleted, nobody would delete any
        more. So it is also waited until none holds it for another: see ``Spare``.

        :raises StoreError: one of them does not come to it.
        """
        event = self._event_log.standing.applied
        self._await_beats(lambda beat: beat.history >= event and beat.state >= event)
        # Who has spoken after a beat more has heard that the others have written it, and let go.
        heard_s = self._services.clock() + BEAT_S
        self._await_beats(lambda beat: beat.heard_s > heard_s)

    def _await_beats(self, enough: Callable[[Neighbour], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            done = {each.incarnation for each in self.neighbours if enough(each)}
            with self._services.lock:
                relays = list(self._services.network.relays.values())
            late = [each.name for each in relays if each.incarnation not in done]
            if not late:
                return
            if time.monotonic() > deadline:
                raise StoreError(
                    "relay {relay} has not written yet what it has: try again later", relay=late[0]
                )
            time.sleep(_LOOK_EVERY_S)

    # ---- inside ----

    def _find_lost(self, relays: Sequence[Relay], now: float) -> None:
        """Give up those of the other relays that have been silent for too long."""
        heard, known = self._heard_at(), self._known
        self._known = {each.incarnation: known.get(each.incarnation, now) for each in relays}
        for relay in relays:
            since = heard.get(relay.incarnation, self._known[relay.incarnation])
            silent_s = now - max(since, self._watching_since)
            proposed = self._given_up.get(relay.incarnation)
            if silent_s > self._lease_s and (proposed is None or now - proposed > self._lease_s):
                self._given_up[relay.incarnation] = now
                self._give_up(relay.name, relay.incarnation, silent_s)

    def _compare_logs(self, keeper: str, relays: Sequence[Relay]) -> None:
        """See whether NATS has told all relays the same. If not, what the keeper writes is right.

        :raises LogsDiffer: this is another one.
        """
        there = {each.incarnation for each in relays} - self._strays
        for neighbour in self.neighbours:
            known = neighbour.incarnation in there
            if not known or not self._event_log.contradicts(neighbour.mark):
                continue
            if neighbour.name == keeper:
                raise LogsDiffer(keeper, neighbour.mark.event)
            if keeper == self._event_log.name:
                self._strays.add(neighbour.incarnation)
                _log.error("NATS has told relay %s another log: it ends", neighbour.name)

    def _heard_at(self) -> dict[int, float]:
        """Return when each relay (incarnation) was heard last, in seconds."""
        return {each.incarnation: each.heard_s for each in self.neighbours}

    def _give_up(self, name: str, incarnation: int, silent_s: float) -> None:
        services = self._services
        _log.error("relay %s was not heard for %.0f s", name, silent_s)
        with services.lock:
            context = relay_context(services)
            lost = RelayLost(services.stamp(0), name, incarnation, "is lost")
            services.event_log.propose(lost, context, None, _note_refusal)

    def _note(self, level: int, text: str) -> None:
        """Have log and clients told soon that relays have changed, if it was after this one came.

        Not at once: many may come and go, and each client is told at most once a ``BEAT_S``.
        """
        if self._event_log.standing.incarnation:
            there = len(self._services.network.relays)
            keeper = self.keeper or "none"
            self._news.append((level, f"{text}; relays: {there}, the keeper is {keeper}"))

    def _choose_keeper(self) -> None:
        """See whether this relay is the one that writes the state, by the event just applied."""
        if self.keeper != self._event_log.name:
            self._state.be_none()
        else:
            self._state.be_keeper()

    def _forget_written_state(self) -> None:
        first = next(iter(self._services.network.relays.values()), None)
        for neighbour in self.neighbours:
            if first is not None and neighbour.incarnation == first.incarnation:
                self._state.written(neighbour.state)

    def _look_at_history(self, applied: int) -> None:
        """Find out up to which event all is written that this relay writes of the history."""
        history = self._services.history
        ticket, event = self._mark
        if history.kept >= ticket:
            self._history = event
            with self._services.lock:
                self._mark = history.taken, self._event_log.standing.applied

    def _reload(self, relay: str) -> None:
        def note(outcome: Outcome[list[str]]) -> None:
            if outcome.error is not None:
                _log.error("reload for %s: nothing has changed: %s", relay, outcome.error)

        try:
            self._services.reload(note, lead=False)
        except CaretakerBusy as error:
            _log.error("reload for %s: %s", relay, error)


def _note_refusal(refusal: Refusal | Fail) -> None:
    _log.warning("a lost relay cannot be given up now: %s", refusal)


def _write(own: Neighbour) -> bytes:
    """Return the beat of a relay."""
    plain = own._asdict()
    del plain["heard_s"]  # whoever hears it has another clock
    return json.dumps(plain).encode()


def _read(data: bytes, heard_s: float) -> Neighbour | None:
    """Return what a beat says, ``None`` if it is none: it is of another version, perhaps."""
    try:
        plain: Any = json.loads(data)
        return Neighbour(
            str(plain["name"]),
            int(plain["incarnation"]),
            heard_s,
            int(plain["applied"]),
            int(plain["history"]),
            int(plain["state"]),
            int(plain["sessions"]),
            str(plain["cut_off"]),
            str(plain["version"]),
            Mark(*map(int, plain["mark"])),
        )
    except (ValueError, KeyError, TypeError):
        return None
