"""PASS: the password of the relay, or the login of a client that knows no SASL.

https://modern.ircdocs.horse/#pass-message

Which of them is meant is found by trying: what is not the relay's password, but has a colon, is
taken for ``account:password``. A relay without a password ignores what has none, as clients send
passwords that were meant for another server.

``invite:token:account:password`` registers an account with an invite: for clients that know no
REGISTER. They say the same whenever they connect; once there is the account it is a login.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from securechat.errors import LocalProtocolError, SecureChatError, StoreBusy
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.sasl import LOGINS_THROTTLED, prepare_password
from securechat.server.authentication import AccountSuspended, Registered
from securechat.server.commands.accounts import INVITE_PREFIX, begin_account, end_account
from securechat.server.commands.authentication import log_in, second_factor
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.hash_workers import HashersBusy
from securechat.server.refusals import Fail, Refusal
from securechat.server.store_thread import Outcome
from securechat.server.telemetry.counters import PASS, LoginResult

__all__: list[str] = []

_BUSY: Final = "Passwords cannot be checked at the moment; try again"
_RESULTS: Final = {LOGINS_THROTTLED: LoginResult.THROTTLED, _BUSY: LoginResult.UNAVAILABLE}


class _Invited(NamedTuple):
    """What somebody says who comes with an invite."""

    token: str
    account: str
    password: str


@command("PASS", least=1, early=True)
def password(context: Context, message: Message) -> None:
    """PASS <password> | <account>:<password> | invite:<token>:<account>:<password>.

    Give the relay's password, or log in to an account, which is made if you come with an invite;
    before NICK and USER.
    """
    services, session = context.services, context.session
    given = message.params[0]
    if session.registration.complete:
        raise Refusal(numerics.ERR_ALREADYREGISTERED)
    invited = _parse_invited(given)
    if invited is not None and session.account is None:
        _come_in(context, invited)
        return
    account, _, own = given.partition(":")
    is_login = bool(account and own) and session.account is None
    demanded = services.config.server.password_hash
    if not demanded and not is_login:
        return
    throttled = account if is_login else f"password {session.address}"
    if not services.authenticator.throttle.take(throttled, session.address):
        _refuse(context, LOGINS_THROTTLED, "too often")
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


def _parse_invited(given: str) -> _Invited | None:
    if not given.startswith(INVITE_PREFIX):
        return None
    parts = given.removeprefix(INVITE_PREFIX).split(":", 2)
    return _Invited(*parts) if len(parts) == 3 and all(parts) else None


def _come_in(context: Context, invited: _Invited) -> None:
    """Log in to the account that the client names, making it if there is none yet."""
    services, account = context.services, invited.account
    if services.network.fold(account) in services.network.accounts:
        if services.authenticator.throttle.take(account, context.session.address):
            _try_login(context, account, invited.password)
        else:
            _refuse(context, LOGINS_THROTTLED, "too often")
        return

    def finish(outcome: Outcome[Registered]) -> None:
        context.resume(lambda: _registered(context, account, outcome), anyway=True)

    try:
        begin_account(context, account, invited.password, invited.token, finish)
    except Fail as fail:
        _refuse(context, fail.params[-1], f"no account for an invite: {fail}")
    else:
        context.hold()


def _registered(context: Context, account: str, outcome: Outcome[Registered]) -> None:
    try:
        if end_account(context, account, outcome):
            log_in(context, account)
    except Fail as fail:
        _refuse(context, fail.params[-1], f"no account for an invite: {fail}")


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
    except AccountSuspended as error:
        _refuse(context, str(error), str(error))
    except SecureChatError as error:
        _refuse(context, numerics.ERROR_TEXTS[numerics.ERR_PASSWDMISMATCH], str(error))
    else:
        throttle.give_back(account, context.session.address)
        context.services.counters.count_login(PASS, LoginResult.OK)
        log_in(context, name)


def _refuse(context: Context, text: str, reason: str) -> None:
    """Say 464 and ERROR: whoever does not know the password need not stay."""
    result = _RESULTS.get(text, LoginResult.FAILED)
    context.services.counters.count_login(PASS, result)
    context.note(f"password refused from {context.session.address}: {reason}")
    context.reply(numerics.ERR_PASSWDMISMATCH, text)
    context.session.close_soon(text)
