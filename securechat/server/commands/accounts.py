"""REGISTER, VERIFY: making an account, on one's own or with an invite.

https://ircv3.net/specs/extensions/account-registration

Where one must be invited, the code of the invite is given in the place of the e-mail address, as
clients have a field for that. Where anybody may register, an invite is only of use for the room
that it opens, and one that has ended is no obstacle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from securechat.errors import AccountExists, LocalProtocolError, SecureChatError
from securechat.irc.message import Message
from securechat.server.authentication import InviteRefused, Registered
from securechat.server.commands.authentication import announce_login, apply_login, propose_account
from securechat.server.commands.registration import is_admitted
from securechat.server.context import Context, as_middle
from securechat.server.credentials import WeakPassword, new_password
from securechat.server.dispatch import command
from securechat.server.events import LetIn
from securechat.server.hash_workers import HashersBusy
from securechat.server.refusals import Fail
from securechat.server.store_thread import Outcome

__all__ = ["INVITE_PREFIX", "begin_account", "end_account"]

INVITE_PREFIX: Final = "invite:"
"""What stands before the code of an invite, so that it is taken for one."""

_TOO_EARLY: Final = "COMPLETE_CONNECTION_REQUIRED"


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
    _check_open(context, shown)
    _check_is_nick(context, nick, shown)
    is_code = services.config.accounts.registration == "invite" or email.startswith(INVITE_PREFIX)
    invite = email.removeprefix(INVITE_PREFIX) if is_code else None

    def finish(outcome: Outcome[Registered]) -> None:
        context.resume(lambda: _registered(context, nick, outcome), anyway=True)

    begin_account(context, nick, password, invite, finish)
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


def begin_account(
    context: Context,
    name: str,
    password: str,
    invite: str | None,
    done: Callable[[Outcome[Registered]], None],
) -> None:
    """Check that the client may have an account ``name``, and have it made; then tell ``done``.

    ``done`` is called on another thread; ``end_account`` does what is to be done then.

    :param invite: the code of one, if it was given.
    :raises Fail: it may not; nothing was begun.
    """
    services = context.services
    _check_open(context, name)
    _check_name(context, name)
    context.check_store(name)
    prepared = _new_password(services.config.accounts.password_length, name, password)
    if not services.authenticator.throttle.take(name, context.session.address):  # not given back
        raise Fail("REGISTER", "TEMPORARILY_UNAVAILABLE", name, text="Too often; wait a minute")
    invited_only = services.config.accounts.registration == "invite"
    try:
        services.authenticator.register(name, prepared, invite, done, invited_only=invited_only)
    except HashersBusy as error:
        raise Fail("REGISTER", "TEMPORARILY_UNAVAILABLE", name, text=str(error)) from error


def end_account(context: Context, name: str, outcome: Outcome[Registered]) -> bool:
    """Make the account known that was made; return whether the session is there to enjoy it.

    What its invite opens is open to the session from now on.

    :raises Fail: it was not made.
    """
    session = context.session
    try:
        registered = outcome.result()
    except AccountExists as error:
        text = "This account exists already"
        raise Fail("REGISTER", "ACCOUNT_EXISTS", name, text=text) from error
    except InviteRefused as error:
        raise Fail("REGISTER", "INVALID_EMAIL", name, text=str(error)) from error
    except SecureChatError as error:
        context.note(f"registration not possible: {error}")
        text = "Registration is not possible at the moment; try again"
        raise Fail("REGISTER", "TEMPORARILY_UNAVAILABLE", name, text=text) from error
    propose_account(context, registered.name)
    if registered.room:
        # Also for who has gone: the account is there, and the next connection is another's work.
        let_in = LetIn(context.stamp(), registered.room, registered.name, context.services.name)
        context.propose(let_in)
        session.registration.room = registered.room
    if session.ended:
        return False
    context.note(f"registered account {registered.name}")
    return True


def _registered(context: Context, account: str, outcome: Outcome[Registered]) -> None:
    if end_account(context, account, outcome):
        context.session.account = account
        context.send("REGISTER", "SUCCESS", account, "Account registered; you are logged in")
        announce_login(context, account)
        apply_login(context, account)


# ---- who may have an account ----


def _check_is_nick(context: Context, nick: str, shown: str) -> None:
    """Check that ``shown`` is the client's nick, and that the client may be here to ask."""
    registration = context.session.registration
    if not registration.complete and not is_admitted(context):
        text = "Give the password of this relay first (PASS)"
        raise Fail("REGISTER", _TOO_EARLY, as_middle(shown), text=text)
    if nick == "*" and registration.nick_in_use:
        taken = registration.nick_in_use
        raise Fail("REGISTER", "ACCOUNT_EXISTS", taken, text="This nick is in use")
    if nick == "*":
        raise Fail("REGISTER", "NEED_NICK", "*", text="Choose a nick first")
    fold = context.services.network.fold
    if fold(shown) != fold(nick):
        text = "An account must be named like your nick"
        raise Fail("REGISTER", "ACCOUNT_NAME_MUST_BE_NICK", as_middle(shown), text=text)


def _check_open(context: Context, name: str) -> None:
    """Check that accounts are registered now."""
    accounts = context.services.config.accounts
    if accounts.registration == "closed":
        raise Fail("REGISTER", "DISALLOWED", as_middle(name), text="Registration is closed")
    if not accounts.before_connect and not context.session.registration.complete:
        text = "Register when you are on the network"
        raise Fail("REGISTER", _TOO_EARLY, as_middle(name), text=text)


def _check_name(context: Context, name: str) -> None:
    """Check that an account may be called ``name``."""
    network, limits = context.services.network, context.services.config.limits
    if not network.names.is_nick(name, limits.nick_length):
        raise Fail("REGISTER", "BAD_ACCOUNT_NAME", name, text="This cannot be an account's name")
    if network.fold(name) in network.accounts:
        raise Fail("REGISTER", "ACCOUNT_EXISTS", name, text="This account exists already")
    holder = network.find_user(name)
    if holder is not None and context.session.id not in holder.sessions:
        raise Fail("REGISTER", "ACCOUNT_EXISTS", name, text="This nick is in use")
    if network.resembles_account(name, None) or network.resembles_nick(name, holder, None):
        raise Fail("REGISTER", "BAD_ACCOUNT_NAME", name, text="This looks like somebody else")


def _new_password(least: int, account: str, password: str) -> str:
    try:
        return new_password(password, account, least)
    except LocalProtocolError as error:
        raise Fail("REGISTER", "UNACCEPTABLE_PASSWORD", account, text=f"No: {error}") from error
    except WeakPassword as error:
        raise Fail("REGISTER", "WEAK_PASSWORD", account, text=str(error)) from error
