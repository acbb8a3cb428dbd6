"""OPER, KILL, WALLOPS, REHASH: who is an operator of the relay, and what operators may do.

https://modern.ircdocs.horse/#operator-messages
"""

from __future__ import annotations

from securechat.errors import LocalProtocolError, SecureChatError
from securechat.irc import numerics
from securechat.irc.masks import matches
from securechat.irc.message import Message
from securechat.irc.sasl import LOGINS_BUSY, LOGINS_THROTTLED, prepare_password
from securechat.irc.text import cut_text
from securechat.server.caretaker import CaretakerBusy
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import GrantOperator, Kill, Wallops
from securechat.server.hash_workers import HashersBusy
from securechat.server.refusals import Fail, Refusal
from securechat.server.store_thread import Outcome

__all__: list[str] = []


@command("OPER", least=2)
def oper(context: Context, message: Message) -> None:
    """OPER <name> <password>.

    Become an operator of the relay, as its configuration allows.
    """
    name, password = message.params[:2]
    services, session = context.services, context.session
    hashes = {person.name: person.password_hash for person in services.config.operators}
    if not hashes:
        raise Refusal(numerics.ERR_NOOPERHOST)
    key = f"operator {name}"
    if not services.authenticator.throttle.take(key, session.address):
        raise Refusal(numerics.ERR_PASSWDMISMATCH, text=LOGINS_THROTTLED)

    def finish(right: bool) -> None:
        context.resume(lambda: _operator(context, key, right))

    try:
        prepared = prepare_password(password)
        known = [hashes[name]] if name in hashes else []
        services.authenticator.check_secret(known, prepared, finish)
    except LocalProtocolError as error:
        raise Refusal(numerics.ERR_PASSWDMISMATCH) from error
    except HashersBusy as error:
        raise Refusal(numerics.ERR_PASSWDMISMATCH, text=LOGINS_BUSY) from error
    context.hold()


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


def _operator(context: Context, key: str, right: bool) -> None:
    services, session = context.services, context.session
    if not right:
        raise Refusal(numerics.ERR_PASSWDMISMATCH)
    services.authenticator.throttle.give_back(key, session.address)

    def confirm() -> None:
        context.reply(numerics.RPL_YOUREOPER, "You are now an IRC operator")
        context.note(f"{key} is {context.nick}")

    context.propose(GrantOperator(context.stamp()), confirm)


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
