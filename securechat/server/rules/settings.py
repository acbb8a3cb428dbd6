"""What is set for accounts, and hosts that operators give.

https://ircv3.net/specs/extensions/chghost
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.refusals import Refusal
from securechat.server.rules.rule import Rule
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["HOST", "RULES", "change_value", "show_host"]

HOST: Final = "host"
"""The setting that holds what an operator has given an account for a host."""


def change_host(network: Network, event: events.ChangeHost) -> list[Effect]:
    """Give a user another host; their account has it from now on."""
    user = network.find_user(event.nick)
    if user is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
    found: list[Effect] = []
    if user.account is not None:
        found = change_value(network, event.stamp, user.account, HOST, event.host)
    return found + show_host(network, event.stamp, user, event.host or user.cloak)


def show_host(network: Network, stamp: Stamp, user: User, host: str) -> list[Effect]:
    """Have others see ``host`` for a user; return what tells them."""
    if host == user.host:
        return []
    author, user.host = user.author, host
    user.refresh_author()
    audience, watchers = network.audience(user), network.watching(user.nick)
    return [effects.HostChanged(stamp, user, author, audience, watchers)]


def change_value(
    network: Network, stamp: Stamp, account: str, key: str, value: str
) -> list[Effect]:
    """Set something for an account, or take it away with an empty value."""
    account = network.fold(account)
    values = network.settings.get(account, {})
    if values.get(key, "") == value:
        return []
    if value:
        network.settings.setdefault(account, {})[key] = value
    else:
        del values[key]
        if not values:
            del network.settings[account]
    return [effects.SettingChanged(stamp, account, key, value)]


RULES: Final[Mapping[type[Event], Rule]] = {events.ChangeHost: change_host}
"""The rule of each event."""
