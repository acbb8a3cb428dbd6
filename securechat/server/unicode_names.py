"""Names beyond ASCII: PRECIS says which are legal and equal, UTS #39 which look alike.

The extra ``securechat[unicode]`` brings both libraries. Nicks and channel names follow the profile
UsernameCaseMapped (https://www.rfc-editor.org/rfc/rfc8265#section-3.3). Whoever could be taken for
somebody else is refused by the skeletons (https://www.unicode.org/reports/tr39/#Confusable_Detection)
and not by a rule on mixing scripts: that would let whole words of another script through.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from confusable_homoglyphs.confusables import confusables_data
from precis_i18n import get_profile

from securechat.irc.casemapping import fold
from securechat.irc.names import CHANNEL_TYPES, is_channel_name, is_nick
from securechat.server.names import Names

__all__ = ["UnicodeNames"]

_PROFILE: Final = get_profile("UsernameCaseMapped")

_FOLDED_NAMES: Final = 8_192
"""Names whose folded form is remembered: a message to a channel folds its name."""

_BEYOND_ASCII: Final = re.compile("[^\x00-\x7f]")

_MARKS: Final = re.compile("[\u200e\u200f]")
"""What the table has around letters that are written from right to left."""


class UnicodeNames(Names):
    """Names of any script. Immutable, but for what it remembers; safe from any thread."""

    utf8_mapping = "rfc8265"

    def fold(self, name: str) -> str:
        """Return the form of ``name`` that equal names share. Raises nothing."""
        return fold(name) if name.isascii() else _enforced(name) or fold(name)

    def is_nick(self, name: str, limit_bytes: int) -> bool:
        """Whether ``name`` is a legal nick: its ASCII as ever, and all of it as PRECIS says.

        It begins with no digit of any script.
        """
        if name.isascii():
            return is_nick(name, limit_bytes)
        if len(name.encode(errors="replace")) > limit_bytes or name[0].isdigit():
            return False
        # The folded form is what must not be a mask, a list or two words: it can have other ASCII.
        forms = (name, _enforced(name))
        return all(form and is_nick(_BEYOND_ASCII.sub("a", form), limit_bytes) for form in forms)

    def is_channel_name(self, name: str, limit_bytes: int) -> bool:
        """Whether ``name`` is a legal name of a channel: as ever, and as PRECIS says."""
        if not is_channel_name(name, limit_bytes):
            return False
        return name.isascii() or is_channel_name(_enforced(name), 4 * limit_bytes)

    def skeletons(self, name: str) -> frozenset[str]:
        """Return what ``name`` looks like, as it is written and in small letters."""
        if name.isascii():
            return frozenset((fold(name),))
        return frozenset((_skeleton(name), _skeleton(name.casefold())))


@lru_cache(_FOLDED_NAMES)
def _enforced(name: str) -> str:
    """Return ``name`` as PRECIS has it, empty if it is not legal."""
    bare = name.lstrip(CHANNEL_TYPES)
    try:
        return name[: len(name) - len(bare)] + str(_PROFILE.enforce(bare))
    except UnicodeEncodeError:
        return ""


def _skeleton(name: str) -> str:
    """Return the skeleton of ``name``, in small letters.

    ASCII stands for itself: nobody would understand why ``rn`` may not be where ``m`` is.
    """
    letters = unicodedata.normalize("NFD", name)
    shapes = "".join(_PROTOTYPES.get(letter, letter) for letter in letters)
    return unicodedata.normalize("NFD", shapes).casefold()


def _prototypes(table: Mapping[str, list[Mapping[str, str]]]) -> Iterator[tuple[str, str]]:
    """Yield each letter beyond ASCII with what it looks like.

    The table pairs each letter with its prototype, both ways round; of letters that look alike
    the prototype is the one with the most pairs. ASCII, where it is one of them, comes first.
    """
    alike = {
        _MARKS.sub("", letter): [_MARKS.sub("", pair["c"]) for pair in pairs]
        for letter, pairs in table.items()
    }

    def rank(shape: str) -> tuple[bool, int, str]:
        return (shape.isascii() and len(shape) == 1, len(alike.get(shape, ())), shape)

    for letter, shapes in alike.items():
        if len(letter) == 1 and not letter.isascii():
            hub = max([letter, *shapes], key=rank)
            # Its own prototype may be two ASCII letters, which one looks like.
            yield letter, max([hub, *alike.get(hub, ())], key=rank) if hub != letter else letter


_PROTOTYPES: Final = dict(_prototypes(confusables_data))
