"""How the schema came to be: an append-only list, indexed by ``PRAGMA user_version``.

A database of version n has had the first n migrations. To change the schema, append one; never edit
or reorder those that were released, for databases out there have had them as they were. Each one
is a tuple of single statements, run together with the step of ``user_version`` in one transaction:
a crash leaves the version before or the version after, nothing between.

Only what SQLite 3.34 knows may be used (RHEL 9 ships that): no ``STRICT``, no ``RETURNING``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from securechat.errors import NewerSchemaError, StoreError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "check_schema", "is_up_to_date", "migrate"]

# "SCht" in the header of the file, so that a path to some other program's database is noticed
# before its tables are touched.
APPLICATION_ID = 0x53436874

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Times are seconds since 1970, UTC. `folded_name` is the name by which it is looked up.
        """
        CREATE TABLE accounts (
            id INTEGER PRIMARY KEY,
            folded_name TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            password_hash TEXT NOT NULL,
            scram TEXT NOT NULL,
            created_at REAL NOT NULL,
            last_login_at REAL
        )
        """,
        """
        CREATE TABLE relay_secrets (
            name TEXT NOT NULL PRIMARY KEY,
            value BLOB NOT NULL
        )
        """,
    ),
    (
        # `code_hash` is the SHA-256 of the code.
        """
        CREATE TABLE invites (
            code_hash BLOB NOT NULL PRIMARY KEY,
            uses_left INTEGER NOT NULL,
            expires_at REAL NOT NULL,
            created_at REAL NOT NULL
        )
        """,
    ),
    (
        # From here on times are milliseconds since 1970, UTC, and names of people and accounts are
        # folded unless a second column has them as they were written.
        #
        # A conversation without a key was deleted, and its messages are yet to go.
        """
        CREATE TABLE conversations (
            id INTEGER PRIMARY KEY,
            key TEXT UNIQUE,
            party TEXT,
            other_party TEXT
        )
        """,
        "CREATE INDEX conversations_of_party ON conversations (party)",
        "CREATE INDEX conversations_of_other_party ON conversations (other_party)",
        # `id` is the time, shifted left by 16 bits, and a number within that millisecond. So it is
        # the order of messages in every index (SQLite ends each with it), and a time is a range.
        """
        CREATE TABLE messages (
            id INTEGER PRIMARY KEY,
            conversation INTEGER NOT NULL REFERENCES conversations (id),
            msgid TEXT NOT NULL,
            kind TEXT NOT NULL,
            source TEXT NOT NULL,
            sender TEXT NOT NULL,
            account TEXT,
            detail TEXT NOT NULL,
            text TEXT NOT NULL,
            tags TEXT NOT NULL,
            redacted INTEGER NOT NULL DEFAULT 0
        )
        """,
        "CREATE UNIQUE INDEX messages_by_msgid ON messages (conversation, msgid)",
        "CREATE INDEX messages_by_time ON messages (conversation)",
        # Some rooms have a thousand joins between two messages.
        """
        CREATE INDEX messages_spoken ON messages (conversation)
            WHERE kind IN ('PRIVMSG', 'NOTICE')
        """,
        """
        CREATE INDEX messages_by_account ON messages (conversation, account)
            WHERE account IS NOT NULL
        """,
        # What `message_index` has of each message. Whatever a name holds, its hex is one word.
        """
        CREATE VIEW searchable_messages AS
            SELECT id, conversation, text,
                'n' || hex(sender) || coalesce(' a' || hex(account), '') AS author
            FROM messages WHERE kind IN ('PRIVMSG', 'NOTICE') AND NOT redacted
        """,
        # It takes in messages in groups: each transaction that writes to it adds a segment, and
        # each segment makes all searches slower.
        """
        CREATE VIRTUAL TABLE message_index USING fts5 (
            conversation, author, text,
            content='searchable_messages', content_rowid='id', columnsize=0,
            tokenize='unicode61 remove_diacritics 2'
        )
        """,
        # Those not yet in the search index. The largest number is how many there are.
        """
        CREATE TABLE unindexed_messages (
            number INTEGER PRIMARY KEY,
            message INTEGER NOT NULL
        )
        """,
        """
        CREATE TRIGGER message_to_index AFTER INSERT ON messages
            WHEN new.kind IN ('PRIVMSG', 'NOTICE')
            BEGIN INSERT INTO unindexed_messages (message) VALUES (new.id); END
        """,
        # `modes` is a JSON object of letters and their parameters. `history_days` is 0 where
        # nothing is kept, NULL where no other time is set than for all rooms.
        """
        CREATE TABLE rooms (
            uid TEXT NOT NULL PRIMARY KEY,
            folded_name TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            created_ms INTEGER NOT NULL,
            owner TEXT,
            topic TEXT NOT NULL,
            topic_by TEXT NOT NULL,
            topic_ms INTEGER NOT NULL,
            modes TEXT NOT NULL,
            history_days INTEGER
        )
        """,
        """
        CREATE TABLE room_lists (
            room TEXT NOT NULL REFERENCES rooms (uid) ON DELETE CASCADE,
            letter TEXT NOT NULL,
            folded_mask TEXT NOT NULL,
            mask TEXT NOT NULL,
            set_by TEXT NOT NULL,
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (room, letter, folded_mask)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE room_people (
            room TEXT NOT NULL REFERENCES rooms (uid) ON DELETE CASCADE,
            account TEXT NOT NULL,
            ranks TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            present INTEGER NOT NULL,
            PRIMARY KEY (room, account)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE account_settings (
            account TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (account, key)
        ) WITHOUT ROWID
        """,
        # `fingerprint` is the SHA-256 of a certificate in lower-case hex.
        """
        CREATE TABLE account_certificates (
            fingerprint TEXT NOT NULL PRIMARY KEY,
            account TEXT NOT NULL,
            label TEXT NOT NULL,
            added_ms INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX certificates_of_account ON account_certificates (account)",
        """
        CREATE TABLE read_markers (
            account TEXT NOT NULL,
            target TEXT NOT NULL,
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (account, target)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX read_markers_of_target ON read_markers (target)",
        """
        CREATE TABLE metadata (
            subject TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (subject, key)
        ) WITHOUT ROWID
        """,
    ),
    (
        # `certificate` is in DER, `fingerprint` its SHA-256 in lower-case hex.
        """
        CREATE TABLE peer_devices (
            account TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            certificate BLOB NOT NULL,
            first_ms INTEGER NOT NULL,
            last_ms INTEGER NOT NULL,
            PRIMARY KEY (account, fingerprint)
        )
        """,
    ),
    (
        # `account`: the only one that the invite can register, as it is to be written; `room`:
        # which whoever has registered with it may enter. NULL: none is named. Invites from before
        # have as many uses in all as were left.
        "ALTER TABLE invites ADD COLUMN uses INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE invites ADD COLUMN account TEXT",
        "ALTER TABLE invites ADD COLUMN room TEXT",
        "UPDATE invites SET uses = uses_left",
        # Why nobody may log in to the account; NULL where everybody who can may.
        "ALTER TABLE accounts ADD COLUMN suspended TEXT",
        # `kind` says what `mask` is compared with. `expires_ms` is NULL for a ban without an end.
        """
        CREATE TABLE bans (
            kind TEXT NOT NULL,
            folded_mask TEXT NOT NULL,
            mask TEXT NOT NULL,
            reason TEXT NOT NULL,
            set_by TEXT NOT NULL,
            set_ms INTEGER NOT NULL,
            expires_ms INTEGER,
            PRIMARY KEY (kind, folded_mask)
        ) WITHOUT ROWID
        """,
    ),
    (
        # Each message is in one index by time, not in two: in `messages_spoken`, or else in this.
        # Where a hundred rooms talk, each index has one more page to change for every message.
        "DROP INDEX messages_by_time",
        """
        CREATE INDEX messages_done ON messages (conversation)
            WHERE kind NOT IN ('PRIVMSG', 'NOTICE')
        """,
        # Those not yet in the search index: all messages from `first` to `last`, one row for each
        # group. Ranges may overlap. The largest number is how many wait, or a few more.
        """
        CREATE TABLE unindexed_ranges (
            number INTEGER PRIMARY KEY,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL
        )
        """,
        "INSERT INTO unindexed_ranges SELECT number, message, message FROM unindexed_messages",
        "DROP TRIGGER message_to_index",
        "DROP TABLE unindexed_messages",
    ),
)


def check_schema(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Refuse a database that ``migrate`` must not touch; writes nothing.

    Raises ``NewerSchemaError`` for one that a newer version wrote, ``StoreError`` for one of some
    other program.
    """
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if objects and _pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is a database of some other program, not of securechat")
    version = _pragma(connection, "user_version")
    if version > len(migrations):
        raise NewerSchemaError(
            f"{path} has schema version {version}, but this securechat knows only versions up to "
            f"{len(migrations)}: start the newer securechat that wrote it, or put back a copy of "
            "the database from before the upgrade"
        )


def is_up_to_date(connection: sqlite3.Connection) -> bool:
    """Whether the schema is the newest, of a database that ``check_schema`` has let pass."""
    return _pragma(connection, "user_version") == len(MIGRATIONS)


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring the schema to the newest version; does nothing if it is there already.

    Requires ``check_schema`` to have passed, and foreign keys to be off: with them on, rebuilding
    a table that others refer to would delete their rows. They are checked before each commit
    instead. Raises ``StoreError`` if a migration fails; the database is then as it was before it.
    """
    for version in range(_pragma(connection, "user_version"), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[version]:
                connection.execute(statement)
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StoreError("rows would refer to rows that do not exist")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except (sqlite3.Error, StoreError) as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise StoreError(
                f"cannot bring {path} from schema version {version} to {version + 1}: {error}"
            ) from error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
