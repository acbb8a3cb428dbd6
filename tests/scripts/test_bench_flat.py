"""Whether bench.py sees what a process holds, and whether that grows."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from securechat.net.threads import start_thread

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
MIB = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bench.py is for Linux")


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark.flat")


def grown(flat: Any, *sizes: int) -> int:
    """The trend of samples, one a second."""
    samples = [flat.Sample(float(at), size, size, 1, 1) for at, size in enumerate(sizes)]
    trend = flat.trend(samples)
    in_an_hour = trend.grown_bytes * 3600 / (len(sizes) - 1)
    assert trend.per_hour_bytes == pytest.approx(in_an_hour, abs=3600)
    return int(trend.grown_bytes)


def test_what_stays_the_same_is_flat(flat: Any) -> None:
    assert grown(flat, *[5 * MIB] * 60) == 0


def test_what_grows_is_found(flat: Any) -> None:
    assert grown(flat, *range(0, 61 * 100, 100)) == 6000


@pytest.mark.parametrize("length", [60, 5_000])
def test_a_leak_is_found_below_noise(flat: Any, length: int) -> None:
    step = 4 * MIB // length
    sizes = [number * step + (number * 7919 % 13) * 4096 for number in range(length)]
    assert grown(flat, *sizes) == pytest.approx(step * length, rel=0.1)


def test_a_moment_of_much_is_no_growth(flat: Any) -> None:
    sizes = [5 * MIB] * 60
    sizes[40:48] = [50 * MIB] * 8
    assert grown(flat, *sizes) == 0


def test_one_sample_makes_no_trend(flat: Any) -> None:
    with pytest.raises(flat.LoadError, match="too short"):
        grown(flat, MIB)


def test_threads_and_descriptors_are_counted(flat: Any) -> None:
    before = flat.sample(os.getpid())
    over = threading.Event()
    thread = start_thread("counted", over.wait)
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(over.set)
        for descriptor in os.pipe():
            stack.callback(os.close, descriptor)
        during = flat.sample(os.getpid())
    assert (during.threads, during.descriptors) == (before.threads + 1, before.descriptors + 2)
    assert during.private_bytes < during.resident_bytes


def test_memory_is_counted(flat: Any) -> None:
    before = flat.sample(os.getpid())
    held = bytearray(b"x") * (64 * MIB)
    during = flat.sample(os.getpid())
    assert during.private_bytes - before.private_bytes > len(held) // 2
    assert during.at_s >= before.at_s


def test_a_process_that_is_not_there(flat: Any) -> None:
    with pytest.raises(flat.LoadError, match="no process"):
        flat.sample(2**22 + 1)  # above any that Linux gives
