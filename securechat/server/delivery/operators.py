"""What operators of the relay do, to lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line
from securechat.server.delivery.table import Deliverers

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS"]


def _killed(delivery: Delivery, effect: effects.Killed, context: Context) -> None:
    operator = effect.author.source
    user, reason = effect.user, effect.reason
    farewell = f"Killed ({operator.partition('!')[0]} ({reason}))"
    sessions = delivery.sessions(user)
    quiet = effect.stamp._replace(msgid="")  # the id is the QUIT's
    for stamp, author, body in (
        (quiet, effect.author, f":{operator} KILL {user.nick} :{reason}"),
        # "The user being killed and every user sharing a channel with them receives a QUIT"
        (effect.stamp, user.author, f":{user.author.source} QUIT :{farewell}"),
    ):
        delivery.to_all(sessions, Line(stamp, author, body), context)
    for session in sessions:
        session.close_soon(farewell, logged="Killed by an operator")


def _wallops_sent(delivery: Delivery, effect: effects.WallopsSent, context: Context) -> None:
    line = Line(effect.stamp, effect.author, f":{effect.author.source} WALLOPS :{effect.text}")
    delivery.to_all(delivery.sessions(*effect.audience), line, context)


DELIVERERS: Final[Deliverers] = {
    effects.Killed: _killed,
    effects.WallopsSent: _wallops_sent,
}
"""What delivers each effect."""
