"""Searching: the dialog on one side, the buffers and the relay on the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from securechat.client.buffers import Buffer, Entry
from securechat.client.events import Found, RequestFailed
from securechat.client.safe_text import make_safe
from securechat.client.translation import explain
from securechat.client.tui.network import Network
from securechat.client.tui.search_screen import Hit, Query, SearchScreen
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

    def open(self, network: Network, buffer: Buffer, words: str) -> None:
        """Show the search, in a conversation or in all of its network."""
        scope = "" if buffer.kind == "server" else buffer.name

        def run(query: Query) -> None:
            self._run(screen, network, buffer, query)

        def take(hit: Hit | None) -> None:
            if hit is not None:
                network.chat.set_target(hit.conversation)
                if hit.msgid is not None:
                    self._app.chat_screen.go_to(hit.msgid)

        screen = SearchScreen(scope, run, words)
        self._app.push_screen(screen, take)

    def _run(self, screen: SearchScreen, network: Network, buffer: Buffer, asked: Query) -> None:
        query = asked
        if not query.conversation and not query.everywhere:
            query = replace(query, conversation=buffer.name)
        screen.show_local(asked, _local_hits(network, query))
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

        try:
            request = network.client.search(
                query.text, conversation=query.conversation, sender=query.sender
            )
        except SecureChatError as error:
            screen.show_failure(asked, explain(error))
        else:
            network.answers[request] = answered


def _local_hits(network: Network, query: Query) -> list[Hit]:
    found: list[tuple[Buffer, Entry]] = []
    for buffer in network.chat.conversations:
        if query.conversation and not network.client.same_name(buffer.name, query.conversation):
            continue
        found += [
            (buffer, entry)
            for entry in buffer.search(query.words)
            if not query.sender or network.client.same_name(entry.sender, query.sender)
        ]
    found.sort(key=lambda pair: pair[1].time)
    return [
        Hit(buffer.name, entry.msgid, entry.sender, entry.text, entry.time, True)
        for buffer, entry in found[-LOCAL_LIMIT:]
        if entry.msgid is not None
    ]
