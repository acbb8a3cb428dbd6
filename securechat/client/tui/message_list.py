"""The messages of a conversation: a list that is as long as it likes, of which only what is in view
is ever laid out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from securechat.client.chat.buffers import Buffer, Entry
from securechat.client.tui.layout import ROLES, Layout, Line, Piece, text_of
from securechat.client.tui.links import address
from securechat.client.tui.themes import NICK_COLOURS
from securechat.client.tui.viewport import Row, Viewport
from securechat.client.tui.wrapping import cells
from securechat.client.words.translation import gettext_noop

__all__ = ["MessageList", "text_of"]

WHEEL_LINES: Final = 3
"""How far one step of the mouse wheel goes."""

_KEPT_LINES: Final = 2
"""Lines that are in view before and after a page is turned, so that the eye finds its place."""

_STRIPS: Final = 250
"""Lines whose strips are kept: some screens."""

_REDRAW_S: Final = 0.1
"""Shortest time between two drawings of what comes by itself: 1,000 messages/s are not read one by
one, and a key that is pressed meanwhile has to wait for a drawing that has begun."""

_LEFT: Final = 1
"""The number of the mouse button that most things are done with."""

_SELECTED: Final = "▌"

_BAR: Final = {"thumb": "█", "track": "│", "text": " "}
"""What the scrollbar is made of, by role; the last one is for where there is none."""

_COMPONENT: Final = "message-list--"


def _local_now() -> datetime:
    return datetime.now().astimezone()


class MessageList(Widget, can_focus=True):
    """Shows a buffer, and tells what the user does with it.

    Driven by its methods: ``show`` a buffer, and say ``buffer_changed`` whenever it did. Where it
    stands in each buffer is kept until ``forget``.

    :param clock: the local time, with its zone.
    :param show_times: whether each entry has its time before it.
    """

    ALLOW_SELECT = False  # the terminal selects better (mostly with shift), and all text is ours

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"{_COMPONENT}{role}" for role in ROLES),
        f"{_COMPONENT}selected",
        f"{_COMPONENT}track",
        f"{_COMPONENT}thumb",
    }

    DEFAULT_CSS = """
    MessageList {
        width: 1fr;
        height: 1fr;
        background: $background;
        color: $foreground;
        & .message-list--action { text-style: italic; }
        & .message-list--info { color: $muted; text-style: $muted-style; }
        & .message-list--warning { color: $caution; text-style: bold; }
        & .message-list--presence { color: $muted; text-style: $muted-style; }
        & .message-list--time { color: $muted; text-style: $muted-style; }
        & .message-list--own-nick { color: $own-nick; text-style: bold underline; }
        NICKS
        & .message-list--mention { color: $mention; text-style: bold; }
        & .message-list--lock { color: $safe; text-style: bold; }
        & .message-list--link { color: $link; text-style: underline; }
        & .message-list--reply { color: $muted; text-style: $muted-style; }
        & .message-list--reaction { color: $muted; text-style: $muted-style; }
        & .message-list--own-reaction { color: $accent; text-style: bold; }
        & .message-list--deleted { color: $muted; text-style: italic; }
        & .message-list--sent { color: $muted; text-style: $muted-style; }
        & .message-list--waiting { color: $muted; text-style: italic; }
        & .message-list--unsure { color: $caution; text-style: bold; }
        & .message-list--refused { color: $danger; text-style: bold; }
        & .message-list--day { color: $muted; text-style: $muted-style; }
        & .message-list--new { color: $line-new; text-style: bold; }
        & .message-list--edge { color: $muted; text-style: italic; }
        & .message-list--selected { background: $panel; }
        & .message-list--track { color: $panel; }
        & .message-list--thumb { color: $accent; }
    }
    """.replace(
        "NICKS",
        "\n".join(
            f"& .message-list--nick-{number} {{ color: $nick-{number}; text-style: bold; }}"
            for number in range(1, NICK_COLOURS + 1)
        ),
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "select_previous", gettext_noop("Select the message above"), show=False),
        Binding("down", "select_next", gettext_noop("Select the message below"), show=False),
        Binding("enter", "activate", gettext_noop("What can be done with it"), show=False),
        Binding("escape", "clear_selection", gettext_noop("Select nothing"), show=False),
        Binding("pageup", "page_up", gettext_noop("A page up"), show=False),
        Binding("pagedown", "page_down", gettext_noop("A page down"), show=False),
        Binding("home", "to_start", gettext_noop("To the first message"), show=False),
        Binding("end", "to_end", gettext_noop("To the last message"), show=False),
    ]

    class NeedOlder(Message):
        """The user is near the first entry there is, and there is more before it.

        It is not repeated before that has come, or the user moves again.
        """

        def __init__(self, buffer: Buffer) -> None:
            super().__init__()
            self.buffer = buffer

    class NeedNewer(Message):
        """The same of the last entry."""

        def __init__(self, buffer: Buffer) -> None:
            super().__init__()
            self.buffer = buffer

    class EndReached(Message):
        """The user has come to the present, or a buffer is shown that stands there."""

        def __init__(self, buffer: Buffer) -> None:
            super().__init__()
            self.buffer = buffer

    class LinkClicked(Message):
        """A link was clicked; ``url`` is what it says, in ASCII."""

        def __init__(self, url: str) -> None:
            super().__init__()
            self.url = url

    class ReplyClicked(Message):
        """The text that another answers was clicked."""

        def __init__(self, msgid: str) -> None:
            super().__init__()
            self.msgid = msgid

    class EntryClicked(Message):
        """An entry was clicked; it is selected now."""

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    class EntryActivated(Message):
        """The user wants to do something with an entry: a double click, one with another button, or
        Enter.
        """

        def __init__(self, entry: Entry) -> None:
            super().__init__()
            self.entry = entry

    def __init__(
        self,
        clock: Callable[[], datetime] = _local_now,
        *,
        show_times: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._view = Viewport(clock)
        self._show_times = show_times
        self._own_nick = ""
        self._layout: Layout | None = None
        self._laid_out_for: tuple[object, ...] = ()
        self._rows: list[Row] = []
        self._thumb = range(0)
        self._rows_size: Size | None = None  # what the rows were made for; None: they are old
        self._strips: LRUCache[tuple[Line, bool, str], Strip] = LRUCache(_STRIPS)
        self._styles: dict[tuple[str, bool], Style] = {}  # by role, and whether it is selected
        self._seen = (0, 0, 0)  # version, base and end of the buffer
        self._pause: Timer | None = None  # after a drawing of what has come by itself
        self._behind = False  # there is something to draw when it is over
        self._bar_held = False  # the mouse was pressed on the scrollbar

    # ---- what is shown ----

    @property
    def buffer(self) -> Buffer | None:
        """What is shown."""
        return self._view.buffer

    @property
    def own_nick(self) -> str:
        """Ours in this conversation, made safe: whose reactions are our own."""
        return self._own_nick

    @own_nick.setter
    def own_nick(self, nick: str) -> None:
        if nick != self._own_nick:
            self._own_nick = nick
            self._redraw()

    @property
    def show_times(self) -> bool:
        """Whether each entry has its time before it."""
        return self._show_times

    @show_times.setter
    def show_times(self, show: bool) -> None:
        if show != self._show_times:
            self._show_times = show
            self._redraw()

    def show(self, buffer: Buffer | None) -> None:
        """Show ``buffer`` where it was left, at its end at first; nothing is selected then."""
        self._view.show(buffer)
        if buffer is not None:
            self._seen = (buffer.version, buffer.base, buffer.end)
        self._moved(was_at_end=False)

    def forget(self, buffer: Buffer) -> None:
        """Do not remember where ``buffer`` was left."""
        self._view.forget(buffer)
        self._redraw()

    def buffer_changed(self) -> None:
        """Draw the buffer again if it has changed: soon, if that has just been done.

        At the end it stays there. Otherwise the lines in view stay where they are, whatever came
        before or behind them.
        """
        buffer = self.buffer
        if buffer is None or buffer.version == self._seen[0]:
            return
        _version, base, end = self._seen
        self._seen = (buffer.version, buffer.base, buffer.end)
        self._redraw_soon()
        if buffer.base < base or (not buffer.live and buffer.end != end):
            self._ask_for_more()  # a page has come, which may not have been enough

    # ---- moving ----

    @property
    def at_end(self) -> bool:
        """Whether the present is in view, and stays there as it goes on."""
        return self._view.at_end

    def scroll_lines(self, lines: int) -> None:
        """Go so many lines down, or up where that is negative."""
        was_at_end = self._arranged().at_end
        self._view.scroll(lines)
        self._moved(was_at_end)

    def page_up(self) -> None:
        """Go a page up."""
        self.scroll_lines(-self._page_lines)

    def page_down(self) -> None:
        """Go a page down."""
        self.scroll_lines(self._page_lines)

    def to_start(self) -> None:
        """Go to the first entry there is."""
        was_at_end = self._arranged().at_end
        self._view.to_start()
        self._moved(was_at_end)

    def to_end(self) -> None:
        """Go to the last entry there is: the present, if the buffer is ``live``."""
        was_at_end = self._arranged().at_end
        self._view.to_end()
        self._moved(was_at_end)

    def reveal(self, entry: Entry) -> bool:
        """Bring ``entry`` into view and select it; false if it is not in the buffer."""
        was_at_end = self._arranged().at_end
        found = self._view.reveal(entry)
        self._moved(was_at_end)
        return found

    # ---- selecting ----

    @property
    def selected(self) -> Entry | None:
        """The entry that is selected, if any."""
        return self._view.selected

    def select_previous(self) -> None:
        """Select the entry above; at first the last one in view."""
        self._select_next(-1)

    def select_next(self) -> None:
        """Select the entry below; at first the last one in view."""
        self._select_next(1)

    def clear_selection(self) -> None:
        """Select nothing."""
        self._view.select(None)
        self._redraw()

    def text_of(self, entry: Entry) -> str:
        """Return what ``entry`` says, for copying."""
        return text_of(entry)

    def _select_next(self, step: int) -> None:
        was_at_end = self._arranged().at_end
        self._view.select_next(step)
        self._moved(was_at_end)

    # ---- keys and mouse ----

    def action_select_previous(self) -> None:
        """Do what ``select_previous`` does."""
        self.select_previous()

    def action_select_next(self) -> None:
        """Do what ``select_next`` does."""
        self.select_next()

    def action_activate(self) -> None:
        """Tell that the user wants to do something with what is selected."""
        if self.selected is not None:
            self.post_message(self.EntryActivated(self.selected))

    def action_clear_selection(self) -> None:
        """Do what ``clear_selection`` does."""
        self.clear_selection()

    def action_page_up(self) -> None:
        """Do what ``page_up`` does."""
        self.page_up()

    def action_page_down(self) -> None:
        """Do what ``page_down`` does."""
        self.page_down()

    def action_to_start(self) -> None:
        """Do what ``to_start`` does."""
        self.to_start()

    def action_to_end(self) -> None:
        """Do what ``to_end`` does."""
        self.to_end()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll."""
        event.stop()
        self.scroll_lines(-WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll."""
        event.stop()
        self.scroll_lines(WHEEL_LINES)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take the scrollbar."""
        offset = event.get_content_offset(self)
        self._bar_held = offset is not None and offset.x == self.size.width - 1
        if self._bar_held and offset is not None:
            self.capture_mouse()
            self._jump(offset.y)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Follow with the scrollbar."""
        if self.app.mouse_captured is self:
            self._jump(event.get_content_offset_capture(self).y)

    def on_mouse_up(self) -> None:
        """Let go of the scrollbar."""
        self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        """Tell what was clicked."""
        offset = event.get_content_offset(self)
        if offset is None or self._bar_held:
            return
        event.stop()
        self._draw_rows()
        row = self._rows[offset.y]
        piece = _piece_at(row.line, offset.x - 1)
        plain = event.button == _LEFT and event.chain == 1
        if plain and piece is not None and piece.link:
            self.post_message(self.LinkClicked(address(piece.link)))
        elif plain and piece is not None and row.line.reply_to:
            self.post_message(self.ReplyClicked(row.line.reply_to))
        elif row.entry is not None:
            self._view.select(row.entry)
            self._redraw()
            clicked = self.EntryClicked if plain else self.EntryActivated
            self.post_message(clicked(row.entry))

    def on_resize(self) -> None:
        """There may be room for more than there is."""
        self._redraw()
        self._ask_for_more()

    def _jump(self, row: int) -> None:
        was_at_end = self._arranged().at_end
        self._view.jump(row)
        self._moved(was_at_end)

    # ---- moving on ----

    @property
    def _page_lines(self) -> int:
        return max(self.size.height - _KEPT_LINES, 1)

    def _arranged(self) -> Viewport:
        """Return the view, laid out for the size there is now."""
        # Without the mark of what is selected, and the scrollbar.
        width = max(self.size.width - 2, 1)
        private = self.buffer is not None and self.buffer.kind == "person"
        wanted = (width, self._show_times, private, self._own_nick)
        if self._layout is None or wanted != self._laid_out_for:
            self._laid_out_for = wanted
            self._layout = Layout(
                width, show_times=self._show_times, private=private, own_nick=self._own_nick
            )
        self._view.arrange(self._layout, self.size.height)
        return self._view

    def _moved(self, was_at_end: bool) -> None:
        """Take note that the user may see something else now."""
        self._redraw()
        self._draw_rows()
        if self.buffer is not None and self.at_end and not was_at_end:
            self.post_message(self.EndReached(self.buffer))
        self._ask_for_more()

    def _ask_for_more(self) -> None:
        buffer = self.buffer
        if buffer is None or buffer.loading or not self.size.height:
            return
        view = self._arranged()
        if not buffer.reaches_start and view.near_start():
            self.post_message(self.NeedOlder(buffer))
        elif not buffer.live and view.near_end():
            self.post_message(self.NeedNewer(buffer))

    # ---- drawing ----

    def notify_style_update(self) -> None:
        """Draw all anew: the colours may be others. Called by Textual."""
        super().notify_style_update()
        self._strips.clear()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        """Return a line of what is in view. Called by Textual."""
        self._draw_rows()
        row = self._rows[y]
        selected = row.entry is not None and row.entry is self._view.selected
        key = row.line, selected, self._bar(y)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strip(*key)
            self._strips.set(key, strip)
        return strip

    def _redraw(self) -> None:
        self._rows_size = None
        self.refresh()

    def _redraw_soon(self) -> None:
        self._behind = self._pause is not None
        if not self._behind:
            self._redraw()
            self._pause = self.set_timer(_REDRAW_S, self._pause_over)

    def _pause_over(self) -> None:
        self._pause = None
        if self._behind:
            self._redraw_soon()

    def _draw_rows(self) -> None:
        """See what is in view, if something may have changed. Textual may draw a new size before
        it tells so.
        """
        if self._rows_size == self.size:
            return
        view = self._arranged()
        self._rows, self._thumb = view.rows(), view.thumb()
        self._rows_size = self.size

    def _strip(self, line: Line, selected: bool, bar: str) -> Strip:
        width = self.size.width
        first = Piece(_SELECTED if selected else " ", "text")
        segments = [
            Segment(piece.text, self._piece_style(piece, selected))
            for piece in (first, *line.pieces)
        ]
        blanks = width - 1 - sum(segment.cell_length for segment in segments)
        if blanks > 0:
            segments.append(Segment(" " * blanks, self._style("text", selected)))
        segments.append(Segment(_BAR[bar], self._style(bar, False)))
        return Strip(segments).adjust_cell_length(width)

    def _piece_style(self, piece: Piece, selected: bool) -> Style:
        style = self._style(piece.role, selected)
        return style + Style(link=address(piece.link)) if piece.link else style

    def _style(self, role: str, selected: bool) -> Style:
        style = self._styles.get((role, selected))
        if style is None:
            style = self.rich_style + self._component(role)
            if selected:
                style += self._component("selected")
            self._styles[role, selected] = style
        return style

    def _component(self, name: str) -> Style:
        return self.get_component_rich_style(f"{_COMPONENT}{name}", partial=True)

    def _bar(self, y: int) -> str:
        if not self._thumb:
            return "text"
        return "thumb" if y in self._thumb else "track"


def _piece_at(line: Line, x: int) -> Piece | None:
    for piece in line.pieces:
        x -= cells(piece.text)
        if x < 0:
            return piece
    return None
