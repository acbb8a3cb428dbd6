"""SET: what people set for their accounts.

No specification: IRC networks have such settings in services (``/msg NickServ SET``). A setting is
an entry of ``SETTINGS``; what it means is known where it is used, by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from securechat.errors import SecureChatError, StoreBusy
from securechat.irc.message import Message
from securechat.server.commands.authentication import SECOND_FACTOR
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.events import ChangeSetting
from securechat.server.refusals import Fail
from securechat.server.rules.presence import ALWAYS_ON
from securechat.server.store_thread import Outcome
from securechat.store.certificates import AccountCertificates
from securechat.store.connection import Connection

__all__ = ["SETTINGS", "Setting", "account_of", "ask_store"]

T = TypeVar("T")

_BUSY: Final = "This is not possible at the moment; try again"


def _always(connection: Connection, account: str, value: str, fingerprint: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of accounts. Immutable.

    ``values`` are those that it may have, the default first, which is kept as none. ``check`` is
    called on the store thread before a change, with the folded account, the value and the
    fingerprint of the client's certificate; it returns why the value cannot be, or nothing.
    """

    name: str
    values: tuple[str, ...]
    help: str
    check: Callable[[Connection, str, str, str], str] = _always


def _has_factor(connection: Connection, account: str, value: str, fingerprint: str) -> str:
    shown = AccountCertificates(connection).list(account)
    if value == "off" or fingerprint in {certificate.fingerprint for certificate in shown}:
        return ""
    # Or they would lock themselves out.
    return "Connect with a client certificate, and add it to your account first: CERT ADD"


SETTINGS: Final = {
    setting.name: setting
    for setting in (
        Setting(
            SECOND_FACTOR,
            ("off", "on"),
            "whether a password opens your account only with one of your certificates (CERT)",
            check=_has_factor,
        ),
        Setting(
            ALWAYS_ON,
            ("default", "on", "off"),
            "whether you stay in the chat, shown as away, while no device of yours is connected",
        ),
    )
}
"""What there is to set, by name."""


@command("SET")
def set_(context: Context, message: Message) -> None:
    """SET [<setting> [<value>]].

    See the settings of your account, or change one.
    """
    account = account_of(context)
    name = message.params[0].lower() if message.params else ""
    if name and name not in SETTINGS:
        text = f"There is no such setting; there are {', '.join(SETTINGS)}"
        raise Fail("SET", "UNKNOWN_SETTING", as_middle(name), text=text)
    if len(message.params) < 2:
        for setting in [SETTINGS[name]] if name else SETTINGS.values():
            _show(context, setting, account)
        return
    setting, value = SETTINGS[name], message.params[1].lower()
    if value not in setting.values:
        text = f"It can be {' or '.join(setting.values)}"
        raise Fail("SET", "INVALID_VALUE", name, as_middle(value), text=text)
    context.check_store(name)
    fingerprint = context.session.fingerprint
    ask_store(
        context,
        lambda connection: setting.check(connection, account, value, fingerprint),
        lambda refusal: _change(context, setting, account, value, refusal),
    )


def account_of(context: Context) -> str:
    """Return the folded account of the session.

    :raises Fail: it has none.
    """
    account = context.session.account
    if account is None:
        text = "Log in to an account first"
        raise Fail(context.message.command, "ACCOUNT_REQUIRED", text=text)
    return context.services.network.fold(account)


def ask_store(
    context: Context,
    work: Callable[[Connection], T],
    then: Callable[[T], None],
    *about: str,
) -> None:
    """Have ``work`` done on the store thread, and go on with ``then`` when it is kept.

    ``then`` is called under the network lock, also when the session has ended meanwhile. ``about``
    is what a refusal has before its text.

    :raises Fail: the store takes no more.
    """

    def finish(outcome: Outcome[T]) -> None:
        context.resume(lambda: _finish(context, outcome, then, about), anyway=True)

    try:
        context.services.store.submit(work, finish)
    except StoreBusy as error:
        raise _unavailable(context, about) from error
    context.hold()


def _finish(
    context: Context, outcome: Outcome[T], then: Callable[[T], None], about: tuple[str, ...]
) -> None:
    try:
        result = outcome.result()
    except SecureChatError as error:
        context.note(f"{context.message.command} not possible: {error}")
        raise _unavailable(context, about) from error
    then(result)


def _unavailable(context: Context, about: tuple[str, ...]) -> Fail:
    return Fail(context.message.command, "TEMPORARILY_UNAVAILABLE", *about, text=_BUSY)


def _show(context: Context, setting: Setting, account: str) -> None:
    value = context.services.network.setting(account, setting.name) or setting.values[0]
    choices = "/".join(setting.values)
    context.tell(f"{setting.name} is {value} ({choices}): {setting.help}")


def _change(context: Context, setting: Setting, account: str, value: str, refusal: str) -> None:
    if refusal:
        raise Fail("SET", "NOT_POSSIBLE", setting.name, text=refusal)
    kept = "" if value == setting.values[0] else value

    def confirm() -> None:
        context.note(f"setting {setting.name} {value}")
        context.tell(f"{setting.name} is {value}")

    context.propose(ChangeSetting(context.stamp(), account, setting.name, kept), confirm)
