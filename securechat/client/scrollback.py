"""Bringing history into the buffers: what was missed, what is further up, a place that was found.

Who asks for history himself (``Client(history=True)``) is told nothing by the server unasked. So
with each welcome and each join the buffers are brought up to date: by what is newer than the newest
text that they have, else by the latest page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from securechat.client.buffers import Buffer
from securechat.client.client import Client
from securechat.client.conversations import Conversations
from securechat.client.events import (
    Event,
    HistoryReceived,
    Joined,
    RequestFailed,
    TargetsReceived,
    TextReceived,
    Welcome,
)
from securechat.errors import SecureChatError

__all__ = ["Scrollback"]

PAGE: Final = 100
"""Texts asked for at once: more than a screen, little to wait for."""

PAGES_LIMIT: Final = 20
"""Most pages of what was missed. Beyond it the latest page is shown, and the rest comes when
somebody scrolls up: nobody reads 2,000 lines in a row, but all can."""

TARGETS_LIMIT: Final = 20
"""Most conversations with people that are opened by themselves at the start."""

TARGETS_DAYS: Final = 30
"""How long ago they may have been spoken in last."""

_CAPABILITY: Final = "draft/chathistory"
_Way = Literal["latest", "newer", "older", "around", "catch up"]


@dataclass(frozen=True, slots=True)
class _Request:
    buffer: Buffer
    way: _Way
    reference: str | None
    pages: int = 1
    found: Callable[[], None] | None = None


class Scrollback:
    """The open requests for history. Owned by the user interface's thread."""

    def __init__(
        self,
        client: Client,
        conversations: Conversations,
        *,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._conversations = conversations
        self._wall_clock = wall_clock
        self._requests: dict[int, _Request] = {}
        self._targets: int | None = None

    # ---- what a user interface asks for: nothing happens where the server has no history ----

    def older(self, buffer: Buffer) -> None:
        """Have a page in front of the buffer, unless one is on its way or there is none."""
        if buffer.kind == "server" or buffer.loading or buffer.reaches_start:
            return
        reference = buffer.first_reference()
        way: _Way = "older" if reference else "latest"
        if self._ask(buffer, way, reference):
            buffer.loading = "older"
        else:
            buffer.reaches_start = not self._client.online or not self._client.offers(_CAPABILITY)
        buffer.touch()

    def newer(self, buffer: Buffer) -> None:
        """Have a page behind a buffer that does not reach the present."""
        if not buffer.live and not buffer.loading:
            if self._ask(buffer, "newer", buffer.last_reference()):
                buffer.loading = "newer"
            buffer.touch()

    def latest(self, buffer: Buffer) -> None:
        """Come back to the present."""
        if not buffer.live and self._ask(buffer, "latest", None):
            buffer.loading = "around"
            buffer.touch()

    def around(self, buffer: Buffer, msgid: str, found: Callable[[], None]) -> bool:
        """Open the place where a text is; call ``found`` when it is in the window. False: it cannot
        be had.
        """
        if buffer.find(msgid) is not None:
            found()
            return True
        asked = self._ask(buffer, "around", f"msgid={msgid}", found=found)
        if asked:
            buffer.loading = "around"
            buffer.touch()
        return asked

    def catch_up(self, buffer: Buffer) -> None:
        """Have what was said since the newest text of the buffer, or the latest page."""
        reference = buffer.last_reference() if buffer.live else None
        if reference is not None:
            self._ask(buffer, "catch up", reference)
        elif self._ask(buffer, "latest", None):
            buffer.loading = "older"

    # ---- events ----

    def note(self, event: Event) -> None:
        """Take note of what has happened."""
        match event:
            case Welcome():
                self._welcome()
            case Joined(own=True):
                self.catch_up(self._conversations.open(event.channel))
            case TargetsReceived() if event.request == self._targets:
                self._open_targets(event)
            case HistoryReceived() if event.request in self._requests:
                self._received(self._requests.pop(event.request), event)
            case RequestFailed() if event.request in self._requests:
                self._failed(self._requests.pop(event.request), event)
            case _:
                pass

    def _welcome(self) -> None:
        if not self._client.offers(_CAPABILITY) or self._client.account is None:
            return
        now = self._wall_clock()
        try:
            self._targets = self._client.history_targets(
                now - timedelta(days=TARGETS_DAYS), now + timedelta(days=1), TARGETS_LIMIT
            )
        except SecureChatError:  # the connection has gone since; the next welcome asks again
            self._targets = None

    def _open_targets(self, event: TargetsReceived) -> None:
        self._targets = None
        for name, spoken in event.targets:
            if self._client.is_channel(name):
                continue  # comes with its own join
            buffer = self._conversations.open(name)
            buffer.last_activity = max(spoken, buffer.last_activity or spoken)
            if self._client.offers("draft/read-marker"):
                self._client.command("MARKREAD", name)
            self.catch_up(buffer)

    def _received(self, request: _Request, event: HistoryReceived) -> None:
        buffer, mentions_us = request.buffer, self._conversations.mentions_us
        buffer.loading = ""
        match request.way:
            case "latest" if buffer.live:
                buffer.prepend(event.items, mentions_us)
                buffer.reaches_start = event.complete
                self._count(buffer)
            case "latest":
                buffer.replace(event.items, mentions_us, live=True)
                buffer.reaches_start = event.complete
            case "older":
                buffer.prepend(event.items, mentions_us)
                buffer.reaches_start = event.complete
            case "newer":
                buffer.insert_after(request.reference, event.items, mentions_us)
                buffer.live = event.complete
            case "around":
                buffer.replace(event.items, mentions_us, live=False)
            case "catch up":
                self._caught_up(request, event)
        self._note_activity(buffer, event)
        buffer.touch()
        if request.found is not None:
            request.found()

    def _caught_up(self, request: _Request, event: HistoryReceived) -> None:
        buffer = request.buffer
        before = len(buffer.entries)
        buffer.insert_after(request.reference, event.items, self._conversations.mentions_us)
        if event.complete:
            self._count(buffer, len(buffer.entries) - before)
        elif request.pages < PAGES_LIMIT:
            self._ask(buffer, "catch up", event.newest, request.pages + 1)
        else:
            buffer.live = False
            self._ask(buffer, "latest", None)

    def _count(self, buffer: Buffer, missed: int = 0) -> None:
        """Count what is unread now; without a read marker of the server, what was missed."""
        if buffer is self._conversations.attended:
            return
        if buffer.read_until is not None:
            buffer.count_unread()
        else:
            buffer.unread += missed

    def _note_activity(self, buffer: Buffer, event: HistoryReceived) -> None:
        times = [item.time for item in event.items if isinstance(item, TextReceived)]
        if times:
            buffer.last_activity = max(times[-1], buffer.last_activity or times[-1])

    def _failed(self, request: _Request, event: RequestFailed) -> None:
        buffer = request.buffer
        buffer.loading = ""
        if request.way == "catch up" and event.code != "CONNECTION_LOST":
            buffer.live = False  # what we know is too old for the server
            self._ask(buffer, "latest", None)
        buffer.touch()

    def _ask(
        self,
        buffer: Buffer,
        way: _Way,
        reference: str | None,
        pages: int = 1,
        found: Callable[[], None] | None = None,
    ) -> bool:
        """Ask for a page; false if the server has no history, or is not there."""
        if not self._client.offers(_CAPABILITY):
            return False
        ends = {"older": "before", "newer": "after", "catch up": "after", "around": "around"}
        wanted = {ends[way]: reference} if way in ends and reference is not None else {}
        try:
            number = self._client.history(buffer.name, limit=PAGE, **wanted)
        except SecureChatError:  # not connected any more
            return False
        self._requests[number] = _Request(buffer, way, reference, pages, found)
        return True
