"""Users: coming and going, nicks, flags, accounts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.modes import ModeChange
from securechat.server import effects, events
from securechat.server.addresses import parse_ip
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Banned, Fail, NickReserved, Refusal
from securechat.server.rules.belonging import logged_in
from securechat.server.rules.metadata import adopt_metadata, unsubscribe_all
from securechat.server.rules.monitors import came_online, stop_watching, went_offline
from securechat.server.rules.peers import end_announcement
from securechat.server.rules.presence import (
    forget_presence,
    keep_presence,
    say_away,
    show_away,
    stays,
)
from securechat.server.rules.rule import Rule
from securechat.server.rules.settings import HOST, show_host
from securechat.server.rules.user_modes import set_user_mode
from securechat.server.state import Device, User, session_label

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = [
    "RULES",
    "check_may_log_in",
    "end_sessions",
    "enter_network",
    "forget_session",
    "leave_network",
    "no_such_device",
    "put_off",
]

_OTHER_DEVICES: Final = "Other devices of yours have the account that you have; disconnect them"
_LEFT: Final = "left the relay"
_OTHER_ACCOUNT: Final = "is logged in to another account now"
_CLOSED: Final = "This account may not be used"
_ENDED: Final = "Disconnected by another device"
_BANNED_NICK: Final = "A ban covers this nickname"
_STAYS: Final = "Your account is always on: connect anew, or first SET always-on off"


def attach(network: Network, event: events.Attach) -> list[Effect]:
    """A session is on the network: as a new user, or attached to that of its account."""
    stamp = event.stamp
    _check_may_attach(network, event)
    user = network.find_user(event.nick)
    _check_free(network, event.nick, user, event.account)
    if user is None:
        user = User(
            id=stamp.session,
            nick=event.nick,
            username=event.username,
            realname=event.realname,
            host=network.setting(event.account, HOST) or event.host,
            cloak=event.host,
            address=event.address,
            account=event.account,
            connected_ms=stamp.at_ms,
            active_ms=stamp.at_ms,
        )
        seen = enter_network(network, stamp, user)
    elif user.account is None or user.account != event.account:
        raise Refusal(numerics.ERR_NICKNAMEINUSE, event.nick)
    else:
        seen = [effects.SessionsChanged(stamp, user)]
    user.sessions.append(stamp.session)
    network.sessions[stamp.session] = user
    network.devices[stamp.session] = Device(
        str(parse_ip(event.address)), event.host, stamp.at_ms, event.secure, event.fingerprint
    )
    seen += say_away(network, stamp, user, event.away)
    if len(user.sessions) > 1:
        return seen
    if network.gone.pop(user.id, None) is not None:
        user.gone_ms, user.address = 0, event.address
    return seen + keep_presence(network, stamp, user)


def _check_may_attach(network: Network, event: events.Attach) -> None:
    """Refuse whom a ban covers, and an account that is closed."""
    if event.account is not None and network.fold(event.account) in network.closed_accounts:
        raise Refusal(numerics.ERR_YOUREBANNEDCREEP, text=_CLOSED)
    at_ms, bans = event.stamp.at_ms, network.bans
    shown = network.setting(event.account, HOST) or event.host
    hosts = {shown, event.host, str(parse_ip(event.address))}
    ban = bans.of_address(event.address, at_ms) or bans.covering(
        event.nick, event.username, hosts, at_ms
    )
    if ban is not None:
        raise Banned(ban.reason)


def detach(network: Network, event: events.Detach) -> list[Effect]:
    """A session has ended. The user goes with the last one, if they are not always on."""
    stamp = event.stamp
    user = network.sessions.get(stamp.session)
    if user is None:
        return []
    return end_sessions(network, stamp, user, (stamp.session,), event.reason)


def end_device(network: Network, event: events.EndDevice) -> list[Effect]:
    """Put a device off the network, of the account of who wants it."""
    stamp, device = event.stamp, event.device
    account = network.sessions[stamp.session].account
    user = network.sessions.get(device)
    if user is None or account is None or user.account != account:
        raise no_such_device(session_label(device))
    return [
        effects.DeviceEnded(stamp, account, device, _ENDED),
        *end_sessions(network, stamp, user, (device,), _ENDED),
    ]


def no_such_device(number: str) -> Fail:
    """Return why the device that people call ``number`` cannot be ended."""
    text = "No device of yours has that number"
    return Fail("DEVICES", "NO_SUCH_DEVICE", number, text=text)


def end_sessions(
    network: Network,
    stamp: Stamp,
    user: User,
    sessions: Collection[SessionId],
    reason: str,
    *,
    may_stay: bool = True,
) -> list[Effect]:
    """Take sessions of ``user`` off the network, at least one.

    The user goes with the last one, always on or not unless they ``may_stay``.
    """
    seen: list[Effect] = []
    for session in sessions:
        seen += forget_session(network, stamp, user, session)
        user.sessions.remove(session)
        user.away_texts.pop(session, None)
    if not user.sessions and not (may_stay and stays(network, user)):
        return seen + leave_network(network, stamp, user, reason)
    seen += [effects.SessionsChanged(stamp, user), *show_away(network, stamp, user)]
    if user.sessions:
        return seen
    user.gone_ms = stamp.at_ms
    network.gone[user.id] = user
    if "o" in user.modes:  # whoever attaches next has not shown to be an operator
        set_user_mode(network, user, ModeChange(False, "o"))
    return seen + keep_presence(network, stamp, user)


def put_off(
    network: Network,
    stamp: Stamp,
    user: User,
    devices: tuple[SessionId, ...],
    text: str,
    cause: str,
    *,
    may_stay: bool,
) -> list[Effect]:
    """End sessions of ``user``, which are told ``text``; others see ``cause``.

    Who may not stay goes, even where no session is attached: then ``devices`` are all they have.
    """
    if not devices:
        return leave_network(network, stamp, user, cause)
    told = effects.PutOff(stamp, user, devices, text, cause)
    return [told, *end_sessions(network, stamp, user, devices, cause, may_stay=may_stay)]


def forget_session(network: Network, stamp: Stamp, user: User, session: SessionId) -> list[Effect]:
    """Forget a session that is on the network; its ``user`` keeps it in their list."""
    ended = end_announcement(network, stamp, user, session, _LEFT)
    del network.sessions[session], network.devices[session]
    stop_watching(network, session)
    unsubscribe_all(network, session)
    return ended


def enter_network(network: Network, stamp: Stamp, user: User) -> list[Effect]:
    """Put a new user on the network."""
    network.users[user.id] = user
    network.take_nick(user)
    network.most_users = max(network.most_users, len(network.users))
    return came_online(network, stamp, user)


def leave_network(network: Network, stamp: Stamp, user: User, reason: str) -> list[Effect]:
    """Take a user off the network who has no session any more."""
    network.remember_departed(user, stamp.at_ms)
    audience = network.audience(user)
    channels = tuple(user.channels.values())
    for channel in channels:
        network.remove_member(channel, user)
    for channel in network.channels.values():
        channel.invited.pop(user.id, None)
    network.mode_counts.subtract(user.modes)
    network.gone.pop(user.id, None)
    del network.users[user.id]
    network.give_up_nick(user)
    return [
        effects.Quit(stamp, user, user.author, reason, audience, channels),
        *went_offline(network, stamp, user.nick),
        *forget_presence(network, stamp, user),
    ]


def change_nick(network: Network, event: events.ChangeNick) -> list[Effect]:
    """Give a user another nick, which must be free for them."""
    user = network.sessions[event.stamp.session]
    _check_free(network, event.nick, user, user.account)
    if network.find_user(event.nick) not in (None, user):
        raise Refusal(numerics.ERR_NICKNAMEINUSE, event.nick)
    if event.nick == user.nick:
        return []
    at_ms = event.stamp.at_ms
    hosts = {user.host, *(host for key in user.sessions for host in network.devices[key].hosts)}
    if "o" not in user.modes and network.bans.covering(event.nick, user.username, hosts, at_ms):
        raise Refusal(numerics.ERR_ERRONEUSNICKNAME, event.nick, text=_BANNED_NICK)
    for channel in user.channels.values():
        # A nick can be read like a message, and a mask may be of the old one.
        if not channel.ranks(user) and channel.muted(user):
            raise Refusal(numerics.ERR_BANONCHAN, event.nick, channel.name)
    return _rename(network, event.stamp, user, event.nick)


def _rename(network: Network, stamp: Stamp, user: User, nick: str) -> list[Effect]:
    old, author = user.nick, user.author
    renamed = network.fold(old) != network.fold(nick)
    if renamed:
        network.remember_departed(user, stamp.at_ms)
    forgotten = forget_presence(network, stamp, user)
    network.give_up_nick(user)
    user.nick = nick
    network.take_nick(user)
    user.refresh_author()
    audience = network.audience(user)
    changed = effects.NickChanged(stamp, user, author, nick, audience)
    kept = [*forgotten, *keep_presence(network, stamp, user)]
    if not renamed:
        return [changed, *kept]
    offline, online = went_offline(network, stamp, old), came_online(network, stamp, user)
    return [changed, *offline, *online, *kept]


def set_realname(network: Network, event: events.SetRealname) -> list[Effect]:
    """Give a user another real name."""
    user = network.sessions[event.stamp.session]
    user.realname = event.realname
    audience, watchers = network.audience(user), network.watching(user.nick)
    return [effects.RealnameChanged(event.stamp, user, user.author, audience, watchers)]


def create_account(network: Network, event: events.CreateAccount) -> list[Effect]:
    """Reserve the nick of an account; who holds it otherwise must move on."""
    network.closed_accounts.discard(network.fold(event.account))
    network.add_account(event.account)
    holder = network.find_user(event.account)
    maker = network.sessions.get(event.stamp.session)
    if holder is None or holder is maker or holder.account == event.account:
        return []
    return _rename(network, event.stamp, holder, _free_nick(network, event.displaced_nick))


def _free_nick(network: Network, nick: str) -> str:
    while network.fold(nick) in network.nicks or network.fold(nick) in network.accounts:
        nick += "_"
    return nick


def check_may_log_in(network: Network, user: User, account: str) -> None:
    """Refuse if ``user`` cannot be that of another account from now on.

    One with several devices, or who stays without any, belongs to the account that it has.
    """
    if network.fold(account) in network.closed_accounts:
        raise Refusal(numerics.ERR_SASLFAIL, text=_CLOSED)
    if user.account in (None, account):
        return
    if len(user.sessions) > 1:
        raise Refusal(numerics.ERR_SASLALREADY, text=_OTHER_DEVICES)
    if stays(network, user):
        raise Refusal(numerics.ERR_SASLALREADY, text=_STAYS)


def log_in(network: Network, event: events.LogIn) -> list[Effect]:
    """Log a user in, who may have been logged in to another account."""
    user = network.sessions[event.stamp.session]
    if user.account == event.account:
        return []
    check_may_log_in(network, user, event.account)
    previous, shown = network.account_key(user), user.host
    # A user of another account has one session; what it has announced is a device of that account.
    seen = end_announcement(network, event.stamp, user, event.stamp.session, _OTHER_ACCOUNT)
    if network.setting(user.account, HOST):
        shown = user.cloak  # the other host stays with the account
    user.account = event.account
    user.refresh_author()
    audience, watchers = network.audience(user), network.watching(user.nick)
    seen.append(
        effects.AccountChanged(event.stamp, user, user.author, audience, watchers, previous)
    )
    seen += logged_in(network, event, user, previous)
    if previous is not None:
        seen += _move_on(network, event, user)
    seen += show_host(network, event.stamp, user, network.setting(event.account, HOST) or shown)
    seen += keep_presence(network, event.stamp, user)
    return [*seen, *adopt_metadata(network, event.stamp, user)]


def _move_on(network: Network, event: events.LogIn, user: User) -> list[Effect]:
    """Take from ``user`` a nick that their new account may not have; give them its own, if free."""
    try:
        _check_free(network, user.nick, user, user.account)
    except Refusal:
        free = network.find_user(event.account) is None and not network.resembles_nick(
            event.account, user, event.account
        )
        nick = event.account if free else _free_nick(network, event.displaced_nick)
        return _rename(network, event.stamp, user, nick)
    return []


def _check_free(network: Network, nick: str, user: User | None, account: str | None) -> None:
    """Check that ``nick`` is no account's but ``account``, and that it looks like nobody else."""
    owner = network.accounts.get(network.fold(nick))
    if owner is not None and owner != account:
        raise NickReserved(nick)
    if network.resembles_account(nick, account):
        raise NickReserved(nick)
    if network.resembles_nick(nick, user, account):
        raise Refusal(numerics.ERR_NICKNAMEINUSE, nick, text="Nickname looks like one in use")


RULES: Final[Mapping[type[Event], Rule]] = {
    events.Attach: attach,
    events.Detach: detach,
    events.EndDevice: end_device,
    events.ChangeNick: change_nick,
    events.SetRealname: set_realname,
    events.CreateAccount: create_account,
    events.LogIn: log_in,
}
"""The rule of each event."""
