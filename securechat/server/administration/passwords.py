"""Asking for passwords, and ``hash-password``."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any, Final

from securechat.errors import ConfigError, LocalProtocolError
from securechat.irc.sasl import prepare_password
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import say
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config
from securechat.store.passwords import hash_password

__all__ = ["TOOLS", "ask_new_password"]


def ask_new_password() -> str:
    """Return a password that is typed twice, or is the first line of the standard input.

    :raises ConfigError: what was typed is not twice the same.
    """
    if not sys.stdin.isatty():
        # Bytes that are no UTF-8 become what `prepare_password` refuses.
        return sys.stdin.buffer.readline().decode(errors="surrogateescape").rstrip("\r\n")
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("The same again: ")
    except EOFError:
        return ""
    if password != again:
        raise ConfigError(["these are two different passwords"])
    return password


def _prepare(options: argparse.Namespace, config: Config) -> Arguments:
    try:
        return {"password": prepare_password(ask_new_password())}
    except LocalProtocolError as error:
        raise ConfigError([str(error)]) from error


def _hash(desk: Desk, arguments: Arguments) -> str:
    return hash_password(str(arguments["password"]), desk.config.accounts.argon2)


def _show(result: Any, options: argparse.Namespace) -> int:
    say(result)
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "hash-password",
        "hash the password of an operator, a gateway or the relay, for the configuration",
        _hash,
        _show,
        prepare=_prepare,
        at_relay=False,
    ),
)
"""The tools of this group."""
