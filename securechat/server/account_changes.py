"""Changes of accounts that were made from outside of the chat, told to a running relay.

Whoever calls these has changed the store before. Each takes the network lock for as long as a
command would, and is safe from any thread that holds no lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from securechat.server.event_log import propose_for_relay
from securechat.server.events import CloseAccount, CreateAccount, Stamp
from securechat.server.names import guest_nick

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["announce_account", "close_account"]


def close_account(services: Services, account: str, reason: str, *, forget: bool) -> None:
    """Put off all devices of ``account``, telling them ``reason``; nobody logs in to it any more.

    With ``forget`` nothing is left of it in the chat: its rooms belong to nobody, and its nick is
    free. Without it all that it had stays, until ``announce_account`` says that it may be used.
    """

    def put_off_unregistered() -> None:
        # They are not in the chat yet, and would come as whoever has the account by then.
        network = services.network
        key = network.fold(account)
        for session in services.registry.snapshot():
            own = session.account
            if own is not None and session.id not in network.sessions and network.fold(own) == key:
                session.close_soon(reason, logged="Account closed")

    def make(stamp: Stamp) -> CloseAccount:
        return CloseAccount(stamp, account, reason, forget)

    propose_for_relay(services, make, put_off_unregistered)


def announce_account(services: Services, name: str) -> None:
    """Take note that there is an account ``name``, and that it may be used, perhaps again.

    A guest who has its nick gets another one.
    """
    displaced = guest_nick(services.config.limits.nick_length)
    propose_for_relay(services, lambda stamp: CreateAccount(stamp, name, displaced))
