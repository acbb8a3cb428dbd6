"""The window onto a conversation: positions, history at both ends, reactions, what is unread."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from securechat.client.chat import buffers
from securechat.client.chat.buffers import Buffer, Presence
from securechat.client.events import Reacted, Redacted, TextReceived

START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def text(
    number: int,
    words: str = "",
    *,
    sender: str = "ann",
    own: bool = False,
    msgid: str | None = "",
    mark: str | None = None,
    replayed: bool = False,
) -> TextReceived:
    return TextReceived(
        "#den",
        "#den",
        sender,
        None,
        words or f"text {number}",
        "message",
        START + timedelta(minutes=number),
        direct=False,
        own=own,
        msgid=f"m{number}" if msgid == "" else msgid,
        replayed=replayed,
        mark=mark,
    )


def nobody(event: TextReceived) -> bool:
    return False


def room(*numbers: int) -> Buffer:
    buffer = Buffer("#den", "room", "mentions")
    for number in numbers:
        buffer.append(buffer.text_entry(text(number), mention=False))
    return buffer


def words(buffer: Buffer) -> list[str]:
    return [entry.text for entry in buffer.entries]


def reaction(msgid: str, nick: str, what: str, *, removed: bool = False) -> Reacted:
    return Reacted("#den", msgid, nick, what, removed, False, START)


def test_an_entry_keeps_its_position_when_history_comes_before_it() -> None:
    buffer = room(5, 6)
    position = buffer.position_of(buffer.entries[1])
    assert position is not None
    assert buffer.prepend([text(3), text(4)], nobody) == 2
    assert words(buffer) == ["text 3", "text 4", "text 5", "text 6"]
    assert buffer.at(position).text == "text 6"
    assert buffer.at(buffer.base).text == "text 3"
    assert buffer.end == position + 1


def test_the_oldest_are_dropped_and_positions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "ENTRIES_LIMIT", 10)
    monkeypatch.setattr(buffers, "_TRIM", 4)
    buffer = room(*range(10))
    buffer.reaches_start = True
    last = buffer.position_of(buffer.entries[-1])
    assert last is not None
    buffer.append(buffer.text_entry(text(10), mention=False))
    assert len(buffer.entries) == 7
    assert buffer.at(last).text == "text 9"
    assert not buffer.reaches_start
    assert buffer.find("m0") is None
    assert buffer.first_reference() == "msgid=m4"


def test_a_page_brings_only_what_is_not_there() -> None:
    buffer = room(5)
    assert buffer.prepend([text(4), text(5)], nobody) == 1
    assert buffer.prepend([text(4), text(5)], nobody) == 0
    assert words(buffer) == ["text 4", "text 5"]


def test_what_was_missed_goes_behind_the_text_it_follows() -> None:
    buffer = room(1, 2)
    buffer.append(buffer.text_entry(text(9), mention=False))  # came before the answer did
    assert buffer.insert_after("msgid=m2", [text(3), text(4), text(9)], nobody) == 2
    assert words(buffer) == ["text 1", "text 2", "text 3", "text 4", "text 9"]


def test_behind_a_text_that_is_no_more_means_at_the_end() -> None:
    buffer = room(1)
    buffer.insert_after("msgid=gone", [text(2)], nobody)
    assert words(buffer) == ["text 1", "text 2"]


def test_another_place_replaces_all_but_what_is_not_sent() -> None:
    buffer = room(1, 2)
    end = buffer.end
    waiting = buffer.text_entry(text(3, own=True, msgid=None, mark="x"), mention=False)
    waiting.state = "waiting"
    buffer.append(waiting)
    buffer.replace([text(50), text(51)], nobody, live=False)
    assert words(buffer) == ["text 50", "text 51"]
    assert not buffer.live
    assert buffer.base >= end - 2
    buffer.replace([text(60)], nobody, live=True)
    assert words(buffer) == ["text 60", "text 3"]
    assert buffer.of_mark("x") is waiting


def test_our_own_text_settles_when_it_comes_back() -> None:
    buffer = room(1)
    pending = buffer.text_entry(text(2, own=True, msgid=None, mark="x"), mention=False)
    pending.state, pending.outgoing = "sent", 7
    buffer.append(pending)
    buffer.append(buffer.text_entry(text(3), mention=False))
    echo = text(4, "text 2", own=True, msgid="m4", mark="x")
    known = buffer.knows(echo)
    assert known is pending
    buffer.settle(pending, echo)
    assert (pending.state, pending.outgoing, pending.msgid) == ("", None, "m4")
    assert words(buffer) == ["text 1", "text 3", "text 2"]  # in the server's order
    assert buffer.find("m4") is pending
    assert buffer.knows(text(4, own=True, msgid="m4")) is pending


def test_a_mark_of_somebody_else_is_no_text_of_ours() -> None:
    buffer = room()
    buffer.append(buffer.text_entry(text(1, own=True, msgid=None, mark="x"), mention=False))
    assert buffer.knows(text(2, sender="eve", mark="x")) is None


def test_redacted_words_are_gone_and_the_entry_says_so() -> None:
    buffer = room(1)
    buffer.react(reaction("m1", "bob", "+1"))
    version = buffer.entries[0].version
    assert buffer.redact(Redacted("#den", "m1", "ann", "a\x1btypo"))
    entry = buffer.entries[0]
    assert (entry.text, entry.redacted_by, entry.reason) == ("", "ann", "a\ufffdtypo")
    assert entry.reactions is None
    assert entry.version > version
    assert buffer.react(reaction("m1", "bob", "+1")) is None
    assert not buffer.redact(Redacted("#den", "unknown", "ann", ""))


def test_reactions_are_counted_by_nick() -> None:
    buffer = room(1)
    for nick in ("bob", "carl", "bob"):
        buffer.react(reaction("m1", nick, "👍"))
    buffer.react(reaction("m1", "bob", ":)"))
    assert buffer.entries[0].reactions == {"👍": ["carl", "bob"], ":)": ["bob"]}
    buffer.react(reaction("m1", "bob", ":)", removed=True))
    buffer.react(reaction("m1", "bob", "👍", removed=True))
    assert buffer.entries[0].reactions == {"👍": ["carl"]}


def test_invented_reactions_have_a_limit() -> None:
    buffer = room(1)
    for number in range(buffers.REACTIONS_LIMIT + 5):
        buffer.react(reaction("m1", "eve", f"r{number}"))
    found = buffer.entries[0].reactions
    assert found is not None
    assert len(found) == buffers.REACTIONS_LIMIT


def test_reactions_and_redactions_of_a_page_apply() -> None:
    buffer = room()
    page = [text(1), text(2), reaction("m1", "bob", "+1"), Redacted("#den", "m2", "ann", "")]
    buffer.prepend(page, nobody)
    assert buffer.entries[0].reactions == {"+1": ["bob"]}
    assert buffer.entries[1].redacted_by == "ann"


def test_comings_and_goings_are_one_entry_until_somebody_speaks() -> None:
    buffer = room()
    buffer.add_presence(Presence("joined", "ann"), START, 2)
    buffer.add_presence(Presence("left", "bob", "bye"), START, 1)
    buffer.append(buffer.text_entry(text(1), mention=False))
    buffer.add_presence(Presence("joined", "carl"), START, 2)
    assert [len(entry.presences or ()) for entry in buffer.entries] == [2, 0, 1]
    assert [entry.people for entry in buffer.entries] == [1, None, 2]


def test_comings_and_goings_of_two_days_are_two_entries() -> None:
    buffer = room()
    buffer.add_presence(Presence("joined", "ann"), START, 2)
    buffer.add_presence(Presence("left", "ann"), START + timedelta(days=1), 1)
    assert len(buffer.entries) == 2


def test_unread_is_what_others_have_said_since_the_marker() -> None:
    buffer = room(1, 2, 3)
    buffer.append(buffer.text_entry(text(4, own=True), mention=False))
    buffer.append(buffer.text_entry(text(5), mention=True))
    buffer.read_until = START + timedelta(minutes=2)
    buffer.count_unread()
    assert (buffer.unread, buffer.mentions) == (2, 1)
    assert buffer.line_at is not None
    assert START + timedelta(minutes=2) <= buffer.line_at < START + timedelta(minutes=3)
    buffer.read_until = START + timedelta(minutes=5)
    buffer.count_unread()
    assert (buffer.unread, buffer.mentions, buffer.line_at) == (0, 0, None)


def test_local_search_wants_all_words_in_any_case() -> None:
    buffer = room()
    for number, said in enumerate(["The quick fox", "the slow fox", "QUICK"]):
        buffer.append(buffer.text_entry(text(number, said), mention=False))
    assert [entry.text for entry in buffer.search(["quick"])] == ["The quick fox", "QUICK"]
    assert [entry.text for entry in buffer.search(["FOX", "slow"])] == ["the slow fox"]
    assert buffer.search([]) == buffer.search([""]) == []


def test_who_types_is_forgotten_in_time() -> None:
    buffer = room()
    buffer.typing.update(ann=10.0, bob=20.0)
    assert buffer.typing_now(9.0) == ["ann", "bob"]
    assert buffer.typing_now(10.0) == ["bob"]
    assert buffer.typing_now(30.0) == []


def test_hostile_text_is_made_safe_line_by_line() -> None:
    buffer = room()
    entry = buffer.text_entry(text(1, "a\x1b[2Jb\r\nc\u202ed", sender="e\x07ve"), mention=False)
    assert entry.text == "a\ufffd[2Jb\nc\ufffdd"
    assert entry.sender == "e\ufffdve"
