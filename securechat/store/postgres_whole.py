"""A whole database in PostgreSQL: read as it is at one moment, or filled at once.

For commands, which have it to themselves or see nothing of what relays write meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from securechat.errors import StoreError
from securechat.store.database import store_errors
from securechat.store.postgres import PostgresConnection, connect
from securechat.store.postgres_migrations import MIGRATIONS, migrate, schema_version
from securechat.store.postgres_url import PostgresUrl
from securechat.store.postgres_use import use_alone

__all__ = ["filling", "reading"]

# Nobody waits for it but a person.
_TAKE_TIME: Final = (
    "SELECT set_config('statement_timeout', '0', false),"
    " set_config('idle_in_transaction_session_timeout', '0', false)"
)


@contextlib.contextmanager
def reading(url: PostgresUrl, *, alone: bool = False) -> Iterator[PostgresConnection]:
    """Give a connection on which the database stays as it is now; for reading only. Blocks.

    :param alone: whether nobody else may use it meanwhile, and it is refused if somebody does.

    Raises ``StoreError`` if it cannot be read, also while it is used, or has another schema.
    """
    with (
        store_errors(f"read the database {url}"),
        contextlib.closing(connect(url)) as connection,
    ):
        if alone:
            use_alone(connection)
        connection.execute(_TAKE_TIME)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        version = schema_version(connection)
        if version != len(MIGRATIONS):
            raise StoreError(
                "the database {database} has schema version {version}, this securechat needs "
                "{known}: a relay of this version brings an older one up to date",
                database=url,
                version=version,
                known=len(MIGRATIONS),
            )
        yield connection


@contextlib.contextmanager
def filling(url: PostgresUrl) -> Iterator[PostgresConnection]:
    """Give a connection in a transaction that fills the database, which is made; all or nothing.

    Nobody else may use it meanwhile, and it is refused if somebody does. Blocks. Raises
    ``NewerSchemaError``, or ``StoreError`` if it cannot be written, also while it is used.
    """
    with (
        store_errors(f"write the database {url}"),
        contextlib.closing(connect(url)) as connection,
    ):
        use_alone(connection)
        connection.execute(_TAKE_TIME)
        migrate(connection)
        connection.execute("BEGIN")
        yield connection
        connection.execute("SET LOCAL synchronous_commit = on")  # whatever is set for others
        connection.execute("COMMIT")
