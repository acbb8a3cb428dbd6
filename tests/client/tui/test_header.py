from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.app import App, ComposeResult
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Static

from securechat.client.routing import SessionState
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


def lines(state: HeaderState, width: int = 80) -> list[str]:
    found: list[str] = []

    async def test(header: Header, pilot: Pilot[None], app: Host) -> None:
        header.show(state)
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        found.extend(strip.text.rstrip() for strip in strips[: header.size.height])

    with_header(test, width)
    return found


def session(path: SessionState, safety: Safety, nick: str = "ann") -> HeaderState:
    return HeaderState(nick, "", "person", safety=SafetyLine(path, safety, nick))


@pytest.mark.parametrize(
    ("state", "line"),
    [
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
    ],
)
def test_the_title_line(state: HeaderState, line: str) -> None:
    assert lines(state) == [line]


@pytest.mark.parametrize(
    ("path", "safety", "level", "line"),
    [
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
    ],
)
def test_the_session_has_a_line_in_words_and_on_its_colour(
    path: SessionState, safety: Safety, level: str, line: str
) -> None:
    async def test(header: Header, pilot: Pilot[None], app: Host) -> None:
        header.show(session(path, safety))
        await pilot.pause()
        shown = header.query_one("#header-safety")
        assert header.size.height == 2
        strip = shown.render_line(0)
        assert strip.text.rstrip() == line
        for segment in strip:
            if segment.text.strip():
                assert segment.style is not None
                assert segment.style.reverse
                expected = Color.parse(THEMES["dark"].variables[level])
                assert segment.style.color == expected.rich_color

    with_header(test, width=120)


@pytest.mark.parametrize("path", ["direct", "relayed", "lost"])
@pytest.mark.parametrize("safety", Safety)
def test_the_lock_is_only_where_the_relay_cannot_read_along(
    path: SessionState, safety: Safety
) -> None:
    (_title, line, *_rest) = lines(session(path, safety))
    safe = path != "lost" and safety in (Safety.VERIFIED, Safety.KNOWN, Safety.NEW)
    assert line.startswith(f" {LOCK} ") is safe
    assert (", VERIFIED" in line) is (safe and safety is Safety.VERIFIED)


def test_a_long_line_of_the_session_is_shown_whole() -> None:
    (_title, first, second) = lines(session("relayed", Safety.NEW))
    assert f"{first.strip()} {second.strip()}".endswith("safety code: /verify ann")


def test_a_private_talk_without_a_session_says_so() -> None:
    state = HeaderState("ann", "", "person")
    assert lines(state) == ["ann", " private, but the relay can read it"]
    assert len(lines(HeaderState("#room", "", "room"))) == 1


@pytest.mark.parametrize("sign", "🔒🔓🔏🔐🔑🗝⚿🛡⚠✓✔✅☑🗹")
def test_no_topic_title_or_nick_can_imitate_the_state(sign: str) -> None:
    imitation = f"{sign} DIRECT, VERIFIED"
    title, session_line, connection = lines(
        HeaderState(
            imitation,
            imitation,
            "person",
            safety=SafetyLine("direct", Safety.CHANGED, f"{sign}ann"),
            connection="offline",
            reason=imitation,
        ),
        width=120,
    )
    assert sign not in title.replace("\ufe0f", "")
    assert title.startswith("\ufffd DIRECT, VERIFIED")
    assert session_line.startswith(" ⚠ DIRECT, BUT ANOTHER DEVICE")
    assert session_line.endswith("/verify \ufffdann")
    assert connection == " ○ offline: \ufffd DIRECT, VERIFIED"


def test_other_characters_stay() -> None:
    text = "grüße, 世界 👋🏽 100 %"
    assert without_signs(text) == text


@pytest.mark.parametrize(
    ("state", "line"),
    [
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
    ],
)
def test_the_connection_has_a_line_unless_it_is_there(state: HeaderState, line: str) -> None:
    assert lines(state) == ["#a", line]


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
