"""How a slash-command is described, and the table that is made of them.

A handler is a function of the interface and the arguments; the last argument that a command allows
takes the rest of the line, spaces and all. The decorator records what ``/help`` prints and what is
checked before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securechat.client.chat.chat import Chat

__all__ = ["Command", "Handler", "build_table", "command"]

Handler = Callable[["Chat", list[str]], None]
"""What runs a command. It raises ``SecureChatError`` when it cannot; the text says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One slash-command. Immutable."""

    name: str
    aliases: tuple[str, ...]
    least: int
    most: int
    usage: str
    description: str
    details: tuple[str, ...]
    handler: Handler


def command(
    usage: str,
    description: str,
    *,
    least: int,
    most: int,
    aliases: tuple[str, ...] = (),
    details: tuple[str, ...] = (),
) -> Callable[[Handler], Command]:
    """Make a handler the entry of a command. Records, and does nothing else.

    All texts are marked by ``gettext_noop``, and translated where they are shown.

    :param usage: begins with the name.
    :param details: the lines that only ``/help COMMAND`` shows.
    """

    def record(handler: Handler) -> Command:
        name = usage.partition(" ")[0].removeprefix("/")
        return Command(name, aliases, least, most, usage, description, details, handler)

    return record


def build_table(modules: Iterable[ModuleType]) -> Mapping[str, Command]:
    """Return the commands of ``modules`` by name, in order; a name given twice is an error."""
    table: dict[str, Command] = {}
    taken: set[str] = set()
    for module in modules:
        for entry in vars(module).values():
            if not isinstance(entry, Command):
                continue
            for name in (entry.name, *entry.aliases):
                if name in taken:
                    raise ValueError(f"two commands called /{name}")
                taken.add(name)
            table[entry.name] = entry
    return table
