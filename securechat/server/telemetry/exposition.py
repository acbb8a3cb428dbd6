"""The figures in the text format of Prometheus. Needs the extra ``securechat[metrics]``.

https://prometheus.io/docs/practices/naming/; a registry of our own, so that what the library
registers by itself (the process, the interpreter) does not come along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from securechat.server.telemetry.cluster_figures import ClusterFigures
from securechat.server.telemetry.counters import Mishap
from securechat.server.telemetry.figures import Figures
from securechat.server.telemetry.histogram import Distribution

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of the format: what every Prometheus reads."""


class Exposition:
    """Makes the text. Safe from any thread.

    :param read: returns the figures; called for each text, on the thread that wants it.
    """

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_FigureCollector(read))

    def text(self) -> bytes:
        """Return the metrics of this moment."""
        return generate_latest(self._registry)


class _FigureCollector(Collector):
    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        figures = self._read()
        yield from _relay(figures)
        yield from _traffic(figures)
        yield from _mishaps(figures)
        yield from _store(figures)
        yield from _threads(figures)
        if figures.cluster is not None:
            yield from _cluster(figures.cluster)


def _relay(figures: Figures) -> Iterator[Metric]:
    versions = figures.versions
    yield InfoMetricFamily(
        "securechat",
        "Versions of what runs.",
        {
            "version": versions.securechat,
            "python": versions.python,
            "openssl": versions.openssl,
        },
    )
    yield _gauge("start_time_seconds", "When it was started, since 1970 UTC.", figures.started_s)
    yield _gauge(
        "sessions", "Connections of clients, also before their handshake.", figures.sessions
    )
    yield _gauge("users", "People on the network, also those without a device.", figures.users)
    yield _gauge("rooms", "Rooms, also those that nobody is in.", figures.rooms)
    yield _gauge("accounts", "Accounts.", figures.accounts)
    yield _gauge(
        "certificate_days_left",
        "For how many whole days the certificate is valid; below 0 it has expired.",
        figures.certificate_days_left,
    )


def _traffic(figures: Figures) -> Iterator[Metric]:
    passed = figures.passed
    yield _labelled(
        "messages",
        "Lines of IRC from clients and to them; what is delivered in several lines is one.",
        "direction",
        {"in": passed.received_messages, "out": passed.sent_messages},
    )
    yield _counter(
        "deliveries",
        "What was said or done, for each session that was told of it.",
        passed.deliveries,
    )
    yield _counter("received_bytes", "Bytes from clients, inside TLS.", passed.received_bytes)
    yield _counter("sent_bytes", "Bytes queued for clients, inside TLS.", passed.sent_bytes)
    yield _gauge("queue_bytes", "Bytes that wait for clients to read them.", figures.queue_bytes)
    yield _gauge("tunnels", "Tunnels between peers, also those not used yet.", figures.tunnels)
    yield _counter("tunnel_bytes", "Bytes that have passed through tunnels.", figures.tunnel_bytes)


def _mishaps(figures: Figures) -> Iterator[Metric]:
    yield _counter(
        "sendq_kills", "Clients closed because they read too slowly.", figures.sendq_kills
    )
    for name, text, mishap in _MISHAPS:
        yield _counter(name, text, figures.mishaps[mishap])
    yield _labelled(
        "handshake_failures",
        "TLS handshakes that came to nothing.",
        "reason",
        figures.handshake_failures,
    )
    logins = CounterMetricFamily(
        "securechat_logins", "Tries to log in.", labels=("mechanism", "result")
    )
    for login in figures.logins:
        logins.add_metric((login.mechanism, login.result), login.count)
    yield logins


_MISHAPS: Final = (
    ("flood_kills", "Clients closed because they sent too fast.", Mishap.EXCESS_FLOOD),
    (
        "refused_connections",
        "Connections refused when they were accepted, by a limit or a ban.",
        Mishap.CONNECTION_REFUSED,
    ),
    ("command_failures", "Commands that ended in a bug.", Mishap.COMMAND_CRASHED),
)


def _store(figures: Figures) -> Iterator[Metric]:
    store = figures.store
    yield _histogram(
        "store_commit_seconds",
        "How long it took to bring a group of writes to the disk.",
        store.commits,
    )
    yield _gauge(
        "store_queue_length", "Pieces of work that wait for the store.", store.queue_length
    )
    yield _gauge(
        "store_writable",
        "Whether the store can write; 0 if the disk is full, say.",
        not store.trouble,
    )
    yield _counter("store_failures", "Groups of work that could not be kept.", store.failures)
    yield _counter("store_refusals", "Pieces of work that found the queue full.", store.refusals)
    yield _counter(
        "history_lost", "Entries of the history that were not kept.", figures.history_lost
    )


def _threads(figures: Figures) -> Iterator[Metric]:
    yield _gauges(
        "io_loop_delay_seconds",
        "How long a thread took to answer when it was last asked.",
        "thread",
        ((thread.name, thread.delay_s) for thread in figures.threads),
    )
    yield _gauges(
        "thread_stuck",
        "Whether a thread has not answered for so long that it counts as stuck.",
        "thread",
        ((thread.name, float(thread.stuck)) for thread in figures.threads),
    )


def _cluster(cluster: ClusterFigures) -> Iterator[Metric]:
    yield _gauge("cluster_relays", "Relays that are there.", len(cluster.relays))
    yield _gauge(
        "cluster_isolated",
        "Whether the relay is cut off from the others, so that nothing can change.",
        bool(cluster.cut_off),
    )
    yield _gauge("cluster_keeper", "Whether the relay writes the state.", cluster.keeper)
    yield _gauge("cluster_event", "The last event of the log that it knows.", cluster.event)
    yield _counter("cluster_events_applied", "Events that have come by the log.", cluster.taken)
    yield _gauge(
        "cluster_events_on_their_way",
        "Events that it has proposed and that have not come back.",
        cluster.on_their_way,
    )
    yield _histogram(
        "cluster_return_seconds",
        "How long an event took from its proposal until it had come back.",
        cluster.returns,
    )
    yield _counter(
        "cluster_messages_repeated",
        "Messages proposed again, since one more relay had come to need them.",
        cluster.repeated,
    )
    yield _gauge(
        "cluster_spare_entries",
        "Entries of the history that are held until the relay that writes them has.",
        cluster.spare_entries,
    )
    yield _gauge(
        "cluster_held_writes",
        "Changes of the state that are held until the keeper has written them.",
        cluster.held_writes,
    )
    yield from _written(cluster)
    yield from _neighbours(cluster)


def _written(cluster: ClusterFigures) -> Iterator[Metric]:
    yield _gauge(
        "cluster_unwritten_history_events",
        "Events since the one up to which it has written its part of the history.",
        max(0, cluster.event - cluster.history_event),
    )
    if not cluster.keeper:
        return
    yield _gauge(
        "cluster_unwritten_state_events",
        "Events since the one up to which the state is written; of the keeper.",
        max(0, cluster.event - cluster.state_event),
    )
    yield _gauge(
        "cluster_snapshot_age_seconds",
        "For how long there was no new snapshot; of the keeper.",
        cluster.snapshot_age_s,
    )
    yield _gauge(
        "cluster_snapshot_events",
        "Events since the latest snapshot, which a relay that starts applies; of the keeper.",
        cluster.event - cluster.snapshot_event,
    )


def _neighbours(cluster: ClusterFigures) -> Iterator[Metric]:
    others = [relay for relay in cluster.relays if not relay.own]
    yield _gauges(
        "cluster_neighbour_lag_events",
        "Events that this relay knows after the last that another does; not all concern that one.",
        "relay",
        ((relay.name, relay.lag) for relay in others if relay.lag is not None),
    )
    yield _gauges(
        "cluster_neighbour_silence_seconds",
        "How long another relay has not been heard.",
        "relay",
        ((relay.name, relay.heard_s) for relay in others if relay.heard_s is not None),
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"securechat_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"securechat_{name}", text, value)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"securechat_{name}", text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"securechat_{name}", text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), value)
    return family


def _histogram(name: str, text: str, found: Distribution) -> Metric:
    return HistogramMetricFamily(
        f"securechat_{name}", text, buckets=list(_buckets(found)), sum_value=found.total
    )


def _buckets(found: Distribution) -> Iterator[tuple[str, float]]:
    """Yield each upper bound and how many values were not above it."""
    so_far = 0
    for bound, count in zip((*map(str, found.bounds), "+Inf"), found.counts, strict=True):
        so_far += count
        yield bound, so_far
