"""The slash-commands: those that all interfaces have, in one table, which ``/help`` prints.

``run`` makes the checks that all commands share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.client.commands import chat as chat_commands
from securechat.client.commands import own as own_commands
from securechat.client.commands import peers as peer_commands
from securechat.client.commands.table import Command, build_table
from securechat.client.words.translation import _
from securechat.errors import LocalProtocolError

if TYPE_CHECKING:
    from securechat.client.chat.chat import Chat

__all__ = ["COMMANDS", "MODULES", "help_lines", "run"]

MODULES: Final = (chat_commands, peer_commands, own_commands)
"""Where the commands are that every interface has."""

COMMANDS: Final[Mapping[str, Command]] = build_table(MODULES)
"""Each command by its name, in the order of ``/help``."""


def run(ui: Chat, line: str) -> None:
    """Run ``line``, which is without its slash.

    :raises SecureChatError: it cannot be done; the text says why.
    """
    name, *rest = line.split(" ", 1)
    command = _find(ui.table, name)
    arguments = "".join(rest).strip().split(None, max(0, command.most - 1))
    if not command.least <= len(arguments) <= command.most:
        raise LocalProtocolError("usage: {usage}", usage=_(command.usage))
    command.handler(ui, arguments)


def help_lines(table: Mapping[str, Command], name: str = "") -> list[str]:
    """Return what there is to know about a command, with or without its slash, or about all.

    :raises LocalProtocolError: there is none of that name.
    """
    if name:
        command = _find(table, name.removeprefix("/"))
        words = [_(command.description)]
        words += [_("also /{alias}", alias=alias) for alias in command.aliases]
        details = (f"    {_(line)}" for line in command.details)
        return [f"{_(command.usage)}: {', '.join(words)}", *details]
    usages = [_(command.usage) for command in table.values()]
    descriptions = [_(command.description) for command in table.values()]
    width = max(map(len, usages))
    return [
        *(f"{usage:{width}}  {words}" for usage, words in zip(usages, descriptions, strict=True)),
        _("Anything else is said to where you are; //text says /text."),
    ]


def _find(table: Mapping[str, Command], name: str) -> Command:
    name = name.lower()
    for command in table.values():
        if name == command.name or name in command.aliases:
            return command
    raise LocalProtocolError("there is no command /{name}; /help lists them", name=name)
