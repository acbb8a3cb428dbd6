"""Batches: messages that belong together, as the receiver collects them.

https://ircv3.net/specs/extensions/batch
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from securechat.errors import RemoteProtocolError
from securechat.irc.message import Message

__all__ = ["OPEN_BATCHES", "Batch", "BatchCollector"]

OPEN_BATCHES: Final = 64
"""Most batches open at once on a connection: no server needs more, no hostile one gets further."""

BATCHED_MESSAGES: Final = 20_000
"""Most messages held in open batches of a connection; the largest history page or WHO is below."""


@dataclass(slots=True)
class Batch:
    """A finished batch: its type and parameters, the message that opened it, and its content.

    ``content`` holds messages and inner batches in their order. Owned by whoever received it.
    """

    reference: str
    kind: str
    params: tuple[str, ...]
    opened_by: Message
    content: list[Message | Batch] = field(default_factory=list)


class BatchCollector:
    """Holds back batched messages until their batch ends. Owned by the thread of its connection."""

    def __init__(self) -> None:
        self._open: dict[str, Batch] = {}
        self._held = 0

    def feed(self, message: Message) -> Message | Batch | None:
        """Take the next message; return what is now complete, ``None`` while a batch is open.

        :raises RemoteProtocolError: a batch of no known reference is ended or used, opened twice,
            or there are too many.
        """
        parent = message.tags.get("batch")
        done: Message | Batch = message
        if message.command == "BATCH":
            reference = message.params[0] if message.params else ""
            if reference.startswith("+"):
                self._start(message, reference[1:])
                return None
            ended = self._open.pop(reference[1:], None)
            if not reference.startswith("-") or ended is None:
                raise RemoteProtocolError(f"no such batch: {reference!r}")
            done = ended
            parent = ended.opened_by.tags.get("batch")
        if not parent:
            if isinstance(done, Batch):
                self._held -= _count(done)
            return done
        if parent not in self._open:
            raise RemoteProtocolError(f"no such batch: {parent!r}")
        self._open[parent].content.append(done)
        if done is message:
            self._held += 1
            if self._held > BATCHED_MESSAGES:
                raise RemoteProtocolError("too many messages in open batches")
        return None

    def _start(self, message: Message, reference: str) -> None:
        if len(message.params) < 2 or not reference or reference in self._open:
            raise RemoteProtocolError(f"bad start of a batch: {message.params!r}")
        if len(self._open) >= OPEN_BATCHES:
            raise RemoteProtocolError("too many open batches")
        self._open[reference] = Batch(reference, message.params[1], message.params[2:], message)


def _count(batch: Batch) -> int:
    return sum(_count(item) if isinstance(item, Batch) else 1 for item in batch.content)
