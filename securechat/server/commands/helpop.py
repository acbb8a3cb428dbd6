"""HELP and HELPOP: what the relay understands.

https://modern.ircdocs.horse/#help-message
"""

from __future__ import annotations

from collections.abc import Sequence

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.help_topics import TOPICS, Topic
from securechat.server.refusals import Refusal
from securechat.server.rooms import words_lines

__all__: list[str] = []


@command("HELP", early=True)
def help_command(context: Context, message: Message) -> None:
    """HELP [<command or topic>].

    See what the relay understands, how one command is used, or what is said on a topic.
    """
    _help(context, message)


@command("HELPOP", early=True)
def helpop(context: Context, message: Message) -> None:
    """HELPOP [<command or topic>].

    The same as HELP.
    """
    _help(context, message)


def _help(context: Context, message: Message) -> None:
    subject = message.params[0].upper() if message.params else ""
    topic = _topic(context, subject)
    if topic is None:
        raise Refusal(numerics.ERR_HELPNOTFOUND, message.params[0])
    shown = subject or "*"
    # "the first RPL_HELPTXT message SHOULD be empty"
    *lines, last = topic.lines
    context.reply(numerics.RPL_HELPSTART, shown, topic.title)
    for line in ("", *lines):
        context.reply(numerics.RPL_HELPTXT, shown, line)
    context.reply(numerics.RPL_ENDOFHELP, shown, last)


def _topic(context: Context, subject: str) -> Topic | None:
    commands = context.services.commands
    if not subject:
        return _overview(sorted(commands))
    entry = commands.get(subject)
    if entry is not None:
        return Topic(entry.syntax, tuple(entry.help.splitlines()))
    return TOPICS.get(subject)


def _overview(names: Sequence[str]) -> Topic:
    return Topic(
        "The commands of this relay",
        (
            *words_lines(list(names), 0),
            "and the topics",
            *words_lines(sorted(TOPICS), 0),
            "HELP <command or topic> tells more.",
        ),
    )
