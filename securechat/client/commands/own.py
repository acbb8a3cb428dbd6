"""The slash-commands of the user's own affairs: nick and account, and the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securechat.client.commands.table import command
from securechat.client.words.translation import gettext_noop

if TYPE_CHECKING:
    from securechat.client.chat.chat import Chat

__all__: list[str] = []


# ---- you ----


@command(gettext_noop("/nick NICK"), gettext_noop("take another nick"), least=1, most=1)
def _nick(ui: Chat, arguments: list[str]) -> None:
    ui.client.set_nick(arguments[0])


@command(
    gettext_noop("/away [TEXT]"), gettext_noop("be away; without a text, be back"), least=0, most=1
)
def _away(ui: Chat, arguments: list[str]) -> None:
    ui.client.away(*arguments)


@command(
    gettext_noop("/register [CODE|EMAIL]"),
    gettext_noop("make an account of your nick"),
    least=0,
    most=1,
)
def _register(ui: Chat, arguments: list[str]) -> None:
    ui.ask_to_register(arguments[0] if arguments else "")


@command(gettext_noop("/login [ACCOUNT]"), gettext_noop("log in"), least=0, most=1)
def _login(ui: Chat, arguments: list[str]) -> None:
    ui.ask_to_log_in(arguments[0] if arguments else ui.client.nick)


# ---- the program ----


@command(
    gettext_noop("/raw LINE"),
    gettext_noop("say a line of IRC as it is"),
    least=1,
    most=1,
    aliases=("quote",),
)
def _raw(ui: Chat, arguments: list[str]) -> None:
    ui.client.raw(arguments[0])


@command(
    gettext_noop("/quit [REASON]"),
    gettext_noop("leave; so does the word exit"),
    least=0,
    most=1,
    aliases=("exit",),
)
def _quit(ui: Chat, arguments: list[str]) -> None:
    ui.leave(*arguments)


@command(
    gettext_noop("/help [COMMAND]"), gettext_noop("show this"), least=0, most=1, aliases=("h",)
)
def _help(ui: Chat, arguments: list[str]) -> None:
    ui.show_help(*arguments)
