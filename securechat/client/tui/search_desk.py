"""Searching: the dialog on one side, the buffers and the relay on the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from securechat.client.chat.buffers import Buffer, Entry
from securechat.client.events import Found, RequestFailed
from securechat.client.tui.network import Network
from securechat.client.tui.search_screen import (
    NO_SEARCH,
    OFFLINE,
    Hit,
    Query,
    SearchScreen,
)
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.errors import SecureChatError

if TYPE_CHECKING:
    from securechat.client.tui.app import ChatApp

__all__ = ["SearchDesk"]

LOCAL_LIMIT: Final = 200
"""Most texts of the buffers that are listed, the newest: nobody reads more, and each is drawn."""


class SearchDesk:
    """Runs what is searched for, and opens what is found. Owned by Textual's thread."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._here: dict[object, Entry] = {}  # what was found in the buffers

    def open(self, network: Network, buffer: Buffer, words: str) -> None:
        """Show the search, in a conversation or in all of its network."""
        scope = "" if buffer.kind == "server" else buffer.name

        def run(query: Query) -> None:
            self._run(screen, network, buffer, query)

        def take(hit: Hit | None) -> None:
            if hit is None:
                return
            network.chat.set_target(hit.conversation)
            if hit.msgid is not None:
                self._app.chat_screen.go_to(hit.msgid)
            else:  # of a session between peers: it is here, or nowhere
                self._app.chat_screen.messages.reveal(self._here[hit.key])

        screen = SearchScreen(scope, run, words)
        self._app.push_screen(screen, take)

    def _run(self, screen: SearchScreen, network: Network, buffer: Buffer, asked: Query) -> None:
        query = asked
        if not query.conversation and not query.everywhere:
            query = replace(query, conversation=buffer.name)
        screen.show_local(asked, self._search_here(network, query))
        if not query.ask_relay:
            return

        def answered(event: Found | RequestFailed) -> None:
            if isinstance(event, RequestFailed):
                screen.show_failure(asked, make_safe(event.text))
                return
            hits = [
                Hit(text.conversation, text.msgid, text.sender, text.text, text.time, False)
                for text in event.texts
                if text.msgid is not None
            ]
            screen.show_relay(asked, hits)

        if not network.client.online:
            screen.show_failure(asked, _(OFFLINE))
            return
        if not network.client.offers("soju.im/search"):
            screen.show_failure(asked, _(NO_SEARCH))
            return
        try:
            request = network.client.search(
                query.text, conversation=query.conversation, sender=query.sender
            )
        except SecureChatError as error:
            screen.show_failure(asked, explain(error))
        else:
            network.answers[request] = answered

    def _search_here(self, network: Network, query: Query) -> list[Hit]:
        same = network.client.same_name
        found: list[tuple[Buffer, Entry]] = []
        for buffer in network.chat.conversations:
            if query.conversation and not same(buffer.name, query.conversation):
                continue
            found += [
                (buffer, entry)
                for entry in buffer.search(query.words)
                if not query.sender or same(entry.sender, query.sender)
            ]
        found.sort(key=lambda pair: pair[1].time)
        hits = [
            (Hit(buffer.name, entry.msgid, entry.sender, entry.text, entry.time, True), entry)
            for buffer, entry in found[-LOCAL_LIMIT:]
        ]
        self._here = {hit.key: entry for hit, entry in hits}
        return [hit for hit, _entry in hits]
