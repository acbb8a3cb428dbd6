"""LUSERS, MOTD, VERSION, ISUPPORT, ADMIN, TIME, STATS, INFO: what the relay says of itself.

https://modern.ircdocs.horse/#server-queries-and-commands,
https://ircv3.net/specs/extensions/extended-isupport
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from securechat import __version__
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.isupport import token_lines
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.server.commands.bans import list_bans
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.refusals import Refusal
from securechat.server.servers import seen_servers

__all__ = ["check_server", "lusers", "motd", "send_isupport"]

_ISUPPORT_CAPS = caps.BATCH | caps.EXTENDED_ISUPPORT


def check_server(context: Context, *target: str) -> None:
    """Refuse a question to a server that there is not, or to that of a user who is not here.

    "Wildcards are allowed in the <target> parameter." What is asked of another relay of the chat
    this one answers, in its own name: they know the same.
    """
    if not target or not target[0]:
        return
    services = context.services
    known = any(matches(target[0], server.name) for server in seen_servers(services))
    if not known and services.network.find_user(target[0]) is None:
        raise Refusal(numerics.ERR_NOSUCHSERVER, target[0])


def lusers(context: Context) -> None:
    """Send how many people, connections and channels there are, here and on all relays."""
    network, registry = context.services.network, context.services.registry
    invisible, operators = network.mode_counts["i"], network.mode_counts["o"]
    count, servers = len(network.users), max(1, len(network.relays))
    here = registry.people
    unknown = max(0, len(registry) - here.sessions)
    context.reply(
        numerics.RPL_LUSERCLIENT,
        f"There are {count - invisible} users and {invisible} invisible on {servers} servers",
    )
    context.reply(numerics.RPL_LUSEROP, str(operators), "operator(s) online")
    context.reply(numerics.RPL_LUSERUNKNOWN, str(unknown), "unknown connection(s)")
    context.reply(numerics.RPL_LUSERCHANNELS, str(len(network.channels)), "channels formed")
    context.reply(numerics.RPL_LUSERME, f"I have {here.users} clients and {servers - 1} servers")
    for numeric, where, now, most in (
        (numerics.RPL_LOCALUSERS, "local", here.users, here.most_users),
        (numerics.RPL_GLOBALUSERS, "global", count, network.most_users),
    ):
        context.reply(numeric, str(now), str(most), f"Current {where} users {now}, max {most}")


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


def send_isupport(context: Context, news: Iterable[str] | None = None) -> None:
    """Send the 005 lines, of ``news`` alone if they are given.

    "The server MUST NOT send any unbatched RPL_ISUPPORT message while both of these capabilities
    are enabled."
    """
    batched = context.session.caps & _ISUPPORT_CAPS == _ISUPPORT_CAPS
    with context.batch("draft/isupport") if batched else nullcontext():
        for tokens in token_lines(context.services.isupport if news is None else news):
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
    check_server(context, *message.params)
    motd(context)


@command("VERSION")
def version(context: Context, message: Message) -> None:
    """VERSION [<server>].

    See which software this is, and what it supports.
    """
    check_server(context, *message.params)
    name = context.services.name
    context.reply(numerics.RPL_VERSION, f"securechat-{__version__}", name, "IRCv3 over TLS")
    send_isupport(context)


@command("ISUPPORT", early=True)
def isupport(context: Context, message: Message) -> None:
    """ISUPPORT.

    See what the relay supports; clients do this by themselves.
    """
    session = context.session
    if not session.registration.complete and not session.caps & caps.EXTENDED_ISUPPORT:
        raise Refusal(numerics.ERR_NOTREGISTERED)
    send_isupport(context)


@command("ADMIN")
def admin(context: Context, message: Message) -> None:
    """ADMIN [<server>].

    See who runs this relay, and how to reach them.
    """
    check_server(context, *message.params)
    server = context.services.config.server
    if not server.admin:
        raise Refusal(numerics.ERR_NOADMININFO, server.name)
    *about, mail = server.admin.strip().splitlines()
    place, people = [*about, server.description, server.network][:2]
    context.reply(numerics.RPL_ADMINME, server.name, "Administrative info")
    context.reply(numerics.RPL_ADMINLOC1, place)
    context.reply(numerics.RPL_ADMINLOC2, people)
    context.reply(numerics.RPL_ADMINEMAIL, mail)


@command("STATS", least=1)
def stats(context: Context, message: Message) -> Iterator[None]:
    """STATS <letter> [<server>].

    See what the relay tells of itself. u: for how long it has been running.
    k and d: the bans of people and of addresses; for operators.
    """
    query, *target = message.params
    check_server(context, *target)
    if query == "u":
        services = context.services
        minutes, seconds = divmod((services.now_ms() - services.started_ms) // 1000, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        text = f"Server Up {days} days {hours}:{minutes:02}:{seconds:02}"
        context.reply(numerics.RPL_STATSUPTIME, text)
    elif query in ("k", "K", "d", "D"):
        if "o" not in context.user.modes:
            raise Refusal(numerics.ERR_NOPRIVILEGES)
        yield from list_bans(context, "K" if query in "kK" else "D")
    context.reply(numerics.RPL_ENDOFSTATS, as_middle(query), "End of /STATS report")


@command("TIME")
def time_command(context: Context, message: Message) -> None:
    """TIME [<server>].

    See the relay's clock, in UTC.
    """
    check_server(context, *message.params)
    seconds = context.services.now_ms() // 1000
    text = time.strftime("%A %B %d %Y -- %H:%M:%S UTC", time.gmtime(seconds))
    context.reply(numerics.RPL_TIME, context.services.name, str(seconds), text)


@command("INFO")
def info(context: Context, message: Message) -> None:
    """INFO [<server>].

    See what this relay is.
    """
    check_server(context, *message.params)
    for line in (
        f"securechat {__version__}: a private chat with TLS on every connection",
        "Any IRC client works with it; HELP lists what it understands",
        f"Running since {context.services.started}",
    ):
        context.reply(numerics.RPL_INFO, line)
    context.reply(numerics.RPL_ENDOFINFO, "End of INFO list")
