"""How far somebody has read, to lines for their devices, and for nobody else.

https://ircv3.net/specs/extensions/read-marker
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc.message import Message
from securechat.server import effects
from securechat.server.context import Context, end_line
from securechat.server.delivery.lines import server_time
from securechat.server.delivery.table import Deliverers

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery
    from securechat.server.network import Network
    from securechat.server.state import User

__all__ = ["DELIVERERS", "marker_params"]


def marker_params(network: Network, user: User, target: str) -> tuple[str, str]:
    """Return the parameters of the MARKREAD that tells how far ``user`` has read ``target``."""
    at_ms = network.markers(user).get(network.fold(target))
    return target, "*" if at_ms is None else f"timestamp={server_time(at_ms)}"


def _marked_read(delivery: Delivery, effect: effects.MarkedRead, context: Context) -> None:
    # The origin is answered by the handler, in any case.
    params = effect.target, f"timestamp={server_time(effect.read_ms)}"
    line = end_line("", Message("MARKREAD", params, source=context.services.name).to_line())
    for session in delivery.sessions(*effect.users):
        if session is not context.origin and session.caps & caps.READ_MARKER:
            session.connection.send(line)


DELIVERERS: Final[Deliverers] = {effects.MarkedRead: _marked_read}
"""What delivers each effect."""
