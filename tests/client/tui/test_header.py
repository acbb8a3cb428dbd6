from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.app import App, ComposeResult
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Static

from securechat.client.chat.routing import SessionState
from securechat.client.tui.header import Header, HeaderState, SafetyLine, without_signs
from securechat.client.tui.themes import THEMES, variable_defaults
from securechat.peer.known_peers import Safety

LOCK = "\N{LOCK}"


class Host(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.clicks = 0
        for theme in THEMES.values():
            self.register_theme(theme)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        yield Header()

    def on_header_topic_clicked(self) -> None:
        self.clicks += 1


Test = Callable[[Header, Pilot[None], Host], Awaitable[None]]


def with_header(test: Test, width: int = 80) -> None:
    async def run() -> None:
        app = Host()
        app.theme = "dark"
        async with app.run_test(size=(width, 24)) as pilot:
            await test(app.query_one(Header), pilot, app)

    asyncio.run(run())


def lines(*states: HeaderState, width: int = 80) -> list[list[str]]:
    """Return the lines of the header for each state."""
    found: list[list[str]] = []

    async def test(header: Header, pilot: Pilot[None], app: Host) -> None:
        for state in states:
            header.show(state)
            await pilot.pause()
            strips = app.screen._compositor.render_strips()
            found.append([strip.text.rstrip() for strip in strips[: header.size.height]])

    with_header(test, width)
    return found


def session(path: SessionState, safety: Safety, nick: str = "ann") -> HeaderState:
    return HeaderState(nick, "", "person", safety=SafetyLine(path, safety, nick))


def test_the_title_line() -> None:
    expected = [
        (
            HeaderState("#room", "about it", "room", 12),
            "#room about it" + " " * 57 + "12 people",
        ),
        (
            HeaderState("#room", "about it", "room", 1, network="libera", in_past=True),
            "#room about it" + " " * 37 + "in the past, 1 person, libera",
        ),
        (
            HeaderState("#room", "a topic " * 20, "room"),
            "#room " + ("a topic " * 20)[:72] + "…",
        ),
        (HeaderState("net", "", "server"), "net"),
        (HeaderState("[b]x[/b]", "[red]a[/red] $x", "room"), "[b]x[/b] [red]a[/red] $x"),
        (HeaderState("#a\x1b[2J", "\x07two\nlines", "room"), "#a\ufffd[2J \ufffdtwo\ufffdlines"),
    ]
    assert lines(*(state for state, _line in expected)) == [[line] for _state, line in expected]


SESSION_LINES: list[tuple[SessionState, Safety, str, str]] = [
    (
        "direct",
        Safety.VERIFIED,
        "safe",
        f" {LOCK} DIRECT, VERIFIED: end to end, from your device to that of ann",
    ),
    (
        "relayed",
        Safety.VERIFIED,
        "safe",
        f" {LOCK} RELAYED, VERIFIED: end to end; the relay passes it on and cannot read it",
    ),
    (
        "direct",
        Safety.NEW,
        "caution",
        f" {LOCK} DIRECT, NOT VERIFIED: end to end; compare the safety code: /verify ann",
    ),
    (
        "relayed",
        Safety.KNOWN,
        "caution",
        (
            f" {LOCK} RELAYED, NOT VERIFIED: end to end through the relay; "
            "compare the safety code: /verify ann"
        ),
    ),
    (
        "direct",
        Safety.CHANGED,
        "danger",
        " ⚠ DIRECT, BUT ANOTHER DEVICE THAN BEFORE: compare the safety code: /verify ann",
    ),
    (
        "relayed",
        Safety.BLOCKED,
        "danger",
        (
            " ⚠ NOT THE VERIFIED DEVICE: nothing is sent to it until you accept it: "
            "/trust ann new-device"
        ),
    ),
    (
        "lost",
        Safety.VERIFIED,
        "danger",
        " ⚠ NO PATH: what you say waits until there is one again",
    ),
]


def test_the_session_has_a_line_in_words_and_on_its_colour() -> None:
    async def test(header: Header, pilot: Pilot[None], app: Host) -> None:
        for path, safety, level, line in SESSION_LINES:
            header.show(session(path, safety))
            await pilot.pause()
            assert header.size.height == 2
            strip = header.query_one("#header-safety").render_line(0)
            assert strip.text.rstrip() == line
            styles = {segment.style for segment in strip if segment.text.strip()}
            colour = Color.parse(THEMES["dark"].variables[level]).rich_color
            assert styles
            assert all(style and style.reverse and style.color == colour for style in styles)

    with_header(test, width=120)


def test_the_lock_is_only_where_the_relay_cannot_read_along() -> None:
    paths: tuple[SessionState, ...] = ("direct", "relayed", "lost")
    cases = [(path, safety) for path in paths for safety in Safety]
    shown = lines(*(session(path, safety) for path, safety in cases))
    for (path, safety), (_title, line, *_rest) in zip(cases, shown, strict=True):
        safe = path != "lost" and safety in (Safety.VERIFIED, Safety.KNOWN, Safety.NEW)
        assert line.startswith(f" {LOCK} ") is safe, (path, safety)
        assert (", VERIFIED" in line) is (safe and safety is Safety.VERIFIED), (path, safety)


def test_a_long_line_of_the_session_is_shown_whole() -> None:
    ((_title, first, second),) = lines(session("relayed", Safety.NEW))
    assert f"{first.strip()} {second.strip()}".endswith("safety code: /verify ann")


def test_a_private_talk_without_a_session_says_so() -> None:
    private, public = lines(HeaderState("ann", "", "person"), HeaderState("#room", "", "room"))
    assert private == ["ann", " private, but the relay can read it"]
    assert public == ["#room"]


def test_no_topic_title_nick_or_reason_can_imitate_the_state() -> None:
    states = [
        HeaderState(
            f"{sign} DIRECT, VERIFIED",
            f"{sign} DIRECT, VERIFIED",
            "person",
            safety=SafetyLine("direct", Safety.CHANGED, f"{sign}ann"),
            connection="offline",
            reason=f"{sign} DIRECT, VERIFIED",
        )
        for sign in "🔒🔓🔏🔐🔑🗝⚿🛡⚠✓✔✅☑🗹"
    ]
    for shown in lines(*states, width=120):
        assert shown == [
            "\ufffd DIRECT, VERIFIED \ufffd DIRECT, VERIFIED",
            (
                " ⚠ DIRECT, BUT ANOTHER DEVICE THAN BEFORE: "
                "compare the safety code: /verify \ufffdann"
            ),
            " ○ offline: \ufffd DIRECT, VERIFIED",
        ]


def test_other_characters_stay() -> None:
    text = "grüße, 世界 👋🏽 100 %"
    assert without_signs(text) == text


def test_the_connection_has_a_line_unless_it_is_there() -> None:
    expected = [
        (HeaderState("#a", "", "room", connection="connecting"), " … connecting"),
        (HeaderState("#a", "", "room", connection="offline"), " ○ offline"),
        (
            HeaderState("#a", "", "room", connection="offline", retry_in_s=12),
            " ○ offline: trying again in 12 s",
        ),
        (
            HeaderState("#a", "", "room", connection="offline", retry_in_s=0, reason="no route"),
            " ○ offline: trying again in 0 s (no route)",
        ),
        (
            HeaderState("#a", "", "room", connection="offline", reason="wrong password"),
            " ○ offline: wrong password",
        ),
        (HeaderState("#a", "", "room", silent_s=1), " … slow: no answer for 1 second"),
        (HeaderState("#a", "", "room", silent_s=5), " … slow: no answer for 5 seconds"),
    ]
    shown = lines(*(state for state, _line in expected))
    assert shown == [["#a", line] for _state, line in expected]


def test_lines_come_and_go() -> None:
    async def test(header: Header, pilot: Pilot[None], app: Host) -> None:
        heights = [header.size.height]
        for state in (
            session("direct", Safety.VERIFIED),
            HeaderState("#a", "", "room", connection="offline"),
            HeaderState("#a", "", "room"),
        ):
            header.show(state)
            await pilot.pause()
            heights.append(header.size.height)
        assert heights == [1, 2, 2, 1]
        assert not header.query_one("#header-safety").has_class("-safe")

    with_header(test)


def test_a_click_asks_for_the_whole_topic() -> None:
    async def test(header: Header, pilot: Pilot[None], app: Host) -> None:
        header.show(HeaderState("ann", "[b]topic[/b]", "person", 2))
        await pilot.pause()
        await pilot.click("#header-topic")
        assert app.clicks == 1
        await pilot.click("#header-safety")
        assert app.clicks == 1
        assert str(header.query_one("#header-topic", Static).tooltip) == "[b]topic[/b]"

    with_header(test)
