"""The ledger of bench.py: what is wrong with a history is seen, and nothing else."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"

GOOD = [("ann", "one"), ("bob", "two"), ("ann", "three")]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three messages were said and a fourth, of which nobody had the echo."""
    monkeypatch.syspath_prepend(SCRIPTS)
    made = importlib.import_module("benchmark.ledger").Ledger("#room")
    for sender, text in [*GOOD, ("bob", "four")]:
        made.say(sender, text)
    for sender, text in GOOD:
        assert made.acknowledge(sender, text)
    return made


@pytest.mark.parametrize(
    "found",
    [
        GOOD,
        [*GOOD, ("bob", "four")],
        [("bob", "two"), ("ann", "one"), ("bob", "four"), ("ann", "three")],
    ],
    ids=["acknowledged", "all", "people overtake each other"],
)
def test_a_history_with_nothing_wrong(ledger: Any, found: list[tuple[str, str]]) -> None:
    assert ledger.complaints(found) == []
    assert (ledger.said, ledger.acknowledged) == (4, 3)


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (GOOD[1:], "#room has lost it: 'one'"),
        ([*GOOD, GOOD[0]], "#room has it 2 times: 'one'"),
        ([*GOOD, ("bob", "four"), ("bob", "four")], "#room has it 2 times: 'four'"),
        ([*GOOD, ("bob", "five")], "#room has what nobody said: 'five' of bob"),
        ([*GOOD, ("ann", "four")], "#room has what nobody said: 'four' of ann"),
        ([GOOD[2], GOOD[1], GOOD[0]], "#room has it out of order: 'one'"),
    ],
)
def test_what_is_wrong_is_told(ledger: Any, found: list[tuple[str, str]], complaint: str) -> None:
    assert ledger.complaints(found) == [complaint]


def test_what_was_read_before_need_not_be_read_again(ledger: Any) -> None:
    assert ledger.complaints([("ann", "three")], since=2) == []
    assert ledger.complaints([("bob", "four")], since=2) == ["#room has lost it: 'three'"]


def test_the_echo_of_what_somebody_else_said_is_none(ledger: Any) -> None:
    assert not ledger.acknowledge("ann", "four")
    assert ledger.acknowledged == 3
