"""One IRC message: ``[@tags] [:source] command [params]``.

https://modern.ircdocs.horse/#message-format
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.irc.tags import format_tags, parse_tags

__all__ = ["BODY_BYTES", "MAX_PARAMS", "NO_TAGS", "Message", "split_source"]

BODY_BYTES: Final = 510
"""Most bytes of a message without its tags and without CR LF: 512 in all, as since RFC 1459."""

MAX_PARAMS: Final = 15
"""Most parameters of a message that we send, as in RFC 1459: "some clients may have trouble reading
more than this". What we read may have any number (a line limits it): we "MUST parse" that."""

NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
"""The tags of a message without tags; shared, so that a plain line costs no dict."""

_COMMAND: Final = re.compile(r"[^:\x00-\x1f\x7f][^\x00-\x1f\x7f]*")
_OUR_COMMAND: Final = re.compile(r"[A-Z]+|[0-9]{3}")
_FORBIDDEN: Final = re.compile(r"[\0\r\n]")


@dataclass(frozen=True, slots=True)
class Message:
    """A message. Immutable.

    ``command`` is upper case. ``params`` holds the trailing parameter last, without its colon.
    Tags count for equality; the hash leaves them out, since a mapping has none.
    """

    command: str
    params: tuple[str, ...] = ()
    source: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS, hash=False)

    @classmethod
    def parse(cls, line: str) -> Message:
        """Return the message in ``line`` (no CR LF).

        Any word is taken for a command: that it is none, its receiver can say.

        :raises RemoteProtocolError: there is no command, or the line holds NUL, CR or LF.
        """
        if "\0" in line or "\n" in line or "\r" in line:  # a tenth of what the pattern takes
            raise RemoteProtocolError("a message must not contain NUL, CR or LF")
        tags: Mapping[str, str] = NO_TAGS
        source = None
        if line.startswith("@"):
            data, _, line = line[1:].partition(" ")
            tags = parse_tags(data)
        line = line.lstrip(" ")
        if line.startswith(":"):
            source, _, line = line[1:].partition(" ")
            line = line.lstrip(" ")
        head, colon, trailing = line.partition(" :")
        words = head.split(" ")
        if "" in words:
            words = [word for word in words if word]
        command = words[0] if words else ""
        if not command.isalnum() and not _COMMAND.fullmatch(command):
            raise RemoteProtocolError("a message needs a command")
        del words[0]
        if colon:
            words.append(trailing)
        return cls(command.upper(), tuple(words), source, tags)

    def to_line(self) -> str:
        """Return the message as a line without CR LF. The inverse of ``parse``.

        The length is not checked: what is too long depends on the direction.

        :raises LocalProtocolError: a part would not survive the trip (a command in lower case, a
            space in the source or in the name of a tag, a space or a leading colon in a parameter
            that is not the last, an empty one, NUL, CR, LF), or there are over ``MAX_PARAMS``.
        """
        if not _OUR_COMMAND.fullmatch(self.command):
            raise LocalProtocolError("not a command: {command!r}", command=self.command)
        if len(self.params) > MAX_PARAMS:
            raise LocalProtocolError(
                "over {limit} parameters for {command}", limit=MAX_PARAMS, command=self.command
            )
        parts = []
        if self.tags:
            parts.append("@" + format_tags(self.tags))
        if self.source is not None:
            if " " in self.source:
                raise LocalProtocolError("not allowed as a source: {source!r}", source=self.source)
            parts.append(":" + self.source)
        parts.append(self.command)
        if self.params:
            for middle in self.params[:-1]:
                if not middle or middle[0] == ":" or " " in middle:
                    raise LocalProtocolError(
                        "not allowed as a middle parameter: {middle!r}", middle=middle
                    )
                parts.append(middle)
            last = self.params[-1]
            plain = last and last[0] != ":" and " " not in last
            parts.append(last if plain else ":" + last)
        line = " ".join(parts)
        if _FORBIDDEN.search(line):
            raise LocalProtocolError("a message must not contain NUL, CR or LF")
        return line

    @property
    def nick(self) -> str:
        """The nick (or server name) in the source; empty when there is none."""
        return split_source(self.source)[0] if self.source else ""


def split_source(source: str) -> tuple[str, str, str]:
    """Split ``nick!user@host`` into its three parts; those missing are empty."""
    rest, _, host = source.partition("@")
    nick, _, user = rest.partition("!")
    return nick, user, host
