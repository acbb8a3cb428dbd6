"""RFC 8265, OpaqueString: passwords are compared as prepared. More cases are in test_sasl.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import LocalProtocolError
from securechat.irc.sasl import PASSWORD_BYTES, prepare_password


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [
        ("Correct Horse", "Correct Horse"),  # RFC 8265, 4.3: case is kept
        ("\u03c0\u00df\u00e5", "\u03c0\u00df\u00e5"),
        ("Jack of \u2666s", "Jack of \u2666s"),
        ("foo\u1680bar", "foo bar"),  # "OGHAM SPACE MARK is mapped to SPACE"
        ("a\u00a0b\u2003c\u3000d", "a b c d"),
        ("\u2163", "\u2163"),  # NFC, not NFKC: the Roman numeral four stays one character
        (" ", " "),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),  # an emoji of three
    ],
)
def test_prepared(typed: str, prepared: str) -> None:
    assert prepare_password(typed) == prepared


def test_two_spellings_of_one_password_are_one() -> None:
    assert prepare_password("caf\u00e9\u00a01") == prepare_password("cafe\u0301 1") == "caf\u00e9 1"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "empty"),
        ("my cat is a \u0009by", "control characters"),  # RFC 8265, 4.3, the example of a tab
        ("line\nbreak", "control characters"),
        ("nul\0", "control characters"),
        ("del\x7f", "control characters"),
        ("c1\x85", "control characters"),
        ("line\u2028separator", "control characters"),
        ("half \ud83d", "unknown characters"),
        ("no character \uffff", "unknown characters"),
        ("private \ue000", "unknown characters"),
        ("x" * (PASSWORD_BYTES + 1), "longer than 300 bytes"),
        ("\u00e9" * (PASSWORD_BYTES // 2 + 1), "longer than 300 bytes"),
    ],
)
def test_refused_with_a_reason_that_does_not_quote_it(typed: str, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason) as caught:
        prepare_password(typed)
    assert not typed or typed not in str(caught.value)


def test_the_limit_is_counted_after_preparation() -> None:
    # 150 times three bytes, which become two each.
    assert len(prepare_password("e\u0301" * 150).encode()) == PASSWORD_BYTES


@given(st.text(max_size=400))
def test_preparing_any_text_refuses_it_or_is_stable(text: str) -> None:
    try:
        prepared = prepare_password(text)
    except LocalProtocolError:
        return
    assert prepare_password(prepared) == prepared
    assert 0 < len(prepared.encode()) <= PASSWORD_BYTES
