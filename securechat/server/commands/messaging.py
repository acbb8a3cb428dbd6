"""PRIVMSG, NOTICE, TAGMSG.

https://modern.ircdocs.horse/#sending-messages, https://ircv3.net/specs/extensions/message-tags
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import NO_TAGS, Message
from securechat.irc.names import is_channel
from securechat.irc.tags import client_only
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import MessageKind, SendMessage
from securechat.server.refusals import Fail, Refusal

__all__ = ["relayed_tags", "say"]


@command("PRIVMSG", overtakes=True)
def privmsg(context: Context, message: Message) -> None:
    """PRIVMSG <channel or nick>{,<channel or nick>} <text>.

    Say something.
    """
    targets, text = _targets_and_text(context, message)
    say(context, "PRIVMSG", targets, text, relayed_tags(context, message))


@command("NOTICE", overtakes=True)
def notice(context: Context, message: Message) -> None:
    """NOTICE <channel or nick>{,<channel or nick>} <text>.

    Say something that nothing must answer automatically, an error neither.
    """
    try:
        targets, text = _targets_and_text(context, message)
    except Refusal:
        return  # "they must not send any error back to the client on receipt of a NOTICE"
    say(context, "NOTICE", targets, text, relayed_tags(context, message))


@command("TAGMSG", overtakes=True)
def tagmsg(context: Context, message: Message) -> None:
    """TAGMSG <channel or nick>{,<channel or nick>}.

    Send tags without a text: "is typing" and the like; clients do this by themselves.
    """
    if not context.session.caps & caps.MESSAGE_TAGS:
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    targets = _targets(context, message)
    tags = relayed_tags(context, message)
    if not tags and client_only(message.tags):
        return  # all that it has to say is denied: "silently ignored"
    say(context, "TAGMSG", targets, "", tags)


def relayed_tags(context: Context, message: Message) -> Mapping[str, str]:
    """Return the tags of ``message`` that are passed on: the client-only ones."""
    if message.tags and context.session.caps & caps.MESSAGE_TAGS:
        return client_only(message.tags, context.services.config.limits.denied_client_tags)
    return NO_TAGS


def say(
    context: Context,
    kind: MessageKind,
    targets: Iterable[str],
    text: str,
    tags: Mapping[str, str],
) -> None:
    """Send a message to each of ``targets``; tell what is refused, but for a NOTICE."""
    refused = partial(_note_refusal, context) if kind == "NOTICE" else None
    for target in targets:
        _send(context, kind, target, text, tags, refused)


def _note_refusal(context: Context, refusal: Refusal | Fail) -> None:
    """Answer a refused NOTICE by nothing, unless it was lost for a reason of the relay's own."""
    if isinstance(refusal, Refusal):
        context.note(f"refused NOTICE: {refusal}")
    else:
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


def _send(
    context: Context,
    kind: MessageKind,
    target: str,
    text: str,
    tags: Mapping[str, str],
    refused: Callable[[Refusal | Fail], None] | None,
) -> None:
    if context.services.history.full or context.session.unstored_full:
        text = "Messages cannot be kept in the history at the moment; try again"
        raise Fail(kind, "TEMPORARILY_UNAVAILABLE", as_middle(target), text=text)
    personal = kind == "PRIVMSG" and not is_channel(target)
    then = partial(_tell_if_away, context, target) if personal else None
    context.propose(SendMessage(context.stamp(), target, kind, text, tags), then, refused)


def _tell_if_away(context: Context, target: str) -> None:
    recipient = context.services.network.find_user(target)
    if recipient is not None and recipient.away:
        context.reply(numerics.RPL_AWAY, recipient.nick, recipient.away)
