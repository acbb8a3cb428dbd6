"""The store on either engine: the tests of what it promises are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from securechat.store.connection import Connection
from securechat.store.database import open_database
from tests.store.rivals import run_in_background

T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    """A connection to a new database of this engine."""
    if request.param == "sqlite":
        opened = open_database(tmp_path / "relay.db")
    else:
        url = request.getfixturevalue("postgres_url")
        from securechat.store.postgres import connect
        from securechat.store.postgres_url import parse_postgres_url

        opened = connect(parse_postgres_url(url))
    with closing(opened) as connection:
        yield connection


@pytest.fixture
def other(postgres_url: str) -> Iterator[Connection]:
    """One more connection to the PostgreSQL of the test: that of another relay."""
    from securechat.store.postgres import connect
    from securechat.store.postgres_url import parse_postgres_url

    with closing(connect(parse_postgres_url(postgres_url))) as connection:
        yield connection


@pytest.fixture
def in_background() -> Callable[[Callable[[], T]], Callable[[], T]]:
    """Begins work in a thread; returns what waits for its value."""
    return run_in_background
