"""The store thread on PostgreSQL: a server that goes away, and relays that write at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import pytest

from securechat.errors import AccountExists, StoreError
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.accounts import Accounts
from securechat.store.connection import Connection
from securechat.store.engine import OutcomeUnknown
from securechat.store.invites import Invites
from securechat.store.postgres_database import PostgresDatabase
from securechat.store.postgres_url import parse_postgres_url
from tests.e2e.children import TIMEOUT_S
from tests.services.postgres import PostgresServer
from tests.services.postgres_wire import Breaks, PostgresWire
from tests.store.rivals import run_in_background

SOON_S = 0.2
"""How long one waits for a server that will not come."""


def database(url: str, **timeouts: float) -> PostgresDatabase:
    given = {"reach_timeout_s": TIMEOUT_S, "answer_timeout_s": TIMEOUT_S} | timeouts
    return PostgresDatabase(parse_postgres_url(url), **given)


def make_counts(connection: Connection) -> None:
    connection.execute("CREATE TABLE counts (name TEXT PRIMARY KEY, number INTEGER NOT NULL)")
    connection.execute("INSERT INTO counts VALUES ('a', 0), ('b', 0)")


def count(name: str) -> Callable[[Connection], int]:
    """Work that must not be done twice."""

    def work(connection: Connection) -> int:
        connection.execute("UPDATE counts SET number = number + 1 WHERE name = ?", (name,))
        return number(name)(connection)

    return work


def number(name: str) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        row = connection.execute("SELECT number FROM counts WHERE name = ?", (name,)).fetchone()
        return int(row[0])

    return work


def refuse(connection: Connection) -> None:
    count("a")(connection)
    raise ValueError("changed my mind")


@pytest.fixture
def store(postgres_url: str) -> Iterator[StoreThread]:
    with closing(StoreThread(database(postgres_url))) as store:
        store.call(make_counts)
        yield store


@pytest.fixture
def hasty(postgres_url: str, store: StoreThread) -> Iterator[StoreThread]:
    """Another relay, which does not wait for the server."""
    with closing(StoreThread(database(postgres_url, reach_timeout_s=SOON_S))) as hasty:
        yield hasty


@pytest.fixture
def wire(postgres: PostgresServer) -> Iterator[PostgresWire]:
    with PostgresWire(postgres) as wire:
        yield wire


def group(store: StoreThread, *works: Callable[[Connection], Any]) -> list[Outcome[Any]]:
    """Have the works done in one group."""
    entered, leave = threading.Event(), threading.Event()

    def gate(connection: Connection) -> None:
        entered.set()
        assert leave.wait(TIMEOUT_S)

    outcomes: SimpleQueue[Outcome[Any]] = SimpleQueue()
    store.submit(gate, lambda outcome: None)
    assert entered.wait(TIMEOUT_S)
    for work in works:
        store.submit(work, outcomes.put)
    leave.set()
    return [outcomes.get(timeout=TIMEOUT_S) for _ in works]


# ---- groups ----


def test_a_group_is_one_transaction_and_who_fails_is_undone_alone(store):
    transaction = "SELECT pg_current_xact_id()::text"
    first, _, refused, _, last = group(
        store,
        lambda connection: connection.execute(transaction).fetchone(),
        count("a"),
        refuse,
        count("a"),
        lambda connection: connection.execute(transaction).fetchone(),
    )
    assert first.result() == last.result()
    with pytest.raises(ValueError, match="changed my mind"):
        refused.result()
    assert store.call(number("a")) == 2


def test_an_error_of_the_server_is_a_store_error_and_fails_nobody_else(store):
    good, bad, other = group(
        store, count("a"), lambda connection: connection.execute("SELECT 1 / 0"), count("b")
    )
    assert (good.result(), other.result()) == (1, 1)
    with pytest.raises(StoreError, match="the store refused: division by zero"):
        bad.result()
    assert store.trouble == ""


def test_who_goes_on_after_an_error_is_undone_too(store):
    def go_on(connection: Connection) -> None:
        count("a")(connection)
        with pytest.raises(Exception, match="division by zero"):
            connection.execute("SELECT 1 / 0")

    good, bad = group(store, count("b"), go_on)
    assert good.result() == 1
    with pytest.raises(StoreError, match=r"nothing was kept: .*aborted"):
        bad.result()
    assert store.call(number("a")) == 0


def test_only_groups_that_wrote_something_have_the_time_of_their_commit(store):
    before = store.figures()
    store.call(number("a"))
    between = store.figures()
    store.call(count("a"))
    after = store.figures()
    assert (between.groups, after.groups) == (before.groups + 1, before.groups + 2)
    assert between.commits.count == before.commits.count
    assert after.commits.count == before.commits.count + 1


@pytest.mark.parametrize(("chosen", "used"), [("off", "on"), ("local", "local")])
def test_what_is_committed_is_on_the_disk_whatever_is_chosen_for_others(postgres_url, chosen, used):
    url = postgres_url.replace("options=", f"options=-csynchronous_commit%3D{chosen}%20")
    with closing(StoreThread(database(url))) as store:
        shown = store.call(lambda each: each.execute("SHOW synchronous_commit").fetchone())
    assert shown == (used,)


# ---- a server that goes away ----


def test_a_group_waits_for_a_server_that_is_restarted(store, postgres):
    assert store.call(count("a")) == 1
    postgres.stop()
    counted = run_in_background(lambda: store.call(count("a")))
    postgres.start()
    assert counted() == 2
    assert store.trouble == ""


def test_a_connection_that_was_lost_in_a_group_is_no_loss(store, postgres):
    lost: list[int] = []

    def lose(connection: Connection) -> None:
        if not lost:
            (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
            lost.append(pid)
            with closing(postgres.connect()) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        connection.execute("SELECT 1")

    first, _, last = group(store, count("a"), lose, count("a"))
    assert (first.result(), last.result()) == (1, 2)
    assert store.call(number("a")) == 2
    assert store.figures().failures == 0


def test_without_a_server_all_fail_at_once_until_it_is_back(hasty, postgres, caplog):
    assert hasty.call(count("a")) == 1
    postgres.stop()
    for work in (count("a"), number("a")):
        with pytest.raises(StoreError, match=r"nothing was kept: .* cannot be reached"):
            hasty.call(work)
    assert "cannot be reached" in hasty.trouble
    postgres.start()
    while hasty.trouble:
        hasty.try_again()
        wait_for_turn(hasty)
    assert hasty.call(count("a")) == 2
    told = [record.getMessage() for record in caplog.records if record.name.startswith("secure")]
    assert "the store can write again" in told[1:]
    assert len(told) == 2
    assert postgres.password not in caplog.text


def wait_for_turn(store: StoreThread) -> None:
    """Wait until the store thread has answered, between two pieces or while it waits."""
    answered = threading.Event()
    store.ping(answered.set)
    assert answered.wait(TIMEOUT_S)


def test_a_server_that_stands_still_is_given_up_and_answers_pings_meanwhile(
    postgres_url, postgres, store
):
    timeouts = {"reach_timeout_s": SOON_S, "answer_timeout_s": 1.0}
    with closing(StoreThread(database(postgres_url, **timeouts))) as impatient:
        assert impatient.call(count("a")) == 1
        postgres.pause()
        failed = run_in_background(lambda: impatient.call(count("a")))
        wait_for_turn(impatient)
        with pytest.raises(StoreError):
            failed()
        assert impatient.trouble
        postgres.resume()
        while impatient.trouble:
            impatient.try_again()
            wait_for_turn(impatient)
        assert impatient.call(count("a")) == 2


# ---- a COMMIT of which nobody knows ----


@pytest.mark.parametrize("when", [Breaks.BEFORE_COMMIT, Breaks.AFTER_COMMIT])
def test_what_is_lost_in_a_commit_is_done_once(store, wire, postgres_url, when):
    with closing(StoreThread(database(wire.url(postgres_url)))) as far:
        assert far.call(count("a")) == 1
        wire.break_at_commit(when)
        assert far.call(count("a")) == 2
        assert far.call(number("a")) == 2
        assert far.figures().failures == 0


def test_a_commit_that_is_still_going_on_is_waited_for(store, wire, postgres, postgres_url):
    """It comes to an end on the server though nobody hears of it."""
    store.call(make_slow_commits)
    with (
        closing(StoreThread(database(wire.url(postgres_url)))) as far,
        closing(postgres.connect()) as holder,
    ):
        holder.execute("SELECT pg_advisory_lock(77)")
        wire.break_at_commit(Breaks.IN_COMMIT)
        counted = run_in_background(lambda: far.call(count("a")))
        wait_for_waiting(holder, 2)  # the COMMIT for the lock, and we for the COMMIT
        holder.execute("SELECT pg_advisory_unlock(77)")
        assert counted() == 1
        assert far.call(number("a")) == 1


def make_slow_commits(connection: Connection) -> None:
    """Have each COMMIT that has counted wait for the lock 77."""
    connection.execute(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $body$"
        " BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END $body$"
    )
    connection.execute(
        "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON counts"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
    )


def wait_for_waiting(connection: Any, most: int) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
    while connection.execute(waiting).fetchone() != (most,):
        pass


def test_a_relay_that_is_silent_does_not_lock_the_others_out(store, wire, postgres_url):
    """Its transaction ends by itself, and it finds out that nothing was kept."""
    with closing(StoreThread(database(wire.url(postgres_url), answer_timeout_s=2.0))) as far:
        wire.break_at_commit(Breaks.IN_SILENCE)
        assert far.call(count("a")) == 1
        assert store.call(count("a")) == 2


def test_of_a_commit_whose_server_does_not_come_back_it_is_not_said_that_nothing_was_kept(
    store, wire, postgres, postgres_url
):
    store.call(make_slow_commits)
    timeouts = {"reach_timeout_s": SOON_S, "answer_timeout_s": 1.0}
    with (
        closing(StoreThread(database(wire.url(postgres_url), **timeouts))) as far,
        closing(postgres.connect()) as holder,
    ):
        holder.execute("SELECT pg_advisory_lock(77)")
        with pytest.raises(OutcomeUnknown, match="is not known"):
            far.call(count("a"))
        assert "is not known" in far.trouble
        holder.execute("SELECT pg_advisory_unlock(77)")


# ---- relays that write at once ----


def test_of_two_that_wait_for_each_other_both_get_on(store, hasty):
    """PostgreSQL fails one of them, which is done again."""
    meeting = threading.Barrier(2)

    def both(first: str, second: str) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            count(first)(connection)
            if not meeting.broken:
                meeting.wait(TIMEOUT_S)
                meeting.abort()  # only the first time
            return count(second)(connection)

        return work

    one = run_in_background(lambda: store.call(both("a", "b")))
    other = run_in_background(lambda: hasty.call(both("b", "a")))
    assert sorted([one(), other()]) == [1, 2]
    assert (store.call(number("a")), store.call(number("b"))) == (2, 2)
    assert store.figures().failures + hasty.figures().failures == 0


def test_two_relays_register_one_name_and_one_has_it(store, hasty):
    def create(name: str) -> Callable[[Connection], str]:
        return lambda connection: Accounts(connection).create(name, "alice", "", "", 1.0).name

    tries = [
        run_in_background(lambda store=store, name=name: store.call(create(name)))
        for store, name in ((store, "Alice"), (hasty, "ALICE"))
    ]
    made, refused = [], 0
    for wait in tries:
        try:
            made.append(wait())
        except AccountExists:
            refused += 1
    assert refused == 1
    assert store.call(lambda connection: Accounts(connection).names()) == [("alice", *made)]


def test_the_last_use_of_an_invite_is_for_one(store, hasty):
    store.call(
        lambda connection: Invites(connection).create("x", uses=1, expires_at=9.0, created_at=0.0)
    )

    def redeem(connection: Connection) -> bool:
        return Invites(connection).redeem("x", 1.0, "alice", str.lower) is not None

    tries = [run_in_background(lambda each=each: each.call(redeem)) for each in (store, hasty)]
    assert sorted(wait() for wait in tries) == [False, True]
