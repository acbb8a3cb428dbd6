"""AWAY, SETNAME, CHGHOST: what others see of a user.

https://modern.ircdocs.horse/#away-message,
https://ircv3.net/specs/extensions/pre-away, setname and chghost
"""

from __future__ import annotations

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.names import is_host
from securechat.irc.text import cut_text
from securechat.server.cloak import HOST_LENGTH
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import ChangeHost, SetAway, SetRealname
from securechat.server.refusals import Fail, Refusal

__all__: list[str] = []


@command("AWAY", early=True)
def away(context: Context, message: Message) -> None:
    """AWAY [<text> | *].

    Be away on this device, with a text for those who write to you, or "*" for none; without one, be
    back. Others see you away when all your devices are.
    """
    services, session = context.services, context.session
    text = message.params[0] if message.params else ""
    text = cut_text(text, services.config.limits.away_length)

    def confirm() -> None:
        if text:
            context.reply(numerics.RPL_NOWAWAY, "You have been marked as being away")
        else:
            context.reply(numerics.RPL_UNAWAY, "You are no longer marked as being away")

    if session.registration.complete:
        context.propose(SetAway(context.stamp(), text), confirm)
    elif session.caps & caps.PRE_AWAY:
        session.registration.away = text
        confirm()
    else:
        raise Refusal(numerics.ERR_NOTREGISTERED)


@command("SETNAME", least=1)
def setname(context: Context, message: Message) -> None:
    """SETNAME <real name>.

    Change your real name.
    """
    services = context.services
    realname = message.params[0]
    limit = services.config.limits.realname_length
    if not realname.strip() or len(realname.encode()) > limit:
        text = f"The real name must have 1 to {limit} bytes"
        raise Fail("SETNAME", "INVALID_REALNAME", text=text)
    context.propose(SetRealname(context.stamp(), realname))


@command("CHGHOST", least=1, operator=True)
def chghost(context: Context, message: Message) -> None:
    """CHGHOST <nick> [<host>].

    Give somebody a host for others to see, or their own back; for operators. An account keeps it.
    """
    nick = message.params[0]
    host = message.params[1] if len(message.params) > 1 else ""
    if host and not is_host(host, HOST_LENGTH):
        text = f"A host has 1 to {HOST_LENGTH} of the characters A-Z a-z 0-9 . - _ / :"
        raise Fail("CHGHOST", "INVALID_HOST", as_middle(host), text=text)

    def confirm() -> None:
        user = context.services.network.find_user(nick)
        shown = user.host if user is not None else host
        context.tell(f"Others see {nick} at {shown} now")
        context.note(f"gave {nick} the host {shown}")

    context.propose(ChangeHost(context.stamp(), nick, host), confirm)
