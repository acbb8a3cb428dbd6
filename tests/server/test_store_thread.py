import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import securechat
from securechat.errors import AccountExists, NewerSchemaError, StoreBusy, StoreError
from securechat.server.store_thread import COMMIT_BOUNDS_S, Outcome, StoreThread
from securechat.store.accounts import Accounts
from securechat.store.database import open_database
from securechat.store.engine import Database
from securechat.store.postgres_url import parse_postgres_url
from securechat.store.sqlite_database import SqliteDatabase
from tests.timeouts import LONG_TIMEOUT_S

ROOT = Path(securechat.__file__).parents[1]


class Gate:
    """Work that keeps the store thread busy, so that what is submitted meanwhile is one group."""

    def __init__(self, store: StoreThread) -> None:
        self._entered = threading.Event()
        self._leave = threading.Event()
        self.statements: list[str] = []
        store.submit(self._work, lambda outcome: None)
        assert self._entered.wait(LONG_TIMEOUT_S)

    def _work(self, connection: sqlite3.Connection) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(self.statements.append)
        self._entered.set()
        assert self._leave.wait(LONG_TIMEOUT_S)

    def open(self) -> None:
        self._leave.set()

    @property
    def commits(self) -> int:
        """Commits since the gate was entered, less the one of its own turn."""
        return self.statements.count("COMMIT") - 1


class Answers:
    """Collects outcomes; each is awaited, never slept for."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Outcome[Any]] = SimpleQueue()

    def __call__(self, outcome: Outcome[Any]) -> None:
        self._queue.put(outcome)

    def next(self) -> Outcome[Any]:
        return self._queue.get(timeout=LONG_TIMEOUT_S)

    def take(self, count: int) -> list[Outcome[Any]]:
        return [self.next() for _ in range(count)]

    def empty(self) -> bool:
        return self._queue.empty()


def insert(number: int, connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    return number


def add(number: int) -> Callable[[sqlite3.Connection], int]:
    return partial(insert, number)


def make_numbers(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")


def numbers_in(path: Path) -> list[int]:
    """What another connection sees: only what is committed."""
    with closing(sqlite3.connect(path)) as observer:
        return [n for (n,) in observer.execute("SELECT number FROM numbers ORDER BY number")]


def refuse(connection: sqlite3.Connection) -> None:
    insert(-1, connection)
    raise ValueError("changed my mind")


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, path: Path) -> Iterator[StoreThread]:
    """On either engine."""
    if request.param == "sqlite":
        database: Database = SqliteDatabase(path)
    else:
        from securechat.store.postgres_database import PostgresDatabase

        url = parse_postgres_url(request.getfixturevalue("postgres_url"))
        database = PostgresDatabase(url)
    with closing(StoreThread(database)) as store:
        store.call(make_numbers)
        yield store


@pytest.fixture
def store(path: Path) -> Iterator[StoreThread]:
    with closing(StoreThread(SqliteDatabase(path))) as store:
        store.call(make_numbers)
        yield store


def test_work_is_done_on_the_store_thread_and_its_value_handed_over(any_store):
    answers = Answers()
    any_store.submit(lambda connection: threading.current_thread().name, answers)
    assert answers.next() == Outcome("store", None)


def test_none_is_a_value(any_store):
    answers = Answers()
    any_store.submit(lambda connection: None, answers)
    assert answers.next().result() is None


def test_call_waits_for_the_commit(store, path):
    assert store.call(add(5)) == 5
    assert numbers_in(path) == [5]


def test_call_raises_what_the_work_raised(store, path):
    with pytest.raises(ValueError, match="changed my mind"):
        store.call(refuse)
    assert numbers_in(path) == []


def test_work_runs_in_the_order_of_submission(any_store):
    order: list[int] = []
    answers = Answers()
    for i in range(200):
        any_store.submit(lambda connection, i=i: order.append(i), answers)
    answers.take(200)
    assert order == list(range(200))


def test_what_waits_shares_one_commit_and_is_reported_after_it(store, path):
    gate = Gate(store)
    seen_by_work: list[list[int]] = []
    seen_when_done: SimpleQueue[list[int]] = SimpleQueue()

    def last(connection: sqlite3.Connection) -> None:
        seen_by_work.append(numbers_in(path))

    for i in range(10):
        store.submit(add(i), lambda outcome: seen_when_done.put(numbers_in(path)))
    store.submit(last, lambda outcome: None)
    gate.open()
    for _ in range(10):
        assert seen_when_done.get(timeout=LONG_TIMEOUT_S) == list(range(10))
    assert seen_by_work == [[]]  # while the last of the group ran, nothing of it was committed
    assert gate.commits == 1


def test_a_turn_is_limited(path):
    with closing(StoreThread(SqliteDatabase(path), turn_limit=3)) as store:
        store.call(make_numbers)
        gate = Gate(store)
        answers = Answers()
        for i in range(7):
            store.submit(add(i), answers)
        gate.open()
        assert [outcome.result() for outcome in answers.take(7)] == list(range(7))
        assert gate.commits == 3


def test_failing_work_is_undone_alone(store, path):
    gate = Gate(store)
    answers = Answers()
    store.submit(add(1), answers)
    store.submit(refuse, answers)
    store.submit(add(1), answers)  # the number is taken
    store.submit(add(2), answers)
    gate.open()
    first, refused, taken, second = answers.take(4)
    assert first.result() == 1
    assert second.result() == 2
    with pytest.raises(ValueError, match="changed my mind"):
        refused.result()
    with pytest.raises(StoreError, match="UNIQUE") as caught:
        taken.result()
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)
    assert numbers_in(path) == [1, 2]
    assert gate.commits == 1


def test_errors_of_the_store_classes_arrive_as_they_are(any_store):
    def create(connection: sqlite3.Connection) -> None:
        Accounts(connection).create("Alice", "alice", "phc", "scram", 1.0)

    any_store.call(create)
    with pytest.raises(AccountExists):
        any_store.call(create)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_no_error_of_the_work_ends_the_thread(any_store, error):
    def work(connection: sqlite3.Connection) -> None:
        raise error

    answers = Answers()
    any_store.submit(work, answers)
    assert answers.next().error is error
    assert any_store.call(add(1)) == 1


def test_work_may_use_savepoints_of_its_own(store, path):
    def work(connection: sqlite3.Connection) -> None:
        insert(1, connection)
        connection.execute("SAVEPOINT inner")
        insert(2, connection)
        connection.execute("ROLLBACK TO inner")
        connection.execute("RELEASE inner")

    store.call(work)
    assert numbers_in(path) == [1]


@pytest.mark.parametrize("statement", ["ROLLBACK", "RELEASE task"])
def test_work_that_ends_the_transaction_fails_alone(any_store, statement, caplog):
    gate = Gate(any_store)
    answers = Answers()
    any_store.submit(add(1), answers)
    any_store.submit(lambda connection: connection.execute(statement) and None, answers)
    any_store.submit(add(2), answers)
    gate.open()
    first, bad, second = answers.take(3)
    assert (first.result(), second.result()) == (1, 2)
    with pytest.raises(StoreError):
        bad.result()
    assert any_store.call(add(3)) == 3
    assert "a group of work of the store failed" in caplog.text
    assert any_store.trouble == "", "it is the work that is wrong"


def test_anothers_error_is_never_reported_as_ones_own(any_store):
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise ValueError("and then this")

    gate = Gate(any_store)
    answers = Answers()
    any_store.submit(add(1), answers)
    any_store.submit(work, answers)
    gate.open()
    first, second = answers.take(2)
    assert first.result() == 1
    assert isinstance(second.error, StoreError)


def test_a_commit_that_fails_fails_the_work_that_it_is_for(store, path, caplog):
    def make(connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TABLE marks (number INTEGER REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)"
        )

    def dangle(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO marks VALUES (99)")  # noticed at COMMIT

    store.call(make)
    gate = Gate(store)
    answers = Answers()
    store.submit(add(1), answers)
    store.submit(dangle, answers)
    store.submit(refuse, answers)
    gate.open()
    good, dangling, refused = answers.take(3)
    assert good.result() == 1
    with pytest.raises(StoreError, match="FOREIGN KEY constraint failed"):
        dangling.result()
    assert refused.error is not None
    assert numbers_in(path) == [1]
    assert store.call(add(2)) == 2
    assert numbers_in(path) == [1, 2]
    assert "a group of work of the store failed" in caplog.text


def test_a_full_database_fails_what_does_not_fit_and_recovers(store, path):
    def limit(connection: sqlite3.Connection, more: int) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + more}")

    def grow(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE blobs (value BLOB)")
        connection.execute("INSERT INTO blobs VALUES (zeroblob(1000000))")

    store.call(partial(limit, more=1))
    assert store.trouble == ""
    with pytest.raises(StoreError, match="full"):
        store.call(grow)
    assert "full" in store.trouble
    assert store.call(add(1)) == 1
    store.try_again()
    assert store.call(lambda connection: None) is None
    assert store.trouble == ""
    store.call(partial(limit, more=10_000))
    store.call(grow)
    assert numbers_in(path) == [1]


def test_what_only_reads_works_beside_what_cannot_be_written(store, path):
    """A login, say, must not fail because a message of the same moment cannot be kept."""
    store.call(lambda connection: connection.execute("INSERT INTO numbers VALUES (1)") and None)

    def grow(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE blobs (value BLOB)")
        connection.execute("INSERT INTO blobs VALUES (zeroblob(1000000))")

    def count(connection: sqlite3.Connection) -> int:
        return connection.execute("SELECT count(*) FROM numbers").fetchone()[0]

    gate = Gate(store)
    answers = Answers()
    for work in (count, grow, count):
        store.submit(work, answers)
    gate.open()
    before, bad, after = answers.take(3)
    assert (before.result(), after.result()) == (1, 1)
    with pytest.raises(StoreError, match="full"):
        bad.result()


def test_another_programs_lock_stops_writes_and_no_reads(store, path, caplog):
    """It waits for it once; then it tells at once, until a write succeeds."""
    store.call(lambda connection: connection.execute("PRAGMA busy_timeout = 1").fetchall())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            with pytest.raises(StoreError, match="locked"):
                store.call(add(1))
        assert store.call(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
        store.try_again()
        assert store.call(lambda connection: 0) == 0
        assert "locked" in store.trouble
    store.try_again()
    assert store.call(add(1)) == 1
    assert store.trouble == ""
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "the store cannot write: database is locked",
        "the store can write again",
    ]


def test_a_crash_of_the_thread_is_told_and_leaves_nobody_waiting(path, monkeypatch):
    crashes: SimpleQueue[BaseException] = SimpleQueue()
    store = StoreThread(SqliteDatabase(path), on_crash=crashes.put, turn_limit=1)
    gate = Gate(store)
    answers = Answers()
    store.submit(add(1), answers)
    store.submit(add(2), answers)
    monkeypatch.setattr(store, "_do", lambda group: 1 / 0)
    gate.open()
    for outcome in answers.take(2):
        with pytest.raises(StoreError, match="the store has ended"):
            outcome.result()
    assert isinstance(crashes.get(timeout=LONG_TIMEOUT_S), ZeroDivisionError)
    with pytest.raises(StoreBusy):
        store.submit(add(3), answers)
    store.close()


# The file system refuses to let any file grow past a limit, so that COMMIT itself fails to write.
# Prints what became of three groups: before the limit, under it, and after it.
FULL_DISK = """
import logging, resource, sys, threading
from pathlib import Path
from securechat.errors import StoreError
from securechat.server.store_thread import StoreThread
from securechat.store.sqlite_database import SqliteDatabase

logging.disable()
path = Path(sys.argv[1])
store = StoreThread(SqliteDatabase(path))
store.call(lambda c: c.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)") and None)

def insert(number):
    return lambda c: c.execute("INSERT INTO numbers VALUES (?)", (number,)) and number

def report(*numbers):
    gate, done, left = threading.Event(), threading.Event(), list(numbers)
    def hear(outcome):
        try:
            print(outcome.result(), end=" ")
        except StoreError as error:
            print("StoreError", end=" ")
        left.pop()
        if not left:
            done.set()
    store.submit(lambda c: gate.wait(), lambda outcome: None)
    for number in numbers:
        store.submit(insert(number), hear)
    gate.set()
    done.wait()

report(1, 2)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
wal = path.with_name(path.name + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (wal, hard))
report(3, 4, 5)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
report(6)
store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_commit_that_cannot_be_written_fails_all_of_its_group_and_no_other(path):
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG_TIMEOUT_S,
        check=False,
    )
    assert child.stderr == ""
    assert child.stdout.split() == ["1", "2", "StoreError", "StoreError", "StoreError", "6"]
    assert numbers_in(path) == [1, 2, 6]


# Writes numbers as fast as it can, and prints each when it is told that it was kept.
WRITER = """
import sys, threading
from pathlib import Path
from securechat.errors import StoreBusy
from securechat.server.store_thread import StoreThread
from securechat.store.sqlite_database import SqliteDatabase

store = StoreThread(SqliteDatabase(Path(sys.argv[1])))
store.call(lambda c: c.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)") and None)
room = threading.Semaphore(100)

def hear(outcome):
    print(outcome.result(), flush=True)
    room.release()

number = 0
while True:
    room.acquire()
    number += 1
    store.submit(
        lambda c, n=number: c.execute("INSERT INTO numbers VALUES (?)", (n,)) and n, hear
    )
"""


@pytest.mark.parametrize("after", [1, 50, 1000])
def test_what_was_reported_survives_a_kill_the_next_instant(path, after):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        reported = [int(writer.stdout.readline()) for _ in range(after)]
        writer.kill()
        # What it had still said before it died; the last line may have been cut short.
        reported += [int(line) for line in writer.stdout if line.endswith("\n")]
    with closing(open_database(path)) as connection:
        kept = {n for (n,) in connection.execute("SELECT number FROM numbers")}
    assert len(reported) >= after
    assert set(reported) <= kept
    assert kept == set(range(1, len(kept) + 1))  # no gap: a prefix of what was submitted


def test_a_full_queue_refuses_and_takes_again_when_there_is_room(path):
    with closing(StoreThread(SqliteDatabase(path), queue_limit=2)) as store:
        store.call(make_numbers)
        gate = Gate(store)
        answers = Answers()
        store.submit(add(1), answers)
        store.submit(add(2), answers)
        with pytest.raises(StoreBusy, match="2 pieces of work"):
            store.submit(add(3), answers)
        gate.open()
        assert [outcome.result() for outcome in answers.take(2)] == [1, 2]
        assert store.call(add(4)) == 4
        assert answers.empty()
        assert numbers_in(path) == [1, 2, 4]


def test_a_receiver_that_raises_is_logged_and_the_others_hear(any_store, caplog):
    gate = Gate(any_store)
    answers = Answers()

    def fail(outcome: Outcome[int]) -> None:
        raise RuntimeError("not my day")

    any_store.submit(add(1), answers)
    any_store.submit(add(2), fail)
    any_store.submit(add(3), answers)
    gate.open()
    assert [outcome.result() for outcome in answers.take(2)] == [1, 3]
    assert any_store.call(add(4)) == 4
    assert "not my day" in caplog.text


def test_work_may_be_submitted_from_a_receiver(any_store):
    answers = Answers()
    any_store.submit(add(1), lambda outcome: any_store.submit(add(outcome.result() + 1), answers))
    assert answers.next().result() == 2


def test_many_threads_may_submit(store, path):
    answers = Answers()
    failures: list[BaseException] = []

    def submit_some(start: int) -> None:
        try:
            for number in range(start, start + 100):
                store.submit(add(number), answers)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=submit_some, args=(i * 100,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(outcome.result() for outcome in answers.take(800)) == list(range(800))
    assert numbers_in(path) == list(range(800))


def test_close_finishes_what_is_queued_then_refuses(path):
    store = StoreThread(SqliteDatabase(path), turn_limit=4)
    store.call(make_numbers)
    gate = Gate(store)
    answers = Answers()
    for i in range(10):
        store.submit(add(i), answers)
    gate.open()
    store.close()
    assert [outcome.result() for outcome in answers.take(10)] == list(range(10))
    with pytest.raises(StoreBusy, match="closed"):
        store.submit(add(99), answers)
    with pytest.raises(StoreBusy, match="closed"):
        store.call(add(99))
    assert answers.empty()
    store.close()  # again, without harm


def test_close_joins_the_thread_and_lets_go_of_the_database(path):
    before = threading.active_count()
    store = StoreThread(SqliteDatabase(path))
    assert threading.active_count() == before + 1
    store.close()
    assert threading.active_count() == before
    open_database(path).close()
    assert not path.with_name(path.name + "-wal").exists()


def test_a_database_that_cannot_be_opened_is_the_constructors_error(path):
    before = threading.active_count()
    path.write_text("no database " * 100)
    with pytest.raises(StoreError, match="not a database"):
        StoreThread(SqliteDatabase(path))
    assert threading.active_count() == before


def test_a_newer_database_is_the_constructors_error(path):
    with closing(open_database(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")
    with pytest.raises(NewerSchemaError):
        StoreThread(SqliteDatabase(path))


def test_two_relays_cannot_share_a_database(store, path):
    with pytest.raises(StoreError, match="in use by another relay"):
        StoreThread(SqliteDatabase(path))
    assert store.call(add(1)) == 1


def test_the_store_thread_may_not_wait_for_itself(any_store):
    with pytest.raises(AssertionError, match="wait for itself"):
        any_store.call(lambda connection: any_store.call(add(1)))


# ---- how it does ----


def test_a_ping_is_answered_between_two_groups_whatever_waits(path):
    with closing(StoreThread(SqliteDatabase(path), queue_limit=1)) as store:
        gate = Gate(store)
        store.submit(lambda connection: None, Answers())
        with pytest.raises(StoreBusy):
            store.submit(lambda connection: None, Answers())
        answered: SimpleQueue[str] = SimpleQueue()
        store.ping(lambda: answered.put(threading.current_thread().name))
        assert answered.empty()
        gate.open()
        assert answered.get(timeout=LONG_TIMEOUT_S) == "store"


@pytest.mark.parametrize(
    ("statement", "pings"), [("SELECT 1", 1), ("ROLLBACK", 2)], ids=["a group", "one by one"]
)
def test_a_ping_is_answered_between_two_pieces(store, statement, pings):
    seen: list[str] = []

    def work(connection: sqlite3.Connection) -> None:
        store.ping(lambda: seen.append("ping"))
        connection.execute(statement).fetchall()

    gate = Gate(store)
    answers = Answers()
    store.submit(work, answers)
    store.submit(lambda connection: seen.append("next"), answers)
    gate.open()
    answers.take(2)
    assert seen == [*["ping"] * pings, "next"]


def test_a_ping_touches_no_database_and_one_that_fails_ends_nothing(any_store, caplog):
    groups = any_store.figures().groups
    answered = threading.Event()

    def fail() -> None:
        raise ValueError("of others")

    any_store.ping(fail)
    any_store.ping(answered.set)
    assert answered.wait(LONG_TIMEOUT_S)
    assert any_store.figures().groups == groups
    assert "who pinged the store failed" in caplog.text


def test_a_ping_after_the_end_is_never_answered(path):
    with closing(StoreThread(SqliteDatabase(path))) as store:
        pass
    answered: list[int] = []
    store.ping(lambda: answered.append(1))
    assert answered == []


def test_only_groups_that_wrote_something_have_the_time_of_their_commit(any_store):
    before = any_store.figures()
    any_store.call(lambda connection: connection.execute("SELECT 1").fetchone())
    read = any_store.figures()
    assert (read.groups, read.commits) == (before.groups + 1, before.commits)
    any_store.call(add(1))
    written = any_store.figures()
    assert written.groups == read.groups + 1
    assert written.commits.count == read.commits.count + 1
    assert written.commits.bounds == COMMIT_BOUNDS_S
    assert written.commits.total > read.commits.total


def test_what_waits_is_refused_and_fails_is_counted(path, caplog):
    with closing(StoreThread(SqliteDatabase(path), queue_limit=2)) as store:
        gate = Gate(store)
        answers = Answers()
        for _ in range(2):
            store.submit(lambda connection: None, answers)
        for _ in range(3):
            with pytest.raises(StoreBusy):
                store.submit(lambda connection: None, answers)
        found = store.figures()
        assert (found.queue_length, found.refusals, found.failures) == (2, 3, 0)
        gate.open()
        answers.take(2)
        with pytest.raises(StoreError):
            store.call(lambda connection: connection.execute("COMMIT"))
        found = store.figures()
        assert (found.queue_length, found.refusals, found.failures) == (0, 3, 1)
