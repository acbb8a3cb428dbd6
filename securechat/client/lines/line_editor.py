"""A line editor without a terminal: keys in as bytes, lines out; and how to draw what is typed.

``Editor`` knows the text, what it is typed for, the cursor and the history. ``View`` returns the
characters that bring a screen up to date. On a dumb terminal it uses CR, backspace and spaces and
no escape sequence.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["HISTORY_LINES", "LINE_CHARACTERS", "Editor", "View", "display_width", "fit"]

HISTORY_LINES: Final = 500
"""Most lines kept for the up key; the oldest go first."""

LINE_CHARACTERS: Final = 10_000
"""Longest line that can be typed or pasted; more is ignored: nobody edits that in one line."""

_TEXT_COLUMNS: Final = 20
"""Columns that a long prompt leaves to the text, where the screen is wide enough."""

_ESCAPE_BYTES: Final = 32
"""Longest escape sequence of a key; what goes on without an end is none."""

_SEQUENCE: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|[^\x1b\[O])")
_PLAIN: Final = re.compile(rb"[^\x00-\x1f\x7f]+")

_Action = Callable[["Editor"], None]


class Editor:
    """The line being typed. Owned by the terminal's thread."""

    def __init__(self) -> None:
        self.secret = False  # what is typed is not shown
        self._question: object | None = None  # what the text is an answer to; None: the chat
        self._set_aside: tuple[list[str], int] = ([], 0)  # of the chat, while a question is open
        self._text: list[str] = []
        self._cursor = 0
        self._history: list[str] = []
        self._position = 0  # in the history; its length: the line being typed
        self._draft = ""
        self._pending = b""  # the start of an escape sequence
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._submitted: str | None = None
        self._after_return = False
        self.left = False  # the user has asked to leave (Ctrl-D on an empty line)

    @property
    def text(self) -> str:
        """What has been typed."""
        return "".join(self._text)

    @property
    def cursor(self) -> int:
        """Where the cursor is, in characters from the start."""
        return self._cursor

    def attend(self, question: object | None, *, secret: bool) -> None:
        """What is typed from now on answers ``question``; ``None`` is the chat.

        A text belongs to what it was typed for: half an answer is dropped with its question, a
        draft of the chat is set aside and comes back. Answers are not remembered, nor is anything
        recalled into one.
        """
        self.secret = secret
        if question is self._question:
            return
        if self._question is None:
            self._set_aside = (self._text, self._cursor)
        self._question = question
        self._text, self._cursor = ([], 0) if question is not None else self._set_aside

    def feed(self, data: bytes) -> Iterator[str]:
        """Take what the keyboard sends; yield each line that it completes, before the next is read.

        In between the caller may ``attend`` to something else. What is not iterated is not read.
        """
        data, self._pending = self._pending + data, b""
        position = 0
        while position < len(data):
            plain = _PLAIN.match(data, position)
            if plain:
                self._insert(self._decoder.decode(plain[0]))
                position = plain.end()
                continue
            self._decoder.reset()
            if data[position] != 0x1B:
                self._control(data[position])
                position += 1
                if self._submitted is not None:
                    line, self._submitted = self._submitted, None
                    yield line
                continue
            sequence = _SEQUENCE.match(data, position)
            if sequence:
                _perform(self, _SEQUENCES.get(sequence[0]))
                position = sequence.end()
            elif data.startswith(b"\x1b\x1b", position) or len(data) - position > _ESCAPE_BYTES:
                position += 1
            else:
                self._pending = data[position:]
                break

    def _control(self, byte: int) -> None:
        if byte == 0x0A and self._after_return:  # CR LF is one end of line
            self._after_return = False
            return
        self._after_return = byte == 0x0D
        _perform(self, _CONTROLS.get(byte))

    def _insert(self, characters: str) -> None:
        self._after_return = False
        room = LINE_CHARACTERS - len(self._text)
        # A pasted U+009B would be an escape sequence when it is drawn.
        new = [c for c in characters if unicodedata.category(c) not in ("Cc", "Zl", "Zp")][:room]
        self._text[self._cursor : self._cursor] = new
        self._cursor += len(new)

    def set_text(self, text: str) -> None:
        """Replace what has been typed; the cursor goes to its end."""
        self._text = list(text)
        self._cursor = len(self._text)

    # ---- keys ----

    def _submit(self) -> None:
        self._submitted = self.text
        if self._question is None:
            self._remember(self._submitted)
        self.set_text("")

    def _remember(self, text: str) -> None:
        if text and self._history[-1:] != [text]:
            self._history.append(text)
            del self._history[:-HISTORY_LINES]
        self._position = len(self._history)
        self._draft = ""

    def _left(self) -> None:
        self._cursor = self._step_back(self._cursor)

    def _right(self) -> None:
        self._cursor = self._step_forward(self._cursor)

    def _home(self) -> None:
        self._cursor = 0

    def _end(self) -> None:
        self._cursor = len(self._text)

    def _backspace(self) -> None:
        start = self._step_back(self._cursor)
        del self._text[start : self._cursor]
        self._cursor = start

    def _delete(self) -> None:
        del self._text[self._cursor : self._step_forward(self._cursor)]

    def _delete_or_leave(self) -> None:
        if self._text:
            self._delete()
        else:
            self.left = True

    def _cut_before(self) -> None:
        del self._text[: self._cursor]
        self._cursor = 0

    def _cut_after(self) -> None:
        del self._text[self._cursor :]

    def _cut_word(self) -> None:
        start = self._word_start()
        del self._text[start : self._cursor]
        self._cursor = start

    def _word_left(self) -> None:
        self._cursor = self._word_start()

    def _word_right(self) -> None:
        while self._cursor < len(self._text) and self._text[self._cursor] == " ":
            self._cursor += 1
        while self._cursor < len(self._text) and self._text[self._cursor] != " ":
            self._cursor += 1

    def _word_start(self) -> int:
        start = self._cursor
        while start and self._text[start - 1] == " ":
            start -= 1
        while start and self._text[start - 1] != " ":
            start -= 1
        return start

    def _older(self) -> None:
        self._recall(self._position - 1)

    def _newer(self) -> None:
        self._recall(self._position + 1)

    def _recall(self, position: int) -> None:
        if self._question is not None or not 0 <= position <= len(self._history):
            return
        if self._position == len(self._history):
            self._draft = self.text
        self._position = position
        last = position == len(self._history)
        self.set_text(self._draft if last else self._history[position])

    def _tab(self) -> None:
        self._insert(" ")

    # A character is stepped over together with the marks that combine with it.

    def _step_back(self, index: int) -> int:
        index = max(0, index - 1)
        while index and display_width(self._text[index]) == 0:
            index -= 1
        return index

    def _step_forward(self, index: int) -> int:
        index = min(len(self._text), index + 1)
        while index < len(self._text) and display_width(self._text[index]) == 0:
            index += 1
        return index


def _perform(editor: Editor, action: _Action | None) -> None:
    if action is not None:
        action(editor)


_CONTROLS: Final[dict[int, _Action]] = {
    0x01: Editor._home,  # Ctrl-A
    0x02: Editor._left,  # Ctrl-B
    0x04: Editor._delete_or_leave,  # Ctrl-D
    0x05: Editor._end,  # Ctrl-E
    0x06: Editor._right,  # Ctrl-F
    0x08: Editor._backspace,
    0x09: Editor._tab,
    0x0A: Editor._submit,
    0x0B: Editor._cut_after,  # Ctrl-K
    0x0D: Editor._submit,
    0x0E: Editor._newer,  # Ctrl-N
    0x10: Editor._older,  # Ctrl-P
    0x15: Editor._cut_before,  # Ctrl-U
    0x17: Editor._cut_word,  # Ctrl-W
    0x7F: Editor._backspace,
}
_SEQUENCES: Final[dict[bytes, _Action]] = {
    b"\x1b[A": Editor._older,
    b"\x1bOA": Editor._older,
    b"\x1b[B": Editor._newer,
    b"\x1bOB": Editor._newer,
    b"\x1b[C": Editor._right,
    b"\x1bOC": Editor._right,
    b"\x1b[D": Editor._left,
    b"\x1bOD": Editor._left,
    b"\x1b[H": Editor._home,
    b"\x1bOH": Editor._home,
    b"\x1b[1~": Editor._home,
    b"\x1b[7~": Editor._home,
    b"\x1b[F": Editor._end,
    b"\x1bOF": Editor._end,
    b"\x1b[4~": Editor._end,
    b"\x1b[8~": Editor._end,
    b"\x1b[3~": Editor._delete,
    b"\x1b[1;5D": Editor._word_left,  # Ctrl-left
    b"\x1b[1;5C": Editor._word_right,
    b"\x1bb": Editor._word_left,  # Alt-b
    b"\x1bf": Editor._word_right,
}


def display_width(text: str) -> int:
    """Return how many columns ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    width = 0
    for character in text:
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


class View:
    """What of a line is on the screen. Owned by the terminal's thread.

    :param ansi: whether the terminal understands escape sequences.
    """

    def __init__(self, *, ansi: bool) -> None:
        self._ansi = ansi
        self._shown = ""  # the last line of the screen, from its left edge
        self._column = 0  # of the cursor
        self._start = 0  # the first character of the text that is visible

    def draw(self, prompt: str, editor: Editor, columns: int) -> str:
        """Return what shows ``prompt`` and the text of ``editor``, scrolled to the cursor."""
        prompt = fit(prompt, max(columns // 2, columns - _TEXT_COLUMNS))
        visible, before = ("", "") if editor.secret else self._window(prompt, editor, columns)
        line = prompt + visible
        column = display_width(prompt + before)
        if (
            line.startswith(self._shown)
            and self._column == display_width(self._shown)
            and column == display_width(line)
        ):
            out = line[len(self._shown) :]  # typing at the end: nothing else need be touched
        else:
            out = "\r" + line + self._clear_rest(line) + self._back(display_width(line) - column)
        self._shown = line
        self._column = column
        return out

    def erase(self) -> str:
        """Return what empties the line and leaves the cursor at its start."""
        if not self._shown:
            return ""
        out = "\r" + self._clear_rest("") + ("" if self._ansi else "\r")
        self._shown = ""
        self._column = 0
        return out

    def _window(self, prompt: str, editor: Editor, columns: int) -> tuple[str, str]:
        room = max(2, columns - 1 - display_width(prompt))  # the last column would wrap
        text, cursor = editor.text, editor.cursor
        self._start = min(self._start, cursor)
        while display_width(text[self._start : cursor]) > room:
            self._start += 1
        if display_width(text) <= room:
            self._start = 0
        return fit(text[self._start :], room), text[self._start : cursor]

    def _clear_rest(self, line: str) -> str:
        if self._ansi:
            return "\x1b[K"
        surplus = max(0, display_width(self._shown) - display_width(line))
        return " " * surplus + "\b" * surplus

    def _back(self, columns: int) -> str:
        if not columns:
            return ""
        return f"\x1b[{columns}D" if self._ansi else "\b" * columns


def fit(text: str, columns: int) -> str:
    """Return as much of the beginning of ``text`` as fits so many columns."""
    if display_width(text) <= columns:
        return text
    used = 0
    for index, character in enumerate(text):
        used += display_width(character)
        if used > columns:
            return text[:index]
    return text
