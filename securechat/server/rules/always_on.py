"""Users without a device: put back after a restart, and taken away when nobody comes any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.server import events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.rules.belonging import put_back
from securechat.server.rules.presence import (
    ALWAYS_ON,
    forget_presence,
    keep_presence,
    say_away,
    stays,
)
from securechat.server.rules.rule import Rule
from securechat.server.rules.settings import HOST, change_value
from securechat.server.rules.users import enter_network, leave_network
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES"]


def change_setting(network: Network, event: events.ChangeSetting) -> list[Effect]:
    """Set something for an account; whoever wishes to be always on is so from now on."""
    stamp = event.stamp
    found = change_value(network, stamp, event.account, event.key, event.value)
    user = network.find_user(event.account)
    if event.key != ALWAYS_ON or user is None or user.account is None:
        return found
    if stays(network, user):
        return found + keep_presence(network, stamp, user)
    if not user.sessions:
        return found + leave_network(network, stamp, user, "No longer always on")
    return found + forget_presence(network, stamp, user)


def restore(network: Network, event: events.Restore) -> list[Effect]:
    """Put back the user of an account that is always on."""
    stamp = event.stamp
    if network.find_user(event.account) is not None:
        return []
    network.restored_users += 1
    user = User(
        id=-network.restored_users,  # sessions, after which others are called, count up
        nick=event.account,
        username=event.username,
        realname=event.realname,
        host=network.setting(event.account, HOST) or event.cloak,
        cloak=event.cloak,
        address="",
        account=event.account,
        connected_ms=stamp.at_ms,
        active_ms=event.gone_ms or stamp.at_ms,
        gone_ms=event.gone_ms or stamp.at_ms,
    )
    if not stays(network, user):
        return forget_presence(network, stamp, user)
    network.gone[user.id] = user
    seen = enter_network(network, stamp, user)
    put_back(network, user, stamp.at_ms)
    return [*seen, *say_away(network, stamp, user, ""), *keep_presence(network, stamp, user)]


def expire(network: Network, event: events.Expire) -> list[Effect]:
    """Take off the network whom no device has come back to for too long."""
    return [
        effect
        for user in list(network.gone.values())
        if user.gone_ms < event.before_ms
        for effect in leave_network(network, event.stamp, user, "Gone for too long")
    ]


RULES: Final[Mapping[type[Event], Rule]] = {
    events.ChangeSetting: change_setting,
    events.Restore: restore,
    events.Expire: expire,
}
"""The rule of each event."""
