"""The slash-commands of the chat: rooms, talking, people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.client.chat.buffers import safe_lines
from securechat.client.chat.outgoing import OutgoingState
from securechat.client.commands.table import command
from securechat.client.words.translation import _, gettext_noop
from securechat.errors import LocalProtocolError

if TYPE_CHECKING:
    from securechat.client.chat.chat import Chat

__all__: list[str] = []

_STATES: Final[Mapping[OutgoingState, str]] = {
    "waiting": gettext_noop("waiting"),
    "sent": gettext_noop("not confirmed yet"),
    "unsure": gettext_noop("not known whether it arrived"),
    "refused": gettext_noop("refused"),
    "delivered": gettext_noop("delivered"),
}
"""What becomes of a text, in words."""

_KICK: Final = gettext_noop("/kick [#ROOM] NICK [REASON]")


def _channel(ui: Chat, arguments: list[str]) -> tuple[str, list[str]]:
    """Take the channel off the front of ``arguments``; without one, it is where the user is."""
    if arguments and ui.client.is_channel(arguments[0]):
        return arguments[0], arguments[1:]
    if not ui.client.is_channel(ui.target):
        raise LocalProtocolError("which channel? you are in none now")
    return ui.target, arguments


# ---- rooms ----


@command(
    gettext_noop("/join #ROOM [KEY]"),
    gettext_noop("enter a room and talk there"),
    least=1,
    most=2,
    aliases=("j",),
)
def _join(ui: Chat, arguments: list[str]) -> None:
    ui.join(*arguments)


@command(
    gettext_noop("/part [#ROOM] [REASON]"),
    gettext_noop("leave a room"),
    least=0,
    most=2,
    aliases=("leave",),
)
def _part(ui: Chat, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    ui.client.part(channel, " ".join(rest))


@command(
    gettext_noop("/topic [#ROOM] [TEXT]"),
    gettext_noop("show or set the topic of a room"),
    least=0,
    most=2,
)
def _topic(ui: Chat, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    if rest:
        ui.client.set_topic(channel, " ".join(rest))
    else:
        ui.client.command("TOPIC", channel)


@command(gettext_noop("/names [#ROOM]"), gettext_noop("show who is in a room"), least=0, most=1)
def _names(ui: Chat, arguments: list[str]) -> None:
    ui.client.command("NAMES", _channel(ui, arguments)[0])


@command(gettext_noop("/list"), gettext_noop("list the rooms"), least=0, most=0)
def _list(ui: Chat, arguments: list[str]) -> None:
    ui.client.command("LIST")


@command(
    gettext_noop("/invite NICK [#ROOM]"), gettext_noop("invite somebody to a room"), least=1, most=2
)
def _invite(ui: Chat, arguments: list[str]) -> None:
    channel = _channel(ui, arguments[1:])[0]
    ui.client.command("INVITE", arguments[0], channel)


@command(_KICK, gettext_noop("throw somebody out of a room"), least=1, most=3)
def _kick(ui: Chat, arguments: list[str]) -> None:
    channel, rest = _channel(ui, arguments)
    if not rest:
        raise LocalProtocolError("usage: {usage}", usage=_(_KICK))
    reason = " ".join(rest[1:])
    ui.client.command("KICK", channel, rest[0], *([reason] if reason else []))


@command(
    gettext_noop("/mode [#ROOM|NICK] [MODES [NAMES]]"),
    gettext_noop("show or set modes"),
    least=0,
    most=15,
)
def _mode(ui: Chat, arguments: list[str]) -> None:
    if arguments and arguments[0][0] not in "+-":
        ui.client.command("MODE", *arguments)
    else:
        channel, rest = _channel(ui, arguments)
        ui.client.command("MODE", channel, *rest)


# ---- talking ----


@command(
    gettext_noop("/msg NICK TEXT"),
    gettext_noop("say something to one person"),
    least=2,
    most=2,
    aliases=("m",),
)
def _msg(ui: Chat, arguments: list[str]) -> None:
    ui.say(arguments[0], arguments[1])


@command(
    gettext_noop("/query [NICK]"),
    gettext_noop("talk with one person from now on"),
    least=0,
    most=1,
    aliases=("q",),
)
def _query(ui: Chat, arguments: list[str]) -> None:
    ui.set_target(arguments[0] if arguments else "")


@command(gettext_noop("/me TEXT"), gettext_noop("say what you do"), least=1, most=1)
def _me(ui: Chat, arguments: list[str]) -> None:
    ui.say(ui.need_target(), arguments[0], "action")


@command(
    gettext_noop("/notice TARGET TEXT"),
    gettext_noop("say something that no program answers"),
    least=2,
    most=2,
)
def _notice(ui: Chat, arguments: list[str]) -> None:
    ui.say(arguments[0], arguments[1], "notice")


@command(
    gettext_noop("/reply NICK TEXT"),
    gettext_noop("answer what somebody has said last here"),
    least=2,
    most=2,
)
def _reply(ui: Chat, arguments: list[str]) -> None:
    answered = ui.last_text(arguments[0])
    ui.say(ui.need_target(), arguments[1], reply_to=answered.msgid)


@command(
    gettext_noop("/react [NICK] EMOJI"),
    gettext_noop("react to what was said last here; the same again takes it back"),
    least=1,
    most=2,
)
def _react(ui: Chat, arguments: list[str]) -> None:
    *nick, reaction = arguments
    ui.react(ui.last_text(*nick), reaction)


@command(
    gettext_noop("/delete [REASON]"),
    gettext_noop("delete what you have said last here, for all"),
    least=0,
    most=1,
)
def _delete(ui: Chat, arguments: list[str]) -> None:
    ui.redact(ui.last_text(own=True), *arguments)


@command(
    gettext_noop("/unsent [again|drop]"),
    gettext_noop("show what is not delivered here; say it again, or forget it"),
    least=0,
    most=1,
)
def _unsent(ui: Chat, arguments: list[str]) -> None:
    texts = ui.outgoing.waiting(ui.need_target())
    match [word.lower() for word in arguments]:
        case []:
            for text in texts:
                ui.show(f"{_(_STATES[text.state])}: {safe_lines(text.text)}")
        case ["again"]:
            for text in texts:
                if text.state in ("unsure", "refused"):
                    ui.show_outgoing([ui.outgoing.again(text.number)])
        case ["drop"]:
            for text in texts:
                ui.drop(text)
        case _:
            raise LocalProtocolError("usage: /unsent [again|drop]")


# ---- people ----


@command(gettext_noop("/who [MASK]"), gettext_noop("look for people"), least=0, most=1)
def _who(ui: Chat, arguments: list[str]) -> None:
    ui.client.command("WHO", arguments[0] if arguments else ui.need_target())


@command(
    gettext_noop("/whois NICK"), gettext_noop("show what is known about somebody"), least=1, most=1
)
def _whois(ui: Chat, arguments: list[str]) -> None:
    ui.client.command("WHOIS", arguments[0])
