"""The slash-commands of the chat: rooms, talking, people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securechat.client.command_table import command
from securechat.errors import LocalProtocolError

if TYPE_CHECKING:
    from securechat.client.line_mode import LineMode

__all__: list[str] = []


def _channel(ui: LineMode, arguments: list[str]) -> tuple[str, list[str]]:
    """Take the channel off the front of ``arguments``; without one, it is where the user is."""
    if arguments and ui.client.is_channel(arguments[0]):
        return arguments[0], arguments[1:]
    if not ui.client.is_channel(ui.target):
        raise LocalProtocolError("which channel? you are in none now")
    return ui.target, arguments


# ---- rooms ----


@command("/join #ROOM [KEY]", "enter a room and talk there", least=1, most=2, aliases=("j",))
def _join(ui: LineMode, arguments: list[str]) -> None:
    ui.client.join(*arguments)


@command("/part [#ROOM] [REASON]", "leave a room", least=0, most=2, aliases=("leave",))
def _part(ui: LineMode, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    ui.client.part(channel, " ".join(rest))


@command("/topic [#ROOM] [TEXT]", "show or set the topic of a room", least=0, most=2)
def _topic(ui: LineMode, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    if rest:
        ui.client.set_topic(channel, " ".join(rest))
    else:
        ui.client.command("TOPIC", channel)


@command("/names [#ROOM]", "show who is in a room", least=0, most=1)
def _names(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("NAMES", _channel(ui, arguments)[0])


@command("/list", "list the rooms", least=0, most=0)
def _list(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("LIST")


@command("/invite NICK [#ROOM]", "invite somebody to a room", least=1, most=2)
def _invite(ui: LineMode, arguments: list[str]) -> None:
    channel, _ = _channel(ui, arguments[1:])
    ui.client.command("INVITE", arguments[0], channel)


@command("/kick [#ROOM] NICK [REASON]", "throw somebody out of a room", least=1, most=3)
def _kick(ui: LineMode, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    if not rest:
        raise LocalProtocolError("usage: /kick [#ROOM] NICK [REASON]")
    reason = " ".join(rest[1:])
    ui.client.command("KICK", channel, rest[0], *([reason] if reason else []))


@command("/mode [#ROOM|NICK] [MODES [NAMES]]", "show or set modes", least=0, most=15)
def _mode(ui: LineMode, arguments: list[str]) -> None:
    if arguments and arguments[0][0] not in "+-":
        ui.client.command("MODE", *arguments)
    else:
        channel, rest = _channel(ui, arguments)
        ui.client.command("MODE", channel, *rest)


# ---- talking ----


@command("/msg NICK TEXT", "say something to one person", least=2, most=2, aliases=("m",))
def _msg(ui: LineMode, arguments: list[str]) -> None:
    ui.say(arguments[0], arguments[1])


@command("/query [NICK]", "talk with one person from now on", least=0, most=1, aliases=("q",))
def _query(ui: LineMode, arguments: list[str]) -> None:
    ui.set_target(arguments[0] if arguments else "")


@command("/me TEXT", "say what you do", least=1, most=1)
def _me(ui: LineMode, arguments: list[str]) -> None:
    ui.say(ui.need_target(), arguments[0], "action")


@command("/notice TARGET TEXT", "say something that no program answers", least=2, most=2)
def _notice(ui: LineMode, arguments: list[str]) -> None:
    ui.say(arguments[0], arguments[1], "notice")


# ---- people ----


@command("/who [MASK]", "look for people", least=0, most=1)
def _who(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("WHO", arguments[0] if arguments else ui.need_target())


@command("/whois NICK", "show what is known about somebody", least=1, most=1)
def _whois(ui: LineMode, arguments: list[str]) -> None:
    ui.client.command("WHOIS", arguments[0])
