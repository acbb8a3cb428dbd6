"""The schema in PostgreSQL: an append-only list, as ``migrations`` is for SQLite.

A database of version n, which is the number in ``schema_version``, has had the first n migrations.
To change the schema, append one; never edit or reorder those that were released. All that are
lacking are run in one transaction, under a lock that all relays take: several may start at once,
and the first of them does it.

The tables are those of SQLite, so that the classes of this package find the same columns in both.
Text is compared byte by byte (``COLLATE "C"``), as SQLite does it, whatever the language of the
database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from securechat.errors import NewerSchemaError, StoreError
from securechat.store.connection import DatabaseError
from securechat.store.postgres import PostgresConnection

__all__ = ["LOCK", "MIGRATIONS", "migrate", "schema_version"]

LOCK: Final = 0x53436874
"""The number of the lock: "SCht". It is of one database, whoever else uses the server."""

ACCOUNTS: Final = (
    # Times are seconds since 1970, UTC. `folded_name` is the name by which it is looked up.
    # `suspended` is why nobody may log in; NULL where everybody who can may.
    """
    CREATE TABLE accounts (
        folded_name TEXT COLLATE "C" PRIMARY KEY,
        name TEXT NOT NULL,
        password_hash TEXT NOT NULL,
        scram TEXT NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        last_login_at DOUBLE PRECISION,
        suspended TEXT
    )
    """,
    """
    CREATE TABLE relay_secrets (
        name TEXT COLLATE "C" PRIMARY KEY,
        value BYTEA NOT NULL
    )
    """,
    # `code_hash` is the SHA-256 of the code. `account`: the only one that the invite can register,
    # as it is to be written; `room`: which whoever has registered with it may enter.
    """
    CREATE TABLE invites (
        code_hash BYTEA PRIMARY KEY,
        uses_left INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL,
        created_at DOUBLE PRECISION NOT NULL,
        account TEXT,
        room TEXT
    )
    """,
    # From here on times are milliseconds since 1970, UTC.
    """
    CREATE TABLE account_settings (
        account TEXT COLLATE "C" NOT NULL,
        key TEXT COLLATE "C" NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (account, key)
    )
    """,
    # `fingerprint` is the SHA-256 of a certificate in lower-case hex.
    """
    CREATE TABLE account_certificates (
        fingerprint TEXT COLLATE "C" PRIMARY KEY,
        account TEXT COLLATE "C" NOT NULL,
        label TEXT NOT NULL,
        added_ms BIGINT NOT NULL
    )
    """,
    "CREATE INDEX certificates_of_account ON account_certificates (account)",
    """
    CREATE TABLE peer_devices (
        account TEXT COLLATE "C" NOT NULL,
        fingerprint TEXT COLLATE "C" NOT NULL,
        certificate BYTEA NOT NULL,
        first_ms BIGINT NOT NULL,
        last_ms BIGINT NOT NULL,
        PRIMARY KEY (account, fingerprint)
    )
    """,
    """
    CREATE TABLE read_markers (
        account TEXT COLLATE "C" NOT NULL,
        target TEXT COLLATE "C" NOT NULL,
        at_ms BIGINT NOT NULL,
        PRIMARY KEY (account, target)
    )
    """,
    "CREATE INDEX read_markers_of_target ON read_markers (target)",
)

CHAT: Final = (
    # `modes` is a JSON object of letters and their parameters. `history_days` is 0 where nothing is
    # kept, NULL where no other time is set than for all rooms.
    """
    CREATE TABLE rooms (
        uid TEXT COLLATE "C" PRIMARY KEY,
        folded_name TEXT COLLATE "C" NOT NULL UNIQUE,
        name TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        owner TEXT COLLATE "C",
        topic TEXT NOT NULL,
        topic_by TEXT NOT NULL,
        topic_ms BIGINT NOT NULL,
        modes TEXT NOT NULL,
        history_days INTEGER
    )
    """,
    """
    CREATE TABLE room_lists (
        room TEXT COLLATE "C" NOT NULL REFERENCES rooms (uid) ON DELETE CASCADE,
        letter TEXT COLLATE "C" NOT NULL,
        folded_mask TEXT COLLATE "C" NOT NULL,
        mask TEXT NOT NULL,
        set_by TEXT NOT NULL,
        at_ms BIGINT NOT NULL,
        PRIMARY KEY (room, letter, folded_mask)
    )
    """,
    """
    CREATE TABLE room_people (
        room TEXT COLLATE "C" NOT NULL REFERENCES rooms (uid) ON DELETE CASCADE,
        account TEXT COLLATE "C" NOT NULL,
        ranks TEXT NOT NULL,
        since_ms BIGINT NOT NULL,
        present INTEGER NOT NULL,
        PRIMARY KEY (room, account)
    )
    """,
    """
    CREATE TABLE metadata (
        subject TEXT COLLATE "C" NOT NULL,
        key TEXT COLLATE "C" NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (subject, key)
    )
    """,
    # `kind` says what `mask` is compared with. `expires_ms` is NULL for a ban without an end.
    """
    CREATE TABLE bans (
        kind TEXT COLLATE "C" NOT NULL,
        folded_mask TEXT COLLATE "C" NOT NULL,
        mask TEXT NOT NULL,
        reason TEXT NOT NULL,
        set_by TEXT NOT NULL,
        set_ms BIGINT NOT NULL,
        expires_ms BIGINT,
        PRIMARY KEY (kind, folded_mask)
    )
    """,
)

HISTORY: Final = (
    # A conversation without a key was deleted, and its messages are yet to go.
    """
    CREATE TABLE conversations (
        id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        key TEXT COLLATE "C" UNIQUE,
        party TEXT COLLATE "C",
        other_party TEXT COLLATE "C"
    )
    """,
    "CREATE INDEX conversations_of_party ON conversations (party)",
    "CREATE INDEX conversations_of_other_party ON conversations (other_party)",
    # `id` is the time, shifted left by 16 bits, and a number within that millisecond: where the log
    # says that it belongs. `words` are those of the text, and who has said it where, for the
    # search; NULL where there is nothing to find.
    """
    CREATE TABLE messages (
        id BIGINT NOT NULL,
        conversation BIGINT NOT NULL REFERENCES conversations (id),
        msgid TEXT COLLATE "C" NOT NULL,
        kind TEXT COLLATE "C" NOT NULL,
        source TEXT NOT NULL,
        sender TEXT COLLATE "C" NOT NULL,
        account TEXT COLLATE "C",
        detail TEXT NOT NULL,
        text TEXT NOT NULL,
        tags TEXT NOT NULL,
        redacted BOOLEAN NOT NULL DEFAULT FALSE,
        words TSVECTOR,
        PRIMARY KEY (id, conversation)
    )
    """,
    "CREATE UNIQUE INDEX messages_by_msgid ON messages (conversation, msgid)",
    # Some rooms have a thousand joins between two messages.
    """
    CREATE INDEX messages_spoken ON messages (conversation, id)
        WHERE kind IN ('PRIVMSG', 'NOTICE')
    """,
    """
    CREATE INDEX messages_done ON messages (conversation, id)
        WHERE kind NOT IN ('PRIVMSG', 'NOTICE')
    """,
    """
    CREATE INDEX messages_by_account ON messages (account, conversation, id)
        WHERE account IS NOT NULL
    """,
    # What waits for it is looked through by each search, 4 MB if it were not said otherwise.
    """
    CREATE INDEX messages_by_word ON messages USING gin (words)
        WITH (gin_pending_list_limit = 512)
    """,
)

CLUSTER: Final = (
    # The state of the chat after the event `sequence` of the stream, in the form `version`.
    """
    CREATE TABLE cluster_snapshots (
        stream TEXT COLLATE "C" NOT NULL,
        sequence BIGINT NOT NULL,
        version INTEGER NOT NULL,
        made_ms BIGINT NOT NULL,
        data BYTEA NOT NULL,
        PRIMARY KEY (stream, sequence)
    )
    """,
    # One row: who with the highest `term` keeps the state has written it up to the event `kept`.
    """
    CREATE TABLE cluster_keeper (
        id INTEGER PRIMARY KEY,
        term BIGINT NOT NULL,
        kept BIGINT NOT NULL
    )
    """,
    # Of each relay, the last of its transactions that was committed: where a connection breaks in a
    # COMMIT, this is how one finds out what has become of it.
    """
    CREATE TABLE last_commits (
        writer TEXT COLLATE "C" PRIMARY KEY,
        number BIGINT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = ((*ACCOUNTS, *CHAT, *HISTORY, *CLUSTER),)


def migrate(
    connection: PostgresConnection, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Bring the schema to the newest version; does nothing if it is there already. Blocks.

    Waits for others who do it. Raises ``NewerSchemaError`` for a database that a newer version
    wrote, ``StoreError`` if a migration fails; the database is then as it was.
    """
    try:
        connection.execute("BEGIN")
        # What was done by whom we have waited for is seen by the statements after.
        connection.execute("SELECT pg_advisory_xact_lock(?)", (LOCK,))
        version = schema_version(connection)
        if version > len(migrations):
            raise NewerSchemaError(
                "the database has schema version {version}, but this securechat knows only "
                "versions up to {known}: start the newer securechat that wrote it, or put back a "
                "copy of the database from before the upgrade",
                version=version,
                known=len(migrations),
            )
        if version == 0:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"
            )
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < len(migrations):
            connection.execute("DELETE FROM schema_version")
            connection.execute("INSERT INTO schema_version VALUES (?)", (len(migrations),))
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, DatabaseError):
            raise StoreError(
                "cannot bring the database to schema version {version}: {error}",
                version=len(migrations),
                error=error,
            ) from error
        raise


def schema_version(connection: PostgresConnection) -> int:
    """Return the version of the schema, 0 where there is none yet. Raises ``DatabaseError``."""
    (table,) = connection.execute("SELECT to_regclass('schema_version')::text").fetchone()
    if table is None:
        return 0
    row = connection.execute("SELECT version FROM schema_version").fetchone()
    return 0 if row is None else int(row[0])
