"""A list of rows, one line each, of which one is chosen: the base of both side panes.

Only the rows that are visible are drawn, so thousands cost no more than a few. All is owned by
Textual's thread.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, Final, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

__all__ = ["RowList", "shorten", "spread"]

Row = TypeVar("Row")

_ELLIPSIS: Final = "…"

_MARGIN: Final = 1
"""Rows that are visible beyond the one that is gone to, so that one sees that there are more."""


class RowList(ScrollView, Generic[Row], can_focus=True):
    """Shows rows. Choose one by a click, or by the arrow keys and Enter.

    A click does not take the focus: it stays where the user types. The cursor of the keys is shown
    while the list has the focus; it stays on what its row stands for when the rows change.

    For subclasses: say ``set_rows``, and override the four methods below "what a row is".
    """

    ALLOW_SELECT = False
    FOCUS_ON_CLICK = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move_page(-1)", show=False),
        Binding("pagedown", "move_page(1)", show=False),
        Binding("home", "move_to_end(-1)", show=False),
        Binding("end", "move_to_end(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--cursor", "row-list--hover"}

    DEFAULT_CSS = """
    RowList {
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        & > .row-list--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        & > .row-list--hover {
            text-style: underline;
        }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[Row] = ()
        self._cursor: int | None = None  # the index of a row that can be chosen
        self._hover: int | None = None

    # ---- what a row is ----

    def draw(self, row: Row, width: int) -> list[Segment]:
        """Return how ``row`` looks in ``width`` columns; what is missing is filled up with blanks.

        What comes from others must be safe.
        """
        raise NotImplementedError

    def key_of(self, row: Row) -> Hashable | None:
        """Return what ``row`` stands for, one of a kind; ``None`` if it cannot be chosen."""
        raise NotImplementedError

    def choose(self, row: Row) -> None:
        """The user has chosen ``row``."""
        raise NotImplementedError

    def describe(self, row: Row) -> str:
        """Return what the tooltip of ``row`` says, in safe text; empty: there is none."""
        return ""

    # ---- rows ----

    @property
    def rows(self) -> Sequence[Row]:
        """The rows as they are shown, from the top."""
        return self._rows

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show ``rows`` from now on. The place in them stays, and so does the cursor.

        It costs little if they are equal to those before.
        """
        if rows == self._rows:
            return
        under_cursor = self._key_at(self._cursor)
        self._rows = rows
        self._cursor = self._index_of(under_cursor)
        self.virtual_size = Size(0, len(rows))
        self._set_hover(self._hover)
        if self.has_focus:
            self._have_cursor()
        self.refresh()

    def reveal(self, key: Hashable) -> None:
        """Scroll as far as it takes to see the row that stands for ``key``, if there is one.

        It happens after the next refresh, when the list has its height.
        """

        def scroll() -> None:
            index = self._index_of(key)
            if index is not None:
                self._reveal(index)

        self.call_after_refresh(scroll)

    def _index_of(self, key: Hashable | None) -> int | None:
        if key is None:
            return None
        return next((i for i, row in enumerate(self._rows) if self.key_of(row) == key), None)

    def _key_at(self, index: int | None) -> Hashable | None:
        if index is None or not 0 <= index < len(self._rows):
            return None
        return self.key_of(self._rows[index])

    def _reveal(self, index: int) -> None:
        height = self.scrollable_content_region.height
        first = max(0, index - _MARGIN)
        last = min(len(self._rows) - 1, index + _MARGIN)
        if first < self.scroll_offset.y:
            self.scroll_to(y=first, animate=False)
        elif last >= self.scroll_offset.y + height:
            self.scroll_to(y=last - height + 1, animate=False)

    # ---- drawing ----

    def render_line(self, y: int) -> Strip:
        """Return a line of the part that is visible."""
        width = self.scrollable_content_region.width
        index = self.scroll_offset.y + y
        if index >= len(self._rows):
            return Strip.blank(width, self.visual_style.rich_style)
        strip = Strip(self.draw(self._rows[index], width)).adjust_cell_length(width)
        if index == self._cursor and self.has_focus:
            strip = strip.apply_style(self.part("row-list--cursor"))
        elif index == self._hover:
            strip = strip.apply_style(self.part("row-list--hover"))
        return strip.apply_style(self.visual_style.rich_style)

    def part(self, *names: str) -> Style:
        """Return the style of a component, without what is behind it; of several, all together."""
        style = Style.null()
        for name in names:
            style += self.get_component_rich_style(name, partial=True)
        return style

    # ---- the mouse ----

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show what a click would choose."""
        index = self._index_under(event)
        if index != self._hover:
            self._set_hover(index)

    def on_leave(self, event: events.Leave) -> None:
        """The mouse is somewhere else."""
        self._set_hover(None)

    def on_click(self, event: events.Click) -> None:
        """Choose the row under the mouse."""
        index = self._index_under(event)
        if event.button == 1 and index is not None and self._key_at(index) is not None:
            event.stop()
            self._set_cursor(index)
            self.choose(self._rows[index])

    def _index_under(self, event: events.MouseEvent) -> int | None:
        place = event.get_content_offset(self)
        index = self.scroll_offset.y + place.y if place is not None else len(self._rows)
        return index if index < len(self._rows) else None

    def _set_hover(self, index: int | None) -> None:
        if self._key_at(index) is None:
            index = None
        self._refresh_row(self._hover)
        self._refresh_row(index)
        self._hover = index
        text = self.describe(self._rows[index]) if index is not None else ""
        self.tooltip = Content(text) if text else None

    # ---- the keys ----

    def on_focus(self) -> None:
        """Have a cursor where the keys go."""
        self._have_cursor()

    def move_to(self, key: Hashable) -> None:
        """Move the cursor to the row that stands for ``key``, if there is one."""
        index = self._index_of(key)
        if index is not None:
            self._move_from(index, 1)

    def action_move(self, step: int) -> None:
        """Move the cursor to the next row, or the one before."""
        start = self._cursor if self._cursor is not None else -1
        self._move_from(start + step, step)

    def action_move_page(self, step: int) -> None:
        """Move the cursor by what is visible at once."""
        start = self._cursor if self._cursor is not None else 0
        page = max(1, self.scrollable_content_region.height - _MARGIN)
        goal = min(max(0, start + step * page), len(self._rows) - 1)
        if not self._move_from(goal, step):
            self._move_from(goal, -step)

    def action_move_to_end(self, step: int) -> None:
        """Move the cursor to the first row, or the last."""
        self._move_from(0 if step < 0 else len(self._rows) - 1, -step)

    def action_choose(self) -> None:
        """Choose the row under the cursor."""
        if self._cursor is not None:
            self.choose(self._rows[self._cursor])

    def _move_from(self, index: int, step: int) -> bool:
        """Move the cursor to ``index``, or the next in that direction that can be chosen."""
        while 0 <= index < len(self._rows):
            if self._key_at(index) is not None:
                self._set_cursor(index)
                self._reveal(index)
                return True
            index += step
        return False

    def _have_cursor(self) -> None:
        if self._cursor is None:
            self.action_move_to_end(-1)

    def _set_cursor(self, index: int) -> None:
        self._refresh_row(self._cursor)
        self._refresh_row(index)
        self._cursor = index

    def _refresh_row(self, index: int | None) -> None:
        if index is not None:
            self.refresh_line(index)


def shorten(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` columns; what is cut off shows as an ellipsis."""
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return _ELLIPSIS[:width]
    return set_cell_size(text, width - 1).rstrip() + _ELLIPSIS


def spread(
    left: Sequence[Segment], title: Segment, right: Sequence[Segment], width: int
) -> list[Segment]:
    """Return the segments with ``right`` at the right of ``width`` columns.

    It is the title that is cut where there is not enough room.
    """
    room = max(1, width - sum(segment.cell_length for segment in (*left, *right)))
    text = shorten(title.text, room)
    blanks = Segment(" " * (room - cell_len(text)))
    return [*left, Segment(text, title.style), blanks, *right]
