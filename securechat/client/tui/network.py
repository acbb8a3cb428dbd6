"""One network of the full-screen client: its client, its chat, and how news of it reach the screen.

The I/O thread of a client must not touch the screen, and the screen must not be woken for each
event: one message is posted for as many events as come until that is handled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from textual.message import Message

from securechat.client.chat.buffers import Buffer, Notify
from securechat.client.chat.chat import Chat
from securechat.client.chat.conversations import News
from securechat.client.chat.outgoing import OutgoingText
from securechat.client.client import Client
from securechat.client.commands import dispatch as commands
from securechat.client.commands.table import Command, build_table
from securechat.client.events import (
    Connected,
    Disconnected,
    Event,
    Found,
    NamesReceived,
    RelaysAnnounced,
    RequestFailed,
    Welcome,
)
from securechat.client.tui import screen_commands
from securechat.client.tui.header import Connection
from securechat.client.words.wording import why_disconnected
from securechat.errors import SecureChatError

if TYPE_CHECKING:
    from securechat.client.tui.face import Face

__all__ = ["EVENTS_PER_TURN", "Network", "ScreenChat", "Wake"]

EVENTS_PER_TURN: Final = 100
"""Most events handled before a key that was pressed meanwhile has its turn: some 10 ms."""

PRESENCE_LIMIT: Final = 500
"""Largest room of which is asked who is away: the answer has a line for each."""

REST_S: Final = 0.02
"""How long news may gather before they are handled, but for the first ones: the screen is drawn at
most so often, and each time is worth it."""


class Wake(Message):
    """A network has news."""

    def __init__(self, network: Network) -> None:
        self.network = network
        super().__init__()


class ScreenChat(Chat):
    """The chat of one network on the screen. Owned by Textual's thread."""

    table: Mapping[str, Command] = build_table((*commands.MODULES, screen_commands))

    def __init__(
        self,
        client: Client,
        face: Face,
        *,
        channels: Sequence[str],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(client, channels=channels, clock=clock, monotonic=monotonic)
        self.face = face
        self._monotonic = monotonic
        self._unanswered: dict[int, float] = {}  # texts that are sent, by number

    def handle(self, event: Event) -> list[News]:
        """Take what has happened; ask who is away in a room that we have entered."""
        news = super().handle(event)
        match event:
            case NamesReceived(joined=True) if len(event.members) <= PRESENCE_LIMIT:
                with contextlib.suppress(SecureChatError):  # the connection has gone since
                    self.client.ask_presence(event.channel)
            case _:
                pass
        return news

    def show_outgoing(self, texts: Sequence[OutgoingText]) -> None:
        """Show how far texts of our own are, and remember since when they wait for an answer."""
        super().show_outgoing(texts)
        for text in texts:
            if text.state == "sent":
                self._unanswered.setdefault(text.number, self._monotonic())
            else:
                self._unanswered.pop(text.number, None)

    @property
    def unanswered_since(self) -> float | None:
        """Since when, in monotonic seconds, a text of ours waits for the relay's answer."""
        return min(self._unanswered.values(), default=None)

    def show_help(self, command: str = "") -> None:
        """Open the help, or show what there is to know about a command."""
        if command:
            super().show_help(command)
        else:
            self.face.open_help()

    def moved(self) -> None:
        """Show where the user is now, if it is this network that is shown."""
        self.face.moved(self)

    def learn(self, event: RelaysAnnounced) -> None:
        """A relay has said which there are: keep it for the next start."""
        self.face.learn(self, event)

    def left_room(self) -> None:
        """Stay there: what is just being typed for a room must not be said in another one."""

    def leave(self, reason: str = "leaving") -> None:
        """End the whole program."""
        super().leave(reason)
        self.face.leave()


class Network:
    """A network that is open. Owned by Textual's thread.

    :param open_client: makes the client, which calls back on its I/O thread when it has news.
    :param post: takes a message from any thread.
    """

    def __init__(
        self,
        name: str,
        open_client: Callable[[Callable[[], None]], Client],
        face: Face,
        post: Callable[[Message], object],
        *,
        channels: Sequence[str],
        notify: Mapping[str, Notify],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self.retry_at: float | None = None  # monotonic
        self.reason = ""  # why we are offline, safe
        self.answers: dict[int, Callable[[Found | RequestFailed], None]] = {}  # by request
        self._post = post
        self._woken = False
        self._monotonic = monotonic
        self.client = open_client(self._wake)
        self.chat = ScreenChat(
            self.client, face, channels=channels, clock=clock, monotonic=monotonic
        )
        self.chat.conversations.notify.update(
            {conversation.lower(): wish for conversation, wish in notify.items()}
        )

    @property
    def connection(self) -> Connection:
        """How it is with the connection."""
        if self.client.online:
            return "online"
        return "offline" if self.chat.finished or self.retry_at is not None else "connecting"

    def pump(self, rest: Callable[[float, Callable[[], object]], object]) -> list[News]:
        """Handle the next events. There may be more: then the screen is woken again, after a rest.

        :param rest: calls something after so many seconds.
        """
        events = self._take_events()
        if not events:
            self._woken = False
            events = self._take_events()  # what came just before that
            self._woken = bool(events)
        if len(events) == EVENTS_PER_TURN:  # there are more, and there is no time to lose
            self._post(Wake(self))
        elif events:
            rest(REST_S, lambda: self._post(Wake(self)))
        news: list[News] = []
        for event in events:
            news += self._handle(event)
        return news

    def _take_events(self) -> list[Event]:
        events: list[Event] = []
        while len(events) < EVENTS_PER_TURN and (event := self.client.poll()) is not None:
            events.append(event)
        return events

    def _handle(self, event: Event) -> list[News]:
        match event:
            case Connected():
                self.retry_at = None
            case Welcome():
                self.retry_at, self.reason = None, ""
            case Disconnected():
                self.reason = why_disconnected(event)
                waits = event.retry_in_s if event.will_retry else None
                self.retry_at = self._monotonic() + waits if waits is not None else None
            case Found() | RequestFailed() if event.request in self.answers:
                self.answers.pop(event.request)(event)
                return []
            case _:
                pass
        return self.chat.handle(event)

    def refresh_safety(self, buffer: Buffer) -> None:
        """Look how far the device of a peer is known, which may have changed by now."""
        with contextlib.suppress(SecureChatError):
            for peer in self.client.peers.list():
                if self.client.same_name(peer.nick, buffer.name):
                    self.chat.conversations.note_safety(buffer, peer.safety)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._post(Wake(self))
