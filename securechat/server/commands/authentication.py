"""AUTHENTICATE, REGISTER, VERIFY, OPER: who somebody is.

https://ircv3.net/specs/extensions/sasl-3.1, sasl-3.2 and account-registration
"""

from __future__ import annotations

import secrets
import time
from typing import Final

from securechat.errors import (
    AccountExists,
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
    CertificateRefused,
    InviteRefused,
    certificate_account,
)
from securechat.server.commands.capabilities import sasl_mechanisms
from securechat.server.commands.registration import complete_registration, is_admitted
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import CreateAccount, GrantOperator, LogIn
from securechat.server.hash_workers import HashersBusy
from securechat.server.refusals import Fail, Refusal
from securechat.server.registration import SaslExchange
from securechat.server.rules.users import check_may_log_in
from securechat.server.store_thread import Outcome
from securechat.store.accounts import Account

__all__ = ["SECOND_FACTOR", "log_in", "second_factor"]

SECOND_FACTOR: Final = "second-factor"
"""The setting of an account by which a password is not enough: "on" or not."""

_INVITE_PREFIX: Final = "invite:"

_TRY_LATER: Final = "Too many failed logins; wait a minute"
_BUSY: Final = "Logins are not possible at the moment; try again"


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
        except RemoteProtocolError as error:
            _fail(context, exchange, str(error))


@command("REGISTER", least=3, early=True)
def register(context: Context, message: Message) -> None:
    """REGISTER <account | *> <email | * | invite:code> <password>.

    Create an account named like your nick, and log in to it. No e-mail is needed or kept. Where
    one must be invited, give "invite:" and the code in the place of the e-mail.
    """
    account, email, password = message.params[:3]
    services, session = context.services, context.session
    nick = context.nick
    shown = nick if account == "*" else account
    if session.account is not None:
        raise Fail("REGISTER", "ALREADY_AUTHENTICATED", session.account, text="You are logged in")
    if services.config.accounts.registration == "closed":
        raise Fail("REGISTER", "DISALLOWED", as_middle(shown), text="Registration is closed")
    if not session.registration.complete:
        _check_early(context, shown)
    _check_account_name(context, nick, shown)
    prepared = _new_password(services.config.accounts.password_length, nick, password)
    invite = None
    if services.config.accounts.registration == "invite":
        invite = email.removeprefix(_INVITE_PREFIX)
    if not services.authenticator.throttle.take(nick, session.address):  # never given back
        raise Fail("REGISTER", "TEMPORARILY_UNAVAILABLE", nick, text="Too often; wait a minute")

    def finish(outcome: Outcome[str]) -> None:
        context.resume(lambda: _registered(context, nick, outcome), anyway=True)

    try:
        services.authenticator.register(nick, prepared, invite, finish)
    except HashersBusy as error:
        raise Fail("REGISTER", "TEMPORARILY_UNAVAILABLE", nick, text=str(error)) from error
    context.hold()


@command("VERIFY", least=2, early=True)
def verify(context: Context, message: Message) -> None:
    """VERIFY <account> <code>.

    Not needed here: accounts are registered at once.
    """
    account = as_middle(message.params[0])
    if context.session.account is not None:
        raise Fail("VERIFY", "ALREADY_AUTHENTICATED", account, text="You are logged in")
    raise Fail("VERIFY", "INVALID_CODE", account, text="No registration waits for a code")


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
        raise Refusal(numerics.ERR_PASSWDMISMATCH, text=_TRY_LATER)

    def finish(right: bool) -> None:
        context.resume(lambda: _operator(context, key, right))

    try:
        prepared = prepare_password(password)
        known = [hashes[name]] if name in hashes else []
        services.authenticator.check_secret(known, prepared, finish)
    except LocalProtocolError as error:
        raise Refusal(numerics.ERR_PASSWDMISMATCH) from error
    except HashersBusy as error:
        raise Refusal(numerics.ERR_PASSWDMISMATCH, text=_BUSY) from error
    context.hold()


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
        if exchange.verified_name is None:
            raise RemoteProtocolError("unknown account, or without the certificate it demands")
        exchange.proved = True
        _give_back(context, exchange)
        _challenge(context, final)
    elif exchange.verified_name is not None:
        _logged_in(context, exchange.verified_name)


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
        _unavailable(context, error)
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
        _unavailable(context, error)
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

    def finish(outcome: Outcome[tuple[str | None, ScramVerifier]]) -> None:
        context.resume(lambda: _scram_challenge(context, exchange, scram, outcome))

    try:
        context.services.authenticator.find_verifier(
            exchange.account, finish, factor=second_factor(context, exchange.account)
        )
    except StoreBusy as error:
        _unavailable(context, error)
        return
    context.hold()


def _scram_challenge(
    context: Context,
    exchange: SaslExchange,
    scram: ScramServer,
    outcome: Outcome[tuple[str | None, ScramVerifier]],
) -> None:
    try:
        exchange.verified_name, verifier = outcome.result()
    except SecureChatError as error:
        _unavailable(context, error)
        return
    _challenge(context, scram.challenge(verifier))


def _challenge(context: Context, challenge: bytes) -> None:
    for chunk in authenticate_chunks(challenge):
        context.send("AUTHENTICATE", chunk)


def _check_throttle(context: Context, exchange: SaslExchange) -> None:
    address = context.session.address
    if not context.services.authenticator.throttle.take(exchange.account, address):
        context.session.sasl = None
        raise Refusal(numerics.ERR_SASLFAIL, text=_TRY_LATER)


def _finish_login(context: Context, exchange: SaslExchange, outcome: Outcome[str]) -> None:
    try:
        account = outcome.result()
    except (HashersBusy, StoreBusy) as error:
        _give_back(context, exchange)
        _unavailable(context, error)
    except SecureChatError as error:
        _fail(context, exchange, str(error))
    else:
        _give_back(context, exchange)
        _logged_in(context, account)


def _finish_external(
    context: Context, exchange: SaslExchange, named: str, outcome: Outcome[Account]
) -> None:
    try:
        account = outcome.result()
    except CertificateRefused as error:
        _fail(context, exchange, str(error))
        return
    except SecureChatError as error:
        _unavailable(context, error)
        return
    network = context.services.network
    if network.fold(account.name) not in network.accounts:
        _propose_account(context, account.name)
    if context.session.ended:
        return
    _logged_in(context, account.name)
    if account.password_hash and network.fold(named) == network.fold(account.name):
        # Whoever made it first might not be whom the certificate means.
        created = time.strftime("%Y-%m-%d", time.gmtime(account.created_at))
        context.tell(
            f"This account also opens with a password that was set on {created}. If that was not "
            "you, tell the person who runs this relay.",
        )


def _give_back(context: Context, exchange: SaslExchange) -> None:
    context.services.authenticator.throttle.give_back(exchange.account, context.session.address)


def _unavailable(context: Context, error: SecureChatError) -> None:
    context.session.sasl = None
    context.note(f"login not possible: {error}")
    context.reply(numerics.ERR_SASLFAIL, _BUSY)


def _fail(context: Context, exchange: SaslExchange, reason: str) -> None:
    """Refuse a login: the reason goes to the log, the client learns only that it failed."""
    session = context.session
    session.sasl = None
    session.failed_logins += 1
    account = exchange.account.encode("ascii", "backslashreplace").decode()[:64]
    context.note(f"login refused for account {account!r} from {session.address}: {reason}")
    context.reply(numerics.ERR_SASLFAIL, numerics.ERROR_TEXTS[numerics.ERR_SASLFAIL])
    if session.failed_logins >= context.services.config.accounts.login_attempts:
        session.close_soon("Too many SASL authentication failures")


def _logged_in(context: Context, account: str) -> None:
    session = context.session
    session.sasl = None
    if session.registration.complete:
        # "Servers SHOULD allow a client, authenticated or otherwise, to reauthenticate"
        check_may_log_in(context.services.network, context.user, account)
    _enter(context, account)
    context.reply(numerics.RPL_SASLSUCCESS, "SASL authentication successful")
    _apply_login(context, account)


def log_in(context: Context, account: str) -> None:
    """Make the session one of ``account``, which has been proved otherwise than by SASL."""
    _enter(context, account)
    _apply_login(context, account)


def second_factor(context: Context, account: str) -> str | None:
    """Return the fingerprint that the client shows, if the account demands one of its own."""
    demanded = context.services.network.setting(account, SECOND_FACTOR) == "on"
    return context.session.fingerprint if demanded else None


def _enter(context: Context, account: str) -> None:
    context.session.account = account
    context.services.authenticator.logged_in(account)
    _announce(context, account)


def _announce(context: Context, account: str) -> None:
    user = context.services.network.sessions.get(context.session.id)
    nick = context.nick
    source = user.author.source if user is not None else f"{nick}!*@{context.session.host}"
    context.reply(numerics.RPL_LOGGEDIN, source, account, f"You are now logged in as {account}")


def _apply_login(context: Context, account: str) -> None:
    session = context.session
    if session.registration.complete:
        context.propose(LogIn(context.stamp(), account, _guest_nick(context)))
    else:
        context.note(f"login account {account}")
        complete_registration(context)


# ---- registration, operators ----


def _check_early(context: Context, shown: str) -> None:
    """Check that an account may be made before the client is on the network."""
    text = ""
    if not context.services.config.accounts.before_connect:
        text = "Register when you are on the network"
    elif not is_admitted(context):
        text = "Give the password of this relay first (PASS)"
    if text:
        raise Fail("REGISTER", "COMPLETE_CONNECTION_REQUIRED", as_middle(shown), text=text)
    taken = context.session.registration.nick_in_use
    if context.nick == "*" and taken:
        raise Fail("REGISTER", "ACCOUNT_EXISTS", taken, text="This nick is in use")


def _check_account_name(context: Context, nick: str, shown: str) -> None:
    """Check that the client may have an account of the name ``shown``."""
    network, limits = context.services.network, context.services.config.limits
    if nick == "*":
        raise Fail("REGISTER", "NEED_NICK", "*", text="Choose a nick first")
    if network.fold(shown) != network.fold(nick):
        text = "An account must be named like your nick"
        raise Fail("REGISTER", "ACCOUNT_NAME_MUST_BE_NICK", as_middle(shown), text=text)
    if not network.names.is_nick(nick, limits.nick_length):
        raise Fail("REGISTER", "BAD_ACCOUNT_NAME", nick, text="This cannot be an account's name")
    if network.fold(nick) in network.accounts:
        raise Fail("REGISTER", "ACCOUNT_EXISTS", nick, text="This account exists already")
    holder = network.find_user(nick)
    if holder is not None and context.session.id not in holder.sessions:
        raise Fail("REGISTER", "ACCOUNT_EXISTS", nick, text="This nick is in use")
    if network.resembles_account(nick, None) or network.resembles_nick(nick, holder, None):
        raise Fail("REGISTER", "BAD_ACCOUNT_NAME", nick, text="This looks like somebody else")


def _new_password(least: int, account: str, password: str) -> str:
    try:
        prepared = prepare_password(password)
    except LocalProtocolError as error:
        raise Fail("REGISTER", "UNACCEPTABLE_PASSWORD", account, text=f"No: {error}") from error
    if len(prepared) < least or prepared.casefold() == account.casefold():
        text = f"Choose a password of at least {least} characters, and not your nick"
        raise Fail("REGISTER", "WEAK_PASSWORD", account, text=text)
    return prepared


def _registered(context: Context, account: str, outcome: Outcome[str]) -> None:
    session = context.session
    try:
        account = outcome.result()
    except AccountExists as error:
        text = "This account exists already"
        raise Fail("REGISTER", "ACCOUNT_EXISTS", account, text=text) from error
    except InviteRefused as error:
        raise Fail("REGISTER", "INVALID_EMAIL", account, text=str(error)) from error
    except SecureChatError as error:
        context.note(f"registration not possible: {error}")
        text = "Registration is not possible at the moment; try again"
        raise Fail("REGISTER", "TEMPORARILY_UNAVAILABLE", account, text=text) from error
    _propose_account(context, account)
    if session.ended:
        return
    session.account = account
    context.note(f"registered account {account}")
    context.send("REGISTER", "SUCCESS", account, "Account registered; you are logged in")
    _announce(context, account)
    _apply_login(context, account)


def _propose_account(context: Context, account: str) -> None:
    """Make an account known, also when the session has ended meanwhile: its nick is reserved."""
    context.propose(CreateAccount(context.stamp(), account, _guest_nick(context)))


def _guest_nick(context: Context) -> str:
    limit = context.services.config.limits.nick_length
    return f"guest{secrets.randbelow(10**8):08}"[:limit]


def _operator(context: Context, key: str, right: bool) -> None:
    services, session = context.services, context.session
    if not right:
        raise Refusal(numerics.ERR_PASSWDMISMATCH)
    services.authenticator.throttle.give_back(key, session.address)
    context.propose(
        GrantOperator(context.stamp()),
        lambda: context.reply(numerics.RPL_YOUREOPER, "You are now an IRC operator"),
    )
    context.note(f"{key} is {context.nick}")
