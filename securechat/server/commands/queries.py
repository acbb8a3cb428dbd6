"""WHO, WHOIS, USERHOST, ISON, LUSERS, MOTD, VERSION, TIME, INFO, HELP.

https://modern.ircdocs.horse/#user-based-queries and #server-queries-and-commands
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Final

from securechat import __version__
from securechat.irc import numerics
from securechat.irc.isupport import token_lines
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.irc.names import is_channel
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import Command, command
from securechat.server.refusals import Refusal
from securechat.server.rooms import shown_prefixes, words_lines
from securechat.server.state import Channel, Membership, User

__all__ = ["lusers", "motd", "send_isupport"]

_USERHOST_NICKS: Final = 5
"""Nicks in one USERHOST: "takes up to five nicknames"."""


@command("WHO")
def who(context: Context, message: Message) -> None:
    """WHO <channel | nick | mask> [o].

    See people: those of a channel, one, or those whose nick fits a mask; with "o" operators only.
    """
    mask = message.params[0] if message.params else "*"
    operators_only = len(message.params) > 1 and message.params[1] == "o"
    for channel, member in _who(context, mask):
        if not operators_only or "o" in member.user.modes:
            _who_reply(context, channel, member)
    context.reply(numerics.RPL_ENDOFWHO, as_middle(mask), "End of WHO list")


@command("WHOIS")
def whois(context: Context, message: Message) -> None:
    """WHOIS [<server or nick>] <nick>.

    See all about one person that you may see.
    """
    if not message.params or not message.params[-1]:
        raise Refusal(numerics.ERR_NONICKNAMEGIVEN)
    if len(message.params) > 1:
        _check_server(context, message.params[0])
    nick = message.params[1] if len(message.params) > 1 else message.params[0]
    user = context.services.network.find_user(nick.split(",")[0])
    if user is None:
        context.refuse(Refusal(numerics.ERR_NOSUCHNICK, nick))
    else:
        _whois_reply(context, user)
    context.reply(numerics.RPL_ENDOFWHOIS, as_middle(nick), "End of /WHOIS list")


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


def lusers(context: Context) -> None:
    """Send how many people, connections and channels there are."""
    network, registry = context.services.network, context.services.registry
    invisible, operators = network.mode_counts["i"], network.mode_counts["o"]
    count, most = len(network.users), network.most_users
    unknown = max(0, len(registry) - len(network.sessions))
    context.reply(
        numerics.RPL_LUSERCLIENT,
        f"There are {count - invisible} users and {invisible} invisible on 1 servers",
    )
    context.reply(numerics.RPL_LUSEROP, str(operators), "operator(s) online")
    context.reply(numerics.RPL_LUSERUNKNOWN, str(unknown), "unknown connection(s)")
    context.reply(numerics.RPL_LUSERCHANNELS, str(len(network.channels)), "channels formed")
    context.reply(numerics.RPL_LUSERME, f"I have {count} clients and 0 servers")
    for numeric, where in (
        (numerics.RPL_LOCALUSERS, "local"),
        (numerics.RPL_GLOBALUSERS, "global"),
    ):
        text = f"Current {where} users {count}, max {most}"
        context.reply(numeric, str(count), str(most), text)


def motd(context: Context) -> None:
    """Send the message of the day."""
    server = context.services.config.server
    if not server.motd:
        context.reply(numerics.ERR_NOMOTD, numerics.ERROR_TEXTS[numerics.ERR_NOMOTD])
        return
    context.reply(numerics.RPL_MOTDSTART, f"- {server.name} message of the day -")
    for line in server.motd.strip("\n").splitlines():
        context.reply(numerics.RPL_MOTD, f"- {line}")
    context.reply(numerics.RPL_ENDOFMOTD, "End of /MOTD command")


def send_isupport(context: Context) -> None:
    """Send the 005 lines."""
    for tokens in token_lines(context.services.isupport):
        context.reply(numerics.RPL_ISUPPORT, *tokens, "are supported by this server")


@command("LUSERS")
def lusers_command(context: Context, message: Message) -> None:
    """LUSERS.

    See how many people and channels there are.
    """
    lusers(context)


@command("MOTD")
def motd_command(context: Context, message: Message) -> None:
    """MOTD [<server>].

    See the message of the day.
    """
    _check_server(context, *message.params)
    motd(context)


@command("VERSION")
def version(context: Context, message: Message) -> None:
    """VERSION [<server>].

    See which software this is, and what it supports.
    """
    _check_server(context, *message.params)
    name = context.services.name
    context.reply(numerics.RPL_VERSION, f"securechat-{__version__}", name, "IRCv3 over TLS")
    send_isupport(context)


@command("TIME")
def time_command(context: Context, message: Message) -> None:
    """TIME [<server>].

    See the relay's clock, in UTC.
    """
    _check_server(context, *message.params)
    seconds = context.services.now_ms() // 1000
    text = time.strftime("%A %B %d %Y -- %H:%M:%S UTC", time.gmtime(seconds))
    context.reply(numerics.RPL_TIME, context.services.name, str(seconds), text)


@command("INFO")
def info(context: Context, message: Message) -> None:
    """INFO [<server>].

    See what this relay is.
    """
    _check_server(context, *message.params)
    for line in (
        f"securechat {__version__}: a private chat with TLS on every connection",
        "Any IRC client works with it; HELP lists what it understands",
        f"Running since {context.services.started}",
    ):
        context.reply(numerics.RPL_INFO, line)
    context.reply(numerics.RPL_ENDOFINFO, "End of INFO list")


@command("HELP", early=True)
def help_command(context: Context, message: Message) -> None:
    """HELP [<command>].

    See what the relay understands, or how one command is used.
    """
    subject = message.params[0].upper() if message.params else ""
    commands = context.services.commands
    entry = commands.get(subject)
    if subject and entry is None:
        raise Refusal(numerics.ERR_HELPNOTFOUND, message.params[0])
    title, *lines = _help_entry(entry) if entry else _help_overview(sorted(commands))
    topic = subject or "*"
    context.reply(numerics.RPL_HELPSTART, topic, title)
    for line in lines[:-1]:
        context.reply(numerics.RPL_HELPTXT, topic, line)
    context.reply(numerics.RPL_ENDOFHELP, topic, lines[-1])


def _help_entry(entry: Command) -> list[str]:
    return [entry.syntax, "", *entry.help.splitlines()]


def _help_overview(names: list[str]) -> list[str]:
    return [
        "The commands of this relay",
        "",
        *words_lines(names, 0),
        "HELP <command> tells more.",
    ]


# ---- people ----


def _who(context: Context, mask: str) -> Iterator[tuple[Channel | None, Membership]]:
    """Yield whom ``mask`` names and the asker may see, with the channel to show them in."""
    network, asker = context.services.network, context.user
    if is_channel(mask):
        channel = network.find_channel(mask)
        inside = channel is not None and asker.id in channel.members
        if channel is None or ("s" in channel.modes and not inside):
            return
        for member in channel.members.values():
            if inside or "i" not in member.user.modes:
                yield channel, member
        return
    exact = network.find_user(mask)
    if exact is not None:
        yield _shown_in(asker, exact)
        return
    for user in network.users.values():
        if matches(mask, user.nick) and _may_see(asker, user):
            yield _shown_in(asker, user)


def _may_see(asker: User, user: User) -> bool:
    return (
        "i" not in user.modes
        or user is asker
        or not asker.channels.keys().isdisjoint(user.channels)
        or "o" in asker.modes
    )


def _shown_in(asker: User, user: User) -> tuple[Channel | None, Membership]:
    for name, channel in user.channels.items():
        if "s" not in channel.modes or name in asker.channels:
            return channel, channel.members[user.id]
    return None, Membership(user)


def _who_reply(context: Context, channel: Channel | None, member: Membership) -> None:
    user = member.user
    flags = "G" if user.away else "H"
    if "o" in user.modes:
        flags += "*"
    flags += shown_prefixes(member, context.session.caps)
    name = context.services.name
    context.reply(
        numerics.RPL_WHOREPLY,
        channel.name if channel is not None else "*",
        user.username,
        user.host,
        name,
        user.nick,
        flags,
        f"0 {user.realname}",
    )


def _whois_reply(context: Context, user: User) -> None:
    services, asker = context.services, context.user
    nick = user.nick
    trusted = user is asker or "o" in asker.modes
    context.reply(numerics.RPL_WHOISUSER, nick, user.username, user.host, "*", user.realname)
    shown = [
        shown_prefixes(channel.members[user.id], context.session.caps) + channel.name
        for name, channel in user.channels.items()
        if trusted or name in asker.channels or ("s" not in channel.modes and "i" not in user.modes)
    ]
    for line in words_lines(shown, len(nick)):
        context.reply(numerics.RPL_WHOISCHANNELS, nick, line)
    context.reply(numerics.RPL_WHOISSERVER, nick, services.name, services.config.server.network)
    if "o" in user.modes:
        context.reply(numerics.RPL_WHOISOPERATOR, nick, "is an IRC operator")
    if user.account is not None:
        context.reply(numerics.RPL_WHOISACCOUNT, nick, user.account, "is logged in as")
    if user.away:
        context.reply(numerics.RPL_AWAY, nick, user.away)
    if trusted:
        # A leading colon would end the middle parameters; "0::1" is the same address as "::1".
        address = f"0{user.address}" if user.address.startswith(":") else user.address
        context.reply(numerics.RPL_WHOISACTUALLY, nick, address, "Is actually using host")
        for session in services.registry.find(user.sessions):
            if session.certificate is not None:
                digest = hashlib.sha256(session.certificate).hexdigest()
                text = f"has client certificate fingerprint {digest}"
                context.reply(numerics.RPL_WHOISCERTFP, nick, text)
    context.reply(numerics.RPL_WHOISSECURE, nick, "is using a secure connection")
    idle_s = max(0, services.now_ms() - user.active_ms) // 1000
    context.reply(
        numerics.RPL_WHOISIDLE,
        nick,
        str(idle_s),
        str(user.connected_ms // 1000),
        "seconds idle, signon time",
    )


def _check_server(context: Context, *target: str) -> None:
    """Refuse a question to another server than this one, or than that of a user who is here."""
    if not target or not target[0]:
        return
    network = context.services.network
    here = matches(target[0], context.services.name) or network.find_user(target[0]) is not None
    if not here:
        raise Refusal(numerics.ERR_NOSUCHSERVER, target[0])
