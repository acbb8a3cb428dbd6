"""Nicks that come and go, to lines for those who watch them.

https://ircv3.net/specs/extensions/monitor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line
from securechat.server.delivery.metadata import show_metadata_of
from securechat.server.delivery.table import Deliverers
from securechat.server.state import Author

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS"]


def _came_online(delivery: Delivery, effect: effects.CameOnline, context: Context) -> None:
    _tell(delivery, effect, numerics.RPL_MONONLINE, effect.author.source, context, effect.author)
    show_metadata_of(delivery, effect.user, effect.watchers, context)


def _went_offline(delivery: Delivery, effect: effects.WentOffline, context: Context) -> None:
    _tell(delivery, effect, numerics.RPL_MONOFFLINE, effect.nick, context)


def _tell(
    delivery: Delivery,
    effect: effects.CameOnline | effects.WentOffline,
    numeric: str,
    target: str,
    context: Context,
    cause: Author | None = None,
) -> None:
    # "The server may send "*" instead of the nick": so it is the same line for all.
    name = context.services.name
    stamp = effect.stamp._replace(msgid="")
    author = Author(name, None) if cause is None else cause._replace(source=name)
    line = Line(stamp, author, f":{name} {numeric} * :{target}")
    delivery.to_all(delivery.attached(effect.watchers), line, context)


DELIVERERS: Final[Deliverers] = {
    effects.CameOnline: _came_online,
    effects.WentOffline: _went_offline,
}
"""What delivers each effect."""
