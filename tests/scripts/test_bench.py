"""scripts/bench.py in small: all that is sent arrives, and every figure is one."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "bench.py"
TIMEOUT_S = 240.0  # only a run that hangs takes as long

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bench.py is for Linux")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def measured(*arguments: str) -> dict[str, Any]:
    done = bench("--quick", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def figures(value: Any) -> Iterator[float]:
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from figures(item)
        elif not isinstance(item, str):
            yield item


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """bench.py as a module: its modules lie beside it."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("bench")


def test_all_scenarios(script: ModuleType) -> None:
    results = measured(
        *("--stored", "3000", "--file-bytes", "100001", "--rounds", "2", "--chat-messages", "5"),
        *("--room-messages", "100", "--openings", "1", "--keys", "3"),
    )
    assert list(results) == [
        "python",
        "openssl",
        "cpus",
        "tls",
        "load_processes",
        "relay",
        "fanout",
        "rooms",
        "slow",
        "storm",
        "handshakes",
        "idle",
        "history",
        "writes",
        "mixed",
        "peers",
        "tui",
    ]
    grown = results["slow"].pop("relay_bytes_grown")  # maybe by nothing: memory is used again
    check_storm(results["storm"])
    troubles = {name: results["storm"].pop(name) for name in MAYBE_NONE}
    assert all(figure > 0 for figure in figures(results))
    results["storm"] |= troubles
    results["slow"]["relay_bytes_grown"] = grown
    fanout = results["fanout"]
    assert fanout["deliveries"] == fanout["deliveries_expected"] == 19 * 200
    assert fanout["latency_p50_ms"] <= fanout["latency_p99_ms"]
    rooms = results["rooms"]
    assert (rooms["connections"], rooms["rooms"], rooms["messages"]) == (50, 5, 100)
    assert rooms["deliveries"] == rooms["deliveries_expected"] == 9 * 100
    assert rooms["seconds"] >= 0.99  # the last is due then: nothing is said before its time
    assert rooms["latency_p50_ms"] <= rooms["latency_p99_ms"] <= rooms["latency_max_ms"]
    slow = results["slow"]
    assert slow["deliveries"] == slow["deliveries_expected"] == 2 * 500 * (19 + 16)
    assert slow["disconnected"] == slow["stalled_in_all_rounds"] == 2 * 3
    assert slow["relay_bytes_bound"] == 3 * 65_536
    for latency in slow["latency"].values():
        assert latency["p50_ms"] <= latency["p99_ms"]
    assert results["handshakes"]["handshakes"] == 20
    check_writes(results["writes"])
    check_mixed(results["mixed"])
    assert [item["connections"] for item in results["idle"]] == [50]
    assert results["history"]["messages"] == 3000
    peers = results["peers"]
    assert (peers["file_bytes"], peers["rounds"]) == (100_001, 2)
    assert set(peers["bare"]["cpu_s_per_gib"]) == {"sender", "receiver"}
    assert set(peers["relayed"]["cpu_s_per_gib"]) == {"sender", "receiver", "relay"}
    for latency in peers["chat"]["latency"].values():
        assert latency["p50_ms"] <= latency["p99_ms"]
    tui = results["tui"]
    assert tui["messages"] == 100
    for times in tui["key_to_drawn"].values():
        assert times["median_ms"] <= times["p99_ms"] <= times["worst_ms"]
    told = "\n".join(script.table(results))
    for words in (
        "rooms: 50 people in 5 rooms, 100 messages/s in all",
        "latency max",
        "slow: 20 members of a room",
        "disconnected                            6 of 6",
        "storm: 40 connect at once and join 1 rooms, while 20 people talk and 5 are idle",
        "latency p50, p99, max, storm",
        "acknowledged per second, no history",
        "mixed: 20 members of a room",
        "half with other capabilities",
        "history: 3,000 messages in 100 rooms",
        "latest 100, largest room",
        "search, commonest word, all rooms",
        "TLS_AES_256_GCM_SHA384, medians of 2 rounds",
        "direct against bare",
        "latency beside a file",
        "tui: the full-screen client, 120x40, a room with 100 messages",
        "key to character drawn, crowd talking",
    ):
        assert words in told


MAYBE_NONE = (
    *("refused", "reset", "sent_again", "accept_queue_longest", "accept_queue_overflows"),
    "relay_bytes_per_connection",
)


def check_storm(storm: dict[str, Any]) -> None:
    assert (storm["storm"], storm["audience"], storm["idle"]) == (40, 20, 5)
    assert storm["joined"] == 40
    assert storm["joined_p50_s"] <= storm["seconds"]
    assert storm["handshake_p50_s"] <= storm["handshake_max_s"] <= storm["seconds"]
    assert storm["refused"] == storm["reset"] == 0
    for latency in storm["latency"].values():
        assert latency["p50_ms"] <= latency["p99_ms"] <= latency["max_ms"]


def check_writes(writes: dict[str, Any]) -> None:
    assert (writes["writers"], writes["messages"], writes["rounds"]) == (10, 100, 2)
    assert set(writes["relays"]) == {"history", "no history"}
    for relay in writes["relays"].values():
        for latency in relay, relay["at_rate"]:
            assert latency["p50_ms"] <= latency["p99_ms"]


def check_mixed(mixed: dict[str, Any]) -> None:
    usual, *others = mixed["kinds"].values()
    assert len(others) == 3
    assert usual["deliveries_to_usual"] == usual["p99_to_usual"] == 1
    assert mixed["deliveries"] == 2 * 4 * 200 * 19


def test_several_senders_and_processes() -> None:
    arguments = ("--members", "12", "--senders", "3", "--processes", "3", "--messages", "100")
    fanout = measured("fanout", *arguments, "--window", "2", "--bytes", "17")["fanout"]
    assert fanout["deliveries"] == 11 * 100


@pytest.mark.starts_first
def test_several_relays_are_one_chat(script: ModuleType) -> None:
    results = measured("relays", "--rounds", "1")
    relays = results["relays"]
    if "skipped" in relays:
        pytest.skip(relays["skipped"])
    assert list(relays["chats"]) == ["embedded", "cluster-1", "cluster-2"]
    for name, chat in relays["chats"].items():
        for talk in (chat["quiet"], chat["paced"], chat["full"]):
            assert talk["deliveries"] == 5 * talk["messages"]
            check_ways(talk, {"within", "across"} if name == "cluster-2" else {"within"})
            servers = set() if name == "embedded" else {"nats", "postgres"}
            assert set(talk["cpu_us_per_message"]) == {"relays"} | servers
            assert talk["cpu_us_per_message"]["relays"] > talk["cpu_us_per_delivery"]["relays"] > 0
        assert chat["full"]["messages"] == 40
        assert chat["changes"]["changes"] == 12 * 4
        assert set(chat["changes"]["latency"]) == {"JOIN", "PART", "NICK"}
    (grown,) = relays["growth"]
    assert grown["rooms"] == 10
    check_ways(grown["local"], {"within"})
    check_ways(grown["spread"], {"within", "across"})
    assert relays["start"]["events"] >= 100
    assert relays["start"]["empty_s"] > 0
    assert relays["start"]["log_s"] > 0
    loss = relays["loss"]
    assert loss["people"] == 6
    assert 0 < loss["gone_s"]["first"] <= loss["gone_s"]["last"]
    assert 0 < loss["elsewhere_s"]["median"] <= loss["elsewhere_s"]["last"]
    told = "\n".join(script.table(results))
    for words in (
        "relays: chats of 1 to 2 relays, 12 people in each, in 2 rooms of 6; medians of 1 rounds",
        "cluster-2: deliveries per second",
        "10 rooms, each on one relay: p50, p99",
        "killed, its 6 people are gone after",
    ):
        assert words in told


def check_ways(talk: dict[str, Any], ways: set[str]) -> None:
    assert {"within", "across"} & set(talk) == ways
    for way in ways:
        assert 0 < talk[way]["p50_ms"] <= talk[way]["p99_ms"]


def test_relays_need_programs(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    services = importlib.import_module("tests.services.nats")

    def find_nothing(folder: Path, nodes: int) -> None:
        pytest.skip("there is no such program")

    monkeypatch.setattr(services, "NatsCluster", find_nothing)
    postgres = importlib.import_module("tests.services.postgres")
    monkeypatch.setattr(postgres, "PostgresServer", lambda folder: contextlib.nullcontext())
    results = {**script.about(plan(script)), "relays": script.relays(plan(script, "relays"))}
    assert results["relays"] == {"skipped": "there is no such program"}
    assert "relays: skipped: there is no such program" in "\n".join(script.table(results))


def test_people_talk_while_others_attack(script: ModuleType) -> None:
    results = measured("abuse", "--stored", "300", "--rounds", "1")
    abuse = results["abuse"]
    attacks = importlib.import_module("benchmark.attacks")
    assert list(abuse["attacks"]) == list(attacks.ATTACKS)
    for name, attack in abuse["attacks"].items():
        assert (attack["connections"] > 0) is (name != attacks.CONTROL)
        assert attack["not_accepted"] == attack["descriptors_left"] == 0
        assert 0 < attack["p50_ms"] <= attack["p99_ms"] <= attack["max_ms"]
        assert attack["p99_to_quiet"] > 0
    told = "\n".join(script.table(results))
    assert "abuse: 20 people say 100 messages/s, beside attacks of 0.02 s" in told
    assert "handshakes: latency p50, p99, max" in told


def test_what_was_acknowledged_outlives_a_kill(script: ModuleType) -> None:
    results = measured("kills", "--kills", "3", "--seed", "79")
    kills = results["kills"]
    assert (kills["kills"], kills["seed"]) == (3, 79)
    assert kills["kills_at_start"] > 0
    assert 0 < kills["acknowledged"] <= kills["kept"] <= kills["said"]
    assert (kills["lost"], kills["twice"], kills["damaged"]) == (0, 0, 0)
    assert kills["databases"] == 3 + kills["kills_at_start"] + 1  # and of the last one, stopped
    assert "acknowledged and lost                   0" in "\n".join(script.table(results))


def test_a_table_for_people() -> None:
    done = bench("handshakes", "--quick", "--tls", "1.3")
    assert done.returncode == 0, done.stderr
    assert "relay processor time each" in done.stdout


def plan(script: ModuleType, *arguments: str) -> Any:
    parser = script.build_parser()
    return script.make_plan(parser, parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "scenario"),
    [
        (("rooms",), "rooms"),
        (("slow",), "slow"),
        (("storm",), "storm"),
        (("writes",), "writes"),
        (("mixed",), "mixed"),
        (("history",), "history"),
        (("peers",), "peers"),
        (("tui",), "tui"),
        (("--tui",), "tui"),
        (("relays",), "relays"),
        (("--relays", "4"), "relays"),
        (("abuse",), "abuse"),
        (("kills",), "kills"),
        (("endurance",), "endurance"),
    ],
)
def test_a_scenario_alone(script: ModuleType, arguments: tuple[str, ...], scenario: str) -> None:
    assert plan(script, *arguments).scenarios == (scenario,)


def test_small_sizes_are_for_what_is_not_given(script: ModuleType) -> None:
    plans = importlib.import_module("benchmark.plan")
    assert plan(script, "--stored", "3000").sizes == plans.Sizes(stored=3000)
    assert plan(script, "--quick").sizes == plans.QUICK
    assert plan(script, "--quick", "--keys", "3").sizes.keys == 3


def test_attacks_may_be_chosen(script: ModuleType) -> None:
    assert plan(script, "abuse", "--attacks", "who", "flood").attacks == ("who", "flood")


def test_idle_connections_need_no_rooms(script: ModuleType) -> None:
    assert plan(script, "idle", "--connections", "5").sizes.connections == (5,)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--connect", "192.0.2.1:6697", "--pid", "1", "--ca", "ca.pem"), "not a loopback address"),
        (("--connect", "127.0.0.1:6697"), "needs --pid and --ca"),
        (("--pid", "1"), "belong to --connect"),
        (("--members", "1"), "--members is from 2 to"),
        (("--bytes", "500"), "--bytes is from 17 to 400"),
        (("--members", "4", "--processes", "2", "--senders", "3"), "more --senders"),
        (("rooms", "--connections", "199"), "more --rooms"),
        (("rooms", "--rate", "0"), "--rate is from 1 to"),
        (("rooms", "--rate", "1000", "--seconds", "3600"), "more than 1,000,000 messages"),
        (("slow", "--audience", "21"), "more --stalled"),
        (("storm", "--idle", "20000"), "--audience and --idle make more than 20,000"),
        (("writes", "--writers", "0"), "--writers is from 1 to"),
        (("slow", "--slow-messages", "30"), "--slow-messages is a multiple of 20"),
        (("slow", "--sendq-bytes", "65535"), "--sendq-bytes is from 65,536 to"),
        (("--stored", "0"), "--stored is from 1 to"),
        (("--connections", "50", "0"), "--connections is from 1 to"),
        (("--file-bytes", "0"), "--file-bytes is from 1 to"),
        (("--keys", "1000"), "--keys is from 1 to"),
        (("idle", "--tui"), "--tui is a scenario of its own"),
        (("idle", "--relays", "3"), "--relays is a scenario of its own"),
        (("--relays", "1"), "--relays is from 2 to 8"),
        (("relays", "--people", "8", "--processes", "1"), "fewer --people than 9"),
        (
            ("relays", "--connect", "127.0.0.1:6697", "--pid", "1", "--ca", "ca.pem"),
            "relays needs a relay of its own",
        ),
        (("abuse", "--attack-ms", "0"), "--attack-ms is from 1 to"),
        (("abuse", "--attacks", "love"), "invalid choice: 'love'"),
        (
            ("abuse", "--connect", "127.0.0.1:6697", "--pid", "1", "--ca", "ca.pem"),
            "abuse needs a relay of its own",
        ),
        (("kills", "--kills", "0"), "--kills is from 1 to"),
        (("endurance", "--duration", "1"), "--duration is from 2 to"),
        (
            ("endurance", "--connect", "127.0.0.1:6697", "--pid", "1", "--ca", "ca.pem"),
            "endurance needs a relay of its own",
        ),
    ],
)
def test_what_contradicts_or_goes_too_far_is_refused(
    script: ModuleType,
    arguments: tuple[str, ...],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        script.main(arguments)
    assert caught.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    done = bench("--connect", "127.0.0.1:1", "--pid", str(os.getpid()), "--ca", str(ca))
    assert done.returncode == 1
    assert done.stderr.startswith("bench.py: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "children"),
    [
        (("fanout", "--messages", "1000000", "--members", "20"), 2),  # the relay, the load process
        (("peers", "--rounds", "1000", "--file-bytes", "1000"), 8),  # the relay, 2 pairs, 2, a room
        (("tui", "--room-messages", "1000000"), 3),  # the relay, the speaker, the client
    ],
)
def test_interrupted_it_ends_what_it_started(arguments: tuple[str, ...], children: int) -> None:
    command = [sys.executable, str(SCRIPT), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        running = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        started: list[str] = []
        while len(started) < children:
            assert process.poll() is None
            started = running.read_text().split()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
