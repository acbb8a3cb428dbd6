"""What comes from a user, as lines for any set of capabilities.

https://ircv3.net/specs/extensions/message-tags, https://ircv3.net/specs/extensions/multiline
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc.message import NO_TAGS
from securechat.irc.multiline import BATCH_TYPE, CONCAT_TAG, Piece, is_multiline, split_pieces
from securechat.irc.tags import format_tags
from securechat.server.context import Context, end_line
from securechat.server.events import MessageKind, Stamp
from securechat.server.state import Author

if TYPE_CHECKING:
    from securechat.server.session import Session

__all__ = [
    "Line",
    "Lines",
    "MultilineMessage",
    "message_lines",
    "server_time",
    "to_origin",
    "to_session",
]

_MULTILINE: Final = caps.BATCH | caps.MULTILINE
"""What a client needs to be sent a multiline message as one: "depends on the batch capability"."""

_TAGS: Final = caps.SERVER_TIME | caps.ACCOUNT_TAG | caps.MESSAGE_TAGS | caps.OPER_TAG
"""The capabilities that change how a line from a user looks."""

_NOT_IN_REFERENCE: Final = re.compile("[^A-Za-z0-9-]")


def server_time(at_ms: int) -> str:
    """Return the value of the ``time`` tag. https://ircv3.net/specs/extensions/server-time"""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def to_origin(lines: Lines, context: Context) -> None:
    """Answer the origin with ``lines``, if it is here and they must be sent."""
    if context.origin is not None:
        context.lines(lines.parts(context.origin.caps))


def to_session(session: Session, lines: Sequence[tuple[str, str]], context: Context) -> None:
    """Send a session lines that are for it alone: with the answers, if it is the origin."""
    if session is context.origin:
        context.lines(lines)
    elif lines:
        session.connection.send(b"".join(end_line(*line) for line in lines))


def message_lines(
    stamp: Stamp,
    author: Author,
    kind: MessageKind,
    target: str,
    text: str,
    client_tags: Mapping[str, str],
) -> Lines:
    """Return a message as it is sent; ``text`` as in ``securechat.irc.multiline``."""
    body = f":{author.source} {kind} {target}"
    if kind == "TAGMSG":
        return Line(stamp, author, body, client_tags, caps.MESSAGE_TAGS)
    if is_multiline(text):
        return MultilineMessage(stamp, author, body, target, split_pieces(text), client_tags)
    return Line(stamp, author, f"{body} :{text}", client_tags)


class Line(NamedTuple):
    """One line from a user, as it looks for any set of capabilities."""

    stamp: Stamp
    author: Author
    body: str
    client_tags: Mapping[str, str] = NO_TAGS
    needed: int = 0  # capabilities without which it is not sent

    def look(self, mask: int) -> int:
        """Return those of ``mask`` that matter: where these are equal, so are the bytes."""
        return mask & _TAGS

    def parts(self, mask: int) -> list[tuple[str, str]]:
        """Return tags and the rest of the line; nothing if it must not be sent."""
        if mask & self.needed != self.needed:
            return []
        return [(_tags(self.stamp, self.author, self.client_tags, mask), self.body)]

    def encode(self, mask: int) -> bytes:
        """Return the bytes of the line; none if it must not be sent."""
        if mask & self.needed != self.needed:
            return b""
        return end_line(_tags(self.stamp, self.author, self.client_tags, mask), self.body)


class MultilineMessage(NamedTuple):
    """A message of several lines, as it looks for any set of capabilities."""

    stamp: Stamp
    author: Author
    body: str  # of each line, without its text
    target: str
    pieces: list[Piece]
    client_tags: Mapping[str, str] = NO_TAGS

    def look(self, mask: int) -> int:
        """Return those of ``mask`` that matter: where these are equal, so are the bytes."""
        return mask & (_TAGS | _MULTILINE if mask & _MULTILINE == _MULTILINE else _TAGS)

    def parts(self, mask: int) -> list[tuple[str, str]]:
        """Return tags and the rest of each line: one batch, or the lines by themselves."""
        return self._batch(mask) if mask & _MULTILINE == _MULTILINE else self._fallback(mask)

    def encode(self, mask: int) -> bytes:
        """Return the bytes of all lines."""
        return b"".join(end_line(tags, body) for tags, body in self.parts(mask))

    def _batch(self, mask: int) -> list[tuple[str, str]]:
        reference = _NOT_IN_REFERENCE.sub("-", self.stamp.msgid)
        source = f":{self.author.source}"
        return [
            (
                _tags(self.stamp, self.author, self.client_tags, mask),
                f"{source} BATCH +{reference} {BATCH_TYPE} {self.target}",
            ),
            *(
                (
                    f"batch={reference};{CONCAT_TAG}" if concat else f"batch={reference}",
                    f"{self.body} :{text}",
                )
                for text, concat in self.pieces
            ),
            ("", f"{source} BATCH -{reference}"),
        ]

    def _fallback(self, mask: int) -> list[tuple[str, str]]:
        # "Servers MUST NOT send blank lines to clients that have not negotiated the multiline
        # capability." "MUST only include a message ID on the first message"
        bodies = [f"{self.body} :{text}" for text, _ in self.pieces if text]
        first = _tags(self.stamp, self.author, self.client_tags, mask)
        others = _tags(self.stamp._replace(msgid=""), self.author, self.client_tags, mask)
        return [(others if n else first, body) for n, body in enumerate(bodies)]


Lines = Line | MultilineMessage
"""What comes from a user at once."""


def _tags(stamp: Stamp, author: Author, client_tags: Mapping[str, str], mask: int) -> str:
    tags = []
    if mask & caps.SERVER_TIME:
        tags.append(f"time={server_time(stamp.at_ms)}")
    if mask & caps.ACCOUNT_TAG and author.account is not None:
        tags.append(f"account={author.account}")
    if mask & caps.MESSAGE_TAGS:
        if stamp.msgid:
            tags.append(f"msgid={stamp.msgid}")
        if client_tags:
            tags.append(format_tags(client_tags))
    if author.bot or author.operator:
        tags += author.marks(mask)
    return ";".join(tags)
