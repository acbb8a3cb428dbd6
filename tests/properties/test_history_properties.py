"""The history against a plain list: whatever is kept, redacted and deleted, both show the same."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securechat.store import message_index, postgres_search
from securechat.store.connection import Connection
from securechat.store.history import (
    SPOKEN_KINDS,
    Conversation,
    Entry,
    History,
    KeptEntry,
    Position,
    Readable,
)
from securechat.store.migrations import migrate
from securechat.store.postgres import connect
from securechat.store.postgres_url import parse_postgres_url
from tests.store.history_checks import check_integrity

# A world so small that everything meets everything.
CONVERSATIONS = (Conversation("room"), Conversation("a b", ("a", "b")))
KEYS = tuple(conversation.key for conversation in CONVERSATIONS)
TIMES = range(5)
MSGIDS = tuple(f"m{number}" for number in range(30))
ACCOUNTS = ("a", "b")
WORDS = ("one", "two", "drei")


class Model:
    """What was kept, in the order of addition; the slowest way to do everything."""

    def __init__(self) -> None:
        self.kept: list[tuple[Entry, bool]] = []

    def add(self, entries: list[Entry]) -> None:
        for entry in entries:
            if self.find(entry.conversation.key, entry.msgid) is None:
                self.kept.append((entry, False))
        self.kept.sort(key=lambda kept: kept[0].at_ms)  # stable

    def find(self, key: str, msgid: str) -> int | None:
        for index, (entry, _) in enumerate(self.kept):
            if (entry.conversation.key, entry.msgid) == (key, msgid):
                return index
        return None

    def redact(self, key: str, msgid: str) -> bool:
        index = self.find(key, msgid)
        if index is None or self.kept[index][1]:
            return False
        entry, _ = self.kept[index]
        self.kept[index] = (
            Entry(
                entry.conversation,
                entry.msgid,
                entry.at_ms,
                entry.kind,
                entry.source,
                entry.sender,
                entry.account,
                "",
                "",
                "",
            ),
            True,
        )
        return True

    def delete(self, doomed: list[Entry]) -> int:
        self.kept = [kept for kept in self.kept if kept[0] not in doomed]
        return len(doomed)

    def of(self, key: str) -> list[Entry]:
        return [entry for entry, _ in self.kept if entry.conversation.key == key]

    def readable(self, readable: Readable, kinds: frozenset[str] | None) -> list[Entry]:
        return [
            entry
            for entry in self.of(readable.key)
            if (kinds is None or entry.kind in kinds)
            and (
                entry.at_ms >= readable.floor_ms
                or (readable.own_account is not None and entry.account == readable.own_account)
            )
        ]


def entries_of(kept: list[KeptEntry]) -> list[Entry]:
    return [found.entry for found in kept]


entries = st.builds(
    Entry,
    conversation=st.sampled_from(CONVERSATIONS),
    msgid=st.sampled_from(MSGIDS),
    at_ms=st.sampled_from(TIMES),
    kind=st.sampled_from(["PRIVMSG", "NOTICE", "JOIN"]),
    source=st.just("a!a@a"),
    sender=st.sampled_from(ACCOUNTS),
    account=st.none() | st.sampled_from(ACCOUNTS),
    detail=st.just("detail"),
    text=st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    tags=st.just("+x"),
    place=st.just(0),
)
keys = st.sampled_from(KEYS)
small = st.integers(0, 8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(entries, max_size=8)),
        st.tuples(st.just("add"), st.lists(entries, max_size=8)),
        st.tuples(st.just("redact"), keys, st.sampled_from(MSGIDS)),
        st.tuples(st.just("expire"), st.sampled_from(TIMES), small),
        st.tuples(st.just("trim"), keys, small, small),
        st.tuples(st.just("delete"), keys),
        st.tuples(st.just("search")),
    ),
    max_size=12,
)
readables = st.builds(
    Readable,
    key=keys,
    floor_ms=st.sampled_from(TIMES),
    own_account=st.none() | st.sampled_from(ACCOUNTS),
)
kind_sets = st.none() | st.frozensets(st.sampled_from(["PRIVMSG", "NOTICE", "JOIN"]))


def take(history: History, model: Model, step: tuple[object, ...]) -> None:
    match step:
        case ("add", list(some)):
            history.add(some)
            model.add([entry._replace(place=0) for entry in some])
        case ("redact", str(key), str(msgid)):
            assert history.redact(key, msgid) == model.redact(key, msgid)
        case ("expire", int(before_ms), int(most)):
            old = [entry for entry, _ in model.kept if entry.at_ms < before_ms]
            assert history.expire(before_ms, most) == model.delete(old[:most])
        case ("trim", str(key), int(keep), int(most)):
            old = model.of(key)[: max(0, len(model.of(key)) - keep)]
            assert history.trim(key, keep, most) == model.delete(old[:most])
        case ("delete", str(key)):
            history.delete_conversation(key)
            gone = model.delete(model.of(key))
            assert history.expire(0, gone + 1) == gone
        case ("search",):
            history.search([], limit=1)


def compare_pages(
    history: History, model: Model, readable: Readable, kinds: frozenset[str] | None, limit: int
) -> None:
    whole = model.readable(readable, kinds)
    places: list[Position | None] = [None, *map(Position.at, TIMES)]
    for place in places:
        at = None if place is None else place.at_ms
        after = [entry for entry in whole if at is None or entry.at_ms > at]
        before = [entry for entry in whole if at is None or entry.at_ms < at]
        page = history.page(readable, after=place, limit=limit, newest=False, kinds=kinds)
        assert entries_of(page.entries) == after[:limit]
        page = history.page(readable, before=place, limit=limit, newest=True, kinds=kinds)
        assert entries_of(page.entries) == before[max(0, len(before) - limit) :]
        assert page.from_oldest == (limit >= len(before))
        if place is not None:
            around = history.around(readable, place, limit=limit, kinds=kinds)
            check_around(entries_of(around.entries), whole, len(before), limit)
    for index, entry in enumerate(whole):
        place = history.locate(readable, entry.msgid)
        assert place is not None
        page = history.page(readable, after=place, limit=limit, newest=False, kinds=kinds)
        assert entries_of(page.entries) == whole[index + 1 :][:limit]
        around = history.around(readable, place, limit=limit, kinds=kinds)
        check_around(entries_of(around.entries), whole, index, limit)


def check_around(found: list[Entry], whole: list[Entry], place: int, limit: int) -> None:
    """``place`` is the index of the first entry that is not before."""
    assert len(found) == min(limit, len(whole))
    if not found:
        return
    first = whole.index(found[0])
    assert found == whole[first : first + limit]
    if limit >= 2 and first > 0 and first + limit < len(whole):
        assert abs((place - first) - (first + limit - place)) <= 1
    assert first <= place <= first + limit


limits = st.fixed_dictionaries(
    {
        "_CHECKED_HITS": st.sampled_from([1, 3, 500]),
        "_CONVERSATIONS_A_QUERY": st.sampled_from([1, 500]),
        "_UNINDEXED_LIMIT": st.sampled_from([1, 4, 512]),
    }
)
"""In this small world, those of the module would never be reached."""


@given(steps, readables, kind_sets, small, limits)
def test_the_history_is_as_a_list(
    taken: list[tuple[object, ...]],
    readable: Readable,
    kinds: frozenset[str] | None,
    limit: int,
    limits: dict[str, int],
) -> None:
    with (
        patch.multiple(message_index, **limits),
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA foreign_keys = OFF")
        migrate(connection, Path("memory"))
        compare(connection, taken, readable, kinds, limit)


walks = st.fixed_dictionaries(
    {"_WALKED": st.sampled_from([1, 4, 5000]), "_CONVERSATIONS_A_QUERY": st.sampled_from([1, 20])}
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, readables, kind_sets, small, walks)
def test_the_history_in_postgresql_is_as_a_list(
    postgres_url: str,
    taken: list[tuple[object, ...]],
    readable: Readable,
    kinds: frozenset[str] | None,
    limit: int,
    walks: dict[str, int],
) -> None:
    with (
        patch.multiple(postgres_search, **walks),
        closing(connect(parse_postgres_url(postgres_url))) as connection,
    ):
        connection.execute("TRUNCATE conversations, messages")
        connection.execute("BEGIN")
        compare(connection, list(_in_the_order_of_a_log(taken)), readable, kinds, limit)
        connection.execute("ROLLBACK")


def _in_the_order_of_a_log(taken: list[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    """Yield the steps, with the places of entries in the order in which they come."""
    places = itertools.count()
    for step in taken:
        match step:
            case ("add", list(some)):
                yield "add", [entry._replace(place=next(places)) for entry in some]
            case _:
                yield step


def compare(
    connection: Connection,
    taken: list[tuple[object, ...]],
    readable: Readable,
    kinds: frozenset[str] | None,
    limit: int,
) -> None:
    history, model = History(connection), Model()
    for step in taken:
        take(history, model, step)
    compare_pages(history, model, readable, kinds, limit)
    for found in searches(history, model, readable, limit):
        assert found[0] == found[1]
    times = [entry.at_ms for entry in model.readable(readable, kinds)]
    expected = {readable.key: times[-1]} if times else {}
    assert history.latest_times([readable], kinds) == expected
    check_integrity(connection)


def searches(
    history: History, model: Model, readable: Readable, limit: int
) -> Iterator[tuple[list[Entry], list[Entry]]]:
    """Yield what was found and what should have been."""
    other = Readable(next(key for key in KEYS if key != readable.key), floor_ms=2, own_account="b")
    both = [*model.readable(readable, SPOKEN_KINDS), *model.readable(other, SPOKEN_KINDS)]
    redacted = [entry for entry, gone in model.kept if gone]
    order = [entry for entry, _ in model.kept]
    said = [entry for entry in order if entry in both and entry not in redacted]
    for words in ([], ["one"], ["two", "drei"]):
        for sender in (None, "a"):
            expected = [
                entry
                for entry in said
                if set(words) <= set(entry.text.split()) and sender in (None, entry.sender)
            ]
            found = history.search(
                [readable, other], text=" ".join(words) or None, sender=sender, limit=limit
            )
            yield entries_of(found), expected[max(0, len(expected) - limit) :]
