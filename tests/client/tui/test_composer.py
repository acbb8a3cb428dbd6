from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar

import pytest
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Static

from securechat.client.chat.completion import Completer
from securechat.client.commands.dispatch import COMMANDS
from securechat.client.tui.composer import (
    HISTORY_LIMIT,
    INPUT_LINES,
    PASTE_BYTES_LIMIT,
    PASTE_LINES_LIMIT,
    POPUP_LINES,
    Composer,
)
from securechat.client.tui.terminal_keys import correct_keys
from securechat.client.tui.themes import THEMES, variable_defaults

NICKS = ["ann", "annette", "bob", *(f"many{number:02}" for number in range(20))]

DEPTH = 4
"""How many widgets a key bubbles up through, at most."""


class Host(App[None]):
    """An app that notes what the composer tells it, and the keys that it leaves."""

    CSS = "#above { height: 1fr; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"note('{key}')")
        for key in (
            *("ctrl+n", "ctrl+p", "ctrl+f", "pageup", "pagedown", "alt+1", "alt+x", "ctrl+home"),
            *("f1", "f6", "f7", "escape", "home", "end", "ctrl+d", "tab", "shift+tab", "ctrl+c"),
        )
    ]

    def __init__(self, theme: str = "dark") -> None:
        super().__init__()
        for one in THEMES.values():
            self.register_theme(one)
        self.theme = theme
        self.left: list[str] = []
        self.messages: list[Message] = []
        self.composer = Composer(
            Completer(COMMANDS.values(), lambda: NICKS, lambda: ["#home", "#other"])
        )

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self)

    def compose(self) -> ComposeResult:
        yield Static(id="above")
        yield self.composer

    def on_mount(self) -> None:
        self.composer.focus()

    def action_note(self, key: str) -> None:
        self.left.append(key)

    def on_composer_submitted(self, message: Composer.Submitted) -> None:
        self.messages.append(message)

    def on_composer_edited(self, message: Composer.Edited) -> None:
        self.messages.append(message)

    def on_composer_reply_cancelled(self, message: Composer.ReplyCancelled) -> None:
        self.messages.append(message)

    def on_composer_large_paste(self, message: Composer.LargePaste) -> None:
        self.messages.append(message)

    @property
    def submitted(self) -> list[str]:
        return [one.text for one in self.messages if isinstance(one, Composer.Submitted)]

    @property
    def edited(self) -> list[str]:
        return [one.text for one in self.messages if isinstance(one, Composer.Edited)]

    @property
    def lines(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


class Typist:
    """Types into the composer of a running app."""

    def __init__(self, app: Host, pilot: Pilot[None]) -> None:
        self.app = app
        self.composer = app.composer
        self.pilot = pilot

    async def keys(self, *keys: str) -> None:
        """Press keys, ``<by their names>``; what stands in between is typed. They come at once, as
        over a slow line.
        """
        for key in keys:
            if key.startswith("<") and key.endswith(">"):
                self._send(events.Key(key[1:-1], None))
            else:
                for event in XTermParser().feed(key):
                    self._send(event)
        for _ in range(DEPTH):
            await self.pilot._wait_for_screen()
        await self.pilot.pause()

    def _send(self, event: Message) -> None:
        assert self.app._driver is not None
        self.app._driver.send_message(event)

    async def paste(self, text: str) -> None:
        await self.keys(f"\x1b[200~{text}\x1b[201~")

    @property
    def shown(self) -> str:
        """What stands in the input; | is the cursor."""
        text, cursor = self.composer._now()
        return f"{text[:cursor]}|{text[cursor:]}"

    @property
    def popup(self) -> list[str]:
        """The lines of the list of candidates."""
        popup = self.composer._popup
        if not popup.display:
            return []
        region = popup.region
        assert region.bottom == self.composer.region.y  # right above
        return [line[region.x :].strip() for line in self.app.lines[region.y : region.bottom]]


def run(
    test: Callable[[Typist], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    theme: str = "dark",
) -> None:
    async def with_app() -> None:
        app = Host(theme)
        async with app.run_test(size=size) as pilot:
            await test(Typist(app, pilot))

    asyncio.run(with_app())


def after(keys: Iterable[str], *, text: str = "") -> tuple[str, Host]:
    """Return what stands there after ``keys``, and the app."""
    found: list[tuple[str, Host]] = []

    async def test(typist: Typist) -> None:
        if text:
            typist.composer.set_text(text)
        await typist.keys(*keys)
        found.append((typist.shown, typist.app))

    run(test)
    return found[0]


# ---- sending, lines ----


def test_enter_sends() -> None:
    shown, app = after(["hello", "<enter>", "there", "<enter>"])
    assert shown == "|"
    assert app.submitted == ["hello", "there"]


def test_blanks_are_not_sent() -> None:
    _, app = after(["<enter>", "   ", "<enter>", "<ctrl+j>", "<enter>"])
    assert app.submitted == []


def test_new_lines() -> None:
    _, app = after(["1", "<ctrl+j>", "2", "<shift+enter>", "3", "<alt+enter>", "4", "<enter>"])
    assert app.submitted == ["1\n2\n3\n4"]


def test_what_terminals_send_for_new_lines() -> None:
    # Ctrl+J; Alt+Enter; both of kitty's protocol: Shift+Enter, Alt+Enter
    correct_keys()
    shown, app = after(["1\n2\x1b\r3\x1b[13;2u4\x1b[13;3u5"])
    assert shown == "1\n2\n3\n4\n5|"
    assert app.submitted == []


def test_keys_that_come_at_once_stay_in_order() -> None:
    shown, app = after(["ab\x7fc\rde\x1b[Df\rg"])
    assert app.submitted == ["ac", "dfe"]
    assert shown == "g|"


def test_the_input_grows_and_scrolls() -> None:
    async def test(typist: Typist) -> None:
        heights = []
        for _ in range(8):
            heights.append(typist.composer.size.height)
            await typist.keys("x", "<ctrl+j>")
        assert heights == [1, 2, 3, 4, 5, INPUT_LINES, INPUT_LINES, INPUT_LINES]
        await typist.keys("<enter>")
        assert typist.composer.size.height == 1

    run(test)


def test_a_long_line_wraps() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.set_prompt("#home")
        await typist.keys("word " * 20)
        assert typist.app.lines[-2:] == [
            " #home word word word word word word word word word word word word word word",
            "       word word word word word word",
        ]

    run(test)


def test_markup_is_text() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.set_prompt("[bold]x[/]")
        typist.composer.start_reply("[red]ann[/]", "[b]hi[/b]\nyou")
        await typist.keys("[u]a[/u]")
        assert typist.app.lines[-2:] == [
            " reply to [red]ann[/] (Esc cancels): [b]hi[/b] you",
            " [bold]x[/] [u]a[/u]",
        ]

    run(test)


def test_any_script() -> None:
    family, persian = "\U0001f468\u200d\U0001f467", "\u0645\u06cc\u200c\u062e"
    texts = ["世界 👍 e\u0301", f"🇫🇷 {family} שלום", persian]
    _, app = after([key for text in texts for key in (text, "<enter>")])
    assert app.submitted == texts


@pytest.mark.parametrize("theme", list(THEMES))
def test_every_theme(theme: str) -> None:
    async def test(typist: Typist) -> None:
        typist.composer.start_reply("ann", "hello")
        await typist.paste("a\nb")
        await typist.keys("<enter>", "/j")
        assert typist.popup[0].startswith("/join")

    run(test, theme=theme)


# ---- keys of line editors ----

EDITING = [
    (["abc", "<ctrl+a>", "x", "<ctrl+e>", "y"], "xabcy|"),
    (["abc", "<home>", "x", "<end>", "y"], "xabcy|"),
    (["abc", "<left>", "<backspace>"], "a|c"),
    (["abc", "<home>", "<delete>", "<ctrl+d>"], "|c"),
    (["one two", "<ctrl+w>"], "one |"),
    (["one two  ", "<ctrl+w>", "<ctrl+w>", "<ctrl+w>"], "|"),
    (["one two", "<ctrl+backspace>", "<ctrl+y>", "<ctrl+y>"], "one twotwo|"),
    (["one two", "<ctrl+left>", "<ctrl+u>"], "|two"),
    (["one two", "<ctrl+left>", "<ctrl+k>", "<ctrl+y>"], "one two|"),
    (["one two", "<ctrl+left>", "<ctrl+k>", "<home>", "<ctrl+y>"], "two|one "),
    (["one", "<ctrl+j>", "two", "<ctrl+u>", "<ctrl+u>"], "one|"),
    (["one", "<ctrl+j>", "two", "<up>", "<end>", "<ctrl+k>"], "one|two"),
    (["one two", "<alt+b>", "x", "<alt+f>"], "one xtwo|"),
    (["one two\x1bbx\x1bfy"], "one xtwoy|"),
    (["one two", "<home>", "<alt+d>"], "| two"),
    (["one two\x1b\x7f"], "one |"),
    (["abc", "<shift+left>", "<shift+left>", "x"], "ax|"),
    (["abc", "<shift+home>", "<ctrl+k>", "x", "<ctrl+y>"], "xabc|"),
    (["one two", "<ctrl+shift+left>", "<ctrl+w>"], "one |"),
    (["abc", "<shift+home>", "<ctrl+x>", "x", "<ctrl+v>"], "xabc|"),
    (["abc", "<shift+left>", "<ctrl+c>", "<end>", "<ctrl+v>"], "abcc|"),
    (["one", "<ctrl+u>", "<ctrl+z>"], "one|"),
    (["one", "<ctrl+u>", "<ctrl+z>", "<ctrl+shift+z>"], "|"),
    (["a", "<alt+x>", "<alt+1>", "b"], "ab|"),
    (["<ctrl+w>", "<ctrl+u>", "<ctrl+k>", "<left>", "<backspace>", "<alt+d>"], "|"),
]


def test_editing() -> None:
    async def test(typist: Typist) -> None:
        for keys, expected in EDITING:
            typist.composer.set_text("")
            await typist.keys(*keys)
            assert (keys, typist.shown) == (keys, expected)

    run(test)


def test_nothing_to_yank() -> None:
    assert after(["a", "<ctrl+y>"])[0] == "a|"


def test_keys_of_the_app_bubble() -> None:
    keys = ["ctrl+n", "ctrl+p", "ctrl+f", "pageup", "pagedown", "alt+1", "alt+x", "ctrl+home"]
    keys += ["f1", "f6", "f7", "escape", "ctrl+c"]
    shown, app = after(["text", *(f"<{key}>" for key in keys)])
    assert app.left == keys
    assert shown == "text|"


def test_keys_that_bubble_without_a_text() -> None:
    keys = ["home", "end", "ctrl+d", "tab", "shift+tab"]
    _, app = after([f"<{key}>" for key in keys])
    # The last two are Textual's own: to the next widget.
    assert app.left == keys[:3]
    _, app = after([f"<{key}>" for key in keys], text="x")
    assert app.left == []


# ---- history ----


def test_history_and_draft() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("one", "<enter>", "two", "<enter>", "two", "<enter>", "dra", "ft")
        seen = []
        for key in ("up", "up", "up", "down", "down", "down"):
            await typist.keys(f"<{key}>")
            seen.append(typist.shown.replace("|", ""))
        assert seen == ["two", "one", "one", "two", "draft", "draft"]

    run(test)


def test_the_arrows_move_inside_a_text_of_several_lines() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("old", "<enter>", "a", "<ctrl+j>", "b")
        await typist.keys("<up>")
        assert typist.shown == "a|\nb"
        await typist.keys("<up>")
        assert typist.shown == "old|"
        await typist.keys("<down>")
        assert typist.shown == "a\nb|"

    run(test)


def test_the_arrows_move_inside_a_line_that_wraps() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("old", "<enter>", "word " * 20)
        await typist.keys("<up>")
        assert typist.composer.get_text() == "word " * 20
        await typist.keys("<up>")
        assert typist.shown == "old|"

    run(test)


def test_what_is_recalled_can_be_sent_again() -> None:
    _, app = after(["one", "<enter>", "<up>", "!", "<enter>", "<up>", "<up>", "<enter>"])
    assert app.submitted == ["one", "one!", "one"]


def test_history_is_bounded() -> None:
    async def test(typist: Typist) -> None:
        for number in range(HISTORY_LIMIT + 10):
            typist.composer._history.add(str(number))
        await typist.keys("\x1b[A" * HISTORY_LIMIT)
        assert typist.shown == "10|"
        await typist.keys("<up>")
        assert typist.composer.get_text() == "10"

    run(test)


def test_a_draft_of_another_conversation() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("one", "<enter>", "two", "<enter>", "<up>", "<up>")
        typist.composer.set_text("draft\x1b[2J\r\nlast")
        assert typist.shown == "draft[2J\nlast|"
        await typist.keys("<up>", "<up>")
        assert typist.shown == "two|"
        await typist.keys("<down>")
        assert typist.composer.get_text() == "draft[2J\nlast"

    run(test)


# ---- what is told ----


def test_edits_are_told_but_not_what_is_set() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("hi", "<left>", "<backspace>")
        assert typist.app.edited == ["h", "hi", "i"]
        typist.app.messages.clear()
        await typist.keys("<enter>")
        typist.composer.set_text("draft")
        await typist.pilot.pause()
        assert typist.app.edited == []
        await typist.keys("<up>", "/j", "<tab>", "<ctrl+u>")
        assert typist.app.edited == ["i", "i/", "i/j", ""]
        typist.composer.insert_text("x")
        await typist.pilot.pause()
        assert typist.app.edited[-1] == "x"

    run(test)


# ---- replies ----


def test_a_reply_is_cancelled_by_escape() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.start_reply("ann", "hello")
        await typist.keys("yes", "<enter>")
        assert typist.composer.replying  # the app knows when it ends
        assert typist.app.lines[-2] == " reply to ann (Esc cancels): hello"
        typist.app.messages.clear()
        await typist.keys("<escape>")
        assert not typist.composer.replying
        assert [type(one) for one in typist.app.messages] == [Composer.ReplyCancelled]
        assert typist.composer.size.height == 1
        await typist.keys("<escape>")
        assert typist.app.left == ["escape"]

    run(test)


def test_a_reply_is_cancelled_by_a_click() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.start_reply("ann", "hello")
        await typist.pilot.pause()
        await typist.pilot.click(Composer, Offset(5, 0))
        await typist.pilot.pause()
        assert [type(one) for one in typist.app.messages] == [Composer.ReplyCancelled]
        await typist.keys("still typing")
        assert typist.shown == "still typing|"

    run(test)


def test_a_reply_that_the_app_ends_is_not_told() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.start_reply("ann", "hello")
        typist.composer.cancel_reply()
        await typist.pilot.pause()
        assert typist.app.messages == []
        assert not typist.composer.replying

    run(test)


# ---- pasting ----

NOTE = " 3 lines, sent as one message: Enter sends, Esc clears"


def test_several_lines_wait_for_enter() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("so: ")
        await typist.paste("a\r\nb\rc\n")
        assert typist.shown == "so: a\nb\nc|"
        assert typist.app.submitted == []
        assert typist.app.lines[-4] == NOTE
        await typist.keys("<enter>")
        assert typist.app.submitted == ["so: a\nb\nc"]
        assert typist.composer.size.height == 1

    run(test)


def test_escape_clears_what_was_pasted() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.start_reply("ann", "hello")
        await typist.paste("a\nb\nc")
        await typist.keys("<escape>")
        assert typist.shown == "|"
        assert typist.composer.replying
        assert typist.app.messages[-1].text == ""  # type: ignore[attr-defined]
        await typist.keys("<ctrl+y>")
        assert typist.shown == "a\nb\nc|"

    run(test)


def test_the_note_goes_with_the_lines() -> None:
    async def test(typist: Typist) -> None:
        await typist.paste("a\nb\nc")
        await typist.keys("<ctrl+u>", "<ctrl+u>")
        assert typist.app.lines[-3].startswith(" 2 lines")
        await typist.keys("<ctrl+u>", "<ctrl+u>")
        assert typist.shown == "a|"
        assert typist.composer.size.height == 1
        await typist.keys("<ctrl+j>", "typed")
        assert typist.composer.size.height == 2

    run(test)


PASTED = [
    ("one line\n", "one line|"),
    ("a\tb", "a\tb|"),
    ("a\x1b[31mb\x07\x9bc\x7f", "a[31mbc|"),
    ("a\u2028b", "a\nb|"),
    ("\n", "|"),
    ("x\x00", "x|"),
]


def test_what_is_pasted_has_no_controls() -> None:
    async def test(typist: Typist) -> None:
        for pasted, shown in PASTED:
            typist.composer.set_text("")
            typist.app.post_message(events.Paste(pasted))
            await typist.keys()
            assert (pasted, typist.shown) == (pasted, shown)
        assert typist.app.submitted == []

    run(test)


def test_pasting_replaces_what_is_selected() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("abc", "<shift+left>")
        await typist.paste("xy")
        assert typist.shown == "abxy|"

    run(test)


@pytest.mark.parametrize(
    ("pasted", "lines"),
    [
        ("\n".join("x" * (PASTE_LINES_LIMIT + 1)), PASTE_LINES_LIMIT + 1),
        ("я" * (PASTE_BYTES_LIMIT // 2 + 1), 1),
    ],
    ids=["lines", "bytes"],
)
def test_a_large_text_is_asked_about(pasted: str, lines: int) -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("ab", "<left>")
        typist.app.messages.clear()
        await typist.paste(pasted + "\x07\n")
        assert typist.shown == "a|b"
        (message,) = typist.app.messages
        assert isinstance(message, Composer.LargePaste)
        assert (message.text, message.lines) == (pasted, lines)
        typist.composer.insert_text(message.text)
        assert typist.shown == f"a{pasted}|b"
        await typist.pilot.pause()
        note = " 33 lines: Enter sends, Esc clears"
        assert (note in typist.app.lines) == (lines > 1)

    run(test)


@pytest.mark.parametrize(
    "pasted", ["\n".join("x" * PASTE_LINES_LIMIT), "x" * PASTE_BYTES_LIMIT], ids=["lines", "bytes"]
)
def test_what_fits_is_not_asked_about(pasted: str) -> None:
    async def test(typist: Typist) -> None:
        await typist.paste(pasted)
        assert typist.composer.get_text() == pasted

    run(test)


def test_the_clipboard_of_the_app_is_guarded_too() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("<ctrl+v>")
        assert typist.shown == "|"
        typist.app.copy_to_clipboard("a\nb\nc")
        await typist.keys("<ctrl+v>")
        assert NOTE in typist.app.lines

    run(test)


# ---- completion ----


def test_tab_cycles_both_ways() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("an", "<tab>")
        assert typist.shown == "ann: |"
        assert typist.popup == ["› ann", "annette"]  # noqa: RUF001
        seen = []
        for key in ("tab", "tab", "shift+tab", "shift+tab", "down", "up"):
            await typist.keys(f"<{key}>")
            seen.append(typist.composer.get_text())
        assert seen == ["annette: ", "ann: ", "annette: ", "ann: ", "annette: ", "ann: "]

    run(test)


def test_the_only_candidate_is_taken_at_once() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("hi bo", "<tab>")
        assert typist.shown == "hi bob |"
        assert typist.popup == []
        await typist.keys("!", "<enter>")
        assert typist.app.submitted == ["hi bob !"]

    run(test)


def test_completion_in_the_middle() -> None:
    shown, _ = after(["see now", "<ctrl+left>", "#ho", "<tab>"])
    assert shown == "see #home |now"


def test_enter_sends_what_tab_has_completed() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("an", "<tab>", "<tab>", "<enter>")
        assert typist.popup == []
        assert typist.app.submitted == ["annette: "]

    run(test)


def test_enter_takes_what_was_chosen_with_the_arrows() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("an", "<tab>", "<down>", "<enter>")
        assert typist.popup == []
        assert typist.shown == "annette: |"
        assert typist.app.submitted == []
        await typist.keys("<enter>")
        assert typist.app.submitted == ["annette: "]

    run(test)


def test_escape_takes_it_back() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("x an", "<tab>", "<tab>", "<escape>")
        assert typist.popup == []
        assert typist.shown == "x an|"
        assert typist.app.left == []

    run(test)


def test_typing_goes_on_behind_what_was_chosen() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("an", "<tab>", "hi")
        assert typist.popup == []
        assert typist.shown == "ann: hi|"
        await typist.keys("<enter>")
        assert typist.app.submitted == ["ann: hi"]

    run(test)


def test_commands_are_shown_while_typing_and_enter_sends() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("/")
        assert len(typist.popup) == POPUP_LINES
        await typist.keys("li")
        assert typist.popup == ["/list  list the rooms"]
        await typist.keys("st", "<enter>")
        assert typist.popup == []
        assert typist.app.submitted == ["/list"]

    run(test)


def test_into_the_list_by_the_arrows() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("/pe", "<down>", "<down>")
        assert typist.shown == "/peers|"
        await typist.keys("<up>", "<enter>", "ann", "<enter>")
        assert typist.app.submitted == ["/peer ann"]

    run(test)


def test_the_list_scrolls() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("many", "<tab>")
        await typist.keys(*["<tab>"] * 9)
        assert typist.popup[0] == "many02"
        assert typist.popup[-1] == "› many09"  # noqa: RUF001
        await typist.keys("<shift+tab>")
        assert typist.popup[0] == "many02"
        assert typist.popup[-2] == "› many08"  # noqa: RUF001
        await typist.keys(*["<tab>"] * 11)
        assert typist.popup[-1] == "› many19"  # noqa: RUF001
        await typist.keys("<tab>")
        assert typist.popup[0] == "› many00"  # noqa: RUF001

    run(test)


def test_emoji_are_shown_while_typing() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("so :smirk")
        assert typist.popup[0] == "😏 smirk"
        await typist.keys("<tab>")
        assert typist.shown == "so 😏|"

    run(test)


def test_nothing_is_shown_unasked() -> None:
    async def test(typist: Typist) -> None:
        for typed in ("exit", "//", "hello", "a /b", "an"):
            await typist.keys("<ctrl+u>", typed)
            assert typist.shown == f"{typed}|"
            assert typist.popup == []

    run(test)


def test_tab_leaves_what_cannot_be_completed() -> None:
    async def test(typist: Typist) -> None:
        for typed in ("exit", "//", "zz", "hello "):
            await typist.keys("<ctrl+u>", typed, "<tab>", "!")
            assert typist.shown == f"{typed}!|"

    run(test)


def test_a_command_from_the_history_shows_no_list() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("old", "<enter>", "/join #a", "<enter>", "/joi", "<escape>")
        assert typist.popup == []
        await typist.keys("<up>", "<up>")
        assert typist.shown == "old|"

    run(test)


def test_moving_away_closes_the_list() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("/jo", "<left>")
        assert typist.popup == []
        await typist.keys("<right>", "i")
        assert typist.popup != []
        await typist.pilot.click(Composer, Offset(2, 0))
        await typist.pilot.pause()
        assert typist.popup == []

    run(test)


def test_a_candidate_is_chosen_by_a_click() -> None:
    async def test(typist: Typist) -> None:
        await typist.keys("many", "<tab>", *["<tab>"] * 9)
        row = typist.composer.region.y - POPUP_LINES + 1
        await typist.pilot.click(offset=Offset(4, row))
        await typist.pilot.pause()
        assert typist.shown == "many03: |"
        assert typist.popup == []
        await typist.keys("hi")
        assert typist.shown == "many03: hi|"

    run(test)


def test_a_narrow_screen() -> None:
    async def test(typist: Typist) -> None:
        typist.composer.set_prompt("#a-room-with-a-long-name")
        await typist.keys("/tru")
        assert typist.popup == ["/trust NICK [WHAT…"]
        assert typist.app.lines[-1] == " #a-ro… /tru"

    run(test, size=(20, 10))
