"""Several relays that are one chat: in this process, on real NATS and PostgreSQL servers."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from securechat.server.cluster.cluster import Cluster
from securechat.server.cluster.log import ClusterLog
from securechat.server.cluster.membership import BEAT_S
from securechat.server.config import ClusterConfig, Config, StoreConfig
from securechat.server.context import relay_context
from securechat.server.events import RelayLost
from securechat.server.snapshot import digest
from securechat.store.postgres_url import parse_postgres_url
from tests.server.relay_harness import Certificates, Client, FakeClock, RunningRelay, make_config
from tests.server.waiting import TIMEOUT_S, until
from tests.services.nats import NatsCluster

__all__ = ["Relays", "cluster_of", "log_of", "replies", "several", "state_of"]


class Relays:
    """Relays that share a stream and a database. Made, used and stopped by the test's thread."""

    def __init__(
        self, certificates: Certificates, nats: NatsCluster, postgres_url: str, folder: Path
    ) -> None:
        self.certificates = certificates
        self._nats = nats
        self.postgres_url = postgres_url
        self._folder = folder
        self.clocks: dict[str, Any] = {}
        """What relays that are started go by, if not by the real time."""
        self.running: dict[str, RunningRelay] = {}

    def config(self, name: str, *, cluster: dict[str, Any] | None = None, **changes: Any) -> Config:
        """Return the configuration of the relay of that name."""
        password = self._folder / "nats-password"
        password.write_text(self._nats.password)
        made = make_config(
            self.certificates,
            self._folder / "unused.db",
            **{"server": {"name": f"{name}.test"}} | changes,
        )
        settings = {
            "nats": tuple(self._nats.urls),
            "relay": name,
            "address": f"{name}.test:6697",
            "ca": self._nats.ca_file,
            "user": self._nats.user,
            "password_file": password,
            "lease_s": 3,
            "stream_mib": 16,
        }
        return dataclasses.replace(
            made,
            store=StoreConfig(
                path=self._folder / f"{name}.db",  # beside it is the control socket
                url=parse_postgres_url(self.postgres_url),
            ),
            cluster=ClusterConfig(**settings | (cluster or {})),
        )

    def start(self, name: str, **changes: Any) -> RunningRelay:
        """Start a relay that joins the others."""
        config = self.config(name, **changes)
        relay = RunningRelay(config, self.certificates, **self.clocks)
        self.running[name] = relay
        return relay

    def stop(self, name: str) -> None:
        self.running.pop(name).stop()

    def kill(self, name: str) -> None:
        """End a relay so that the others do not hear of it: its people seem to be there still."""
        relay = self.running.pop(name)
        cluster_of(relay)._stream.stop()
        log_of(relay)._incarnation = 0  # nobody is told
        relay.stop()

    def pass_time(self, clock: FakeClock, seconds: int) -> None:
        """Have time pass, in which those that run say every second how they do."""
        for _ in range(seconds):
            clock.now += BEAT_S
            until(lambda: self._all_heard(clock.now), "the relays do not hear each other")

    def _all_heard(self, now: float) -> bool:
        names = set(self.running)
        return all(
            names
            <= {each.name for each in cluster_of(relay).members.neighbours if each.heard_s >= now}
            for relay in self.running.values()
        )

    def settle(self) -> None:
        """Wait until all relays know all that has happened, and check that they agree on it."""
        self.catch_up()
        digests = self.digests()
        assert len(digests) == 1, "the relays have come to different states"

    def catch_up(self) -> None:
        """Wait until all that was proposed is known to all relays.

        What is said goes to those that need it: so it takes an event that changes nothing.
        """
        running = self.running.values()
        until(
            lambda: not any(log_of(relay).standing.on_their_way for relay in running),
            "something is on its way for ever",
        )
        marks: queue.SimpleQueue[int] = queue.SimpleQueue()
        relay, *_ = running
        services, event_log = relay.relay.services, log_of(relay)
        with services.lock:
            nothing = RelayLost(services.stamp(0), "nobody", 0, "")
            event_log.propose(
                nothing,
                relay_context(services),
                lambda: marks.put(event_log.standing.applied),
                _unexpected,
            )
        mark = marks.get(timeout=TIMEOUT_S)
        until(
            lambda: all(log_of(relay).standing.applied >= mark for relay in running),
            "a relay does not come to know what has happened",
        )

    def write_history(self) -> None:
        """Wait until all that was said is in the database."""
        for relay in self.running.values():
            history = relay.relay.services.history
            history.flush()
            until(lambda: history.kept >= history.taken, "the history is not written")  # noqa: B023

    def digests(self) -> set[str]:
        return {state_of(relay) for relay in self.running.values()}


def replies(client: Client, line: str) -> list[str]:
    """Send ``line``; return what has come when it is done, but for news of where relays are.

    That a relay has come is told about a second later, among whatever is answered then.
    """
    return [found for found in client.ask(line) if "securechat/RELAYS" not in found]


def cluster_of(relay: RunningRelay) -> Cluster:
    cluster = relay.relay.services.cluster
    assert cluster is not None
    return cluster


def log_of(relay: RunningRelay) -> ClusterLog:
    return cluster_of(relay).event_log


def state_of(relay: RunningRelay) -> str:
    """Return the digest of the relay's state."""
    services = relay.relay.services
    with services.lock:
        return digest(services.network)


@contextlib.contextmanager
def several(
    certificates: Certificates, nats: NatsCluster, postgres_url: str, folder: Path
) -> Iterator[Relays]:
    """Give relays that are stopped at the end."""
    relays = Relays(certificates, nats, postgres_url, folder)
    try:
        yield relays
    finally:
        for name in list(relays.running):
            relays.stop(name)


def _unexpected(refusal: Exception) -> None:
    raise refusal


Starter = Callable[..., RunningRelay]
