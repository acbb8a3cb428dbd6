from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from securechat.net.timers import Deadline, Timer, Timers
from tests.net.support import FakeClock


def test_calls_come_in_the_order_of_their_time() -> None:
    timers = Timers()
    calls: list[str] = []
    for when, name in ((3.0, "c"), (1.0, "a"), (2.0, "b"), (1.0, "a again")):
        timers.add(when, lambda name=name: calls.append(name))  # type: ignore[misc]
    timers.run(0.999)
    assert calls == []
    timers.run(1.0)
    assert calls == ["a", "a again"]
    timers.run(99.0)
    assert calls == ["a", "a again", "b", "c"]
    timers.run(999.0)
    assert len(calls) == 4


def test_next_in() -> None:
    timers = Timers()
    assert timers.next_in(0) is None
    timers.add(10.0, lambda: None)
    timers.add(5.0, lambda: None)
    assert timers.next_in(1) == 4
    assert timers.next_in(5) == 0
    assert timers.next_in(50) == 0
    timers.run(50)
    assert timers.next_in(50) is None


def test_a_cancelled_timer_does_not_call() -> None:
    timers = Timers()
    calls: list[str] = []
    first = timers.add(1, lambda: calls.append("first"))
    second = timers.add(1, lambda: calls.append("second"))
    first.cancel()
    first.cancel()
    timers.run(1)
    second.cancel()  # too late; does nothing
    assert calls == ["second"]


def test_of_cancelled_timers_few_are_kept() -> None:
    timers = Timers()
    calls: list[int] = []
    for number in range(1_000):
        timers.add(1 + number, lambda number=number: calls.append(number))  # type: ignore[misc]
        for _ in range(3):
            timers.add(5_000, lambda: calls.append(-1)).cancel()
    gc.collect()
    kept = sum(isinstance(each, Timer) for each in gc.get_objects())
    assert 1_000 <= kept <= 1_000 + 1_000
    timers.run(9_000)
    assert calls == list(range(1_000))


def test_a_timer_calls_once() -> None:
    calls: list[str] = []
    timer = Timers().add(1, lambda: calls.append("called"))
    timer.fire()
    timer.fire()
    assert calls == ["called"]


def test_a_call_may_add_and_cancel_timers() -> None:
    timers = Timers()
    calls: list[str] = []
    doomed = timers.add(2, lambda: calls.append("doomed"))

    def first() -> None:
        doomed.cancel()
        timers.add(1.5, lambda: calls.append("due already"))
        timers.add(9, lambda: calls.append("not yet"))

    timers.add(1, first)
    timers.run(2)
    assert calls == ["due already"]


def test_a_call_that_fails_takes_no_other_with_it() -> None:
    timers = Timers()
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError

    timers.add(1, fail)
    timers.add(1, lambda: calls.append("called"))
    for _ in range(2):
        try:
            timers.run(1)
        except RuntimeError:
            continue
    assert calls == ["called"]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=40), st.integers(0, 20))
def test_all_that_are_due_and_none_else(adds: list[tuple[int, bool]], now: int) -> None:
    timers = Timers()
    calls: list[tuple[int, int]] = []
    for number, (when, cancelled) in enumerate(adds):
        timer = timers.add(when, lambda key=(when, number): calls.append(key))  # type: ignore[misc]
        if cancelled:
            timer.cancel()
    timers.run(now)
    live = [(when, n) for n, (when, cancelled) in enumerate(adds) if not cancelled]
    assert calls == sorted(key for key in live if key[0] <= now)
    timers.run(20)
    assert calls == sorted(live)


def test_deadline() -> None:
    clock = FakeClock()
    deadline = Deadline(10, clock)
    assert deadline.left_s() == 10
    assert not deadline.over()
    clock.advance(9)
    assert deadline.left_s() == 1
    assert not deadline.over()
    clock.advance(1)
    assert deadline.over()
    clock.advance(5)
    assert deadline.left_s() == 0


def test_a_deadline_of_the_real_clock() -> None:
    assert 0 < Deadline(1_000).left_s() <= 1_000
    assert Deadline(0).over()
