"""Read markers: how far somebody has read, on whichever device.

They are by name, of people and of rooms. Those of a room go with it when it is renamed. Those of a
room that has ended may stay: they are older than whatever will be said in a new room of that name.

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

__all__ = ["RULES", "move_markers"]


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


def move_markers(network: Network, old: str, new: str) -> None:
    """Move everybody's marker of the channel ``old`` (folded), which is called ``new`` now.

    What was marked under the new name was of another channel.
    """
    guests = (user.read_markers for user in network.users.values())
    for markers in (*network.read_markers.values(), *guests):
        markers.pop(new, None)
        if old in markers:
            markers[new] = markers.pop(old)


RULES: Final[Mapping[type[Event], Rule]] = {events.MarkRead: mark_read}
"""The rule of each event."""
