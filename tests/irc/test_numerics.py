from __future__ import annotations

import re

from securechat.irc import numerics
from securechat.irc.numerics import ERROR_TEXTS

NUMERICS = {
    name: value for name, value in vars(numerics).items() if name.startswith(("RPL_", "ERR_"))
}
ERRORS = {value for name, value in NUMERICS.items() if name.startswith("ERR_")}


def test_three_digits() -> None:
    """Modern IRC: "a numeric reply MUST ... use a three-digit numeric as the command"."""
    assert [v for v in NUMERICS.values() if not re.fullmatch("[0-9]{3}", v)] == []


def test_no_number_is_used_twice() -> None:
    assert len(set(NUMERICS.values())) == len(NUMERICS) > 100


def test_each_error_has_a_text_and_nothing_else_has() -> None:
    assert ERROR_TEXTS.keys() == ERRORS


def test_texts_fit_in_a_line() -> None:
    for text in ERROR_TEXTS.values():
        assert 0 < len(text) < 100
        assert text.isascii()
        assert text.isprintable()
