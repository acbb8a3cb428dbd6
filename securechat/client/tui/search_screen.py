"""Searching what was said: in what is loaded while the user types, at the relay with Enter.

The screen knows neither. It says what is wanted, ``run(query)``, and is told what was found, for
that query, in any order and at any time; what comes for a query that is not the present one any
more is dropped::

    run(query)  ──►  show_local(query, hits)                      at once, for each query
                     show_relay(query, hits) or show_failure()    if query.ask_relay
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final, Literal

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Button, Input, OptionList, Static

from securechat.client.tui.dialogs import ResultScreen
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop, ngettext

__all__ = ["NO_SEARCH", "OFFLINE", "RESULTS_LIMIT", "Hit", "Query", "SearchScreen", "parse_query"]

RESULTS_LIMIT: Final = 200
"""Most results shown, the newest; whoever looks for an older one adds a word."""

TYPING_PAUSE_S: Final = 0.15
"""How long nothing must be typed before what is loaded is searched: less than people notice, and
longer than from one key to the next."""

EXCERPT_CHARACTERS: Final = 240
"""Of a long text, so much is shown, around the first word found: some three lines."""

_BEFORE_WORD: Final = 60
"""How much of an excerpt stands in front of the first word found."""

NO_SEARCH: Final = gettext_noop("this relay does not search; what is loaded here was searched")
"""For ``show_failure``; translate it."""

OFFLINE: Final = gettext_noop("not connected: only what is loaded here was searched")
"""For ``show_failure``; translate it."""

_TERM: Final = re.compile(r'(?:(?P<key>in|from):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>\S*))\s*', re.I)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: all of it must fit. Immutable.

    :param words: each in any case; one with spaces is to be found as it is.
    :param conversation: only in that one (``in:``), whatever ``everywhere`` says; empty: any.
    :param sender: only by that nick (``from:``); empty: by anybody.
    :param everywhere: in all conversations, not only in that of the screen.
    :param ask_relay: the relay is to be asked too.
    """

    words: tuple[str, ...] = ()
    conversation: str = ""
    sender: str = ""
    everywhere: bool = False
    ask_relay: bool = False

    @property
    def text(self) -> str:
        """The words as a relay is asked for them."""
        return " ".join(self.words)

    def __bool__(self) -> bool:
        """Whether anything is looked for."""
        return bool(self.words or self.conversation or self.sender)


@dataclass(frozen=True, slots=True)
class Hit:
    """A text that was found. Immutable; what it says is made safe where it is shown.

    :param msgid: ``None`` for a text without one, as those of peer sessions are.
    :param time: with its zone.
    :param local: it is loaded here.
    """

    conversation: str
    msgid: str | None
    sender: str
    text: str
    time: datetime
    local: bool

    @property
    def key(self) -> object:
        """Equal for the same text found twice."""
        return self.msgid or (self.conversation, self.sender, self.time, self.text)


def parse_query(text: str, *, everywhere: bool = False) -> Query:
    """Return what the user has typed as a query.

    ``in:`` and ``from:`` with nothing behind them are being typed, and do not count. Of several,
    the last one counts. A quote that is not closed goes to the end.
    """
    words, limits = [], {"in": "", "from": ""}
    for term in _TERM.finditer(text):
        value = (term["word"] if term["phrase"] is None else term["phrase"]).strip()
        if term["key"]:
            limits[term["key"].lower()] = value
        elif value:
            words.append(value)
    return Query(tuple(words), limits["in"], limits["from"], everywhere)


class HitList(OptionList):
    """The results. One click highlights, two open."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"hit-list--head"}

    DEFAULT_CSS = """
    HitList > .hit-list--head {
        color: $muted;
        text-style: $muted-style;
    }
    """

    def show(self, hits: Iterable[Hit], pattern: re.Pattern[str] | None) -> None:
        """Show texts with the words that ``pattern`` finds emphasised."""
        head = self.get_visual_style("hit-list--head", partial=True)
        self.set_options([_hit_words(hit, pattern, head) for hit in hits])

    def on_click(self, event: events.Click) -> None:
        """Highlight, or open."""
        event.prevent_default()
        index = event.style.meta.get("option")
        if index is not None:
            self.highlighted = index
            if event.chain > 1:
                self.action_select()


class SearchScreen(ResultScreen[Hit]):
    """Searches, and returns the text that was chosen, or ``None``.

    :param scope: the conversation that "here" is, as people call it; empty: there is none, so all
        are searched.
    :param run: looks for a query; returns at once and answers by the three methods below.
    :param text: stands in the line at the start.
    """

    AUTO_FOCUS = "Input"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "toggle_scope", show=False),
        Binding("down", "enter_results", show=False),
    ]

    DEFAULT_CSS = """
    SearchScreen {
        background: $background;
        color: $foreground;
        #line {
            height: auto;
        }
        #line > Input {
            width: 1fr;
        }
        #line > Button {
            max-width: 36;
        }
        &.-narrow #line {
            layout: vertical;
        }
        &.-narrow #line > Input {
            width: 100%;
        }
        &.-narrow #line > Button {
            width: 100%;
            max-width: 100%;
            height: 1;
            border: none;
        }
        #status {
            width: 100%;
            padding: 0 1;
            text-style: italic;
        }
        HitList {
            height: 1fr;
        }
    }
    """

    def __init__(self, scope: str, run: Callable[[Query], None], text: str = "") -> None:
        super().__init__()
        self._scope = make_safe(scope)
        self._run = run
        self._text = text
        self._everywhere = not scope
        self._query = Query()
        self._hits: dict[object, Hit] = {}
        self._shown: list[Hit] = []
        self._relay: Literal["not asked", "searching", "answered", "failed"] = "not asked"
        self._problem = ""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Compose the line to be typed into, and the results."""
        with Horizontal(id="line"):
            yield Input(self._text, placeholder=_("Search"), select_on_focus=False)
            yield Button(self._scope_words(), id="scope", disabled=not self._scope)
            yield Button(Content(_("Close")), id="close")
        yield Static(id="status", markup=False)
        yield HitList(markup=False, compact=True)

    def on_mount(self) -> None:
        """Begin with what is given."""
        self._show_status()
        self._look()

    # ---- answers ----

    def show_local(self, query: Query, hits: Sequence[Hit]) -> None:
        """Show what was found in what is loaded."""
        if query == self._query:
            self._add(hits)

    def show_relay(self, query: Query, hits: Sequence[Hit]) -> None:
        """Show what the relay has found."""
        if query == self._query:
            self._relay = "answered"
            # A relay looks for words, wherever in the text each of them stands.
            phrases = [word.casefold() for word in query.words if " " in word]
            self._add(hit for hit in hits if all(one in hit.text.casefold() for one in phrases))

    def show_failure(self, query: Query, text: str) -> None:
        """Show why the relay has found nothing, in the user's language."""
        if query == self._query:
            self._relay, self._problem = "failed", make_safe(text)
            self._show_status()

    def _add(self, hits: Iterable[Hit]) -> None:
        for hit in hits:
            known = self._hits.get(hit.key)
            if known is None or hit.local:  # what is loaded can be opened without the relay
                self._hits[hit.key] = hit
        self._show_hits()
        self._show_status()

    # ---- asking ----

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(TYPING_PAUSE_S, self._look)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._look(ask_relay=True)
        if self._relay == "answered":
            self.action_enter_results()

    def _look(self, *, ask_relay: bool = False) -> None:
        """Look for what stands in the line now, unless that was done."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        typed = parse_query(self.query_one(Input).value, everywhere=self._everywhere)
        query = replace(typed, ask_relay=ask_relay and bool(typed))
        if self._is_known(query):
            return
        self._query = query
        self._relay = "searching" if query.ask_relay else "not asked"
        self._hits.clear()
        self._show_hits()
        self._show_status()
        if query:
            self._run(query)

    def _is_known(self, query: Query) -> bool:
        if query.ask_relay and self._relay == "failed":
            return False  # it may answer now
        return self._query in (query, replace(query, ask_relay=True))

    def action_toggle_scope(self) -> None:
        """Search here or everywhere."""
        if self._scope:
            self._everywhere = not self._everywhere
            self.query_one("#scope", Button).label = self._scope_words()
            self._look(ask_relay=self._query.ask_relay)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "close":
            self.action_cancel()
        else:
            self.action_toggle_scope()

    # ---- results ----

    def action_enter_results(self) -> None:
        """Go from the line to the results."""
        if self._shown:
            self.query_one(HitList).focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.close(self._shown[event.option_index])

    def _show_hits(self) -> None:
        results = self.query_one(HitList)
        at = results.highlighted if results.has_focus else None  # else nobody has chosen it
        marked = self._shown[at].key if at is not None else None
        newest = sorted(self._hits.values(), key=lambda hit: hit.time, reverse=True)
        self._shown = newest[:RESULTS_LIMIT]
        results.show(self._shown, _pattern(self._query.words))
        keys = [hit.key for hit in self._shown]
        if keys:
            results.highlighted = keys.index(marked) if marked in keys else 0

    # ---- words ----

    def _scope_words(self) -> Content:
        if self._everywhere:
            return Content(_("everywhere (Ctrl-T)"))
        return Content(_("in {conversation} (Ctrl-T)", conversation=self._scope))

    def _show_status(self) -> None:
        self.query_one("#status", Static).update(Content(self._status()))

    def _status(self) -> str:
        count = len(self._hits)
        if not self._query:
            return _('words, "several words", from:NICK, in:#ROOM; Enter also asks the relay')
        if self._relay == "failed" and not count:
            return _("nothing found; {problem}", problem=self._problem)
        if self._relay == "failed":
            return ngettext(
                "{count} found; {problem}", "{count} found; {problem}", count, problem=self._problem
            )
        if self._relay == "searching":
            return ngettext(
                "{count} found; the relay is searching…",
                "{count} found; the relay is searching…",
                count,
            )
        if self._relay == "not asked":
            return ngettext(
                "{count} found in what is loaded; Enter asks the relay",
                "{count} found in what is loaded; Enter asks the relay",
                count,
            )
        if not count:
            return _("nothing found")
        if count > RESULTS_LIMIT:
            return _("the newest {limit} are shown; more words find less", limit=RESULTS_LIMIT)
        return ngettext("{count} found", "{count} found", count)


def _pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    """Return what finds the words, the longest first: it hides those that are a part of it."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if words else None


def _hit_words(hit: Hit, pattern: re.Pattern[str] | None, head: Style) -> Content:
    text = _excerpt(" ".join(make_safe(line) for line in hit.text.split("\n")), pattern)
    said = Content(text)
    for match in pattern.finditer(text) if pattern is not None else ():
        said = said.stylize("bold underline", match.start(), match.end())
    place = f"{hit.time.astimezone():%Y-%m-%d %H:%M}  {make_safe(hit.conversation)}"
    return Content.assemble((f"{place}  <{make_safe(hit.sender)}>", head), "\n", said)


def _excerpt(text: str, pattern: re.Pattern[str] | None) -> str:
    """Return ``text``, or what stands around the first word found in it."""
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    match = pattern.search(text) if pattern is not None else None
    start = max(0, match.start() - _BEFORE_WORD) if match is not None else 0
    part = text[start : start + EXCERPT_CHARACTERS]
    return f"{'…' if start else ''}{part}{'…' if start + len(part) < len(text) else ''}"
