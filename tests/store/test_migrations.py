import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import NewerSchemaError, StoreError
from securechat.store.accounts import Account, Accounts
from securechat.store.database import open_database
from securechat.store.history import Conversation, Entry, History, Readable
from securechat.store.migrations import APPLICATION_ID, MIGRATIONS, check_schema, migrate
from securechat.store.secrets import RelaySecrets

# As released. Never edit this: databases out there look like it.
FROZEN_V1 = """
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    folded_name TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    scram TEXT NOT NULL,
    created_at REAL NOT NULL,
    last_login_at REAL
);
CREATE TABLE relay_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
);
PRAGMA application_id = 1396926580;
PRAGMA user_version = 1;
"""

FROZEN_V2 = (
    FROZEN_V1
    + """
CREATE TABLE invites (
    code_hash BLOB NOT NULL PRIMARY KEY,
    uses_left INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    created_at REAL NOT NULL
);
PRAGMA user_version = 2;
"""
)

FROZEN_V3 = (
    FROZEN_V2
    + """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    key TEXT UNIQUE,
    party TEXT,
    other_party TEXT
);
CREATE INDEX conversations_of_party ON conversations (party);
CREATE INDEX conversations_of_other_party ON conversations (other_party);
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
);
CREATE UNIQUE INDEX messages_by_msgid ON messages (conversation, msgid);
CREATE INDEX messages_by_time ON messages (conversation);
CREATE INDEX messages_spoken ON messages (conversation)
    WHERE kind IN ('PRIVMSG', 'NOTICE');
CREATE INDEX messages_by_account ON messages (conversation, account)
    WHERE account IS NOT NULL;
CREATE VIEW searchable_messages AS
    SELECT id, conversation, text,
        'n' || hex(sender) || coalesce(' a' || hex(account), '') AS author
    FROM messages WHERE kind IN ('PRIVMSG', 'NOTICE') AND NOT redacted;
CREATE VIRTUAL TABLE message_index USING fts5 (
    conversation, author, text,
    content='searchable_messages', content_rowid='id', columnsize=0,
    tokenize='unicode61 remove_diacritics 2'
);
CREATE TABLE unindexed_messages (
    number INTEGER PRIMARY KEY,
    message INTEGER NOT NULL
);
CREATE TRIGGER message_to_index AFTER INSERT ON messages
    WHEN new.kind IN ('PRIVMSG', 'NOTICE')
    BEGIN INSERT INTO unindexed_messages (message) VALUES (new.id); END;
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
);
CREATE TABLE room_lists (
    room TEXT NOT NULL REFERENCES rooms (uid) ON DELETE CASCADE,
    letter TEXT NOT NULL,
    folded_mask TEXT NOT NULL,
    mask TEXT NOT NULL,
    set_by TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (room, letter, folded_mask)
) WITHOUT ROWID;
CREATE TABLE room_people (
    room TEXT NOT NULL REFERENCES rooms (uid) ON DELETE CASCADE,
    account TEXT NOT NULL,
    ranks TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    present INTEGER NOT NULL,
    PRIMARY KEY (room, account)
) WITHOUT ROWID;
CREATE TABLE account_settings (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE TABLE account_certificates (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    label TEXT NOT NULL,
    added_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX certificates_of_account ON account_certificates (account);
CREATE TABLE read_markers (
    account TEXT NOT NULL,
    target TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, target)
) WITHOUT ROWID;
CREATE INDEX read_markers_of_target ON read_markers (target);
CREATE TABLE metadata (
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (subject, key)
) WITHOUT ROWID;
PRAGMA user_version = 3;
"""
)

FROZEN_V4 = (
    FROZEN_V3
    + """
CREATE TABLE peer_devices (
    account TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    certificate BLOB NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (account, fingerprint)
);
PRAGMA user_version = 4;
"""
)

FROZEN_V5 = (
    FROZEN_V4
    + """
ALTER TABLE invites ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE invites ADD COLUMN account TEXT;
ALTER TABLE invites ADD COLUMN room TEXT;
ALTER TABLE accounts ADD COLUMN suspended TEXT;
CREATE TABLE bans (
    kind TEXT NOT NULL,
    folded_mask TEXT NOT NULL,
    mask TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    PRIMARY KEY (kind, folded_mask)
) WITHOUT ROWID;
PRAGMA user_version = 5;
"""
)

FROZEN_V6 = (
    FROZEN_V5
    + """
DROP INDEX messages_by_time;
CREATE INDEX messages_done ON messages (conversation)
    WHERE kind NOT IN ('PRIVMSG', 'NOTICE');
DROP TRIGGER message_to_index;
DROP TABLE unindexed_messages;
CREATE TABLE unindexed_ranges (
    number INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
);
PRAGMA user_version = 6;
"""
)

V1_ROWS = """
INSERT INTO accounts VALUES (1, 'alice', 'Alice', '$argon2id$1', 'scram 1', 1700000000.5, NULL);
INSERT INTO accounts VALUES (7, 'bob{}', 'Bob[]', '$argon2id$2', 'scram 2', 1700000001.0, 1.7e9);
INSERT INTO relay_secrets VALUES ('cloak', x'00ff10');
"""

V5_ROWS = """
INSERT INTO conversations (id, key) VALUES (1, 'room'), (2, 'other room');
INSERT INTO messages VALUES
    (65536, 1, 'm1', 'PRIVMSG', 'A!a@h', 'a', NULL, '', 'hello indexed', '', 0),
    (65537, 2, 'm1', 'PRIVMSG', 'A!a@h', 'a', NULL, '', 'hello elsewhere', '', 0);
INSERT INTO message_index (rowid, conversation, author, text)
    SELECT id, conversation, author, text FROM searchable_messages;
DELETE FROM unindexed_messages;
INSERT INTO messages VALUES
    (65538, 1, 'm2', 'JOIN', 'B!b@h', 'b', NULL, 'Bob', '', '', 0),
    (65535, 1, 'm0', 'NOTICE', 'A!a@h', 'a', 'A', '', 'hello waiting', '', 0),
    (131072, 1, 'm3', 'PRIVMSG', 'B!b@h', 'b', NULL, '', 'hello waiting too', '', 0);
"""

A_TABLE = ("CREATE TABLE novelties (name TEXT NOT NULL PRIMARY KEY)",)


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: re.sub(r"\s+", " ", sql).strip() for name, sql in rows}


def version_of(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version


@pytest.mark.parametrize(
    ("version", "schema"),
    enumerate([FROZEN_V1, FROZEN_V2, FROZEN_V3, FROZEN_V4, FROZEN_V5, FROZEN_V6], start=1),
)
def test_the_migrations_still_make_the_frozen_schemas(tmp_path, version, schema):
    with closing(connect(tmp_path / "frozen")) as frozen, closing(connect(tmp_path / "new")) as new:
        frozen.executescript(schema)
        migrate(new, tmp_path / "new", MIGRATIONS[:version])
        assert schema_of(new) == schema_of(frozen)
        assert version_of(new) == version == version_of(frozen)
        assert new.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_v1_database_is_upgraded_with_what_it_holds(tmp_path):
    path = tmp_path / "relay.db"
    with closing(connect(path)) as old:
        old.executescript(FROZEN_V1 + V1_ROWS)
    with (
        closing(open_database(path)) as upgraded,
        closing(open_database(tmp_path / "fresh.db")) as fresh,
    ):
        assert version_of(upgraded) == len(MIGRATIONS)
        assert schema_of(upgraded) == schema_of(fresh)
        accounts = Accounts(upgraded)
        assert accounts.names() == [("alice", "Alice"), ("bob{}", "Bob[]")]
        assert accounts.get("alice") == Account("Alice", "$argon2id$1", "scram 1", 1700000000.5)
        assert accounts.get("bob{}") == Account(
            "Bob[]", "$argon2id$2", "scram 2", 1700000001, 1.7e9
        )
        assert RelaySecrets(upgraded).get_or_create("cloak", bytes) == b"\x00\xff\x10"


def test_the_history_of_a_v5_database_is_read_and_searched_and_goes_on(tmp_path):
    path = tmp_path / "relay.db"
    with closing(connect(path)) as old:
        old.executescript(FROZEN_V5 + V5_ROWS)
        assert old.execute("SELECT count(*) FROM unindexed_messages").fetchone() == (2,)
    with closing(open_database(path)) as upgraded:
        history, room = History(upgraded), Readable("room")
        said = Entry(Conversation("room"), "m4", 3, "PRIVMSG", "A!a@h", "a", None, "", "hello", "")
        history.add([said, said._replace(msgid="m3")])
        page = history.page(room, limit=9, newest=True)
        assert [kept.entry.msgid for kept in page.entries] == ["m0", "m1", "m2", "m3", "m4"]
        found = history.search([room], text="hello", limit=9)
        assert [kept.entry.msgid for kept in found] == ["m0", "m1", "m3", "m4"]
        assert history.redact("room", "m0")
        assert history.expire(2, 9) == 4
        upgraded.execute(
            "INSERT INTO message_index (message_index, rank) VALUES ('integrity-check', 1)"
        )
        found = history.search([room], text="hello", limit=9)
        assert [kept.entry.msgid for kept in found] == ["m3", "m4"]


def test_only_the_missing_migrations_are_run(tmp_path):
    with closing(connect(tmp_path / "relay.db")) as connection:
        migrate(connection, tmp_path / "relay.db")
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        migrate(connection, tmp_path / "relay.db", (*MIGRATIONS, A_TABLE))
        connection.set_trace_callback(None)
        assert [s for s in statements if not s.startswith("PRAGMA")] == [
            "BEGIN IMMEDIATE",
            *A_TABLE,
            "COMMIT",
        ]
        assert version_of(connection) == len(MIGRATIONS) + 1
        assert "novelties" in schema_of(connection)


def test_a_database_of_the_newest_version_is_left_alone(tmp_path):
    with closing(connect(tmp_path / "relay.db")) as connection:
        migrate(connection, tmp_path / "relay.db")
        before = connection.total_changes
        migrate(connection, tmp_path / "relay.db")
        assert connection.total_changes == before


def test_a_migration_that_fails_leaves_the_version_before(tmp_path):
    path = tmp_path / "relay.db"
    broken = (*A_TABLE, "INSERT INTO nowhere VALUES (1)")
    with closing(connect(path)) as connection:
        migrate(connection, path)
        before = schema_of(connection)
        with pytest.raises(StoreError, match="no such table: nowhere") as caught:
            migrate(connection, path, (*MIGRATIONS, broken))
        assert f"{path} from schema version {len(MIGRATIONS)} to " in str(caught.value)
        assert not connection.in_transaction
        assert schema_of(connection) == before
        assert version_of(connection) == len(MIGRATIONS)
        migrate(connection, path, (*MIGRATIONS, A_TABLE))  # mended, it runs
        assert "novelties" in schema_of(connection)


def test_a_migration_that_leaves_dangling_references_is_undone(tmp_path):
    path = tmp_path / "relay.db"
    dangling = (
        "CREATE TABLE marks (account INTEGER NOT NULL REFERENCES accounts (id))",
        "INSERT INTO marks VALUES (99)",
    )
    with closing(connect(path)) as connection:
        with pytest.raises(StoreError, match="rows that do not exist"):
            migrate(connection, path, (*MIGRATIONS, dangling))
        assert version_of(connection) == len(MIGRATIONS)
        assert "marks" not in schema_of(connection)


def test_a_newer_database_is_refused_with_both_numbers_and_what_to_do(tmp_path):
    path = tmp_path / "relay.db"
    newer = len(MIGRATIONS) + 41
    with closing(connect(path)) as connection:
        migrate(connection, path)
        connection.execute(f"PRAGMA user_version = {newer}")
        with pytest.raises(NewerSchemaError) as caught:
            check_schema(connection, path)
    text = str(caught.value)
    assert str(path) in text
    assert f"version {newer}" in text
    assert f"up to {len(MIGRATIONS)}" in text
    assert "start the newer securechat" in text


@pytest.mark.parametrize("version", [0, 1, 70])
def test_a_database_of_another_program_is_refused(tmp_path, version):
    path = tmp_path / "places.sqlite"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(StoreError, match="some other program") as caught:
            check_schema(connection, path)
    assert str(path) in str(caught.value)


def test_each_statement_of_a_migration_is_one_statement():
    for migration in MIGRATIONS:
        for statement in migration:
            assert sqlite3.complete_statement(statement + ";")
            assert not statement.lstrip().upper().startswith(("BEGIN", "COMMIT", "END", "ROLLBACK"))
