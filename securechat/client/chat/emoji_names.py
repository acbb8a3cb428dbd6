"""Emoji by their names, English and Russian: what ``:smi`` may become.

The names come from the package ``emoji`` (the extra ``tui``). Without it there are none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

__all__ = ["EmojiNames", "emoji_names"]


class EmojiNames:
    """Names of emoji, to be searched. Immutable.

    :param names: pairs of a name and the emoji; an emoji may have several names.
    """

    def __init__(self, names: Iterable[tuple[str, str]]) -> None:
        # Of what begins alike, the shortest is the most likely to be meant.
        ordered = sorted(names, key=lambda pair: (len(pair[0]), pair[0]))
        self._names = [(_fold(name), name, character) for name, character in ordered]

    def find(self, word: str, limit: int) -> list[tuple[str, str]]:
        """Return at most ``limit`` pairs of an emoji and its name that fits ``word``, each emoji
        once: first those whose name begins with it, then those that have it anywhere. In any case.
        """
        wanted = _fold(word)
        found: dict[str, str] = {}
        for character, name in self._matches(wanted):
            found.setdefault(character, name)
            if len(found) >= limit:
                break
        return list(found.items())

    def _matches(self, wanted: str) -> Iterator[tuple[str, str]]:
        for folded, name, character in self._names:
            if folded.startswith(wanted):
                yield character, name
        for folded, name, character in self._names:
            if wanted in folded:
                yield character, name


@functools.cache
def emoji_names() -> EmojiNames:
    """Return the names of all emoji without their skin tones; the first call takes some 0.1 s."""
    try:
        import emoji
    except ImportError:
        return EmojiNames(())
    emoji.config.load_language("ru")
    qualified = emoji.STATUS["fully_qualified"]
    return EmojiNames(
        (name.strip(":"), character)
        for character, data in emoji.EMOJI_DATA.items()
        if data["status"] == qualified and "skin_tone" not in data["en"]
        for name in {data["en"], data.get("ru", data["en"]), *data.get("alias", ())}
    )


def _fold(name: str) -> str:
    return name.casefold().replace("ё", "е")  # noqa: RUF001  # many type the one for the other
