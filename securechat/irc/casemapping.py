"""Which names are equal: nicks and channel names are compared after folding.

https://modern.ircdocs.horse/#casemapping-parameter
"""

from __future__ import annotations

import string
import unicodedata
from functools import lru_cache
from typing import Final, Literal

__all__ = ["Casemapping", "fold"]

Casemapping = Literal["ascii", "rfc1459", "rfc1459-strict", "precis"]
"""``precis`` is RFC 8265 as far as small letters: enough to recognise what a server sends."""

_ASCII: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_TABLES: Final = {
    "ascii": _ASCII,
    "rfc1459": _ASCII | str.maketrans("[]\\^", "{}|~"),
    "rfc1459-strict": _ASCII | str.maketrans("[]\\", "{}|"),
}


_REMEMBERED: Final = 8_192
"""Names whose folded form is remembered: those of the people in a few large rooms. Some
megabytes at the worst."""


@lru_cache(_REMEMBERED)
def fold(name: str, casemapping: Casemapping = "ascii") -> str:
    """Return the form of ``name`` that equal names share."""
    if casemapping == "precis":
        return unicodedata.normalize("NFC", name.lower())
    return name.translate(_TABLES[casemapping])
