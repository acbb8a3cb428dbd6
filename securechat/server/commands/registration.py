"""NICK, USER, PING, PONG, QUIT, and what happens when a registration is complete.

https://modern.ircdocs.horse/#connection-registration
"""

from __future__ import annotations

from functools import partial

from securechat import __version__
from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.modes import CHANNEL_MODES, USER_MODES
from securechat.irc.names import clean_username
from securechat.irc.text import cut_text
from securechat.server.commands.metadata import begin_metadata
from securechat.server.commands.server_queries import lusers, motd, send_isupport
from securechat.server.config import Config
from securechat.server.context import Context
from securechat.server.delivery.channels import show_joined
from securechat.server.dispatch import command
from securechat.server.events import Attach, ChangeNick, Expire, LetIn
from securechat.server.history.replay import replay_absence
from securechat.server.refusals import Fail, NickReserved, Refusal

__all__ = ["complete_registration", "is_admitted", "may_register_early"]


@command("NICK", early=True)
def nick(context: Context, message: Message) -> None:
    """NICK <nick>.

    Take a nick, or change to it. A registered nick needs a login to its account.
    """
    if not message.params or not message.params[0]:
        raise Refusal(numerics.ERR_NONICKNAMEGIVEN)
    wanted = message.params[0]
    services, session = context.services, context.session
    limit = services.config.limits.nick_length
    if not services.network.names.is_nick(wanted, limit):
        text = f"Erroneous nickname: over {limit} characters" if len(wanted) > limit else ""
        raise Refusal(numerics.ERR_ERRONEUSNICKNAME, wanted, text=text)
    if session.registration.complete:
        context.propose(ChangeNick(context.stamp(), wanted))
        return
    holder = services.network.find_user(wanted)
    if holder is not None and holder.account is None:
        session.registration.nick_in_use = wanted
        raise Refusal(numerics.ERR_NICKNAMEINUSE, wanted)
    # If an account holds it, the login that may yet come decides.
    session.registration.nick = wanted
    complete_registration(context)


@command("USER", least=4, early=True)
def user(context: Context, message: Message) -> None:
    """USER <username> 0 * <realname>.

    Give the user name and the real name; once, when connecting.
    """
    registration = context.session.registration
    if registration.complete or registration.username:
        raise Refusal(numerics.ERR_ALREADYREGISTERED)
    username, realname = message.params[0], message.params[3]
    if not username or not realname:  # "even if an empty parameter is provided"
        raise Refusal(numerics.ERR_NEEDMOREPARAMS, message.command)
    limits = context.services.config.limits
    registration.username = clean_username(username, limits.user_length)
    registration.realname = cut_text(realname, limits.realname_length)
    complete_registration(context)


@command("PING", least=1, early=True, overtakes=True)
def ping(context: Context, message: Message) -> None:
    """PING <token>.

    Ask whether the relay is there; it answers PONG with the token.
    """
    if not message.params[0]:
        raise Refusal(numerics.ERR_NOORIGIN)
    context.send("PONG", context.services.name, message.params[0])


@command("PONG", early=True, overtakes=True)
def pong(context: Context, message: Message) -> None:
    """PONG <token>.

    Answer a PING of the relay.
    """


@command("QUIT", early=True)
def leave(context: Context, message: Message) -> None:
    """QUIT [<reason>].

    Leave.
    """
    reason = message.params[0] if message.params else ""
    limit = context.services.config.limits.kick_length
    context.session.close_soon(f"Quit: {cut_text(reason, limit)}", logged="Quit: by the client")


def complete_registration(context: Context) -> None:
    """Put the session on the network if all is there that is needed; refuse if it cannot be."""
    services, session = context.services, context.session
    registration = session.registration
    if registration.complete or registration.negotiating:
        return
    if not registration.nick or not registration.username:
        return
    if session.sasl is not None:
        # "the server SHOULD abort it and send a 906 numeric"
        session.sasl = None
        context.refuse(Refusal(numerics.ERR_SASLABORTED))
    if not is_admitted(context):
        context.refuse(Refusal(numerics.ERR_PASSWDMISMATCH))
        session.close_soon("Password incorrect")
        return
    if services.config.accounts.login_required and session.account is None:
        _demand_account(context)
        return
    event = Attach(
        context.stamp(),
        registration.nick,
        registration.username,
        registration.realname,
        session.host,
        session.address,
        session.account,
        registration.away,
        session.secure,
        session.fingerprint,
    )
    holder = services.network.find_user(registration.nick)
    gone_ms = holder.gone_ms if holder is not None else 0  # since when no device was there
    context.propose(event, lambda: _welcome(context, gone_ms), partial(_not_admitted, context))


def _not_admitted(context: Context, refusal: Refusal | Fail) -> None:
    session, registration = context.session, context.session.registration
    if isinstance(refusal, NickReserved):
        # The nick is kept: a login may follow. Told before 433, at which clients move on.
        if session.caps & caps.STANDARD_REPLIES:
            context.send("FAIL", "NICK", "NICKNAME_RESERVED", registration.nick, refusal.text)
    elif isinstance(refusal, Fail):  # cut off from the others: another relay may not be
        session.close_soon(refusal.params[-1])
    elif refusal.numeric == numerics.ERR_YOUREBANNEDCREEP:
        session.close_soon(refusal.text)
    else:
        registration.nick = ""
    context.refuse(refusal)


def may_register_early(config: Config) -> bool:
    """Whether REGISTER is for anyone before the registration of the connection is complete.

    Where the relay has a password it is not: the clients that have not given it are refused.
    """
    return config.accounts.before_connect and not config.server.password_hash


def is_admitted(context: Context) -> bool:
    """Whether the client has given the relay's password, or needs none; an account will do too."""
    session = context.session
    demanded = context.services.config.server.password_hash != ""
    return not demanded or session.registration.admitted or session.account is not None


def _demand_account(context: Context) -> None:
    text = "You must log in to an account to use this relay"
    context.send("FAIL", "*", "ACCOUNT_REQUIRED", text)
    if not context.session.caps & (caps.SASL | caps.ACCOUNT_REGISTRATION):
        context.session.close_soon(text)


def _welcome(context: Context, gone_ms: int) -> None:
    services, session, user = context.services, context.session, context.user
    session.registered()
    services.registry.has_registered(session, user.id)
    config = services.config.server
    context.reply(
        numerics.RPL_WELCOME, f"Welcome to the {config.network} network, {user.author.source}"
    )
    context.reply(
        numerics.RPL_YOURHOST, f"Your host is {config.name}, running securechat {__version__}"
    )
    context.reply(numerics.RPL_CREATED, f"This relay was started {services.started}")
    context.reply(
        numerics.RPL_MYINFO,
        config.name,
        f"securechat-{__version__}",
        USER_MODES.flag,
        "".join(sorted(CHANNEL_MODES.isupport().replace(",", "") + CHANNEL_MODES.prefix)),
        "".join(sorted(CHANNEL_MODES.list + CHANNEL_MODES.always + CHANNEL_MODES.set))
        + CHANNEL_MODES.prefix,
    )
    send_isupport(context)
    lusers(context)
    begin_metadata(context)
    motd(context)
    if user.modes:
        context.reply(numerics.RPL_UMODEIS, "+" + "".join(sorted(user.modes)))
    for channel in user.channels.values():  # an account's further device is where the others are
        show_joined(channel, user, context)
    if gone_ms:
        replay_absence(context, gone_ms)
    if session.registration.room and session.account is not None:
        room = session.registration.room
        context.propose(LetIn(context.stamp(), room, session.account, services.name))
    _expire(context)
    account = f" account {session.account}" if session.account else " as a guest"
    context.note(f"registered {user.nick}{account}")


def _expire(context: Context) -> None:
    """Have those leave who are always on and have not come back for too long."""
    services = context.services
    oldest_ms = services.config.accounts.oldest_presence_ms(services.now_ms())
    longest_gone = next(iter(services.network.gone.values()), None)
    if longest_gone is not None and longest_gone.gone_ms < oldest_ms:
        context.propose(Expire(context.stamp(), oldest_ms))
