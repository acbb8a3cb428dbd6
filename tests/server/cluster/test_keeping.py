"""Who writes the state, and what the others may forget of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from securechat.errors import StoreError
from securechat.server.cluster.keeping import StateStore
from securechat.server.store_thread import Outcome
from securechat.store.keeping import Keeping, Superseded
from securechat.store.postgres import PostgresConnection
from tests.services.postgres import PostgresServer

Work = Callable[[Any], Any]


class SlowStore:
    """A store whose work is done when the test says so, or cannot be done."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Work, Callable[[Outcome[Any]], None]]] = []

    def submit(self, work: Work, done: Callable[[Outcome[Any]], None]) -> None:
        self._waiting.append((work, done))

    def do(self, count: int = 1) -> None:
        for work, done in self._take(count):
            try:
                outcome: Outcome[Any] = Outcome(work(self._connection))
            except StoreError as error:
                outcome = Outcome(error=error)
            done(outcome)

    def fail(self, count: int = 1) -> None:
        for _, done in self._take(count):
            done(Outcome(error=StoreError("it cannot be reached")))

    def _take(self, count: int) -> list[tuple[Work, Callable[[Outcome[Any]], None]]]:
        assert len(self._waiting) >= count
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken


class Written(list[str]):
    """What has been written, in its order."""

    def work(self, what: str) -> Work:
        return lambda connection: self.append(what)


@pytest.fixture
def connection(postgres_server: PostgresServer, postgres_url: str) -> Any:
    raw = postgres_server.connect(postgres_url.rpartition("search_path%3D")[2])
    with raw:
        yield PostgresConnection(raw)


@pytest.fixture
def store(connection: PostgresConnection) -> SlowStore:
    return SlowStore(connection)


def ignore(outcome: Outcome[Any]) -> None:
    """Nobody asks."""


def keeper(store: SlowStore, sequence: int) -> StateStore:
    """Return one that writes the state since the event of that number."""
    state = StateStore(store)  # type: ignore[arg-type]
    state.sequence = sequence
    state.be_keeper()
    state.look_after()
    store.do()
    state.look_after()
    assert state.is_keeper
    return state


def submit(state: StateStore, sequence: int, work: Work) -> None:
    state.sequence = sequence
    state.submit(work, ignore)


def test_who_is_not_the_keeper_holds_what_it_has_not_heard_to_be_written(store: SlowStore) -> None:
    written = Written()
    state = StateStore(store)  # type: ignore[arg-type]
    for n in (1, 2, 3):
        submit(state, n, written.work(str(n)))
    state.written(2)
    assert state.held == 1
    state.sequence = 4
    state.be_keeper()
    state.look_after()
    store.do()
    state.look_after()
    assert state.is_keeper
    assert written == ["3"]


def test_what_is_being_written_is_not_said_to_be(store: SlowStore) -> None:
    state, written = keeper(store, 1), Written()
    assert state.written_to(1) == 1
    submit(state, 5, written.work("5"))
    submit(state, 8, written.work("8"))
    assert state.written_to(9) == 4
    store.do()
    assert state.written_to(9) == 7
    store.do()
    assert state.written_to(9) == 9
    assert written == ["5", "8"]


def test_what_could_not_be_written_is_said_to_be_when_it_was_done_again(
    store: SlowStore, connection: PostgresConnection
) -> None:
    state, written = keeper(store, 1), Written()
    submit(state, 5, written.work("5"))
    submit(state, 8, written.work("8"))
    store.fail()
    store.do()
    assert state.written_to(9) == 4
    assert Keeping(connection).claim(1) == 4
    submit(state, 9, written.work("5 again"))  # as its keeper does when the store has recovered
    state.retried()
    assert state.written_to(9) == 4
    store.do()
    assert state.written_to(9) == 9
    assert written == ["8", "5 again"]


def test_what_fails_again_has_to_be_done_once_more(store: SlowStore) -> None:
    state, written = keeper(store, 1), Written()
    submit(state, 5, written.work("5"))
    store.fail()
    submit(state, 6, written.work("5 again"))
    state.retried()
    store.fail()
    assert state.written_to(6) == 4
    submit(state, 7, written.work("5 at last"))
    state.retried()
    store.do()
    assert state.written_to(7) == 7


def test_a_keeper_that_was_asleep_writes_nothing_more(
    store: SlowStore, connection: PostgresConnection
) -> None:
    state, written = keeper(store, 1), Written()
    Keeping(connection).claim(2)
    outcomes: list[Outcome[Any]] = []
    state.sequence = 5
    state.submit(written.work("5"), outcomes.append)
    store.do()
    assert isinstance(outcomes[0].error, Superseded)
    assert written == []
    state.be_none()
    submit(state, 6, written.work("6"))
    assert state.held == 1
