"""Making text from others safe to show on a terminal.

A terminal obeys escape sequences: they can move the cursor, retitle the window, even type for the
user. Direction overrides can make a text read differently from what it says, and invisible
characters make two names look alike. None of these gets through.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from securechat.irc.formatting import strip_formatting

__all__ = ["make_safe"]

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (C0, C1), formats (direction, zero-width, tags), surrogates, line and paragraph ends."""

_BLANKS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and symbols that look like nothing at all."""

_JOINERS: Final = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Joiners between characters beyond ASCII stay: Persian and family emoji are written with them."""

_RUN: Final = re.compile(f"{REPLACEMENT}{{2,}}")


def make_safe(text: str) -> str:
    """Return ``text`` without IRC formatting, and with a mark for each run of unsafe characters."""
    text = strip_formatting(text).replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text
    joiners = {match.start() for match in _JOINERS.finditer(text)}
    safe = "".join(
        c if position in joiners or _is_safe(c) else REPLACEMENT for position, c in enumerate(text)
    )
    return _RUN.sub(REPLACEMENT, safe)


def _is_safe(character: str) -> bool:
    return unicodedata.category(character) not in _UNSAFE_CATEGORIES and character not in _BLANKS
