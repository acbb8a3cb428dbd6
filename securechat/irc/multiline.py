r"""Messages of several lines, as one text.

Inside the relay a multiline message is one text: its *pieces*, as the sender's client has cut them,
are joined by ``"\n"`` where a line begins, and by ``"\r"`` where the line goes on
(``draft/multiline-concat``). Neither can be in a line of IRC, so nothing is lost, and a text with
neither is an ordinary message.

https://ircv3.net/specs/extensions/multiline
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from securechat.irc.text import cut_text

__all__ = [
    "BATCH_TYPE",
    "CONCAT_TAG",
    "Piece",
    "combined_text",
    "cut_pieces",
    "is_multiline",
    "join_pieces",
    "split_pieces",
]

BATCH_TYPE: Final = "draft/multiline"
"""The type of the batch, and the capability."""

CONCAT_TAG: Final = "draft/multiline-concat"
"""The tag of a piece that goes on where the last one ended."""

_LINE: Final = "\n"
_CONCAT: Final = "\r"
_JOINT: Final = re.compile(f"([{_LINE}{_CONCAT}])")


class Piece(NamedTuple):
    """One line of the batch. Immutable."""

    text: str
    concat: bool = False
    """Whether it goes on where the last piece ended."""


def is_multiline(text: str) -> bool:
    """Whether ``text`` has more than one piece."""
    return _LINE in text or _CONCAT in text


def join_pieces(pieces: Iterable[Piece]) -> str:
    """Return the text of ``pieces``; ``split_pieces`` undoes it.

    The first has nothing to be joined to: its ``concat`` means nothing.
    """
    joined = "".join((_CONCAT if concat else _LINE) + text for text, concat in pieces)
    return joined[1:]


def split_pieces(text: str) -> list[Piece]:
    """Return the pieces of ``text``; one, of an ordinary message."""
    first, *rest = _JOINT.split(text)
    joints, texts = rest[::2], rest[1::2]
    return [
        Piece(first),
        *(Piece(piece, joint == _CONCAT) for joint, piece in zip(joints, texts, strict=True)),
    ]


def combined_text(text: str) -> str:
    """Return what people read: the "combined message value", with a line feed between lines."""
    return text.replace(_CONCAT, "")


def cut_pieces(lines: Iterable[str], limit_bytes: int) -> list[Piece]:
    """Return the pieces of a message of ``lines``, each of at most ``limit_bytes``, 4 or more.

    A line is cut between words where possible, behind the space: nothing is lost, and who gets the
    pieces by themselves does not see one begin with a space.
    """
    pieces = []
    for line in lines:
        concat = False
        while len(line.encode()) > limit_bytes:
            piece = cut_text(line, limit_bytes)
            piece = piece[: piece.rfind(" ") + 1] or piece
            pieces.append(Piece(piece, concat))
            line, concat = line[len(piece) :], True
        pieces.append(Piece(line, concat))
    return pieces
