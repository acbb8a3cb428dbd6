"""What becomes of the state's changes when the keeper changes, and the store is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from securechat.server.cluster.keeping import StateStore
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.connection import Connection
from securechat.store.keeping import Keeping
from securechat.store.postgres_database import PostgresDatabase
from securechat.store.postgres_url import parse_postgres_url
from tests.server.cluster.cluster_harness import Relays, cluster_of
from tests.server.waiting import TIMEOUT_S, until

QUEUE_LIMIT = 4


@pytest.fixture
def store(postgres_url: str) -> Iterator[StoreThread]:
    store = StoreThread(PostgresDatabase(parse_postgres_url(postgres_url)), queue_limit=QUEUE_LIMIT)
    yield store
    store.close()


def ignore(outcome: Outcome[Any]) -> None:
    """Who is told does not matter."""


def writing(number: int, into: list[int]) -> Callable[[Connection], None]:
    return lambda connection: into.append(number)


def become_keeper(state: StateStore) -> None:
    def claimed() -> bool:
        state.look_after()
        return state.is_keeper

    until(claimed, "it does not become the keeper")


def test_who_becomes_the_keeper_writes_what_came_meanwhile_however_much(
    store: StoreThread,
) -> None:
    state, written = StateStore(store), list[int]()
    state.sequence = 1
    state.be_keeper()
    go_on = threading.Event()
    store.submit(lambda connection: go_on.wait(TIMEOUT_S), ignore)
    state.look_after()  # claims, behind it
    for state.sequence in range(2, 2 + 4 * QUEUE_LIMIT):
        state.submit(writing(state.sequence, written), ignore)
    go_on.set()
    become_keeper(state)
    store.call(lambda connection: None)
    assert written == list(range(2, 2 + 4 * QUEUE_LIMIT))
    assert state.written_to(state.sequence) == state.sequence


def test_the_next_keeper_writes_all_of_an_event_that_was_half_written(store: StoreThread) -> None:
    former, written = StateStore(store), list[int]()
    former.sequence = 1
    former.be_keeper()
    become_keeper(former)
    former.sequence = 2
    former.submit(writing(2, written), ignore)  # and dies before the second change
    store.call(lambda connection: None)
    state, taken_over = StateStore(store), list[int]()
    state.sequence = 2
    state.submit(writing(20, taken_over), ignore)
    state.submit(writing(21, taken_over), ignore)
    state.sequence = 3
    state.be_keeper()
    become_keeper(state)
    assert taken_over == [20, 21]
    assert store.call(lambda connection: Keeping(connection).claim(3)) == 3


def test_a_chat_whose_stream_was_lost_has_a_keeper_again(relays: Relays) -> None:
    relays.start("a")
    b = relays.start("b")
    relays.stop("a")
    until(lambda: cluster_of(b).state.is_keeper, "b does not become the keeper")
    relays.stop("b")
    a = relays.start("a", cluster={"stream": "made-anew"})
    until(lambda: cluster_of(a).state.is_keeper, "nobody writes the state of the new stream")


def test_what_was_let_in_is_kept_however_much_waits_by_then(relays: Relays) -> None:
    a = relays.start("a")
    alice = a.join("alice", "echo-message")
    alice.ask("JOIN #room")
    stream, history = cluster_of(a)._stream, a.relay.services.history
    publish = stream.publish
    proposed: list[tuple[str, str, bytes]] = []
    stream.publish = lambda *each: proposed.append(each)  # type: ignore[method-assign]
    alice.send("PRIVMSG #room :hello")
    until(lambda: proposed, "nothing is proposed")
    stream.publish = publish  # type: ignore[method-assign]
    limit, history._limit = history._limit, 0
    for each in proposed:
        publish(*each)
    alice.expect("PRIVMSG")
    history._limit = limit
    relays.write_history()
    said = "SELECT count(*) FROM messages WHERE text = 'hello'"
    assert a.relay.services.store.call(lambda connection: connection.execute(said).fetchone()[0])
