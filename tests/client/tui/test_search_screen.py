from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from securechat.client.tui import search_screen
from securechat.client.tui.search_screen import (
    EXCERPT_CHARACTERS,
    RESULTS_LIMIT,
    Hit,
    HitList,
    Query,
    SearchScreen,
    parse_query,
)
from tests.client.tui.stage import Host, press, settle, show, shown

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
FOX = Query(("fox",), ask_relay=True)


def hit(number: int, text: str = "a quick fox", *, local: bool = True, msgid: str = "") -> Hit:
    time = NOON + timedelta(minutes=number)
    return Hit("#den", msgid or f"m{number}", f"nick{number}", text, time, local)


class Searching:
    """A search screen, what it has asked for, and what came of it."""

    def __init__(self, pilot: Pilot[Any], screen: SearchScreen) -> None:
        self.pilot = pilot
        self.screen = screen
        self.queries: list[Query] = []
        self.results: list[Hit | None] = []

    async def press(self, *keys: str) -> None:
        await press(self.pilot, *keys)

    async def text(self) -> str:
        await settle(self.pilot)
        return shown(self.pilot.app)

    async def shown(self, number: int) -> bool:
        return f"<nick{number}>" in await self.text()

    def given(self) -> list[str]:
        return [str(hit.msgid) for hit in self.results if hit is not None]


Steps = Callable[[Searching], Awaitable[None]]


def search(
    steps: Steps,
    *,
    scope: str = "#den",
    text: str = "",
    size: tuple[int, int] = (80, 24),
    local: Sequence[Hit] = (),
) -> None:
    """Open a search screen that finds ``local`` here at once, and do the steps."""

    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:

            def ask(query: Query) -> None:
                searching.queries.append(query)
                screen.show_local(query, local)

            screen = SearchScreen(scope, ask, text)
            searching = Searching(pilot, screen)
            await show(pilot, screen, searching.results)
            await steps(searching)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_screen, "TYPING_PAUSE_S", 3_600.0)


# ---- the query ----


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query()),
        ("  ", Query()),
        ("fox", Query(("fox",))),
        (" quick  fox ", Query(("quick", "fox"))),
        ('"quick fox" den', Query(("quick fox", "den"))),
        ('"quick fox', Query(("quick fox",))),
        ('""', Query()),
        ('say"so', Query(('say"so',))),
        ("in:#den fox", Query(("fox",), conversation="#den")),
        ("fox from:ann", Query(("fox",), sender="ann")),
        ("IN:#den From:ann", Query((), "#den", "ann")),
        ('from:"ann"', Query((), sender="ann")),
        ("in: from:", Query()),
        ("in: fox", Query(("fox",))),
        ("from:ann from:bob", Query((), sender="bob")),
        ("within:x at:y http://z", Query(("within:x", "at:y", "http://z"))),
        ('"in:#den"', Query(("in:#den",))),
    ],
)
def test_what_is_typed_as_a_query(text: str, query: Query) -> None:
    assert parse_query(text) == query
    assert parse_query(text, everywhere=True) == replace(query, everywhere=True)


def test_the_words_as_the_relay_gets_them() -> None:
    assert parse_query('"quick fox" in:#den den').text == "quick fox den"


@pytest.mark.parametrize(("text", "wanted"), [("", False), ("in:", False), ("from:ann", True)])
def test_whether_anything_is_looked_for(text: str, wanted: bool) -> None:
    assert bool(parse_query(text)) is wanted


# ---- asking ----


def test_while_typing_only_what_is_loaded_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_screen, "TYPING_PAUSE_S", 0.001)

    async def steps(searching: Searching) -> None:
        searching.screen.query_one(Input).value = "fox"
        while not searching.queries:
            await searching.pilot.pause()
        assert searching.queries == [Query(("fox",))]
        assert "1 found in what is loaded; Enter asks the relay" in await searching.text()

    search(steps, local=[hit(1)])


def test_a_key_soon_after_another_does_not_search() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press(*"fox")
        assert searching.queries == []

    search(steps)


def test_enter_asks_the_relay_once() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press(*"fox", "enter", "enter")
        assert searching.queries == [FOX]
        assert "0 found; the relay is searching…" in await searching.text()

    search(steps)


def test_enter_in_an_empty_line_asks_nobody() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter", "space", "enter")
        assert searching.queries == []

    search(steps)


def test_the_line_begins_with_what_is_given() -> None:
    async def steps(searching: Searching) -> None:
        assert searching.queries == [Query(("fox",))]
        assert await searching.shown(1)

    search(steps, text="fox", local=[hit(1)])


def test_here_and_everywhere() -> None:
    async def steps(searching: Searching) -> None:
        assert "in [b]#den (Ctrl-T)" in await searching.text()
        await searching.press("ctrl+t")
        assert searching.queries == [Query(("fox",)), Query(("fox",), everywhere=True)]
        assert "everywhere (Ctrl-T)" in await searching.text()
        await searching.press("enter")
        await searching.pilot.click("#scope")
        assert searching.queries[-1] == FOX

    search(steps, scope="[b]#den", text="fox")


def test_where_there_is_no_here_all_is_searched() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("ctrl+t")
        assert searching.queries == [Query(("fox",), everywhere=True)]

    search(steps, scope="", text="fox")


# ---- answers ----


def test_an_answer_to_an_older_query_is_dropped() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press(*"dog", "enter", "backspace", "backspace", "backspace")
        await searching.press(*"fox", "enter")
        old = Query(("dog",), ask_relay=True)
        assert searching.queries == [old, FOX]
        searching.screen.show_local(old, [hit(1)])
        searching.screen.show_relay(old, [hit(2)])
        searching.screen.show_failure(old, "too late")
        text = await searching.text()
        assert "0 found; the relay is searching…" in text
        assert "<nick" not in text

    search(steps)


def test_the_newest_come_first_and_each_once() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press(*"fox", "enter")
        searching.screen.show_relay(FOX, [hit(number, local=False) for number in (1, 2, 3)])
        text = await searching.text()
        assert "3 found" in text
        places = [text.index(f"<nick{number}>") for number in (3, 2, 1)]
        assert places == sorted(places)
        await searching.press("down", "down", "enter")
        assert searching.results == [hit(2)]  # the one that is loaded, of the two

    search(steps, local=[hit(2)])


def test_texts_without_a_name_are_not_one() -> None:
    async def steps(searching: Searching) -> None:
        assert "2 found" in await searching.text()

    unnamed = [replace(hit(number), msgid=None) for number in (1, 2, 2)]
    search(steps, text="fox", local=unnamed)


def test_a_relay_that_does_not_look_for_phrases() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter")
        found = [hit(1, "Quick Fox", local=False), hit(2, "fox, quick", local=False)]
        searching.screen.show_relay(searching.queries[-1], found)
        assert await searching.shown(1)
        assert not await searching.shown(2)

    search(steps, text='"quick fox"')


def test_at_most_so_many_are_shown() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter")
        found = [hit(number, local=False) for number in range(RESULTS_LIMIT + 5)]
        searching.screen.show_relay(FOX, found)
        assert f"the newest {RESULTS_LIMIT} are shown" in await searching.text()
        results = searching.screen.query_one(HitList)
        assert results.option_count == RESULTS_LIMIT
        assert await searching.shown(RESULTS_LIMIT + 4)

    search(steps, text="fox")


def test_nothing_found() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter")
        searching.screen.show_relay(FOX, [])
        assert "nothing found" in await searching.text()

    search(steps, text="fox")


@pytest.mark.parametrize(
    ("local", "words"),
    [([], "nothing found; [b]no search"), ([hit(1)], "1 found; [b]no search")],
)
def test_a_failure_is_told_and_enter_tries_again(local: Sequence[Hit], words: str) -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter")
        searching.screen.show_failure(FOX, "[b]no search")
        assert words in await searching.text()
        await searching.press("enter")
        assert searching.queries[-2:] == [FOX, FOX]
        assert "the relay is searching…" in await searching.text()

    search(steps, text="fox", local=local)


def test_what_was_highlighted_stays_so_when_more_comes() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter", "down", "down")
        searching.screen.show_relay(FOX, [hit(9, local=False)])
        await searching.press("enter")
        assert searching.given() == ["m1"]

    search(steps, text="fox", local=[hit(1), hit(2)])


# ---- how they look ----


@pytest.mark.parametrize(
    ("typed", "text", "emphasised"),
    [
        ("fox", "The FOX, foxes", ["FOX", "fox"]),
        ("fox foxes", "foxes", ["foxes"]),
        ("a.c", "abc a.c", ["a.c"]),
        ("[bold]", "[bold]x[/] \\", ["[bold]"]),
        ('"quick fox" den', "quick fox quick den", ["quick fox", "den"]),
        ("from:ann", "fox", []),
        ("лис", "Лиса", ["Лис"]),
    ],
)
def test_the_words_are_emphasised(typed: str, text: str, emphasised: list[str]) -> None:
    async def steps(searching: Searching) -> None:
        assert text in await searching.text()
        results = searching.screen.query_one(HitList)
        strong = [
            segment.text
            for line in range(2)
            for segment in results.render_line(line)
            if segment.style is not None and segment.style.bold and segment.style.underline
        ]
        assert strong == emphasised

    search(steps, text=typed, local=[hit(1, text)])


def test_a_result_says_when_where_and_who() -> None:
    when = f"{NOON.astimezone():%Y-%m-%d %H:%M}"

    async def steps(searching: Searching) -> None:
        assert f"{when}  #d[b]  <a[/]�>" in await searching.text()

    found = Hit("#d[b]", "m", "a[/]\x1b", "fox", NOON, local=True)
    search(steps, text="fox", local=[found])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fox\n\nden", "fox  den"),
        ("f" * EXCERPT_CHARACTERS, "f" * EXCERPT_CHARACTERS),
        ("f" * 300, "f" * EXCERPT_CHARACTERS + "…"),
        ("a" * 300 + "fox" + "b" * 300, "…" + "a" * 60 + "fox" + "b" * 177 + "…"),
        ("a" * 300 + "fox", "…" + "a" * 60 + "fox"),
    ],
)
def test_a_long_text_is_shown_around_the_word(text: str, expected: str) -> None:
    async def steps(searching: Searching) -> None:
        lines = (await searching.text()).split("\n")
        head = next(number for number, line in enumerate(lines) if "<nick1>" in line)
        assert "".join(line.strip() for line in lines[head + 1 :]) == expected.strip()

    search(steps, text="fox", local=[hit(1, text)])


# ---- choosing ----


def test_a_second_enter_goes_to_the_results_and_a_third_opens() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("enter")
        searching.screen.show_relay(FOX, [])
        await searching.press("enter", "enter")
        assert searching.given() == ["m1"]

    search(steps, text="fox", local=[hit(1)])


@pytest.mark.parametrize(("times", "given"), [(1, []), (2, ["m1"])])
def test_two_clicks_open(times: int, given: list[str]) -> None:
    async def steps(searching: Searching) -> None:
        await searching.pilot.click(HitList, offset=(3, 2), times=times)
        await settle(searching.pilot)
        assert searching.given() == given

    search(steps, text="fox", local=[hit(1), hit(2)])


def test_down_in_an_empty_list_leaves_the_line_to_be_typed_into() -> None:
    async def steps(searching: Searching) -> None:
        await searching.press("down", "x")
        assert searching.screen.query_one(Input).value == "x"

    search(steps)


@pytest.mark.parametrize("keys", [["escape"], ["down", "escape"], ["tab", "tab", "enter"]])
def test_it_is_left_by_escape_and_by_a_button(keys: list[str]) -> None:
    async def steps(searching: Searching) -> None:
        await searching.press(*keys)
        assert searching.results == [None]

    search(steps, text="fox", local=[hit(1)])


@pytest.mark.parametrize("size", [(80, 24), (40, 24)])
def test_all_fits(size: tuple[int, int]) -> None:
    async def steps(searching: Searching) -> None:
        text = await searching.text()
        assert "(Ctrl-T)" in text
        assert "Close" in text
        assert searching.screen.query_one(Input).region.width > size[0] // 3
        assert searching.screen.query_one(HitList).region.height > size[1] // 2

    search(steps, size=size, scope="#a-room-with-a-long-name", text="fox", local=[hit(1)])
