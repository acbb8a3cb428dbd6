"""AUTHENTICATE: who somebody is.

https://ircv3.net/specs/extensions/sasl-3.1 and sasl-3.2
"""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import Final

from securechat.errors import (
    LocalProtocolError,
    MessageTooLong,
    RemoteProtocolError,
    SecureChatError,
    StoreBusy,
)
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.sasl import (
    EXTERNAL,
    LOGINS_BUSY,
    LOGINS_THROTTLED,
    PLAIN,
    SCRAM_SHA_256_PLUS,
    ScramServer,
    ScramVerifier,
    authenticate_chunks,
    parse_external,
    parse_plain,
    prepare_password,
)
from securechat.server.authentication import (
    AccountSuspended,
    CertificateRefused,
    certificate_account,
    check_may_enter,
)
from securechat.server.commands.capabilities import sasl_mechanisms
from securechat.server.commands.registration import complete_registration
from securechat.server.context import Context
from securechat.server.dispatch import command
from securechat.server.events import CreateAccount, LogIn
from securechat.server.hash_workers import HashersBusy
from securechat.server.names import guest_nick
from securechat.server.refusals import Fail, Refusal
from securechat.server.registration import SaslExchange
from securechat.server.rules.users import check_may_log_in
from securechat.server.store_thread import Outcome
from securechat.server.telemetry.counters import LoginResult
from securechat.store.accounts import Account

__all__ = [
    "SECOND_FACTOR",
    "announce_login",
    "apply_login",
    "log_in",
    "propose_account",
    "second_factor",
]

SECOND_FACTOR: Final = "second-factor"
"""The setting of an account by which a password is not enough: "on" or not."""


@command("AUTHENTICATE", least=1, early=True)
def authenticate(context: Context, message: Message) -> None:
    """AUTHENTICATE <mechanism> | <response> | *.

    Log in to an account; clients do this by themselves. Mechanisms: SCRAM-SHA-256-PLUS,
    SCRAM-SHA-256, PLAIN, EXTERNAL.
    """
    session = context.session
    argument = message.params[0]
    if not session.caps & caps.SASL:
        raise Refusal(numerics.ERR_SASLFAIL, text="Request the sasl capability first")
    if argument == "*":
        session.sasl = None
        raise Refusal(numerics.ERR_SASLABORTED)
    if session.sasl is None:
        _begin(context, argument.upper())
        return
    exchange = session.sasl
    try:
        response = exchange.responses.feed(argument)
    except MessageTooLong as error:
        session.sasl = None
        raise Refusal(numerics.ERR_SASLTOOLONG) from error
    except RemoteProtocolError as error:
        session.sasl = None
        raise Refusal(numerics.ERR_SASLFAIL) from error
    if response is not None:
        try:
            _step(context, exchange, response)
        except (AccountSuspended, RemoteProtocolError) as error:
            _fail(context, exchange, error)


# ---- SASL ----


def _begin(context: Context, mechanism: str) -> None:
    session = context.session
    offered = sasl_mechanisms(context)
    if mechanism not in offered:
        context.reply(numerics.RPL_SASLMECHS, ",".join(offered), "are available SASL mechanisms")
        raise Refusal(numerics.ERR_SASLFAIL)
    session.sasl = SaslExchange(mechanism)
    context.send("AUTHENTICATE", "+")


def _step(context: Context, exchange: SaslExchange, response: bytes) -> None:
    if exchange.mechanism == PLAIN:
        _plain(context, exchange, response)
    elif exchange.mechanism == EXTERNAL:
        _external(context, exchange, response)
    elif exchange.scram is None:
        _scram_begin(context, exchange, response)
    elif not exchange.proved:
        final = exchange.scram.finish(response)
        if exchange.verified is None:
            raise RemoteProtocolError("unknown account, or without the certificate it demands")
        check_may_enter(exchange.verified)
        exchange.proved = True
        _challenge(context, final)
    elif exchange.verified is not None:
        _scram_end(context, exchange, exchange.verified)


def _plain(context: Context, exchange: SaslExchange, response: bytes) -> None:
    account, password = parse_plain(response)
    exchange.account = account
    _check_throttle(context, exchange)
    try:
        prepared = prepare_password(password)
    except LocalProtocolError as error:
        raise RemoteProtocolError(str(error)) from error

    def finish(outcome: Outcome[str]) -> None:
        context.resume(lambda: _finish_login(context, exchange, outcome))

    try:
        context.services.authenticator.check_password(
            account, prepared, finish, factor=second_factor(context, account)
        )
    except StoreBusy as error:
        _unavailable(context, exchange, error)
        return
    context.hold()


def _may_be_account(context: Context, name: str) -> bool:
    """Whether there is such an account, or one may be made that looks like no other."""
    network = context.services.network
    if not network.names.is_nick(name, context.services.config.limits.nick_length):
        return False
    return network.fold(name) in network.accounts or not network.resembles_account(name, None)


def _external(context: Context, exchange: SaslExchange, response: bytes) -> None:
    session = context.session
    named = certificate_account(session.certificate) if session.certificate is not None else None
    if named is None or not _may_be_account(context, named):
        named = ""
    wanted = parse_external(response)
    exchange.account = wanted or named

    def finish(outcome: Outcome[Account]) -> None:
        context.resume(lambda: _finish_external(context, exchange, named, outcome), anyway=True)

    try:
        context.services.authenticator.adopt_certificate(
            named, finish, fingerprint=session.fingerprint, wanted=wanted
        )
    except StoreBusy as error:
        _unavailable(context, exchange, error)
        return
    context.hold()


def _scram_begin(context: Context, exchange: SaslExchange, response: bytes) -> None:
    scram = exchange.scram = ScramServer(
        secrets.token_urlsafe(18),
        binding=context.session.channel_binding,
        plus=exchange.mechanism == SCRAM_SHA_256_PLUS,
    )
    exchange.account = scram.begin(response)
    _check_throttle(context, exchange)

    def finish(outcome: Outcome[tuple[Account | None, ScramVerifier]]) -> None:
        context.resume(lambda: _scram_challenge(context, exchange, scram, outcome))

    try:
        context.services.authenticator.find_verifier(
            exchange.account, finish, factor=second_factor(context, exchange.account)
        )
    except StoreBusy as error:
        _unavailable(context, exchange, error)
        return
    context.hold()


def _scram_challenge(
    context: Context,
    exchange: SaslExchange,
    scram: ScramServer,
    outcome: Outcome[tuple[Account | None, ScramVerifier]],
) -> None:
    try:
        exchange.verified, verifier = outcome.result()
    except SecureChatError as error:
        _unavailable(context, exchange, error)
        return
    _challenge(context, scram.challenge(verifier))


def _scram_end(context: Context, exchange: SaslExchange, account: Account) -> None:
    def finish(outcome: Outcome[str]) -> None:
        context.resume(lambda: _finish_login(context, exchange, outcome))

    try:
        context.services.authenticator.confirm(account, finish)
    except StoreBusy as error:
        _unavailable(context, exchange, error)
        return
    context.hold()


def _challenge(context: Context, challenge: bytes) -> None:
    for chunk in authenticate_chunks(challenge):
        context.send("AUTHENTICATE", chunk)


def _check_throttle(context: Context, exchange: SaslExchange) -> None:
    address = context.session.address
    if not context.services.authenticator.throttle.take(exchange.account, address):
        context.session.sasl = None
        _count(context, exchange, LoginResult.THROTTLED)
        raise Refusal(numerics.ERR_SASLFAIL, text=LOGINS_THROTTLED)


def _finish_login(context: Context, exchange: SaslExchange, outcome: Outcome[str]) -> None:
    try:
        account = outcome.result()
    except (HashersBusy, StoreBusy) as error:
        _give_back(context, exchange)
        _unavailable(context, exchange, error)
    except SecureChatError as error:
        _fail(context, exchange, error)
    else:
        _give_back(context, exchange)
        _logged_in(context, exchange, account)


def _finish_external(
    context: Context, exchange: SaslExchange, named: str, outcome: Outcome[Account]
) -> None:
    try:
        account = outcome.result()
    except (AccountSuspended, CertificateRefused) as error:
        _fail(context, exchange, error)
        return
    except SecureChatError as error:
        _unavailable(context, exchange, error)
        return
    network = context.services.network
    if network.fold(account.name) not in network.accounts:
        propose_account(context, account.name)
    if context.session.ended:
        return
    _logged_in(context, exchange, account.name)
    if account.password_hash and network.fold(named) == network.fold(account.name):
        # Whoever made it first might not be whom the certificate means.
        created = time.strftime("%Y-%m-%d", time.gmtime(account.created_at))
        context.tell(
            f"This account also opens with a password that was set on {created}. If that was not "
            "you, tell the person who runs this relay.",
        )


def _give_back(context: Context, exchange: SaslExchange) -> None:
    context.services.authenticator.throttle.give_back(exchange.account, context.session.address)


def _unavailable(context: Context, exchange: SaslExchange, error: SecureChatError) -> None:
    context.session.sasl = None
    _count(context, exchange, LoginResult.UNAVAILABLE)
    context.note(f"login not possible: {error}")
    context.reply(numerics.ERR_SASLFAIL, LOGINS_BUSY)


def _fail(context: Context, exchange: SaslExchange, error: SecureChatError) -> None:
    """Refuse a login: the reason goes to the log, the client learns only that it failed.

    But somebody who has proved that the account is theirs learns that it is suspended, and why:
    902 "is sent when the SASL authentication fails because the account is currently locked out,
    held, or otherwise administratively made unavailable".
    """
    session = context.session
    session.sasl = None
    session.failed_logins += 1
    _count(context, exchange, LoginResult.FAILED)
    account = exchange.account.encode("ascii", "backslashreplace").decode()[:64]
    context.note(f"login refused for account {account!r} from {session.address}: {error}")
    if isinstance(error, AccountSuspended):
        context.reply(numerics.ERR_NICKLOCKED, str(error))
    else:
        context.reply(numerics.ERR_SASLFAIL, numerics.ERROR_TEXTS[numerics.ERR_SASLFAIL])
    if session.failed_logins >= context.services.config.accounts.login_attempts:
        session.close_soon("Too many SASL authentication failures")


def _logged_in(context: Context, exchange: SaslExchange, account: str) -> None:
    session = context.session
    session.sasl = None
    if session.registration.complete:
        # "Servers SHOULD allow a client, authenticated or otherwise, to reauthenticate"
        check_may_log_in(context.services.network, context.user, account)
    _count(context, exchange, LoginResult.OK)
    _enter(context, account)
    context.reply(numerics.RPL_SASLSUCCESS, "SASL authentication successful")
    apply_login(context, account)


def _count(context: Context, exchange: SaslExchange, result: LoginResult) -> None:
    context.services.counters.count_login(exchange.mechanism, result)


def log_in(context: Context, account: str) -> None:
    """Make the session one of ``account``, which has been proved otherwise than by SASL."""
    _enter(context, account)
    apply_login(context, account)


def second_factor(context: Context, account: str) -> str | None:
    """Return the fingerprint that the client shows, if the account demands one of its own."""
    demanded = context.services.network.setting(account, SECOND_FACTOR) == "on"
    return context.session.fingerprint if demanded else None


def _enter(context: Context, account: str) -> None:
    context.session.account = account
    context.services.authenticator.logged_in(account)
    announce_login(context, account)


def announce_login(context: Context, account: str) -> None:
    """Tell the client that it is logged in."""
    user = context.services.network.sessions.get(context.session.id)
    nick = context.nick
    source = user.author.source if user is not None else f"{nick}!*@{context.session.host}"
    context.reply(numerics.RPL_LOGGEDIN, source, account, f"You are now logged in as {account}")


def apply_login(context: Context, account: str) -> None:
    """Have the network know that the session, whose account it is, is logged in."""
    session = context.session
    if session.registration.complete:
        login = LogIn(context.stamp(), account, _guest_nick(context))
        context.propose(login, refused=partial(_not_logged_in, context))
    else:
        context.note(f"login account {account}")
        complete_registration(context)


def _not_logged_in(context: Context, refusal: Refusal | Fail) -> None:
    """What has happened meanwhile forbids it: the session is whose it was before."""
    user = context.services.network.sessions.get(context.session.id)  # None: ended meanwhile
    context.session.account = user.account if user is not None else None
    context.refuse(refusal)


# ---- accounts ----


def propose_account(context: Context, account: str) -> None:
    """Make an account known, also when the session has ended meanwhile: its nick is reserved."""
    context.propose(CreateAccount(context.stamp(), account, _guest_nick(context)))


def _guest_nick(context: Context) -> str:
    return guest_nick(context.services.config.limits.nick_length)
