"""What happens to users, to lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.modes import format_modes
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.channels import tell_joined
from securechat.server.delivery.lines import Line
from securechat.server.delivery.table import Deliverers
from securechat.server.state import Author

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS", "tell_others"]

_Change = (
    effects.RealnameChanged
    | effects.AwayChanged
    | effects.AccountChanged
    | effects.HostChanged
    | effects.ReachabilityChanged
)


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
    tell_others(delivery, effect, line, caps.SETNAME, context)


def _away_changed(delivery: Delivery, effect: effects.AwayChanged, context: Context) -> None:
    text = f" :{effect.user.away}" if effect.user.away else ""
    line = Line(effect.stamp, effect.author, f":{effect.author.source} AWAY{text}")
    tell_others(delivery, effect, line, caps.AWAY_NOTIFY, context)


def _account_changed(delivery: Delivery, effect: effects.AccountChanged, context: Context) -> None:
    body = f":{effect.author.source} ACCOUNT {effect.author.account or '*'}"
    line = Line(effect.stamp, effect.author, body)
    delivery.to_all(delivery.sessions(effect.user), line, context, caps.ACCOUNT_NOTIFY)
    tell_others(delivery, effect, line, caps.ACCOUNT_NOTIFY, context)


def tell_others(
    delivery: Delivery,
    effect: _Change,
    line: Line,
    needed: int,
    context: Context,
) -> None:
    """Tell those who share a channel with the user, and those who watch the nick: once each."""
    delivery.to_all(delivery.sessions(*effect.audience), line, context, needed)
    if effect.watchers:
        told = {key for user in (effect.user, *effect.audience) for key in user.sessions}
        others = [key for key in effect.watchers if key not in told]
        watching = delivery.attached(others)
        delivery.to_all(watching, line, context, needed | caps.EXTENDED_MONITOR)


def _host_changed(delivery: Delivery, effect: effects.HostChanged, context: Context) -> None:
    user, author = effect.user, effect.author
    line = Line(effect.stamp, author, f":{author.source} CHGHOST {user.username} {user.host}")
    delivery.to_all(delivery.sessions(user), line, context, caps.CHGHOST)
    tell_others(delivery, effect, line, caps.CHGHOST, context)
    name = context.services.name
    body = f":{name} {numerics.RPL_VISIBLEHOST} {user.nick} {user.host} :is now your displayed host"
    quiet = effect.stamp._replace(msgid="")
    delivery.to_all(delivery.sessions(user), Line(quiet, Author(name, None), body), context)
    _simulate_reconnection(delivery, effect, context)


def _simulate_reconnection(
    delivery: Delivery, effect: effects.HostChanged, context: Context
) -> None:
    """Let those who share a channel and know no CHGHOST see the user leave and come again."""
    user, quiet = effect.user, effect.stamp._replace(msgid="")
    ignorant = {
        session.id: session
        for session in delivery.sessions(*effect.audience)
        if not session.caps & caps.CHGHOST
    }
    if not ignorant:
        return
    left = f":{effect.author.source} QUIT :Changing host"
    delivery.to_all(ignorant.values(), Line(quiet, effect.author, left), context)
    for channel in user.channels.values():
        here = [session for session in delivery.members(channel) if session.id in ignorant]
        tell_joined(delivery, quiet, channel, user, here, context)


def _setting_changed(delivery: Delivery, effect: effects.SettingChanged, context: Context) -> None:
    """It is told to whom it matters by the effects that come with it."""


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


def _device_ended(delivery: Delivery, effect: effects.DeviceEnded, context: Context) -> None:
    for session in delivery.attached((effect.device,)):
        session.close_soon(effect.reason, logged="Ended by its account")


DELIVERERS: Final[Deliverers] = {
    effects.Quit: _quit,
    effects.NickChanged: _nick_changed,
    effects.RealnameChanged: _realname_changed,
    effects.AwayChanged: _away_changed,
    effects.AccountChanged: _account_changed,
    effects.HostChanged: _host_changed,
    effects.SettingChanged: _setting_changed,
    effects.UserModesChanged: _user_modes_changed,
    effects.SessionsChanged: _sessions_changed,
    effects.DeviceEnded: _device_ended,
}
"""What delivers each effect."""
