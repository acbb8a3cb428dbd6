"""What the slash-commands and the chats of the full-screen client may ask of it."""

from __future__ import annotations

from typing import Protocol

from securechat.client.chat.buffers import Buffer, Notify
from securechat.client.chat.chat import Chat
from securechat.client.events import RelaysAnnounced

__all__ = ["Face"]


class Face(Protocol):
    """The screen, as a chat sees it. Textual's thread only."""

    def moved(self, chat: Chat) -> None:
        """The user of a chat is in another conversation: show it, if that chat is shown."""

    def hide_buffer(self, buffer: Buffer) -> None:
        """Close a conversation here; it opens again by itself when something is said in it."""

    def open_help(self) -> None:
        """Show the help."""

    def open_search(self, words: str) -> None:
        """Show the search."""

    def open_setup(self, invite: str = "") -> None:
        """Add a network; that to which an invite link leads, if one is given."""

    def open_verification(self, name: str) -> None:
        """Show the safety code of somebody."""

    def set_theme(self, name: str) -> None:
        """Use another theme.

        :raises LocalProtocolError: there is none of that name.
        """

    def set_notify(self, buffer: Buffer, notify: Notify) -> None:
        """Have a conversation ask for attention so, from now on."""

    def learn(self, chat: Chat, event: RelaysAnnounced) -> None:
        """Keep for the next start which relays the network of a chat has."""

    def open_network(self, name: str) -> None:
        """Show a network, and connect to it if it is not open.

        :raises SecureChatError: there is none of that name, or it cannot be opened.
        """

    def close_network(self) -> None:
        """Leave the network that is shown."""

    def leave(self) -> None:
        """End the program."""
