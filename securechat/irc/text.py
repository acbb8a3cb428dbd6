"""Text and its size in bytes: lines are limited in bytes, and characters must stay whole."""

from __future__ import annotations

__all__ = ["cut_text", "split_text"]


def cut_text(text: str, limit_bytes: int) -> str:
    """Return the longest start of ``text`` that takes at most ``limit_bytes`` in UTF-8."""
    if len(text) * 4 <= limit_bytes:
        return text
    data = text.encode()
    return text if len(data) <= limit_bytes else data[:limit_bytes].decode(errors="ignore")


def split_text(text: str, limit_bytes: int) -> list[str]:
    """Split ``text`` into pieces of at most ``limit_bytes`` (≥ 4), between words where possible.

    Joined with the spaces that were cut at, the pieces are the text again.
    """
    pieces = []
    while len(text.encode()) > limit_bytes:
        piece = cut_text(text, limit_bytes)
        space = piece.rfind(" ")
        if text[len(piece)] == " ":
            text = text[len(piece) + 1 :]
        elif space > 0:
            text = text[space + 1 :]
            piece = piece[:space]
        else:
            text = text[len(piece) :]
        pieces.append(piece)
    pieces.append(text)
    return pieces
