"""Conversations as data: what the server says, what the client answers, what it reports.

``S(line)`` is said by the server, ``C(line)`` must be what the client says next, an event must be
what it reports next, a function is an intent. At the end nothing may be left over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from securechat.client.events import Event, Welcome
from securechat.client.protocol import ClientProtocol
from securechat.client.session import Credentials, Identity

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NONCE = "rOprNGfwEbeRWgbNEkqO"


@dataclass(frozen=True)
class S:
    line: str


@dataclass(frozen=True)
class C:
    line: str


Step = S | C | Event | Callable[[ClientProtocol], None]


def make(
    nick: str = "alice", credentials: Credentials | None = None, *, other_nick: bool = False
) -> ClientProtocol:
    return ClientProtocol(
        Identity(nick, "alice", "Alice A.", credentials, other_nick=other_nick),
        wall_clock=lambda: NOW,
        make_nonce=lambda: NONCE,
    )


def play(protocol: ClientProtocol, steps: Sequence[Step], *, bytewise: bool = False) -> None:
    said: list[str] = []
    events: list[Event] = []

    def collect() -> None:
        events.extend(protocol.take_events())
        said.extend(protocol.data_to_send().decode().splitlines())

    for step in steps:
        if isinstance(step, S):
            data = step.line.encode() + b"\r\n"
            for part in [bytes([b]) for b in data] if bytewise else [data]:
                events.extend(protocol.receive_data(part))
            collect()
        elif isinstance(step, C):
            assert said, f"the client is silent; expected {step.line!r}"
            assert said.pop(0) == step.line
        elif callable(step):
            step(protocol)
            collect()
        else:
            assert events, f"nothing was reported; expected {step!r}"
            assert events.pop(0) == step
    assert (said, events) == ([], [])


# ---- two servers ----

HELLO: list[Step] = [
    ClientProtocol.start,
    C("CAP LS 302"),
    C("NICK alice"),
    C("USER alice 0 * :Alice A."),
]
PLAIN_WELCOME: list[Step] = [
    S(":irc.old 001 alice :Welcome"),
    S(":irc.old 376 alice :End of /MOTD command."),
    Welcome("alice", None, "", "Welcome"),
]
OLD: list[Step] = [
    *HELLO,
    S(":irc.old 421 alice CAP :Unknown command"),
    *PLAIN_WELCOME,
]
"""A server of the old days."""

NEW_CAPS = "batch echo-message labeled-response message-tags server-time extended-join"
NEW: list[Step] = [
    *HELLO,
    S(f"CAP * LS :{NEW_CAPS}"),
    C(f"CAP REQ :{' '.join(sorted(NEW_CAPS.split()))}"),
    S(f"CAP alice ACK :{NEW_CAPS}"),
    C("CAP END"),
    S(":irc.new 001 alice :Welcome"),
    S(":irc.new 005 alice CASEMAPPING=ascii NETWORK=New PREFIX=(qov)~@+ :are supported"),
    S(":irc.new 422 alice :MOTD File is missing"),
    Welcome("alice", None, "New", "Welcome"),
]
"""A server of today."""
