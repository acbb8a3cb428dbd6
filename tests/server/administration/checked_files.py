"""The files of a relay with which all is well, and what the checks say of them."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from securechat import pki
from securechat.server.administration.desk import desk_on_files
from securechat.server.administration.findings import Check
from securechat.server.config import Config
from securechat.store.database import open_database
from securechat.store.history import Conversation, Entry, History

NOW: Final = datetime.now(UTC).replace(microsecond=0)
HOST: Final = "chat.example.org"

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX notion")


def good_config(folder: Path) -> Config:
    """Return a configuration with which all is well; the certificate is to be made."""
    (folder / "data").mkdir(mode=0o700)
    files = pki.server_files(folder / "certs")
    return change(
        Config(),
        server={"listen": (("127.0.0.1", 0),)},
        tls={"certificate": files.certificate, "key": files.key},
        store={"path": folder / "data" / "relay.db"},
        limits={"connections": 100},
    )


def change(config: Config, **sections: dict[str, Any]) -> Config:
    changed = {name: replace(getattr(config, name), **values) for name, values in sections.items()}
    return replace(config, **changed)


def make_certificate(config: Config, *hosts: str, now: datetime = NOW, days: int = 80) -> None:
    request = pki.Request(hosts=hosts or ("localhost", HOST), days=days)
    pki.provision(config.tls.certificate.parent, request, now=now)


def make_database(config: Config, newest: datetime = NOW) -> None:
    said = Entry(
        *(Conversation("room"), "id", int(newest.timestamp() * 1000), "PRIVMSG"),
        *("a!b@c", "alice", "alice", "#room", "hello", ""),
    )
    with closing(open_database(config.store.path)) as connection:
        History(connection).add([said])


def found(check: Check, config: Config) -> list[str]:
    """Return what a check says of the files, as lines."""
    with desk_on_files(config) as desk:
        return [f"{one.level} {one.text}. {one.advice}" for one in check(desk)]


def one(check: Check, config: Config) -> str:
    (line,) = found(check, config)
    return line
