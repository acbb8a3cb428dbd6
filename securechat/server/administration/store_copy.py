"""``store copy``: all that a relay keeps, from SQLite to PostgreSQL and back.

Neither database is used by a relay meanwhile. The one that is copied stays as it is; the other one
is empty, and has all in the end or nothing. Of several relays that have been stopped in good order
the database holds the whole state; what is in the stream beside it is of no use without them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from securechat.errors import ConfigError, StoreError
from securechat.server.administration.backup_file import TEMPORARY_PREFIXES
from securechat.server.administration.desk import Desk
from securechat.server.administration.output import columns, say, say_json, warn
from securechat.server.administration.tool import Arguments, Tool
from securechat.server.config import Config
from securechat.server.databases import postgres_url
from securechat.store.connection import Connection
from securechat.store.copying import copy_all, filled_tables
from securechat.store.database import (
    database_locked,
    give_to_owner_of,
    open_database,
    read_only,
    store_errors,
)
from securechat.store.migrations import check_schema, is_up_to_date
from securechat.store.postgres_url import PostgresUrl, parse_postgres_url

__all__ = ["TOOLS", "Place", "new_file"]

Place = Path | PostgresUrl
"""Where a database is."""

_FILE: Final = "sqlite:"

*_, _UNFINISHED = TEMPORARY_PREFIXES

_TELL_EVERY_S: Final = 1.0
"""How often it is told how far it is, in seconds."""


def _configure(parser: argparse.ArgumentParser) -> None:
    where = "sqlite:FILE or postgresql://…"
    parser.add_argument("--from", dest="source", required=True, metavar="URL", help=where)
    parser.add_argument("--to", dest="target", required=True, metavar="URL", help=where)
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="with the password of PostgreSQL on its first line, which others cannot see then",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _prepare(options: argparse.Namespace, config: Config) -> Arguments:
    file = str(options.password_file) if options.password_file is not None else None
    return {"from": options.source, "to": options.target, "password_file": file}


def _copy(desk: Desk, arguments: Arguments) -> dict[str, Any]:
    given = arguments["password_file"]
    password_file = Path(given) if given is not None else None
    source = _parse("--from", str(arguments["from"]), password_file)
    target = _parse("--to", str(arguments["to"]), password_file)
    began = time.monotonic()
    with _reading(source) as readable, _filling(target) as writable:
        rows = copy_all(readable, writable, _Teller())
    return {
        "from": _words(source),
        "to": _words(target),
        "rows": rows,
        "seconds": round(time.monotonic() - began, 3),
    }


def _parse(option: str, text: str, password_file: Path | None) -> Place:
    """Return where a database is.

    :raises ConfigError: the text does not say it; no password of it is in the error.
    """
    if text.startswith(_FILE) and len(text) > len(_FILE):
        return Path(os.path.realpath(text.removeprefix(_FILE)))
    if "://" not in text:
        raise ConfigError([f"{option}: sqlite:FILE, or an address that begins with postgresql://"])
    try:
        return postgres_url(parse_postgres_url(text), password_file)
    except StoreError as error:
        raise ConfigError([f"{option}: {error}"]) from error


def _words(place: Place) -> str:
    return str(place) if isinstance(place, PostgresUrl) else f"{_FILE}{place}"


@contextlib.contextmanager
def _reading(place: Place) -> Iterator[Connection]:
    """Give a connection to a database that stays as it is, as no relay uses it."""
    if isinstance(place, PostgresUrl):
        # Only here: what is imported with it is an extra.
        from securechat.store.postgres_whole import reading

        with reading(place, alone=True) as server:
            yield server
        return
    if not place.exists():
        raise StoreError("there is no database {path}", path=place)
    with database_locked(place), read_only(place) as connection:
        check_schema(connection, place)
        if not is_up_to_date(connection):
            raise StoreError(
                "{path} is of an older version: start a relay of this version with it once",
                path=place,
            )
        connection.execute("BEGIN")
        yield connection


@contextlib.contextmanager
def _filling(place: Place) -> Iterator[Connection]:
    """Give a connection to an empty database, which has what is written to it if all goes well."""
    if not isinstance(place, PostgresUrl):
        if os.path.lexists(place):
            raise StoreError("there is something already: {path}", path=place)
        with new_file(place) as connection:
            yield connection
        return
    from securechat.store.postgres_whole import filling

    with filling(place) as server:
        filled = filled_tables(server)
        if filled:
            raise StoreError(
                "the database {database} must be empty, but there is something in {tables}",
                database=place,
                tables=", ".join(filled),
            )
        yield server


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Connection]:
    """Give a connection to a new database, which is at ``path`` in the end if all goes well.

    No relay can open it before. Raises ``StoreError`` if it cannot be written.
    """
    with (
        database_locked(path),
        store_errors(f"write {path}"),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=_UNFINISHED) as folder,
    ):
        made = Path(folder, path.name)
        with closing(open_database(made)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # it is dropped if anything goes wrong
            yield connection
        with made.open("rb+") as file:
            os.fsync(file.fileno())
            give_to_owner_of(path.parent, file.fileno())
        made.replace(path)


class _Teller:
    """Tells a person from time to time how far it is."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + _TELL_EVERY_S

    def __call__(self, table: str, rows: int) -> None:
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + _TELL_EVERY_S
            warn(f"{table}: {rows:,} copied")


def _show(result: Any, options: argparse.Namespace) -> int:
    if options.json:
        say_json(result)
        return 0
    rows = [(name, f"{count:,}") for name, count in result["rows"].items()]
    for line in columns([("TABLE", "ROWS"), *rows]):
        say(line)
    say(f"{result['to']} has all of {result['from']}, which is as it was")
    return 0


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        "store copy",
        "Copy all that is kept from SQLite to PostgreSQL, or back, while no relay runs.",
        _copy,
        _show,
        _configure,
        _prepare,
        at_relay=False,
    ),
)
"""The tools of this group."""
