"""The one order of events.

With one relay the log is a function call under the network lock: apply, deliver, in the same turn.
Callers do not know that: what they do after an event they pass as ``then``.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from securechat.server.context import Context, relay_context
from securechat.server.delivery.delivery import Delivery
from securechat.server.effects import SAID, Effect
from securechat.server.events import Event, Stamp
from securechat.server.journal import describe
from securechat.server.network import Network
from securechat.server.refusals import Fail, Refusal

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["PATIENCE_S", "EventLog", "Keeper", "propose_for_relay"]

_log = logging.getLogger(__name__)

PATIENCE_S: Final = 10.0
"""How long the relay itself waits for an event of its own to come back, in seconds."""


class Keeper(Protocol):
    """Hands what must last to the store. Guarded by the network lock; must not block."""

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Take the effects of one event, before they are delivered."""

    def retry(self) -> None:
        """Hand over again what the store could not keep: it has recovered."""


class EventLog:
    """Puts events in order, applies, keeps and delivers them. Guarded by the network lock."""

    def __init__(
        self,
        network: Network,
        delivery: Delivery,
        history: Keeper,
        keepers: Iterable[Keeper] = (),
    ) -> None:
        """``history`` keeps what was said and done, ``keepers`` the state, before it."""
        self._network = network
        self._delivery = delivery
        self._keepers = (*keepers, history)
        self._keepers_of_words = (history,)

    def propose(
        self,
        event: Event,
        context: Context,
        then: Callable[[], None] | None,
        refused: Callable[[Refusal | Fail], None],
    ) -> None:
        """Have ``event`` put in order and settled.

        ``then`` is called when its effects are on their way, or else ``refused`` with why not.
        """
        self.settle(event, context, then, refused)

    def settle(
        self,
        event: Event,
        context: Context,
        then: Callable[[], None] | None,
        refused: Callable[[Refusal | Fail], None],
    ) -> None:
        """Apply ``event``, which is the next one, keep and deliver its effects."""
        try:
            found = self._network.apply(event)
        except (Refusal, Fail) as refusal:
            refused(refusal)
            return
        if len(found) > 1:
            found = _with_own_ids(found)
        said = len(found) == 1 and type(found[0]) in SAID  # most events, by far
        for keeper in self._keepers_of_words if said else self._keepers:
            keeper.keep(found, context)
        self._delivery.deliver(found, context)
        if not said and context.elsewhere is None:
            for note in describe(found):
                context.note(note)
        if then is not None:
            then()

    def keep_again(self) -> None:
        """Have kept what the store could not keep, now that it has recovered."""
        for keeper in self._keepers:
            keeper.retry()


def propose_for_relay(
    services: Services,
    make: Callable[[Stamp], Event],
    then: Callable[[], None] | None = None,
) -> None:
    """Propose an event of the relay itself, which ``make`` makes of its stamp.

    Takes the network lock, for as long as a command would; ``make`` and ``then`` are called under
    it. Safe from any thread that holds no lock; blocks until the event has come back.

    :raises Refusal, Fail: the state forbids it, or it has not come back for ``PATIENCE_S``.
    """
    context = relay_context(services)
    outcomes: queue.SimpleQueue[Refusal | Fail | None] = queue.SimpleQueue()

    def settled() -> None:
        if then is not None:
            then()
        outcomes.put(None)

    with services.lock:
        services.event_log.propose(make(services.stamp(0)), context, settled, outcomes.put)
    try:
        refusal = outcomes.get(timeout=PATIENCE_S)
    except queue.Empty:
        text = f"The other relays have not answered in {PATIENCE_S:.0f} s; it may yet be done"
        raise Fail("*", "RELAY_ISOLATED", text=text) from None
    with services.lock:
        notes = context.take_notes()
    for note in notes:
        _log.info("relay: %s", note)
    if refusal is not None:
        raise refusal


def _with_own_ids(found: Iterable[Effect]) -> list[Effect]:
    """Return the effects of one event, each with an id of its own: the first has the event's.

    https://ircv3.net/specs/extensions/message-ids: "any other message transmitted on the entire
    network at any time MUST NOT share the same value".
    """
    effects = list(found)
    for n, effect in enumerate(effects[1:], 1):
        stamp = effect.stamp._replace(msgid=f"{effect.stamp.msgid}-{n}")
        effects[n] = replace(effect, stamp=stamp)
    return effects
