"""Masks: ``*`` for any run of characters, ``?`` for one, in ``nick!user@host``.

https://modern.ircdocs.horse/#wildcard-expressions
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from securechat.irc.casemapping import fold

__all__ = ["matches", "normalise_mask"]

_CACHED_MASKS: Final = 4096
"""Compiled masks kept, in masks: the ban lists of the busiest rooms; a miss costs microseconds."""


def normalise_mask(mask: str) -> str:
    """Complete a mask: ``bob`` → ``bob!*@*``, ``*@host`` → ``*!*@host``, ``a!b`` → ``a!b@*``."""
    nick_user, at, host = mask.partition("@")
    nick, bang, user = nick_user.partition("!")
    if at and not bang:
        nick, user = "*", nick
    return f"{nick or '*'}!{user or '*'}@{host or '*'}"


def matches(mask: str, text: str) -> bool:
    """Whether ``mask`` covers the whole of ``text``, both folded by ASCII rules.

    At worst linear in the length of ``text`` for each ``*``: no mask can make it exponential.
    """
    return _compile(fold(mask)).fullmatch(fold(text)) is not None


@lru_cache(maxsize=_CACHED_MASKS)
def _compile(mask: str) -> re.Pattern[str]:
    # An atomic ".*?literal" step never goes back behind a "*" that has matched: the leftmost place
    # for each piece is as good as any other, so backtracking could find nothing more.
    pieces = [
        "".join("." if c == "?" else re.escape(c) for c in piece)
        for piece in re.sub(r"\*+", "*", mask).split("*")
    ]
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1])
    return re.compile(f"{pieces[0]}{middle}.*{pieces[-1]}", re.DOTALL)
