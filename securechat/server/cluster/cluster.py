"""One relay of several: its parts that have to do with the others, made and looked after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from securechat.errors import NetworkError, StoreBusy, StoreError
from securechat.server.caretaker import Duty
from securechat.server.cluster.keeping import StateStore
from securechat.server.cluster.log import ClusterLog
from securechat.server.cluster.membership import BEAT_S, Membership
from securechat.server.cluster.nats_stream import NatsStream
from securechat.server.cluster.snapshots import SnapshotMaker, load_state
from securechat.server.config import ClusterConfig
from securechat.server.delivery.delivery import Delivery
from securechat.server.event_log import Keeper
from securechat.server.network import Network
from securechat.server.reload import announce_relays
from securechat.server.store_thread import StoreThread

if TYPE_CHECKING:
    from securechat.server.services import Services

__all__ = ["Cluster"]

_log = logging.getLogger(__name__)


class Cluster:
    """What makes a relay one of several. Made, joined, left and closed by one thread.

    The constructor connects to NATS, and blocks. ``state`` is what the keepers of the state write
    to; ``members`` tells of the other relays.

    :param on_crash: called with what keeps the relay from being one of several.
    :raises ConfigError: what it needs is not installed, or cannot be used.
    :raises NetworkError: NATS does not answer.
    """

    def __init__(
        self,
        config: ClusterConfig,
        store: StoreThread,
        *,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._config = config
        self._store = store
        self._on_crash = on_crash
        self._stream = NatsStream(config, on_crash=self._crashed)
        self.state = StateStore(store)
        self.members = Membership(self._stream, self.state, config.lease_s)
        self._made = ""  # when the stream was
        self.event_log: ClusterLog
        self._snapshots: SnapshotMaker
        self._services: Services | None = None  # once it joins the others

    def load(self, network: Network, begin: Callable[[], None], now_ms: int) -> int:
        """Put the newest snapshot into ``network``; return the last event in it. Blocks.

        As ``load_state``; raises ``NetworkError`` besides.
        """
        info = self._stream.info(insist=True)
        self._made = info.made
        return load_state(network, self._store, info, begin, now_ms)

    def make_log(
        self,
        network: Network,
        delivery: Delivery,
        history: Keeper,
        keepers: Iterable[Keeper],
        applied: int,
    ) -> ClusterLog:
        """Return the log for a ``network`` that has seen all up to event ``applied``."""
        self.event_log = ClusterLog(
            network,
            delivery,
            history,
            (*keepers, self.members),
            config=self._config,
            stream=self._stream,
            state=self.state,
            applied=applied,
        )
        return self.event_log

    def join(self, services: Services) -> None:
        """Be one of the relays from now on. Blocks. Raises what ``ClusterLog.join`` does."""
        self._services = services
        self.members.serve(services, self.event_log)
        self._snapshots = SnapshotMaker(
            services, self.event_log, self.state, self._stream, self.members, self._made
        )
        if not self._stream.works:
            raise NetworkError("the connection to NATS has ended before the relay could begin")
        members = self.members
        self.event_log.join(services, members.take_beat, members.look_after)
        announce_relays(services)

    def _crashed(self, error: BaseException) -> None:
        self._on_crash(error)
        if self._services is not None:
            self.event_log.fail(error)

    @property
    def snapshot(self) -> tuple[int, float]:
        """The event of the latest snapshot that this relay knows, and since when (monotonic, in
        seconds). Once it has joined; safe from any thread.
        """
        return self._snapshots.latest

    def duties(self) -> Iterator[Duty]:
        """Yield what is to be done again and again, once it has joined."""
        yield Duty(BEAT_S, self._look_at_snapshots)

    def _look_at_snapshots(self) -> None:
        self._snapshots.look_after()

    def leave(self, reason: str) -> None:
        """Have the others know that it stops, and its people why. Blocks, for some seconds at most.

        If there are none, all of the state is in the database then. Does nothing if it has not
        begun to join them.
        """
        if self._services is None:
            return
        was_there = self.event_log.standing.incarnation > 0
        self.event_log.leave(reason)
        with self._services.lock:
            last = was_there and not self._services.network.relays
            held = self.state.take_held() if last else ()
        try:
            self.state.finish(held)
        except (StoreBusy, StoreError) as error:
            _log.error("the last changes of the state were not written: %s", error)

    def close(self) -> None:
        """Disconnect. Blocks."""
        self._stream.stop()
