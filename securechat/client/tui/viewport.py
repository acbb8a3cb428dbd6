"""Which lines of a buffer are in view.

A viewport holds on to an entry, not to a number of lines from somewhere: either it is at the end,
and stays there whatever comes, or it keeps the line at its top where it is, whatever comes before
or after. So it never lays out an entry that is not shown, and nothing jumps::

    position 70   ┄ first line of an entry     above the view
    position 70   ┌ second line                ← the anchor: (70, 1)
    position 71   │ …
    position 71   └ …                          at the end if nothing follows

The lines of a position are numbered from the first one of the entry, 0. What stands above that (the
day, the line between old and new) has negative numbers: it is there because of what the neighbours
are, and goes when they change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from securechat.client.chat.buffers import Buffer, Entry
from securechat.client.tui.dates import day_words
from securechat.client.tui.layout import Layout, Line
from securechat.client.words.translation import _

__all__ = ["BLANK", "Row", "Viewport"]

BLANK: Final = Line(())
"""What stands above a conversation that is shorter than the view."""


class Row(NamedTuple):
    """A line in view. ``entry`` is what it belongs to, ``None`` for what stands between entries."""

    line: Line
    entry: Entry | None = None


class _Cursor(NamedTuple):
    position: int
    line: int


class _Block(NamedTuple):
    """What is shown for one position."""

    above: tuple[Line, ...]
    entry: Entry
    lines: tuple[Line, ...]
    below: tuple[Line, ...]

    @property
    def first(self) -> int:
        return -len(self.above)

    @property
    def last(self) -> int:
        return len(self.lines) + len(self.below) - 1

    def row(self, line: int) -> Row:
        if line < 0:
            return Row(self.above[line])
        if line < len(self.lines):
            return Row(self.lines[line], self.entry)
        return Row(self.below[line - len(self.lines)])


@dataclass(slots=True)
class _Place:
    """A line of an entry, and where that was found last."""

    entry: Entry
    position: int
    line: int = 0


class Viewport:
    """A view of a buffer, and of others before. Owned by the user interface's thread.

    :param clock: the local time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._buffer: Buffer | None = None
        self._layout: Layout | None = None
        self._height = 0
        self._anchors: dict[Buffer, _Place] = {}  # none: at the end
        self._selected: _Place | None = None

    # ---- what is shown ----

    @property
    def buffer(self) -> Buffer | None:
        """What is shown."""
        return self._buffer

    def show(self, buffer: Buffer | None) -> None:
        """Show ``buffer`` where it was left; nothing is selected then."""
        self._buffer = buffer
        self._selected = None

    def forget(self, buffer: Buffer) -> None:
        """Do not remember where ``buffer`` was left."""
        self._anchors.pop(buffer, None)

    def arrange(self, layout: Layout, height: int) -> None:
        """Show so many lines from now on, laid out like that."""
        self._layout, self._height = layout, height

    def rows(self) -> list[Row]:
        """Return the lines in view, as many as its height."""
        buffer = self._buffer
        if buffer is None or self._layout is None:
            rows = []
        elif not buffer.entries:
            rows = [Row(line) for line in (*self._start(buffer), *self._end(buffer))]
        else:
            rows = list(islice(self._rows_from(buffer, self._top(buffer)), self._height))
        return [Row(BLANK)] * (self._height - len(rows)) + rows[: self._height]

    def thumb(self) -> range:
        """Return which lines of a scrollbar stand for what is in view, by entries; none if that is
        all.
        """
        buffer = self._shown()
        if buffer is None:
            return range(0)
        top = self._top(buffer)
        bottom = self._walk(buffer, top, self._height - 1)
        count, visible = len(buffer.entries), bottom.position - top.position + 1
        if visible >= count:
            return range(0)
        size = max(self._height * visible // count, 1)
        start = (self._height - size) * (top.position - buffer.base) // (count - visible)
        return range(start, start + size)

    @property
    def at_end(self) -> bool:
        """Whether the end of the conversation is in view, and stays there."""
        buffer = self._buffer
        return buffer is not None and buffer.live and buffer not in self._anchors

    def near_start(self) -> bool:
        """Whether there is less than a screen of entries above."""
        buffer = self._shown()
        return buffer is None or self._top(buffer).position - buffer.base < self._height

    def near_end(self) -> bool:
        """Whether there is less than a screen of entries below."""
        buffer = self._shown()
        if buffer is None:
            return True
        bottom = self._walk(buffer, self._top(buffer), self._height - 1)
        return buffer.end - bottom.position <= self._height

    # ---- moving ----

    def scroll(self, lines: int) -> None:
        """Go so many lines down, or up where that is negative."""
        buffer = self._shown()
        if buffer is not None:
            self._keep(buffer, self._walk(buffer, self._top(buffer), lines))

    def to_start(self) -> None:
        """Go to the first line there is."""
        buffer = self._shown()
        if buffer is not None:
            self._keep(buffer, _Cursor(buffer.base, self._block(buffer, buffer.base).first))

    def to_end(self) -> None:
        """Go to the last line there is."""
        if self._buffer is not None:
            self.forget(self._buffer)

    def jump(self, row: int) -> None:
        """Go to where a row of a scrollbar stands for."""
        buffer = self._shown()
        if buffer is None:
            return
        if row <= 0:
            self.to_start()
        elif row >= self._height - 1:
            self.to_end()
        else:
            position = buffer.base + len(buffer.entries) * row // self._height
            self._keep(buffer, _Cursor(position, 0))

    # ---- selecting ----

    @property
    def selected(self) -> Entry | None:
        """The entry that is selected; ``None`` also if it is no longer in the buffer."""
        position = self._selected_position()
        return None if position is None or self._selected is None else self._selected.entry

    def select(self, entry: Entry | None) -> None:
        """Select ``entry``, wherever it is."""
        position = None
        if self._buffer is not None and entry is not None:
            position = self._buffer.position_of(entry)
        self._selected = None
        if entry is not None and position is not None:
            self._selected = _Place(entry, position)

    def select_next(self, step: int) -> None:
        """Select the entry that is ``step`` further down, and bring it into view.

        The first one is that at the bottom of the view.
        """
        buffer = self._shown()
        if buffer is None:
            return
        position = self._selected_position()
        if position is None:
            position = self._walk(buffer, self._top(buffer), self._height - 1).position
        else:
            position = min(max(position + step, buffer.base), buffer.end - 1)
        self._selected = _Place(buffer.at(position), position)
        self._bring_into_view(buffer, position)

    def reveal(self, entry: Entry) -> bool:
        """Bring ``entry`` into view and select it; false if it is not in the buffer."""
        buffer = self._buffer
        position = buffer.position_of(entry) if buffer is not None else None
        if buffer is None or position is None:
            return False
        self._selected = _Place(entry, position)
        if not any(row.entry is entry for row in self.rows()):
            # With some of what was said before.
            self._keep(buffer, _Cursor(position, 0))
            self.scroll(-(self._height // 3))
        else:
            self._bring_into_view(buffer, position)
        return True

    def _selected_position(self) -> int | None:
        if self._buffer is None or self._selected is None:
            return None
        position = _locate(self._buffer, self._selected)
        if position is None:
            self._selected = None
        else:
            self._selected.position = position
        return position

    def _bring_into_view(self, buffer: Buffer, position: int) -> None:
        """Go no further than needed to see the whole entry, or its start if it is too long."""
        block = self._block(buffer, position)
        first = _Cursor(position, block.first if position == buffer.base else 0)
        last = _Cursor(position, block.last)
        top = self._top(buffer)
        if last > self._walk(buffer, top, self._height - 1):
            top = self._walk(buffer, last, 1 - self._height)
        self._keep(buffer, min(top, first))

    # ---- where things are ----

    def _shown(self) -> Buffer | None:
        """Return the buffer, if there is something to see of it."""
        buffer = self._buffer
        if buffer is None or self._layout is None or not self._height or not buffer.entries:
            return None
        return buffer

    def _top(self, buffer: Buffer) -> _Cursor:
        """Return what stands at the top now, and hold on to it."""
        end = _Cursor(buffer.end - 1, self._block(buffer, buffer.end - 1).last)
        place = self._anchors.get(buffer)
        if place is not None:
            top = self._found(buffer, place)
            if self._walk(buffer, top, self._height - 1) != end:
                self._keep(buffer, top)
                return top
        top = self._walk(buffer, end, 1 - self._height)
        if buffer.live:
            self.forget(buffer)
        else:
            self._keep(buffer, top)  # what comes is not the present: it is not followed
        return top

    def _found(self, buffer: Buffer, place: _Place) -> _Cursor:
        position = _locate(buffer, place)
        if position is None:  # dropped: what stands nearest
            return _Cursor(min(max(place.position, buffer.base), buffer.end - 1), 0)
        line = min(place.line, self._block(buffer, position).last)
        return self._walk(buffer, _Cursor(position, line), 0)

    def _keep(self, buffer: Buffer, top: _Cursor) -> None:
        self._anchors[buffer] = _Place(buffer.at(top.position), top.position, top.line)

    def _walk(self, buffer: Buffer, cursor: _Cursor, lines: int) -> _Cursor:
        """Return what is so many lines down (negative: up), or the last (first) line there is."""
        position, line = cursor.position, cursor.line + lines
        block = self._block(buffer, position)
        while line > block.last and position + 1 < buffer.end:
            line -= block.last + 1
            position += 1
            block = self._block(buffer, position)
            line += block.first
        while line < block.first and position > buffer.base:
            line -= block.first
            position -= 1
            block = self._block(buffer, position)
            line += block.last + 1
        return _Cursor(position, min(max(line, block.first), block.last))

    def _rows_from(self, buffer: Buffer, top: _Cursor) -> Iterator[Row]:
        for position in range(top.position, buffer.end):
            block = self._block(buffer, position)
            start = top.line if position == top.position else block.first
            yield from (block.row(line) for line in range(start, block.last + 1))

    # ---- what is shown for a position ----

    def _block(self, buffer: Buffer, position: int) -> _Block:
        assert self._layout is not None
        entry = buffer.at(position)
        answered = buffer.find(entry.reply_to) if entry.reply_to is not None else None
        return _Block(
            above=tuple(self._above(buffer, position, entry)),
            entry=entry,
            lines=self._layout.lines(entry, answered),
            below=self._end(buffer) if position == buffer.end - 1 else (),
        )

    def _above(self, buffer: Buffer, position: int, entry: Entry) -> Iterator[Line]:
        assert self._layout is not None
        day = entry.time.astimezone().date()
        first = position == buffer.base
        if first:
            yield from self._start(buffer)
        if first or buffer.at(position - 1).time.astimezone().date() != day:
            yield self._layout.rule(day_words(day, self._clock().astimezone().date()), "day")
        if _is_first_new(buffer, position):
            yield self._layout.rule(_("new"), "new")

    def _start(self, buffer: Buffer) -> tuple[Line, ...]:
        """Return what stands above the first entry."""
        assert self._layout is not None
        if buffer.reaches_start:
            return (self._layout.rule(_("beginning of the conversation"), "edge"),)
        if buffer.loading in ("older", "around"):
            return (self._layout.rule(_("loading older messages…"), "edge"),)
        return ()

    def _end(self, buffer: Buffer) -> tuple[Line, ...]:
        """Return what stands below the last entry."""
        assert self._layout is not None
        if buffer.live:
            return ()
        if buffer.loading == "newer":
            return (self._layout.rule(_("loading newer messages…"), "edge"),)
        return (self._layout.rule(_("you are in the past: End goes to the present"), "edge"),)


def _locate(buffer: Buffer, place: _Place) -> int | None:
    """Return the position of the entry; ``None`` if it is no longer in the buffer."""
    position = place.position
    if buffer.base <= position < buffer.end and buffer.at(position) is place.entry:
        return position
    return buffer.position_of(place.entry)


def _is_first_new(buffer: Buffer, position: int) -> bool:
    """Whether this is the first text of others after ``line_at``."""
    if buffer.line_at is None or not _is_new(buffer.at(position), buffer.line_at):
        return False
    for before in range(position - 1, buffer.base - 1, -1):
        entry = buffer.at(before)
        if entry.time <= buffer.line_at:
            return True
        if _is_new(entry, buffer.line_at):
            return False
    return True


def _is_new(entry: Entry, since: datetime) -> bool:
    return entry.is_text and not entry.own and entry.time > since
