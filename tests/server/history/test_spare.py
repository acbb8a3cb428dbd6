"""What a relay holds of that others are writing."""

from __future__ import annotations

from typing import Any

import pytest

from securechat.server.history import spare
from securechat.server.history.spare import Spare

A, B, C, D = [f"item {n}" for n in range(4)]


def add(held: Spare, relay: int, sequence: int, *found: Any) -> None:
    held.add(relay, sequence, found)


@pytest.fixture
def held() -> Spare:
    """Three relays are writing; the first has two items of one event."""
    held = Spare()
    add(held, 1, 10, A, B)
    add(held, 2, 11, C)
    add(held, 1, 12, D)
    return held


def test_what_a_lost_relay_may_not_have_written(held: Spare) -> None:
    held.written(1, 10)
    assert held.take(1) == [D]
    assert held.take(1) == held.take(3) == []
    assert held.take(2) == [C]


def test_an_event_is_written_as_a_whole(held: Spare) -> None:
    held.written(1, 9)
    held.written(3, 99)
    assert len(held) == 4
    held.written(1, 11)
    assert held.take_all() == [C, D]


def test_all_of_it_is_in_the_order_of_the_events(held: Spare) -> None:
    assert held.take_all() == [A, B, C, D]
    assert len(held) == 0


def test_the_oldest_goes_where_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare, "SPARE_ITEMS", 2)
    held = Spare()
    add(held, 1, 10, A)
    assert not held.full
    add(held, 1, 11, B)
    assert held.full
    add(held, 1, 12, C)
    assert held.take(1) == [B, C]
    assert not held.full
