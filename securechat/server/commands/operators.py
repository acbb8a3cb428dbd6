"""KILL, WALLOPS, REHASH: what operators of the relay may do.

https://modern.ircdocs.horse/#operator-messages
"""

from __future__ import annotations

from securechat.errors import SecureChatError
from securechat.irc import numerics
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.irc.text import cut_text
from securechat.server.caretaker import CaretakerBusy
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import Kill, Wallops
from securechat.server.refusals import Fail, Refusal
from securechat.server.store_thread import Outcome

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


@command("REHASH", operator=True)
def rehash(context: Context, message: Message) -> None:
    """REHASH.

    Have the relay read its configuration and its certificate anew; for operators.
    """

    def finish(outcome: Outcome[list[str]]) -> None:
        context.resume(lambda: _reloaded(context, outcome))

    try:
        context.services.reload(finish)
    except CaretakerBusy as error:
        raise Fail("REHASH", "TEMPORARILY_UNAVAILABLE", text=str(error)) from error
    context.reply(numerics.RPL_REHASHING, "*", "Rehashing")
    context.hold()


def _reloaded(context: Context, outcome: Outcome[list[str]]) -> None:
    try:
        lines = outcome.result()
    except SecureChatError as error:
        context.fail("CONFIG_BAD", text="The configuration cannot be used; all is as before")
        lines = str(error).splitlines()
        context.note(f"rehash refused: {'; '.join(lines)}")
    else:
        context.note("rehash")
    for line in lines:
        context.tell(line)
