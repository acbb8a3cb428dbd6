"""PRIVMSG, NOTICE, TAGMSG.

https://modern.ircdocs.horse/#sending-messages, https://ircv3.net/specs/extensions/message-tags
"""

from __future__ import annotations

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import NO_TAGS, Message
from securechat.irc.names import is_channel
from securechat.irc.tags import client_only
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import MessageKind, SendMessage
from securechat.server.refusals import Refusal

__all__: list[str] = []


@command("PRIVMSG")
def privmsg(context: Context, message: Message) -> None:
    """PRIVMSG <channel or nick>{,<channel or nick>} <text>.

    Say something.
    """
    targets, text = _targets_and_text(context, message)
    for target in targets:
        try:
            _send(context, message, "PRIVMSG", target, text)
        except Refusal as refusal:
            context.refuse(refusal)


@command("NOTICE")
def notice(context: Context, message: Message) -> None:
    """NOTICE <channel or nick>{,<channel or nick>} <text>.

    Say something that nothing must answer automatically, an error neither.
    """
    try:
        targets, text = _targets_and_text(context, message)
    except Refusal:
        return  # "they must not send any error back to the client on receipt of a NOTICE"
    for target in targets:
        try:
            _send(context, message, "NOTICE", target, text)
        except Refusal as refusal:
            context.note(f"refused NOTICE: {refusal}")


@command("TAGMSG")
def tagmsg(context: Context, message: Message) -> None:
    """TAGMSG <channel or nick>{,<channel or nick>}.

    Send tags without a text: "is typing" and the like; clients do this by themselves.
    """
    if not context.session.caps & caps.MESSAGE_TAGS:
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    for target in _targets(context, message):
        try:
            _send(context, message, "TAGMSG", target, "")
        except Refusal as refusal:
            context.refuse(refusal)


def _targets(context: Context, message: Message) -> list[str]:
    """Return the targets, each once.

    :raises Refusal: there are none, or too many.
    """
    if not message.params or not message.params[0]:
        text = f"No recipient given ({message.command})"
        raise Refusal(numerics.ERR_NORECIPIENT, text=text)
    given = message.params[0]
    if "," not in given:
        return [given]
    targets = list(dict.fromkeys(target for target in given.split(",") if target)) or [given]
    if len(targets) > context.services.config.limits.targets:
        raise Refusal(numerics.ERR_TOOMANYTARGETS, given)
    return targets


def _targets_and_text(context: Context, message: Message) -> tuple[list[str], str]:
    targets = _targets(context, message)
    if len(message.params) < 2 or not message.params[1]:
        raise Refusal(numerics.ERR_NOTEXTTOSEND)
    return targets, message.params[1]


def _send(context: Context, message: Message, kind: MessageKind, target: str, text: str) -> None:
    services, session = context.services, context.session
    tags = NO_TAGS
    if message.tags and session.caps & caps.MESSAGE_TAGS:
        tags = client_only(message.tags)
    event = SendMessage(context.stamp(), target, kind, text, tags)
    context.propose(event)
    if kind == "PRIVMSG" and not is_channel(target):
        recipient = services.network.find_user(target)
        if recipient is not None and recipient.away:
            context.reply(numerics.RPL_AWAY, recipient.nick, recipient.away)
