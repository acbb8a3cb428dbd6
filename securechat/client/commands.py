"""The slash-commands of the line interface: one table, which ``/help`` prints.

``run`` makes the checks that all commands share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.client import chat_commands, own_commands, peer_commands
from securechat.client.command_table import Command, build_table
from securechat.errors import LocalProtocolError

if TYPE_CHECKING:
    from securechat.client.line_mode import LineMode

__all__ = ["COMMANDS", "help_lines", "run"]

COMMANDS: Final[Mapping[str, Command]] = build_table((chat_commands, peer_commands, own_commands))
"""Each command by its name, in the order of ``/help``."""

_BY_ANY_NAME: Final = {
    name: command for command in COMMANDS.values() for name in (command.name, *command.aliases)
}


def run(ui: LineMode, line: str) -> None:
    """Run ``line``, which is without its slash.

    :raises SecureChatError: it cannot be done; the text says why.
    """
    name, _, rest = line.partition(" ")
    command = _find(name)
    arguments = rest.strip().split(None, max(0, command.most - 1))
    if not command.least <= len(arguments) <= command.most:
        raise LocalProtocolError(f"usage: {command.usage}")
    command.handler(ui, arguments)


def help_lines(name: str = "") -> list[str]:
    """Return what there is to know about a command, with or without its slash, or about all.

    :raises LocalProtocolError: there is none of that name.
    """
    if name:
        command = _find(name.removeprefix("/"))
        also = "".join(f", also /{alias}" for alias in command.aliases)
        details = (f"    {line}" for line in command.details)
        return [f"{command.usage}: {command.description}{also}", *details]
    width = max(len(command.usage) for command in COMMANDS.values())
    return [
        *(f"{command.usage:{width}}  {command.description}" for command in COMMANDS.values()),
        "Anything else is said to where you are; //text says /text.",
    ]


def _find(name: str) -> Command:
    found = _BY_ANY_NAME.get(name.lower())
    if found is None:
        raise LocalProtocolError(f"there is no command /{name}; /help lists them")
    return found
