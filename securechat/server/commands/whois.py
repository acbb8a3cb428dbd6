"""WHOIS, WHOWAS, USERHOST, ISON: questions about people by their nick.

https://modern.ircdocs.horse/#user-based-queries
"""

from __future__ import annotations

import time
from itertools import islice
from typing import Final

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.server.commands.server_queries import check_server
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.refusals import Refusal
from securechat.server.rooms import shown_prefixes, words_lines
from securechat.server.rules.metadata import metadata_of
from securechat.server.servers import home_server
from securechat.server.state import User, WhowasEntry
from securechat.server.visibility import sees_details, shown_address, shown_channels

__all__: list[str] = []

_USERHOST_NICKS: Final = 5
"""Nicks in one USERHOST: "takes up to five nicknames"."""


@command("WHOIS")
def whois(context: Context, message: Message) -> None:
    """WHOIS [<server or nick>] <nick>.

    See all about one person that you may see.
    """
    if not message.params or not message.params[-1]:
        raise Refusal(numerics.ERR_NONICKNAMEGIVEN)
    if len(message.params) > 1:
        check_server(context, message.params[0])
    wanted = message.params[1] if len(message.params) > 1 else message.params[0]
    nick = wanted.split(",")[0]  # TARGMAX allows one; more are dropped
    user = context.services.network.find_user(nick)
    if user is None:
        context.refuse(Refusal(numerics.ERR_NOSUCHNICK, nick))
    else:
        _tell_person(context, user)
        if sees_details(context.user, user):
            _tell_details(context, user)
    context.reply(numerics.RPL_ENDOFWHOIS, as_middle(wanted), "End of /WHOIS list")


@command("WHOWAS")
def whowas(context: Context, message: Message) -> None:
    """WHOWAS <nick> [<count>].

    See who had a nick that nobody has any more, the latest first.
    """
    if not message.params or not message.params[0]:
        raise Refusal(numerics.ERR_NONICKNAMEGIVEN)
    nick = message.params[0]
    count = message.params[1] if len(message.params) > 1 else ""
    # "If given, <count> SHOULD be a positive number. Otherwise, a full search is done."
    most = int(count[:9]) if count.isascii() and count.isdigit() else 0
    entries = list(islice(context.services.network.find_departed(nick), most or None))
    if not entries:
        context.refuse(Refusal(numerics.ERR_WASNOSUCHNICK, nick))
    for entry in entries:
        _tell_departed(context, entry)
    context.reply(numerics.RPL_ENDOFWHOWAS, as_middle(nick), "End of WHOWAS")


@command("USERHOST", least=1)
def userhost(context: Context, message: Message) -> None:
    """USERHOST <nick>{ <nick>}.

    See user name and host of up to five people.
    """
    found = []
    for nick in message.params[:_USERHOST_NICKS]:
        user = context.services.network.find_user(nick)
        if user is not None:
            operator = "*" if "o" in user.modes else ""
            away = "-" if user.away else "+"
            found.append(f"{user.nick}{operator}={away}{user.username}@{user.host}")
    context.reply(numerics.RPL_USERHOST, " ".join(found))


@command("ISON", least=1)
def ison(context: Context, message: Message) -> None:
    """ISON <nick>{ <nick>}.

    See which of these people are here.
    """
    nicks = [nick for param in message.params for nick in param.split()]
    users = [context.services.network.find_user(nick) for nick in nicks]
    context.reply(numerics.RPL_ISON, " ".join(user.nick for user in users if user is not None))


def _tell_person(context: Context, user: User) -> None:
    """Tell what everybody may know."""
    services, nick = context.services, user.nick
    context.reply(numerics.RPL_WHOISUSER, nick, user.username, user.host, "*", user.realname)
    shown = [
        shown_prefixes(channel.members[user.id], context.session.caps) + channel.name
        for channel in shown_channels(context.user, user)
    ]
    for line in words_lines(shown, len(nick)):
        context.reply(numerics.RPL_WHOISCHANNELS, nick, line)
    server = home_server(services, user)
    context.reply(numerics.RPL_WHOISSERVER, nick, server.name, server.info)
    if "o" in user.modes:
        context.reply(numerics.RPL_WHOISOPERATOR, nick, "is an IRC operator")
    if "B" in user.modes:
        context.reply(numerics.RPL_WHOISBOT, nick, f"is a bot on {services.config.server.network}")
    if user.account is not None:
        context.reply(numerics.RPL_WHOISACCOUNT, nick, user.account, "is logged in as")
    if user.away:
        context.reply(numerics.RPL_AWAY, nick, user.away)
    if context.session.caps & caps.METADATA:
        for key, value in metadata_of(services.network, user).items():
            context.reply(numerics.RPL_WHOISKEYVALUE, nick, key, "*", value)
    devices = [services.network.devices[session] for session in user.sessions]
    # Not of a web gateway's client that has no TLS, nor of one who is always on and not here.
    if devices and all(device.secure for device in devices):
        context.reply(numerics.RPL_WHOISSECURE, nick, "is using a secure connection")
    idle_s = max(0, services.now_ms() - user.active_ms) // 1000
    context.reply(
        numerics.RPL_WHOISIDLE,
        nick,
        str(idle_s),
        str(user.connected_ms // 1000),
        "seconds idle, signon time",
    )


def _tell_details(context: Context, user: User) -> None:
    """Tell what only the user and operators may know."""
    nick = user.nick
    if user.address:  # none since a restart, of one who is always on
        address = shown_address(user.address)
        context.reply(numerics.RPL_WHOISACTUALLY, nick, address, "Is actually using host")
    modes = "".join(sorted(user.modes))
    if modes:
        context.reply(numerics.RPL_WHOISMODES, nick, f"is using modes +{modes}")
    for session in user.sessions:
        fingerprint = context.services.network.devices[session].fingerprint
        if fingerprint:
            text = f"has client certificate fingerprint {fingerprint}"
            context.reply(numerics.RPL_WHOISCERTFP, nick, text)


def _tell_departed(context: Context, entry: WhowasEntry) -> None:
    nick = entry.nick
    context.reply(numerics.RPL_WHOWASUSER, nick, entry.username, entry.host, "*", entry.realname)
    if entry.address and "o" in context.user.modes:
        context.reply(
            numerics.RPL_WHOISACTUALLY,
            nick,
            shown_address(entry.address),
            "Was actually using host",
        )
    if entry.account is not None:
        context.reply(numerics.RPL_WHOISACCOUNT, nick, entry.account, "was logged in as")
    when = time.strftime("%a %b %d %Y %H:%M:%S UTC", time.gmtime(entry.at_ms // 1000))
    context.reply(numerics.RPL_WHOISSERVER, nick, context.services.name, when)
