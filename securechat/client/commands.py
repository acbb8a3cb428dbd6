"""The slash-commands of the line interface: one table, which ``/help`` prints.

A handler is a function of the interface and the arguments; the last argument that a command allows
takes the rest of the line, spaces and all. ``run`` makes the checks that all commands share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from securechat.errors import LocalProtocolError

if TYPE_CHECKING:
    from securechat.client.line_mode import LineMode

__all__ = ["COMMANDS", "Command", "run"]

_Handler = Callable[["LineMode", list[str]], None]


@dataclass(frozen=True, slots=True)
class Command:
    """One slash-command. Immutable."""

    name: str
    aliases: tuple[str, ...]
    least: int
    most: int
    usage: str
    description: str
    handler: _Handler


COMMANDS: Final[dict[str, Command]] = {}
"""Each command by its name, in the order of ``/help``."""

_BY_ANY_NAME: Final[dict[str, Command]] = {}


def _command(
    usage: str, description: str, *, least: int, most: int, aliases: tuple[str, ...] = ()
) -> Callable[[_Handler], _Handler]:
    """Record a command; ``usage`` begins with its name."""

    def record(handler: _Handler) -> _Handler:
        name = usage.partition(" ")[0].removeprefix("/")
        command = Command(name, aliases, least, most, usage, description, handler)
        COMMANDS[name] = command
        for known in (name, *aliases):
            assert known not in _BY_ANY_NAME, known
            _BY_ANY_NAME[known] = command
        return handler

    return record


def run(ui: LineMode, line: str) -> None:
    """Run ``line``, which is without its slash.

    :raises SecureChatError: it cannot be done; the text says why.
    """
    name, _, rest = line.partition(" ")
    command = _BY_ANY_NAME.get(name.lower())
    if command is None:
        raise LocalProtocolError(f"there is no command /{name}; /help lists them")
    arguments = rest.strip().split(None, max(0, command.most - 1))
    if not command.least <= len(arguments) <= command.most:
        raise LocalProtocolError(f"usage: {command.usage}")
    command.handler(ui, arguments)


def _channel(ui: LineMode, arguments: list[str]) -> tuple[str, list[str]]:
    """Take the channel off the front of ``arguments``; without one, it is where the user is."""
    if arguments and ui.client.is_channel(arguments[0]):
        return arguments[0], arguments[1:]
    if not ui.client.is_channel(ui.target):
        raise LocalProtocolError("which channel? you are in none now")
    return ui.target, arguments


# ---- rooms ----


@_command("/join #ROOM [KEY]", "enter a room and talk there", least=1, most=2, aliases=("j",))
def _join(ui: LineMode, arguments: list[str]) -> None:
    ui.client.join(*arguments)


@_command("/part [#ROOM] [REASON]", "leave a room", least=0, most=2, aliases=("leave",))
def _part(ui: LineMode, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    ui.client.part(channel, " ".join(rest))


@_command("/topic [#ROOM] [TEXT]", "show or set the topic of a room", least=0, most=2)
def _topic(ui: LineMode, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    if rest:
        ui.client.set_topic(channel, " ".join(rest))
    else:
        ui.client.command("TOPIC", channel)


@_command("/names [#ROOM]", "show who is in a room", least=0, most=1)
def _names(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("NAMES", _channel(ui, arguments)[0])


@_command("/list", "list the rooms", least=0, most=0)
def _list(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("LIST")


@_command("/invite NICK [#ROOM]", "invite somebody to a room", least=1, most=2)
def _invite(ui: LineMode, arguments: list[str]) -> None:
    channel, _ = _channel(ui, arguments[1:])
    ui.client.command("INVITE", arguments[0], channel)


@_command("/kick [#ROOM] NICK [REASON]", "throw somebody out of a room", least=1, most=3)
def _kick(ui: LineMode, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    if not rest:
        raise LocalProtocolError("usage: /kick [#ROOM] NICK [REASON]")
    reason = " ".join(rest[1:])
    ui.client.command("KICK", channel, rest[0], *([reason] if reason else []))


@_command("/mode [#ROOM|NICK] [MODES [NAMES]]", "show or set modes", least=0, most=15)
def _mode(ui: LineMode, arguments: list[str]) -> None:
    if arguments and arguments[0][0] not in "+-":
        ui.client.command("MODE", *arguments)
    else:
        channel, rest = _channel(ui, arguments)
        ui.client.command("MODE", channel, *rest)


# ---- talking ----


@_command("/msg NICK TEXT", "say something to one person", least=2, most=2, aliases=("m",))
def _msg(ui: LineMode, arguments: list[str]) -> None:
    ui.client.send(arguments[0], arguments[1])


@_command("/query [NICK]", "talk with one person from now on", least=0, most=1, aliases=("q",))
def _query(ui: LineMode, arguments: list[str]) -> None:
    ui.set_target(arguments[0] if arguments else "")


@_command("/me TEXT", "say what you do", least=1, most=1)
def _me(ui: LineMode, arguments: list[str]) -> None:
    ui.client.action(ui.need_target(), arguments[0])


@_command("/notice TARGET TEXT", "say something that no program answers", least=2, most=2)
def _notice(ui: LineMode, arguments: list[str]) -> None:
    ui.client.notice(arguments[0], arguments[1])


# ---- people, and you ----


@_command("/who [MASK]", "look for people", least=0, most=1)
def _who(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("WHO", arguments[0] if arguments else ui.need_target())


@_command("/whois NICK", "show what is known about somebody", least=1, most=1)
def _whois(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("WHOIS", arguments[0])


@_command("/nick NICK", "take another nick", least=1, most=1)
def _nick(ui: LineMode, arguments: list[str]) -> None:
    ui.client.set_nick(arguments[0])


@_command("/away [TEXT]", "be away; without a text, be back", least=0, most=1)
def _away(ui: LineMode, arguments: list[str]) -> None:
    ui.client.away(*arguments)


@_command("/register [CODE|EMAIL]", "make an account of your nick", least=0, most=1)
def _register(ui: LineMode, arguments: list[str]) -> None:
    ui.ask_to_register(arguments[0] if arguments else "")


@_command("/login [ACCOUNT]", "log in", least=0, most=1)
def _login(ui: LineMode, arguments: list[str]) -> None:
    ui.ask_to_log_in(arguments[0] if arguments else ui.client.nick)


# ---- the rest ----


@_command("/raw LINE", "say a line of IRC as it is", least=1, most=1, aliases=("quote",))
def _raw(ui: LineMode, arguments: list[str]) -> None:
    ui.client.raw(arguments[0])


@_command("/quit [REASON]", "leave; so does the word exit", least=0, most=1, aliases=("exit",))
def _quit(ui: LineMode, arguments: list[str]) -> None:
    ui.leave(*arguments)


@_command("/help [COMMAND]", "show this", least=0, most=1, aliases=("h",))
def _help(ui: LineMode, arguments: list[str]) -> None:
    if arguments:
        name = arguments[0].removeprefix("/").lower()
        if name not in _BY_ANY_NAME:
            raise LocalProtocolError(f"there is no command /{name}; /help lists them")
        command = _BY_ANY_NAME[name]
        also = "".join(f", also /{alias}" for alias in command.aliases)
        ui.show(f"{command.usage}: {command.description}{also}")
        return
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        ui.show(f"{command.usage:{width}}  {command.description}")
    ui.show("Anything else is said to where you are; //text says /text.")
