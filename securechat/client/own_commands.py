"""The slash-commands of the user's own affairs: nick and account, and the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securechat.client.command_table import command

if TYPE_CHECKING:
    from securechat.client.line_mode import LineMode

__all__: list[str] = []


# ---- you ----


@command("/nick NICK", "take another nick", least=1, most=1)
def _nick(ui: LineMode, arguments: list[str]) -> None:
    ui.client.set_nick(arguments[0])


@command("/away [TEXT]", "be away; without a text, be back", least=0, most=1)
def _away(ui: LineMode, arguments: list[str]) -> None:
    ui.client.away(*arguments)


@command("/register [CODE|EMAIL]", "make an account of your nick", least=0, most=1)
def _register(ui: LineMode, arguments: list[str]) -> None:
    ui.ask_to_register(arguments[0] if arguments else "")


@command("/login [ACCOUNT]", "log in", least=0, most=1)
def _login(ui: LineMode, arguments: list[str]) -> None:
    ui.ask_to_log_in(arguments[0] if arguments else ui.client.nick)


# ---- the program ----


@command("/raw LINE", "say a line of IRC as it is", least=1, most=1, aliases=("quote",))
def _raw(ui: LineMode, arguments: list[str]) -> None:
    ui.client.raw(arguments[0])


@command("/quit [REASON]", "leave; so does the word exit", least=0, most=1, aliases=("exit",))
def _quit(ui: LineMode, arguments: list[str]) -> None:
    ui.leave(*arguments)


@command("/help [COMMAND]", "show this", least=0, most=1, aliases=("h",))
def _help(ui: LineMode, arguments: list[str]) -> None:
    ui.show_help(*arguments)
