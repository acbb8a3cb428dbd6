"""A screen as small as can be: what a terminal shows of what the client writes."""

from __future__ import annotations

import re

from securechat.client.lines.line_editor import display_width

_PIECE = re.compile(r"\x1b\[(\d*)([A-Za-z])|(.)", re.DOTALL)


class Screen:
    """Knows CR, LF, backspace, erase to the end of the line and cursor left; refuses all else."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = [[]]
        self.column = 0

    def write(self, text: str) -> None:
        for match in _PIECE.finditer(text):
            number, command, character = match.groups()
            line = self.lines[-1]
            if command == "K":
                del line[self.column :]
            elif command == "D":
                self.column -= int(number)
            elif command:
                raise AssertionError(f"unexpected escape sequence: {match[0]!r}")
            elif character == "\r":
                self.column = 0
            elif character == "\n":
                self.lines.append([])
                self.column = 0
            elif character == "\b":
                self.column -= 1
            else:
                width = display_width(character)
                if width == 0:  # combines with what is before it
                    line[self.column - 1] += character
                    continue
                assert character.isprintable(), f"unexpected control character: {character!r}"
                line += " " * (self.column - len(line))
                line[self.column : self.column + width] = [character] + [""] * (width - 1)
                self.column += width
            assert self.column >= 0

    @property
    def text(self) -> list[str]:
        """The lines, without spaces at their ends."""
        return ["".join(line).rstrip() for line in self.lines]

    @property
    def last(self) -> str:
        return self.text[-1]
