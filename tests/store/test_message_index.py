"""The search, through the history that it is a part of."""

import pytest

from securechat.store import postgres_search
from securechat.store.connection import Connection
from securechat.store.history import Conversation, Entry, History, Readable
from tests.store.history_checks import check_integrity

ROOM = Conversation("room 1")
OTHER_ROOM = Conversation("room 2")
ALL = Readable(ROOM.key)


@pytest.fixture(autouse=True)
def look_at_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL asks its index for all but the three newest, in a few conversations at once."""
    monkeypatch.setattr(postgres_search, "_WALKED", 3)
    monkeypatch.setattr(postgres_search, "_CONVERSATIONS_A_QUERY", 2)


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


def entry(msgid: str, at_ms: int, text: str = "hello", **changes: object) -> Entry:
    said = Entry(
        ROOM, msgid, at_ms, "PRIVMSG", "Alice!a@cloak", "alice", "alice", "#Room", text, ""
    )
    return said._replace(**changes)  # type: ignore[arg-type]


def search(history: History, text: str | None = None, **more: object) -> str:
    readables = more.pop("readables", [ALL])
    found = history.search(readables, text=text, **{"limit": 100, **more})  # type: ignore[arg-type]
    return " ".join(kept.entry.msgid for kept in found)


@pytest.fixture
def said(history: History) -> History:
    texts = [
        "The quick brown fox",
        "Crème brûlée, e-mail me",
        "a mail to nobody, e",
        'quote " OR quick',
        "first line\r\nsecond quick line",
        "Ärger im Büro",
    ]
    history.add(entry(f"m{number}", number + 1, text) for number, text in enumerate(texts))
    history.add([entry("j1", 50, "quick", kind="PART"), entry("n1", 51, "quick", kind="NOTICE")])
    return history


FOUND = {
    "quick": "m0 m3 m4 n1",
    "QUICK": "m0 m3 m4 n1",
    "fox quick": "m0",
    "quick slow": "",
    "creme BRULEE": "m1",
    "crème brûlée": "m1",
    "arger buro": "m5",
    "e-mail": "m1",
    "mail": "m1 m2",
    "mail-e": "",
    "second first": "m4",
    '"': "",
    "...": "",
    "": "",
    "fox !!!": "m0",
}

SYNTAX = [
    'fox" OR "quick',
    "fox OR quick",
    "fox NOT brown",
    "NEAR(fox quick)",
    "text : fox",
    "author:n616c696365",
    "conversation : 1",
    "{text} : fox",
    "qui*",
    "qui:*",
    "^the fox OR",
    "fox\0quick AND",
    "(fox",
    '""""',
    "- fox +",
    "fox <-> slow",
    "fox | slow",
    "fox & slow",
    "!slow",
    "c:1",
    "n:616c696365",
    "'fox'",
    "fox\\",
    "'",
]


def test_the_messages_with_all_words(said):
    assert {text: search(said, text) for text in FOUND} == FOUND


def test_the_syntax_of_the_search_index_is_but_words(said):
    found = {text: search(said, text) for text in SYNTAX}
    assert set(found.values()) == {"", "m0"}
    operators = {"OR", "NOT", "NEAR(fox", "AND", ":"}
    assert not any(found[text] for text in SYNTAX if operators & set(text.split()))


def test_what_is_ones_own_below_the_floors(history):
    history.add(
        entry(
            f"m{number}",
            number,
            "hello" if number % 2 else "bye",
            conversation=(ROOM, OTHER_ROOM)[number % 5 == 0],
            account=("Alice", "Bob", None)[number % 3],
        )
        for number in range(24)
    )
    mine = [Readable(ROOM.key, 18, "Alice"), Readable(OTHER_ROOM.key, 99, "Bob")]
    assert search(history, "hello", readables=mine) == "m3 m9 m19 m21 m23"
    assert search(history, readables=mine, limit=8) == "m9 m10 m12 m18 m19 m21 m22 m23"
    assert search(history, "hello", readables=mine, sender="alice", limit=4) == "m9 m19 m21 m23"
    assert search(history, "hello", readables=mine, before_ms=19) == "m3 m9"
    assert search(history, "hello", readables=mine, after_ms=3, before_ms=23) == "m9 m19 m21"


def test_search_by_sender_and_time_with_and_without_words(history):
    history.add(
        entry(f"m{number}", number, "hello", sender=("alice", "b[]b", "alic")[number % 3])
        for number in range(9)
    )
    assert search(history, sender="b[]b") == "m1 m4 m7"
    assert search(history, "hello", sender="alice") == "m0 m3 m6"
    assert search(history, "hello", sender="nobody") == ""
    assert search(history, after_ms=2, before_ms=5) == "m3 m4"
    assert search(history, "hello", after_ms=6) == "m7 m8"
    assert search(history, sender="alice", before_ms=6) == "m0 m3"
    assert search(history, limit=2) == "m7 m8"
    assert search(history, limit=0) == ""


def test_an_account_is_not_taken_for_a_sender(history):
    history.add([entry("m1", 1, sender="guest", account="alice")])
    assert search(history, sender="alice") == ""
    assert search(history, sender="guest") == "m1"


def test_the_newest_of_several_conversations(history):
    conversations = [Conversation(f"room {number}") for number in range(7)]
    history.add(
        entry(f"m{number}", number, conversation=conversations[number % 7]) for number in range(70)
    )
    some = [Readable(f"room {number}", floor_ms=number * 3) for number in (0, 2, 3, 5)]
    assert search(history, "hello", readables=some, limit=5) == "m61 m63 m65 m66 m68"
    assert search(history, "hello", readables=some, limit=3, before_ms=4) == "m0"
    assert search(history, "hello", readables=[]) == ""
    found = history.search(some, text="hello", limit=1)
    assert found[0].entry.conversation == conversations[5]


def test_a_number_in_a_message_is_not_a_conversation(history):
    history.add([entry("m1", 1, "1 2 3"), entry("m2", 2, "2", conversation=OTHER_ROOM)])
    assert search(history) == "m1"
    assert search(history, "2", readables=[Readable(OTHER_ROOM.key)]) == "m2"


def test_search_in_thousands_of_conversations(history):
    history.add(
        entry(f"m{number}", number, conversation=Conversation(f"d{number}"))
        for number in range(1200)
    )
    readables = [Readable(f"d{number}") for number in range(1200)]
    assert search(history, "hello", readables=readables, limit=2) == "m1198 m1199"
    assert search(history, "hello", readables=readables[:7], limit=2) == "m5 m6"


@pytest.mark.parametrize("indexed_before", [False, True])
def test_what_comes_between_older_ones_is_taken_in_once(connection, history, indexed_before):
    """The clock was set back, or one millisecond has more than one group."""
    history.add(entry(f"m{at_ms}", at_ms, "hello old") for at_ms in (1, 3, 5))
    if indexed_before:
        assert search(history, "hello") == "m1 m3 m5"
    history.add(entry(f"n{at_ms}", at_ms, "hello new") for at_ms in (4, 2, 5, 6, 0))
    assert search(history, "hello") == "n0 m1 n2 m3 n4 m5 n5 n6"
    assert search(history, "old") == "m1 m3 m5"
    check_integrity(connection)
    for number in (1, 3, 5):
        history.redact(ROOM.key, f"m{number}")
    assert search(history, "old") == ""
    assert search(history, "hello") == "n0 n2 n4 n5 n6"
    check_integrity(connection)


def test_an_id_that_was_left_free_is_taken_in_once_when_it_has_its_message(connection, history):
    history.add([entry("m1", 1)])
    history.add([entry("m2", 1), entry("m1", 1, "hello again")])  # the last is there already
    history.add([entry("m3", 1, "hello free")])
    assert [kept.entry.msgid for kept in history.search([ALL], text="hello", limit=9)] == [
        "m1",
        "m2",
        "m3",
    ]
    check_integrity(connection)
    history.redact(ROOM.key, "m3")
    assert search(history, "free") == ""
    check_integrity(connection)
