from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from textual.command import CommandList
from textual.content import Content
from textual.fuzzy import Matcher
from textual.pilot import Pilot
from textual.widgets import Input

from securechat.client.tui import palette
from securechat.client.tui.palette import ChatPalette, PaletteEntry
from securechat.client.tui.themes import THEMES
from tests.client.tui.stage import Host, press, settle, shown

HOSTILE = "[bold]x[/] [@click=app.quit]y[/]"
BROKEN = "#x[/"  # no markup at all: a parser fails on it


class Offering(Host):
    def __init__(self, titles: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.titles = titles
        self.chosen: list[str] = []

    def palette_entries(self) -> Sequence[PaletteEntry]:
        return [
            PaletteEntry(title, hint, lambda title=title: self.chosen.append(title))
            for title, hint in self.titles
        ]


async def listed(pilot: Pilot[Any]) -> list[str]:
    """Wait until the palette lists something; return what."""
    options = pilot.app.screen.query_one(CommandList)
    while not options.option_count:
        await pilot.pause()
    await settle(pilot)
    return [str(option.prompt) for option in options.options]


def palette_of(
    *titles: tuple[str, str], typed: str = "", choose: bool = False
) -> tuple[list[str], str, list[str]]:
    """Open the palette, type, and choose; return what was listed, shown and chosen."""
    seen: list[Any] = []

    async def run() -> None:
        app = Offering(titles)
        async with app.run_test() as pilot:
            app.push_screen(ChatPalette())
            await settle(pilot)
            await listed(pilot)
            if typed:
                app.screen.query_one(CommandList).clear_options()
                app.screen.query_one(Input).value = typed
                await settle(pilot)
            seen.append(await listed(pilot))
            seen.append(shown(app))
            if choose:
                await press(pilot, "enter")
                while len(app.screen_stack) > 1:
                    await pilot.pause()
                await settle(pilot)
            seen.append(app.chosen)

    asyncio.run(run())
    return seen[0], seen[1], seen[2]


def test_all_is_offered_at_first_in_its_order() -> None:
    names, _text, _chosen = palette_of(("#den", "3 unread"), ("#bar", ""), ("ann", ""))
    assert names == ["#den\n3 unread", "#bar", "ann"]


@pytest.mark.parametrize("typed", ["", "x"])
@pytest.mark.parametrize(
    "title", [HOSTILE, BROKEN, "[bold]x", "x]\\", "[x", "\\[x]", "x[red", "[$x]"]
)
def test_no_name_is_markup(title: str, typed: str) -> None:
    names, text, chosen = palette_of((title, title), typed=typed, choose=True)
    assert names == [f"{title}\n{title}"]
    assert text.count(title) == 2
    assert chosen == [title]


def test_controls_are_made_safe() -> None:
    names, _text, _chosen = palette_of(("#x\x1b[31m\u202e", "a\x07"), typed="x")
    assert names == ["#x�[31m�\na�"]


def test_letters_in_their_order_find_and_the_better_comes_first() -> None:
    titles = (("go to #den", ""), ("dead end", ""), ("#bar", ""))
    names, _text, chosen = palette_of(*titles, typed="den", choose=True)
    assert names == ["go to #den", "dead end"]
    assert chosen == ["go to #den"]


def test_the_letters_found_are_emphasised() -> None:
    async def run() -> None:
        app = Offering([("[b]den", "")])
        async with app.run_test() as pilot:
            app.push_screen(ChatPalette())
            await settle(pilot)
            await listed(pilot)
            app.screen.query_one(CommandList).clear_options()
            app.screen.query_one(Input).value = "den"
            await settle(pilot)
            await listed(pilot)
            prompt = app.screen.query_one(CommandList).get_option_at_index(0).prompt
            assert isinstance(prompt, Content)
            assert [prompt.plain[span.start : span.end] for span in prompt.spans] == ["d", "e", "n"]

    asyncio.run(run())


@pytest.mark.parametrize("theme", THEMES)
def test_what_enter_takes_is_seen(theme: str) -> None:
    async def run() -> None:
        app = Offering([("#den", ""), ("#bar", "")])
        async with app.run_test() as pilot:
            app.theme = theme
            app.push_screen(ChatPalette())
            await settle(pilot)
            await listed(pilot)
            options = app.screen.query_one(CommandList)
            first, second = (next(iter(options.render_line(line))).style for line in (0, 1))
            assert first is not None
            assert second is not None
            assert (first.bgcolor, first.underline) != (second.bgcolor, second.underline)

    asyncio.run(run())


def test_nothing_found() -> None:
    names, _text, chosen = palette_of(("#den", ""), typed="zzz", choose=True)
    assert names == ["nothing found"]
    assert chosen == []


def test_a_name_made_to_be_found_in_millions_of_ways_does_not_hold_the_palette_up() -> None:
    made = "#" + "a.b." * 30
    names, _text, _chosen = palette_of((made, ""), ("#abababab", ""), typed="abababab")
    assert names == ["#abababab"]


@pytest.mark.parametrize(
    ("query", "title", "ways"),
    [("", "abc", 0), ("x", "abc", 0), ("a", "aaa", 3), ("ab", "abab", 2 + 3), ("aa", "aaa", 3 + 3)],
)
def test_in_how_many_ways_letters_lie_in_a_title(query: str, title: str, ways: int) -> None:
    assert palette._ways(query, title) == 1 + ways  # and that of no letter


def test_what_lies_in_a_title_as_it_is_is_always_found() -> None:
    title = "a" * 100
    assert palette._match(Matcher("a" * 50), title)[0] > 0
