"""The loads of scripts/bench.py that keep to a plan: who is where, what is said when, who hears."""

from __future__ import annotations

import importlib
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.server.relay_harness import (
    LONG_TIMEOUT_S,
    RunningRelay,
    make_certificates,
    make_config,
)

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
HOUR_NS = 3_600_000_000_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bench.py is for Linux")


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark.rooms")


@pytest.fixture
def pace(rooms: ModuleType) -> ModuleType:
    return importlib.import_module("benchmark.pace")


@pytest.fixture
def slow(rooms: ModuleType) -> ModuleType:
    return importlib.import_module("benchmark.slow")


@pytest.fixture
def target(rooms: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A relay in this process."""
    certificates = make_certificates(tmp_path)
    relay = RunningRelay(make_config(certificates, tmp_path / "relay.db"), certificates)
    try:
        yield rooms.Target(
            socket.AF_INET, relay.address, "127.0.0.1", certificates.ca_file, tls="1.3"
        )
    finally:
        relay.stop()


def deadline() -> float:
    return time.monotonic() + LONG_TIMEOUT_S


# ---- rooms ----


@pytest.mark.parametrize(
    ("people", "count", "processes"), [(1000, 100, 1), (11, 4, 3), (7, 3, 3), (2, 1, 1)]
)
def test_all_rooms_and_people_are_in_one_process(
    rooms: ModuleType, people: int, count: int, processes: int
) -> None:
    layout = rooms.Layout(people, count, processes)
    parts = [layout.members(part) for part in range(processes)]
    numbers = sorted(number for part in parts for number in part)
    assert numbers == list(range(count))
    sizes = [size for part in parts for size in part.values()]
    assert sum(sizes) == people
    assert max(sizes) - min(sizes) <= 1


def test_each_process_says_and_hears_what_is_of_its_rooms(rooms: ModuleType, target: Any) -> None:
    layout = rooms.Layout(11, 4, 3)  # 3, 3, 3 and 2 people
    began_ns = time.monotonic_ns()
    heard = []
    for part in range(3):
        with closing(rooms._Rooms(target, "load", layout, part, deadline())) as load:
            load.gather()
            heard.append(load.talk(began_ns, 6, 1000))
    # Rooms 0 and 1 have two of the six messages; rooms 0 and 3 are of the first process.
    assert [len(part.late_ns) for part in heard] == [2 + 1, 2, 1]
    assert [len(part.latencies_ns) for part in heard] == [2 * 2 + 1, 2 * 2, 2]


# ---- the pace ----


def test_members_take_turns_at_times_that_are_evenly_spaced(pace: ModuleType) -> None:
    def line(room: int, speaker: str, due_ns: int) -> bytes:
        return f"{speaker} in {room}".encode()

    members = {0: ["anna", "bert"], 2: ["carl"]}  # room 1 is of another process
    said = list(pace.sayings(1_000, 7, 500, 3, members, line))
    assert [saying.lines for saying in said] == [
        b"anna in 0",
        b"carl in 2",
        b"bert in 0",
        b"carl in 2",
        b"anna in 0",
    ]
    assert [saying.due_ns for saying in said] == [1_000 + n * 2_000_000 for n in (0, 2, 3, 5, 6)]


@pytest.mark.parametrize("text_bytes", [16, 17, 400])
def test_a_line_tells_when_it_was_due(pace: ModuleType, text_bytes: int) -> None:
    line = pace.stamped("#room", 123_456_789, text_bytes)
    head, _, text = line.partition(b" :")
    assert head == b"PRIVMSG #room"
    assert text.endswith(b"\r\n")
    assert len(text) == text_bytes + 2
    assert int(text[:16], 16) == 123_456_789


def test_what_is_late_counts_from_when_it_was_due_and_puts_nothing_off(
    pace: ModuleType, target: Any
) -> None:
    with closing(pace.Crowd(target, "load", 0)) as crowd:
        crowd.deadline = deadline()
        crowd.connect(2, 2)
        crowd.join("#room")
        crowd.settle()
        speaker, _ = crowd.clients.values()
        now = time.monotonic_ns()
        dues = [now - HOUR_NS, now]
        sayings = [pace.Saying(due, speaker, pace.stamped("#room", due)) for due in dues]
        heard = pace.say(crowd, iter(sayings), 2)
    assert heard.late_ns[0] >= HOUR_NS > heard.late_ns[1]
    assert heard.latencies_ns[0] >= HOUR_NS > heard.latencies_ns[1]


def test_percentiles_are_of_what_was_measured(pace: ModuleType) -> None:
    values = [number * 1_000_000 for number in range(1, 101)]
    assert pace.percentile_ms(values, 50) == 51
    assert pace.percentile_ms(values, 99) == 100
    assert pace.percentile_ms(values, 100) == 100
    assert pace.percentile_ms([7_000_000], 99) == 7


# ---- those who do not read ----


def test_who_reads_again_before_the_queue_is_full_has_missed_nothing(
    slow: ModuleType, target: Any
) -> None:
    with closing(slow._Room(target, "load", deadline())) as room:
        for _ in range(2):  # a new room, with new people
            room.gather(5, 2)
            assert len(room.talk(40).latencies_ns) == 40 * 2
            assert room.release(40) == 0
