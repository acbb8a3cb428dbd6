"""The thread for what is done from time to time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from securechat.errors import NetworkError
from securechat.server.caretaker import CARETAKER_QUEUE_LIMIT, Caretaker, CaretakerBusy, Duty
from securechat.server.store_thread import Outcome
from tests.server.relay_harness import LONG_TIMEOUT_S


def no_crash(error: BaseException) -> None:
    raise AssertionError(error)


@pytest.fixture
def caretaker() -> Iterator[Caretaker]:
    made = Caretaker([])
    made.start(no_crash)
    yield made
    made.stop()


def test_work_is_done_on_its_thread_in_order(caretaker: Caretaker) -> None:
    done: queue.SimpleQueue[tuple[str, Outcome[int]]] = queue.SimpleQueue()
    for number in range(3):
        caretaker.submit(
            lambda number=number: number,
            lambda outcome: done.put((threading.current_thread().name, outcome)),
        )
    found = [done.get(timeout=LONG_TIMEOUT_S) for _ in range(3)]
    assert found == [("caretaker", Outcome(number)) for number in range(3)]


def test_a_caller_gets_the_value_or_the_error(
    caretaker: Caretaker, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise NetworkError("no way")

    def crash() -> None:
        raise ZeroDivisionError("a bug")

    assert caretaker.call(lambda: 5) == 5
    with pytest.raises(NetworkError, match="no way"):
        caretaker.call(fail)
    assert not caplog.records, "an error of ours is for who asked"
    with pytest.raises(ZeroDivisionError):
        caretaker.call(crash)
    assert [record.getMessage() for record in caplog.records] == ["work of the caretaker failed"]


def test_duties_are_done_again_and_again_whatever_happens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = queue.SimpleQueue[int]()
    count = 0

    def work() -> None:
        nonlocal count
        count += 1
        times.put(count)
        raise ZeroDivisionError("a bug")

    caretaker = Caretaker([Duty(0.001, work), Duty(3_600, lambda: None)])
    caretaker.start(no_crash)
    found = [times.get(timeout=LONG_TIMEOUT_S) for _ in range(3)]
    caretaker.stop()
    assert found == [1, 2, 3]
    assert "a duty of the caretaker failed" in caplog.messages


def test_what_is_too_much_is_refused(caretaker: Caretaker) -> None:
    go_on, at_work = threading.Event(), threading.Event()
    outcomes: queue.SimpleQueue[Outcome[bool]] = queue.SimpleQueue()

    def block() -> bool:
        at_work.set()
        return go_on.wait(LONG_TIMEOUT_S)

    caretaker.submit(block, outcomes.put)
    assert at_work.wait(LONG_TIMEOUT_S)
    for _ in range(CARETAKER_QUEUE_LIMIT):
        caretaker.submit(lambda: True, outcomes.put)
    with pytest.raises(CaretakerBusy):
        caretaker.submit(lambda: True, outcomes.put)
    go_on.set()
    for _ in range(CARETAKER_QUEUE_LIMIT + 1):
        assert outcomes.get(timeout=LONG_TIMEOUT_S) == Outcome(True)


def test_a_crash_leaves_nobody_waiting() -> None:
    crashes: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    outcomes: queue.SimpleQueue[Outcome[None]] = queue.SimpleQueue()
    at_work, go_on = threading.Event(), threading.Event()

    def crash() -> None:
        at_work.set()
        go_on.wait(LONG_TIMEOUT_S)
        raise SystemExit

    caretaker = Caretaker([])
    caretaker.start(crashes.put)
    caretaker.submit(crash, outcomes.put)
    assert at_work.wait(LONG_TIMEOUT_S)
    for _ in range(CARETAKER_QUEUE_LIMIT):
        caretaker.submit(lambda: None, outcomes.put)
    go_on.set()
    assert isinstance(crashes.get(timeout=LONG_TIMEOUT_S), SystemExit)
    with pytest.raises(CaretakerBusy, match="about to stop"):
        caretaker.call(lambda: None)
    found = [outcomes.get(timeout=LONG_TIMEOUT_S) for _ in range(CARETAKER_QUEUE_LIMIT + 1)]
    assert all(isinstance(outcome.error, CaretakerBusy) for outcome in found)
    caretaker.stop()


def test_one_that_never_started_can_be_stopped() -> None:
    Caretaker([]).stop()
