"""Formatting codes inside texts: bold, colours and the like.

https://modern.ircdocs.horse/formatting
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["strip_formatting"]

_CODES: Final = re.compile(
    r"\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?"
    r"|[\x02\x0f\x11\x16\x1d\x1e\x1f]"
)


def strip_formatting(text: str) -> str:
    """Return ``text`` without formatting codes. Other control characters stay."""
    return _CODES.sub("", text)
