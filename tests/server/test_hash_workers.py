from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from queue import SimpleQueue

import pytest

from securechat.net.threads import start_thread
from securechat.server.hash_workers import HASH_QUEUE_LIMIT, HashersBusy, HashWorkers
from tests.server.relay_harness import LONG_TIMEOUT_S


class Gate:
    """Work that keeps a thread busy until it is opened."""

    def __init__(self) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._entered.set()
        assert self._leave.wait(LONG_TIMEOUT_S)

    def wait_entered(self) -> None:
        assert self._entered.wait(LONG_TIMEOUT_S)

    def open(self) -> None:
        self._leave.set()


@pytest.fixture
def workers() -> Iterator[HashWorkers]:
    with closing(HashWorkers(2, queue_limit=3)) as workers:
        yield workers


def test_work_is_done_on_threads_of_its_own(workers: HashWorkers) -> None:
    names: SimpleQueue[str] = SimpleQueue()
    workers.submit(lambda: names.put(threading.current_thread().name))
    assert names.get(timeout=LONG_TIMEOUT_S).startswith("hash-")


def test_as_many_at_once_as_there_are_threads_and_no_more(workers: HashWorkers) -> None:
    gates = [Gate(), Gate()]
    third = threading.Event()
    for gate in gates:
        workers.submit(gate)
    for gate in gates:
        gate.wait_entered()
    workers.submit(third.set)
    assert not third.is_set()
    gates[0].open()
    assert third.wait(LONG_TIMEOUT_S)
    gates[1].open()


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(workers: HashWorkers) -> None:
    gates = [Gate(), Gate()]
    for gate in gates:
        workers.submit(gate)
        gate.wait_entered()
    done: SimpleQueue[int] = SimpleQueue()
    for number in range(3):
        workers.submit(lambda number=number: done.put(number))  # type: ignore[misc]
    with pytest.raises(HashersBusy, match="too many logins at once"):
        workers.submit(lambda: done.put(99))
    gates[0].open()
    assert [done.get(timeout=LONG_TIMEOUT_S) for _ in range(3)] == [0, 1, 2]
    workers.submit(lambda: done.put(4))
    assert done.get(timeout=LONG_TIMEOUT_S) == 4
    gates[1].open()


def test_work_that_raises_is_logged_and_the_thread_goes_on(
    workers: HashWorkers, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("not my day")

    done = threading.Event()
    for _ in range(2):
        workers.submit(fail)
    workers.submit(done.set)
    assert done.wait(LONG_TIMEOUT_S)
    workers.close()
    assert caplog.text.count("RuntimeError: not my day") == 2


def test_a_thread_that_dies_is_told_of() -> None:
    crashes: SimpleQueue[BaseException] = SimpleQueue()

    def die() -> None:
        raise SystemExit

    with closing(HashWorkers(2, on_crash=crashes.put)) as workers:
        workers.submit(die)
        assert isinstance(crashes.get(timeout=LONG_TIMEOUT_S), SystemExit)
        done = threading.Event()
        workers.submit(done.set)
        assert done.wait(LONG_TIMEOUT_S), "the other one works until the relay has ended"


def test_close_drops_what_is_queued_and_joins_the_threads() -> None:
    before = threading.active_count()
    workers = HashWorkers(1)
    gate = Gate()
    workers.submit(gate)
    gate.wait_entered()
    done: list[int] = []
    for number in range(HASH_QUEUE_LIMIT - 1):
        workers.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    closing = start_thread("closing", workers.close)
    while workers._queue.qsize() > 1:  # dropped, but for the word that ends the thread
        pass
    gate.open()
    closing.join()
    assert done == []
    assert threading.active_count() == before
