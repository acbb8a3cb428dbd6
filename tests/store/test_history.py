from contextlib import closing

import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.database import open_database
from securechat.store.history import (
    SPOKEN_KINDS,
    Conversation,
    Entry,
    History,
    KeptEntry,
    Page,
    Position,
    Readable,
)
from tests.store.history_checks import check_integrity, count

ROOM = Conversation("room 1")
OTHER_ROOM = Conversation("room 2")
DIRECT = Conversation("alice bob", ("alice", "bob"))
ALL = Readable(ROOM.key)


@pytest.fixture
def history(connection: Connection) -> History:
    return History(connection)


def entry(msgid: str, at_ms: int, text: str = "hello", **changes: object) -> Entry:
    said = Entry(
        ROOM, msgid, at_ms, "PRIVMSG", "Alice!a@cloak", "alice", "alice", "#Room", text, ""
    )
    return said._replace(**changes)  # type: ignore[arg-type]


def msgids(kept: Page | list[KeptEntry]) -> str:
    entries = kept.entries if isinstance(kept, Page) else kept
    return " ".join(found.entry.msgid for found in entries)


def everything(history: History, key: str = ROOM.key) -> str:
    return msgids(history.page(Readable(key), limit=1000, newest=True))


def search(history: History, text: str | None = None, **more: object) -> str:
    readables = more.pop("readables", [ALL])
    return msgids(history.search(readables, text=text, **{"limit": 100, **more}))  # type: ignore[arg-type]


# ---- keeping ----


def test_what_was_kept_is_read_back(history):
    said = entry("m1", 1700000000123, "two\r\nlines", tags="+draft/reply=m0", account=None)
    history.add([said])
    found = history.get(ROOM.key, "m1")
    assert found is not None
    assert found.entry == said
    assert found.position.at_ms == 1700000000123
    assert not found.redacted
    assert history.page(ALL, limit=1, newest=True) == Page([found], from_oldest=True)
    assert history.get(ROOM.key, "m2") is None
    assert history.get("nowhere", "m1") is None


def test_a_msgid_is_once_in_a_conversation_and_the_first_stays(history):
    history.add([entry("m1", 1, "first"), entry("m1", 2, "second")])
    history.add([entry("m1", 1, "third"), entry("m1", 5, "elsewhere", conversation=OTHER_ROOM)])
    assert [kept.entry.text for kept in history.page(ALL, limit=9, newest=True).entries] == [
        "first"
    ]
    elsewhere = history.get(OTHER_ROOM.key, "m1")
    assert elsewhere is not None
    assert elsewhere.entry.text == "elsewhere"


def test_one_time_keeps_the_order_of_addition(history):
    history.add([entry("m3", 5), entry("m1", 5)])
    history.add([entry("m9", 4), entry("m2", 5), entry("m0", 6)])
    assert everything(history) == "m9 m3 m1 m2 m0"


def test_a_conversation_with_more_entries_than_are_written_at_once(history):
    history.add(entry(f"m{number}", 5) for number in range(2500))
    history.add([entry("m7", 5), entry("last", 5)])
    kept = history.page(ALL, limit=5000, newest=True).entries
    assert [each.entry.msgid for each in kept] == [
        *(f"m{number}" for number in range(2500)),
        "last",
    ]


def test_a_conversation_that_was_undone_with_its_transaction_is_made_again(connection, history):
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT task")
    history.add([entry("m1", 1)])
    connection.execute("ROLLBACK TO task")
    history.add([entry("m2", 2, conversation=OTHER_ROOM)])
    history.add([entry("m3", 3)])
    connection.execute("COMMIT")
    assert everything(history) == "m3"
    assert everything(history, OTHER_ROOM.key) == "m2"


def test_a_history_outlives_the_relay(tmp_path):
    with closing(open_database(tmp_path / "relay.db")) as connection:
        History(connection).add([entry("m1", 1, "before")])
    with closing(open_database(tmp_path / "relay.db")) as connection:
        history = History(connection)
        history.add([entry("m2", 1, "after")])
        assert everything(history) == "m1 m2"
        assert search(history, "before") == "m1"


# ---- pages ----


@pytest.fixture
def ten(history: History) -> History:
    """Ten messages, m0 to m9, two in each millisecond from 10 to 14."""
    history.add(entry(f"m{number}", 10 + number // 2) for number in range(10))
    return history


def test_a_limit_counts_from_the_end_that_is_asked_for(ten):
    newest = ten.page(ALL, limit=3, newest=True)
    assert (msgids(newest), newest.from_oldest) == ("m7 m8 m9", False)
    oldest = ten.page(ALL, limit=3, newest=False)
    assert (msgids(oldest), oldest.from_oldest) == ("m0 m1 m2", True)
    assert msgids(ten.page(ALL, limit=0, newest=True)) == ""


def test_positions_of_entries_exclude_the_entries(ten):
    m3, m7 = ten.locate(ALL, "m3"), ten.locate(ALL, "m7")
    assert msgids(ten.page(ALL, before=m3, limit=2, newest=True)) == "m1 m2"
    assert msgids(ten.page(ALL, after=m7, limit=9, newest=True)) == "m8 m9"
    assert msgids(ten.page(ALL, after=m3, before=m7, limit=2, newest=False)) == "m4 m5"
    assert msgids(ten.page(ALL, after=m3, before=m7, limit=2, newest=True)) == "m5 m6"
    assert msgids(ten.page(ALL, after=m7, before=m3, limit=9, newest=True)) == ""
    assert m3 < m7


def test_times_exclude_their_whole_millisecond(ten):
    at = Position.at
    assert msgids(ten.page(ALL, before=at(11), limit=9, newest=True)) == "m0 m1"
    assert msgids(ten.page(ALL, after=at(12), limit=9, newest=True)) == "m6 m7 m8 m9"
    assert msgids(ten.page(ALL, after=at(10), before=at(12), limit=9, newest=True)) == "m2 m3"
    assert at(12).at_ms == 12


def test_nothing_is_before_the_earliest_times(ten):
    for at_ms in (-(10**30), -1, 0):
        assert msgids(ten.page(ALL, before=Position.at(at_ms), limit=9, newest=True)) == ""
        assert len(ten.page(ALL, after=Position.at(at_ms), limit=20, newest=True).entries) == 10


def test_nothing_is_after_the_latest_times(ten):
    for at_ms in (253402300799999, 2**46, 10**30):
        assert msgids(ten.page(ALL, after=Position.at(at_ms), limit=9, newest=True)) == ""
        assert len(ten.page(ALL, before=Position.at(at_ms), limit=20, newest=True).entries) == 10


def test_a_page_knows_whether_anything_is_before_it(ten):
    def from_oldest(**asked: object) -> bool:
        return bool(ten.page(ALL, newest=True, **asked).from_oldest)

    assert from_oldest(limit=10)
    assert not from_oldest(limit=9)
    assert from_oldest(limit=5, before=Position.at(10))  # empty, and nothing there
    assert not from_oldest(limit=5, after=Position.at(20))  # empty, but ten are before it
    assert from_oldest(limit=2, before=Position.at(11))
    floor = Readable(ROOM.key, floor_ms=13)
    assert ten.page(floor, limit=4, newest=True).from_oldest
    assert not ten.page(floor, limit=3, newest=True).from_oldest


def test_only_some_kinds(history):
    history.add(
        entry(f"m{number}", number, kind=kind)
        for number, kind in enumerate(["JOIN", "PRIVMSG", "TOPIC", "NOTICE", "PRIVMSG", "PART"])
    )
    page = history.page(ALL, limit=2, newest=True, kinds=SPOKEN_KINDS)
    assert (msgids(page), page.from_oldest) == ("m3 m4", False)
    page = history.page(ALL, limit=3, newest=True, kinds=SPOKEN_KINDS)
    assert (msgids(page), page.from_oldest) == ("m1 m3 m4", True)
    assert msgids(history.page(ALL, limit=9, newest=True, kinds=["NOTICE"])) == "m3"
    assert msgids(history.page(ALL, limit=9, newest=True, kinds={"JOIN", "PRIVMSG"})) == "m0 m1 m4"
    assert msgids(history.page(ALL, limit=9, newest=True, kinds=())) == ""
    at = history.locate(ALL, "m3")
    assert msgids(history.around(ALL, at, limit=9, kinds=["PRIVMSG"])) == "m1 m4"


def test_of_a_conversation_that_there_is_not(history):
    nowhere = Readable("nowhere")
    assert history.page(nowhere, limit=9, newest=True) == Page([], from_oldest=True)
    assert history.around(nowhere, Position.at(1), limit=9) == Page([], from_oldest=True)
    assert history.locate(nowhere, "m1") is None
    assert history.latest_times([nowhere]) == {}
    assert history.search([nowhere], text="hello", limit=9) == []
    assert not history.redact("nowhere", "m1")
    assert history.trim("nowhere", 0, 100) == 0
    history.delete_conversation("nowhere")


def test_around_an_entry(ten):
    expected = {
        0: "",
        1: "m5",
        2: "m4 m5",
        3: "m4 m5 m6",
        4: "m3 m4 m5 m6",
        20: "m0 m1 m2 m3 m4 m5 m6 m7 m8 m9",
    }
    m5 = ten.locate(ALL, "m5")
    found = {limit: msgids(ten.around(ALL, m5, limit=limit)) for limit in expected}
    assert found == expected


def test_around_where_one_side_is_short(ten):
    assert msgids(ten.around(ALL, ten.locate(ALL, "m0"), limit=4)) == "m0 m1 m2 m3"
    assert msgids(ten.around(ALL, ten.locate(ALL, "m8"), limit=6)) == "m4 m5 m6 m7 m8 m9"


def test_around_a_time(ten):
    assert msgids(ten.around(ALL, Position.at(12), limit=4)) == "m2 m3 m4 m5"
    assert msgids(ten.around(ALL, Position.at(99), limit=3)) == "m7 m8 m9"
    page = ten.around(ALL, Position.at(1), limit=3)
    assert (msgids(page), page.from_oldest) == ("m0 m1 m2", True)


# ---- who may read what ----


@pytest.fixture
def shared(history: History) -> History:
    """Messages 1 to 8 at those times, the odd ones of alice, the even ones of bob or a guest."""
    accounts = {0: "bob", 1: "alice", 2: None, 3: "alice"}
    history.add(
        entry(f"m{at_ms}", at_ms, f"word{at_ms} hello", account=accounts[at_ms % 4])
        for at_ms in range(1, 9)
    )
    return history


def test_what_is_below_the_floor_is_not_read(shared):
    newcomer = Readable(ROOM.key, floor_ms=6)
    assert msgids(shared.page(newcomer, limit=9, newest=True)) == "m6 m7 m8"
    assert msgids(shared.page(newcomer, limit=2, newest=False)) == "m6 m7"
    assert msgids(shared.around(newcomer, Position.at(6), limit=9)) == "m6 m7 m8"
    assert shared.locate(newcomer, "m5") is None
    assert shared.locate(newcomer, "m6") == shared.locate(ALL, "m6")
    assert search(shared, "hello", readables=[newcomer]) == "m6 m7 m8"
    assert search(shared, "word5", readables=[newcomer]) == ""
    assert search(shared, readables=[newcomer]) == "m6 m7 m8"


def test_own_entries_are_read_from_below_the_floor(shared):
    newcomer = Readable(ROOM.key, floor_ms=6, own_account="alice")
    assert msgids(shared.page(newcomer, limit=9, newest=True)) == "m1 m3 m5 m6 m7 m8"
    assert msgids(shared.page(newcomer, limit=4, newest=True)) == "m5 m6 m7 m8"
    assert msgids(shared.page(newcomer, limit=4, newest=False)) == "m1 m3 m5 m6"
    before = shared.locate(newcomer, "m5")
    assert before is not None
    page = shared.page(newcomer, before=before, limit=9, newest=True)
    assert (msgids(page), page.from_oldest) == ("m1 m3", True)
    assert shared.locate(newcomer, "m4") is None
    assert search(shared, "hello", readables=[newcomer]) == "m1 m3 m5 m6 m7 m8"
    assert search(shared, "hello", readables=[newcomer], limit=5) == "m3 m5 m6 m7 m8"
    assert search(shared, "word2", readables=[newcomer]) == ""
    assert search(shared, "hello", readables=[newcomer], before_ms=4) == "m1 m3"


def test_a_guest_without_account_has_nothing_of_his_own(shared):
    guest = Readable(ROOM.key, floor_ms=9, own_account=None)
    assert msgids(shared.page(guest, limit=9, newest=True)) == ""
    assert shared.locate(guest, "m2") is None


def test_the_newest_readable_times(shared):
    shared.add(
        [
            entry("d1", 20, conversation=DIRECT),
            entry("j1", 30, conversation=DIRECT, kind="JOIN"),
            entry("o1", 40, conversation=OTHER_ROOM),
        ]
    )
    readables = [Readable(ROOM.key), Readable(DIRECT.key), Readable(OTHER_ROOM.key, floor_ms=41)]
    assert shared.latest_times(readables) == {ROOM.key: 8, DIRECT.key: 30}
    assert shared.latest_times(readables, SPOKEN_KINDS) == {ROOM.key: 8, DIRECT.key: 20}
    mine = [Readable(ROOM.key, floor_ms=41, own_account="alice")]
    assert shared.latest_times(mine) == {ROOM.key: 7}


def test_the_direct_conversations_of_somebody(history):
    others = Conversation("bob carol", ("bob", "carol"))
    self_talk = Conversation("bob bob", ("bob", "bob"))
    history.add(
        entry(f"m{number}", number, conversation=conversation)
        for number, conversation in enumerate([ROOM, DIRECT, others, self_talk])
    )
    assert history.direct_conversations("bob") == [DIRECT, others, self_talk]
    assert history.direct_conversations("alice") == [DIRECT]
    assert history.direct_conversations("dave") == []


@pytest.mark.parametrize("newcomer", [None, "alice"])
def test_who_may_read_little_of_much(history, newcomer):
    """Far more hits than are checked one by one, and most of them not to be read."""
    history.add(
        entry(f"m{number}", number, conversation=OTHER_ROOM if number % 10 else ROOM, account=name)
        for number, name in zip(range(1, 2000), ["alice", *["bob"] * 90] * 22, strict=False)
    )
    readables = [Readable(ROOM.key, 1900, newcomer)]
    expected = [
        found.entry.msgid for found in history.page(readables[0], limit=1000, newest=True).entries
    ]
    assert len(expected) == (10 if newcomer is None else 12)
    assert search(history, "hello", readables=readables) == " ".join(expected)
    assert search(history, "hello", readables=readables, limit=11) == " ".join(expected[-11:])


# ---- redaction ----


def test_a_redacted_entry_is_an_empty_placeholder(history):
    history.add([entry("m1", 1, "secret plan", tags="+x=1"), entry("m2", 2, "other plan")])
    assert search(history, "plan") == "m1 m2"
    assert history.redact(ROOM.key, "m1")
    found = history.get(ROOM.key, "m1")
    assert found is not None
    assert found.redacted
    assert found.entry == entry("m1", 1, "", tags="", detail="")
    assert everything(history) == "m1 m2"
    assert search(history, "secret") == ""
    assert search(history, "plan") == "m2"
    assert search(history, sender="alice") == "m2"
    assert not history.redact(ROOM.key, "m1")
    assert not history.redact(ROOM.key, "m3")


def test_what_is_redacted_before_it_was_ever_searched_is_not_found(history):
    history.add([entry("m1", 1, "secret"), entry("m2", 2, "secret", kind="TAGMSG")])
    assert history.redact(ROOM.key, "m1")
    assert history.redact(ROOM.key, "m2")
    assert search(history, "secret") == ""


# ---- retention ----


def test_old_entries_expire_in_slices(connection, ten):
    assert ten.expire(13, 4) == 4
    assert everything(ten) == "m4 m5 m6 m7 m8 m9"
    assert search(ten, "hello") == "m4 m5 m6 m7 m8 m9"
    assert ten.expire(13, 4) == 2
    assert everything(ten) == search(ten, "hello") == "m6 m7 m8 m9"
    assert ten.expire(13, 4) == 0
    check_integrity(connection)


def test_old_entries_of_one_conversation_expire_in_slices(connection, ten):
    ten.add([entry("o1", 1, conversation=OTHER_ROOM)])
    assert ten.expire_conversation("nowhere", 13, 4) == 0
    assert ten.expire_conversation(ROOM.key, 13, 4) == 4
    assert everything(ten) == "m4 m5 m6 m7 m8 m9"
    assert ten.expire_conversation(ROOM.key, 13, 4) == 2
    assert everything(ten) == search(ten, "hello") == "m6 m7 m8 m9"
    assert ten.expire_conversation(ROOM.key, 13, 4) == 0
    assert everything(ten, OTHER_ROOM.key) == "o1"
    check_integrity(connection)


def test_a_conversation_without_entries_is_forgotten(connection, history):
    history.add([entry("m1", 1, conversation=DIRECT), entry("m2", 2)])
    assert history.expire(2, 10) == 1
    assert history.direct_conversations("alice") == []
    assert count(connection, "conversations") == 1
    history.add([entry("m3", 3, conversation=DIRECT)])
    assert everything(history, DIRECT.key) == "m3"


def test_a_conversation_is_trimmed_to_its_newest(connection, ten):
    ten.add([entry("o1", 1, conversation=OTHER_ROOM)])
    ten.redact(ROOM.key, "m1")
    assert ten.trim(ROOM.key, 20, 4) == 0
    assert ten.trim(ROOM.key, 10, 4) == 0
    assert ten.trim(ROOM.key, 4, 4) == 4
    assert everything(ten) == "m4 m5 m6 m7 m8 m9"
    assert ten.trim(ROOM.key, 4, 4) == 2
    assert everything(ten) == search(ten, "hello") == "m6 m7 m8 m9"
    assert everything(ten, OTHER_ROOM.key) == "o1"
    assert ten.trim(ROOM.key, 0, 10) == 4
    assert everything(ten) == ""
    check_integrity(connection)


def test_rooms_that_are_no_more_go_and_direct_conversations_stay(ten):
    direct = Conversation("a b", ("a", "b"))
    ten.add([entry("o1", 1, conversation=OTHER_ROOM), entry("d1", 1, conversation=direct)])
    ten.delete_other_rooms([OTHER_ROOM.key, "unknown"])
    assert everything(ten) == ""
    assert everything(ten, OTHER_ROOM.key) == "o1"
    assert everything(ten, direct.key) == "d1"
    ten.delete_other_rooms([])
    assert everything(ten, OTHER_ROOM.key) == ""


def test_a_deleted_conversation_is_gone_at_once_and_its_rows_in_slices(connection, ten):
    ten.add([entry("o1", 1, conversation=OTHER_ROOM)])
    ten.delete_conversation(ROOM.key)
    assert everything(ten) == ""
    assert search(ten, "hello", readables=[ALL, Readable(OTHER_ROOM.key)]) == "o1"
    assert ten.get(ROOM.key, "m1") is None
    ten.add([entry("m1", 99, "new")])
    assert everything(ten) == search(ten) == "m1"
    assert ten.expire(0, 6) == 6
    assert ten.expire(0, 6) == 4
    assert ten.expire(0, 6) == 0
    assert everything(ten) == "m1"
    assert everything(ten, OTHER_ROOM.key) == "o1"
    assert count(connection, "messages") == 2
    assert count(connection, "conversations") == 2
    check_integrity(connection)


def test_events_expire_too(connection, history):
    history.add(
        entry(f"m{number}", number, kind=("JOIN", "PRIVMSG")[number % 2]) for number in range(6)
    )
    assert history.expire(4, 100) == 4
    assert everything(history) == "m4 m5"
    assert search(history, "hello") == "m5"
    check_integrity(connection)


def test_many_messages_in_groups(connection, history):
    for start in range(0, 2000, 100):
        history.add(entry(f"m{number}", number) for number in range(start, start + 100))
    assert len(history.search([ALL], text="hello", limit=5000)) == 2000
    check_integrity(connection)


@pytest.mark.parametrize("indexed_before", [False, True])
def test_the_search_index_is_undone_with_its_piece_of_work(connection, history, indexed_before):
    connection.execute("BEGIN")
    connection.execute("SAVEPOINT task")
    history.add([entry("m1", 1, "kept")])
    if indexed_before:
        assert search(history, "kept") == "m1"
    connection.execute("RELEASE task")
    connection.execute("SAVEPOINT task")
    history.add([entry("m2", 2, "undone")])
    assert search(history, "kept") == "m1"
    assert search(history, "undone") == "m2"
    assert history.redact(ROOM.key, "m1")
    connection.execute("ROLLBACK TO task")
    connection.execute("RELEASE task")
    connection.execute("SAVEPOINT task")
    history.add([entry("m3", 3, "kept too")])
    connection.execute("RELEASE task")
    connection.execute("COMMIT")
    assert search(history, "kept") == "m1 m3"
    assert search(history, "undone") == ""
    check_integrity(connection)


def test_an_error_of_the_database_is_a_store_error(connection, history):
    history.add([entry("m1", 1)])
    connection.execute("DROP TABLE messages")
    for failing in (
        lambda: history.add([entry("m1", 1)]),
        lambda: history.get(ROOM.key, "m1"),
        lambda: history.page(ALL, limit=1, newest=True),
        lambda: history.latest_times([ALL]),
        lambda: history.search([ALL], text="a", limit=1),
        lambda: history.expire(5, 5),
        lambda: history.trim(ROOM.key, 0, 5),
        lambda: history.redact(ROOM.key, "m1"),
    ):
        with pytest.raises(StoreError, match=r"^cannot .*(no such table|does not exist)"):
            failing()
