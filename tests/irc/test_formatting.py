from __future__ import annotations

import pytest

from securechat.irc.formatting import strip_formatting


@pytest.mark.parametrize("code", ["\x02", "\x0f", "\x11", "\x16", "\x1d", "\x1e", "\x1f"])
def test_toggles(code: str) -> None:
    assert strip_formatting(f"a {code}b{code} c{code}") == "a b c"


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("\x03text", "text"),
        ("\x03,text", ",text"),
        ("\x03,5text", ",5text"),
        ("\x033text", "text"),
        ("\x033,text", ",text"),
        ("\x033,4text", "text"),
        ("\x0303,04text", "text"),
        ("\x03123text", "3text"),
        ("\x033,456text", "6text"),
        ("\x03\x033\x03", ""),
        ("\x03٣text", "٣text"),
    ],
)
def test_colours(text: str, stripped: str) -> None:
    """formatting: "colors are represented as ASCII digits"; "If there are two ASCII digits
    available where a `<COLOR>` is allowed, then two characters MUST always be read for it".
    """
    assert strip_formatting(text) == stripped


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("\x04text", "text"),
        ("\x04FF00aatext", "text"),
        ("\x04FF00aa,00FF00text", "text"),
        ("\x04FF00aa,text", ",text"),
        ("\x04FF00text", "FF00text"),
    ],
)
def test_hex_colours(text: str, stripped: str) -> None:
    assert strip_formatting(text) == stripped


@pytest.mark.parametrize("text", ["", "plain", "a,1 2", "\x01ACTION\x01", "\x07\x1b[0m\t\x7fé"])
def test_other_characters_stay(text: str) -> None:
    assert strip_formatting(text) == text
