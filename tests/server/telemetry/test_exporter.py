from __future__ import annotations

import http.client
import importlib.resources
import json
import re
import socket
import ssl
import threading
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from securechat import __version__
from securechat.errors import ConfigError
from securechat.net.traffic import HandshakeFailure
from securechat.server.relay import Relay
from securechat.server.telemetry import exporter
from securechat.server.telemetry.cluster_figures import ClusterFigures, RelayFigures
from securechat.server.telemetry.exposition import Exposition
from securechat.server.telemetry.figures import Figures, figures
from securechat.server.telemetry.health import STUCK_S
from securechat.server.telemetry.histogram import Distribution
from tests.server.conftest import StartRelay
from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    PASSWORD,
    WALL_S,
    Certificates,
    FakeClock,
    RunningRelay,
    make_config,
)
from tests.server.waiting import until

RELAYS = tuple(
    RelayFigures(
        name=name,
        address="",
        incarnation=n,
        started_s=WALL_S,
        own=n == 1,
        keeper=n == 1,
        heard_s=heard_s,
        lag=lag,
    )
    for n, (name, heard_s, lag) in enumerate([("a", 0.0, 0), ("b", 1.5, 7), ("c", None, None)], 1)
)

CLUSTER = ClusterFigures(
    relay="a",
    incarnation=1,
    cut_off="",
    event=100,
    taken=90,
    on_their_way=3,
    repeated=2,
    returns=Distribution((0.001, 0.01), (4, 2, 1), 3.5),
    keeper=True,
    history_event=95,
    state_event=97,
    spare_entries=5,
    held_writes=0,
    snapshot_event=40,
    snapshot_age_s=61.5,
    relays=RELAYS,
)
"""How one of three relays may stand with the others."""

LISTEN = {"listen": (("127.0.0.1", 0),)}

Sample = tuple[str, frozenset[tuple[str, str]]]


def get(relay: RunningRelay, path: str) -> tuple[int, str]:
    address = relay.relay.metrics_addresses[0]
    with closing(http.client.HTTPConnection(*address, timeout=LONG_TIMEOUT_S)) as client:
        client.request("GET", path)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


class Metrics:
    """The metrics of one moment, as Prometheus reads them."""

    @classmethod
    def of(cls, found: Figures) -> Metrics:
        made = cls.__new__(cls)
        made.read(Exposition(lambda: found).text().decode())
        return made

    def __init__(self, relay: RunningRelay) -> None:
        status, text = get(relay, "/metrics")
        assert status == 200
        self.read(text)

    def read(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples: dict[Sample, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples[f"securechat_{name}", frozenset(labels.items())]


@pytest.fixture
def relay(start_relay: StartRelay) -> RunningRelay:
    return start_relay(metrics=LISTEN)


def test_what_is_there_and_what_has_passed(relay: RunningRelay) -> None:
    alice, bob, carol = (relay.account(nick) for nick in ("alice", "bob", "carol"))
    for client in (alice, bob, carol):
        client.ask("JOIN #room")
    for client in (alice, bob, carol):
        client.sync()
    before = Metrics(relay)
    assert before("sessions") == before("users") == before("accounts") == 3
    assert before("rooms") == 1
    bob.send("PRIVMSG #room :hello")
    for client in (alice, carol):
        client.expect("PRIVMSG")
    # A client may have read a line before the relay has counted that it is sent.
    until(lambda: Metrics(relay)("queue_bytes") == 0, "something waits in a queue for good")
    after = Metrics(relay)
    assert after("deliveries_total") - before("deliveries_total") == 2
    assert after("messages_total", direction="in") - before("messages_total", direction="in") == 1
    assert after("messages_total", direction="out") - before("messages_total", direction="out") == 2
    line = len(b"PRIVMSG #room :hello\r\n")
    assert after("received_bytes_total") - before("received_bytes_total") == line
    assert after("sent_bytes_total") - before("sent_bytes_total") > 2 * line
    assert after("queue_bytes") == after("tunnels") == after("tunnel_bytes_total") == 0
    assert after("store_failures_total") == after("history_lost_total") == 0

    bob.request("echo-message")
    bob.send("PRIVMSG #room :kept")
    bob.expect("PRIVMSG")  # so it is stored
    stored = Metrics(relay)
    assert stored("store_commit_seconds_count") > before("store_commit_seconds_count")
    assert stored("store_writable") == 1
    assert stored("store_commit_seconds_bucket", le="+Inf") == stored("store_commit_seconds_count")


def test_answers_are_messages_too(relay: RunningRelay) -> None:
    alice = relay.join("alice")
    before = Metrics(relay)
    lines = alice.collect("VERSION")
    after = Metrics(relay)
    count = len(lines) + 1  # and PONG
    assert after("messages_total", direction="in") - before("messages_total", direction="in") == 2
    assert (
        after("messages_total", direction="out") - before("messages_total", direction="out")
    ) == count
    assert after("deliveries_total") == before("deliveries_total")


def test_versions_and_times(relay: RunningRelay, relay_certificates: Certificates) -> None:
    metrics = Metrics(relay)
    (info,) = metrics.families["securechat_info"].samples
    assert info.labels["version"] == __version__
    assert info.labels["openssl"] == ssl.OPENSSL_VERSION
    assert metrics("start_time_seconds") == int(WALL_S * 1000) / 1000
    served = relay.relay.services.certificate()
    assert metrics("certificate_days_left") == (served.not_after.timestamp() - WALL_S) // 86_400


def test_logins_by_mechanism_and_result(start_relay: StartRelay) -> None:
    relay = start_relay(metrics=LISTEN, accounts={"failures_per_minute": 4, "login_attempts": 10})
    relay.account("alice").quit()
    client = relay.connect()
    client.request("sasl")
    assert client.authenticate_plain("alice", "wrong")[-1].startswith("904")
    client.authenticate_scram("alice")
    client.authenticate_scram("alice", "wrong")
    client.authenticate_plain("bob", "wrong")
    assert "Too many failed logins" in client.authenticate_plain("bob", PASSWORD)[-1]
    second = relay.connect(address="192.0.2.7")
    second.send(f"PASS :alice:{PASSWORD}", "NICK alice", "USER alice 0 * :Alice")
    second.expect("001")
    third = relay.connect(address="192.0.2.8")
    third.send("PASS alice:wrong")
    third.read_to_end()
    metrics = Metrics(relay)
    found = {
        tuple(sample.labels.values()): sample.value
        for sample in metrics.families["securechat_logins"].samples
    }
    assert len(found) == 5 * 4  # all that there can be, from the start
    assert {labels: count for labels, count in found.items() if count} == {
        ("PLAIN", "failed"): 2,
        ("PLAIN", "throttled"): 1,
        ("SCRAM-SHA-256", "ok"): 1,
        ("SCRAM-SHA-256", "failed"): 1,
        ("PASS", "ok"): 1,
        ("PASS", "failed"): 1,
    }


def test_handshakes_that_fail(relay: RunningRelay) -> None:
    reasons = {str(reason) for reason in HandshakeFailure}
    metrics = Metrics(relay)
    assert {metrics("handshake_failures_total", reason=reason) for reason in reasons} == {0}
    tcp = relay.connect_tcp()
    tcp.sendall(b"NICK alice\r\n")
    tcp.shutdown(socket.SHUT_WR)
    while tcp.recv(1_024):
        pass
    metrics = Metrics(relay)
    assert metrics("handshake_failures_total", reason="not_tls") == 1
    assert len(metrics.families["securechat_handshake_failures"].samples) == len(reasons)


def test_clients_that_are_put_off(start_relay: StartRelay) -> None:
    relay = start_relay(
        metrics=LISTEN,
        limits={
            "connections_per_address": 1,
            "input_queue_bytes": 4_608,
            "commands_per_s": 0.001,
            "command_burst": 5,
        },
    )
    flooder = relay.connect(address="192.0.2.7")
    refused = relay.connect(address="192.0.2.7")
    assert "Too many connections" in refused.read_to_end()[-1]
    flooder.send_bytes(b"PING :%s\r\n" % (b"x" * 400) * 40)
    assert "Excess Flood" in flooder.read_to_end()[-1]
    metrics = Metrics(relay)
    assert metrics("refused_connections_total") == 1
    assert metrics("flood_kills_total") == 1
    assert metrics("sendq_kills_total") == metrics("command_failures_total") == 0


def test_a_command_with_a_bug(start_relay: StartRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    relay = start_relay(metrics=LISTEN)
    relay.may_log_errors = True
    alice = relay.join("alice")
    monkeypatch.setattr(relay.relay.services.network, "find_user", None)
    alice.ask("WHOIS alice")
    assert Metrics(relay)("command_failures_total") == 1


def test_health(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(metrics=LISTEN, clock=clock)
    assert get(relay, "/healthz") == (200, "ok\n")
    health, store = relay.relay.services.health, relay.relay.services.store
    begun, gate = threading.Event(), threading.Event()

    def stand(connection: Any) -> None:
        begun.set()
        gate.wait(LONG_TIMEOUT_S)

    store.submit(stand, lambda outcome: None)
    try:
        assert begun.wait(LONG_TIMEOUT_S)
        health.tick()
        for thread in relay.relay._threads:
            answered = threading.Event()
            thread.post(answered.set)
            assert answered.wait(LONG_TIMEOUT_S)
        clock.now += STUCK_S
        assert get(relay, "/healthz") == (503, "store has not answered for 10 s\n")
        metrics = Metrics(relay)
        stuck = {name: metrics("thread_stuck", thread=name) for name in ("io-0", "io-1", "store")}
        assert stuck == {"io-0": 0, "io-1": 0, "store": 1}
        assert metrics("io_loop_delay_seconds", thread="store") == STUCK_S
    finally:
        gate.set()


def test_other_paths(relay: RunningRelay) -> None:
    assert get(relay, "/")[0] == 404


def as_one_of_several(relay: RunningRelay, **changes: Any) -> Metrics:
    found = figures(relay.relay.services)
    assert found.cluster is None
    return Metrics.of(replace(found, cluster=replace(CLUSTER, **changes)))


def test_one_of_several_relays(relay: RunningRelay) -> None:
    metrics = as_one_of_several(relay)
    found = {
        name.removeprefix("securechat_cluster_"): value
        for (name, labels), value in metrics.samples.items()
        if name.startswith("securechat_cluster_") and not labels
    }
    assert found == {
        "relays": 3,
        "isolated": 0,
        "keeper": 1,
        "event": 100,
        "events_applied_total": 90,
        "events_on_their_way": 3,
        "messages_repeated_total": 2,
        "return_seconds_count": 7,
        "return_seconds_sum": 3.5,
        "spare_entries": 5,
        "held_writes": 0,
        "unwritten_history_events": 5,
        "unwritten_state_events": 3,
        "snapshot_age_seconds": 61.5,
        "snapshot_events": 60,
    }
    assert metrics("cluster_return_seconds_bucket", le="0.01") == 6
    of_relays = {labels for _, labels in metrics.samples if "relay" in dict(labels)}
    assert of_relays == {frozenset({("relay", "b")})}, "neither itself nor who was not heard"
    assert metrics("cluster_neighbour_lag_events", relay="b") == 7
    assert metrics("cluster_neighbour_silence_seconds", relay="b") == 1.5


def test_what_only_the_keeper_tells(relay: RunningRelay) -> None:
    names = {name for name, _ in as_one_of_several(relay).samples}
    of_others = {name for name, _ in as_one_of_several(relay, keeper=False).samples}
    assert names - of_others == {
        "securechat_cluster_unwritten_state_events",
        "securechat_cluster_snapshot_age_seconds",
        "securechat_cluster_snapshot_events",
    }


def test_a_relay_that_is_cut_off(relay: RunningRelay) -> None:
    assert as_one_of_several(relay, cut_off="NATS cannot be reached")("cluster_isolated") == 1


def test_names_are_as_prometheus_wants_them(relay: RunningRelay) -> None:
    for name, family in as_one_of_several(relay).families.items():
        assert re.fullmatch(r"securechat(_[a-z]+)*", name)
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram")


def test_the_dashboard_shows_metrics_that_there_are(relay: RunningRelay) -> None:
    relay.account("alice")
    package = importlib.resources.files("securechat.server.telemetry")
    text = package.joinpath("grafana-dashboard.json").read_text("utf-8")
    board = json.loads(text)
    shown = set(re.findall(r"securechat_\w+", text))
    known = {name for name, _ in as_one_of_several(relay).samples}
    assert len(shown) > 20
    assert shown <= known
    assert known - shown <= {
        "securechat_store_commit_seconds_sum",
        "securechat_cluster_return_seconds_sum",
        "securechat_cluster_return_seconds_count",
    }
    sources = {str(panel.get("datasource", {}).get("uid")) for panel in board["panels"]}
    assert sources == {"${datasource}", "None"}  # a row has none
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


def test_nobody_listens_where_nothing_is_set(start_relay: StartRelay) -> None:
    relay = start_relay()
    assert relay.relay.metrics_addresses == []


def test_without_the_library_the_relay_does_not_start(
    relay_certificates: Certificates, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "find_spec", lambda name: None)
    config = make_config(relay_certificates, tmp_path / "relay.db", metrics=LISTEN)
    with pytest.raises(ConfigError, match=r'pip install "securechat\[metrics\]"'):
        Relay(config)


def test_the_relay_lets_go_of_the_port(relay: RunningRelay) -> None:
    address = relay.relay.metrics_addresses[0]
    relay.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


# ---- the figures themselves ----


def test_figures_can_be_written_as_json(start_relay: StartRelay, clock: FakeClock) -> None:
    relay = start_relay(clock=clock)
    alice = relay.account("alice")
    services = relay.relay.services
    clock.now += 10
    alice.ask("JOIN #room")
    services.health.tick()
    found = figures(services)
    assert isinstance(found, Figures)
    data = json.loads(json.dumps(asdict(found)))
    assert data["sessions"] == data["users"] == data["accounts"] == data["rooms"] == 1
    assert data["uptime_s"] == WALL_S - found.started_s
    assert data["versions"]["securechat"] == __version__
    assert data["passed"]["received_messages"] > 0
    assert data["per_second"]["received_messages"] > 0
    assert data["store"]["commits"]["counts"] == list(found.store.commits.counts)
    assert [thread["name"] for thread in data["threads"]] == ["io-0", "io-1", "store"]
    assert data["problems"] == []


@pytest.mark.parametrize(("trouble", "value"), [("", "1.0"), ("database or disk is full", "0.0")])
def test_a_store_that_cannot_write(relay: RunningRelay, trouble: str, value: str) -> None:
    found = figures(relay.relay.services)
    found = replace(found, store=replace(found.store, trouble=trouble))
    lines = Exposition(lambda: found).text().decode().splitlines()
    assert f"securechat_store_writable {value}" in lines
