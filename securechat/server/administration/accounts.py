"""``account …``: accounts made, suspended and deleted by whoever runs the relay.

What is done to an account is written first, and then told to the chat of a running relay. While an
account is being deleted it is suspended, so that nobody has it or its name before all is gone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from securechat.errors import ConfigError, LocalProtocolError, SecureChatError
from securechat.server.account_changes import announce_account, close_account
from securechat.server.administration.account_records import (
    account_summaries,
    export_account,
    forget_account,
)
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import columns, moment, say, say_json
from securechat.server.administration.passwords import ask_new_password
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.authentication import AccountSuspended
from securechat.server.config import Config
from securechat.server.credentials import WeakPassword, make_credentials, new_password
from securechat.server.lookalikes import Lookalikes
from securechat.server.names import make_names
from securechat.server.rules.presence import PRESENCE
from securechat.store.account_history import disown
from securechat.store.accounts import Account, Accounts
from securechat.store.connection import Connection
from securechat.store.history import History
from securechat.store.settings import AccountSettings

__all__ = ["TOOLS"]

_SLICE: Final = 200
"""Messages that are changed or deleted at a time: some 40 ms, in which the relay writes nothing."""

_REASON_CHARS: Final = 300
"""Longest reason of a suspension: it is told in one line."""

_DELETED: Final = "This account was deleted"


# ---- add, passwd ----


def _configure_add(parser: argparse.ArgumentParser) -> None:
    _configure_name(parser)
    parser.add_argument(
        "--no-password", action="store_true", help="only a client certificate opens it"
    )


def _prepare_add(options: argparse.Namespace, config: Config) -> Arguments:
    password = None if options.no_password else ask_new_password()
    return {"name": options.name, "password": password}


def _add(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    name, password = str(arguments["name"]), arguments["password"]
    _check_name(desk, name)
    credentials = ("", "") if password is None else _credentials(desk, name, str(password))
    key, now = desk.fold(name), desk.now().timestamp()
    desk.write(lambda c: Accounts(c).create(name, key, *credentials, now))
    if desk.relay is not None:
        announce_account(desk.relay.services, name)
    return {"name": name}


def _check_name(desk: Desk, name: str) -> None:
    """Check that there may be an account ``name``; the store knows whether there is one."""
    names = make_names(desk.config.server.casemapping)
    if not names.is_nick(name, desk.config.limits.nick_length):
        raise ConfigError([f"{name}: this cannot be an account's name"])
    known = Lookalikes(names)
    for _, other in desk.write(lambda c: Accounts(c).names()):
        known.add(other)
    like = next(known.of(name), None)
    if like is not None:
        raise ConfigError([f"{name}: this looks like the account {like}"])


def _credentials(desk: Desk, name: str, password: str) -> tuple[str, str]:
    accounts = desk.config.accounts
    try:
        prepared = new_password(password, name, accounts.password_length)
    except (LocalProtocolError, WeakPassword) as error:
        raise ConfigError([str(error)]) from error
    return make_credentials(prepared, accounts.argon2)


def _prepare_passwd(options: argparse.Namespace, config: Config) -> Arguments:
    return {"name": options.name, "password": ask_new_password()}


def _passwd(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    account = _find(desk, arguments)
    credentials = _credentials(desk, account.name, str(arguments["password"]))
    key = desk.fold(account.name)
    desk.write(lambda c: Accounts(c).set_credentials(key, *credentials))
    return {"name": account.name}


# ---- suspend, resume ----


def _configure_suspend(parser: argparse.ArgumentParser) -> None:
    _configure_name(parser)
    parser.add_argument("--reason", default="", metavar="TEXT", help="told to whoever logs in")


def _prepare_suspend(options: argparse.Namespace, config: Config) -> Arguments:
    return {"name": options.name, "reason": options.reason}


def _suspend(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    account, reason = _find(desk, arguments), str(arguments["reason"])
    if len(reason) > _REASON_CHARS or not reason.isprintable():
        raise ConfigError([f"--reason must be one line of at most {_REASON_CHARS} characters"])
    _close(desk, account.name, reason, str(AccountSuspended(reason)))
    return {"name": account.name}


def _close(desk: Desk, name: str, reason: str, told: str) -> None:
    """Let nobody log in to an account, and put off all its devices, which are ``told`` why."""
    key = desk.fold(name)

    def close(connection: Connection) -> None:
        Accounts(connection).suspend(key, reason)
        AccountSettings(connection).delete(key, PRESENCE)  # nor is it there after a restart

    desk.write(close)
    if desk.relay is not None:
        close_account(desk.relay.services, name, told, forget=False)


def _resume(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    account = _find(desk, arguments)
    if account.suspended is None:
        raise SecureChatError("the account {name} is not suspended", name=account.name)
    key = desk.fold(account.name)
    desk.write(lambda c: Accounts(c).suspend(key, None))
    if desk.relay is not None:
        announce_account(desk.relay.services, account.name)
    return {"name": account.name}


# ---- delete ----


def _configure_delete(parser: argparse.ArgumentParser) -> None:
    _configure_name(parser)
    parser.add_argument("--yes", action="store_true", help="ask nothing")


def _prepare_delete(options: argparse.Namespace, config: Config) -> Arguments:
    if not options.yes:
        if not sys.stdin.isatty():
            raise ConfigError(["say --yes to delete an account without being asked"])
        say(f"All that belongs to {options.name} will be gone; only what was said in rooms stays.")
        if _ask_name() != options.name:
            raise ConfigError(["this is another name: nothing was deleted"])
    return {"name": options.name}


def _ask_name() -> str:
    try:
        return input("The name of the account again: ")
    except EOFError:
        return ""


def _delete(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    account = _find(desk, arguments)
    name, key = account.name, desk.fold(account.name)
    _close(desk, name, "it is being deleted", _DELETED)
    if desk.relay is not None:
        desk.relay.services.history.flush()  # what it said last goes with the rest
        if desk.relay.services.cluster is not None:
            desk.relay.services.cluster.members.await_writes()
    while desk.write(lambda c: disown(c, name, _SLICE)) == _SLICE:
        pass
    rooms = desk.write(lambda c: forget_account(c, key))
    if desk.relay is not None:
        close_account(desk.relay.services, name, _DELETED, forget=True)
    while desk.write(lambda c: History(c).expire(0, _SLICE)) == _SLICE:
        pass
    return {"name": name, "rooms": rooms}


def _show_deleted(result: Any, options: argparse.Namespace) -> int:
    say(f"The account {result['name']} is deleted")
    if result["rooms"]:
        rooms = ", ".join(result["rooms"])
        say(f"What belonged to it belongs to nobody, and ends with its last member: {rooms}")
    return 0


# ---- list, export ----


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def _list(desk: Desk, arguments: Arguments) -> list[dict[str, Any]]:
    with desk.reading() as connection:
        return account_summaries(connection, desk.fold, desk.config.accounts.always_on)


def _show_list(result: Any, options: argparse.Namespace) -> int:
    if options.json:
        say_json(result)
        return 0
    head = ("NAME", "CREATED", "LAST LOGIN", "ALWAYS ON", "CERTIFICATES", "SUSPENDED")
    rows = [
        (
            each["name"],
            moment(each["created_at"]),
            moment(each["last_login_at"]),
            "yes" if each["always_on"] else "-",
            str(each["certificates"]),
            "-" if each["suspended"] is None else each["suspended"] or "yes",
        )
        for each in result
    ]
    for line in columns([head, *rows]):
        say(line)
    return 0


def _configure_export(parser: argparse.ArgumentParser) -> None:
    _configure_name(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file: JSON")


def _export(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    account = _find(desk, arguments)
    if desk.output is None:
        raise ConfigError(["there is no file to write"])
    rooms: dict[str, str] = {}
    if desk.relay is not None:
        services = desk.relay.services
        services.history.flush()
        desk.write(lambda connection: None)  # what came before is written now
        with services.lock:
            rooms = {room.uid: room.name for room in services.network.channels.values()}
    with desk.reading() as connection:
        count = export_account(connection, desk.fold(account.name), account, rooms, desk.output)
    return {"name": account.name, "messages": count}


def _show_exported(result: Any, options: argparse.Namespace) -> int:
    say(f"{options.file}: all of {result['name']}, with {result['messages']:,} messages")
    return 0


# ---- what they share ----


def _configure_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the account")


def _prepare_name(options: argparse.Namespace, config: Config) -> Arguments:
    return {"name": options.name}


def _find(desk: Desk, arguments: Arguments) -> Account:
    name = str(arguments["name"])
    with desk.reading() as connection:
        found = Accounts(connection).get(desk.fold(name))
    if found is None:
        raise SecureChatError("there is no account {name}", name=name)
    return found


def _done(text: str) -> Any:
    """Return what shows that something was done to an account, which ``text`` says."""

    def show(result: Any, options: argparse.Namespace) -> int:
        say(text.format(name=result["name"]))
        return 0

    return show


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "account list",
        "show the accounts",
        _list,
        _show_list,
        _configure_list,
        changes=False,
    ),
    Tool(
        "account add",
        "make an account; its password is asked for, or read from the standard input",
        _add,
        _done("There is an account {name} now"),
        _configure_add,
        _prepare_add,
    ),
    Tool(
        "account passwd",
        "give an account a new password; devices that are logged in stay so",
        _passwd,
        _done("The account {name} has a new password"),
        _configure_name,
        _prepare_passwd,
    ),
    Tool(
        "account suspend",
        "let nobody log in to an account, and put off its devices",
        _suspend,
        _done("Nobody can log in to {name} any more"),
        _configure_suspend,
        _prepare_suspend,
    ),
    Tool(
        "account resume",
        "let people log in again to an account that is suspended",
        _resume,
        _done("One can log in to {name} again"),
        _configure_name,
        _prepare_name,
    ),
    Tool(
        "account delete",
        "delete an account with all that is its own",
        _delete,
        _show_deleted,
        _configure_delete,
        _prepare_delete,
    ),
    Tool(
        "account export",
        "write all that is kept of a person into a file",
        _export,
        _show_exported,
        _configure_export,
        _prepare_name,
        lambda options: options.file,
        changes=False,
    ),
)
"""The tools of this group."""
