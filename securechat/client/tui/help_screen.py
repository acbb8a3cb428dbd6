"""The help: all commands and keys, found by a part of what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from securechat.client.commands.dispatch import COMMANDS
from securechat.client.commands.table import Command
from securechat.client.tui.dialogs import ResultScreen
from securechat.client.words.translation import _

__all__ = ["HelpScreen"]


@dataclass(frozen=True, slots=True)
class _Topic:
    """A command or a key. ``typed`` is what begins the command, with its slash; none for a key."""

    name: str
    description: str
    details: tuple[str, ...] = ()
    typed: str | None = None
    searched: str = ""  # case folded


class HelpScreen(ResultScreen[str]):
    """Shows all commands and keys. The result is what begins the command that was chosen, with a
    space, to be put into the composer; ``None`` if none was.

    :param keys: each key, and what it does, in the user's language.
    """

    AUTO_FOCUS = "Input"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"move('{action}')", show=False)
        for key, action in (
            ("up", "cursor_up"),
            ("down", "cursor_down"),
            ("pageup", "page_up"),
            ("pagedown", "page_down"),
        )
    ]

    DEFAULT_CSS = """
    HelpScreen {
        background: $background;
        color: $foreground;
        #line {
            height: auto;
        }
        #line > Input {
            width: 1fr;
        }
        &.-narrow #line > Button {
            min-width: 9;
        }
        OptionList {
            height: 1fr;
            text-wrap: nowrap;
            text-overflow: ellipsis;
        }
        #details {
            width: 100%;
            height: 9;
            scrollbar-size-vertical: 1;
            padding: 0 1;
            border-top: solid $border;
        }
        &.-narrow #details {
            height: 14;
        }
    }
    """

    def __init__(
        self, keys: Iterable[tuple[str, str]], commands: Iterable[Command] = COMMANDS.values()
    ) -> None:
        super().__init__()
        self._sections = (
            (_("Commands"), [_of_command(command) for command in commands]),
            (_("Keys"), [_of_key(key, what) for key, what in keys]),
        )
        self._width = max(
            (len(topic.name) for _title, topics in self._sections for topic in topics), default=0
        )
        self._rows: list[_Topic | None] = []  # None: the title of a section

    def compose(self) -> ComposeResult:
        """Compose the line to be typed into, the list, and what there is to know of one of it."""
        with Horizontal(id="line"):
            yield Input(placeholder=_("words to look for; Enter takes a command over"))
            yield Button(Content(_("Close")), id="close")
        yield OptionList(markup=False, compact=True)
        with VerticalScroll(id="details", can_focus=False):
            yield Static(markup=False)

    def on_mount(self) -> None:
        """Show all."""
        self._show([])

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._show(event.value.casefold().split())

    def _show(self, words: Sequence[str]) -> None:
        """Show the topics that have all the words."""
        self._rows, options = [], []
        for title, topics in self._sections:
            found = [topic for topic in topics if all(word in topic.searched for word in words)]
            if found:
                self._rows += [None, *found]
                options.append(Option(Content.styled(title, "bold underline"), disabled=True))
                options += [Option(self._topic_words(topic)) for topic in found]
        listed = self.query_one(OptionList)
        listed.set_options(options)
        if options:
            listed.action_first()
        else:
            self._show_details(Content(_("nothing found")))

    def _topic_words(self, topic: _Topic) -> Content:
        width = min(self._width, self.app.size.width // 2)
        return Content.assemble((f"{topic.name:{width}}", "bold"), f"  {topic.description}")

    async def action_move(self, action: str) -> None:
        """Move in the list, from the line to be typed into."""
        await self.query_one(OptionList).run_action(action)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        topic = self._rows[event.option_index]
        if topic is not None:
            lines = (f"  {line}" for line in topic.details)
            below = "\n".join(("", topic.description, *lines))
            self._show_details(Content.assemble((topic.name, "bold"), below))

    def _show_details(self, text: Content) -> None:
        self.query_one("#details > Static", Static).update(text)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        topic = self._rows[event.option_index]
        if topic is not None and topic.typed is not None:
            self.close(f"{topic.typed} ")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_cancel()


def _of_command(command: Command) -> _Topic:
    name, description = _(command.usage), _(command.description)
    details = tuple(_(line) for line in command.details)
    if command.aliases:
        names = ", ".join(f"/{alias}" for alias in command.aliases)
        details = (*details, _("also {names}", names=names))
    searched = "\n".join((name, f"/{command.name}", description, *details)).casefold()
    return _Topic(name, description, details, f"/{command.name}", searched)


def _of_key(key: str, what: str) -> _Topic:
    return _Topic(key, what, searched=f"{key}\n{what}".casefold())
