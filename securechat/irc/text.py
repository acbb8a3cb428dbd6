"""Text and its size in bytes: lines are limited in bytes, and characters must stay whole."""

from __future__ import annotations

from typing import Final

from securechat.errors import LocalProtocolError

__all__ = ["cut_text", "split_text"]

_CHARACTER_BYTES: Final = 4
"""Most bytes of a character in UTF-8."""


def cut_text(text: str, limit_bytes: int) -> str:
    """Return the longest start of ``text`` that takes at most ``limit_bytes`` in UTF-8."""
    if len(text) * _CHARACTER_BYTES <= limit_bytes:
        return text
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    return data[: max(limit_bytes, 0)].decode(errors="ignore")


def split_text(text: str, limit_bytes: int) -> list[str]:
    """Split ``text`` into pieces of at most ``limit_bytes``, between words where possible.

    Joined with the spaces that were cut at, the pieces are the text again. Only an empty text has
    an empty piece.

    :raises LocalProtocolError: the limit is below 4 bytes: not every character would fit.
    """
    if limit_bytes < _CHARACTER_BYTES:
        raise LocalProtocolError("there is no room for a text")
    pieces = []
    while len(text.encode()) > limit_bytes:
        piece = cut_text(text, limit_bytes)
        space = piece.rfind(" ")
        if text[len(piece)] == " " and len(piece) + 1 < len(text):
            text = text[len(piece) + 1 :]
        elif space > 0:
            text = text[space + 1 :]
            piece = piece[:space]
        else:
            text = text[len(piece) :]
        pieces.append(piece)
    pieces.append(text)
    return pieces
