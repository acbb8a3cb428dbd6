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
from tests.client.tui.stage import Host, press, settle, show, shown

Click = tuple[str | None, tuple[int, int]]
"""What is clicked, and where on it."""

SIZES = [(80, 24), (40, 24)]
HOSTILE = "[bold]x[/] [@click=app.quit]y[/] [/ \\"
ONE, OTHER = "1234567890" * 6, "0987654321" * 6
CHOICES = (Choice("reply", "Reply", "r"), Choice("copy", HOSTILE, "c"), Choice("open", "Open"))
LINES = "\n".join(f"line {number}" for number in range(60))


def search(text: str) -> Sequence[tuple[str, str]]:
    names = {"🙂": "slight smile", "😊": "smile with eyes", "🐈": "cat"}
    return [(character, name) for character, name in names.items() if text in name]


def result_of(
    make: Callable[[], ResultScreen[Any]], *keys: str, click: Click | None = None
) -> list[object]:
    """Press keys in a dialog, then click; return its results: one, or none if it is still open."""
    results: list[object] = []

    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            await show(pilot, make(), results)
            await press(pilot, *keys)
            if click is not None:
                await pilot.click(click[0], offset=click[1])
                await settle(pilot)
            assert len(app.screen_stack) == 2 - len(results)

    asyncio.run(run())
    return results


def shows(
    make: Callable[[], ResultScreen[Any]], *keys: str, size: tuple[int, int] = (80, 24)
) -> str:
    """Press keys in a dialog; return what is on the screen then."""
    texts: list[str] = []

    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:
            await show(pilot, make(), [])
            await press(pilot, *keys)
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


@pytest.mark.parametrize("make", ALL)
def test_escape_changes_nothing(make: Callable[[], ResultScreen[Any]]) -> None:
    assert result_of(make, "escape") == [False if make is confirm else None]


@pytest.mark.parametrize("make", ALL)
def test_two_keys_at_once_give_one_result(make: Callable[[], ResultScreen[Any]]) -> None:
    results: list[object] = []

    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            screen = make()
            await show(pilot, screen, results)
            screen.close(None)
            screen.close(None)
            await settle(pilot)
            assert len(app.screen_stack) == 1

    asyncio.run(run())
    assert results == [None]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", ALL)
def test_it_fits_and_tab_reaches_all_that_is_used(
    make: Callable[[], ResultScreen[Any]], size: tuple[int, int]
) -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test(size=size) as pilot:
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


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        ([*"yes", "enter"], "yes"),
        (["enter"], ""),
        (["a", "tab", "enter"], "a"),
        (["a", "tab", "right", "enter"], None),
    ],
)
def test_an_answer(keys: list[str], result: str | None) -> None:
    assert result_of(question, *keys) == [result]


@pytest.mark.parametrize("secret", [True, False])
def test_a_password_is_not_shown(secret: bool) -> None:
    assert ("hunter" in shows(lambda: question(secret), *"hunter")) is not secret


@pytest.mark.parametrize(
    ("destructive", "keys", "result"),
    [(True, [], False), (True, ["left"], True), (False, [], True), (False, ["right"], False)],
)
def test_enter_alone_destroys_nothing(destructive: bool, keys: list[str], result: bool) -> None:
    def make() -> ConfirmDialog:
        return ConfirmDialog("Sure?", "", yes="Delete", no="Keep", destructive=destructive)

    assert result_of(make, *keys, "enter") == [result]


def test_a_button_can_be_clicked() -> None:
    assert result_of(confirm, click=("#yes", (2, 1))) == [True]


# ---- texts ----


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("keys", [["end"], ["pagedown"] * 5])
def test_a_text_scrolls_to_its_last_line(size: tuple[int, int], keys: list[str]) -> None:
    before, after = shows(text, size=size), shows(text, *keys, size=size)
    assert "line 0 " in before
    assert "line 59" not in before
    assert "line 0 " not in after
    assert "line 59" in after


def test_what_is_asked_scrolls_while_a_button_has_the_focus() -> None:
    def make() -> ConfirmDialog:
        return ConfirmDialog("Sure?", LINES, yes="Yes", no="No")

    assert "line 59" in shows(make, *["pagedown"] * 5)


@pytest.mark.parametrize("keys", [["enter"], ["tab", "enter"]])
def test_enter_closes_a_text(keys: list[str]) -> None:
    assert result_of(text, *keys) == [None]


# ---- menus ----


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        (["enter"], "reply"),
        (["down", "enter"], "copy"),
        (["c"], "copy"),
        (["R"], "reply"),
        (["up", "enter"], "open"),
    ],
)
def test_a_choice(keys: list[str], result: str) -> None:
    assert result_of(menu, *keys) == [result]


def test_a_letter_that_means_nothing_leaves_the_menu_open() -> None:
    assert result_of(menu, "x") == []


def test_the_letters_are_shown() -> None:
    assert "[r] Reply" in shows(menu)


@pytest.mark.parametrize(
    ("click", "results"),
    [(("OptionList", (5, 1)), ["copy"]), ((None, (0, 0)), [None]), ((".title", (1, 0)), [])],
)
def test_a_menu_and_the_mouse(click: Click, results: list[object]) -> None:
    assert result_of(menu, click=click) == results


# ---- reactions ----


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        (["down", "enter"], "ok"),
        (["down", "right", "enter"], "🐈"),
        (["down", "left", "enter"], COMMON_REACTIONS[-1]),
        (["tab", "space"], "ok"),
        ([*"smile", "enter"], "🙂"),
        ([*"smile", "down", "enter"], "😊"),
        ([*"smile", "down", "down", "enter"], "smile"),
        ([*"smile", "up", "enter"], "smile"),
        ([*"smile", "tab", "down", "enter"], "😊"),
        ([*":)", "enter"], ":)"),
        ([*" cat", "enter"], "🐈"),
        (["a", "backspace", "down", "enter"], "ok"),
        (["down", "down", "up", "up", *"cat", "enter"], "🐈"),
    ],
)
def test_a_reaction(keys: list[str], result: str) -> None:
    assert result_of(reaction, *keys) == [result]


@pytest.mark.parametrize("length", [REACTION_LIMIT, REACTION_LIMIT + 1])
def test_a_text_is_limited(length: int) -> None:
    expected = ["q" * length] if length <= REACTION_LIMIT else []
    assert result_of(reaction, *"q" * length, "enter") == expected


def test_enter_in_an_empty_line_reacts_with_nothing() -> None:
    assert result_of(reaction, "enter") == []


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
    assert result_of(reaction, click=("ReactionGrid", (70, 1))) == []


def test_the_cursor_is_in_brackets() -> None:
    assert "[ok]" not in shows(reaction)
    assert "[ok]" in shows(reaction, "down")


# ---- safety codes ----


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        ([], None),
        (["left"], ("ab" * 32, False)),
        (["left", "left"], ("ab" * 32, True)),
        (["tab"], ("ab" * 32, True)),
    ],
)
def test_enter_alone_verifies_nobody(keys: list[str], result: object) -> None:
    assert result_of(code, *keys, "enter") == [result]


@pytest.mark.parametrize(("size", "groups"), [((80, 24), 4), ((40, 24), 2)])
def test_all_sixty_digits_are_shown_in_groups_of_five(size: tuple[int, int], groups: int) -> None:
    rows = [row.strip(" │") for row in shows(code, size=size).split("\n")]
    rows = [row for row in rows if row[:1].isdigit()]
    assert [len(row.split("   ")) for row in rows] == [groups] * (12 // groups)
    assert all(len(group.split()) == 5 for row in rows for group in row.split("   "))
    assert "".join(rows).replace(" ", "") == ONE


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
    text = shows(two_codes, *keys)
    assert " ".join(digits[:5]) in text
    assert words in text
    assert result_of(two_codes, *keys, click=("#same", (2, 1))) == [(fingerprint, True)]
