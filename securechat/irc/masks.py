"""Masks: ``*`` for any run of characters, ``?`` for one, in ``nick!user@host``.

There is no escape: neither character is legal in a nick, and a backslash is.

https://modern.ircdocs.horse/#wildcard-expressions
"""

from __future__ import annotations

__all__ = ["matches", "normalise_mask"]


def normalise_mask(mask: str) -> str:
    """Complete a mask: ``bob`` → ``bob!*@*``, ``*@host`` → ``*!*@host``, ``a!b`` → ``a!b@*``."""
    nick_user, at, host = mask.partition("@")
    nick, bang, user = nick_user.partition("!")
    if at and not bang:
        nick, user = "*", nick
    return f"{nick or '*'}!{user or '*'}@{host or '*'}"


def matches(mask: str, text: str) -> bool:
    """Whether ``mask`` covers the whole of ``text``, capital and small letters being the same.

    About one step for each of their characters: no mask can make it slow. Nothing is compiled or
    cached, so masks that come from others cost no memory either.
    """
    first, *pieces = mask.lower().split("*")
    text = text.lower()
    if not pieces:
        return len(first) == len(text) and _fits(first, text, 0)
    last = pieces.pop()
    start, end = len(first), len(text) - len(last)
    if start > end or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    # The leftmost place for each piece is as good as any other: there is no way back to try.
    for piece in pieces:
        found = _find(piece, text, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


def _find(piece: str, text: str, start: int, end: int) -> int:
    if "?" not in piece:
        return text.find(piece, start, end)
    # Shift-And: bit n of ``state`` says that the first n + 1 characters of the piece fit to here.
    # To try each place by itself takes the product of the lengths, and strangers choose both.
    anything = sum(1 << n for n, c in enumerate(piece) if c == "?")
    fitting: dict[str, int] = {}
    for n, c in enumerate(piece):
        if c != "?":
            fitting[c] = fitting.get(c, anything) | 1 << n
    state, whole = 0, 1 << (len(piece) - 1)
    for place in range(start, end):
        state = (state << 1 | 1) & fitting.get(text[place], anything)
        if state & whole:
            return place - len(piece) + 1
    return -1


def _fits(piece: str, text: str, place: int) -> bool:
    if "?" not in piece:
        return text.startswith(piece, place)
    there = text[place : place + len(piece)]
    return all(c in ("?", d) for c, d in zip(piece, there, strict=True))
