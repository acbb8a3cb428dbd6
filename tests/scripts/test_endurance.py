"""A minute under a mixed load: the relay's memory, threads and descriptors stay as they are."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "bench.py"
SECONDS = 60
PACE = 30  # all of it takes some fifth of a processor
GROWTH_KIB = 2048
"""A few times what it is; twice as much would be sessions that outlive their connections."""

TIMEOUT_S = 300.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bench.py is for Linux")


@pytest.mark.starts_first
def test_a_minute_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ("--duration", str(SECONDS), "--pace", str(PACE), "--growth-kib", str(GROWTH_KIB))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "endurance", "--json", "--seed", "1", *sizes],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    endurance = results["endurance"]
    assert endurance["memory_trend_bytes"] <= endurance["memory_bound_bytes"]
    for what in ("threads", "descriptors"):
        before, most, after = endurance[what]
        assert before == after <= most
    assert len(endurance["done"]) == 13, "some of all that people do"
    monkeypatch.syspath_prepend(SCRIPT.parent)
    told = "\n".join(importlib.import_module("benchmark.table").table(results))
    assert f"at {PACE} things/s, seed 1" in told
    assert "threads before, most, after" in told
