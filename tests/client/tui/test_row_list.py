from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input

from securechat.client.tui.row_list import RowList, shorten, spread
from securechat.client.tui.themes import variable_defaults

HEIGHT = 10


class Words(RowList[str]):
    """Rows of text; those in capitals are headings."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str] = []
        self.drawn: list[str] = []

    def draw(self, row: str, width: int) -> list[Segment]:
        self.drawn.append(row)
        return [Segment(row)]

    def key_of(self, row: str) -> Hashable | None:
        return None if row.isupper() else row

    def choose(self, row: str) -> None:
        self.chosen.append(row)

    def describe(self, row: str) -> str:
        return "" if row.isupper() else f"[b]{row}[/b]"

    def at(self, y: int) -> Strip:
        return self.render_line(y)

    def shown(self) -> list[str]:
        return [self.at(y).text.strip() for y in range(HEIGHT)]


class Host(App[None]):
    CSS = f"Words {{ width: 20; height: {HEIGHT}; }}"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        yield Input()
        yield Words()


Test = Callable[[Words, Pilot[None]], Awaitable[None]]


def with_list(test: Test) -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            await test(app.query_one(Words), pilot)

    asyncio.run(run())


def styled(strip: Strip, *, reverse_of: Strip) -> bool:
    """Whether the strip has another background than the other."""
    return next(iter(strip)).style != next(iter(reverse_of)).style


ROWS = ["ROOMS", "#one", "#two", "PEOPLE", "ann", "bob"]


def test_a_click_chooses_and_the_focus_stays() -> None:
    async def test(words: Words, pilot: Pilot[None]) -> None:
        pilot.app.query_one(Input).focus()
        words.set_rows(ROWS)
        await pilot.pause()
        assert words.shown()[:7] == [*ROWS, ""]
        for y in (2, 0, 8, 4):  # 0 is a heading, at 8 there is nothing
            await pilot.click(words, offset=(1, y))
        assert words.chosen == ["#two", "ann"]
        assert pilot.app.query_one(Input).has_focus
        await pilot.click(words, offset=(1, 1), button=3)
        assert words.chosen == ["#two", "ann"]

    with_list(test)


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["enter"], ["#one"]),
        (["down", "enter"], ["#two"]),
        (["down", "down", "enter"], ["ann"]),  # over a heading
        (["up", "enter"], ["#one"]),
        (["end", "enter", "up", "up", "enter", "home", "enter"], ["bob", "#two", "#one"]),
        (["end", "down", "enter"], ["bob"]),
        (["pagedown", "enter", "pageup", "enter"], ["bob", "#one"]),
    ],
)
def test_the_keys(keys: list[str], chosen: list[str]) -> None:
    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.set_rows(ROWS)
        words.focus()
        await pilot.pause()
        await pilot.press(*keys)
        assert words.chosen == chosen

    with_list(test)


def test_a_list_of_headings_or_nothing_has_no_cursor() -> None:
    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.focus()
        for rows in ([], ["ROOMS"]):
            words.set_rows(rows)
            await pilot.press("down", "pagedown", "pageup", "end", "enter")
        assert words.chosen == []

    with_list(test)


def test_the_cursor_shows_with_the_focus_and_stays_on_its_row() -> None:
    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.set_rows(ROWS)
        words.focus()
        await pilot.press("down")
        assert styled(words.at(2), reverse_of=words.at(1))
        words.set_rows(["ROOMS", "#new", "#one", "#two"])
        assert styled(words.at(3), reverse_of=words.at(2))
        await pilot.press("enter")
        assert words.chosen == ["#two"]
        pilot.app.query_one(Input).focus()
        await pilot.pause()
        assert not styled(words.at(3), reverse_of=words.at(2))
        words.set_rows(["ROOMS", "#new"])  # its row is gone
        words.focus()
        await pilot.press("enter")
        assert words.chosen == ["#two", "#new"]

    with_list(test)


def test_what_is_under_the_mouse_shows() -> None:
    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.set_rows(ROWS)
        await pilot.pause()
        await pilot.hover(words, offset=(1, 2))
        assert styled(words.at(2), reverse_of=words.at(1))
        assert str(words.tooltip) == "[b]#two[/b]"  # as it is: no markup
        await pilot.hover(words, offset=(1, 3))
        assert not styled(words.at(3), reverse_of=words.at(1))
        assert words.tooltip is None
        await pilot.hover(words, offset=(1, 2))
        await pilot.hover(Input)
        assert not styled(words.at(2), reverse_of=words.at(1))
        assert words.tooltip is None

    with_list(test)


def test_the_place_in_many_rows_stays() -> None:
    rows = [f"row {number}" for number in range(1000)]

    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.set_rows(rows)
        await pilot.pause()
        words.scroll_to(y=500, animate=False)
        await pilot.pause()
        words.set_rows(rows[:-1])
        await pilot.pause()
        assert words.shown()[0] == "row 500"
        words.set_rows(rows[:20])
        await pilot.pause()
        assert words.shown() == rows[10:20]
        await pilot.click(words, offset=(1, 3))
        assert words.chosen == ["row 13"]

    with_list(test)


def test_to_reveal_scrolls_no_further_than_it_takes() -> None:
    rows = [f"row {number}" for number in range(100)]

    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.set_rows(rows)
        places = []
        for key in ("row 99", "row 95", "row 50", "row 0", "no row", "row 8", "row 9"):
            words.reveal(key)
            await pilot.pause()
            places.append(words.shown()[0])
        assert places == ["row 90", "row 90", "row 49", "row 0", "row 0", "row 0", "row 1"]

    with_list(test)


def test_only_what_is_visible_is_drawn() -> None:
    async def test(words: Words, pilot: Pilot[None]) -> None:
        words.set_rows([f"row {number}" for number in range(5000)])
        await pilot.pause()
        words.scroll_to(y=2500, animate=False)
        await pilot.pause()
        assert 0 < len(set(words.drawn)) <= 2 * HEIGHT

    with_list(test)


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("room", 4, "room"),
        ("rooms", 4, "roo…"),
        ("a room", 3, "a…"),
        ("世界世界", 5, "世界…"),
        ("世界世界", 4, "世…"),
        ("room", 1, "…"),
        ("room", 0, ""),
        ("", 0, ""),
    ],
)
def test_shorten(text: str, width: int, short: str) -> None:
    assert shorten(text, width) == short


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"])), st.integers(1, 30))
def test_what_is_spread_fills_the_row(title: str, width: int) -> None:
    row = spread([Segment("▌1 ")], Segment(title), [Segment(" !12")], width)
    assert sum(segment.cell_length for segment in row) == max(width, 8)
    assert row[-1].text == " !12"
    assert cell_len(row[1].text) <= max(1, width - 7)
