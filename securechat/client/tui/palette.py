"""The command palette: whatever can be done or gone to, found by some of its letters.

Titles and hints hold names of rooms and people. Textual reads strings as markup in its palette, and
in ``Matcher.highlight``, and its ``escape`` does not hold for all of them; so it gets ``Content``
only. What it takes as a string alone, the help of a hit, stands in the second line of that instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import Matcher

from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _

__all__ = ["ChatPalette", "ChatProvider", "PaletteEntry", "PaletteSource"]

_WAYS_LIMIT: Final = 2_000
"""Most ways in which the letters typed may lie in a title. Textual's matcher tries each, and a name
of a room can be made so that there are millions."""


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """Something to do or to go to. Immutable; title and hint are made safe where they are shown."""

    title: str
    hint: str
    run: Callable[[], None]


class PaletteSource(Protocol):
    """The app, as the palette sees it."""

    def palette_entries(self) -> Sequence[PaletteEntry]:
        """Return what can be done now, in the order in which it is shown at first."""


class ChatProvider(Provider):
    """Asks the app, which is a ``PaletteSource``, once each time the palette opens."""

    async def startup(self) -> None:
        """Take what the app has."""
        source = cast(PaletteSource, self.app)
        self._entries = [(entry, make_safe(entry.title)) for entry in source.palette_entries()]

    async def discover(self) -> Hits:
        """Yield all."""
        for entry, title in self._entries:
            yield DiscoveryHit(_with_hint(Content(title), entry), entry.run, text=title)

    async def search(self, query: str) -> Hits:
        """Yield what has the letters of ``query``, in their order."""
        matcher = self.matcher(query)
        found = False
        for entry, title in self._entries:
            score, offsets = _match(matcher, title)
            if score > 0:
                found = True
                shown = Content(title)
                for offset in offsets:
                    shown = shown.stylize(matcher.match_style, offset, offset + 1)
                yield Hit(score, _with_hint(shown, entry), entry.run, text=title)
        if not found:  # Textual would say so in English
            yield Hit(1.0, Content(_("nothing found")), _nothing)


class ChatPalette(CommandPalette):
    """Textual's palette with what ``ChatProvider`` offers, in the user's language."""

    # With the terminal's own colours the highlighted entry is "reverse", which Textual loses.
    DEFAULT_CSS = """
    ChatPalette CommandList:ansi > .option-list--option-highlighted {
        text-style: bold underline;
    }
    """

    def __init__(self) -> None:
        super().__init__([ChatProvider], placeholder=_("Go to a conversation, or do something"))


def _match(matcher: Matcher, title: str) -> tuple[float, Sequence[int]]:
    query = matcher.query.lower()
    if query not in title.lower() and _ways(query, title.lower()) > _WAYS_LIMIT:
        return 0.0, ()
    return matcher.fuzzy_search.match(matcher.query, title)


def _ways(query: str, title: str) -> int:
    """Return in how many ways the letters of ``query``, or the first of them, lie in ``title``."""
    ways = [1] + [0] * len(query)  # of no letter, of the first, of the first two …
    for letter in title:
        for length in range(len(query), 0, -1):
            if query[length - 1] == letter:
                ways[length] += ways[length - 1]
    return sum(ways)


def _with_hint(title: Content, entry: PaletteEntry) -> Content:
    hint = make_safe(entry.hint)
    return Content.assemble(title, (f"\n{hint}", "not bold")) if hint else title


def _nothing() -> None:
    """Choose "nothing found"."""
