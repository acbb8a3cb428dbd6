"""The one order of events.

With one relay the log is a function call under the network lock: apply, deliver, in the same turn.
Callers do not know that: what they do after an event they pass as ``then``.
"""

from __future__ import annotations

from collections.abc import Callable

from securechat.server.context import Context
from securechat.server.delivery import Delivery
from securechat.server.events import Event
from securechat.server.journal import describe
from securechat.server.network import Network

__all__ = ["EventLog"]


class EventLog:
    """Puts events in order, applies them, delivers their effects. Guarded by the network lock."""

    def __init__(self, network: Network, delivery: Delivery) -> None:
        self._network = network
        self._delivery = delivery

    def propose(
        self, event: Event, context: Context, then: Callable[[], None] | None = None
    ) -> None:
        """Apply ``event`` and deliver its effects, then call ``then``.

        :raises Refusal: the state forbids it.
        """
        found = self._network.apply(event)
        self._delivery.deliver(found, context)
        for note in describe(found):
            context.note(note)
        if then is not None:
            then()
