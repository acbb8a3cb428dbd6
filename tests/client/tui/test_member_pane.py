from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.color import Color
from textual.pilot import Pilot

from securechat.client.tui.member_pane import MemberPane, MemberRow
from securechat.client.tui.themes import THEMES, nick_number, variable_defaults

LOCK = "\N{LOCK}"


class Host(App[None]):
    CSS = "MemberPane { height: 20; }"

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        yield MemberPane()

    def on_member_pane_chosen(self, message: MemberPane.Chosen) -> None:
        self.chosen.append(message.nick)


Test = Callable[[MemberPane, Pilot[None], Host], Awaitable[None]]


def with_pane(test: Test) -> None:
    async def run() -> None:
        app = Host()
        async with app.run_test() as pilot:
            await test(app.query_one(MemberPane), pilot, app)

    asyncio.run(run())


def shown(pane: MemberPane) -> list[str]:
    lines = [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]
    return lines[: len(pane.rows)]


def test_members_are_grouped_by_rank() -> None:
    async def test(pane: MemberPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(
            [
                MemberRow("zoe"),
                MemberRow("Bob", "@"),
                MemberRow("ann", "@+"),
                MemberRow("carl", "+"),
                MemberRow("dora", "~@"),
                MemberRow("emil", "!"),  # a rank that is not known here
            ]
        )
        await pilot.pause()
        assert shown(pane) == [
            "6 people",
            "Founders 1",
            "~dora",
            "Operators 2",
            "@ann",
            "@Bob",
            "Voiced 1",
            "+carl",
            "Members 2",
            " emil",
            " zoe",
        ]

    with_pane(test)


MEMBERS = [
    (MemberRow("ann"), " ann", ["ann"]),
    (MemberRow("ann", away=True), " (ann)", ["ann", "away"]),
    (MemberRow("ann", me=True), " ann", ["ann", "this is you"]),
    (
        MemberRow("ann", reachable=True),
        " ann            ⇄",
        ["ann", "can be reached for a session"],
    ),
    (
        MemberRow("ann", reachable=True, session="direct"),
        f" ann           {LOCK}",
        ["ann", "you have a session, direct"],
    ),
    (
        MemberRow("ann", session="lost"),
        " ann            ⚠",
        ["ann", "you have a session, without a path now"],
    ),
    (
        MemberRow("ann_with_a_very_long_name", "@", reachable=True),
        "@ann_with_a_ve… ⇄",
        ["ann_with_a_very_long_name", "can be reached for a session"],
    ),
    (MemberRow(f"ann{LOCK}"), " ann\ufffd", ["ann\ufffd"]),
    (MemberRow("[red]\x1b"), " [red]\ufffd", ["[red]\ufffd"]),
]


def test_what_is_shown_of_members() -> None:
    async def test(pane: MemberPane, pilot: Pilot[None], app: Host) -> None:
        for member, line, words in MEMBERS:
            pane.show([member])
            await pilot.pause()
            assert shown(pane)[2] == line
            assert pane.describe(pane.rows[2]).split("\n") == words

    with_pane(test)


def test_a_click_chooses_a_member() -> None:
    async def test(pane: MemberPane, pilot: Pilot[None], app: Host) -> None:
        pane.show([MemberRow("ann"), MemberRow("x\x1by")])
        await pilot.pause()
        await pilot.click(pane, offset=(3, 3))
        assert app.chosen == ["x\x1by"]  # as the server calls them

    with_pane(test)


def test_headings_cannot_be_chosen() -> None:
    async def test(pane: MemberPane, pilot: Pilot[None], app: Host) -> None:
        pane.show([MemberRow("ann")])
        await pilot.pause()
        await pilot.click(pane, offset=(3, 0))
        await pilot.click(pane, offset=(3, 1))
        pane.focus()
        await pilot.press("home", "enter")
        assert app.chosen == ["ann"]

    with_pane(test)


def test_nicks_have_their_colours() -> None:
    async def test(pane: MemberPane, pilot: Pilot[None], app: Host) -> None:
        pane.show([MemberRow("ann"), MemberRow("bob"), MemberRow("me", me=True)])
        await pilot.pause()
        variables = THEMES["dark"].variables
        for y, name in (
            (2, f"nick-{nick_number('ann')}"),
            (3, f"nick-{nick_number('bob')}"),
            (4, "own-nick"),
        ):
            nick = list(pane.render_line(y))[1]
            assert nick.style is not None
            assert nick.style.color == Color.parse(variables[name]).rich_color

    with_pane(test)


def test_the_place_stays_when_somebody_comes() -> None:
    members = [MemberRow(f"nick{number:04}") for number in range(5000)]

    async def test(pane: MemberPane, pilot: Pilot[None], app: Host) -> None:
        pane.show(members)
        await pilot.pause()
        pane.scroll_to(y=3000, animate=False)
        await pilot.pause()
        pane.show([*members, MemberRow("zoe")])
        await pilot.pause()
        assert shown(pane)[0] == " nick2998"
        assert pane.rows[0].heading == "5001 people"

    with_pane(test)
