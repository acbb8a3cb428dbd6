"""scripts/fuzz.py: it counts what it runs, and keeps what breaks."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "fuzz.py"
TIMEOUT_S = 120.0  # only a run that hangs takes as long

PLANTED = """
import dataclasses, os, sys
sys.path[:0] = {path!r}
import fuzz
from tests.fuzzing.targets import TARGETS

def run(data):
    if b"PEER" in data:
        {fault}

TARGETS["parser"] = dataclasses.replace(TARGETS["parser"], run=run)
sys.exit(fuzz.main(sys.argv[1:]))
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=ROOT,
    )


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(str(SCRIPT), *arguments)


def fuzz_with(fault: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    planted = PLANTED.format(path=[str(SCRIPT.parent), str(ROOT)], fault=fault)
    return run("-c", planted, "parser", "--inputs", "3000", *arguments)


def test_it_counts_its_inputs() -> None:
    done = fuzz("all", "--inputs", "500", "--processes", "2")
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^(\w+) +([0-9,]+) +0 ", done.stdout, re.MULTILINE))
    assert len(rows) == 10
    assert rows["parser"] == "170"
    assert abs(int(rows["all"]) - 500) <= 2 * len(rows)  # each share is rounded in each process


def test_what_breaks_is_made_smaller_and_kept(tmp_path: Path) -> None:
    done = fuzz_with("raise ValueError('planted')", "--save", str(tmp_path))
    assert done.returncode == 1
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"PEER"
    assert "ValueError: planted" in done.stdout
    assert f"again: python3 scripts/fuzz.py parser --repeat {kept}" in done.stdout


def test_one_input_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    script = importlib.import_module("fuzz")
    kept = tmp_path / "kept"
    kept.write_bytes(b"\x00PEER")
    assert script.main(["parser", "--repeat", str(kept)]) == 0
    assert capsys.readouterr().out == f"{kept}: all is well\n"
    with pytest.raises(SystemExit):
        script.main(["all", "--repeat", str(kept)])


@pytest.mark.parametrize(
    ("fault", "told"),
    [("while True: pass", "parser: Hang"), ("os._exit(3)", "parser: the process has ended in it")],
)
def test_what_hangs_or_ends_the_process_is_kept(fault: str, told: str, tmp_path: Path) -> None:
    done = fuzz_with(fault, "--save", str(tmp_path), "--timeout", "1")
    assert done.returncode == 1
    assert told in done.stdout
    (kept,) = tmp_path.iterdir()
    assert b"PEER" in kept.read_bytes()


def test_the_instrumented_engine(tmp_path: Path) -> None:
    folders = ("--keep", str(tmp_path / "found"), "--save", str(tmp_path / "broken"))
    done = fuzz("invites", "--engine", "atheris", "--inputs", "300", *folders)
    if importlib.util.find_spec("atheris") is None:
        assert done.returncode == 1
        assert "pip install -e .[fuzz]" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "number_of_executed_units: 300" in done.stderr
        assert list((tmp_path / "found" / "invites").iterdir())
    assert not (tmp_path / "broken").exists() or not list((tmp_path / "broken").iterdir())
