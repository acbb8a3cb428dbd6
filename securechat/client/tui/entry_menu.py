"""What can be done with a message, and with a person: the menus, and the doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.client.chat.buffers import Buffer, Entry
from securechat.client.chat.emoji_names import emoji_names
from securechat.client.tui.dialogs import Choice, ChoiceDialog, ConfirmDialog, ReactionDialog
from securechat.client.tui.layout import text_of
from securechat.client.tui.links import find_links
from securechat.client.tui.network import Network
from securechat.client.words.translation import _

if TYPE_CHECKING:
    from securechat.client.tui.app import ChatApp

__all__ = ["EntryMenu"]

EMOJI_LIMIT: Final = 50
"""Most emoji found by a name: whoever looks for one of many types more of it."""

_RECENT_LIMIT: Final = 8
"""Reactions used last that are offered first: one row."""


class EntryMenu:
    """The menus of the conversation that is shown. Owned by Textual's thread."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._recent: list[str] = []  # reactions of ours, the last first

    # ---- a message ----

    def open_for_entry(self, entry: Entry) -> None:
        """Offer what can be done with a message."""
        screen = self._app.chat_screen
        network, buffer = screen.network, screen.shown
        if network is None or buffer is None:
            return
        choices = _choices_for(network, buffer, entry)

        def take(choice: str | None) -> None:
            if choice is not None:
                self._app.safely(lambda: self._do(choice, network, buffer, entry))
                screen.messages.buffer_changed()

        title = _("Message of {nick}", nick=entry.sender) if entry.sender else _("Message")
        self._app.push_screen(ChoiceDialog(title, choices), take)

    def _do(self, choice: str, network: Network, buffer: Buffer, entry: Entry) -> None:
        app, chat = self._app, network.chat
        match choice.partition(" ")[0]:
            case "reply":
                app.chat_screen.start_reply(entry)
            case "answered" if entry.reply_to is not None:
                app.chat_screen.go_to(entry.reply_to)
            case "react":
                self._choose_reaction(network, entry)
            case "delete":
                self._confirm_deletion(network, entry)
            case "copy":
                app.copy_to_clipboard(text_of(entry))
            case "again" if entry.outgoing is not None:
                chat.show_outgoing([chat.outgoing.again(entry.outgoing)])
            case "drop" if entry.outgoing is not None:
                chat.outgoing.drop(entry.outgoing)
                buffer.remove(entry)
            case "accept" if entry.file is not None:
                chat.desk.accept(str(entry.file.transfer))
            case "decline" if entry.file is not None:
                chat.desk.decline(str(entry.file.transfer))
            case "cancel" if entry.file is not None:
                network.client.peers.cancel_file(entry.file.transfer)
            case "open":
                app.open_link(choice.partition(" ")[2])
            case _:
                pass

    def _choose_reaction(self, network: Network, entry: Entry) -> None:
        def take(reaction: str | None) -> None:
            if reaction and self._app.safely(lambda: network.chat.react(entry, reaction)):
                recent = [one for one in self._recent if one != reaction]
                self._recent = [reaction, *recent][:_RECENT_LIMIT]

        self._app.push_screen(ReactionDialog(self._recent, _find_emoji), take)

    def _confirm_deletion(self, network: Network, entry: Entry) -> None:
        def take(wanted: bool | None) -> None:
            if wanted:
                self._app.safely(lambda: network.chat.redact(entry))

        title = _("Delete this message for all?")
        body = _("Who has read it has read it; clients that do not know of deletion show it still.")
        dialog = ConfirmDialog(title, body, yes=_("Delete"), no=_("Keep"))
        self._app.push_screen(dialog, take)

    # ---- a person ----

    def open_for_person(self, nick: str) -> None:
        """Offer what can be done with somebody in a room."""
        network = self._app.chat_screen.network
        if network is None or network.client.same_name(nick, network.client.nick):
            return
        choices = [
            Choice("/query", _("talk in private"), "t"),
            Choice("/peer", _("ask for a session"), "p"),
            Choice("/verify", _("compare the safety code"), "v"),
            Choice("/whois", _("show what is known"), "w"),
        ]

        def take(command: str | None) -> None:
            if command == "/verify":
                self._app.safely(lambda: self._app.open_verification(nick))
            elif command is not None:
                network.chat.enter(f"{command} {nick}")
                self._app.chat_screen.messages.buffer_changed()

        self._app.push_screen(ChoiceDialog(nick, choices), take)


def _find_emoji(name: str) -> list[tuple[str, str]]:
    return emoji_names().find(name, EMOJI_LIMIT)


def _choices_for(network: Network, buffer: Buffer, entry: Entry) -> list[Choice]:
    client = network.client
    choices = []
    if entry.outgoing is not None and entry.state in ("unsure", "refused"):
        choices.append(Choice("again", _("send again"), "r"))
    if entry.outgoing is not None and entry.state in ("unsure", "refused", "waiting"):
        choices.append(Choice("drop", _("forget it"), "f"))
    if entry.is_text and entry.msgid is not None and not entry.redacted_by:
        choices.append(Choice("reply", _("reply"), "r"))
        choices.append(Choice("react", _("react"), "e"))
    if entry.reply_to is not None:
        choices.append(Choice("answered", _("go to the message answered"), "g"))
    links = [entry.text[start:end] for start, end in find_links(entry.text)]
    choices += [Choice(f"open {link}", _("open {url}", url=link)) for link in links]
    choices += _file_choices(entry)
    choices.append(Choice("copy", _("copy"), "c"))
    deletable = entry.is_text and entry.msgid is not None and not entry.redacted_by
    if deletable and client.offers("draft/message-redaction"):
        choices.append(Choice("delete", _("delete for all"), "d"))
    return choices


def _file_choices(entry: Entry) -> list[Choice]:
    if entry.file is None:
        return []
    if entry.file.state == "offered" and not entry.file.outgoing:
        accept = Choice("accept", _("accept the file"), "a")
        return [accept, Choice("decline", _("decline the file"), "d")]
    if entry.file.state in ("offered", "moving"):
        return [Choice("cancel", _("cancel the file"), "x")]
    return []
