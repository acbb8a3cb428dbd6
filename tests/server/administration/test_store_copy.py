"""store copy: there and back, and what is in its way."""

from __future__ import annotations

import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from securechat.errors import ConfigError, StoreError
from securechat.server.administration import store_copy
from securechat.server.config import Config, StoreConfig
from securechat.store import copying
from securechat.store.connection import Connection
from securechat.store.copying import TABLES, copy_all
from securechat.store.database import open_database, read_only
from securechat.store.postgres import connect
from securechat.store.postgres_url import parse_postgres_url
from tests.server.administration.administrator import Administrator
from tests.server.relay_harness import Certificates, RunningRelay, running
from tests.services.postgres import PostgresServer
from tests.store.rich_database import fill


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with something in every column."""
    path = tmp_path / "rich.db"
    with closing(open_database(path)) as connection:
        fill(connection)
    return path


def contents(connection: Connection) -> dict[str, list[str]]:
    return {
        table.name: sorted(
            repr((*row[:-1], int(row[-1])) if table.name == "messages" else row)
            for row in connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}")
        )
        for table in TABLES
    }


def contents_of_file(path: Path) -> dict[str, list[str]]:
    with read_only(path) as connection:
        return contents(connection)


def test_there_and_back(
    on_files: Administrator, file: Path, tmp_path: Path, postgres_url: str
) -> None:
    before, back = contents_of_file(file), tmp_path / "back.db"
    there = on_files.json("store", "copy", "--from", f"sqlite:{file}", "--to", postgres_url)
    assert there["rows"] == {name: len(rows) for name, rows in before.items()}
    with closing(connect(parse_postgres_url(postgres_url))) as server:
        assert contents(server) == before
    lines = on_files("store", "copy", "--from", postgres_url, "--to", f"sqlite:{back}").splitlines()
    assert lines[1].split() == ["accounts", "3"]
    assert lines[-1].startswith(f"sqlite:{back} has all of postgresql://relays@localhost:")
    assert contents_of_file(back) == contents_of_file(file) == before
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    kept = {file.name, f"{file.name}.lock", back.name, f"{back.name}.lock"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_it_is_told_how_far_it_is(
    on_files: Administrator, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_SLICE", 2)
    monkeypatch.setattr(store_copy, "_TELL_EVERY_S", 0.0)
    on_files("store", "copy", "--from", f"sqlite:{file}", "--to", f"sqlite:{tmp_path / 'to.db'}")
    assert "securechat-server: messages: 4 copied\n" in on_files.complaint


def test_the_password_is_in_a_file(
    on_files: Administrator, file: Path, tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    url = postgres_url.replace(f":{postgres.password}@", "@")
    assert url != postgres_url
    secret = tmp_path / "password"
    secret.write_text(f"{postgres.password}\n")
    words = ("store", "copy", "--from", f"sqlite:{file}", "--to", url)
    found = on_files.json(*words, "--password-file", str(secret))
    assert found["rows"]["accounts"] == 3
    assert postgres.password not in str(found)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("chat.db", "--to: sqlite:FILE, or an address that begins with postgresql://"),
        ("sqlite:", "--to: sqlite:FILE, or an address that begins with postgresql://"),
        ("mysql://db", "--to: it begins with postgresql://"),
        ("postgresql://ann:hunter2@db.example.org/chat", "--to: sslmode=verify-full is needed for"),
    ],
)
def test_what_is_no_address(on_files: Administrator, file: Path, url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        on_files("store", "copy", "--from", f"sqlite:{file}", "--to", url)
    assert caught.value.problems[0].startswith(said)
    assert "hunter2" not in str(caught.value)


def test_there_must_be_a_database(
    on_files: Administrator, tmp_path: Path, empty_postgres_url: str
) -> None:
    nothing, other = f"sqlite:{tmp_path / 'none.db'}", f"sqlite:{tmp_path / 'to.db'}"
    with pytest.raises(StoreError, match="there is no database"):
        on_files("store", "copy", "--from", nothing, "--to", other)
    with pytest.raises(StoreError, match="has schema version 0, this securechat needs"):
        on_files("store", "copy", "--from", empty_postgres_url, "--to", other)
    assert list(tmp_path.glob("to.db*")) == []


def test_the_other_must_be_empty(
    on_files: Administrator, file: Path, tmp_path: Path, postgres_url: str
) -> None:
    to = tmp_path / "to.db"
    to.write_text("buy milk")
    with pytest.raises(StoreError, match="there is something already"):
        on_files("store", "copy", "--from", f"sqlite:{file}", "--to", f"sqlite:{to}")
    assert to.read_text() == "buy milk"
    with closing(connect(parse_postgres_url(postgres_url))) as server:
        server.execute("INSERT INTO metadata (subject, key, value) VALUES ('a', 'b', 'c')")
    with pytest.raises(StoreError, match="must be empty, but there is something in metadata"):
        on_files("store", "copy", "--from", f"sqlite:{file}", "--to", postgres_url)


def test_an_old_file_is_not_touched(on_files: Administrator, file: Path, tmp_path: Path) -> None:
    with closing(open_database(file)) as connection:
        connection.execute("PRAGMA user_version = 5")
    with pytest.raises(StoreError, match="is of an older version"):
        on_files("store", "copy", "--from", f"sqlite:{file}", "--to", f"sqlite:{tmp_path / 'to'}")
    with read_only(file) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)


@pytest.mark.parametrize("way", ["there", "back"])
def test_all_or_nothing(
    on_files: Administrator,
    file: Path,
    tmp_path: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    def copy_some(source: Connection, target: Connection, progress: object) -> None:
        copy_all(source, target)
        raise StoreError("the power is gone")

    back = tmp_path / "back.db"
    if way == "back":
        on_files("store", "copy", "--from", f"sqlite:{file}", "--to", postgres_url)
    monkeypatch.setattr(store_copy, "copy_all", copy_some)
    ends = [f"sqlite:{file}", postgres_url] if way == "there" else [postgres_url, f"sqlite:{back}"]
    with pytest.raises(StoreError, match="the power is gone"):
        on_files("store", "copy", "--from", ends[0], "--to", ends[1])
    assert not back.exists()
    with closing(connect(parse_postgres_url(postgres_url))) as server:
        rows = contents(server)
    assert any(rows.values()) is (way == "back")
    assert list(tmp_path.glob(".unfinished*")) == []


# ---- relays that run ----


@pytest.fixture
def on_server(stopped: Config, postgres_url: str) -> Config:
    """The configuration of a relay with a PostgreSQL, which does not run."""
    return replace(stopped, store=StoreConfig(stopped.store.path, parse_postgres_url(postgres_url)))


def test_no_relay_may_use_the_one_or_the_other(
    on_files: Administrator,
    on_server: Config,
    file: Path,
    tmp_path: Path,
    postgres_url: str,
    relay_certificates: Certificates,
) -> None:
    to = f"sqlite:{tmp_path / 'to.db'}"
    with running(on_server, relay_certificates):
        for ends in ([postgres_url, to], [f"sqlite:{file}", postgres_url]):
            with pytest.raises(StoreError, match="in use by a relay, or by a command"):
                on_files("store", "copy", "--from", ends[0], "--to", ends[1])
    with (
        running(on_files.config, relay_certificates),
        pytest.raises(StoreError, match="in use by another relay"),
    ):
        on_files("store", "copy", "--from", f"sqlite:{on_files.config.store.path}", "--to", to)
    assert list(tmp_path.glob("to.db")) == []


def test_no_relay_can_start_meanwhile(
    on_files: Administrator,
    on_server: Config,
    file: Path,
    postgres_url: str,
    relay_certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def copy_and_try(source: Connection, target: Connection, progress: object) -> dict[str, int]:
        with pytest.raises(StoreError, match="in use by a command, or is being copied"):
            RunningRelay(on_server, relay_certificates)
        return copy_all(source, target)

    monkeypatch.setattr(store_copy, "copy_all", copy_and_try)
    assert on_files.json("store", "copy", "--from", f"sqlite:{file}", "--to", postgres_url)["rows"]


def test_a_relay_goes_on_with_the_copy(
    on_files: Administrator,
    on_server: Config,
    postgres_url: str,
    tmp_path: Path,
    relay_certificates: Certificates,
) -> None:
    with running(on_files.config, relay_certificates) as relay:
        ann = relay.account("ann")
        ann.ask("JOIN #room", "TOPIC #room :of the first", "PRIVMSG #room :before")
    file, back = on_files.config.store.path, tmp_path / "back.db"
    on_files("store", "copy", "--from", f"sqlite:{file}", "--to", postgres_url)
    with running(on_server, relay_certificates) as relay:
        ann = relay.login("ann", "sasl", "draft/chathistory", "batch", "server-time")
        ann.ask("JOIN #room", "PRIVMSG #room :after")
    on_files("store", "copy", "--from", postgres_url, "--to", f"sqlite:{back}")
    config = replace(on_files.config, store=StoreConfig(back))
    with running(config, relay_certificates) as relay:
        ann = relay.login("ann", "sasl", "draft/chathistory", "batch", "server-time")
        assert "332 ann #room :of the first" in ann.ask("JOIN #room")
        said = ann.ask("CHATHISTORY LATEST #room * 10")
        assert [line for line in said if "PRIVMSG" in line] == [
            ":ann PRIVMSG #room before",
            ":ann PRIVMSG #room after",
        ]
