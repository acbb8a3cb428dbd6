"""Commands for a relay on PostgreSQL: at one that runs, where none does, and for several."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from securechat.errors import SecureChatError, StoreError
from securechat.server.administration import backups
from securechat.server.administration.control import control_path
from securechat.server.administration.desk import desk_on_files
from securechat.server.config import ClusterConfig, Config, StoreConfig
from securechat.store.accounts import Accounts
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_url import parse_postgres_url
from securechat.store.postgres_use import is_shared, leave, use, use_alone
from tests.server.administration.administrator import Administrator
from tests.server.relay_harness import PASSWORD, Certificates, RunningRelay
from tests.services.postgres import PostgresServer


@pytest.fixture
def config(stopped: Config, postgres_url: str) -> Config:
    """The configuration of a relay with a PostgreSQL, which does not run."""
    return replace(stopped, store=StoreConfig(stopped.store.path, parse_postgres_url(postgres_url)))


@pytest.fixture
def order(config: Config, capsys: pytest.CaptureFixture[str]) -> Administrator:
    """Somebody who gives commands to it."""
    return Administrator(config, capsys)


@pytest.fixture
def of_several(config: Config, capsys: pytest.CaptureFixture[str]) -> Administrator:
    """Somebody who gives commands where several relays are configured, and none runs."""
    return Administrator(replace(config, cluster=ClusterConfig(("tls://a",), "a")), capsys)


def all_commands(order: Administrator, folder: Path) -> None:
    order("account", "add", "ann", stdin=PASSWORD)
    order("account", "add", "bob", stdin=PASSWORD)
    order("account", "passwd", "ann", stdin="a new secret of hers")
    order("account", "suspend", "bob", "--reason", "too loud")
    assert [each["suspended"] for each in order.json("account", "list")] == [None, "too loud"]
    order("account", "resume", "bob")
    order("account", "export", "ann", str(folder / "ann.json"))
    assert json.loads((folder / "ann.json").read_text())["account"]["name"] == "ann"
    invite = order.json("invite", "--room", "#room", "--port", "6697")
    assert [each["id"] for each in order.json("invites")] == [invite["id"]]
    order("invites", "withdraw", invite["id"])
    assert order.json("invites") == []
    order("account", "delete", "bob", "--yes")
    assert [each["name"] for each in order.json("account", "list")] == ["ann"]
    assert order.json("bans", "list") == []


def test_where_no_relay_runs(order: Administrator, tmp_path: Path) -> None:
    all_commands(order, tmp_path)
    assert not order.config.store.path.exists()


def test_at_a_relay_that_runs(
    order: Administrator, tmp_path: Path, relay_certificates: Certificates
) -> None:
    relay = RunningRelay(order.config, relay_certificates)
    try:
        all_commands(order, tmp_path)
        order("account", "suspend", "ann")
        assert "ann" in relay.relay.services.network.closed_accounts
    finally:
        relay.stop()


def test_a_relay_elsewhere_has_the_database(
    order: Administrator, relay_certificates: Certificates, tmp_path: Path
) -> None:
    """The lock on the server tells what the socket cannot: it is on another machine."""
    elsewhere = replace(
        order.config, store=replace(order.config.store, path=tmp_path / "elsewhere" / "relay.db")
    )
    relay = RunningRelay(elsewhere, relay_certificates)
    try:
        with pytest.raises(StoreError, match="is in use by another relay"):
            order("account", "add", "ann", stdin=PASSWORD)
        assert order.json("account", "list") == [], "reading is no harm"
        with pytest.raises(StoreError, match=r"several relays of one chat need \[cluster\]"):
            RunningRelay(order.config, relay_certificates)
    finally:
        relay.stop()
    order("account", "add", "ann", stdin=PASSWORD)


def test_no_relay_starts_while_a_command_writes(
    config: Config, relay_certificates: Certificates
) -> None:
    with desk_on_files(config) as desk:
        desk.write(lambda c: Accounts(c).create("ann", "ann", "", "", 1.0))
        with pytest.raises(StoreError, match="A command that writes there is done in a moment"):
            RunningRelay(config, relay_certificates)


def test_what_fails_is_undone(config: Config) -> None:
    def fail(connection: PostgresConnection) -> None:
        Accounts(connection).create("ann", "ann", "", "", 1.0)
        raise SecureChatError("never mind")

    with desk_on_files(config) as desk:
        with pytest.raises(SecureChatError, match="never mind"):
            desk.write(fail)
        assert desk.write(lambda c: Accounts(c).names()) == []


def test_a_server_that_does_not_run(order: Administrator, postgres: PostgresServer) -> None:
    postgres.stop()
    for words in (("account", "list"), ("invites", "withdraw", "x")):
        with pytest.raises(StoreError, match="refused") as caught:
            order(*words)
        assert postgres.password not in str(caught.value)


# ---- several relays, none of which runs here ----


@pytest.mark.parametrize(
    "words",
    [
        ("account", "add", "carl"),
        ("account", "passwd", "ann"),
        ("account", "suspend", "ann"),
        ("account", "delete", "ann", "--yes"),
        ("invite", "--host", "localhost", "--port", "1"),
        ("invites", "withdraw", "0"),
    ],
    ids=" ".join,
)
def test_what_several_relays_must_hear_of_is_refused(
    order: Administrator, of_several: Administrator, words: tuple[str, ...]
) -> None:
    order("account", "add", "ann", stdin=PASSWORD)
    with pytest.raises(StoreError, match="give the command where one of them runs"):
        of_several(*words, stdin=PASSWORD)
    assert [each["suspended"] for each in of_several.json("account", "list")] == [None]


def test_what_only_looks_can_be_done(
    order: Administrator, of_several: Administrator, tmp_path: Path
) -> None:
    order("account", "add", "ann", stdin=PASSWORD)
    of_several("account", "export", "ann", str(tmp_path / "ann.json"))
    assert of_several.json("bans", "list") == of_several.json("invites") == []
    of_several("status")
    assert of_several.code == 3


def test_two_relays_have_a_folder_together(config: Config) -> None:
    one, other = (replace(config, cluster=ClusterConfig(("tls://a",), name)) for name in "ab")
    assert control_path(one).name == "relay-a.sock"
    assert control_path(other).name == "relay-b.sock"
    assert control_path(config).name == "relay.sock"


# ---- backups ----


def test_a_backup_is_a_file_as_any_other(
    order: Administrator, tmp_path: Path, stopped: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chat.tar.gz"
    order("account", "add", "ann", stdin=PASSWORD)
    order("backup", str(file))
    elsewhere = Administrator(
        replace(stopped, store=StoreConfig(tmp_path / "elsewhere" / "relay.db")), capsys
    )
    elsewhere("restore", str(file), "--force")
    assert [each["name"] for each in elsewhere.json("account", "list")] == ["ann"]
    with pytest.raises(SecureChatError, match=r"store copy --from sqlite:securechat\.db --to"):
        order("restore", str(file))


def test_a_backup_of_a_relay_that_runs(
    order: Administrator, tmp_path: Path, relay_certificates: Certificates
) -> None:
    relay = RunningRelay(order.config, relay_certificates)
    try:
        relay.account("ann").ask("JOIN #room", "PRIVMSG #room :kept")
        order("backup", str(tmp_path / "chat.tar.gz"))
    finally:
        relay.stop()
    manifest = backups.read_backup(tmp_path / "chat.tar.gz", _folder(tmp_path))
    assert "securechat.db" in manifest.files
    database = StoreConfig(tmp_path / "unpacked" / "securechat.db")
    with desk_on_files(Config(store=database)) as desk:
        texts = desk.write(lambda c: c.execute("SELECT text FROM messages").fetchall())
    assert ("kept",) in texts


def _folder(folder: Path) -> Path:
    made = folder / "unpacked"
    made.mkdir()
    return made


# ---- the lock ----


def test_who_uses_a_database(postgres_url: str, postgres: PostgresServer) -> None:
    url = parse_postgres_url(postgres_url)
    with closing(connect(url)) as one, closing(connect(url)) as other:
        use(one)
        assert not is_shared(one)
        use(other)
        assert is_shared(one)
        leave(other)
        with pytest.raises(StoreError, match="in use by a relay"):
            use_alone(other)
        leave(one)
        use_alone(other)
        with pytest.raises(StoreError, match="in use by a command"):
            use(one)
    with postgres.namespace(tables=False) as another:
        elsewhere = parse_postgres_url(postgres.url(another))
        with closing(connect(url)) as one, closing(connect(elsewhere)) as other:
            use_alone(one)
            use_alone(other)
