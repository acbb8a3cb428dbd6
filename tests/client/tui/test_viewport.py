"""What is in view, and that it stays there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.chat.buffers import Buffer
from securechat.client.tui.layout import Layout
from securechat.client.tui.viewport import Viewport
from tests.client.tui.talk import NOON, clock, nobody, said, talk

HEIGHT = 10


def view_of(buffer: Buffer, height: int = HEIGHT) -> Viewport:
    view = Viewport(clock)
    view.arrange(Layout(60, show_times=False, private=False, own_nick=""), height)
    view.show(buffer)
    return view


def lines(view: Viewport) -> list[str]:
    return [row.line.text.strip(" ─") for row in view.rows()]


def words(view: Viewport) -> list[str]:
    """The last words of the lines of entries: the numbers of texts."""
    return [row.line.text.split()[-1] for row in view.rows() if row.entry is not None]


def page(numbers: Iterable[int]) -> list[str]:
    return [str(number) for number in numbers]


def of_lines(*counts: int) -> Buffer:
    """A conversation of texts of so many lines."""
    buffer = talk()
    for number, count in enumerate(counts):
        text = said(number, "\n".join(f"{number}.{line}" for line in range(count)))
        buffer.append(buffer.text_entry(text, mention=False))
    return buffer


def test_nothing_moves_when_the_first_entry_gets_others_before_it() -> None:
    buffer = talk(*range(50))
    buffer.loading = "older"
    view = view_of(buffer)
    view.to_start()
    before = lines(view)
    assert before[:2] == ["loading older messages…", "today, Friday 27 November 2026"]
    buffer.prepend([said(number) for number in range(-50, 0)], nobody)
    buffer.loading = ""
    # What stood above the entry was about its neighbours; the entries have not moved.
    assert lines(view) == ["ann text -2", "ann text -1", *before[2:]]


def test_nothing_moves_when_missed_texts_are_inserted() -> None:
    buffer = talk(*range(20), *range(60, 100))
    view = view_of(buffer)
    view.scroll(-5)
    assert words(view) == page(range(85, 95))
    buffer.insert_after("msgid=m19", [said(number) for number in range(20, 60)], nobody)
    assert words(view) == page(range(85, 95))


def test_what_is_dropped_leaves_the_oldest_in_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securechat.client.chat.buffers.ENTRIES_LIMIT", 100)
    monkeypatch.setattr("securechat.client.chat.buffers._TRIM", 50)
    buffer = talk(*range(100))
    view = view_of(buffer)
    view.to_start()
    view.scroll(5)
    buffer.append(buffer.text_entry(said(100), mention=False))
    assert words(view) == page(range(50, 60))


@given(
    st.lists(st.integers(1, 15), min_size=1, max_size=30),
    st.lists(st.integers(-20, 20), max_size=5),
    st.integers(0, 5),
    st.integers(0, 5),
    st.booleans(),
)
def test_wherever_one_is_nothing_moves(
    counts: list[int], scrolled: list[int], older: int, newer: int, live: bool
) -> None:
    buffer = of_lines(*counts)
    buffer.live = live
    view = view_of(buffer)
    for by in scrolled:
        view.scroll(by)
    before = view.rows()
    assert len(before) == HEIGHT
    at_end = view.at_end
    buffer.prepend([said(number) for number in range(-older, 0)], nobody)
    after = view.rows()
    for row, was in zip(after, before, strict=True):
        assert was.entry is None or row == was
    if not at_end and sum(counts) > HEIGHT:
        for number in range(100, 100 + newer):
            buffer.append(buffer.text_entry(said(number), mention=False))
        for row, was in zip(view.rows(), after, strict=True):
            assert was.entry is None or row == was


@given(
    st.lists(st.integers(1, 15), min_size=1, max_size=30),
    st.lists(st.integers(-20, 20), max_size=9),
)
def test_scrolling_is_by_lines(counts: list[int], scrolled: list[int]) -> None:
    buffer = of_lines(*counts)
    everything = lines(view_of(buffer, sum(counts) + 1))  # with the day
    view = view_of(buffer)
    height = len(everything)
    top = max(height - HEIGHT, 0)
    for by in scrolled:
        view.scroll(by)
        top = min(max(top + by, 0), max(height - HEIGHT, 0))
        assert lines(view)[-min(height, HEIGHT) :] == everything[top : top + HEIGHT]
        assert view.at_end == (top + HEIGHT >= height)


def test_a_smaller_layout_keeps_the_first_entry() -> None:
    buffer = talk(0, 1)
    buffer.append(buffer.text_entry(said(2, "word " * 100), mention=False))
    buffer.append(buffer.text_entry(said(3, "word " * 100), mention=False))
    view = view_of(buffer)
    view.arrange(Layout(30, show_times=False, private=False, own_nick=""), HEIGHT)
    view.reveal(buffer.entries[2])
    view.scroll(15)
    assert view.rows()[0].entry is buffer.entries[2]
    view.arrange(Layout(100, show_times=False, private=False, own_nick=""), 5)
    assert view.rows()[0].entry is buffer.entries[2]


def test_the_line_above_what_is_new_is_drawn_once() -> None:
    buffer = talk(*range(5))
    buffer.entries[3].own = True
    buffer.note("info", NOON + timedelta(minutes=5), "a note")
    buffer.append(buffer.text_entry(said(6), mention=False))
    buffer.append(buffer.text_entry(said(7), mention=False))
    view = view_of(buffer)
    for minute, following in ((0, "ann text 1"), (2, "ann text 4"), (4, "ann text 6")):
        buffer.line_at = NOON + timedelta(minutes=minute)
        shown = lines(view)
        assert shown.count("new") == 1
        assert shown[shown.index("new") + 1] == following
    buffer.line_at = NOON + timedelta(minutes=7)
    assert "new" not in lines(view)


@pytest.mark.parametrize("live", [True, False])
def test_an_empty_buffer_says_what_is_known(live: bool) -> None:
    buffer = talk()
    buffer.reaches_start, buffer.live = True, live
    past = [] if live else ["you are in the past: End goes to the present"]
    view = view_of(buffer)
    assert [line for line in lines(view) if line] == ["beginning of the conversation", *past]
    assert view.at_end == live
    view.scroll(-1)
    view.jump(3)
    view.to_start()
    view.select_next(1)
    assert view.selected is None
    assert view.near_start()
    assert view.near_end()
    assert not view.thumb()


@pytest.mark.parametrize("number", [0, 50, 95, 99])
def test_reveal_brings_an_entry_into_view(number: int) -> None:
    buffer = talk(*range(100))
    view = view_of(buffer)
    assert view.reveal(buffer.entries[number])
    assert view.selected is buffer.entries[number]
    assert str(number) in words(view)
    assert view.at_end == (number >= 90)


def test_an_entry_longer_than_the_view_is_revealed_from_its_start() -> None:
    buffer = of_lines(1, 1, 40, 1)
    view = view_of(buffer)
    assert words(view)[-1] == "3.0"
    view.reveal(buffer.entries[2])
    assert words(view)[0] == "2.0"
    view.select_next(-1)
    assert words(view)[0] == "1.0"
    view.select_next(1)
    assert words(view)[0] == "2.0"


def test_the_thumb_stands_for_entries() -> None:
    view = view_of(talk(*range(100)))
    assert view.thumb() == range(9, 10)
    view.scroll(-1)
    assert view.thumb() == range(8, 9)
    view.to_start()
    assert view.thumb() == range(1)
    view.jump(5)
    assert words(view)[0] == "50"
    view.jump(9)
    assert view.at_end
    view.jump(0)
    assert lines(view)[0].startswith("today")
    assert view_of(talk(*range(5))).thumb() == range(0)
