"""Where the work of a command is done: at a running relay, or on the database of a stopped one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, Protocol, TypeVar

from securechat.errors import StoreError
from securechat.server.config import Config, StoreConfig
from securechat.server.databases import database_of, postgres_url
from securechat.server.names import Fold, make_names
from securechat.store.connection import Connection
from securechat.store.database import read_only, store_errors
from securechat.store.engine import Database
from securechat.store.migrations import check_schema, is_up_to_date

if TYPE_CHECKING:
    from securechat.server.relay import Relay

__all__ = ["Desk", "Write", "desk_at", "desk_on_files"]

T = TypeVar("T")

_FOR_RELAYS: Final = (
    "all relays of [cluster] have to hear of this, and none runs with this configuration on this "
    "machine: give the command where one of them runs, as its user or root, or start one"
)


class Write(Protocol):
    """Does a piece of work on the database in one transaction, which is on the disk then."""

    def __call__(self, work: Callable[[Connection], T], /) -> T:
        """Return what ``work`` has returned. Raises ``StoreError`` or what ``work`` raises."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What the work of a command has at hand. Used by one thread; its work may block.

    :param write: see ``Write``; as ``StoreThread.submit`` says what ``work`` must not do.
    :param relay: the one that runs; ``None`` where the work is done on its database: what was
        written is all there is to do then, as a relay that starts reads it.
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

        The relay goes on meanwhile: what it writes is not seen. A file of an older version is
        brought up to date before. Raises ``StoreError``, also where there is no database yet.
        """
        if self.config.store.url is not None:
            with _reading_server(self.config.store) as server:
                yield server
            return
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
    """Give a desk on the database of a relay that is stopped; none can start meanwhile.

    The database is opened, and made, at the first write. That of several relays is only read: what
    changes has to be told to all of them.

    :raises StoreError: while it is used, if the database cannot be, as when a relay runs that does
        not answer.
    """
    with contextlib.ExitStack() as opened:
        found: list[Database] = []

        def write(work: Callable[[Connection], T], /) -> T:
            if config.cluster.nats:
                raise StoreError(_FOR_RELAYS)
            if not found:
                database = database_of(config.store, alone=True)
                opened.callback(database.close)
                database.open(_wait)
                found.append(database)
            return _transaction(found[0], work)

        yield Desk(config, write, None, output)


def _transaction(database: Database, work: Callable[[Connection], T]) -> T:
    with store_errors("write the database"):
        try:
            result = work(database.begin())
        except BaseException:
            database.roll_back()
            raise
        database.commit()
        return result


def _wait() -> None:
    """There is nothing else to do while a server is waited for."""


@contextlib.contextmanager
def _reading_server(store: StoreConfig) -> Iterator[Connection]:
    # Only here: what is imported with it is an extra.
    from securechat.store.postgres_whole import reading

    assert store.url is not None
    with reading(postgres_url(store.url, store.password_file)) as connection:
        yield connection
