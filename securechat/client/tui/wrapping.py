"""Breaking text into lines of terminal cells.

Widths are those of Rich, which Textual draws by: wide characters have two cells, what is combined
with another character or joined to it has none. Such a group is never taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len, split_graphemes

__all__ = ["ELLIPSIS", "cells", "fit", "wrap"]

ELLIPSIS: Final = "…"

_WORD: Final = re.compile(r" *([^ ]+)")


def cells(text: str) -> int:
    """Return how wide ``text`` is."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int) -> str:
    """Return ``text``, cut to ``width`` cells (at least one) with an ellipsis if it is wider."""
    if cells(text) <= width:
        return text
    room = width - 1
    for start, _end, wide in _graphemes(text):
        room -= wide
        if room < 0:
            return text[:start].rstrip() + ELLIPSIS
    return text


def wrap(text: str, width: int, indent: int = 0) -> list[tuple[int, int]]:
    """Return where each line starts and ends in ``text``; there is at least one.

    Lines break at line feeds and between words, and within a word that no line can hold. The blanks
    at a break or end are in no line; others stay. A character wider than ``width`` stands out.

    :param width: of a line in cells, at least one.
    :param indent: by how much all lines but the first are narrower.
    """
    lines: list[tuple[int, int]] = []
    start = 0
    for part in text.split("\n"):
        _wrap_part(text, start, start + len(part), lines, (width, max(width - indent, 1)))
        start += len(part) + 1
    return lines


def _wrap_part(
    text: str,
    start: int,
    end: int,
    lines: list[tuple[int, int]],
    widths: tuple[int, int],
) -> None:
    """Add the lines of what has no line feed; ``widths`` is of the first line, and of others."""
    line, reach, used = start, start, 0  # start of the line, end of its last word, cells between
    for match in _WORD.finditer(text, start, end):
        width = cells(match.group())
        if used + width <= widths[bool(lines)]:
            reach, used = match.end(), used + width
            continue
        if reach > line:
            lines.append((line, reach))
        line, used = match.start(1), 0
        for first, _last, wide in _graphemes(match.group(1)):
            at = match.start(1) + first
            if used + wide > widths[bool(lines)] and at > line:
                lines.append((line, at))
                line, used = at, 0
            used += wide
        reach = match.end()
    lines.append((line, reach))


def _graphemes(text: str) -> Iterable[tuple[int, int, int]]:
    """Return start, end and cells of each character with what is combined with it."""
    if text.isascii():
        return ((index, index + 1, 1) for index in range(len(text)))
    return split_graphemes(text)[0]
