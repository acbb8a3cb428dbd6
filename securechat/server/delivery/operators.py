"""What operators of the relay do, to lines, and what they are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.server import effects
from securechat.server.ban_words import until
from securechat.server.context import Context
from securechat.server.delivery.lines import Line, to_session
from securechat.server.delivery.table import Deliverers
from securechat.server.state import User

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


def _put_off(delivery: Delivery, effect: effects.PutOff, context: Context) -> None:
    params = effect.user.nick, effect.text
    numeric = numerics.ERR_YOUREBANNEDCREEP
    line = Message(numeric, params, source=context.services.name).to_line()
    for session in delivery.attached(effect.devices):
        to_session(session, [("", line)], context)
        session.close_soon(effect.text, logged=effect.cause)


def _ban_added(delivery: Delivery, effect: effects.BanAdded, context: Context) -> None:
    ban, count = effect.ban, effect.count
    devices = f"{count} device{'' if count == 1 else 's'}"
    text = f"{ban.kind}-line of {ban.by}: {ban.mask}, {until(ban)}; {devices} put off: {ban.reason}"
    _tell(delivery, effect.operators, text, context)


def _ban_removed(delivery: Delivery, effect: effects.BanRemoved, context: Context) -> None:
    text = f"{effect.ban.kind}-line ended by {effect.by}: {effect.ban.mask}"
    _tell(delivery, effect.operators, text, context)


def _tell(delivery: Delivery, users: Iterable[User], text: str, context: Context) -> None:
    """Tell users something in words; every client shows a NOTICE."""
    for user in users:
        line = Message("NOTICE", (user.nick, text), source=context.services.name).to_line()
        for session in delivery.sessions(user):
            to_session(session, [("", line)], context)


def _account_closed(delivery: Delivery, effect: effects.AccountClosed, context: Context) -> None:
    """Put off who would come as whoever has the account by then; others are users, and effects."""
    services, network = context.services, context.services.network
    for session in services.registry.snapshot():
        own = session.account
        if own is None or session.registration.complete:
            continue
        if network.fold(own) == effect.account:
            session.close_soon(effect.reason, logged="Account closed")


def _relay_gone(delivery: Delivery, effect: effects.RelayGone, context: Context) -> None:
    """Who notices is told by the effects that come with it: see ``Delivery.deliver``."""


def _unseen(
    delivery: Delivery, effect: effects.RelayCame | effects.Reloaded, context: Context
) -> None:
    """Nobody sees it."""


DELIVERERS: Final[Deliverers] = {
    effects.RelayGone: _relay_gone,
    effects.RelayCame: _unseen,
    effects.Reloaded: _unseen,
    effects.Killed: _killed,
    effects.PutOff: _put_off,
    effects.BanAdded: _ban_added,
    effects.BanRemoved: _ban_removed,
    effects.AccountClosed: _account_closed,
    effects.WallopsSent: _wallops_sent,
}
"""What delivers each effect."""
