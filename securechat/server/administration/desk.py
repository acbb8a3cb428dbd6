"""Where the work of a command is done: at a running relay, or on the files of a stopped one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Protocol, TypeVar

from securechat.errors import StoreError
from securechat.server.config import Config
from securechat.server.names import Fold, make_names
from securechat.store.connection import Connection
from securechat.store.database import open_database, read_only, store_errors
from securechat.store.migrations import check_schema, is_up_to_date

if TYPE_CHECKING:
    from securechat.server.relay import Relay

__all__ = ["Desk", "Write", "desk_at", "desk_on_files"]

T = TypeVar("T")


class Write(Protocol):
    """Does a piece of work on the database in one transaction, which is on the disk then."""

    def __call__(self, work: Callable[[Connection], T], /) -> T:
        """Return what ``work`` has returned. Raises ``StoreError`` or what ``work`` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What the work of a command has at hand. Used by one thread; its work may block.

    :param write: see ``Write``; as ``StoreThread.submit`` says what ``work`` must not do.
    :param relay: the one that runs; ``None`` where the work is done on the files: what was written
        is all there is to do then, as a relay that starts reads it.
    :param output: a file that the person wants written; for tools that ask for one.
    """

    config: Config
    write: Write
    relay: Relay | None = None
    output: IO[bytes] | None = None

    @property
    def fold(self) -> Fold:
        """Return how names become keys."""
        return make_names(self.config.server.casemapping).fold

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970 UTC."""
        return int(self.now().timestamp() * 1000)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection on which the database stays as it is now; for reading only.

        The relay goes on meanwhile: what it writes is not seen. A database of an older version is
        brought up to date before. Raises ``StoreError``, also where there is no database yet.
        """
        path = self.config.store.path
        if not path.exists():
            raise StoreError("there is no database {path} yet", path=path)
        with read_only(path) as connection:
            check_schema(connection, path)
            if not is_up_to_date(connection):
                self.write(lambda connection: None)
            connection.execute("BEGIN")
            yield connection


def desk_at(relay: Relay, output: IO[bytes] | None) -> Desk:
    """Return the desk in a running relay."""
    return Desk(relay.services.config, relay.services.store.call, relay, output)


@contextlib.contextmanager
def desk_on_files(config: Config, output: IO[bytes] | None = None) -> Iterator[Desk]:
    """Give a desk on the files of a relay that is stopped; none can start meanwhile.

    The database is opened, and made, at the first write.

    :raises StoreError: while it is used, if the database cannot be, as when a relay runs that does
        not answer.
    """
    with contextlib.ExitStack() as opened:
        found: list[sqlite3.Connection] = []

        def write(work: Callable[[Connection], T], /) -> T:
            if not found:
                found.append(opened.enter_context(closing(open_database(config.store.path))))
            with _transaction(found[0]):
                return work(found[0])

        yield Desk(config, write, None, output)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    with store_errors("write the database"):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
