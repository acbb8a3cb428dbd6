"""One line from a user, as it looks for any set of capabilities."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc.message import NO_TAGS
from securechat.irc.tags import format_tags
from securechat.server.context import Context
from securechat.server.events import Stamp
from securechat.server.state import Author

__all__ = ["TAGS", "Line", "server_time", "to_origin"]

TAGS: Final = caps.SERVER_TIME | caps.ACCOUNT_TAG | caps.MESSAGE_TAGS
"""The capabilities that change how any line from a user looks."""


def server_time(at_ms: int) -> str:
    """Return the value of the ``time`` tag. https://ircv3.net/specs/extensions/server-time"""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def to_origin(line: Line, context: Context) -> None:
    """Answer the origin with ``line``, if it must be sent."""
    parts = line.encode(context.session.caps)
    if parts is not None:
        tags, body = parts
        context.line(body, tags)


class Line(NamedTuple):
    """One line from a user, as it looks for any set of capabilities."""

    stamp: Stamp
    author: Author
    body: str
    client_tags: Mapping[str, str] = NO_TAGS
    needed: int = 0  # capabilities without which it is not sent

    def encode(self, mask: int) -> tuple[str, str] | None:
        """Return tags and the rest of the line, ``None`` if it must not be sent."""
        if mask & self.needed != self.needed:
            return None
        tags = []
        if mask & caps.SERVER_TIME:
            tags.append(f"time={server_time(self.stamp.at_ms)}")
        if mask & caps.ACCOUNT_TAG and self.author.account is not None:
            tags.append(f"account={self.author.account}")
        if mask & caps.MESSAGE_TAGS:
            if self.stamp.msgid:
                tags.append(f"msgid={self.stamp.msgid}")
            if self.client_tags:
                tags.append(format_tags(self.client_tags))
        return ";".join(tags), self.body
