from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from securechat.errors import SecureChatError
from securechat.net.threads import start_thread
from securechat.peer.disk import Disk, DiskBusy, Result
from tests.net.support import LONG_TIMEOUT_S

TASKS = 3


class Poster:
    """Keeps what is posted until the test's thread calls it."""

    def __init__(self) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def __call__(self, work: Callable[[], None]) -> None:
        self._posted.put(work)

    def call_next(self) -> None:
        self._posted.get(timeout=LONG_TIMEOUT_S)()

    def empty(self) -> bool:
        return self._posted.empty()


class Gate:
    """Work that keeps the disk thread busy until it is opened."""

    def __init__(self, disk: Disk) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()
        disk.submit(self._work, lambda result: None)
        assert self._entered.wait(LONG_TIMEOUT_S)

    def _work(self) -> None:
        self._entered.set()
        assert self._leave.wait(LONG_TIMEOUT_S)

    def open(self) -> None:
        self._leave.set()


@pytest.fixture
def poster() -> Poster:
    return Poster()


@pytest.fixture
def disk(poster: Poster) -> Iterator[Disk]:
    with closing(Disk(poster, name="disk of the test", tasks_limit=TASKS)) as disk:
        yield disk


def test_work_is_done_on_a_thread_of_its_own_and_told_on_the_other(
    disk: Disk, poster: Poster
) -> None:
    told: list[tuple[str, str]] = []

    def done(result: Result[str]) -> None:
        told.append((result.get(), threading.current_thread().name))

    disk.submit(lambda: threading.current_thread().name, done)
    poster.call_next()
    assert told == [("disk of the test", threading.current_thread().name)]


def test_no_thread_before_there_is_work(poster: Poster) -> None:
    before = threading.active_count()
    disk = Disk(poster)
    assert threading.active_count() == before
    disk.submit(lambda: None, lambda result: None)
    assert threading.active_count() == before + 1
    disk.close()
    assert threading.active_count() == before


def test_the_order_is_kept(poster: Poster) -> None:
    with closing(Disk(poster)) as disk:
        worked: list[int] = []
        told: list[int] = []
        for n in range(100):
            disk.submit(lambda n=n: worked.append(n), lambda result, n=n: told.append(n))  # type: ignore[misc]
        for _ in range(100):
            poster.call_next()
    assert worked == told == list(range(100))


def test_an_error_is_handed_over_and_the_thread_goes_on(
    disk: Disk, poster: Poster, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise SecureChatError("no such file")

    results: list[Result[object]] = []
    disk.submit(fail, results.append)
    disk.submit(lambda: 5, results.append)
    poster.call_next()
    poster.call_next()
    with pytest.raises(SecureChatError, match="no such file"):
        results[0].get()
    assert results[1] == Result(5)
    assert caplog.text == ""


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(3), KeyboardInterrupt()])
def test_an_unforeseen_error_is_logged_too(
    disk: Disk, poster: Poster, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    results: list[Result[object]] = []
    disk.submit(fail, results.append)
    disk.submit(lambda: 5, results.append)
    poster.call_next()
    poster.call_next()
    assert results == [Result(error=error), Result(5)]
    assert type(error).__name__ in caplog.text


def test_none_is_a_value() -> None:
    assert Result(None).get() is None


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(
    disk: Disk, poster: Poster
) -> None:
    gate = Gate(disk)
    results: list[Result[int]] = []
    for n in range(TASKS):
        disk.submit(lambda n=n: n, results.append)  # type: ignore[misc]
    disk.submit(lambda: 99, results.append)
    assert results == []  # not from within submit
    poster.call_next()
    [refused] = results
    with pytest.raises(DiskBusy):
        refused.get()
    gate.open()
    for _ in range(1 + TASKS):  # the gate too
        poster.call_next()
    disk.submit(lambda: 100, results.append)
    poster.call_next()
    assert [result.value for result in results[1:]] == [*range(TASKS), 100]


def test_close_finishes_what_is_queued(poster: Poster) -> None:
    disk = Disk(poster, tasks_limit=TASKS)
    gate = Gate(disk)
    worked: list[int] = []
    for n in range(TASKS):
        disk.submit(lambda n=n: worked.append(n), lambda result: None)  # type: ignore[misc]
    closing_thread = start_thread("closing", disk.close)
    gate.open()
    closing_thread.join(LONG_TIMEOUT_S)
    assert not closing_thread.is_alive()
    assert worked == list(range(TASKS))


def test_a_closed_disk_refuses(poster: Poster) -> None:
    disk = Disk(poster)
    disk.close()
    disk.close()
    results: list[Result[None]] = []
    disk.submit(lambda: None, results.append)
    poster.call_next()
    assert isinstance(results[0].error, DiskBusy)
    assert poster.empty()
