"""A session with a peer, sans-I/O: records in and out, over one path after the other.

The state table is the whole of it (the package's docstring has the rules)::

    state      what happens                what follows
    ─────────  ──────────────────────────  ─────────────────────────────────────────────────
    WAITING    path_up()                   GREETING: HELLO is said
    GREETING   HELLO                       OPEN: what the other side lacks is said again
    GREETING   PING, CLOSE                 answered; CLOSED
    GREETING   any other record            RemoteProtocolError
    OPEN       any but HELLO, READY, PICK  OPEN
    OPEN       CLOSE                       CLOSED
    not CLOSED path_down()                 WAITING
    not CLOSED close()                     CLOSED: CLOSE is said, if there is a path
    CLOSED     anything                    nothing

It reads no clock: the time comes in, in seconds of a clock that only goes forward.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.peer.records import (
    TEXT_BYTES,
    Ack,
    Chunk,
    ChunkAck,
    Close,
    FileAccept,
    FileDone,
    FileEnd,
    FileOffer,
    FileReceived,
    Hello,
    Numbered,
    Ping,
    Pong,
    Record,
    RecordReader,
    Text,
    TextKind,
    Typing,
    encode,
)

__all__ = [
    "DEAD_AFTER_S",
    "PING_AFTER_S",
    "UNACKNOWLEDGED_BYTES",
    "UNACKNOWLEDGED_RECORDS",
    "UNACKNOWLEDGED_TEXTS",
    "Closed",
    "Delivered",
    "FileRecord",
    "FileSaid",
    "Greeted",
    "Lost",
    "Session",
    "SessionEvent",
    "State",
    "TextSaid",
    "TypingSaid",
]

PING_AFTER_S: Final = 10.0
"""Silence after which the other side is asked whether it is there."""

DEAD_AFTER_S: Final = 25.0
"""Silence after which a path is dead: both sides shall know within half a minute."""

UNACKNOWLEDGED_TEXTS: Final = 1_000
"""Most texts that wait to be acknowledged, or for a path: hours of typing, not a full memory."""

UNACKNOWLEDGED_BYTES: Final = 4_194_304
"""Most that these texts may be, as they are said: all are said at once when there is a path, which
is given up where too much waits to be sent on it."""

UNACKNOWLEDGED_RECORDS: Final = 1_000
"""Most other numbered records that wait: each open file has a few. Who asks and never acknowledges
must not fill our memory with answers."""

FileRecord = FileOffer | FileAccept | FileEnd | FileDone | FileReceived | Chunk | ChunkAck
"""What is for the transfers."""


class State(enum.Enum):
    """Where a session is; see the table above."""

    WAITING = enum.auto()
    GREETING = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


# ---- what a session tells its owner ----


@dataclass(frozen=True, slots=True)
class Greeted:
    """The session is open on its path. ``fresh``: the other side has begun anew meanwhile."""

    fresh: bool


@dataclass(frozen=True, slots=True)
class TextSaid:
    """The other side says something."""

    text: Text


@dataclass(frozen=True, slots=True)
class TypingSaid:
    """The other side is typing, or not."""

    state: Literal["active", "paused", "done"]


@dataclass(frozen=True, slots=True)
class FileSaid:
    """The other side says something of a file."""

    record: FileRecord


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side has the text of that ``delivery``."""

    delivery: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Whether the text of that ``delivery`` arrived is not known; it is not sent again."""

    delivery: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The other side has ended the session."""

    reason: str


SessionEvent = Greeted | TextSaid | TypingSaid | FileSaid | Delivered | Lost | Closed


@dataclass(slots=True)
class _Unacknowledged:
    record: Numbered
    delivery: int | None  # of a text
    size_bytes: int  # as it is said
    written: bool = False  # to any path


class Session:
    """One side of a session. Owned by one thread.

    :param incarnation: 32 random hex digits, fresh.
    """

    def __init__(self, incarnation: str) -> None:
        self.state = State.WAITING
        self._incarnation = incarnation
        self._other = ""  # the other side's incarnation
        self._received = 0  # the number of the last numbered record of the other side
        self._sent = 0  # the number of our last one
        self._waiting: deque[_Unacknowledged] = deque()
        self._texts = 0  # of these
        self._text_bytes = 0  # of those
        self._reader = RecordReader()
        self._out: list[bytes] = []
        self._events: list[SessionEvent] = []
        self._owes_ack = False
        self._heard = 0.0
        self._pinged = False

    # ---- the path ----

    @property
    def up(self) -> bool:
        """Whether there is a path, and the other side has greeted on it."""
        return self.state is State.OPEN

    def path_up(self, now: float) -> None:
        """Begin on a path that has been picked."""
        if self.state is State.CLOSED:
            return
        self._forget_path()
        self.state = State.GREETING
        self._heard = now
        self._out.append(encode(Hello(self._incarnation, self._other, self._received)))

    def path_down(self) -> None:
        """Take note that the path is gone. What was not acknowledged waits for the next one."""
        if self.state is not State.CLOSED:
            self._forget_path()
            self.state = State.WAITING

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Take what comes on the path; return what it means.

        :raises RemoteProtocolError: the other side breaks the rules; give the path up. What was
            understood before is in ``take_events``.
        """
        self._heard = now
        self._pinged = False
        self._reader.feed(data)
        for record in self._reader:
            if self.state is State.CLOSED:
                break
            self._take(record)
        if len(self._waiting) - self._texts > UNACKNOWLEDGED_RECORDS:
            raise RemoteProtocolError("the other side acknowledges nothing")
        return self.take_events()

    def take_events(self) -> list[SessionEvent]:
        """Return what has happened, and forget it."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Return what must go to the path now, and forget it."""
        if self._owes_ack:
            self._owes_ack = False
            self._out.append(encode(Ack(self._received)))
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def check(self, now: float) -> bool:
        """Ask the other side, after silence, whether it is there; false when the path is dead."""
        if self.state not in (State.GREETING, State.OPEN):
            return True
        silent_s = now - self._heard
        if silent_s >= DEAD_AFTER_S:
            return False
        if silent_s >= PING_AFTER_S and not self._pinged:
            self._pinged = True
            self._out.append(encode(Ping()))
        return True

    # ---- intents ----

    def say_text(
        self, text: str, *, kind: TextKind, identifier: str, time_ms: int, delivery: int
    ) -> None:
        """Say a text, now or when there is a path again; ``Delivered`` or ``Lost`` will follow.

        :raises LocalProtocolError: it is empty, too long, or too many wait; nothing was sent.
        """
        if not text:
            raise LocalProtocolError("there is no text to send")
        if len(text) > TEXT_BYTES or len(text.encode(errors="replace")) > TEXT_BYTES:
            raise LocalProtocolError("too long: {limit} bytes are allowed", limit=TEXT_BYTES)
        if self._texts >= UNACKNOWLEDGED_TEXTS or self._text_bytes >= UNACKNOWLEDGED_BYTES:
            raise LocalProtocolError("too many texts wait for an answer")
        fields = {"id": identifier, "kind": kind, "text": text, "time_ms": time_ms}
        self._say(Text, fields, delivery)

    def say(self, kind: type[Numbered], **fields: Any) -> None:
        """Say a numbered record, now or when there is a path again; it gets its number here.

        :raises LocalProtocolError: a value cannot be said; nothing was sent.
        """
        self._say(kind, fields, None)

    def say_now(self, record: Chunk | ChunkAck | Typing) -> None:
        """Say a record on the present path; it is dropped if there is none."""
        if self.state is State.OPEN:
            self._out.append(encode(record))

    def close(self, reason: str) -> list[int]:
        """End the session; return the deliveries of the texts that were not acknowledged."""
        if self.state in (State.GREETING, State.OPEN):
            self._out.append(encode(Close(reason[:_REASON_CHARACTERS])))
        return self._end()

    # ---- records ----

    def _take(self, record: Record) -> None:
        if self.state is State.GREETING and not isinstance(record, Hello | Ping | Pong | Close):
            raise RemoteProtocolError("a {kind} before the greeting", kind=type(record).__name__)
        match record:
            case Ping():
                self._out.append(encode(Pong()))
            case Pong():
                pass
            case Hello() if self.state is State.GREETING:
                self._greeted(record)
            case Ack():
                self._acknowledged(record.received)
            case Close():
                self._events += [Lost(delivery) for delivery in self._end()]
                self._events.append(Closed(record.reason))
            case Chunk() | ChunkAck():
                self._events.append(FileSaid(record))
            case Typing():
                self._events.append(TypingSaid(record.state))
            case Text() | FileOffer() | FileAccept() | FileEnd() | FileDone() | FileReceived():
                if self._is_next(record):
                    said = TextSaid(record) if isinstance(record, Text) else FileSaid(record)
                    self._events.append(said)
            case _:
                raise RemoteProtocolError(
                    "a {kind} in the middle of a session", kind=type(record).__name__
                )

    def _is_next(self, record: Numbered) -> bool:
        if record.n > self._received + 1:
            raise RemoteProtocolError(
                "record {number} after record {received}", number=record.n, received=self._received
            )
        self._owes_ack = True
        if record.n <= self._received:
            return False  # said again, although we had it
        self._received = record.n
        return True

    def _greeted(self, hello: Hello) -> None:
        fresh = self._other not in ("", hello.me)
        if fresh:
            self._begin_anew()
        elif hello.you == self._incarnation:
            self._acknowledged(hello.received)
        elif self._waiting and self._waiting[0].record.n > 1:
            raise RemoteProtocolError("the other side has forgotten what it received")
        self._other = hello.me
        self.state = State.OPEN
        for waiting in self._waiting:
            self._write(waiting)
        self._events.append(Greeted(fresh))

    def _begin_anew(self) -> None:
        """Count from 1, for another incarnation of the other side.

        What it was sent may have arrived at the last one: it is not said again, or it could be read
        twice. What waits for a path is said to the new one, but for files, which are offered anew.
        """
        waiting, self._waiting = self._waiting, deque()
        self._sent = self._received = self._texts = self._text_bytes = 0
        for item in waiting:
            if item.delivery is None:
                continue
            if item.written:
                self._events.append(Lost(item.delivery))
                continue
            self._sent += 1
            self._texts += 1
            self._text_bytes += item.size_bytes
            self._waiting.append(replace(item, record=replace(item.record, n=self._sent)))

    def _acknowledged(self, received: int) -> None:
        if received > self._sent:
            raise RemoteProtocolError(
                "record {received} is acknowledged, of {sent}", received=received, sent=self._sent
            )
        while self._waiting and self._waiting[0].record.n <= received:
            item = self._waiting.popleft()
            if item.delivery is not None:
                self._texts -= 1
                self._text_bytes -= item.size_bytes
                self._events.append(Delivered(item.delivery))

    def _say(self, kind: type[Numbered], fields: dict[str, Any], delivery: int | None) -> None:
        if self.state is State.CLOSED:
            raise LocalProtocolError("the session is over")
        record = kind(n=self._sent + 1, **fields)
        data = encode(record)  # type: ignore[arg-type]  # of a Numbered that is a Record
        self._sent += 1
        if delivery is not None:
            self._texts += 1
            self._text_bytes += len(data)
        waiting = _Unacknowledged(record, delivery, len(data))
        self._waiting.append(waiting)
        if self.state is State.OPEN:
            waiting.written = True
            self._out.append(data)

    def _write(self, waiting: _Unacknowledged) -> None:
        waiting.written = True
        self._out.append(encode(waiting.record))  # type: ignore[arg-type]  # as above

    def _forget_path(self) -> None:
        self._reader = RecordReader()
        self._out.clear()
        self._owes_ack = False
        self._pinged = False

    def _end(self) -> list[int]:
        self.state = State.CLOSED
        lost = [item.delivery for item in self._waiting if item.delivery is not None]
        self._waiting.clear()
        self._texts = self._text_bytes = 0
        return lost


_REASON_CHARACTERS: Final = 200
"""Of a reason that we give: for a person to read."""
