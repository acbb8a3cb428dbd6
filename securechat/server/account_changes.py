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
