"""What is known about one connection to a server, shared by the parts of ``ClientProtocol``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from securechat.client.events import Event
from securechat.client.roster import Roster
from securechat.irc.isupport import Isupport
from securechat.irc.message import BODY_BYTES, NO_TAGS, Message
from securechat.irc.tags import client_only

__all__ = ["Credentials", "Identity", "Session"]

USERNAME_BYTES: Final = 10
"""Length of a user name to expect until the server has shown us ours: USERLEN of most servers."""

HOST_BYTES: Final = 63
"""Length of a host name to expect until the server has shown us ours: the longest that servers in
use allow (HOSTLEN)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in. Immutable. ``password`` is prepared; ``None``: by client certificate only."""

    account: str
    password: str | None = field(default=None, repr=False)
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we want to be. Immutable."""

    nick: str
    username: str
    realname: str
    credentials: Credentials | None = None
    peers: bool = False
    """Whether we can be reached as a peer."""
    other_nick: bool = False
    """Whether ``nick_`` may be tried when somebody uses ``nick`` (but it is not registered)."""
    history: bool = False
    """Whether we ask for history, so that the server need not play back what was missed."""


class Session:
    """One connection, as far as we know it. Owned by the thread of its connection.

    The parts of the protocol say things through ``say`` and report through ``emit``.

    :param wall_clock: the time of texts that come without one.
    """

    def __init__(self, identity: Identity, wall_clock: Callable[[], datetime]) -> None:
        self.identity = identity
        self.nick = identity.nick
        self.account: str | None = None
        self.user_host = ""  # as others see us, once known
        self.registered = False
        self.replaying = False  # what comes now is history
        self.delivery: int | None = None  # the text of ours that is answered now
        self.closing = ""  # the server's ERROR, which says why it will close
        self.isupport = Isupport()
        self.roster = Roster(self.isupport)
        self.offered: dict[str, str] = {}  # capability → value
        self.enabled: set[str] = set()
        self.channel_binding: bytes | None = None  # what a login here can be bound to
        self.wall_clock = wall_clock
        self._out: list[bytes] = []
        self._events: list[Event] = []

    def say(self, command: str, *params: str, tags: Mapping[str, str] = NO_TAGS) -> None:
        """Queue a message.

        :raises LocalProtocolError: it cannot be said; nothing is queued.
        """
        self._out.append(Message(command, params, tags=tags).to_line().encode() + b"\r\n")

    def say_line(self, line: str) -> None:
        """Queue a line as the user wrote it; the caller has made sure that it is one line."""
        self._out.append(line.encode() + b"\r\n")

    def emit(self, event: Event) -> None:
        """Queue an event."""
        self._events.append(event)

    def collect(self, work: Callable[[], None]) -> list[Event]:
        """Let ``work`` take messages; return the events, which are not queued."""
        outside, self._events = self._events, []
        try:
            work()
            return self._events
        finally:
            self._events = outside

    def replay(self, work: Callable[[], None]) -> list[Event]:
        """Let ``work`` take messages as history; return the events, which are not queued."""
        outside, self.replaying = self.replaying, True
        try:
            return self.collect(work)
        finally:
            self.replaying = outside

    def take_output(self) -> bytes:
        """Return what has been said, and forget it."""
        out, self._out = self._out, []
        return b"".join(out)

    def take_events(self) -> list[Event]:
        """Return the events, and forget them."""
        events, self._events = self._events, []
        return events

    def is_me(self, nick: str) -> bool:
        """Whether ``nick`` is ours."""
        return self.isupport.fold(nick) == self.isupport.fold(self.nick)

    def has(self, *capabilities: str) -> bool:
        """Whether all of these capabilities are enabled."""
        return self.enabled.issuperset(capabilities)

    def passes(self, tag: str) -> bool:
        """Whether the server passes this client-only tag (``+typing``) on to others."""
        denied = self.isupport.get("CLIENTTAGDENY")
        return self.has("message-tags") and bool(client_only({tag: ""}, denied))

    def text_limit_bytes(self, command: str, target: str) -> int:
        """Return how long a text may be so that others receive it whole.

        What counts is the line as the server passes it on, with our source in front.
        """
        user_host = len(self.user_host.encode()) or USERNAME_BYTES + 1 + HOST_BYTES
        source = 1 + len(self.nick.encode()) + 1 + user_host + 1
        return BODY_BYTES - source - len(f"{command} {target} :".encode())
