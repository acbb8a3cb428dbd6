"""A whole relay on PostgreSQL: what lasts, and what goes on while the server is away."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest

from securechat.errors import StoreError
from securechat.server.config import Config, StoreConfig
from securechat.store.postgres_url import parse_postgres_url
from tests.server.relay_harness import Certificates, RunningRelay, commands, make_config, running
from tests.services.postgres import PostgresServer

CAPS = ("draft/chathistory", "draft/metadata-2", "message-tags", "batch")


@pytest.fixture
def config(relay_certificates: Certificates, tmp_path: Path, postgres_url: str) -> Config:
    made = make_config(relay_certificates, tmp_path / "files" / "relay.db")
    url = parse_postgres_url(postgres_url)
    return dataclasses.replace(made, store=StoreConfig(made.store.path, url))


def test_what_was_kept_is_there_after_a_restart(
    config: Config, relay_certificates: Certificates
) -> None:
    with running(config, relay_certificates) as relay:
        ann = relay.account("ann", *CAPS)
        ann.ask("JOIN #den", "TOPIC #den :Où ça", "METADATA #den SET site :example")
        ann.ask("PRIVMSG #den :the first", "PRIVMSG #den :the second")
        ann.quit()
    with running(config, relay_certificates) as relay:
        ann = relay.login("ann", *CAPS)
        ann.ask("JOIN #den")
        found = ann.ask("CHATHISTORY LATEST #den * 10", "TOPIC #den", "METADATA #den GET site")
        text = "\n".join(found)
        for kept in ("the first", "the second", "Où ça", "example"):
            assert text.count(kept) == 1, kept
    assert not config.store.path.exists()


def test_the_chat_goes_on_while_the_server_is_away(
    config: Config, relay_certificates: Certificates, postgres: PostgresServer
) -> None:
    with running(config, relay_certificates) as relay:
        ann, bob = relay.account("ann", *CAPS), relay.account("bob")
        for each in (ann, bob):
            each.ask("JOIN #den")
        postgres.stop()
        ann.send("PRIVMSG #den :is anybody there")
        assert "is anybody there" in bob.expect("PRIVMSG").params
        postgres.start()
        recover(relay)
        assert "FAIL" not in commands(ann.ask("METADATA * SET color :#f80"))


def recover(relay: RunningRelay) -> None:
    store = relay.relay.services.store
    while store.trouble:
        store.try_again()
        with contextlib.suppress(StoreError):
            store.call(lambda connection: None)
