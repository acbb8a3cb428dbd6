"""Who uses a database in PostgreSQL: what the lock file beside it tells of SQLite.

It is an advisory lock of the server's, of the namespace in which the tables are. Each relay has it
*shared*, for as long as it has its connection; so several can use one database. Who needs the
database to stay as it is has it alone. The lock ends with the connection, however that ends; the
server is told to notice within half a minute when the machine of a relay is gone.

While a relay has lost its connection it does not hold the lock either. Where others take it alone
meanwhile, the relay is not let in before they are done.
"""

from __future__ import annotations

from typing import Final

from securechat.errors import StoreError
from securechat.store.connection import Connection

__all__ = ["NAMESPACE", "is_shared", "leave", "use", "use_alone"]

_CLASS: Final = 0x53437573
"""The first number of the lock, "SCus"; the second is of the namespace."""

NAMESPACE: Final = "hashtext(coalesce(current_schema(), ''))"
"""The second number of a lock, in SQL: the database may be that of other chats too, each with its
tables in a namespace of its own."""

_NOTICE_SILENCE: Final = (
    "SELECT set_config('tcp_keepalives_idle', '10', false),"
    " set_config('tcp_keepalives_interval', '5', false),"
    " set_config('tcp_keepalives_count', '3', false)"
)

_OTHERS: Final = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND classid::bigint = ? AND objid::bigint = {NAMESPACE}::bigint & 4294967295"
    " AND pid <> pg_backend_pid() LIMIT 1"
)


def use(connection: Connection) -> None:
    """Use the database as others may, until the connection ends.

    Raises ``StoreError`` if somebody has it alone.
    """
    connection.execute(_NOTICE_SILENCE)
    if not _lock(connection, "pg_try_advisory_lock_shared"):
        raise StoreError(
            "the database is in use by a command, or is being copied: try again when that is done"
        )


def is_shared(connection: Connection) -> bool:
    """Whether others use the database too."""
    return connection.execute(_OTHERS, (_CLASS,)).fetchone() is not None


def use_alone(connection: Connection) -> None:
    """Keep all others out until the connection ends. Raises ``StoreError`` if there are any."""
    connection.execute(_NOTICE_SILENCE)
    if not _lock(connection, "pg_try_advisory_lock"):
        raise StoreError(
            "the database is in use by a relay, or by a command: stop all that use it first. Of a "
            "relay whose machine is gone that is known half a minute later"
        )


def leave(connection: Connection) -> None:
    """Use the database no more; for a connection that goes on, or whose end might come too late."""
    connection.execute("SELECT pg_advisory_unlock_all()::text")


def _lock(connection: Connection, function: str) -> bool:
    sql = f"SELECT {function}(?::integer, {NAMESPACE})"
    (locked,) = connection.execute(sql, (_CLASS,)).fetchone()
    return bool(locked)
