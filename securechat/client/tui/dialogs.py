"""The dialogs: questions that stand above the conversations until they are answered.

Each is pushed with a callback that takes its result. Keys and mouse do the same; Esc is the answer
that changes nothing. Titles and texts must be safe for the terminal; they are shown as they are:
nothing in them is markup or a link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop

__all__ = [
    "COMMON_REACTIONS",
    "REACTION_LIMIT",
    "Choice",
    "ChoiceDialog",
    "CodeRow",
    "ConfirmDialog",
    "Dialog",
    "QuestionDialog",
    "ReactionDialog",
    "ResultScreen",
    "SafetyCodeDialog",
    "TextDialog",
]

REACTION_LIMIT: Final = 16
"""Most characters of a reaction that is no emoji: it stands below a text, among others."""

COMMON_REACTIONS: Final = tuple("👍👎😄😂😢😮😡💖🎉🙏👏👋👀🤔🔥💯✅❌🚀☕")
"""Offered without a search. All are one code point, which every terminal draws two cells wide."""

_FOUND_LIMIT: Final = 50
"""Most emoji found that are listed; whoever wants another types more of its name."""

_NARROW: Final = 60
"""Columns below which buttons stand one below the other."""

Result = TypeVar("Result")

EmojiSearch = Callable[[str], Sequence[tuple[str, str]]]
"""Emoji by a part of their names, the best first: the character and what it is called."""


class ResultScreen(ModalScreen[Result]):
    """A screen that is closed with a result, once. Esc closes it without: ``None``."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]

    # The option that Enter takes must be seen while the line to be typed into has the focus, and
    # where there are only the terminal's colours: Textual loses the "reverse" of options.
    DEFAULT_CSS = """
    ResultScreen OptionList {
        & > .option-list--option-highlighted {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        &:ansi > .option-list--option-highlighted {
            text-style: bold underline;
        }
        & > .option-list--option-disabled {
            color: $foreground;
        }
    }
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (_NARROW, "-wide")]  # noqa: RUF012

    def close(self, result: Result | None) -> None:
        """Close with a result. Does nothing when it is closed: a second key was on its way."""
        if self.is_current:
            self.dismiss(result)

    def action_cancel(self) -> None:
        """Close without a result."""
        self.close(None)


class Dialog(ResultScreen[Result]):
    """A box in the middle: a title, a body that scrolls if it must, and buttons.

    For subclasses: override ``compose_body`` and ``compose_buttons``; a button that is pressed is
    told to ``pressed`` by its id.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "scroll_body(-1)", show=False),
        Binding("pagedown", "scroll_body(1)", show=False),
    ]

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        & > .box {
            width: 100%;
            max-width: 76;
            height: auto;
            max-height: 100%;
            padding: 0 1;
            background: $surface;
            color: $foreground;
            border: round $border;
        }
        .title {
            dock: top;
            width: 100%;
            height: auto;
            max-height: 4;
            text-style: bold;
            padding-bottom: 1;
        }
        .body {
            height: auto;
            max-height: 100%;
            scrollbar-size-vertical: 1;
            scrollbar-gutter: stable;  /* else its coming makes lines longer, and itself needed */
        }
        .body > Static {
            width: 100%;
        }
        OptionList {
            max-height: 12;
        }
        &.-narrow .box {
            padding: 0;
        }
        &.-narrow ButtonRow {
            layout: vertical;
        }
        &.-narrow ButtonRow > Button {
            width: 100%;
            height: 1;
            margin: 0;
            border: none;
        }
    }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._heading = title

    def compose(self) -> ComposeResult:
        """Compose the box."""
        with Vertical(classes="box"):
            yield Static(Content(self._heading), classes="title")
            with VerticalScroll(classes="body", can_focus=False):
                yield from self.compose_body()
            buttons = [_button(label, name) for name, label in self.buttons()]
            if buttons:
                yield ButtonRow(*buttons)

    def compose_body(self) -> ComposeResult:
        """Yield what stands between the title and the buttons."""
        yield from ()

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Return the ids and the labels of the buttons."""
        return ()

    def pressed(self, button: str) -> None:
        """Take note that the button of that id was pressed."""
        self.action_cancel()

    def action_scroll_body(self, direction: int) -> None:
        """Scroll the body by a page."""
        body = self.query_one(".body")
        body.scroll_relative(y=direction * body.size.height, animate=False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.pressed(event.button.id or "")


class ButtonRow(Horizontal):
    """The buttons of a dialog; arrow keys go from one to the next, as Tab does."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    DEFAULT_CSS = """
    ButtonRow {
        dock: bottom;
        height: auto;
        align-horizontal: right;
        & > Button {
            margin-left: 1;
        }
    }
    """


class MenuDialog(Dialog[Result]):
    """A dialog without buttons: a click beside it closes it, as Esc does."""

    def on_click(self, event: events.Click) -> None:
        """Close, if the click was beside the box."""
        if event.widget is self:
            self.action_cancel()


class QuestionDialog(Dialog[str]):
    """Asks for a line of text; the result may be empty. ``None``: no answer.

    :param secret: it is a password: what is typed is not shown.
    """

    AUTO_FOCUS = "Input"

    def __init__(self, prompt: str, *, secret: bool) -> None:
        super().__init__(prompt.strip())
        self._secret = secret

    def compose_body(self) -> ComposeResult:
        """Compose the line to be typed into."""
        yield Input(password=self._secret)

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Return the buttons."""
        return (("ok", _("OK")), ("cancel", _("Cancel")))

    def pressed(self, button: str) -> None:
        """Answer, or not."""
        self.close(self.query_one(Input).value if button == "ok" else None)

    def say(self, prompt: str) -> None:
        """Have the question read otherwise; what was typed stays. Nothing if it is closed."""
        if self.is_current:
            self.query_one(".title", Static).update(Content(prompt))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close(event.value)


class ConfirmDialog(Dialog[bool]):
    """Asks whether to do something. Esc is the answer no.

    :param yes: the label of the button that does it; say what is done rather than "yes".
    :param no: the label of the other one.
    :param destructive: it cannot be undone: Enter alone does not do it.
    """

    def __init__(
        self, title: str, body: str, *, yes: str, no: str, destructive: bool = True
    ) -> None:
        super().__init__(title)
        self._body = body
        self._labels = (("yes", yes), ("no", no))
        self._first = "no" if destructive else "yes"

    def compose_body(self) -> ComposeResult:
        """Compose what is asked."""
        yield Static(Content(self._body))

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Return the two answers."""
        return self._labels

    def on_mount(self) -> None:
        """Put the focus on the answer that does no harm."""
        self.query_one(f"#{self._first}").focus()

    def pressed(self, button: str) -> None:
        """Answer."""
        self.close(button == "yes")

    def action_cancel(self) -> None:
        """Answer no."""
        self.close(False)


class TextDialog(Dialog[None]):
    """Shows a text of any length, which scrolls: a topic, what is wrong with a certificate."""

    AUTO_FOCUS = ".body"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "cancel", show=False)]

    def __init__(self, title: str, text: str) -> None:
        super().__init__(title)
        self._text = text

    def compose_body(self) -> ComposeResult:
        """Compose the text."""
        yield Static(Content(self._text))

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Return the button that closes."""
        return (("close", _("Close")),)

    def on_mount(self) -> None:
        """Let the arrow keys scroll the text."""
        self.query_one(".body").can_focus = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose. Immutable.

    :param key: the letter that chooses it at once; empty: none.
    """

    id: str
    label: str
    key: str = ""


class ChoiceDialog(MenuDialog[str]):
    """A menu. The result is the id of what was chosen, ``None`` if nothing was."""

    AUTO_FOCUS = "OptionList"

    DEFAULT_CSS = """
    ChoiceDialog > .box {
        max-width: 50;
    }
    """

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__(title)
        self._choices = choices

    def compose_body(self) -> ComposeResult:
        """Compose the menu."""
        words = (_choice_words(choice) for choice in self._choices)
        yield OptionList(*words, markup=False, compact=True)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.close(self._choices[event.option_index].id)

    def on_key(self, event: events.Key) -> None:
        """Choose by a letter."""
        letter = (event.character or "").casefold()
        for choice in self._choices:
            if letter and letter == choice.key.casefold():
                event.stop()
                self.close(choice.id)
                return


class ReactionGrid(Widget, can_focus=True):
    """Reactions side by side, as many in a row as fit; one of them has the cursor, in brackets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", show=False),
        Binding("right", "move(1)", show=False),
        Binding("up", "move_row(-1)", show=False),
        Binding("down", "move_row(1)", show=False),
        Binding("enter,space", "choose", show=False),
    ]

    DEFAULT_CSS = """
    ReactionGrid {
        width: 100%;
        height: auto;
        margin: 1 0;
    }
    """

    class Chosen(Message):
        """A reaction was chosen."""

        def __init__(self, reaction: str) -> None:
            self.reaction = reaction
            super().__init__()

    def __init__(self, reactions: Sequence[str]) -> None:
        super().__init__()
        self._reactions = reactions
        self._labels = [f" {make_safe(reaction)} " for reaction in reactions]
        self._cursor = 0

    # ---- drawing ----

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many rows there are at that width."""
        return len(self._rows(width))

    def render(self) -> Content:
        """Draw the rows."""
        rows = self._rows(self.content_size.width)
        return Content("\n").join(
            Content.assemble(*(self._drawn(index) for index in row)) for row in rows
        )

    def _drawn(self, index: int) -> Content:
        label = self._labels[index]
        if index == self._cursor and self.has_focus:
            return Content.styled(f"[{label[1:-1]}]", "bold")
        return Content(label)

    def _rows(self, width: int) -> list[range]:
        """Return which reactions stand in each row."""
        rows, first, used = [], 0, 0
        for index, label in enumerate(self._labels):
            cells = cell_len(label)
            if index > first and used + cells > width:
                rows.append(range(first, index))
                first, used = index, 0
            used += cells
        return [*rows, range(first, len(self._labels))]

    def _at(self, x: int, y: int) -> int | None:
        """Return which reaction is drawn there."""
        rows = self._rows(self.content_size.width)
        for index in rows[y] if 0 <= y < len(rows) else ():
            x -= cell_len(self._labels[index])
            if x < 0:
                return index
        return None

    # ---- keys and mouse ----

    def on_focus(self) -> None:
        """Show the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Hide it."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked."""
        offset = event.get_content_offset(self)
        index = self._at(offset.x, offset.y) if offset is not None else None
        if index is not None:
            self.post_message(self.Chosen(self._reactions[index]))

    def action_move(self, step: int) -> None:
        """Move the cursor by one."""
        self._cursor = (self._cursor + step) % len(self._labels)
        self.refresh()

    def action_move_row(self, step: int) -> None:
        """Move the cursor by a row; beyond the first and the last one, leave the grid."""
        rows = self._rows(self.content_size.width)
        at = next(number for number, row in enumerate(rows) if self._cursor in row)
        if not 0 <= at + step < len(rows):
            self.screen.focus_previous() if step < 0 else self.screen.focus_next()
            return
        column = self._cursor - rows[at].start
        self._cursor = min(rows[at + step].start + column, rows[at + step].stop - 1)
        self.refresh()

    def action_choose(self) -> None:
        """Choose what has the cursor."""
        self.post_message(self.Chosen(self._reactions[self._cursor]))


class ReactionDialog(MenuDialog[str]):
    """Asks for a reaction: a common one, an emoji by its name, or a short text.

    :param recent: what the user has reacted with, the latest first.
    :param search: finds emoji by a part of their names. Called with each change, so it must be
        quick.
    """

    AUTO_FOCUS = "Input"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
    ]

    def __init__(self, recent: Sequence[str], search: EmojiSearch) -> None:
        super().__init__(_("React"))
        self._offered = tuple(dict.fromkeys((*recent, *COMMON_REACTIONS)))
        self._search = search
        self._found: list[str] = []

    def compose_body(self) -> ComposeResult:
        """Compose the line to be typed into, and what is offered."""
        yield Input(placeholder=_("name of an emoji, or a short text"))
        yield ReactionGrid(self._offered)
        found = OptionList(markup=False, compact=True)
        found.display = False
        yield found

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value.strip()
        found = [(char, f"{char}  {name}") for char, name in self._search(text)] if text else []
        found = found[:_FOUND_LIMIT]
        if text and len(text) <= REACTION_LIMIT:
            found.append((text, _("as a text: {text}", text=make_safe(text))))
        self._found = [reaction for reaction, _label in found]
        options = self.query_one(OptionList)
        options.set_options([Content(label) for _reaction, label in found] or [_too_long()])
        options.highlighted = 0 if found else None
        options.display = bool(text)
        self.query_one(ReactionGrid).display = not text

    def action_move(self, step: int) -> None:
        """Go to what is offered, from the line to be typed into."""
        options = self.query_one(OptionList)
        if not options.display:
            self.query_one(ReactionGrid).focus()
        elif step < 0:
            options.action_cursor_up()
        else:
            options.action_cursor_down()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        index = self.query_one(OptionList).highlighted
        if index is not None and self._found:
            self.close(self._found[index])

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.close(self._found[event.option_index])

    @on(ReactionGrid.Chosen)
    def _chosen(self, event: ReactionGrid.Chosen) -> None:
        event.stop()
        self.close(event.reaction)


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A device of somebody, and the safety code with it. Immutable.

    :param fingerprint: of the device's certificate, in hex.
    :param digits: the code: 60 digits.
    :param verified: the two have compared it before.
    :param in_session: it is the device that is talked to now.
    """

    fingerprint: str
    digits: str
    verified: bool
    in_session: bool


class SafetyCode(Widget):
    """The digits of a safety code, wide apart, in groups of five: two or four groups in a row."""

    DEFAULT_CSS = """
    SafetyCode {
        width: 100%;
        height: auto;
        margin: 1 0;
        text-style: bold;
        text-align: center;
    }
    """

    _GROUP: Final = 5
    _ROW_CELLS: Final = 45  # four groups

    def __init__(self, digits: str) -> None:
        super().__init__()
        self._digits = digits

    def show(self, digits: str) -> None:
        """Show another code."""
        self._digits = digits
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many rows there are at that width."""
        return self._drawn(width).count("\n") + 1

    def render(self) -> Content:
        """Draw the digits."""
        return Content(self._drawn(self.content_size.width))

    def _drawn(self, width: int) -> str:
        starts = range(0, len(self._digits), self._GROUP)
        groups = [" ".join(self._digits[start : start + self._GROUP]) for start in starts]
        per_row, gap = (4, "\n\n") if width >= self._ROW_CELLS else (2, "\n")
        rows = range(0, len(groups), per_row)
        return gap.join("   ".join(groups[start : start + per_row]) for start in rows)


_CODE_STATES: Final = {
    # (verified, in_session)
    (True, True): gettext_noop("device {fingerprint}, of this session: verified"),
    (False, True): gettext_noop("device {fingerprint}, of this session: not verified"),
    (True, False): gettext_noop("device {fingerprint}: verified"),
    (False, False): gettext_noop("device {fingerprint}: not verified"),
}

_FINGERPRINT_DIGITS: Final = 16
"""Of a fingerprint, enough to tell one device from another; what proves is the code."""


class SafetyCodeDialog(Dialog[tuple[str, bool]]):
    """Shows the safety code with somebody, and asks whether both see the same.

    The result is the fingerprint of the device and whether the codes are the same; ``None``: they
    were not compared.

    :param devices: at least one; that of the session is shown first.
    """

    AUTO_FOCUS = "#later"  # Enter alone must not verify anybody

    DEFAULT_CSS = """
    SafetyCodeDialog {
        OptionList {
            max-height: 5;
        }
        #shown {
            margin-top: 1;
            text-style: bold;
        }
        &.-narrow #shown {
            margin: 0;
        }
        &.-narrow SafetyCode {
            margin: 0;
        }
    }
    """

    def __init__(self, nick: str, devices: Sequence[CodeRow]) -> None:
        super().__init__(_("Safety code with {nick}", nick=make_safe(nick)))
        self._nick = make_safe(nick)
        self._devices = sorted(devices, key=lambda device: not device.in_session)
        self._shown = self._devices[0]

    def compose_body(self) -> ComposeResult:
        """Compose the explanation, the devices and the code."""
        yield Static(
            Content(
                _(
                    "{nick} must see the same sixty digits. Compare all of them by voice or side by"
                    " side, not in a chat: whoever is in between could change what you write.",
                    nick=self._nick,
                )
            )
        )
        if len(self._devices) > 1:
            states = (_code_state(device) for device in self._devices)
            yield OptionList(*states, markup=False, compact=True)
        yield Static(_code_state(self._shown), id="shown")
        yield SafetyCode(self._shown.digits)

    def buttons(self) -> Sequence[tuple[str, str]]:
        """Return the three answers."""
        return (
            ("same", _("They are the same")),
            ("differ", _("They differ")),
            ("later", _("Later")),
        )

    def pressed(self, button: str) -> None:
        """Answer."""
        self.close(None if button == "later" else (self._shown.fingerprint, button == "same"))

    @on(OptionList.OptionHighlighted)
    @on(OptionList.OptionSelected)
    def _highlighted(self, event: OptionList.OptionMessage) -> None:
        event.stop()
        self._shown = self._devices[event.option_index]
        self.query_one("#shown", Static).update(_code_state(self._shown))
        self.query_one(SafetyCode).show(self._shown.digits)


def _button(label: str, name: str) -> Button:
    return Button(Content(label), id=name)


def _choice_words(choice: Choice) -> Content:
    if not choice.key:
        return Content(f"    {choice.label}")
    return Content.assemble((f"[{choice.key}]", "bold"), f" {choice.label}")


def _too_long() -> Option:
    text = _("nothing found; a text has at most {limit} characters", limit=REACTION_LIMIT)
    return Option(Content(text), disabled=True)


def _code_state(device: CodeRow) -> Content:
    state = _CODE_STATES[device.verified, device.in_session]
    return Content(_(state, fingerprint=device.fingerprint[:_FINGERPRINT_DIGITS]))
