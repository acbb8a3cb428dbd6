"""What a client makes of what the relay says: each line must be one, and fit those before."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from securechat.errors import RemoteProtocolError
from securechat.irc import capabilities as caps
from securechat.irc.batch import Batch, BatchCollector
from securechat.irc.framing import SERVER_TAG_DATA_BYTES
from securechat.irc.message import BODY_BYTES, Message

__all__ = ["Hearing"]

_TAG_NEEDS: Final = {
    "time": caps.SERVER_TIME,
    "msgid": caps.MESSAGE_TAGS,
    "account": caps.ACCOUNT_TAG,
    "batch": caps.BATCH | caps.MULTILINE,
    "label": caps.LABELED_RESPONSE,
    "bot": caps.MESSAGE_TAGS,
    "draft/chathistory-end": caps.CHATHISTORY,
    "draft/oper": caps.OPER_TAG,
    "draft/multiline-concat": caps.MULTILINE,
    "securechat/certificate": caps.PEER,
}
"""The capabilities without which a tag is not sent; those of other clients need message-tags."""

_COMMAND: Final = re.compile(r"[A-Z]+|[0-9]{3}")
_PLAIN: Final = re.compile(rb":relay\.test (?!001|400)[0-9]{3} [\x01-\t\x0b\x0c\x0e-\x7f]{1,490}")
"""Most lines by far, and nothing is to be learned of them."""

_PLAYBACK: Final = caps.EVENT_PLAYBACK | caps.BATCH

_KEPT: Final = 8


class Hearing:
    """Checks the lines to one client."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self.nick = "*"
        self.channels: set[str] = set()
        """Where the client is, by what it was told."""
        self.msgids: list[str] = []
        """The last ones."""
        self.tokens: list[str] = []
        self.lost = False
        """Whether the client cannot know where it is."""
        self.answered: list[str] = []
        """The labels of answers."""
        self.pongs: list[str] = []
        self._batches = BatchCollector()
        self._tail = b""

    def hear(self, data: bytes, allowed: int) -> list[Message]:
        """Take what has come to a client with the capabilities ``allowed``.

        Return the messages, but not the plainest of them."""
        *lines, self._tail = (self._tail + data).split(b"\r\n")
        return [self._take(line, allowed) for line in lines if not _PLAIN.fullmatch(line)]

    def _take(self, line: bytes, allowed: int) -> Message:
        assert not any(end in line for end in (b"\r", b"\n", b"\0")), line
        body = line
        if line.startswith(b"@"):
            tags, _, body = line.partition(b" ")
            assert len(tags) - 1 <= SERVER_TAG_DATA_BYTES, line
        assert 0 < len(body) <= BODY_BYTES, line
        message = Message.parse(line.decode())
        assert _COMMAND.fullmatch(message.command), line
        assert message.source or message.command in ("AUTHENTICATE", "ERROR", "PING"), line
        assert not (message.command == "400" and "Internal error" in message.params[-1]), line
        for key in message.tags:
            assert allowed & _TAG_NEEDS.get(key, caps.MESSAGE_TAGS), line
        self._learn(message)
        try:
            item = self._batches.feed(message)
        except RemoteProtocolError as error:
            raise AssertionError(f"{error}: {line!r}") from error
        if allowed & _PLAYBACK == caps.EVENT_PLAYBACK:
            self.lost = True  # what is played back looks like what happens
        if not self.lost:
            self._follow(item)
        return message

    @property
    def in_batch(self) -> bool:
        """Whether what comes next belongs to something that is not complete."""
        return bool(self._batches._open) or self._tail != b""

    def _learn(self, message: Message) -> None:
        if "msgid" in message.tags:
            self.msgids = [*self.msgids[1 - _KEPT :], message.tags["msgid"]]
        if "label" in message.tags:
            self.answered.append(message.tags["label"])
        match message.command, message.params:
            case "PONG", (_, token):
                self.pongs.append(token)
            case "PEER", ("TOKEN", _, token):
                self.tokens.append(token)
            case _:
                pass

    def _follow(self, item: Message | Batch | None) -> None:
        """Go where the client is said to go; what is played back from the history is past."""
        if isinstance(item, Batch):
            if item.kind == "labeled-response":
                for inner in item.content:
                    self._follow(inner)
            return
        if item is None:
            return
        mine = self._fold(item.nick) == self._fold(self.nick)
        match item.command, item.params:
            case "001", (nick, *_):
                self.nick = nick
            case "NICK", (nick, *_) if mine:
                self.nick = nick
            case "JOIN", (channel, *_) if mine:
                assert self._fold(channel) not in self.channels, "joined twice"
                self.channels.add(self._fold(channel))
            case "PART", (channel, *_) if mine:
                self.channels.remove(self._fold(channel))
            case "KICK", (channel, nick, *_) if self._fold(nick) == self._fold(self.nick):
                self.channels.remove(self._fold(channel))
            case "RENAME", (old, new, *_):
                self.channels.remove(self._fold(old))
                self.channels.add(self._fold(new))
            case _:
                pass
