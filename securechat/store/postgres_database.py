"""PostgreSQL as the store's engine: a server that several relays write to, and that may go away.

One connection is used at a time. It comes from a pool for what a pool does besides: it connects
anew in a thread of its own, so that nobody waits for a server that does not answer for longer than
is said here, and it replaces a connection now and then, so that none is kept to a server that has
handed over to another one.

Two relays may write at once, each sees what the other has committed (READ COMMITTED), and who
would change the same row waits. What is read first and then written must allow for that; the
classes of this package do. Where two wait for each other PostgreSQL fails one, which is done again.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

from psycopg_pool import ConnectionPool, PoolTimeout

from securechat.errors import StoreError
from securechat.store.connection import Connection, DatabaseError
from securechat.store.database import store_errors
from securechat.store.engine import OutcomeUnknown
from securechat.store.postgres import AnsweringConnection, PostgresConnection, connect
from securechat.store.postgres_migrations import migrate
from securechat.store.postgres_url import PostgresUrl
from securechat.store.postgres_use import is_shared, leave, use

__all__ = ["ANSWER_TIMEOUT_S", "REACH_TIMEOUT_S", "PostgresDatabase"]

REACH_TIMEOUT_S: Final = 5.0
"""How long a transaction waits for a server that cannot be reached, in seconds. A server that is
restarted, or hands over to its standby, is back within that; a login may take so long."""

ANSWER_TIMEOUT_S: Final = 10.0
"""How long the server may take for one statement, in seconds, the locks of others included; a
search in a large history needs one. Then the connection is given up."""

_STATEMENT_SHARE: Final = 0.8
"""Of ``ANSWER_TIMEOUT_S``, what the server gives a statement: it ends what is in vain before we do.
"""

_SILENCE_SHARE: Final = 0.4
"""Of ``ANSWER_TIMEOUT_S``, what the server gives us between two statements of a transaction: what a
relay has locked that is gone is free again before others give up."""

_RECONNECT_S: Final = 2.0
"""For how long the pool tries to connect with pauses that become longer; asked again it begins
anew, so that a server is found a second after it is back."""

_LIFETIME_S: Final = 1800.0
"""For how long a connection is used."""

_MOMENT_S: Final = 0.05
"""How often ``idle`` is called while one waits for a connection, in seconds."""

_CONNECT_EVERY_S: Final = 1.0
"""How often a server that is to be waited for is tried when the database is opened, in seconds."""

_TRY_EVERY_S: Final = 0.5
"""How often one in a hurry waits for such a moment: the pool only connects while it is asked."""

_PASSING: Final = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_TROUBLES: Final = ("08", "25006", "28", "3D", "53", "57P", "58", "XX")
"""SQLSTATEs, by their beginning: lost, read-only, no login, no such database, no resources, shut
down, system errors, damages. https://www.postgresql.org/docs/current/errcodes-appendix.html"""

# Of relays that have ended: each start adds one.
_FORGET_WRITERS: Final = "DELETE FROM last_commits WHERE at < now() - interval '1 year'"

# There from the start, so that it can be waited for.
_NOTE_WRITER: Final = "INSERT INTO last_commits (writer, number, at) VALUES (?, 0, now())"

# Only a transaction that has written something has a number.
_NOTE_COMMIT: Final = (
    "INSERT INTO last_commits (writer, number, at) SELECT ?, ?::bigint, now()"
    " WHERE pg_current_xact_id_if_assigned() IS NOT NULL"
    " ON CONFLICT (writer) DO UPDATE SET number = excluded.number, at = excluded.at"
)

# When COMMIT returns it is on the disk, whatever the administrator has chosen for others.
_ON_DISK: Final = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)

# Waits for a COMMIT that is still being done for the connection that was lost.
_FIND_COMMIT: Final = "SELECT number FROM last_commits WHERE writer = ? FOR UPDATE"

_log = logging.getLogger(__name__)


class _Unreachable(DatabaseError):
    """There is no connection, and there was none for as long as one waits."""


class _Again(DatabaseError):
    """A part of the transaction is to be undone, for which it has to be begun anew."""


class PostgresDatabase:
    """A ``Database`` on the server of ``url``, in which the schema is made if it is missing.

    Of a transaction whose connection breaks in the COMMIT it finds out what has become of it, by a
    row that each transaction writes; only one that was not kept counts as failed.

    :param alone: whether it is refused to open a database that others use (``postgres_use``). Who
        comes later may be let in nevertheless: they too have to ask.
    :param start_timeout_s: how long ``open`` waits for a server that lets nobody in.
    """

    def __init__(
        self,
        url: PostgresUrl,
        *,
        alone: bool = False,
        start_timeout_s: float = 0.0,
        reach_timeout_s: float = REACH_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._url = url
        self._alone = alone
        self._start_timeout_s = start_timeout_s
        self._reach_timeout_s = reach_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._writer = secrets.token_hex(16)
        self._number = 0  # of the last transaction of ours
        self._pool: ConnectionPool[AnsweringConnection] | None = None
        self._raw: AnsweringConnection | None = None  # while a transaction lasts
        self._connection: PostgresConnection | None = None
        self._idle: Callable[[], object] = int  # does nothing
        self._careful = False  # whether this transaction has savepoints
        self._hurried = False
        self._next_try = 0.0  # in a hurry; by time.monotonic()

    def open(self, idle: Callable[[], None]) -> None:
        """Connect, and make or upgrade the schema, unless another relay does."""
        self._idle = idle
        # What goes wrong is said here once, and not for each attempt.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        with store_errors(f"open the database {self._url}"):
            connection = self._connect()
            try:
                use(connection)
                migrate(connection)
                connection.execute(_FORGET_WRITERS)
                connection.execute(_NOTE_WRITER, (self._writer,))
                leave(connection)
            finally:
                connection.close()
            self._pool = ConnectionPool(
                self._url.connection_string(),
                connection_class=AnsweringConnection,
                kwargs={"autocommit": True},
                configure=self._configure,
                min_size=1,
                max_size=1,
                max_lifetime=_LIFETIME_S,
                reconnect_timeout=_RECONNECT_S,
                num_workers=1,
                name="store",
                open=False,
            )
            self._pool.open()
            try:
                self._check_use(self._take(time.monotonic() + self._reach_timeout_s))
            except BaseException:
                self.close()
                raise
            self._give_back()

    def begin(self, *, writing: bool = True) -> Connection:
        """Begin a transaction; waits for a server that is away, up to ``reach_timeout_s``."""
        deadline = time.monotonic() + self._patience_s()
        while True:
            connection = self._take(deadline)
            try:
                connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            except DatabaseError as error:
                self._give_back()
                if not error.lost or time.monotonic() > deadline:
                    raise
                # It was lost while nobody used it: nothing was begun.
            else:
                return connection

    def commit(self) -> bool:
        """Commit; finds out whether it was done, should the connection break meanwhile."""
        connection = self._used
        self._number += 1
        values = (self._writer, self._number)
        wrote = connection.execute(_NOTE_COMMIT, values).rowcount == 1
        try:
            connection.execute("COMMIT")
        except DatabaseError as error:
            if not error.lost:
                raise
            self._give_back()
            if wrote and not self._was_committed():
                raise
        self._careful = False
        self._give_back()
        return wrote

    def roll_back(self) -> None:
        """Undo the transaction, if there is one, and go on with another connection if need be."""
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except DatabaseError as error:
                _log.warning("the store could not roll back: %s", error)
        self._give_back()

    @property
    def in_transaction(self) -> bool:
        """Whether the connection is there still, and in the transaction."""
        return self._connection is not None and self._connection.in_transaction

    def save(self) -> None:
        """Set a savepoint, if anything has failed the first time.

        It would be three times as many round trips, and PostgreSQL keeps but 64 of them at hand.
        """
        if self._careful:
            self._used.execute("SAVEPOINT task")

    def undo(self) -> None:
        """Go back to the savepoint; without one the transaction is done again, with them."""
        if not self._careful:
            self._careful = True
            raise _Again("a part of it is to be undone")
        self._used.execute("ROLLBACK TO SAVEPOINT task")

    def release(self) -> None:
        """Take the savepoint away; without one, see that the transaction is there still."""
        if self._careful:
            self._used.execute("RELEASE SAVEPOINT task")
        elif not self.in_transaction:
            raise DatabaseError("the transaction was ended in the middle of it")

    def write_nothing(self, connection: Connection) -> None:
        """Have the transaction a number, so that ``commit`` writes it."""
        connection.execute("SELECT pg_current_xact_id()::text")

    def hurry(self, hurried: bool) -> None:
        """Wait for no server, or for as long as is usual; locks of others do not last here."""
        self._hurried = hurried

    def is_error(self, error: BaseException) -> bool:
        """Whether PostgreSQL, or its client, has raised it."""
        return isinstance(error, DatabaseError)

    def is_trouble(self, error: BaseException | None) -> bool:
        """Whether the server is lost, or cannot do what it should, by the code that it gives."""
        found = _database_error(error)
        return isinstance(error, OutcomeUnknown) or (
            found is not None
            and (found.lost or isinstance(found, _Unreachable) or found.code.startswith(_TROUBLES))
        )

    def is_passing(self, error: BaseException) -> bool:
        """Whether another relay was in the way, or the connection broke before the COMMIT."""
        if isinstance(error, OutcomeUnknown):  # it may have been kept
            return False
        found = _database_error(error)
        return found is not None and (
            found.lost or isinstance(found, _Again) or found.code in _PASSING
        )

    def close(self) -> None:
        """Close the connection, and the pool. May be called again."""
        self._give_back()
        if self._pool is not None:
            self._pool.close(timeout=self._reach_timeout_s)
            self._pool = None

    def _connect(self) -> PostgresConnection:
        """Connect for the first time: the server may still be starting, as after a power cut."""
        deadline = time.monotonic() + self._start_timeout_s
        told = False
        while True:
            try:
                return connect(self._url)
            except DatabaseError as error:
                if not error.lost or time.monotonic() >= deadline:
                    raise
                if not told:
                    _log.warning("waiting for the database: %s", error)
                    told = True
            again = time.monotonic() + _CONNECT_EVERY_S
            while time.monotonic() < again:
                time.sleep(_MOMENT_S)
                self._idle()

    def _configure(self, raw: AnsweringConnection) -> None:
        """Prepare a new connection; on the thread of the pool."""
        timeout_ms = self._answer_timeout_s * 1000
        statement_ms, silence_ms = timeout_ms * _STATEMENT_SHARE, timeout_ms * _SILENCE_SHARE
        raw.answer_timeout_s = self._answer_timeout_s
        connection = PostgresConnection(raw)
        use(connection)
        connection.execute(f"SET statement_timeout = {statement_ms:.0f}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {silence_ms:.0f}")
        connection.execute(_ON_DISK)

    def _check_use(self, connection: Connection) -> None:
        if self._alone and is_shared(connection):
            raise StoreError(
                "the database {database} is in use by another relay: stop that one first, or give "
                "this one a database of its own; several relays of one chat need [cluster]. A "
                "command that writes there is done in a moment",
                database=self._url,
            )

    @property
    def _used(self) -> PostgresConnection:
        assert self._connection is not None, "there is no transaction"
        return self._connection

    def _patience_s(self) -> float:
        """Return how long a transaction may wait for a connection; raises if not at all."""
        assert self._pool is not None, "it is not open"
        if not self._hurried or self._pool.get_stats()["pool_available"]:
            return self._reach_timeout_s
        if time.monotonic() < self._next_try:
            raise self._unreachable()
        self._next_try = time.monotonic() + _TRY_EVERY_S
        return _MOMENT_S

    def _take(self, deadline: float) -> PostgresConnection:
        """Take the connection out of the pool, which may have to make one first."""
        assert self._pool is not None, "it is not open"
        while self._raw is None:
            try:
                self._raw = self._pool.getconn(_MOMENT_S)
            except PoolTimeout as error:
                if time.monotonic() >= deadline:
                    raise self._unreachable() from error
                self._idle()
        self._raw.idle = self._idle
        self._connection = PostgresConnection(self._raw)
        return self._connection

    def _unreachable(self) -> _Unreachable:
        return _Unreachable(f"{self._url} cannot be reached")

    def _give_back(self) -> None:
        raw, self._raw, self._connection = self._raw, None, None
        if raw is not None and self._pool is not None:
            raw.idle = None
            self._pool.putconn(raw)

    def _was_committed(self) -> bool:
        """Tell whether the transaction was kept whose connection has broken in the COMMIT."""
        deadline = time.monotonic() + self._reach_timeout_s
        while True:
            try:
                row = self._take(deadline).execute(_FIND_COMMIT, (self._writer,)).fetchone()
            except DatabaseError as error:
                if error.lost and time.monotonic() < deadline:
                    continue
                raise OutcomeUnknown(
                    "{database} was lost as it was to keep this: whether it did is not known",
                    database=self._url,
                ) from error
            finally:
                self._give_back()
            return row is not None and row[0] == self._number


def _database_error(error: BaseException | None) -> DatabaseError | None:
    while error is not None and not isinstance(error, DatabaseError):
        error = error.__cause__
    return error
