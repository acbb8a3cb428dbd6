"""Accounts that may not be used any more: suspended, or deleted.

What is kept of an account that was only suspended stays as it is, for the day when it may be used
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.rules.belonging import forget_account
from securechat.server.rules.rule import Rule
from securechat.server.rules.settings import change_value
from securechat.server.rules.users import put_off

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES"]

_CAUSE: Final = "Account closed"


def close_account(network: Network, event: events.CloseAccount) -> list[Effect]:
    """Put off the users of an account, and keep it closed; forget it if it is deleted."""
    account, stamp = network.fold(event.account), event.stamp
    network.closed_accounts.add(account)
    found: list[Effect] = [effects.AccountClosed(stamp, account, event.forget, event.reason)]
    for user in [each for each in network.users.values() if network.account_key(each) == account]:
        devices = tuple(user.sessions)
        found += put_off(network, stamp, user, devices, event.reason, _CAUSE, may_stay=False)
    return found + _forget(network, stamp, account) if event.forget else found


def _forget(network: Network, stamp: Stamp, account: str) -> list[Effect]:
    found = forget_account(network, stamp, account)
    for key in list(network.settings.get(account, ())):
        found += change_value(network, stamp, account, key, "")
    name = network.accounts.get(account, account)
    found += [
        effects.MetadataChanged(stamp, name, key, "", (), account)
        for key in network.metadata.pop(account, ())
    ]
    network.read_markers.pop(account, None)
    network.remove_account(account)
    return found


RULES: Final[Mapping[type[Event], Rule]] = {events.CloseAccount: close_account}
"""The rule of each event."""
