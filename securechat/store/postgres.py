"""A connection to PostgreSQL that is used as one to SQLite is.

Only who has chosen PostgreSQL imports this module: it needs the extra ``cluster``.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from securechat.store.connection import Cursor, DatabaseError
from securechat.store.postgres_url import PostgresUrl

__all__ = ["AnsweringConnection", "PostgresConnection", "connect"]

_KNOWN_STATEMENTS: Final = 1024
"""Statements whose form for PostgreSQL is remembered: those of this package, with places to
spare."""

_OLDEST_VERSION: Final = 13  # it can tell whether a transaction has written anything

_READ_ONLY: Final = "25006"  # read_only_sql_transaction

_QUOTED_OR_PLACE: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\?(\d*)""")

T = TypeVar("T")


class AnsweringConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection to a server that must answer in time: one that was stopped does not hang up."""

    answer_timeout_s: float | None = None
    """How long it may take for each statement; ``None`` for as long as it takes."""

    idle: Callable[[], object] | None = None
    """What is called every moment while one waits; it must not take long."""

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Wait for an answer, or raise ``psycopg.OperationalError``."""
        if self.answer_timeout_s is None:
            return super().wait(gen, *args, **kwargs)
        return super().wait(self._in_time(gen, self.answer_timeout_s), *args, **kwargs)

    def _in_time(self, gen: PQGen[T], timeout_s: float) -> PQGen[T]:
        """Do what ``gen`` does, which is resumed every moment, but not for longer."""
        deadline = time.monotonic() + timeout_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready:
                    if time.monotonic() > deadline:
                        raise psycopg.OperationalError(f"no answer within {timeout_s:g} seconds")
                    if self.idle is not None:
                        self.idle()
                wanted = gen.send(ready)
        except StopIteration as end:
            return cast(T, end.value)


class PostgresConnection:
    """A connection for the thread that opened it. Each statement is a transaction, but after BEGIN.

    Every method raises ``DatabaseError``, and blocks for no longer than the server may take to
    answer.
    """

    def __init__(self, raw: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._raw = raw

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        """Execute one statement; all that it finds is here when this returns."""
        with self._errors():
            return psycopg.RawCursor(self._raw).execute(_numbered(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Execute the statement for each of ``parameters``, without waiting after each."""
        cursor = psycopg.RawCursor(self._raw)
        with self._errors():
            cursor.executemany(_numbered(sql), parameters)
        return cursor

    def copy_in(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert many rows, as they come (COPY): several times as fast as INSERT."""
        with self._errors(), psycopg.Cursor(self._raw) as cursor:
            sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
            with cursor.copy(sql.encode()) as copy:
                for row in rows:
                    copy.write_row(row)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and not ended; ``False`` if the server is lost."""
        return self._raw.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        )

    def close(self) -> None:
        """Close the connection; what was not committed is undone. May be called again."""
        self._raw.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            code = error.sqlstate or ""
            unanswered = not code and isinstance(error, psycopg.OperationalError)
            if unanswered or code == _READ_ONLY:
                # Whatever the server may yet say, nobody would know of what. And what has become a
                # standby has handed over to another server.
                self._raw.close()
            raise DatabaseError(_text(error), code, lost=self._raw.closed) from error


def connect(url: PostgresUrl, *, answer_timeout_s: float | None = None) -> PostgresConnection:
    """Connect to the server. Blocks.

    :param answer_timeout_s: how long each statement may take; ``None`` for as long as it takes.
    :raises DatabaseError: the server cannot be reached, does not let us in, or is too old.
    """
    try:
        raw = AnsweringConnection.connect(url.connection_string(), autocommit=True)
    except psycopg.Error as error:
        raise DatabaseError(_text(error), error.sqlstate or "", lost=True) from error
    if raw.info.server_version < _OLDEST_VERSION * 10_000:
        raw.close()
        raise DatabaseError(f"this PostgreSQL is too old: it must be {_OLDEST_VERSION} or newer")
    raw.answer_timeout_s = answer_timeout_s
    return PostgresConnection(raw)


@lru_cache(maxsize=_KNOWN_STATEMENTS)
def _numbered(sql: str) -> str:
    """Return a statement with ``$1``, ``$2``, … in place of each ``?``, but in quotes."""
    numbers = iter(range(1, sql.count("?") + 1))

    def place(found: re.Match[str]) -> str:
        number = found[1]
        if number is None:
            return found[0]
        return f"${number or next(numbers)}"

    return _QUOTED_OR_PLACE.sub(place, sql)


def _text(error: psycopg.Error) -> str:
    """Return what the server says in one line: it adds hints, and where in the statement."""
    return (error.diag.message_primary or str(error)).strip().replace("\n", "; ")
