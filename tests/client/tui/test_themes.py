from __future__ import annotations

import asyncio

import pytest
from rich.color import ColorType
from textual.app import App, ComposeResult
from textual.color import Color
from textual.theme import BUILTIN_THEMES
from textual.widgets import Static

from securechat.client.tui.themes import (
    DEFAULT_THEME,
    NICK_COLOURS,
    THEMES,
    VARIABLES,
    nick_number,
    variable_defaults,
)

BACKGROUNDS = ("background", "surface", "panel")
COLOURS = tuple(name for name in VARIABLES if name != "muted-style")


class Host(App[None]):
    CSS = "\n".join(f".{name} {{ color: ${name}; }}" for name in COLOURS) + (
        ".muted { text-style: $muted-style; } .safe { background: $background; }"
    )

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        for name in COLOURS:
            yield Static(name, classes=name)


def luminance(colour: Color) -> float:
    """Relative luminance as WCAG 2.2 defines it."""

    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b)


def contrast(one: str, other: str) -> float:
    dark, bright = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))))
    return (bright + 0.05) / (dark + 0.05)


def test_the_formula_for_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(("name", "least"), [("dark", 4.5), ("light", 4.5), ("contrast", 7.0)])
def test_all_text_can_be_read(name: str, least: float) -> None:
    theme = THEMES[name]
    colours = {**theme.to_color_system().generate(), **theme.variables}
    for text in ("foreground", *COLOURS):
        for background in BACKGROUNDS:
            assert contrast(colours[text], colours[background]) >= least, (text, background)
    cursor = contrast(colours["block-cursor-foreground"], colours["block-cursor-background"])
    assert cursor >= least


@pytest.mark.parametrize("name", THEMES)
def test_each_theme_has_all_the_variables(name: str) -> None:
    assert set(VARIABLES) <= set(THEMES[name].variables)
    assert THEMES[name].name == name
    assert len({THEMES[name].variables[f"nick-{n}"] for n in range(1, 9)}) == NICK_COLOURS


def test_the_default_is_a_theme() -> None:
    assert DEFAULT_THEME in THEMES


def test_the_variables_follow_the_theme() -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            for theme in THEMES.values():
                app.register_theme(theme)
            for name in THEMES:
                app.theme = name
                await pilot.pause()
                for variable in COLOURS:
                    shown = app.query_one(f".{variable}").styles.color
                    assert shown == Color.parse(THEMES[name].variables[variable]), name

    asyncio.run(run())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("textual-dark", "dark"), ("textual-light", "light"), ("ansi-dark", "sixteen")],
)
def test_a_theme_of_textual_gets_the_variables_that_fit(theirs: str, ours: str) -> None:
    assert theirs in BUILTIN_THEMES
    app = Host()
    app.theme = theirs
    assert variable_defaults(app) == {name: THEMES[ours].variables[name] for name in VARIABLES}


def test_sixteen_sends_only_the_colours_of_the_terminal() -> None:
    async def run() -> None:
        app = Host()
        for theme in THEMES.values():
            app.register_theme(theme)
        app.theme = "sixteen"
        async with app.run_test() as pilot:
            await pilot.pause()
            assert app.native_ansi_color
            types = set()
            for name in COLOURS:
                (segment, *_) = app.query_one(f".{name}").render_line(0)
                assert segment.style is not None
                assert segment.style.color is not None
                types.add(segment.style.color.type)
                if segment.style.bgcolor is not None:
                    types.add(segment.style.bgcolor.type)
            assert types == {ColorType.DEFAULT, ColorType.STANDARD}
            (muted, *_) = app.query_one(".muted").render_line(0)
            assert muted.style is not None
            assert muted.style.dim

    asyncio.run(run())


def test_a_nick_has_the_same_number_everywhere() -> None:
    assert [nick_number(nick) for nick in ("ann", "bob", "Ann", "\ud800")] == [4, 1, 4, 1]
    numbers = {nick_number(f"nick{number}") for number in range(100)}
    assert numbers == set(range(1, NICK_COLOURS + 1))
