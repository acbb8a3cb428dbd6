"""The slash-commands that only the full-screen client has."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from securechat.client.commands.table import command
from securechat.client.settings.invitation import is_invite_link
from securechat.client.words.translation import gettext_noop
from securechat.errors import LocalProtocolError

if TYPE_CHECKING:
    from securechat.client.chat.chat import Chat
    from securechat.client.tui.network import ScreenChat

__all__: list[str] = []


def _screen(chat: Chat) -> ScreenChat:
    """Return ``chat``, which is one of the screen: only that has this table."""
    return cast("ScreenChat", chat)


@command(
    gettext_noop("/search [WORDS]"),
    gettext_noop("search here and everywhere, also in:#ROOM from:NICK; Ctrl-F"),
    least=0,
    most=1,
)
def _search(chat: Chat, arguments: list[str]) -> None:
    _screen(chat).face.open_search(" ".join(arguments))


@command(
    gettext_noop("/notify [all|mentions|none]"),
    gettext_noop("show or set what of this conversation asks for attention"),
    least=0,
    most=1,
)
def _notify(chat: Chat, arguments: list[str]) -> None:
    buffer = chat.conversations.current
    match [word.lower() for word in arguments]:
        case []:
            chat.show_note(buffer.notify)
        case ["all" | "mentions" | "none" as wish]:
            _screen(chat).face.set_notify(buffer, wish)
        case _:
            raise LocalProtocolError("usage: /notify [all|mentions|none]")


@command(
    gettext_noop("/hide"),
    gettext_noop("close this conversation here; a room is left"),
    least=0,
    most=0,
)
def _hide(chat: Chat, arguments: list[str]) -> None:
    _screen(chat).face.hide_buffer(chat.conversations.current)


@command(
    gettext_noop("/theme NAME"),
    gettext_noop("other colours: dark, light, contrast, sixteen"),
    least=1,
    most=1,
)
def _theme(chat: Chat, arguments: list[str]) -> None:
    _screen(chat).face.set_theme(arguments[0])


@command(
    gettext_noop("/network [NAME|LINK]"),
    gettext_noop("go to another network, or where an invite link leads; without either, add one"),
    least=0,
    most=1,
)
def _network(chat: Chat, arguments: list[str]) -> None:
    face = _screen(chat).face
    if arguments and not is_invite_link(arguments[0]):
        face.open_network(arguments[0])
    else:
        face.open_setup(*arguments)


@command(gettext_noop("/disconnect"), gettext_noop("leave this network, and stay"), least=0, most=0)
def _disconnect(chat: Chat, arguments: list[str]) -> None:
    _screen(chat).face.close_network()
