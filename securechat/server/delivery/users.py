"""What happens to users, to lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc.modes import format_modes
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line
from securechat.server.delivery.table import Deliverers

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS"]


def _quit(delivery: Delivery, effect: effects.Quit, context: Context) -> None:
    for channel in effect.channels:
        delivery.forget_members(channel)
    body = f":{effect.author.source} QUIT :{effect.reason}"
    delivery.to_sessions(
        delivery.sessions(*effect.audience), Line(effect.stamp, effect.author, body)
    )


def _nick_changed(delivery: Delivery, effect: effects.NickChanged, context: Context) -> None:
    body = f":{effect.author.source} NICK {effect.nick}"
    sessions = delivery.sessions(effect.user, *effect.audience)
    delivery.to_all(sessions, Line(effect.stamp, effect.author, body), context)


def _realname_changed(
    delivery: Delivery, effect: effects.RealnameChanged, context: Context
) -> None:
    body = f":{effect.author.source} SETNAME :{effect.user.realname}"
    line = Line(effect.stamp, effect.author, body)
    delivery.to_all(delivery.sessions(effect.user), line, context, caps.SETNAME)
    _tell_others(delivery, effect, line, caps.SETNAME)


def _away_changed(delivery: Delivery, effect: effects.AwayChanged, context: Context) -> None:
    text = f" :{effect.user.away}" if effect.user.away else ""
    line = Line(effect.stamp, effect.author, f":{effect.author.source} AWAY{text}")
    _tell_others(delivery, effect, line, caps.AWAY_NOTIFY)


def _account_changed(delivery: Delivery, effect: effects.AccountChanged, context: Context) -> None:
    body = f":{effect.author.source} ACCOUNT {effect.author.account or '*'}"
    line = Line(effect.stamp, effect.author, body)
    delivery.to_all(delivery.sessions(effect.user), line, context, caps.ACCOUNT_NOTIFY)
    _tell_others(delivery, effect, line, caps.ACCOUNT_NOTIFY)


def _tell_others(
    delivery: Delivery,
    effect: effects.RealnameChanged | effects.AwayChanged | effects.AccountChanged,
    line: Line,
    needed: int,
) -> None:
    """Tell those who share a channel with the user, and those who watch the nick: once each."""
    delivery.to_sessions(delivery.sessions(*effect.audience), line, needed)
    if effect.watchers:
        told = {key for user in (effect.user, *effect.audience) for key in user.sessions}
        others = [key for key in effect.watchers if key not in told]
        delivery.to_sessions(delivery.attached(others), line, needed | caps.EXTENDED_MONITOR)


def _user_modes_changed(
    delivery: Delivery, effect: effects.UserModesChanged, context: Context
) -> None:
    modes = " ".join(format_modes(effect.changes))
    body = f":{effect.user.nick} MODE {effect.user.nick} :{modes}"
    delivery.to_all(
        delivery.sessions(effect.user), Line(effect.stamp, effect.author, body), context
    )


def _sessions_changed(
    delivery: Delivery, effect: effects.SessionsChanged, context: Context
) -> None:
    delivery.forget(effect.user)


DELIVERERS: Final[Deliverers] = {
    effects.Quit: _quit,
    effects.NickChanged: _nick_changed,
    effects.RealnameChanged: _realname_changed,
    effects.AwayChanged: _away_changed,
    effects.AccountChanged: _account_changed,
    effects.UserModesChanged: _user_modes_changed,
    effects.SessionsChanged: _sessions_changed,
}
"""What delivers each effect."""
