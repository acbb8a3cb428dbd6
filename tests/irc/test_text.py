from __future__ import annotations

import pytest

from securechat.errors import LocalProtocolError
from securechat.irc.text import cut_text, split_text


@pytest.mark.parametrize(
    ("text", "limit_bytes", "cut"),
    [
        ("", 0, ""),
        ("hello", 10, "hello"),
        ("hello", 5, "hello"),
        ("hello", 4, "hell"),
        ("hello", 0, ""),
        ("hello", -2, ""),
        ("", -2, ""),
        ("né", 3, "né"),
        ("né", 2, "n"),
        ("€uro", 3, "€"),
        ("€uro", 2, ""),
        ("🎉!", 4, "🎉"),
        ("🎉!", 3, ""),
        ("a🎉", 4, "a"),
    ],
)
def test_cut_text(text: str, limit_bytes: int, cut: str) -> None:
    assert cut_text(text, limit_bytes) == cut


@pytest.mark.parametrize(
    ("text", "limit_bytes", "pieces"),
    [
        ("", 4, [""]),
        ("one two", 7, ["one two"]),
        ("one two", 6, ["one", "two"]),
        ("one two three", 8, ["one two", "three"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 6, ["one", "two", "three"]),
        ("onetwothree", 4, ["onet", "woth", "ree"]),
        ("one  two", 5, ["one ", "two"]),
        (" onetwo", 4, [" one", "two"]),
        ("aaaa bb", 4, ["aaaa", "bb"]),
        ("aaaa ", 4, ["aaaa", " "]),
        ("aaaa b", 4, ["aaaa", "b"]),
        ("a bbbbb", 4, ["a", "bbbb", "b"]),
        ("bb aa ", 5, ["bb", "aa "]),
        ("éééé", 5, ["éé", "éé"]),
        ("🎉🎉", 4, ["🎉", "🎉"]),
    ],
)
def test_split_text(text: str, limit_bytes: int, pieces: list[str]) -> None:
    assert split_text(text, limit_bytes) == pieces


@pytest.mark.parametrize("limit_bytes", [3, 0, -1])
def test_no_room_for_a_text(limit_bytes: int) -> None:
    with pytest.raises(LocalProtocolError):
        split_text("🎉", limit_bytes)
