"""Bytes to lines.

A line ends at CR, LF or both (Modern IRC asks servers to take either); empty lines vanish. A line
over its limit is dropped up to its end and reported once, so an endless line costs no memory and
the next good line is understood again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from securechat.irc.message import BODY_BYTES
from securechat.irc.tags import CLIENT_TAG_DATA_BYTES

__all__ = ["OVERLONG", "SERVER_TAG_DATA_BYTES", "LineBuffer", "Overlong"]

SERVER_TAG_DATA_BYTES: Final = 8189
"""Most tag data in a message from a server: 8191 bytes with the leading ``@`` and the space."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """Stands in for a line that was too long. Immutable.

    ``tag_data`` is what it had for tag data, if at least that fits: the answer may need its label.
    """

    tag_data: bytes = field(default=b"", compare=False)


OVERLONG: Final = Overlong()
"""Equal to whatever stands in for such a line."""


class LineBuffer:
    """Cuts a stream of bytes into lines. Owned by the thread of its connection.

    :param tag_bytes: most tag data in a line, in bytes, without ``@`` and space.
    :param body_bytes: most bytes of the rest of the line, without its end.
    """

    __slots__ = ("_body_bytes", "_line_bytes", "_skipping", "_tag_bytes", "_tail")

    def __init__(
        self, *, tag_bytes: int = CLIENT_TAG_DATA_BYTES, body_bytes: int = BODY_BYTES
    ) -> None:
        self._tag_bytes = tag_bytes
        self._body_bytes = body_bytes
        self._line_bytes = 1 + tag_bytes + 1 + body_bytes
        self._tail = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | Overlong]:
        """Take the next bytes of the stream; return the lines that they complete, without ends."""
        if b"\r" in data:
            data = data.replace(b"\r", b"\n")
        if b"\n" not in data:
            return self._keep(data)
        pieces = (self._tail + data).split(b"\n")
        self._tail = b""
        found: list[bytes | Overlong] = []
        if self._skipping:
            self._skipping = False
            del pieces[0]  # the end of a line that was reported when it grew too long
        tail = pieces.pop()
        for line in pieces:
            if len(line) <= self._body_bytes or self._fits(line):
                if line:
                    found.append(line)
            else:
                found.append(self._overlong(line))
        if tail:
            found += self._keep(tail)
        return found

    def _keep(self, data: bytes) -> list[bytes | Overlong]:
        if self._skipping:
            return []
        self._tail += data
        if len(self._tail) <= self._line_bytes:
            return []
        found = self._overlong(self._tail)
        self._tail = b""
        self._skipping = True
        return [found]

    def _overlong(self, line: bytes) -> Overlong:
        tags, space, _ = line.partition(b" ")
        fits = line.startswith(b"@") and space and len(tags) - 1 <= self._tag_bytes
        return Overlong(tags[1:]) if fits else OVERLONG

    def _fits(self, line: bytes) -> bool:
        if not line.startswith(b"@"):
            return False
        tags, _, body = line.partition(b" ")
        return len(tags) - 1 <= self._tag_bytes and len(body) <= self._body_bytes
