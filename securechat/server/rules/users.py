"""Users: coming and going, nicks, flags, accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.refusals import NickReserved, Refusal
from securechat.server.rules.monitors import came_online, stop_watching, went_offline
from securechat.server.rules.presence import say_away
from securechat.server.rules.rule import Rule
from securechat.server.rules.settings import HOST, show_host
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "leave_network"]


def attach(network: Network, event: events.Attach) -> list[Effect]:
    """A session is on the network: as a new user, or attached to that of its account."""
    _check_reserved(network, event.nick, event.account)
    user = network.find_user(event.nick)
    if user is None:
        user = User(
            id=event.stamp.session,
            nick=event.nick,
            username=event.username,
            realname=event.realname,
            host=network.setting(event.account, HOST) or event.host,
            cloak=event.host,
            address=event.address,
            account=event.account,
            connected_ms=event.stamp.at_ms,
            active_ms=event.stamp.at_ms,
        )
        network.users[user.id] = user
        network.nicks[network.fold(user.nick)] = user
        network.most_users = max(network.most_users, len(network.users))
    elif user.account is None or user.account != event.account:
        raise Refusal(numerics.ERR_NICKNAMEINUSE, event.nick)
    user.sessions.append(event.stamp.session)
    network.sessions[event.stamp.session] = user
    seen = came_online(network, event.stamp, user)
    if len(user.sessions) > 1:
        seen = [effects.SessionsChanged(event.stamp, user)]
    return seen + say_away(network, event.stamp, user, event.away)


def detach(network: Network, event: events.Detach) -> list[Effect]:
    """A session has ended. The user goes with the last one."""
    user = network.sessions.pop(event.stamp.session, None)
    if user is None:
        return []
    user.sessions.remove(event.stamp.session)
    stop_watching(network, event.stamp.session)
    if user.sessions:
        changed = effects.SessionsChanged(event.stamp, user)
        return [changed, *say_away(network, event.stamp, user, "")]
    return leave_network(network, event.stamp, user, event.reason)


def leave_network(network: Network, stamp: Stamp, user: User, reason: str) -> list[Effect]:
    """Take a user off the network who has no session any more."""
    network.remember_departed(user, stamp.at_ms)
    audience = network.audience(user)
    channels = tuple(user.channels.values())
    for channel in channels:
        network.remove_member(channel, user)
    for channel in network.channels.values():
        channel.invited.discard(user.id)
    network.mode_counts.subtract(user.modes)
    del network.users[user.id]
    del network.nicks[network.fold(user.nick)]
    return [
        effects.Quit(stamp, user, user.author, reason, audience, channels),
        *went_offline(network, stamp, user.nick),
    ]


def change_nick(network: Network, event: events.ChangeNick) -> list[Effect]:
    """Give a user another nick, which must be free for them."""
    user = network.sessions[event.stamp.session]
    _check_reserved(network, event.nick, user.account)
    if network.find_user(event.nick) not in (None, user):
        raise Refusal(numerics.ERR_NICKNAMEINUSE, event.nick)
    if event.nick == user.nick:
        return []
    return _rename(network, event.stamp, user, event.nick)


def _rename(network: Network, stamp: Stamp, user: User, nick: str) -> list[Effect]:
    old, author = user.nick, user.author
    renamed = network.fold(old) != network.fold(nick)
    if renamed:
        network.remember_departed(user, stamp.at_ms)
    del network.nicks[network.fold(user.nick)]
    user.nick = nick
    network.nicks[network.fold(nick)] = user
    user.refresh_author()
    audience = network.audience(user)
    changed = effects.NickChanged(stamp, user, author, nick, audience)
    if not renamed:
        return [changed]
    return [changed, *went_offline(network, stamp, old), *came_online(network, stamp, user)]


def set_realname(network: Network, event: events.SetRealname) -> list[Effect]:
    """Give a user another real name."""
    user = network.sessions[event.stamp.session]
    user.realname = event.realname
    audience, watchers = network.audience(user), network.watching(user.nick)
    return [effects.RealnameChanged(event.stamp, user, user.author, audience, watchers)]


def create_account(network: Network, event: events.CreateAccount) -> list[Effect]:
    """Reserve the nick of an account; who holds it otherwise must move on."""
    network.accounts[network.fold(event.account)] = event.account
    holder = network.find_user(event.account)
    maker = network.sessions.get(event.stamp.session)
    if holder is None or holder is maker or holder.account == event.account:
        return []
    nick = event.displaced_nick
    while network.fold(nick) in network.nicks or network.fold(nick) in network.accounts:
        nick += "_"
    return _rename(network, event.stamp, holder, nick)


def log_in(network: Network, event: events.LogIn) -> list[Effect]:
    """Log a user in."""
    user = network.sessions[event.stamp.session]
    if user.account == event.account:
        return []
    user.account = event.account
    user.refresh_author()
    audience, watchers = network.audience(user), network.watching(user.nick)
    return [
        effects.AccountChanged(event.stamp, user, user.author, audience, watchers),
        *show_host(network, event.stamp, user, network.setting(event.account, HOST) or user.host),
    ]


def _check_reserved(network: Network, nick: str, account: str | None) -> None:
    owner = network.accounts.get(network.fold(nick))
    if owner is not None and owner != account:
        raise NickReserved(nick)


RULES: Final[Mapping[type[Event], Rule]] = {
    events.Attach: attach,
    events.Detach: detach,
    events.ChangeNick: change_nick,
    events.SetRealname: set_realname,
    events.CreateAccount: create_account,
    events.LogIn: log_in,
}
"""The rule of each event."""
