"""The list as a user sees it: the lines on the screen, and what happens with keys and mouse."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rich.console import Console
from textual import on
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp
from textual.message import Message
from textual.pilot import Pilot

from securechat.client.chat.buffers import Buffer, Entry, Presence
from securechat.client.events import Reacted, Redacted
from securechat.client.tui.layout import Layout
from securechat.client.tui.message_list import MessageList
from securechat.client.tui.themes import THEMES, variable_defaults
from tests.client.tui.talk import NOON, clock, nobody, said, talk

SIZE = (60, 12)


class Host(App[None]):
    def __init__(self, buffer: Buffer | None) -> None:
        super().__init__()
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = "dark"
        self.buffer = buffer
        self.told: list[Message] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        yield MessageList(clock)

    def on_mount(self) -> None:
        self.messages.show(self.buffer)
        self.messages.focus()

    @property
    def messages(self) -> MessageList:
        return self.query_one(MessageList)

    @on(MessageList.NeedOlder)
    @on(MessageList.NeedNewer)
    @on(MessageList.EndReached)
    @on(MessageList.LinkClicked)
    @on(MessageList.ReplyClicked)
    @on(MessageList.EntryClicked)
    @on(MessageList.EntryActivated)
    def note(self, message: Message) -> None:
        self.told.append(message)

    def told_of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.told if isinstance(message, kind)]


def lines(app: Host) -> list[str]:
    """The lines on the screen without the scrollbar, from the first that is not empty."""
    shown = [
        app.messages.render_line(y).crop(0, app.messages.size.width - 1).text.rstrip()
        for y in range(app.messages.size.height)
    ]
    while shown and not shown[0]:
        del shown[0]
    return shown


def words(app: Host) -> list[str]:
    """The last word of each line, which is the number of a text."""
    return [line.split()[-1] for line in lines(app)]


def scrollbar(app: Host) -> str:
    return "".join(app.messages.render_line(y).text[-1] for y in range(app.messages.size.height))


Scene = Callable[[Host, Pilot[None]], Awaitable[None]]


def play(buffer: Buffer | None, scene: Scene, size: tuple[int, int] = SIZE) -> None:
    async def run() -> None:
        app = Host(buffer)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await scene(app, pilot)

    asyncio.run(run())


def more(buffer: Buffer, *numbers: int) -> None:
    for number in numbers:
        buffer.append(buffer.text_entry(said(number), mention=False))


# ---- staying where one is ----


def test_a_short_conversation_stands_at_the_bottom() -> None:
    buffer = talk(0, 1)
    buffer.reaches_start = True

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert [line.strip(" ─") for line in lines(app)] == [
            "beginning of the conversation",
            "today, Friday 27 November 2026",
            "12:00 ann text 0",
            "12:01 ann text 1",
        ]
        assert app.messages.render_line(11).text.rstrip().endswith("text 1")
        assert scrollbar(app).strip() == ""
        assert app.messages.at_end

    play(buffer, scene)


def test_at_the_end_it_stays_there() -> None:
    buffer = talk(*range(100))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert words(app) == [str(number) for number in range(88, 100)]
        more(buffer, 100, 101)
        app.messages.buffer_changed()
        await pilot.pause()
        assert words(app)[-3:] == ["99", "100", "101"]
        assert app.messages.at_end

    play(buffer, scene)


def test_nothing_moves_when_texts_come_before_or_after() -> None:
    buffer = talk(*range(100))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.messages.scroll_lines(-7)
        before = lines(app)
        assert before[-1].endswith("text 92")
        more(buffer, *range(100, 150))
        app.messages.buffer_changed()
        assert lines(app) == before
        buffer.prepend([said(number) for number in range(-50, 0)], nobody)
        app.messages.buffer_changed()
        assert lines(app) == before
        assert not app.messages.at_end
        app.messages.scroll_lines(1)
        assert lines(app)[:-1] == before[1:]

    play(buffer, scene)


def test_a_new_size_wraps_again_and_keeps_the_first_entry() -> None:
    buffer = talk()
    for number in range(50):
        text = said(number, f"{'some words ' * 8}{number}")
        buffer.append(buffer.text_entry(text, mention=False))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.messages.reveal(buffer.entries[20])
        app.messages.scroll_lines(4)
        first = lines(app)[0]
        assert "12:20" in first or "12:19" in first
        wide = len(lines(app)[0])
        await pilot.resize_terminal(40, 12)
        assert lines(app)[0].split()[0] == first.split()[0]
        assert max(map(len, lines(app))) <= 39 < wide
        await pilot.resize_terminal(60, 12)
        assert lines(app)[0] == first
        app.messages.to_end()
        await pilot.resize_terminal(30, 5)
        assert words(app)[-1] == "49"

    play(buffer, scene)


def test_each_buffer_is_shown_where_it_was_left() -> None:
    one, other = talk(*range(100)), talk(*range(200, 300))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.messages.scroll_lines(-20)
        before = lines(app)
        app.messages.show(other)
        assert words(app)[-1] == "299"
        app.messages.show(one)
        assert lines(app) == before
        app.messages.forget(one)
        assert words(app)[-1] == "99"

    play(one, scene)


def test_without_a_buffer_it_is_empty() -> None:
    async def scene(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("up", "pageup", "enter", "home", "end")
        app.messages.buffer_changed()
        assert lines(app) == []
        assert not app.messages.reveal(talk(1).entries[0])
        assert app.told == []

    play(None, scene)


# ---- only what is in view ----


def test_a_long_conversation_costs_no_more_than_the_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    laid_out: set[Entry] = set()
    lay_out = Layout._lay_out

    def counted(self: Layout, entry: Entry, answered: Entry | None) -> Any:
        laid_out.add(entry)
        return lay_out(self, entry, answered)

    monkeypatch.setattr(Layout, "_lay_out", counted)
    buffer = talk(*range(50_000))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert len(laid_out) <= SIZE[1] + 1
        app.messages.to_start()
        await pilot.pause()
        assert len(laid_out) <= 2 * (SIZE[1] + 1)
        app.messages.reveal(buffer.entries[25_000])
        await pilot.pause()
        assert len(laid_out) <= 5 * (SIZE[1] + 1)
        seen = len(laid_out)
        more(buffer, *range(50_000, 51_000))
        app.messages.buffer_changed()
        await pilot.pause()
        assert len(laid_out) <= seen + 2

    play(buffer, scene)


# ---- what stands between and around ----


def test_days_and_what_is_new() -> None:
    buffer = talk(-24 * 60, 0, 1)
    more(buffer, 2)
    buffer.entries[2].own = True
    buffer.line_at = NOON

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        shown = lines(app)
        assert "yesterday, Thursday 26 November 2026" in shown[0]
        assert "today, Friday 27 November 2026" in shown[2]
        # Our own text is not new to us.
        assert [line.strip(" ─") for line in shown[4:]] == [
            "12:01 ann text 1",
            "new",
            "12:02 ann text 2",
        ]
        buffer.line_at = None
        buffer.touch()
        app.messages.buffer_changed()
        assert len(lines(app)) == len(shown) - 1

    play(buffer, scene)


def test_the_past_says_that_it_is_the_past() -> None:
    buffer = talk(*range(100))
    buffer.live = False

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert "you are in the past: End goes to the present" in lines(app)[-1]
        assert not app.messages.at_end
        assert app.told_of(MessageList.EndReached) == []
        before = lines(app)
        buffer.insert_after("msgid=m99", [said(100), said(101)], nobody)
        app.messages.buffer_changed()
        assert lines(app)[:-1] == before[:-1]
        assert lines(app)[-1].endswith("text 100")
        buffer.loading = "newer"
        buffer.touch()
        app.messages.buffer_changed()
        app.messages.to_end()
        assert "loading newer messages…" in lines(app)[-1]

    play(buffer, scene)


def test_presences_reactions_replies_and_deletions() -> None:
    buffer = talk(0, 1, 2)
    buffer.entries[1].reply_to = "m0"
    buffer.add_presence(Presence("joined", "bob"), NOON, 5)
    buffer.add_presence(Presence("joined", "carl"), NOON, 6)

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.messages.own_nick = "me"
        buffer.react(Reacted("#den", "m0", "me", "👍", False, False, NOON))
        buffer.redact(Redacted("#den", "m2", "op", "spam"))
        app.messages.buffer_changed()
        assert [line.split(maxsplit=1)[-1].strip() for line in lines(app)[1:]] == [
            "ann text 0",
            "👍 1 (you)",
            "ann: text 0",
            "ann text 1",
            "ann [message deleted by op: spam]",
            "→ bob, carl joined (6 people)",
        ]

    play(buffer, scene)


def test_markup_is_shown_as_it_is() -> None:
    buffer = talk()
    text = said(0, "[bold]x[/] [@click=app.quit]y[/] [link=http://evil.example]z")
    buffer.append(buffer.text_entry(text, mention=False))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert "[bold]x[/] [@click=app.quit]y[/]" in " ".join(lines(app))

    play(buffer, scene, (100, 5))


def test_times_can_be_left_out() -> None:
    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert app.messages.show_times
        assert "12:05" in lines(app)[-1]
        app.messages.show_times = False
        assert "12:05" not in lines(app)[-1]
        assert words(app)[-1] == "5"

    play(talk(*range(6)), scene)


@pytest.mark.parametrize(
    ("theme", "width"), [("dark", 2), ("light", 20), ("contrast", 60), ("sixteen", 100)]
)
def test_all_themes_and_widths(theme: str, width: int) -> None:
    buffer = talk(*range(30))
    buffer.line_at = NOON
    buffer.entries[-1].mention = True

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.theme = theme
        await pilot.pause()
        assert {app.messages.render_line(y).cell_length for y in range(SIZE[1])} == {width}
        assert width == 2 or words(app)[-1] == "29"

    play(buffer, scene, (width, SIZE[1]))


# ---- asking for more ----


def test_near_the_start_it_asks_for_older_ones() -> None:
    buffer = talk(*range(100))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert app.told_of(MessageList.NeedOlder) == []
        app.messages.scroll_lines(-70)
        await pilot.pause()
        assert app.told_of(MessageList.NeedOlder) == []
        app.messages.scroll_lines(-10)
        await pilot.pause()
        [asked] = app.told_of(MessageList.NeedOlder)
        assert isinstance(asked, MessageList.NeedOlder)
        assert asked.buffer is buffer
        buffer.loading = "older"
        buffer.touch()
        app.messages.buffer_changed()
        app.messages.scroll_lines(-1)
        buffer.loading = ""  # in vain: nobody asks again before the user moves
        buffer.touch()
        app.messages.buffer_changed()
        await pilot.pause()
        assert len(app.told_of(MessageList.NeedOlder)) == 1
        buffer.prepend([said(-1)], nobody)  # a page that is not enough
        app.messages.buffer_changed()
        for _turn in range(1_000):  # it asks once it is drawn
            if len(app.told_of(MessageList.NeedOlder)) > 1:
                break
            await pilot.pause()
        assert len(app.told_of(MessageList.NeedOlder)) == 2
        buffer.reaches_start = True
        app.messages.to_start()
        await pilot.pause()
        assert len(app.told_of(MessageList.NeedOlder)) == 2

    play(buffer, scene)


def test_a_buffer_that_is_too_short_needs_older_ones() -> None:
    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert app.told_of(MessageList.NeedOlder) != []

    play(talk(1), scene)


def test_near_the_end_of_a_past_it_asks_for_newer_ones() -> None:
    buffer = talk(*range(100))
    buffer.live, buffer.reaches_start = False, True

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.messages.reveal(buffer.entries[50])
        await pilot.pause()
        app.told.clear()
        app.messages.scroll_lines(20)
        await pilot.pause()
        assert app.told == []
        app.messages.scroll_lines(20)
        await pilot.pause()
        assert len(app.told_of(MessageList.NeedNewer)) == 1
        assert len(app.told) == 1

    play(buffer, scene)


def test_the_end_is_told_when_it_is_reached() -> None:
    buffer = talk(*range(100))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert len(app.told_of(MessageList.EndReached)) == 1  # it was shown there
        app.messages.scroll_lines(-3)
        app.messages.scroll_lines(2)
        await pilot.pause()
        assert len(app.told_of(MessageList.EndReached)) == 1
        app.messages.scroll_lines(2)
        app.messages.scroll_lines(2)
        await pilot.pause()
        assert len(app.told_of(MessageList.EndReached)) == 2
        assert app.messages.at_end

    play(buffer, scene)


# ---- keys and mouse ----


def test_keys_turn_pages() -> None:
    async def scene(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("pageup")
        assert words(app) == [str(number) for number in range(78, 90)]
        await pilot.press("pagedown")
        assert app.messages.at_end
        await pilot.press("home")
        assert words(app)[1] == "0"
        await pilot.press("end")
        assert words(app)[-1] == "99"

    play(talk(*range(100)), scene)


def test_the_wheel_scrolls() -> None:
    async def scene(app: Host, pilot: Pilot[None]) -> None:
        await pilot._post_mouse_events([MouseScrollUp], MessageList)
        assert words(app)[-1] == "96"

    play(talk(*range(100)), scene)


def test_the_selection_goes_up_and_down() -> None:
    buffer = talk(*range(30))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert app.messages.selected is None
        await pilot.press("up")
        assert app.messages.selected is buffer.entries[29]
        assert [line for line in lines(app) if line.startswith("▌")] == [lines(app)[-1]]
        await pilot.press("down")
        assert app.messages.selected is buffer.entries[29]
        for _step in range(15):
            app.messages.select_previous()
        assert app.messages.selected is buffer.entries[14]
        assert lines(app)[0].startswith("▌")
        assert words(app)[0] == "14"
        more(buffer, 30)
        app.messages.buffer_changed()
        assert lines(app)[0].startswith("▌")
        assert words(app)[0] == "14"
        for _step in range(12):
            app.messages.select_next()
        assert lines(app)[-1].startswith("▌")
        assert words(app)[-1] == "26"
        await pilot.press("enter")
        [activated] = app.told_of(MessageList.EntryActivated)
        assert isinstance(activated, MessageList.EntryActivated)
        assert activated.entry is buffer.entries[26]
        assert app.messages.text_of(activated.entry) == "text 26"
        await pilot.press("escape", "enter")
        assert app.messages.selected is None
        assert len(app.told_of(MessageList.EntryActivated)) == 1

    play(buffer, scene)


def test_the_selection_ends_with_its_entry() -> None:
    buffer = talk(*range(30))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.messages.select_previous()
        buffer.replace([said(number) for number in range(5)], nobody, live=True)
        app.messages.buffer_changed()
        assert app.messages.selected is None
        app.messages.select_next()
        assert app.messages.selected is buffer.entries[-1]

    play(buffer, scene)


async def click(pilot: Pilot[None], app: Host, text: str, times: int = 1) -> None:
    """Click on the first place where ``text`` is on the screen."""
    shown = [app.messages.render_line(y).text for y in range(app.messages.size.height)]
    [(x, y), *_more] = [(line.index(text), y) for y, line in enumerate(shown) if text in line]
    await pilot.click(MessageList, offset=(x, y), times=times)


def test_clicks_select_and_activate() -> None:
    buffer = talk(*range(30))

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.told.clear()
        await click(pilot, app, "text 25")
        [clicked] = app.told
        assert isinstance(clicked, MessageList.EntryClicked)
        assert clicked.entry is app.messages.selected is buffer.entries[25]
        await click(pilot, app, "text 24", times=2)
        activated = app.told[-1]
        assert isinstance(activated, MessageList.EntryActivated)
        assert activated.entry is app.messages.selected is buffer.entries[24]
        app.told.clear()
        await pilot.click(MessageList, offset=(5, 11), button=3)
        assert isinstance(app.told[0], MessageList.EntryActivated)
        app.messages.to_start()
        await pilot.pause()
        app.told.clear()
        await click(pilot, app, "today")  # not of an entry
        assert app.told == []

    play(buffer, scene)


def test_links_are_clicked_and_open_as_they_read() -> None:
    buffer = talk(*range(30))
    text = said(30, "see (https://example.org/a_(é)), please")
    buffer.append(buffer.text_entry(text, mention=False))
    ascii_only = "https://example.org/a_(%C3%A9)"

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.told.clear()
        await click(pilot, app, "example.org")
        [clicked] = app.told
        assert isinstance(clicked, MessageList.LinkClicked)
        assert clicked.url == ascii_only
        await click(pilot, app, "see (")
        await click(pilot, app, "), please")
        assert len(app.told_of(MessageList.LinkClicked)) == 1
        links = [
            (segment.text, segment.style.link)
            for segment in app.messages.render_line(SIZE[1] - 1)
            if segment.style is not None and segment.style.link is not None
        ]
        assert links == [("https://example.org/a_(é)", ascii_only)]
        sent = app.messages.render_line(SIZE[1] - 1).render(Console(color_system="truecolor"))
        assert f";{ascii_only}\x1b\\" in sent

    play(buffer, scene)


def test_a_reply_leads_to_what_it_answers() -> None:
    buffer = talk(*range(30))
    buffer.entries[29].reply_to = "m3"

    async def scene(app: Host, pilot: Pilot[None]) -> None:
        app.told.clear()
        await click(pilot, app, "text 3")
        [clicked] = app.told
        assert isinstance(clicked, MessageList.ReplyClicked)
        assert clicked.msgid == "m3"
        assert app.messages.selected is None

    play(buffer, scene)


def test_the_scrollbar_shows_where_one_is_and_is_dragged() -> None:
    async def scene(app: Host, pilot: Pilot[None]) -> None:
        assert scrollbar(app) == "│" * 10 + "██"
        app.messages.to_start()
        assert scrollbar(app).startswith("█")
        bar = SIZE[0] - 1
        await pilot.mouse_down(MessageList, offset=(bar, 6))
        assert words(app)[0] == "35"
        await pilot.hover(MessageList, offset=(10, 3))
        assert words(app)[0] == "17"
        await pilot.hover(MessageList, offset=(10, 11))
        assert app.messages.at_end
        await pilot.hover(MessageList, offset=(10, 0))
        assert words(app)[1] == "0"
        await pilot.mouse_up(MessageList, offset=(10, 0))
        await pilot.hover(MessageList, offset=(10, 11))
        assert words(app)[1] == "0"
        assert app.messages.selected is None

    play(talk(*range(70)), scene)
