"""scripts/bench.py in small: all that is sent arrives, and every figure is one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "bench.py"
TIMEOUT_S = 60.0  # only a run that hangs takes as long

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


def test_all_scenarios() -> None:
    results = measured()
    assert list(results) == [
        "python",
        "openssl",
        "cpus",
        "tls",
        "load_processes",
        "relay",
        "fanout",
        "handshakes",
        "idle",
        "history",
        "peers",
        "tui",
    ]
    assert all(figure > 0 for figure in figures(results))
    fanout = results["fanout"]
    assert fanout["deliveries"] == fanout["deliveries_expected"] == 19 * 200
    assert fanout["latency_p50_ms"] <= fanout["latency_p99_ms"]
    assert results["handshakes"]["handshakes"] == 20
    assert [item["connections"] for item in results["idle"]] == [50]
    assert results["history"]["messages"] == 5000
    peers = results["peers"]
    assert (peers["file_bytes"], peers["rounds"]) == (4_000_000, 2)
    assert set(peers["bare"]["cpu_s_per_gib"]) == {"sender", "receiver"}
    assert set(peers["relayed"]["cpu_s_per_gib"]) == {"sender", "receiver", "relay"}
    for latency in peers["chat"]["latency"].values():
        assert latency["p50_ms"] <= latency["p99_ms"]
    tui = results["tui"]
    assert tui["messages"] == 2000
    for times in tui["key_to_drawn"].values():
        assert times["median_ms"] <= times["p99_ms"] <= times["worst_ms"]


def test_several_senders_and_processes() -> None:
    arguments = ("--members", "12", "--senders", "3", "--processes", "3", "--messages", "100")
    fanout = measured("fanout", *arguments, "--window", "2", "--bytes", "17")["fanout"]
    assert fanout["deliveries"] == 11 * 100


def test_a_table_for_people() -> None:
    done = bench("handshakes", "--quick", "--tls", "1.3")
    assert done.returncode == 0, done.stderr
    assert "relay processor time each" in done.stdout


def test_the_history_alone() -> None:
    done = bench("history", "--stored", "3000")
    assert done.returncode == 0, done.stderr
    assert "history: 3,000 messages in 100 rooms" in done.stdout
    assert "latest 100, largest room" in done.stdout
    assert "search, commonest word, all rooms" in done.stdout


def test_a_file_between_peers_alone() -> None:
    done = bench("peers", "--file-bytes", "100001", "--rounds", "1", "--chat-messages", "5")
    assert done.returncode == 0, done.stderr
    assert "TLS_AES_256_GCM_SHA384, medians of 1 rounds" in done.stdout
    assert "direct against bare" in done.stdout
    assert "latency beside a file" in done.stdout


def test_the_full_screen_client_alone() -> None:
    done = bench("--tui", "--room-messages", "100", "--openings", "1", "--keys", "3")
    assert done.returncode == 0, done.stderr
    assert "tui: the full-screen client, 120x40, a room with 100 messages" in done.stdout
    assert "key to character drawn, crowd talking" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--connect", "192.0.2.1:6697", "--pid", "1", "--ca", "ca.pem"), "not a loopback address"),
        (("--connect", "127.0.0.1:6697"), "needs --pid and --ca"),
        (("--pid", "1"), "belong to --connect"),
        (("--members", "1"), "--members is from 2 to"),
        (("--bytes", "500"), "--bytes is from 17 to 400"),
        (("--members", "4", "--processes", "2", "--senders", "3"), "more --senders"),
        (("--stored", "0"), "--stored is from 1 to"),
        (("--connections", "50", "0"), "--connections is from 1 to"),
        (("--file-bytes", "0"), "--file-bytes is from 1 to"),
        (("--keys", "1000"), "--keys is from 1 to"),
        (("idle", "--tui"), "--tui is a scenario of its own"),
    ],
)
def test_what_contradicts_or_goes_too_far_is_refused(
    arguments: tuple[str, ...], problem: str
) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert problem in done.stderr


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
