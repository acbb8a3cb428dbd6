"""The questions of a form: a line of text, or one of several choices, and what is wrong with them.

They are drawn so that they can be told apart without colours, and take few lines of the screen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, RadioButton, RadioSet, Static

__all__ = ["ChoiceQuestion", "Question", "TextQuestion"]


class Question(Vertical):
    """Something that is asked for, and what is wrong with the answer. Its id is ``key``.

    Subclasses compose the widget that takes the answer, and a ``Static`` of the class ``problem``.
    """

    class Entered(Message):
        """The answer is complete: Enter was pressed."""

        def __init__(self, question: Question) -> None:
            self.question = question
            super().__init__()

    class Changed(Message):
        """There is another answer."""

        def __init__(self, question: Question) -> None:
            self.question = question
            super().__init__()

    DEFAULT_CSS = """
    Question {
        height: auto;
        margin-bottom: 1;
        & > Static {
            height: auto;
        }
        & > .hint {
            color: $muted;
            text-style: $muted-style;
        }
        & > .problem {
            color: $danger;
            text-style: bold;
            display: none;
        }
    }
    """

    def __init__(self, key: str) -> None:
        super().__init__(id=key)
        self.key = key

    @property
    def value(self) -> str:
        """The answer."""
        raise NotImplementedError

    @value.setter
    def value(self, value: str) -> None:
        raise NotImplementedError

    def show_problem(self, text: str) -> None:
        """Show what is wrong with the answer, a safe text; empty: nothing is."""
        problem = self.query_one(".problem", Static)
        problem.update(Content(f"! {text}"))
        problem.display = bool(text)

    def begin(self) -> None:
        """Put the focus where the answer is given."""
        raise NotImplementedError


class TextQuestion(Question):
    """Asks for a line of text."""

    DEFAULT_CSS = """
    TextQuestion {
        & > Input {
            height: 1;
            padding: 0 1;
            border: none;
            border-left: thick $border-blurred;
        }
        & > Input:focus {
            border: none;
            border-left: thick $border;
        }
    }
    """

    def __init__(
        self,
        key: str,
        label: str,
        *,
        hint: str = "",
        secret: bool = False,
        suggester: Suggester | None = None,
    ) -> None:
        super().__init__(key)
        self._label = label
        self._hint = hint
        self._input = Input(password=secret, suggester=suggester, select_on_focus=False)

    def compose(self) -> ComposeResult:
        """Compose label, input and what is wrong with it."""
        yield Static(Content(self._label))
        yield self._input
        yield Static(classes="problem")
        if self._hint:
            yield Static(Content(self._hint), classes="hint")

    @property
    def value(self) -> str:
        """The text."""
        return self._input.value

    @value.setter
    def value(self, value: str) -> None:
        if value != self._input.value:  # or the cursor would move
            self._input.value = value

    def begin(self) -> None:
        """Put the focus on the input."""
        self._input.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered(self))

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self))


class ChoiceQuestion(Question):
    """Asks which of several things it shall be: pairs of a value and what it says."""

    def __init__(self, key: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(key)
        self._options = {value: _Option(Content(label)) for value, label in choices}
        next(iter(self._options.values())).value = True

    def compose(self) -> ComposeResult:
        """Compose the choices and what is wrong with them."""
        yield _Options(*self._options.values())
        yield Static(classes="problem")

    @property
    def value(self) -> str:
        """What is chosen."""
        return next(value for value, option in self._options.items() if option.value)

    @value.setter
    def value(self, value: str) -> None:
        self._options[value].value = True

    def offer(self, values: Collection[str]) -> None:
        """Let only these be chosen."""
        for value, option in self._options.items():
            option.display = value in values
            option.disabled = value not in values

    def begin(self) -> None:
        """Put the focus on the choices."""
        self.query_one(_Options).focus()

    def on__options_entered(self) -> None:
        """Enter was pressed on the choices."""
        self.post_message(self.Entered(self))

    @on(RadioSet.Changed)
    def _changed(self, event: RadioSet.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(self))


class _Option(RadioButton):
    """One of several. What tells the chosen one is a character, not only a colour."""

    def render(self) -> Content:
        mark = "(•)" if self.value else "( )"
        label = self.label.pad(1, 1).stylize_before(self.get_visual_style("toggle--label"))
        return Content.assemble(mark, label)


class _Options(RadioSet):
    """The arrow keys choose, Enter goes on."""

    class Entered(Message):
        """Enter was pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "enter", show=False)]

    DEFAULT_CSS = """
    _Options {
        padding: 0;
        border: none;
        border-left: thick $border-blurred;
        &:focus {
            border: none;
            border-left: thick $border;
        }
    }
    """

    def action_enter(self) -> None:
        self.post_message(self.Entered())

    def action_next_button(self) -> None:
        super().action_next_button()
        self._choose()

    def action_previous_button(self) -> None:
        super().action_previous_button()
        self._choose()

    def _choose(self) -> None:
        if self.has_focus:  # also called when it is mounted, to highlight the first
            for option in self.query(".-selected").results(RadioButton):
                option.value = True
