"""What the store could not keep is kept when it can: the last of each thing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from securechat.server.backlog import Backlog
from securechat.server.store_thread import StoreThread
from securechat.store.database import open_database
from securechat.store.settings import AccountSettings
from securechat.store.sqlite_database import SqliteDatabase
from tests.server.relay_harness import LONG_TIMEOUT_S


class Notes:
    """A context, of which only the notes matter."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreThread]:
    opened = StoreThread(SqliteDatabase(tmp_path / "relay.db"))
    yield opened
    opened.close()


def fail(store: StoreThread) -> None:
    """Let the database not grow: what a full disk does."""
    store.call(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())


def recover(store: StoreThread) -> None:
    store.call(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchall())


def setting(key: str, value: str) -> Callable[[sqlite3.Connection], None]:
    """Write something that does not fit into the pages that there are."""
    return lambda connection: AccountSettings(connection).set("alice", key, value * 100_000)


def kept(store: StoreThread) -> dict[str, str]:
    found = store.call(lambda connection: AccountSettings(connection).get_all("alice"))
    return {key: value[0] for key, value in found.items()}


@pytest.fixture
def notes() -> Any:
    return Notes()


@pytest.fixture
def backlog(store: StoreThread) -> Backlog:
    return Backlog(store, "settings")


def test_a_store_that_works_leaves_nothing_to_do(
    store: StoreThread, backlog: Backlog, notes: Any
) -> None:
    backlog.write("a", setting("a", "1"), notes)
    assert kept(store) == {"a": "1"}
    assert len(backlog) == 0


def test_what_failed_is_written_again(
    store: StoreThread, backlog: Backlog, caplog: pytest.LogCaptureFixture, notes: Any
) -> None:
    fail(store)
    for key in "abc":
        backlog.write(key, setting(key, "1"), notes)
    kept(store)  # all has been tried
    assert len(backlog) == 3
    assert [text for text in caplog.messages if "settings are not kept for now" in text], "told"
    assert len([text for text in caplog.messages if "not kept for now" in text]) == 1, "once"
    backlog.retry()
    kept(store)
    assert len(backlog) == 3, "it was too early"
    recover(store)
    backlog.retry()
    assert kept(store) == {"a": "1", "b": "1", "c": "1"}
    assert len(backlog) == 0


def test_only_the_last_write_of_a_thing_counts(
    store: StoreThread, backlog: Backlog, notes: Any
) -> None:
    fail(store)
    backlog.write("a", setting("a", "1"), notes)
    backlog.write("a", setting("a", "2"), notes)
    kept(store)
    assert len(backlog) == 1
    recover(store)
    backlog.write("a", setting("a", "3"), notes)
    assert kept(store) == {"a": "3"}
    backlog.retry()
    assert kept(store) == {"a": "3"}, "what failed before it is not wanted any more"


def test_a_write_that_fails_late_does_not_undo_a_newer_one(
    store: StoreThread, backlog: Backlog, notes: Any
) -> None:
    """Both waited when the trouble ended: the first failed, the second did not."""

    def refuse(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO no_such_table VALUES (1)")

    at_work, go_on = threading.Event(), threading.Event()

    def block(connection: sqlite3.Connection) -> None:
        at_work.set()
        go_on.wait(LONG_TIMEOUT_S)

    store.submit(block, lambda outcome: None)
    assert at_work.wait(LONG_TIMEOUT_S)
    backlog.write("a", refuse, notes)
    backlog.write("a", setting("a", "2"), notes)
    go_on.set()
    assert kept(store) == {"a": "2"}
    assert len(backlog) == 0


def test_a_store_that_takes_nothing_more_is_asked_again(tmp_path: Path, notes: Any) -> None:
    store = StoreThread(SqliteDatabase(tmp_path / "relay.db"), queue_limit=1)
    backlog = Backlog(store, "settings")
    at_work, go_on = threading.Event(), threading.Event()

    def block(connection: sqlite3.Connection) -> None:
        at_work.set()
        go_on.wait(LONG_TIMEOUT_S)

    store.submit(block, lambda outcome: None)
    assert at_work.wait(LONG_TIMEOUT_S)
    for key in "abc":
        backlog.write(key, setting(key, "1"), notes)
    assert len(backlog) == 2
    busy = "settings are not kept for now: 1 pieces of work wait for the store already"
    assert notes.texts == [busy] * 2
    go_on.set()
    while len(backlog):
        backlog.retry()
    store.close()
    with closing(open_database(tmp_path / "relay.db")) as connection:
        assert AccountSettings(connection).get_all("alice").keys() == {"a", "b", "c"}
