from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from securechat.client.tui import buffer_pane
from securechat.client.tui.buffer_pane import (
    CLICK_HOLD_S,
    HOVER_HOLD_S,
    BufferPane,
    BufferRow,
    Sort,
    next_unread,
    order,
)
from securechat.client.tui.themes import variable_defaults

LOCK = "\N{LOCK}"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Host(App[None]):
    AUTO_FOCUS = None
    CSS = "BufferPane { height: 20; } Static { height: 3; }"

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.chosen: list[object] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        yield BufferPane(clock=self.clock)
        yield Static()

    def on_buffer_pane_chosen(self, message: BufferPane.Chosen) -> None:
        self.chosen.append(message.row.key)


Test = Callable[[BufferPane, Pilot[None], Host], Awaitable[None]]


def with_pane(test: Test) -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test(size=(80, 24)) as pilot:
            await test(app.query_one(BufferPane), pilot, app)

    asyncio.run(run())


def shown(pane: BufferPane) -> list[str]:
    lines = [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]
    return lines[: len(pane.rows)]


def server(network: str = "net", **more: object) -> BufferRow:
    return replace(BufferRow(network, network, network, "server"), **more)  # type: ignore[arg-type]


def room(title: str, **more: object) -> BufferRow:
    return replace(BufferRow(title, "net", title, "room"), **more)  # type: ignore[arg-type]


def person(title: str, **more: object) -> BufferRow:
    return replace(BufferRow(title, "net", title, "person"), **more)  # type: ignore[arg-type]


# ---- pure functions ----

MIXED = [
    person("zoe", last_activity=1),
    room("#b", last_activity=5),
    room("#Alpha", last_activity=3),
    server(),
    room("#quiet", unread=9, muted=True, last_activity=9),
    person("ann", unread=1),
    room("#talk", unread=2),
    room("#me", mentions=1, unread=1),
    replace(room("#far"), network="other"),
]


@pytest.mark.parametrize(
    ("sort", "titles"),
    [
        ("activity", ["net", "#me", "#talk", "#quiet", "#b", "#Alpha", "ann", "zoe", "#far"]),
        ("name", ["net", "#Alpha", "#b", "#me", "#quiet", "#talk", "ann", "zoe", "#far"]),
    ],
)
def test_order(sort: Sort, titles: list[str]) -> None:
    assert [row.title for row in order(MIXED, sort)] == titles


def test_order_keeps_the_places_that_are_held() -> None:
    held = {"#b": 0, "#me": 1, "ann": 2, "zoe": 3}
    rows = order([row for row in MIXED if row.title in ("#b", "#me", "#talk", "zoe", "ann")])
    assert [row.title for row in rows] == ["#me", "#talk", "#b", "ann", "zoe"]
    assert [row.title for row in order(rows, held=held)] == ["#b", "#me", "#talk", "ann", "zoe"]


@pytest.mark.parametrize(
    ("rows", "current", "found"),
    [
        ([room("#a"), room("#b", unread=1), room("#c", mentions=1)], 0, 2),
        ([room("#a"), room("#b", unread=1), room("#c")], 0, 1),
        ([room("#a", unread=1), room("#b"), room("#c", unread=1)], 0, 2),
        ([room("#a", unread=1), room("#b"), room("#c", unread=1)], 2, 0),  # round
        ([room("#a", unread=1), room("#b")], 0, None),  # where we are already
        ([room("#a"), room("#b", unread=1, muted=True)], 0, None),
        ([room("#a"), room("#b", unread=1, mentions=1, muted=True)], 0, 1),
        ([], 0, None),
    ],
)
def test_next_unread(rows: list[BufferRow], current: int, found: int | None) -> None:
    assert next_unread(rows, current) == found


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_whoever_goes_to_what_is_unread_sees_all_of_it(
    flags: list[tuple[bool, bool, bool]],
) -> None:
    rows = [
        room(f"#{number}", unread=unread, mentions=mention, muted=muted)
        for number, (unread, mention, muted) in enumerate(flags)
    ]
    current, visited = 0, {0}
    rows[0] = replace(rows[0], unread=0, mentions=0)
    while (found := next_unread(rows, current)) is not None:
        assert found not in visited
        if any(row.mentions for row in rows):
            assert rows[found].mentions
        current = found
        visited.add(found)
        rows[found] = replace(rows[found], unread=0, mentions=0)
    assert not any(row.mentions or (row.unread and not row.muted) for row in rows)


# ---- what is shown ----


def test_sections_groups_and_numbers() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(
            [
                server(unread=2),
                person("ann"),
                room("#b", active=True),
                room("#a", unread=1),
                server("work", connection="offline"),
                BufferRow("home/#x", "home", "#x", "room", connection="connecting"),
            ]
        )
        await pilot.pause()
        assert shown(pane) == [
            " 1 ● net              2",
            "   Rooms",
            " 4 #a                 1",
            "▌3 #b",
            "   People",
            " 2 ann",
            " 5 ○ work       offline",
            "   … home    connecting",
            "   Rooms",
            " 6 #x",
        ]
        assert [row.title for row in pane.ordered] == ["net", "#a", "#b", "ann", "work", "#x"]

    with_pane(test)


ROW_LINES = [
    (room("#a", unread=3), "#a                 3"),
    (room("#a", unread=9, mentions=3), "#a                !3"),
    (room("#a", unread=1000), "#a              999+"),
    (room("#a", unread=3, draft=True), "#a               ✎ 3"),
    (room("#a", joined=False), "(#a)"),
    (room("#a", muted=True), "⊘ #a"),
    (room("#a-room-with-a-long-name", mentions=1), "#a-room-with-a-l… !1"),
    (person("ann", peer="direct", verified=True), f"{LOCK} ann      direct ✓"),
    (person("ann", peer="relayed"), f"{LOCK} ann     relayed ?"),
    (person("ann_the_second", peer="direct", unread=12), f"{LOCK} ann_the_se… D? 12"),
    (person("ann", peer="lost", verified=True), "⚠ ann        no path"),
    (person("ann", peer="asked"), "ann             asks"),
    (person(f"{LOCK}ann"), "\ufffdann"),
    (person("[b]ann[/b]"), "[b]ann[/b]"),
    (person("a\x1b[2Jnn"), "a\ufffd[2Jnn"),
    (room("#世界世界世界世界世界", unread=1), "#世界世界世界世界… 1"),
]


def test_rows() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        for row, line in ROW_LINES:
            pane.show([row])
            await pilot.pause()
            assert shown(pane)[-1] == f" 1 {line}"

    with_pane(test)


def test_mentions_and_unread_are_bold_and_what_is_muted_is_not() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        rows = [room("#m", mentions=1), room("#u", unread=1), room("#q", unread=1, muted=True)]
        pane.show(rows)
        await pilot.pause()
        bold = {
            segment.text.strip()
            for y in range(len(pane.rows))
            for segment in pane.render_line(y)
            if segment.style is not None and segment.style.bold
        }
        assert bold - {"", "● "} == {"net", "#m", "!1", "#u"}

    with_pane(test)


def test_the_tooltip_says_it_in_words() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        rows = [
            person("ann", peer="direct", verified=True, unread=2, mentions=1, draft=True),
            room("#a", joined=False, muted=True),
        ]
        pane.show(rows)
        await pilot.pause()
        await pilot.hover(pane, offset=(5, 2))
        assert str(pane.tooltip).split("\n") == ["#a", "you are not in this room", "muted"]
        await pilot.hover(pane, offset=(5, 4))
        assert str(pane.tooltip).split("\n") == [
            "ann",
            "1 mention of you",
            "2 unread texts",
            "session, direct: end to end",
            "verified",
            "something is typed there, and not sent",
        ]

    with_pane(test)


def test_a_click_and_the_keys_choose() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show([server(), room("#a"), room("#b", active=True), person("ann")])
        await pilot.pause()
        for y in (0, 1, 2, 5):  # the network, "Rooms", #a, ann
            await pilot.click(pane, offset=(5, y))
        assert app.chosen == ["net", "#a", "ann"]
        pane.focus()
        await pilot.pause()
        await pilot.press("enter", "down", "enter")  # from the active one
        assert app.chosen[3:] == ["#b", "ann"]

    with_pane(test)


def test_the_active_row_comes_into_view() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        rows = [room(f"#{number:03}") for number in range(100)]
        pane.show([*rows[:90], replace(rows[90], active=True), *rows[91:]])
        await pilot.pause()
        assert any("▌" in line and "#090" in line for line in shown(pane))
        pane.scroll_to(y=0, animate=False)
        pane.show([*rows[:90], replace(rows[90], active=True, unread=1), *rows[91:]])
        await pilot.pause()
        assert pane.scroll_offset.y == 0  # the user has scrolled away; the active one is the same

    with_pane(test)


# ---- rows keep their places ----

QUIET = [room("#a"), room("#b"), room("#c")]
BUSY = [room("#a"), room("#b"), room("#c", unread=1), room("#aa", mentions=1)]
HELD = ["#a", "#b", "#c", "#aa"]
SORTED = ["#aa", "#c", "#a", "#b"]


def titles(pane: BufferPane) -> list[str]:
    return [row.title for row in pane.ordered]


def test_rows_are_sorted_while_the_mouse_is_elsewhere() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(QUIET)
        pane.show(BUSY)
        assert titles(pane) == SORTED
        pane.sort = "name"
        pane.show(BUSY)
        assert titles(pane) == ["#a", "#aa", "#b", "#c"]

    with_pane(test)


def test_rows_keep_their_places_under_the_mouse_and_a_moment_after() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(QUIET)
        await pilot.pause()
        await pilot.hover(pane, offset=(5, 2))
        app.clock.now += HOVER_HOLD_S - 0.1
        pane.show(BUSY)
        assert titles(pane) == HELD
        await pilot.hover(Static)
        app.clock.now += CLICK_HOLD_S - 0.1
        pane.show(BUSY)
        assert titles(pane) == HELD
        app.clock.now += 0.1
        pane.show(BUSY)
        assert titles(pane) == SORTED

    with_pane(test)


def test_a_mouse_that_left_the_terminal_does_not_hold_them_for_ever() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(QUIET)
        await pilot.pause()
        await pilot.hover(pane, offset=(5, 2))
        app.clock.now += HOVER_HOLD_S
        pane.show(BUSY)
        assert titles(pane) == SORTED

    with_pane(test)


def test_rows_keep_their_places_after_one_is_chosen() -> None:
    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(QUIET)
        pane.focus()
        await pilot.pause()
        await pilot.press("enter")
        pane.show(BUSY)
        assert titles(pane) == HELD
        app.clock.now += CLICK_HOLD_S
        pane.show(BUSY)
        assert titles(pane) == SORTED

    with_pane(test)


def test_when_the_mouse_has_left_they_are_sorted_without_further_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffer_pane, "CLICK_HOLD_S", 0.0)
    monkeypatch.setattr(buffer_pane, "_SETTLE_S", 0.01)

    async def test(pane: BufferPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(QUIET)
        await pilot.pause()
        await pilot.hover(pane, offset=(5, 2))
        pane.show(BUSY)
        assert titles(pane) == HELD
        await pilot.hover(Static)
        for _attempt in range(1000):
            if titles(pane) == SORTED:
                return
            await pilot.pause(0.001)
        pytest.fail("the rows keep their places for ever")

    with_pane(test)
