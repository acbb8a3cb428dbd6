"""Messages of several lines as one text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.irc.multiline import (
    Piece,
    combined_text,
    cut_pieces,
    is_multiline,
    join_pieces,
    split_pieces,
)

line_texts = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]))
pieces = st.lists(st.builds(Piece, line_texts, st.booleans()), min_size=1, max_size=9)


@given(pieces)
def test_pieces_survive(given_pieces: list[Piece]) -> None:
    """Only the first loses its mark: there is nothing that it could be joined to."""
    first, *rest = given_pieces
    text = join_pieces(given_pieces)
    assert split_pieces(text) == [Piece(first.text), *rest]
    assert is_multiline(text) == bool(rest)


@pytest.mark.parametrize(
    ("given_pieces", "combined"),
    [
        ([Piece("hello")], "hello"),
        (
            [Piece("hello"), Piece(""), Piece("how is "), Piece("you?", True)],
            "hello\n\nhow is you?",
        ),
        ([Piece("a"), Piece("b", True), Piece("c", True)], "abc"),
        ([Piece(""), Piece("a"), Piece("")], "\na\n"),
    ],
)
def test_the_combined_text(given_pieces: list[Piece], combined: str) -> None:
    r""" "Line messages are joined by a single line feed (\n) byte unless the
    draft/multiline-concat message tag is sent, in which case that line's message is directly joined
    with the previous line's message with no separation." "No line feed is appended to the final
    line message of a batch." """
    assert combined_text(join_pieces(given_pieces)) == combined


@given(st.lists(line_texts, min_size=1, max_size=5), st.integers(4, 40))
def test_cut_lines_are_whole_again(lines: list[str], limit: int) -> None:
    found = cut_pieces(lines, limit)
    assert combined_text(join_pieces(found)) == "\n".join(lines)
    assert all(len(piece.text.encode()) <= limit for piece in found)
    assert not any(piece.concat and not piece.text for piece in found)


def test_lines_are_cut_behind_a_space() -> None:
    """ "split long lines between words where possible and leave the space character at the end of
    the line" """
    assert cut_pieces(["how is everyone?", "", "abcdefghijkl"], 8) == [
        Piece("how is "),
        Piece("everyone", True),
        Piece("?", True),
        Piece(""),
        Piece("abcdefgh"),
        Piece("ijkl", True),
    ]
