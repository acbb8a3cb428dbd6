"""Which database the configuration chooses."""

from __future__ import annotations

import queue
import threading
from contextlib import closing

import pytest

from securechat.errors import ConfigError, StoreError
from securechat.net.threads import start_thread
from securechat.server.config import StoreConfig
from securechat.server.databases import database_of, postgres_url
from securechat.server.store_thread import StoreThread
from securechat.store.postgres_url import parse_postgres_url
from securechat.store.settings import AccountSettings
from tests.server.waiting import TIMEOUT_S

URL = parse_postgres_url("postgresql://relay@localhost/chat")


def test_a_file_unless_there_is_a_url(tmp_path):
    with closing(StoreThread(database_of(StoreConfig(tmp_path / "chat.db")))) as store:
        store.call(lambda connection: AccountSettings(connection).set("alice", "key", "value"))
    assert (tmp_path / "chat.db").exists()


def test_postgresql_with_the_password_of_a_file(postgres_url, postgres, tmp_path):
    (tmp_path / "password").write_text(f"{postgres.password}\n")
    url = parse_postgres_url(postgres_url.replace(f":{postgres.password}@", "@"))
    config = StoreConfig(tmp_path / "chat.db", url, tmp_path / "password")
    with closing(StoreThread(database_of(config))) as store:
        store.call(lambda connection: AccountSettings(connection).set("alice", "key", "value"))
        found = store.call(lambda connection: AccountSettings(connection).load())
    assert found == {"alice": {"key": "value"}}
    assert not (tmp_path / "chat.db").exists()


def test_a_server_that_lets_nobody_in_is_said_at_once_and_without_a_password(
    postgres_url, tmp_path, caplog
):
    url = parse_postgres_url(postgres_url).with_password("geheim")
    with pytest.raises(StoreError, match=r"cannot open the database .*authentication") as caught:
        StoreThread(database_of(StoreConfig(tmp_path / "chat.db", url)))
    assert "geheim" not in f"{caught.value} {caplog.text}"


def test_a_server_that_is_not_there_is_said_at_once(tmp_path):
    url = parse_postgres_url(f"postgresql:///chat?host={tmp_path}")
    with pytest.raises(StoreError, match=r"cannot open the database postgresql://\[socket\]/chat"):
        StoreThread(database_of(StoreConfig(tmp_path / "chat.db", url)))


def test_a_relay_waits_for_a_server_that_is_still_starting(postgres_url, postgres, tmp_path):
    config = StoreConfig(tmp_path / "chat.db", parse_postgres_url(postgres_url))
    tries, opened = threading.Semaphore(0), queue.SimpleQueue()
    database = database_of(config, start_timeout_s=TIMEOUT_S)
    open_database = database.open

    def open_telling(idle):
        open_database(lambda: (tries.release(), idle()))

    database.open = open_telling
    postgres.stop()
    start_thread("starting", lambda: opened.put(StoreThread(database)))
    assert tries.acquire(timeout=TIMEOUT_S), "it does not wait"
    postgres.start()
    with closing(opened.get(timeout=TIMEOUT_S)) as store:
        assert store.call(lambda connection: AccountSettings(connection).load()) == {}


@pytest.mark.parametrize(
    ("content", "password"), [("a b\n", "a b"), ("ä\r\nmore", "ä"), (" x ", " x ")]
)
def test_a_password_is_the_first_line_of_its_file(tmp_path, content, password):
    (tmp_path / "password").write_text(content, "utf-8", newline="")
    assert postgres_url(URL, tmp_path / "password").parameters["password"] == password
    assert postgres_url(URL, None) == URL


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "No such file"), (b"", "is empty"), (b"\xff", "not UTF-8")]
)
def test_a_file_without_a_password(tmp_path, content, problem):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"\[store\] password_file: .*password: .*{problem}"):
        postgres_url(URL, path)
