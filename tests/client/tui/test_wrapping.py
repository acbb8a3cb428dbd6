from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.tui.wrapping import cells, fit, wrap

FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
ACCENTED = "e\N{COMBINING ACUTE ACCENT}"


def lines(text: str, width: int, indent: int = 0) -> list[str]:
    return [text[start:end] for start, end in wrap(text, width, indent)]


@pytest.mark.parametrize(
    ("text", "width", "wrapped"),
    [
        ("", 5, [""]),
        ("   ", 5, [""]),
        ("one two", 7, ["one two"]),
        ("one two", 6, ["one", "two"]),
        ("one  two", 5, ["one", "two"]),
        ("  code  of two", 9, ["  code", "of two"]),
        ("one\n\ntwo", 9, ["one", "", "two"]),
        ("a longword b", 4, ["a", "long", "word", "b"]),
        ("世界世界", 5, ["世界", "世界"]),
        ("a 世界", 4, ["a", "世界"]),
        (f"{FAMILY}{FAMILY}", 3, [FAMILY, FAMILY]),
        (ACCENTED * 4, 2, [ACCENTED * 2, ACCENTED * 2]),
        ("世界", 1, ["世", "界"]),  # no room at all
    ],
)
def test_lines_break_between_words(text: str, width: int, wrapped: list[str]) -> None:
    assert lines(text, width) == wrapped


def test_all_lines_but_the_first_are_narrower() -> None:
    assert lines("aaaa bbbb cc", 7, indent=3) == ["aaaa", "bbbb", "cc"]
    assert lines("abcdefghij\nklmno", 6, indent=2) == ["abcdef", "ghij", "klmn", "o"]


@given(
    st.text(alphabet=st.sampled_from([*"ab \n", "世", "\N{COMBINING ACUTE ACCENT}", "👍"])),
    st.integers(2, 12),
    st.integers(0, 6),
)
def test_nothing_is_lost_or_too_wide(text: str, width: int, indent: int) -> None:
    wrapped = lines(text, width, indent)
    assert "".join("".join(wrapped).split()) == "".join(text.split())
    assert all(cells(line) <= width for line in wrapped[:1])
    assert all(cells(line) <= max(width - indent, 2) for line in wrapped[1:])


@pytest.mark.parametrize(
    ("text", "width", "fitted"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("a word", 3, "a…"),
        ("世界世界", 5, "世界…"),
        ("世界世界", 4, "世…"),
        ("longer", 1, "…"),
    ],
)
def test_what_does_not_fit_ends_in_an_ellipsis(text: str, width: int, fitted: str) -> None:
    assert fit(text, width) == fitted
