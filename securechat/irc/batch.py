"""Batches: messages that belong together, as the receiver collects them.

https://ircv3.net/specs/extensions/batch
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from securechat.errors import RemoteProtocolError
from securechat.irc.message import Message

__all__ = ["BATCHED_MESSAGES", "BATCH_DEPTH", "OPEN_BATCHES", "Batch", "BatchCollector"]

OPEN_BATCHES: Final = 64
"""Most batches open at once on a connection: no server needs more, no hostile one gets further."""

BATCHED_MESSAGES: Final = 20_000
"""Most messages held in open batches of a connection, an inner batch counting as one more; the
largest history page or WHO is below."""

BATCH_DEPTH: Final = 16
"""Most levels of batches inside batches, so that whoever walks through them may recurse. Two are
common: an answer with a label, and the history in it."""


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


@dataclass(slots=True)
class _OpenBatch:
    batch: Batch
    held: int = 0  # messages and batches in it, at all levels
    depth: int = 1


class BatchCollector:
    """Holds back batched messages until their batch ends. Owned by the thread of its connection."""

    def __init__(self) -> None:
        self._open: dict[str, _OpenBatch] = {}
        self._held = 0

    def feed(self, message: Message) -> Message | Batch | None:
        """Take the next message; return what is now complete, ``None`` while a batch is open.

        :raises RemoteProtocolError: a batch of no known reference is ended or used, opened twice,
            or there are too many, too deep in each other or too full.
        """
        if message.command != "BATCH":
            return self._place(message, message.tags.get("batch"), held=1, depth=0)
        reference = message.params[0] if message.params else ""
        if reference.startswith("+"):
            self._start(message, reference[1:])
            return None
        if not reference.startswith("-") or reference[1:] not in self._open:
            raise RemoteProtocolError("no such batch: {reference!r}", reference=reference)
        ended = self._open.pop(reference[1:])
        self._held -= ended.held
        outer = ended.batch.opened_by.tags.get("batch")
        return self._place(ended.batch, outer, held=ended.held + 1, depth=ended.depth)

    def _place(
        self, item: Message | Batch, outer: str | None, *, held: int, depth: int
    ) -> Message | Batch | None:
        if not outer:
            return item
        if outer not in self._open:
            raise RemoteProtocolError("no such batch: {outer!r}", outer=outer)
        if depth >= BATCH_DEPTH:
            raise RemoteProtocolError("too many batches inside each other")
        if self._held + held > BATCHED_MESSAGES:
            raise RemoteProtocolError("too many messages in open batches")
        self._held += held
        target = self._open[outer]
        target.batch.content.append(item)
        target.held += held
        target.depth = max(target.depth, depth + 1)
        return None

    def _start(self, message: Message, reference: str) -> None:
        if len(message.params) < 2 or not reference or reference in self._open:
            raise RemoteProtocolError("bad start of a batch: {params!r}", params=message.params)
        if len(self._open) >= OPEN_BATCHES:
            raise RemoteProtocolError("too many open batches")
        batch = Batch(reference, message.params[1], message.params[2:], message)
        self._open[reference] = _OpenBatch(batch)
