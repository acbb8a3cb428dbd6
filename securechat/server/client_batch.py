"""A batch that a client has opened: a message of several lines, line by line.

The way of such a message: ``BATCH +…`` opens it (``commands.batches``), the dispatcher hands each
line to ``collected``, and ``BATCH -…`` proposes it as one event. Whatever is wrong ends the batch
at once, and what still comes of it is ignored. "Once a client has opened a batch, it MUST NOT send
any messages that are not part of the batch, until it is closed".

https://ircv3.net/specs/extensions/client-batch, https://ircv3.net/specs/extensions/multiline
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc.message import Message
from securechat.irc.multiline import CONCAT_TAG, Piece, join_pieces
from securechat.net.timers import Timer
from securechat.server.context import Context, as_middle
from securechat.server.events import MessageKind
from securechat.server.refusals import Fail

if TYPE_CHECKING:
    from securechat.server.config import LimitsConfig

__all__ = ["ClientBatch", "collected", "drop_batch", "invalid_batch"]

_BESIDE: Final = frozenset({"BATCH", "PING", "PONG", "QUIT"})
"""What may come while a batch is open: its end, and what clients send without thinking."""

_NEEDED: Final = caps.BATCH | caps.MULTILINE


@dataclass(slots=True)
class ClientBatch:
    """An open batch. Guarded by the network lock, as its session's field is."""

    reference: str
    target: str
    tags: Mapping[str, str]  # client-only
    label: str
    timer: Timer
    kind: MessageKind = "PRIVMSG"
    _pieces: list[Piece] = field(default_factory=list)
    _size_bytes: int = 0

    def take(self, message: Message, target: str, limits: LimitsConfig) -> None:
        """Take a line. ``target`` is what the message calls it, when it is the batch's own.

        :raises Fail: the line is not allowed in this batch.
        """
        if len(message.params) < 2:
            raise invalid_batch("A line of the batch has no text")
        if target != self.target:
            targets = self.target, as_middle(target)
            raise Fail("BATCH", "MULTILINE_INVALID_TARGET", *targets, text="Another target")
        text = message.params[1]
        concat = CONCAT_TAG in message.tags
        if concat and not text:
            raise invalid_batch("A blank line cannot go on another")
        kind: MessageKind = "NOTICE" if message.command == "NOTICE" else "PRIVMSG"
        if self._pieces and kind != self.kind:
            raise invalid_batch("PRIVMSG and NOTICE cannot be mixed")
        line_feed = bool(self._pieces) and not concat
        self.kind = kind
        self._pieces.append(Piece(text, concat))
        self._size_bytes += len(text.encode()) + line_feed
        if self._size_bytes > limits.multiline_bytes:
            limit = str(limits.multiline_bytes)
            raise Fail("BATCH", "MULTILINE_MAX_BYTES", limit, text="Too many bytes in one message")
        if len(self._pieces) > limits.multiline_lines:
            limit = str(limits.multiline_lines)
            raise Fail("BATCH", "MULTILINE_MAX_LINES", limit, text="Too many lines in one message")

    def text(self) -> str:
        """Return the whole message, as in ``securechat.irc.multiline``.

        :raises Fail: there is none.
        """
        if not any(piece.text for piece in self._pieces):
            raise invalid_batch("The message has no text")
        return join_pieces(self._pieces)


def invalid_batch(text: str) -> Fail:
    """Return the refusal for "any other error"."""
    return Fail("BATCH", "MULTILINE_INVALID", text=text)


def collected(context: Context, message: Message) -> bool:
    """Whether ``message`` was a line of a batch and nothing else is to be done with it.

    :raises Fail: the batch has ended by it.
    """
    if message.command in _BESIDE:
        return False
    session = context.session
    batch = session.batch
    reference = message.tags.get("batch", "")
    if batch is None:
        if reference == session.dropped_batch:
            return reference != ""
        if session.caps & _NEEDED == _NEEDED:
            raise invalid_batch("There is no such batch")
        return False  # a tag like any other
    try:
        if reference != batch.reference:
            raise invalid_batch("An open batch must be ended first")
        if message.command not in ("PRIVMSG", "NOTICE"):
            raise invalid_batch(f"{message.command} cannot be in a batch")
        target = message.params[0] if message.params else ""
        fold = context.services.network.fold
        same = fold(target) == fold(batch.target)
        batch.take(message, batch.target if same else target, context.services.config.limits)
    except Fail:
        drop_batch(context)
        raise
    return True


def drop_batch(context: Context) -> None:
    """Give up the open batch, if there is one; what still comes of it is ignored.

    What is answered now is the answer to the batch, unless it has a label of its own.
    """
    session = context.session
    batch, session.batch = session.batch, None
    if batch is not None:
        batch.timer.cancel()
        session.dropped_batch = batch.reference
        context.label = context.label or batch.label
