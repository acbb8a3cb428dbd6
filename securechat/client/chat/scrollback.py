"""Bringing history into the buffers: what was missed, what is further up, a place that was found.

Who asks for history himself (``Client(history=True)``) is told nothing by the server unasked. So
with each welcome and each join the buffers are brought up to date: by what is newer than the newest
text that they have, else by the latest page.

A page shows how it was when the server looked. What comes while it is on its way may be in it or
not; the buffers keep it (``Buffer.arriving``) until a page reaches the present.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from securechat.client.chat.buffers import Buffer
from securechat.client.chat.conversations import Conversations
from securechat.client.client import Client
from securechat.client.events import (
    Disconnected,
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

_TARGETS_ASKED: Final = 100
"""Most conversations that are asked for at once: the rooms are among them."""

_CAPABILITY: Final = "draft/chathistory"

_Way = Literal["latest", "present", "again", "newer", "older", "around", "catch up"]
"""``latest`` fills a buffer that reaches the present, ``present`` brings one back there; so does
``again``, of one that was there and about which the server cannot say what was missed."""

_TO_THE_PRESENT: Final = frozenset({"present", "again", "newer"})


@dataclass(frozen=True, slots=True)
class _Request:
    buffer: Buffer
    way: _Way
    reference: str | None
    anchor: str | None = None  # behind which a page of what was missed belongs
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
        self._newest: datetime | None = None  # by the server's clock, of all that was said
        self._told: datetime | None = None  # up to when all was known as a connection ended
        self._knows_all = False  # with this connection

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
            if self._ask(buffer, "newer", buffer.newer_than or buffer.last_reference()):
                buffer.loading = "newer"
            buffer.touch()

    def latest(self, buffer: Buffer) -> None:
        """Come back to the present."""
        if not buffer.live and self._ask(buffer, "present", None):
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
        reference = buffer.last_reference()
        if not buffer.live:
            self.latest(buffer)
        elif reference is not None:
            self._ask(buffer, "catch up", reference, reference)
        elif self._ask(buffer, "latest", None):
            buffer.loading = "older"

    # ---- events ----

    def note(self, event: Event) -> None:
        """Take note of what has happened."""
        match event:
            case Welcome():
                self._welcome()
            case Disconnected():
                self._told = self._newest if self._knows_all else self._told
                self._knows_all = False
            case TextReceived() if event.msgid is not None:
                self._newest = max(event.time, self._newest or event.time)
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
        for buffer in self._conversations:
            buffer.reaches_start = False  # without a connection nobody could say
        if not self._client.offers(_CAPABILITY) or self._client.account is None:
            return
        now = self._wall_clock()
        latest, oldest = now + timedelta(days=1), now - timedelta(days=TARGETS_DAYS)
        try:  # in this order, so that the limit leaves out the oldest
            self._targets = self._client.history_targets(latest, oldest, _TARGETS_ASKED)
        except SecureChatError:  # the connection has gone since; the next welcome asks again
            self._targets = None

    def _open_targets(self, event: TargetsReceived) -> None:
        self._targets, self._knows_all = None, True
        people = [
            (spoken, name)
            for name, spoken in event.targets
            if name and not self._client.is_channel(name)  # a room comes with its own join
        ]
        for spoken, name in sorted(people)[-TARGETS_LIMIT:]:
            self._newest = max(spoken, self._newest or spoken)
            if self._was_closed(name, spoken):
                continue
            buffer = self._conversations.open(name)
            buffer.last_activity = max(spoken, buffer.last_activity or spoken)
            if self._client.offers("draft/read-marker"):
                with suppress(SecureChatError):  # as above
                    self._client.command("MARKREAD", name)
            self.catch_up(buffer)

    def _was_closed(self, name: str, spoken: datetime) -> bool:
        """Whether the user has closed a conversation, and nothing was said there since."""
        known = self._told is not None and spoken <= self._told
        return known and self._conversations.get(name) is None

    def _received(self, request: _Request, event: HistoryReceived) -> None:
        buffer, mentions_us = request.buffer, self._conversations.mentions_us
        if buffer not in self._conversations:
            return  # it was closed
        buffer.loading = ""
        match request.way:
            case "latest":
                buffer.prepend(event.items, mentions_us)
                buffer.reaches_start = event.complete
                self._count_page(buffer)
            case "present" | "again" if not buffer.live:
                buffer.replace(event.items, mentions_us, live=True)
                buffer.reaches_start = event.complete
                self._count_page(buffer)
            case "older":
                found = buffer.prepend(event.items, mentions_us)
                stuck = event.oldest in (None, request.reference)
                buffer.reaches_start = event.complete or (not found and stuck)
                buffer.older_than = None if found else event.oldest
            case "newer":
                self._newer(request, event)
            case "around":
                buffer.replace(event.items, mentions_us, live=False)
            case "catch up":
                self._caught_up(request, event)
            case _:
                pass  # it has come to the present by another way
        self._note_activity(buffer, event)
        self._answered(request)
        if request.found is not None:
            request.found()

    def _newer(self, request: _Request, event: HistoryReceived) -> None:
        buffer, mentions_us = request.buffer, self._conversations.mentions_us
        found = buffer.insert_after(buffer.last_reference(), event.items, mentions_us)
        stuck = event.newest in (None, request.reference)
        if event.complete or (not found and stuck):
            buffer.reach_present(mentions_us)
        else:
            buffer.newer_than = None if found else event.newest

    def _caught_up(self, request: _Request, event: HistoryReceived) -> None:
        buffer, mentions_us = request.buffer, self._conversations.mentions_us
        buffer.insert_after(request.anchor, event.items, mentions_us)
        self._count(buffer)
        texts = [item.msgid for item in event.items if isinstance(item, TextReceived)]
        anchor = f"msgid={texts[-1]}" if texts else request.anchor
        if event.complete or event.newest is None:
            return
        if request.pages < PAGES_LIMIT:
            self._ask(buffer, "catch up", event.newest, anchor, request.pages + 1)
        else:
            self._again(buffer)

    def _again(self, buffer: Buffer) -> None:
        if self._ask(buffer, "again", None):
            buffer.live = False

    def _answered(self, request: _Request) -> None:
        buffer = request.buffer
        if not any(
            one.buffer is buffer and one.way in _TO_THE_PRESENT for one in self._requests.values()
        ):
            buffer.arriving = None
        buffer.touch()

    def _count_page(self, buffer: Buffer) -> None:
        """Count what is unread now; without a marker, what a page brings is taken for read."""
        if buffer.read_until is None:
            buffer.seen = buffer.last_number
        else:
            self._count(buffer)

    def _count(self, buffer: Buffer) -> None:
        if buffer is not self._conversations.attended:
            buffer.count_unread()

    def _note_activity(self, buffer: Buffer, event: HistoryReceived) -> None:
        times = [item.time for item in event.items if isinstance(item, TextReceived)]
        if times:
            buffer.last_activity = max(times[-1], buffer.last_activity or times[-1])

    def _failed(self, request: _Request, event: RequestFailed) -> None:
        buffer = request.buffer
        buffer.loading = ""
        if event.code != "CONNECTION_LOST" and buffer in self._conversations:
            if request.way == "catch up":
                self._again(buffer)  # what we know is too old for the server
            elif request.way == "again":
                buffer.reach_present(self._conversations.mentions_us)  # it has nothing to give
        self._answered(request)

    def _ask(
        self,
        buffer: Buffer,
        way: _Way,
        reference: str | None,
        anchor: str | None = None,
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
        self._requests[number] = _Request(buffer, way, reference, anchor, pages, found)
        if way in _TO_THE_PRESENT and buffer.arriving is None:
            buffer.arriving = []
        return True
