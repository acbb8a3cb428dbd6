"""Read markers: how far somebody has read, on whichever device.

https://ircv3.net/specs/extensions/read-marker
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.rules.rule import Rule

if TYPE_CHECKING:
    from securechat.server.network import Network
    from securechat.server.state import User

__all__ = ["RULES"]


def mark_read(network: Network, event: events.MarkRead) -> list[Effect]:
    """Move a read marker forward, at most to now."""
    user = network.sessions[event.stamp.session]
    read_ms = min(event.read_ms, event.stamp.at_ms)
    users: tuple[User, ...] = (user,)
    markers = user.read_markers
    if user.account is not None:
        users = tuple(other for other in network.users.values() if other.account == user.account)
        markers = network.read_markers.setdefault(network.fold(user.account), {})
    target = network.fold(event.target)
    # "The last read timestamp of a target MUST only ever increase."
    if read_ms <= markers.get(target, -1):
        return []
    markers[target] = read_ms
    return [effects.MarkedRead(event.stamp, users, user.account, event.target, read_ms)]


RULES: Final[Mapping[type[Event], Rule]] = {events.MarkRead: mark_read}
"""The rule of each event."""
