"""A database with something in every column of every table."""

from __future__ import annotations

from securechat.store.connection import Connection
from securechat.store.entries import Conversation, Entry
from securechat.store.history import History

__all__ = ["fill"]

_ROWS = {
    "accounts": [
        ("ann", "Ann", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", "SCRAM", 1.25, 0.1, None),
        ("bob", "bob", "", "", 1_700_000_000.123456, None, "too loud"),
        ("ÿ{}|", "Ÿ[]\\", "h", "s", 3.0, 1e-9, ""),
    ],
    "relay_secrets": [("cloak", bytes(range(256))), ("scram-decoy", b"")],
    "invites": [
        (b"\0\xff" * 16, 1, 5, 2e9, 1.5, None, None),
        (b"\x80" * 32, 0, 1, 2e9, 1.5, "Carl", "#room"),
    ],
    "rooms": [
        *[("room-1", "#room", "#Room", 1_000, "ann", "Topic; ünïcode", "ann!a@b", 2_000)],
    ],
    "room_lists": [("room-1", "b", "*!*@bad", "*!*@BAD", "ann", 3_000)],
    "room_people": [("room-1", "ann", "oq", 1_000, 1), ("room-1", "bob", "", 2_000, 0)],
    "account_settings": [("ann", "always-on", "on"), ("ann", "presence", '{"a": "\\\\N\\t"}')],
    "account_certificates": [("ab" * 32, "ann", "Laptop\tand\nmore", 4_000)],
    "read_markers": [("ann", "#room", 5_000), ("ann", "bob", (1 << 47) - 1)],
    "metadata": [("account:ann", "url", "https://example.org/\\.")],
    "peer_devices": [("ann", "cd" * 32, b"0\x82\0", 1_000, 2_000)],
    "bans": [
        ("D", "192.0.2.0/24", "192.0.2.0/24", "spam", "oper", 1_000, 9_000),
        ("K", "*!*@bad", "*!*@Bad", "", "oper", 1_000, None),
    ],
}

_MODES = ('{"n": null, "k": "key"}', 30)


def fill(connection: Connection) -> None:
    """Fill a database that is empty."""
    for table, rows in _ROWS.items():
        for row in rows:
            values = (*row, *_MODES) if table == "rooms" else row
            names = _COLUMNS[table]
            places = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", values)
    _say(connection)


_COLUMNS = {
    "accounts": "folded_name, name, password_hash, scram, created_at, last_login_at, suspended",
    "relay_secrets": "name, value",
    "invites": "code_hash, uses_left, uses, expires_at, created_at, account, room",
    "rooms": "uid, folded_name, name, created_ms, owner, topic, topic_by, topic_ms, modes,"
    " history_days",
    "room_lists": "room, letter, folded_mask, mask, set_by, at_ms",
    "room_people": "room, account, ranks, since_ms, present",
    "account_settings": "account, key, value",
    "account_certificates": "fingerprint, account, label, added_ms",
    "read_markers": "account, target, at_ms",
    "metadata": "subject, key, value",
    "peer_devices": "account, fingerprint, certificate, first_ms, last_ms",
    "bans": "kind, folded_mask, mask, reason, set_by, set_ms, expires_ms",
}


def _say(connection: Connection) -> None:
    room, direct = Conversation("room-1"), Conversation("ann bob", ("ann", "bob"))
    history = History(connection)
    said = [
        (room, "m1", 1_000, "PRIVMSG", "Привет, world", "+draft/react=x"),
        (room, "m2", 1_000, "PRIVMSG", "a secret", ""),
        (room, "m3", 2_000, "JOIN", "", ""),
        (direct, "m1", 3_000, "NOTICE", "tab\tand \\N and \\.", ""),
        (room, "m4", (1 << 46), "PRIVMSG", "much later", ""),
    ]
    history.add(
        [
            Entry(
                *(conversation, msgid, at_ms, kind, "Ann!a@b", "ann", "Ann", "#Room"),
                *(text, tags),
            )
            for conversation, msgid, at_ms, kind, text, tags in said
        ]
    )
    history.redact(room.key, "m2")
