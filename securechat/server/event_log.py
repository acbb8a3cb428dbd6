"""The one order of events.

With one relay the log is a function call under the network lock: apply, deliver, in the same turn.
Callers do not know that: what they do after an event they pass as ``then``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from securechat.server.context import Context
from securechat.server.delivery.delivery import Delivery
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.journal import describe
from securechat.server.network import Network

__all__ = ["EventLog", "Keeper"]

Keeper = Callable[[Sequence[Effect], Context], None]
"""Hands what must last of an event's effects to the store. Called under the network lock, before
the effects are delivered; it must not block."""


class EventLog:
    """Puts events in order, applies, keeps and delivers them. Guarded by the network lock."""

    def __init__(
        self, network: Network, delivery: Delivery, keepers: Iterable[Keeper] = ()
    ) -> None:
        self._network = network
        self._delivery = delivery
        self._keepers = tuple(keepers)

    def propose(
        self, event: Event, context: Context, then: Callable[[], None] | None = None
    ) -> None:
        """Apply ``event`` and deliver its effects, then call ``then``.

        :raises Refusal: the state forbids it.
        """
        found = self._network.apply(event)
        if len(found) > 1:
            found = _with_own_ids(found)
        for keep in self._keepers:
            keep(found, context)
        self._delivery.deliver(found, context)
        for note in describe(found):
            context.note(note)
        if then is not None:
            then()


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
