"""What the parts of a running relay have of each other."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from securechat.net.locks import Lock
from securechat.net.timers import Clock
from securechat.server.authentication import Authenticator
from securechat.server.certificate import ServedCertificate
from securechat.server.config import Config
from securechat.server.delivery.delivery import Delivery
from securechat.server.event_log import EventLog
from securechat.server.events import SessionId, Stamp
from securechat.server.history.keeper import HistoryKeeper
from securechat.server.network import Network
from securechat.server.sessions import SessionRegistry
from securechat.server.store_thread import Outcome, StoreThread
from securechat.server.telemetry.counters import Counters
from securechat.server.telemetry.health import Health
from securechat.server.tunnels import Tunnels

if TYPE_CHECKING:
    from securechat.server.cluster.cluster import Cluster
    from securechat.server.dispatch import Command

__all__ = ["Services"]


class Reload(Protocol):
    """Has configuration and certificate taken anew, on another thread."""

    def __call__(self, done: Callable[[Outcome[list[str]]], None], *, lead: bool = True) -> None:
        """Tell ``done`` how it ended, there: what a person should know, or the error.

        Never blocks; raises ``CaretakerBusy``. ``lead``: see ``reload.take_config``.
        """


@dataclass(slots=True)
class Services:
    """The parts of one relay, made once and passed to all.

    Only ``config`` and ``isupport`` are ever replaced, whole and under the network lock, by a
    reload: see ``reload``. Who does not hold it may see the one before.
    """

    config: Config
    lock: Lock  # the network lock, tier 3: guards network, delivery, sessions' capabilities
    network: Network
    delivery: Delivery
    event_log: EventLog
    history: HistoryKeeper
    registry: SessionRegistry
    store: StoreThread
    authenticator: Authenticator
    tunnels: Tunnels
    commands: Mapping[str, Command]
    cloak_secret: bytes = field(repr=False)
    clock: Clock  # monotonic
    wall_clock: Clock  # seconds since 1970 UTC
    started_ms: int
    isupport: tuple[str, ...]  # the tokens of 005
    reload: Reload
    certificate: Callable[[], ServedCertificate]  # what new connections are shown
    health: Health
    cluster: Cluster | None = None  # where there are several relays
    counters: Counters = field(default_factory=Counters)
    _stamps: _Stamps = field(default_factory=lambda: _Stamps())

    @property
    def name(self) -> str:
        """The relay's name, the source of its messages."""
        return self.config.server.name

    @property
    def started(self) -> str:
        """When the relay was started, as people read it."""
        seconds = self.started_ms // 1000
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970 UTC."""
        return int(self.wall_clock() * 1000)

    def stamp(self, session: SessionId) -> Stamp:
        """Return the stamp of an event, now. Requires holding the network lock."""
        return self._stamps.make(session, self.now_ms())


class _Stamps:
    """Makes stamps. Guarded by the network lock.

    Ids are unique over restarts by their prefix. Times never go back, whatever the clock does: the
    history is ordered by them.
    """

    def __init__(self) -> None:
        self._prefix = secrets.token_urlsafe(8)
        self._ids = itertools.count()
        self._last_ms = 0

    def make(self, session: SessionId, now_ms: int) -> Stamp:
        self._last_ms = max(self._last_ms, now_ms)
        return Stamp(session, self._last_ms, f"{self._prefix}{next(self._ids):x}")
