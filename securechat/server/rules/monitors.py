"""Monitors: which sessions are told when a nick comes and goes.

https://ircv3.net/specs/extensions/monitor
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Refusal
from securechat.server.rules.rule import Rule
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "came_online", "stop_watching", "went_offline"]


def watch(network: Network, event: events.Watch) -> list[Effect]:
    """Put nicks on the list of a session; those for which there is no room are refused."""
    session, limit = event.stamp.session, network.limits.monitored_nicks
    nicks = network.monitors.get(session, {})
    wanted = {folded: nick for nick in event.nicks if (folded := network.fold(nick)) not in nicks}
    fitting = list(wanted.items())[: limit - len(nicks)]
    for folded, nick in fitting:
        network.monitors.setdefault(session, {})[folded] = nick
        network.watchers.setdefault(folded, {})[session] = None
    if len(fitting) == len(wanted):
        return []
    rest = ",".join(list(wanted.values())[len(fitting) :])
    refusal = Refusal(numerics.ERR_MONLISTFULL, str(limit), rest)
    return [effects.Refused(event.stamp, refusal)]


def unwatch(network: Network, event: events.Unwatch) -> list[Effect]:
    """Take nicks off the list of a session."""
    for nick in event.nicks:
        _forget(network, event.stamp.session, network.fold(nick))
    return []


def stop_watching(network: Network, session: SessionId) -> None:
    """Forget the whole list of a session, which has ended."""
    for folded in list(network.monitors.get(session, ())):
        _forget(network, session, folded)


def came_online(network: Network, stamp: Stamp, user: User) -> list[Effect]:
    """Return what tells that the nick of ``user`` is there now; nothing if nobody watches it."""
    watchers = network.watching(user.nick)
    return [effects.CameOnline(stamp, user, user.author, watchers)] if watchers else []


def went_offline(network: Network, stamp: Stamp, nick: str) -> list[Effect]:
    """Return what tells that ``nick`` is there no more; nothing if nobody watches it."""
    watchers = network.watching(nick)
    return [effects.WentOffline(stamp, nick, watchers)] if watchers else []


def _forget(network: Network, session: SessionId, folded: str) -> None:
    nicks = network.monitors.get(session, {})
    if nicks.pop(folded, None) is None:
        return
    if not nicks:
        del network.monitors[session]
    watchers = network.watchers[folded]
    del watchers[session]
    if not watchers:
        del network.watchers[folded]


RULES: Final[Mapping[type[Event], Rule]] = {events.Watch: watch, events.Unwatch: unwatch}
"""The rule of each event."""
