from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from securechat.client.commands.dispatch import COMMANDS
from securechat.client.tui.help_screen import HelpScreen
from tests.client.tui.stage import Host, press, settle, show, shown

KEYS = (("Ctrl-N", "next conversation"), ("[F1]", "show [this]"))
SIZES = [(80, 24), (40, 24)]

Steps = Callable[[Pilot[Any], list[Any]], Awaitable[None]]


def helped(steps: Steps, *, size: tuple[int, int] = (80, 24)) -> list[Any]:
    """Open the help, do the steps, and return the results."""
    results: list[Any] = []

    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:
            await show(pilot, HelpScreen(KEYS), results)
            await steps(pilot, results)

    asyncio.run(run())
    return results


def found(*keys: str, size: tuple[int, int] = (80, 24)) -> str:
    """Press keys in the help; return what is on the screen."""
    texts = []

    async def steps(pilot: Pilot[Any], results: list[Any]) -> None:
        await press(pilot, *keys)
        texts.append(shown(pilot.app))

    helped(steps, size=size)
    return texts[0]


def pressed(*keys: str) -> list[Any]:
    async def steps(pilot: Pilot[Any], results: list[Any]) -> None:
        await press(pilot, *keys)

    return helped(steps)


def test_every_command_and_key_is_listed() -> None:
    screen = HelpScreen(KEYS)
    names = [topic.name for _title, topics in screen._sections for topic in topics]
    assert names == [command.usage for command in COMMANDS.values()] + ["Ctrl-N", "[F1]"]


@pytest.mark.parametrize("size", SIZES)
def test_the_first_one_is_explained_at_once(size: tuple[int, int]) -> None:
    text = found(size=size)
    first = next(iter(COMMANDS.values()))
    assert text.count(first.usage) == 2
    assert "also /j" in text
    assert "Commands" in text


@pytest.mark.parametrize(
    ("typed", "there", "missing"),
    [
        ("JOIN", "/join #ROOM [KEY]", "/part"),
        ("room enter", "/join #ROOM [KEY]", "/part"),
        ("addresses question", "/trust NICK", "/join"),  # both are in the details only
        ("quote", "/raw LINE", "/join"),  # another name of it
        ("next", "Ctrl-N", "Commands"),
        ("[this", "[F1]", "Commands"),
    ],
)
def test_all_words_are_looked_for_everywhere(typed: str, there: str, missing: str) -> None:
    text = found(*typed)
    assert there in text
    assert missing not in text


def test_nothing_found() -> None:
    assert "nothing found" in found(*"fxq")
    assert pressed(*"fxq", "enter") == []
    assert "/join #ROOM" in found("x", "q", "backspace", "backspace")


@pytest.mark.parametrize("size", SIZES)
def test_all_details_are_shown(size: tuple[int, int]) -> None:
    lines = found(*"new-device", size=size).split("\n")
    text = " ".join(" ".join(lines).split())
    details = COMMANDS["trust"].details
    assert len(details) > 3
    for line in details:
        assert " ".join(line.split()) in text


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        ([*"trust", "enter"], ["/trust "]),
        (["enter"], ["/join "]),
        (["down", "enter"], ["/part "]),
        (["down", "down", "up", "enter"], ["/part "]),
        (["pagedown", "pageup", "enter"], ["/join "]),
        (["shift+tab", "down", "enter"], ["/part "]),
        ([*"next", "enter"], []),
        (["escape"], [None]),
        (["tab", "enter"], [None]),
    ],
)
def test_enter_takes_a_command_over(keys: list[str], result: list[str | None]) -> None:
    assert pressed(*keys) == result


def test_a_page_further() -> None:
    assert pressed("pagedown", "enter") not in ([], ["/join "], ["/part "])


def test_a_command_can_be_clicked() -> None:
    async def steps(pilot: Pilot[Any], results: list[Any]) -> None:
        await pilot.click("OptionList", offset=(3, 2))
        await settle(pilot)

    assert helped(steps) == ["/part "]
