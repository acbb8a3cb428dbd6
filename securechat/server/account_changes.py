"""Changes of accounts that were made from outside of the chat, told to a running relay.

Whoever calls these has changed the store before. Each takes the network lock for as long as a
command would, and is safe from any thread that holds no lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from securechat.errors import StoreError
from securechat.server.cluster.membership import BEAT_S, Neighbour
from securechat.server.event_log import propose_for_relay
from securechat.server.events import CloseAccount, CreateAccount, Stamp
from securechat.server.names import guest_nick

if TYPE_CHECKING:
    from securechat.server.cluster.cluster import Cluster
    from securechat.server.services import Services

__all__ = ["announce_account", "await_writes", "close_account"]

_PATIENCE_S: Final = 15.0
"""How long other relays may take to write what they have: they tell every second how far they are,
and a store that is in trouble for longer is not waited for."""

_LOOK_EVERY_S: Final = 0.05


def close_account(services: Services, account: str, reason: str, *, forget: bool) -> None:
    """Put off all devices of ``account``, on all relays, telling them ``reason``.

    Nobody logs in to it any more.

    With ``forget`` nothing is left of it in the chat: its rooms belong to nobody, and its nick is
    free. Without it all that it had stays, until ``announce_account`` says that it may be used.
    """

    def make(stamp: Stamp) -> CloseAccount:
        return CloseAccount(stamp, account, reason, forget)

    propose_for_relay(services, make)


def announce_account(services: Services, name: str) -> None:
    """Take note that there is an account ``name``, and that it may be used, perhaps again.

    A guest who has its nick gets another one.
    """
    displaced = guest_nick(services.config.limits.nick_length)
    propose_for_relay(services, lambda stamp: CreateAccount(stamp, name, displaced))


def await_writes(services: Services) -> None:
    """Wait until all relays have written what has happened up to now. Blocks, for some seconds.

    What one of them wrote later, of an account that is being deleted, nobody would delete any more.
    So it is also waited until none holds it for another: see ``Spare``.

    :raises StoreError: one of them does not come to it.
    """
    cluster = services.cluster
    if cluster is None:
        return
    event = cluster.event_log.standing.applied
    _await_beats(services, cluster, lambda beat: beat.history >= event and beat.state >= event)
    # Who has spoken after a beat more has heard that the others have written it, and let go of it.
    heard_s = services.clock() + BEAT_S
    _await_beats(services, cluster, lambda beat: beat.heard_s > heard_s)


def _await_beats(services: Services, cluster: Cluster, enough: Callable[[Neighbour], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        done = {each.incarnation for each in cluster.members.neighbours if enough(each)}
        with services.lock:
            relays = list(services.network.relays.values())
        late = [each.name for each in relays if each.incarnation not in done]
        if not late:
            return
        if time.monotonic() > deadline:
            raise StoreError(
                "relay {relay} has not written yet what it has: try again later", relay=late[0]
            )
        time.sleep(_LOOK_EVERY_S)
