from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from textual.widgets import Button, Input, OptionList

from securechat.client.tui.dialogs import (
    COMMON_REACTIONS,
    REACTION_LIMIT,
    Choice,
    ChoiceDialog,
    CodeRow,
    ConfirmDialog,
    QuestionDialog,
    ReactionDialog,
    ReactionGrid,
    ResultScreen,
    SafetyCodeDialog,
    TextDialog,
)
from securechat.client.tui.themes import THEMES
from tests.client.tui.stage import Host, press, settle, show, shown

Click = tuple[str | None, tuple[int, int]]
"""What is clicked, and where on it."""

SIZES = [(80, 24), (40, 24)]
OPEN = "still open"
HOSTILE = "[bold]x[/] [@click=app.quit]y[/] [/ \\"
ONE, OTHER = "1234567890" * 6, "0987654321" * 6
CHOICES = (Choice("reply", "Reply", "r"), Choice("copy", HOSTILE, "c"), Choice("open", "Open"))
LINES = "\n".join(f"line {number}" for number in range(60))


def search(text: str) -> Sequence[tuple[str, str]]:
    names = {"🙂": "slight smile", "😊": "smile with eyes", "🐈": "cat"}
    return [(character, name) for character, name in names.items() if text in name]


def answers(
    make: Callable[[], ResultScreen[Any]], *cases: Sequence[str], click: Click | None = None
) -> list[object]:
    """Open a dialog for each case, press its keys, then click; return what came: ``OPEN`` if the
    dialog is still there.
    """
    found: list[object] = []

    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            for keys in cases:
                results: list[object] = []
                await show(pilot, make(), results)
                await press(pilot, *keys)
                if click is not None:
                    await pilot.click(click[0], offset=click[1])
                    await settle(pilot)
                assert len(app.screen_stack) == 2 - len(results)
                found.extend(results or [OPEN])

    asyncio.run(run())
    return found


def looks(options: OptionList, line: int) -> tuple[object, object]:
    """Return the background of a line, and whether it is underlined."""
    style = next(iter(options.render_line(line))).style
    assert style is not None
    return style.bgcolor, style.underline


def shows(
    make: Callable[[], ResultScreen[Any]],
    *keys: str,
    size: tuple[int, int] = (80, 24),
    scrolls: bool = False,
) -> str:
    """Press keys in a dialog; return what is on the screen then, and when it has scrolled."""
    texts: list[str] = []

    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:
            await show(pilot, make(), [])
            await press(pilot, *keys)
            if scrolls:
                await pilot.wait_for_scheduled_animations()
            texts.append(shown(app))

    asyncio.run(run())
    return texts[0]


def question(secret: bool = False) -> QuestionDialog:
    return QuestionDialog(f"{HOSTILE}: ", secret=secret)


def confirm() -> ConfirmDialog:
    return ConfirmDialog("Sure?", HOSTILE, yes="Delete", no="Keep")


def menu() -> ChoiceDialog:
    return ChoiceDialog(HOSTILE, CHOICES)


def reaction() -> ReactionDialog:
    return ReactionDialog(["ok", "🐈"], search)


def code(*devices: CodeRow) -> SafetyCodeDialog:
    default = (CodeRow("ab" * 32, ONE, verified=True, in_session=False),)
    return SafetyCodeDialog("ann", devices or default)


def two_codes() -> SafetyCodeDialog:
    return code(
        CodeRow("ab" * 32, ONE, verified=True, in_session=False),
        CodeRow("cd" * 32, OTHER, verified=False, in_session=True),
    )


def text() -> TextDialog:
    return TextDialog("Topic", LINES)


ALL = [question, confirm, menu, reaction, code, two_codes, text]


# ---- of all of them ----


def test_escape_changes_nothing() -> None:
    results: list[object] = []

    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            for make in ALL:
                await show(pilot, make(), results)
                await press(pilot, "escape")

    asyncio.run(run())
    assert results == [False if make is confirm else None for make in ALL]


def test_two_keys_at_once_give_one_result() -> None:
    results: list[object] = []

    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            screen = question()
            await show(pilot, screen, results)
            screen.close("one")
            screen.close("other")
            await settle(pilot)
            assert len(app.screen_stack) == 1

    asyncio.run(run())
    assert results == ["one"]


@pytest.mark.parametrize("size", SIZES)
def test_each_fits_and_tab_reaches_all_that_is_used(size: tuple[int, int]) -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:
            for make in ALL:
                screen = make()
                await show(pilot, screen, [])
                box = screen.query_one(".box").region
                assert screen.region.contains_region(box)
                for button in screen.query(Button):
                    assert box.contains_region(button.region)
                    assert button.region.width >= len(str(button.label)) + 2
                reached = {screen.focused}
                for _press in screen.focus_chain:
                    await press(pilot, "tab")
                    reached.add(screen.focused)
                used = {*screen.query(Button), *screen.query(Input), *screen.query(OptionList)}
                assert reached >= {widget for widget in used if widget.display}

    asyncio.run(run())


@pytest.mark.parametrize("make", [question, confirm, menu])
def test_nothing_is_markup(make: Callable[[], ResultScreen[Any]]) -> None:
    assert HOSTILE in shows(make)


# ---- questions ----


def test_an_answer() -> None:
    typed = answers(
        question,
        [*"yes", "enter"],
        ["enter"],
        ["a", "tab", "enter"],
        ["a", "tab", "right", "enter"],
    )
    assert typed == ["yes", "", "a", None]


@pytest.mark.parametrize("secret", [True, False])
def test_a_password_is_not_shown(secret: bool) -> None:
    assert ("hunter" in shows(lambda: question(secret), *"hunter")) is not secret


@pytest.mark.parametrize(("destructive", "other"), [(True, "left"), (False, "right")])
def test_enter_alone_destroys_nothing(destructive: bool, other: str) -> None:
    def make() -> ConfirmDialog:
        return ConfirmDialog("Sure?", "", yes="Delete", no="Keep", destructive=destructive)

    assert answers(make, ["enter"], [other, "enter"]) == [not destructive, destructive]


def test_a_button_can_be_clicked() -> None:
    assert answers(confirm, [], click=("#yes", (2, 1))) == [True]


# ---- texts ----


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [["end"], ["pagedown"] * 5])
def test_a_text_scrolls_to_its_last_line(size: tuple[int, int], keys: list[str]) -> None:
    before, after = shows(text, size=size), shows(text, *keys, size=size, scrolls=True)
    assert "line 0 " in before
    assert "line 59" not in before
    assert "line 0 " not in after
    assert "line 59" in after


def test_what_is_asked_scrolls_while_a_button_has_the_focus() -> None:
    def make() -> ConfirmDialog:
        return ConfirmDialog("Sure?", LINES, yes="Yes", no="No")

    assert "line 59" in shows(make, *["pagedown"] * 5, scrolls=True)


def test_enter_closes_a_text() -> None:
    assert answers(text, ["enter"], ["tab", "enter"]) == [None, None]


# ---- menus ----


def test_a_choice() -> None:
    chosen = answers(menu, ["enter"], ["down", "enter"], ["c"], ["R"], ["up", "enter"], ["x"])
    assert chosen == ["reply", "copy", "copy", "reply", "open", OPEN]


def test_the_letters_are_shown() -> None:
    assert "[r] Reply" in shows(menu)


@pytest.mark.parametrize(
    ("click", "result"),
    [(("OptionList", (5, 1)), "copy"), ((None, (0, 0)), None), ((".title", (1, 0)), OPEN)],
)
def test_a_menu_and_the_mouse(click: Click, result: object) -> None:
    assert answers(menu, [], click=click) == [result]


# ---- reactions ----


def test_a_common_reaction() -> None:
    chosen = answers(
        reaction,
        ["down", "enter"],
        ["down", "right", "enter"],
        ["down", "left", "enter"],
        ["tab", "space"],
        ["a", "backspace", "down", "enter"],
        ["enter"],
    )
    assert chosen == ["ok", "🐈", COMMON_REACTIONS[-1], "ok", "ok", OPEN]


def test_a_reaction_by_its_name() -> None:
    chosen = answers(
        reaction,
        [*"smile", "enter"],
        [*"smile", "down", "enter"],
        [*"smile", "tab", "down", "enter"],
        [*" cat", "enter"],
        ["down", "down", "up", "up", *"cat", "enter"],
    )
    assert chosen == ["🙂", "😊", "😊", "🐈", "🐈"]


def test_a_short_text_as_a_reaction() -> None:
    chosen = answers(
        reaction,
        [*":)", "enter"],
        [*"smile", "up", "enter"],
        [*"q" * REACTION_LIMIT, "enter"],
        [*"q" * (REACTION_LIMIT + 1), "enter"],
    )
    assert chosen == [":)", "smile", "q" * REACTION_LIMIT, OPEN]


def test_the_same_reaction_is_offered_once() -> None:
    def make() -> ReactionDialog:
        return ReactionDialog([COMMON_REACTIONS[0]], search)

    assert shows(make).count(COMMON_REACTIONS[0]) == 1


@pytest.mark.parametrize("size", SIZES)
def test_a_reaction_in_the_second_row_can_be_clicked(size: tuple[int, int]) -> None:
    results: list[str | None] = []

    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:
            await show(pilot, reaction(), results)
            row = app.screen.query_one(ReactionGrid).render().plain.split("\n")[1]
            await pilot.click(ReactionGrid, offset=(1, 1))
            await settle(pilot)
            assert results == [row.split()[0]]

    asyncio.run(run())


def test_a_click_between_the_reactions_is_none() -> None:
    assert answers(reaction, [], click=("ReactionGrid", (70, 1))) == [OPEN]


@pytest.mark.parametrize("theme", THEMES)
def test_what_enter_takes_is_seen_while_the_line_has_the_focus(theme: str) -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            app.theme = theme
            await show(pilot, reaction(), [])
            await press(pilot, *"smile")
            options = app.screen.query_one(OptionList)
            assert looks(options, 0) != looks(options, 1)

    asyncio.run(run())


def test_the_cursor_is_in_brackets() -> None:
    assert "[ok]" not in shows(reaction)
    assert "[ok]" in shows(reaction, "down")


# ---- safety codes ----


def test_enter_alone_verifies_nobody() -> None:
    given = answers(code, ["enter"], ["left", "enter"], ["left", "left", "enter"], ["tab", "enter"])
    device = "ab" * 32
    assert given == [None, (device, False), (device, True), (device, True)]


@pytest.mark.parametrize(("size", "groups"), [((80, 24), 4), ((40, 24), 2)])
@pytest.mark.parametrize(("make", "digits"), [(code, ONE), (two_codes, OTHER)])
def test_all_sixty_digits_are_shown_in_groups_of_five(
    make: Callable[[], SafetyCodeDialog], digits: str, size: tuple[int, int], groups: int
) -> None:
    rows = [row.strip(" │") for row in shows(make, size=size).split("\n")]
    rows = [row for row in rows if row[:1].isdigit()]
    assert [len(row.split("   ")) for row in rows] == [groups] * (12 // groups)
    assert all(len(group.split()) == 5 for row in rows for group in row.split("   "))
    assert "".join(rows).replace(" ", "") == digits


@pytest.mark.parametrize(
    ("keys", "fingerprint", "digits", "words"),
    [
        ([], "cd" * 32, OTHER, "cdcdcdcdcdcdcdcd, of this session: not verified"),
        (["shift+tab"] * 3 + ["down"], "ab" * 32, ONE, "abababababababab: verified"),
    ],
)
def test_the_device_of_the_session_comes_first(
    keys: list[str], fingerprint: str, digits: str, words: str
) -> None:
    above, _code, _below = shows(two_codes, *keys).partition(" ".join(digits[:5]))
    assert words in above[above.rindex("device") :]  # the line that stands at the digits
    assert answers(two_codes, keys, click=("#same", (2, 1))) == [(fingerprint, True)]
