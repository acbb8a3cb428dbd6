"""Where texts are written: an input of several lines with history, completion and a guard for what
is pasted.

``Composer`` shows, from top to bottom: the list of candidates (over what is above), what is
replied to, a note about what was pasted, and where we are with the input. It knows neither rooms
nor people: a ``Completer`` does.

All keys of the input are handled where they arrive, in order. Textual's bindings would be run
later, behind keys that were typed after them if several come at once, as over a slow connection.

What is pasted never sends itself, as long as the terminal marks what is pasted (*bracketed paste*,
which Textual turns on and all common terminals know). From one that does not, a pasted text looks
like typing, and each of its lines is sent: nothing tells the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static, TextArea

from securechat.client.chat.completion import Candidate, Completer, Completion
from securechat.client.words.translation import _, ngettext

__all__ = [
    "HISTORY_LIMIT",
    "INPUT_LINES",
    "PASTE_BYTES_LIMIT",
    "PASTE_LINES_FREE",
    "PASTE_LINES_LIMIT",
    "POPUP_LINES",
    "Composer",
]

INPUT_LINES: Final = 6
"""Most lines of the screen that the input takes; a longer text scrolls."""

POPUP_LINES: Final = 8
"""Most candidates that are shown at once."""

HISTORY_LIMIT: Final = 500
"""Most texts kept for the up key; the oldest go first."""

PASTE_LINES_FREE: Final = 1
"""What is pasted with more lines comes with a note that says what Enter will do."""

PASTE_LINES_LIMIT: Final = 32
"""What is pasted with more lines is asked about first. The relay takes as many in one message,
unless it is set up otherwise; beyond, each line becomes a message."""

PASTE_BYTES_LIMIT: Final = 4_096
"""Likewise the longest that may be pasted without a question, in bytes of UTF-8."""

_HINT_GAP: Final = 2
_LABEL_CELLS: Final = 36
"""The hints of candidates stand below each other, unless a label is wider than this."""

_UNWANTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_END: Final = re.compile(r"\r\n|[\r\u2028\u2029]")

_JOINERS: Final = ("\u200c", "\u200d")
"""Not printable for Python, but typed in Persian, and parts of emoji."""

_Handler = Callable[[], bool]
"""Handles a key; false: it was none for it."""


class Composer(Vertical):
    """The line where texts are written. Owned by Textual's thread.

    :param completer: finds what Tab completes.
    """

    DEFAULT_CSS = """
    Composer {
        height: auto;
        background: $surface;
    }
    Composer > .composer--note {
        height: auto;
        padding: 0 1;
        color: $caution;
        text-style: bold;
    }
    Composer > .composer--line {
        height: auto;
    }
    Composer .composer--prompt {
        width: auto;
        max-width: 40%;
        height: 1;
        padding: 0 1;
        color: $muted;
        text-style: $muted-style;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    class Submitted(Message):
        """The user has sent ``text``, which has left the composer. It is not blank."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Edited(Message):
        """The user has changed the text, which is ``text`` now; not for what is sent or set."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class ReplyCancelled(Message):
        """The user does not want to reply any more."""

    class LargePaste(Message):
        """More was pasted than goes without a question. ``insert_text`` inserts it.

        ``text`` has ``lines`` lines and is without controls.
        """

        def __init__(self, text: str, lines: int) -> None:
            super().__init__()
            self.text = text
            self.lines = lines

    def __init__(self, completer: Completer) -> None:
        super().__init__()
        self._completer = completer
        self._history = _History()
        self._choice: _Choice | None = None  # while candidates are shown
        self._settled = ("", 0)  # the text and the cursor that all else here is about
        self._pasted = False  # several lines, which are still there
        self._replying = False
        self._popup = CandidateList(self._choose)
        self._reply = ReplyLine(self._end_reply)
        self._note = Static(classes="composer--note", markup=False)
        self._prompt = Static(classes="composer--prompt", markup=False)
        for part in (self._popup, self._reply, self._note):
            part.display = False
        keys: dict[str, _Handler] = {
            "enter": self._enter,
            "tab": self._tab,
            "shift+tab": self._shift_tab,
            "up": self._up,
            "down": self._down,
            "escape": self._escape,
        }
        self._input = ComposerInput(keys, self._follow, self._paste)

    def compose(self) -> ComposeResult:
        """Put the parts together."""
        yield from (self._popup, self._reply, self._note)
        with Horizontal(classes="composer--line"):
            yield self._prompt
            yield self._input

    # ---- for the app ----

    @property
    def replying(self) -> bool:
        """Whether the line that says what is replied to is shown."""
        return self._replying

    def focus(self, scroll_visible: bool = True) -> Self:
        """Let the user write."""
        self._input.focus(scroll_visible)
        return self

    def get_text(self) -> str:
        """Return what stands in the input."""
        return self._input.text

    def set_text(self, text: str) -> None:
        """Put ``text`` there, such as the draft for another conversation; the cursor at its end.

        Controls are left out. Nothing is posted.
        """
        self._history.leave()
        self._pasted = False
        self._input.load_text(_clean(text))
        self._input.move_cursor(self._input.document.end)
        self._settle()

    def insert_text(self, text: str) -> None:
        """Insert ``text``, whatever its size, as if it was pasted. Controls are left out."""
        text = _clean(text)
        self._pasted = self._pasted or _lines_of(text) > PASTE_LINES_FREE
        self._input.insert_here(text)
        self._follow()

    def set_prompt(self, prompt: str) -> None:
        """Show ``prompt``, which is safe, left of the input: where we are."""
        self._prompt.update(Content(prompt))

    def start_reply(self, nick: str, excerpt: str) -> None:
        """Show that what is written replies to that text; both are safe. It stays until
        ``cancel_reply``, also when something is sent, which may be a command.
        """
        shown = _("reply to {nick} (Esc cancels): {excerpt}", nick=nick, excerpt=_one_line(excerpt))
        self._reply.update(Content(shown))
        self._reply.display = self._replying = True

    def cancel_reply(self) -> None:
        """Take that away again. Nothing is posted."""
        self._reply.display = self._replying = False

    # ---- what happens ----

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Follow what was changed otherwise than by a key."""
        event.stop()
        self._follow()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Follow the mouse."""
        event.stop()
        self._follow()

    def on_click(self) -> None:
        """Let the user write after a click on anything here."""
        self.focus()

    def _follow(self) -> None:
        """Bring everything up to date with what stands in the input."""
        now = self._now()
        if now == self._settled:
            return
        edited = now[0] != self._settled[0]
        self._settle()
        if edited:
            self.post_message(self.Edited(now[0]))
            self._offer(self._completer.complete(*now, asked=False))

    def _settle(self) -> None:
        self._settled = self._now()
        self._close_popup()
        lines = _lines_of(self._settled[0])
        self._pasted = self._pasted and lines > PASTE_LINES_FREE
        self._note.display = self._pasted
        if self._pasted:
            self._note.update(Content(_describe_pasted(self._settled[0], lines)))

    def _now(self) -> tuple[str, int]:
        return self._input.text, self._input.cursor

    def _put(self, text: str, cursor: int) -> None:
        """Change the text for the user."""
        self._input.put(text, cursor)
        if text != self._settled[0]:
            self.post_message(self.Edited(text))
        self._settle()

    def _paste(self, pasted: str) -> None:
        text = _clean(pasted).rstrip("\n")  # whole lines are often copied with their end
        lines = _lines_of(text)
        if lines > PASTE_LINES_LIMIT or len(text.encode()) > PASTE_BYTES_LIMIT:
            self.post_message(self.LargePaste(text, lines))
        elif text:
            self.insert_text(text)

    # ---- keys ----

    def _enter(self) -> bool:
        if self._choice is not None and self._choice.entered:
            self._close_popup()
            return True
        text = self._input.text
        if text.strip():
            self._history.add(text)
            self.set_text("")
            self.post_message(self.Submitted(text))
        return True

    def _escape(self) -> bool:
        if self._choice is not None:
            self._put(*self._choice.before)
        elif self._pasted:
            self._input.kill_all()
            self._follow()
        elif self._replying:
            self._end_reply()
        else:
            return False
        return True

    def _up(self) -> bool:
        if self._choice is not None:
            self._choice.entered = True
            return self._step(-1)
        if not self._input.on_first_line:
            return False
        return self._recall(self._history.older(self._input.text))

    def _down(self) -> bool:
        if self._choice is not None:
            self._choice.entered = True
            return self._step(1)
        if not self._input.on_last_line:
            return False
        return self._recall(self._history.newer())

    def _recall(self, text: str | None) -> bool:
        if text is None:
            return False
        self._put(text, len(text))
        return True

    def _tab(self) -> bool:
        if not self._input.text:
            return False  # goes to the next widget
        if self._choice is None:
            self._offer(self._completer.complete(*self._now()))
        self._step(1)
        return True

    def _shift_tab(self) -> bool:
        return self._choice is not None and self._step(-1)

    def _end_reply(self) -> None:
        self.cancel_reply()
        self.post_message(self.ReplyCancelled())

    # ---- candidates ----

    def _offer(self, completion: Completion | None) -> None:
        if completion is not None and self._input.selection.is_empty:
            self._choice = _Choice(completion, self._now())
            self._popup.show(completion.candidates)

    def _step(self, step: int) -> bool:
        choice = self._choice
        if choice is None:
            return False
        count = len(choice.completion.candidates)
        first = 0 if step > 0 else count - 1
        self._take(first if choice.index is None else (choice.index + step) % count)
        return True

    def _take(self, index: int) -> None:
        """Put a candidate into the text; the list stays, if there are others."""
        choice = self._choice
        assert choice is not None
        self._put(*choice.with_candidate(index))
        if len(choice.completion.candidates) > 1:
            choice.index = index
            self._choice = choice
            self._popup.show(choice.completion.candidates, index)

    def _choose(self, index: int) -> None:
        self._take(index)
        self._close_popup()

    def _close_popup(self) -> None:
        self._choice = None
        self._popup.display = False


@dataclass(slots=True)
class _Choice:
    """Candidates that are shown, and which one stands in the text."""

    completion: Completion
    before: tuple[str, int]  # the text and the cursor without any
    index: int | None = None
    entered: bool = False  # the arrows are in the list: Enter leaves it, and sends nothing

    def with_candidate(self, index: int) -> tuple[str, int]:
        """Return the text and the cursor with one of them."""
        text, insert = self.before[0], self.completion.candidates[index].text
        start = self.completion.start
        return text[:start] + insert + text[self.completion.end :], start + len(insert)


class _History:
    """What was sent, for the up key; and what stood there before it was pressed."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._position = 0  # its length: not in the history
        self._draft = ""

    def add(self, text: str) -> None:
        if self._texts[-1:] != [text]:
            self._texts.append(text)
            del self._texts[:-HISTORY_LIMIT]
        self.leave()

    def leave(self) -> None:
        """What stands in the input is none of these."""
        self._position = len(self._texts)

    def older(self, current: str) -> str | None:
        if self._position == 0:
            return None
        if self._position == len(self._texts):
            self._draft = current
        self._position -= 1
        return self._texts[self._position]

    def newer(self) -> str | None:
        if self._position == len(self._texts):
            return None
        self._position += 1
        return self._draft if self._position == len(self._texts) else self._texts[self._position]


class ComposerInput(TextArea, inherit_bindings=False):
    """The text itself. ``keys`` come first, then those of a line editor; all others bubble up."""

    DEFAULT_CSS = """
    ComposerInput {
        width: 1fr;
        height: auto;
        border: none;
        padding: 0;
        background: $surface;
        scrollbar-size-vertical: 1;
        &:focus {
            border: none;
        }
    }
    """

    def __init__(
        self,
        keys: Mapping[str, _Handler],
        follow: Callable[[], None],
        paste: Callable[[str], None],
    ) -> None:
        super().__init__(highlight_cursor_line=False)
        self.cursor_blink = False
        self.match_cursor_bracket = False
        self.styles.max_height = INPUT_LINES
        self._keys = keys
        self._follow = follow
        self._paste = paste
        self._killed = ""

    @property
    def cursor(self) -> int:
        """Where the cursor is, in characters from the start of the text."""
        row, column = self.cursor_location
        return sum(len(line) + 1 for line in self.document.lines[:row]) + column

    @property
    def on_first_line(self) -> bool:
        """Whether nothing of the text is above the cursor, as it is wrapped."""
        return self.navigator.is_first_wrapped_line(self.cursor_location)

    @property
    def on_last_line(self) -> bool:
        """Whether nothing of it is below."""
        return self.navigator.is_last_wrapped_line(self.cursor_location)

    def put(self, text: str, cursor: int) -> None:
        """Replace the text; it can be undone."""
        self.replace(text, self.document.start, self.document.end)
        before = text[:cursor].split("\n")
        self.move_cursor((len(before) - 1, len(before[-1])))

    def insert_here(self, text: str) -> None:
        """Insert ``text`` at the cursor, for what is selected."""
        self.replace(text, *self.selection, maintain_selection_offset=False)

    def on_key(self, event: events.Key) -> None:
        """Handle a key at once, if it is one of ours."""
        if self._handle(event):
            event.stop()
            self._follow()
        # Textual would insert the "d" of Alt+D.
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Let the composer decide about what is pasted."""
        event.stop()
        event.prevent_default()
        self._paste(event.text)

    def _handle(self, event: events.Key) -> bool:
        handler = self._keys.get(event.key)
        if handler is not None and handler():
            return True
        edit = _EDITING.get(event.key)
        if edit is not None:
            return edit(self) is not False
        character = event.character
        if character is None or event.key.startswith("alt+"):
            return False
        if not event.is_printable and character not in _JOINERS:
            return False
        self.insert_here(character)
        return True

    # ---- keys; one that returns false bubbles up, for the app ----

    def new_line(self) -> None:
        self.insert_here("\n")

    def to_line_start(self) -> bool:
        self.action_cursor_line_start()
        return bool(self.text)

    def to_line_end(self) -> bool:
        self.action_cursor_line_end()
        return bool(self.text)

    def delete_right(self) -> bool:
        had_text = bool(self.text)
        self.action_delete_right()
        return had_text

    def copy(self) -> bool:
        if self.selection.is_empty:
            return False
        self.app.copy_to_clipboard(self.selected_text)
        return True

    def cut(self) -> bool:
        return self.copy() and self._kill(*self.selection)

    def paste_copied(self) -> bool:
        self._paste(self.app.clipboard)
        return bool(self.app.clipboard)

    def kill_word(self) -> None:
        self._kill_to(self.get_cursor_word_left_location())

    def kill_before(self) -> None:
        row, column = self.cursor_location
        self._kill_to((row, 0) if column else self.get_cursor_left_location())

    def kill_after(self) -> None:
        row, column = self.cursor_location
        end = len(self.document[row])
        self._kill_to((row, end) if column < end else self.get_cursor_right_location())

    def kill_all(self) -> None:
        self._kill(self.document.start, self.document.end)

    def yank(self) -> None:
        self.insert_here(self._killed)

    def _kill_to(self, place: tuple[int, int]) -> None:
        start, end = self.selection
        self._kill(start, place if start == end else end)

    def _kill(self, start: tuple[int, int], end: tuple[int, int]) -> bool:
        if start != end:
            self._killed = self.get_text_range(start, end)
            self.delete(start, end, maintain_selection_offset=False)
        return True


_EDITING: Final[dict[str, Callable[[ComposerInput], bool | None]]] = {
    "ctrl+j": ComposerInput.new_line,
    "shift+enter": ComposerInput.new_line,
    "alt+enter": ComposerInput.new_line,
    "left": TextArea.action_cursor_left,
    "right": TextArea.action_cursor_right,
    "up": TextArea.action_cursor_up,
    "down": TextArea.action_cursor_down,
    "home": ComposerInput.to_line_start,
    "ctrl+a": ComposerInput.to_line_start,
    "end": ComposerInput.to_line_end,
    "ctrl+e": ComposerInput.to_line_end,
    "ctrl+left": TextArea.action_cursor_word_left,  # also what Alt-B is, from most terminals
    "alt+b": TextArea.action_cursor_word_left,
    "ctrl+right": TextArea.action_cursor_word_right,
    "alt+f": TextArea.action_cursor_word_right,
    "shift+left": lambda area: area.action_cursor_left(select=True),
    "shift+right": lambda area: area.action_cursor_right(select=True),
    "shift+up": lambda area: area.action_cursor_up(select=True),
    "shift+down": lambda area: area.action_cursor_down(select=True),
    "shift+home": lambda area: area.action_cursor_line_start(select=True),
    "shift+end": lambda area: area.action_cursor_line_end(select=True),
    "ctrl+shift+left": lambda area: area.action_cursor_word_left(select=True),
    "ctrl+shift+right": lambda area: area.action_cursor_word_right(select=True),
    "backspace": TextArea.action_delete_left,
    "shift+backspace": TextArea.action_delete_left,
    "delete": ComposerInput.delete_right,
    "ctrl+d": ComposerInput.delete_right,
    "ctrl+w": ComposerInput.kill_word,
    "ctrl+backspace": ComposerInput.kill_word,
    "alt+backspace": ComposerInput.kill_word,
    "alt+d": TextArea.action_delete_word_right,
    "alt+delete": TextArea.action_delete_word_right,
    "ctrl+u": ComposerInput.kill_before,
    "ctrl+k": ComposerInput.kill_after,
    "ctrl+y": ComposerInput.yank,
    "ctrl+z": TextArea.undo,
    "ctrl+shift+z": TextArea.redo,
    "ctrl+c": ComposerInput.copy,
    "super+c": ComposerInput.copy,
    "ctrl+x": ComposerInput.cut,
    "super+x": ComposerInput.cut,
    "ctrl+v": ComposerInput.paste_copied,
    "super+v": ComposerInput.paste_copied,
}
"""The keys of line editors. Where the terminal has a use for one itself, it never comes."""


class ReplyLine(Static):
    """What is replied to. ``cancel`` is called on a click."""

    DEFAULT_CSS = """
    ReplyLine {
        height: 1;
        padding: 0 1;
        color: $accent;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        super().__init__(markup=False)
        self._cancel = cancel

    def on_click(self) -> None:
        """End the reply."""
        self._cancel()


class CandidateList(Widget):
    """The list of candidates, over what is above the composer. ``choose`` is called on a click."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"candidate-list--chosen", "candidate-list--hint"}
    DEFAULT_CSS = """
    CandidateList {
        overlay: screen;
        width: auto;
        max-width: 100%;
        background: $panel;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        & > .candidate-list--chosen {
            text-style: bold reverse;
        }
        & > .candidate-list--hint {
            color: $muted;
            text-style: $muted-style;
        }
    }
    """

    def __init__(self, choose: Callable[[int], None]) -> None:
        super().__init__()
        self._on_choose = choose
        self._candidates: tuple[Candidate, ...] = ()
        self._chosen: int | None = None
        self._first = 0  # of those that are shown

    def show(self, candidates: tuple[Candidate, ...], chosen: int | None = None) -> None:
        """Show ``candidates``, at least one; one of them may stand in the text already."""
        height = min(len(candidates), POPUP_LINES)
        self._candidates, self._chosen = candidates, chosen
        wanted = chosen if chosen is not None else 0
        lowest = self._first if chosen is not None else 0
        self._first = max(wanted - height + 1, min(lowest, wanted))
        self.styles.height = height
        self.styles.offset = (0, -height)
        self.display = True
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Return what the widest line takes."""
        return max(cell_len(line.plain) for line in self._lines())

    def render(self) -> Text:
        """Draw the list."""
        return Text("\n").join(self._lines())

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked on."""
        event.stop()
        index = self._first + event.y
        if index < len(self._candidates):
            self._on_choose(index)

    def _lines(self) -> list[Text]:
        last = self._first + POPUP_LINES
        shown = list(enumerate(self._candidates))[self._first : last]
        width = min(_LABEL_CELLS, max(cell_len(one.label) for _index, one in shown))
        return [self._line(one, width, chosen=index == self._chosen) for index, one in shown]

    def _line(self, candidate: Candidate, width: int, *, chosen: bool) -> Text:
        line = Text("› " if chosen else "  ")  # noqa: RUF001
        line.append(candidate.label)
        if candidate.hint:
            line.append(" " * (max(0, width - cell_len(candidate.label)) + _HINT_GAP))
            hint = self.get_component_rich_style("candidate-list--hint", partial=True)
            line.append(candidate.hint, hint)
        line.append(" ")
        if chosen:
            line.stylize(self.get_component_rich_style("candidate-list--chosen", partial=True))
        return line


def _clean(text: str) -> str:
    """Return ``text`` without controls, its lines separated by line feeds."""
    return _UNWANTED.sub("", _LINE_END.sub("\n", text))


def _lines_of(text: str) -> int:
    return text.count("\n") + 1


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _describe_pasted(text: str, lines: int) -> str:
    if lines > PASTE_LINES_LIMIT or len(text.encode()) > PASTE_BYTES_LIMIT:
        return ngettext(
            "{count} line: Enter sends, Esc clears", "{count} lines: Enter sends, Esc clears", lines
        )
    return ngettext(
        "{count} line, sent as one message: Enter sends, Esc clears",
        "{count} lines, sent as one message: Enter sends, Esc clears",
        lines,
    )
