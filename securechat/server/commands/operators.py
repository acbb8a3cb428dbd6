"""KILL and WALLOPS: what operators of the relay may do.

https://modern.ircdocs.horse/#operator-messages
"""

from __future__ import annotations

from securechat.irc import numerics
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.irc.text import cut_text
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import Kill, Wallops
from securechat.server.refusals import Refusal

__all__: list[str] = []


@command("KILL", least=1, operator=True)
def kill(context: Context, message: Message) -> None:
    """KILL <nick> [<reason>].

    Put somebody off the relay, with all their devices; for operators. They can come back at once.
    """
    nick, *given = message.params
    if matches(nick, context.services.name):
        raise Refusal(numerics.ERR_CANTKILLSERVER)
    limit = context.services.config.limits.kick_length
    reason = cut_text(given[0] if given else "", limit) or "No reason was given"
    context.propose(Kill(context.stamp(), nick, reason))


@command("WALLOPS", least=1, operator=True)
def wallops(context: Context, message: Message) -> None:
    """WALLOPS <text>.

    Say something to all who have the user mode +w; for operators.
    """
    if not message.params[0]:
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    context.propose(Wallops(context.stamp(), message.params[0]))
