from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from securechat.net.io_thread import IoThread
from securechat.net.traffic import HandshakeFailure
from securechat.server.store_thread import StoreThread
from securechat.server.telemetry.health import STUCK_S, Health
from securechat.server.telemetry.rates import Passed
from securechat.store.sqlite_database import SqliteDatabase
from tests.server.relay_harness import LONG_TIMEOUT_S, FakeClock


@dataclass
class Watched:
    """Two I/O threads and a store, which a test can have stand still."""

    threads: list[IoThread]
    store: StoreThread
    health: Health
    clock: FakeClock
    running: ExitStack

    def settle(self, but: str = "") -> None:
        """Wait until every thread has answered what it was asked, but for the one that stands."""
        ways = {thread.name: thread.post for thread in self.threads} | {"store": self.store.ping}
        ways.pop(but, None)
        for ask in ways.values():
            done = threading.Event()
            ask(done.set)
            assert done.wait(LONG_TIMEOUT_S)

    def block(self, start: Callable[[Callable[[], None]], None]) -> Callable[[], None]:
        """Have the thread that ``start`` gives work stand still; return what lets it go on."""
        begun, gate = threading.Event(), threading.Event()

        def stand() -> None:
            begun.set()
            gate.wait(LONG_TIMEOUT_S)

        start(stand)
        self.running.callback(gate.set)
        assert begun.wait(LONG_TIMEOUT_S)
        return gate.set

    def block_store(self) -> Callable[[], None]:
        return self.block(lambda stand: self.store.submit(lambda _: stand(), lambda outcome: None))

    def delays(self) -> dict[str, float]:
        return {thread.name: thread.delay_s for thread in self.health.threads()}


@pytest.fixture
def watched(tmp_path: Path, clock: FakeClock) -> Iterator[Watched]:
    with ExitStack() as running:
        threads = [IoThread(f"io-{n}", clock=clock) for n in range(2)]
        for thread in threads:
            running.callback(thread.stop, 0)
            thread.start()
        store = StoreThread(SqliteDatabase(tmp_path / "relay.db"), queue_limit=2)
        running.callback(store.close)
        health = Health(threads, store, clock)
        with ExitStack() as gates:  # they open first: a thread that stands cannot stop
            yield Watched(threads, store, health, clock, gates)


def test_all_is_well_at_the_start(watched: Watched) -> None:
    assert watched.health.problems() == []
    assert watched.delays() == {"io-0": 0.0, "io-1": 0.0, "store": 0.0}


def test_threads_that_answer_are_well_however_seldom_they_are_asked(watched: Watched) -> None:
    for _ in range(3):
        watched.health.tick()
        watched.settle()
        watched.clock.now += 10 * STUCK_S
    assert watched.health.problems() == []
    assert set(watched.delays().values()) == {0.0}


def test_a_thread_that_does_not_answer(watched: Watched) -> None:
    go_on = watched.block(watched.threads[1].post)
    watched.health.tick()
    watched.settle(but="io-1")
    watched.clock.now += STUCK_S - 1
    watched.health.tick()  # asks nobody a second time who has not answered
    watched.settle(but="io-1")
    assert watched.health.problems() == []
    assert watched.delays()["io-1"] == STUCK_S - 1
    watched.clock.now += 3
    assert watched.health.problems() == ["io-1 has not answered for 12 s"]
    assert [thread.name for thread in watched.health.threads() if thread.stuck] == ["io-1"]
    go_on()
    watched.settle()
    assert watched.health.problems() == []
    assert watched.delays()["io-1"] == STUCK_S + 2  # the last answer took so long
    watched.health.tick()
    watched.settle()
    assert watched.delays()["io-1"] == 0.0


def test_a_store_that_does_not_answer(watched: Watched) -> None:
    go_on = watched.block_store()
    watched.health.tick()
    watched.settle(but="store")
    watched.clock.now += STUCK_S
    assert watched.health.problems() == ["store has not answered for 10 s"]
    go_on()
    watched.settle()
    assert watched.health.problems() == []


def test_a_full_queue_is_no_reason_to_be_stuck(watched: Watched) -> None:
    go_on = watched.block_store()
    done: queue.SimpleQueue[object] = queue.SimpleQueue()
    for _ in range(2):
        watched.store.submit(lambda _: None, done.put)
    assert watched.store.figures().queue_length == 2
    watched.health.tick()
    go_on()
    watched.settle()
    watched.clock.now += STUCK_S
    assert watched.health.problems() == []


def test_what_the_threads_have_counted(watched: Watched) -> None:
    for n, thread in enumerate(watched.threads, 1):
        thread.traffic.received_messages = n
        thread.traffic.overflows = 10 * n
        thread.traffic.handshake_failures[HandshakeFailure.ALERT] = 100 * n
    assert watched.health.passed() == Passed(received_messages=3)
    assert watched.health.overflows() == 30
    counts = watched.health.handshake_failures()
    assert counts == dict.fromkeys(map(str, HandshakeFailure), 0) | {"alert": 300}
    watched.clock.now += 6
    watched.health.tick()
    assert watched.health.rates.per_second().received_messages == 0.5
