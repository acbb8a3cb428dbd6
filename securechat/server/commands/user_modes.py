"""Modes of oneself, and ACCEPT.

https://modern.ircdocs.horse/#user-modes
"""

from __future__ import annotations

from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.modes import USER_MODES, parse_modes
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import Accept, SetUserModes
from securechat.server.refusals import Refusal

__all__ = ["user_mode"]


def user_mode(context: Context, nick: str, params: tuple[str, ...]) -> None:
    """See or change the modes of ``nick``, who must be the asker."""
    services, user = context.services, context.user
    target = services.network.find_user(nick)
    if target is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, nick)
    if target is not user:
        raise Refusal(numerics.ERR_USERSDONTMATCH)
    if not params:
        context.reply(numerics.RPL_UMODEIS, "+" + "".join(sorted(user.modes)))
        return
    changes = parse_modes(params[0], params[1:], USER_MODES)
    known = [change for change in changes if USER_MODES.kind(change.letter) is not None]
    if known:
        context.propose(SetUserModes(context.stamp(), tuple(known)))
    if len(known) < len(changes):
        raise Refusal(numerics.ERR_UMODEUNKNOWNFLAG)


@command("ACCEPT", least=1)
def accept(context: Context, message: Message) -> None:
    """ACCEPT <nick or -nick>{,<nick or -nick>}.

    Let people write to you who are not logged in, although you have the user mode +R; with a minus
    no longer. To write to somebody does the same.
    """
    for word in dict.fromkeys(message.params[0].split(",")):
        nick = word.removeprefix("-")
        context.propose(Accept(context.stamp(), nick, adding=nick == word))
