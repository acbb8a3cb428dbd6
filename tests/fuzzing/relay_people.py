"""The people of the fuzzed relay: how it is configured for them, and how each of them begins."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Request, TextMessage
from wsproto.utilities import RemoteProtocolError as WebSocketError

from securechat.invite_link import CA_ALPN
from securechat.irc import capabilities as caps
from securechat.irc.peering import TUNNEL_ALPN
from securechat.server.config import (
    AccountsConfig,
    Config,
    GatewayConfig,
    HistoryConfig,
    LimitsConfig,
    OperatorConfig,
    PeersConfig,
    ServerConfig,
)
from securechat.server.websocket import ALPN as WEB_ALPN
from securechat.store.passwords import hash_password
from tests.fuzzing.hearing import Hearing
from tests.fuzzing.memory_parts import CHEAP, PASSWORD, End
from tests.fuzzing.relay_words import PLAIN

__all__ = ["GATEWAY_ADDRESS", "GREETINGS", "Person", "configs"]

GATEWAY_ADDRESS: Final = "203.0.113.7"
_ASK_ALL: Final = [
    f"CAP REQ :{' '.join(list(caps.BITS)[start : start + 18])}"
    for start in range(0, len(caps.BITS), 18)
]

GREETINGS: Final = tuple(
    [line.encode() for line in lines]
    for lines in (
        [*_ASK_ALL, "NICK ann", "USER ann 0 * :Ann", "CAP END", "JOIN #a"],
        ["NICK bob", "USER bob 0 * :Bob", "JOIN #a"],
        [
            *(*_ASK_ALL, "AUTHENTICATE PLAIN", f"AUTHENTICATE {PLAIN}"),
            *("NICK cat", "USER cat 0 * :Cat", "CAP END", "JOIN #a"),
        ],
        [
            *("CAP REQ :sasl batch labeled-response echo-message", f"PASS cat:{PASSWORD}"),
            *("NICK cat", "USER cat 0 * :Cat", "CAP END", "JOIN #a"),
        ],
        [
            *(f"PASS dan:{PASSWORD}", *_ASK_ALL, "NICK dan", "USER dan 0 * :Dan", "CAP END"),
            *(f"OPER root :{PASSWORD}", "JOIN #a"),
        ],
        [],
        [
            *("CAP REQ :server-time draft/multiline batch", "NICK web", "USER web 0 * :Web"),
            *("CAP END", "JOIN #a"),
        ],
        [],
    )
)
"""What each connection begins with."""


@lru_cache
def configs() -> tuple[Config, ...]:
    hashed = hash_password(PASSWORD, CHEAP)
    usual = dataclasses.replace(
        Config(),
        server=ServerConfig(name="relay.test", network="TestNet", motd="one\n\ntwo"),
        accounts=AccountsConfig(argon2_memory_kib=8, argon2_iterations=1),
        history=HistoryConfig(page=5, replay_lines=3),
        limits=LimitsConfig(
            commands_per_s=0.0,
            channels_per_user=4,
            list_entries=3,
            monitored_nicks=3,
            rooms_per_account=2,
            metadata_keys=2,
            metadata_subscriptions=2,
            multiline_lines=4,
            whowas_entries=5,
            sendq_bytes=65_536,
        ),
        operators=(OperatorConfig("root", hashed),),
        webirc=(GatewayConfig("gate", hashed, (f"{GATEWAY_ADDRESS}/32",)),),
    )
    strict = dataclasses.replace(
        usual,
        server=dataclasses.replace(usual.server, casemapping="precis", password_hash=hashed),
        accounts=dataclasses.replace(usual.accounts, registration="invite", always_on="opt-out"),
        history=dataclasses.replace(usual.history, before_joining=False, messages_per_room=3),
    )
    small = dataclasses.replace(
        usual,
        history=HistoryConfig(enabled=False),
        peers=PeersConfig(enabled=False),
        accounts=dataclasses.replace(usual.accounts, always_on="off", before_connect=False),
    )
    limited = dataclasses.replace(
        usual,
        limits=dataclasses.replace(
            usual.limits,
            commands_per_s=2.0,
            command_burst=25,
            connections_per_address=2,
            input_queue_bytes=5_000,
            denied_client_tags="*,-reply,-typing",
        ),
        accounts=dataclasses.replace(usual.accounts, required=True),
    )
    return usual, strict, small, limited


class Person:
    """Who is behind a connection: says what the script says, and listens."""

    def __init__(self, end: End, protocol: str, fold: Callable[[str], str]) -> None:
        self.end = end
        self.protocol = protocol
        self.hearing = Hearing(fold)
        self.allowed = 0
        self.sent: Counter[str] = Counter()  # labels
        self.broken = False  # has said what is no line
        self._web = WSConnection(ConnectionType.CLIENT) if protocol == WEB_ALPN else None
        if self._web is not None:
            end.send(self._web.send(Request(host="localhost", target="/")))

    @property
    def caps(self) -> int:
        return self.end.session.caps if self.end.session is not None else 0

    @property
    def chats(self) -> bool:
        return self.protocol not in (TUNNEL_ALPN, CA_ALPN)

    def say(self, line: bytes) -> None:
        self.allowed |= self.caps
        if self._web is None:
            self.end.send(line + b"\r\n")
        elif self._web.state is ConnectionState.OPEN:
            self.end.send(self._web.send(BytesMessage(line)))

    def say_raw(self, data: bytes) -> None:
        self.broken = True
        self.end.send(data)

    def hear(self, data: bytes) -> None:
        if not self.chats:
            return
        if self._web is not None:
            data = self._unframe(data)
        self.hearing.hear(data, self.allowed | self.caps)

    def _unframe(self, data: bytes) -> bytes:
        assert self._web is not None
        lines = []
        try:
            self._web.receive_data(data)
            for event in self._web.events():
                if isinstance(event, TextMessage):
                    lines.append(event.data.encode() + b"\r\n")
                elif isinstance(event, CloseConnection) and self._web.state is ConnectionState.OPEN:
                    raise AssertionError(f"a frame that cannot be: {event}")
        except WebSocketError:
            if not self.broken:
                raise
        return b"".join(lines)
