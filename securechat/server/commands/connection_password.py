"""PASS: the password of the relay, or the login of a client that knows no SASL.

https://modern.ircdocs.horse/#pass-message

Which of them is meant is found by trying: what is not the relay's password, but has a colon, is
taken for ``account:password``. A relay without a password ignores what has none, as clients send
passwords that were meant for another server.
"""

from __future__ import annotations

from typing import Final

from securechat.errors import LocalProtocolError, SecureChatError, StoreBusy
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.sasl import prepare_password
from securechat.server.commands.authentication import log_in, second_factor
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.hash_workers import HashersBusy
from securechat.server.refusals import Refusal
from securechat.server.store_thread import Outcome

__all__: list[str] = []

_TRY_LATER: Final = "Too many failed logins; wait a minute"
_BUSY: Final = "Passwords cannot be checked at the moment; try again"


@command("PASS", least=1, early=True)
def password(context: Context, message: Message) -> None:
    """PASS <password> | <account>:<password>.

    Give the relay's password, or log in to an account; before NICK and USER.
    """
    services, session = context.services, context.session
    given = message.params[0]
    if session.registration.complete:
        raise Refusal(numerics.ERR_ALREADYREGISTERED)
    account, _, own = given.partition(":")
    is_login = bool(account and own) and session.account is None
    demanded = services.config.server.password_hash
    if not demanded and not is_login:
        return
    throttled = account if is_login else f"password {session.address}"
    if not services.authenticator.throttle.take(throttled, session.address):
        _refuse(context, _TRY_LATER, "too often")
        return
    if not demanded:
        _try_login(context, account, own)
        return

    def finish(right: bool) -> None:
        context.resume(lambda: _checked(context, given, throttled, right=right))

    try:
        services.authenticator.check_secret([demanded], prepare_password(given), finish)
    except LocalProtocolError as error:
        _refuse(context, numerics.ERROR_TEXTS[numerics.ERR_PASSWDMISMATCH], str(error))
    except HashersBusy as error:
        _refuse(context, _BUSY, str(error))
    else:
        context.hold()


def _checked(context: Context, given: str, throttled: str, *, right: bool) -> None:
    account, _, own = given.partition(":")
    if right:
        context.services.authenticator.throttle.give_back(throttled, context.session.address)
        context.session.registration.admitted = True
    elif account and own and context.session.account is None:
        _try_login(context, account, own)
    else:
        _refuse(context, numerics.ERROR_TEXTS[numerics.ERR_PASSWDMISMATCH], "wrong")


def _try_login(context: Context, account: str, own: str) -> None:
    def finish(outcome: Outcome[str]) -> None:
        context.resume(lambda: _logged_in(context, account, outcome))

    try:
        prepared = prepare_password(own)
        context.services.authenticator.check_password(
            account, prepared, finish, factor=second_factor(context, account)
        )
    except LocalProtocolError as error:
        _refuse(context, numerics.ERROR_TEXTS[numerics.ERR_PASSWDMISMATCH], str(error))
    except StoreBusy as error:
        _refuse(context, _BUSY, str(error))
    else:
        context.hold()


def _logged_in(context: Context, account: str, outcome: Outcome[str]) -> None:
    throttle = context.services.authenticator.throttle
    try:
        name = outcome.result()
    except (HashersBusy, StoreBusy) as error:
        throttle.give_back(account, context.session.address)
        _refuse(context, _BUSY, str(error))
    except SecureChatError as error:
        _refuse(context, numerics.ERROR_TEXTS[numerics.ERR_PASSWDMISMATCH], str(error))
    else:
        throttle.give_back(account, context.session.address)
        log_in(context, name)


def _refuse(context: Context, text: str, reason: str) -> None:
    """Say 464 and ERROR: whoever does not know the password need not stay."""
    context.note(f"password refused from {context.session.address}: {reason}")
    context.reply(numerics.ERR_PASSWDMISMATCH, text)
    context.session.close_soon(text)
