import pytest

from securechat.errors import StoreError
from securechat.store import account_history
from securechat.store.account_history import delete_direct, disown, own_entries
from securechat.store.connection import Connection
from securechat.store.history import Conversation, Entry, History, Readable
from tests.store.history_checks import check_integrity, count

ROOM, OTHER_ROOM = Conversation("room"), Conversation("other room")
DIRECT = Conversation("alice bob", ("alice", "bob"))
WITH_GUEST = Conversation("alice ~carl", ("alice", "~carl"))
OTHERS = Conversation("bob carl", ("bob", "carl"))


@pytest.fixture
def history(connection: Connection) -> History:
    """What Alice, Bob and a guest have said and done."""
    history = History(connection)
    lines = [
        (ROOM, "Alice", "JOIN", ""),
        (ROOM, "Alice", "PRIVMSG", "hello room"),
        (ROOM, "Bob", "PRIVMSG", "hello Alice"),
        (DIRECT, "Bob", "PRIVMSG", "secret of bob"),
        (DIRECT, "Alice", "NOTICE", "secret of alice"),
        (OTHERS, "Bob", "PRIVMSG", "not for Alice"),
        (OTHER_ROOM, "Alice", "PRIVMSG", "hello other room"),
        (WITH_GUEST, None, "PRIVMSG", "from a guest"),
    ]
    history.add(
        Entry(place, f"id{at_ms}", at_ms, kind, "nick!u@h", "nick", account, "", text, "")
        for at_ms, (place, account, kind, text) in enumerate(lines)
    )
    return history


def said(connection: Connection) -> list[tuple[str, str, int, str]]:
    return [
        (entry.conversation, entry.party, entry.at_ms, entry.text)
        for entry in own_entries(connection, "alice", "Alice")
    ]


def test_what_is_of_an_account(connection, history):
    assert said(connection) == [
        ("alice bob", "bob", 3, "secret of bob"),
        ("alice bob", "bob", 4, "secret of alice"),
        ("alice ~carl", "~carl", 7, "from a guest"),
        ("room", "", 0, ""),
        ("room", "", 1, "hello room"),
        ("other room", "", 6, "hello other room"),
    ]
    assert list(own_entries(connection, "nobody", "Nobody")) == []


def test_what_was_redacted_is_marked(connection, history):
    history.redact("room", "id1")
    found = [entry for entry in own_entries(connection, "alice", "Alice") if entry.redacted]
    assert [(entry.kind, entry.text, entry.account) for entry in found] == [
        ("PRIVMSG", "", "Alice")
    ]


def test_what_was_disowned_is_nobodys_and_is_still_there(connection, history):
    history.redact("other room", "id6")
    assert [disown(connection, "Alice", 3) for _ in range(3)] == [3, 1, 0]
    kept = [history.get("room", f"id{number}").entry for number in (0, 1, 2)]
    assert [(entry.account, entry.text) for entry in kept] == [
        (None, ""),
        (None, "hello room"),
        ("Bob", "hello Alice"),
    ]
    # Whoever has the name now reads nothing of it before they came, and finds nothing.
    own = Readable("room", floor_ms=1 << 40, own_account="Alice")
    assert history.page(own, limit=10, newest=True).entries == []
    assert history.search([own], text="hello", limit=10) == []
    found = history.search([Readable("room")], text="hello", limit=10)
    assert [kept.entry.text for kept in found] == ["hello room", "hello Alice"]
    assert history.search([Readable("other room")], text="hello", limit=10) == []
    check_integrity(connection)


def test_direct_conversations_are_gone_at_once_and_their_rows_later(connection, history):
    delete_direct(connection, "alice")
    assert history.direct_conversations("alice") == []
    assert [each.key for each in history.direct_conversations("bob")] == ["bob carl"]
    assert history.get("alice bob", "id3") is None
    assert [text for *_, text in said(connection)] == ["", "hello room", "hello other room"]
    assert history.expire(0, 100) == 3
    assert count(connection, "messages") == 5


def test_more_than_is_in_memory_at_a_time(connection, history, monkeypatch):
    expected = said(connection)
    monkeypatch.setattr(account_history, "_SLICE", 1)
    assert said(connection) == expected
    assert len(expected) == 6


def test_an_error_of_the_database_is_a_store_error(connection, history):
    connection.execute("ALTER TABLE conversations RENAME TO others")
    connection.execute("DROP TABLE messages")
    for use in (
        lambda: list(own_entries(connection, "alice", "Alice")),
        lambda: disown(connection, "Alice", 1),
        lambda: delete_direct(connection, "alice"),
    ):
        with pytest.raises(StoreError, match=r"^cannot .*(no such table|does not exist)"):
            use()
