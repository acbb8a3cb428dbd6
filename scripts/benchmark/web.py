"""Somebody on the chat from a web page: IRC over WebSocket."""

from __future__ import annotations

from typing import ClassVar

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Request, TextMessage

from benchmark.crowd import LoadError, Target
from benchmark.talker import Talker
from securechat.irc.message import Message

__all__ = ["WebTalker"]


class WebTalker(Talker):
    """A ``Talker`` by the port for WebSocket. Owned by one thread."""

    PROTOCOLS: ClassVar[tuple[str, ...]] = ("http/1.1",)

    def __init__(self, target: Target, nick: str, deadline: float) -> None:
        super().__init__(target, nick, deadline)
        self._web = WSConnection(ConnectionType.CLIENT)
        self._accepted = False
        request = Request(
            host=f"{target.hostname}:{target.address[1]}",
            target="/",
            subprotocols=["text.ircv3.net"],
        )
        self.write(self._web.send(request))
        while not self._accepted:
            self._wait()

    def send(self, *lines: str) -> None:
        """Send lines, each as a message."""
        self.write(b"".join(self._web.send(TextMessage(data=line)) for line in lines))

    def _messages(self, data: bytes) -> list[Message]:
        self._web.receive_data(data)
        lines = b""
        for event in self._web.events():
            match event:
                case AcceptConnection():
                    self._accepted = True
                case TextMessage() | BytesMessage():
                    lines += _bytes(event) + b"\r\n" * event.message_finished
                case _:
                    raise LoadError(f"{self.nick}: a WebSocket {type(event).__name__}")
        return super()._messages(lines)


def _bytes(event: TextMessage | BytesMessage) -> bytes:
    return event.data.encode() if isinstance(event.data, str) else bytes(event.data)
