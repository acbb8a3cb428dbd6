from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.words.safe_text import make_safe

MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain text", "plain text"),
        ("grüße, 世界 👋🏽", "grüße, 世界 👋🏽"),
        ("\x02bold\x02 \x0304,12red\x03 \x1ditalic", "bold red italic"),
        ("a\tb", "a b"),
        ("\x1b]0;owned\x07x", f"{MARK}]0;owned{MARK}x"),  # OSC: the title of the window
        ("\x1b[2J", f"{MARK}[2J"),
        ("\x9b2J", f"{MARK}2J"),  # CSI as one C1 character
        ("\x90q\x9c", f"{MARK}q{MARK}"),  # DCS
        ("x\ry", f"x{MARK}y"),
        ("x\ny", f"x{MARK}y"),
        ("a\x08b\x7fc\x00d", f"a{MARK}b{MARK}c{MARK}d"),
        ("\u202ereversed\u202c", f"{MARK}reversed{MARK}"),
        ("\u2066isolate\u2069", f"{MARK}isolate{MARK}"),
        ("ali\u200bce", f"ali{MARK}ce"),
        ("ali\u200dce", f"ali{MARK}ce"),
        ("\ufeffx\u00ady", f"{MARK}x{MARK}y"),
        ("x\u2028y\u2029z", f"x{MARK}y{MARK}z"),
        ("x\U000e0041\U000e0042y", f"x{MARK}y"),  # tags, which nobody sees
        ("\u3164\u2800", MARK),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # Persian
        ("\ud800", MARK),
    ],
)
def test_make_safe(text: str, safe: str) -> None:
    assert make_safe(text) == safe


@given(st.text())
def test_nothing_unsafe_gets_through(text: str) -> None:
    for character in make_safe(text):
        if character not in "\u200c\u200d":
            assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
