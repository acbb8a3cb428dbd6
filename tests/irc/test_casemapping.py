from __future__ import annotations

import pytest

from securechat.irc.casemapping import Casemapping, fold


@pytest.mark.parametrize("casemapping", ["ascii", "rfc1459", "rfc1459-strict"])
@pytest.mark.parametrize(
    ("left", "right", "equal_in"),
    [
        ("Dan", "dAN", {"ascii", "rfc1459", "rfc1459-strict"}),
        ("AZ", "az", {"ascii", "rfc1459", "rfc1459-strict"}),
        ("a[b]", "A{B}", {"rfc1459", "rfc1459-strict"}),
        ("a\\b", "a|b", {"rfc1459", "rfc1459-strict"}),
        ("a~b", "a^b", {"rfc1459"}),
        ("a@b", "a`b", set()),
        ("a_b", "a\x7fb", set()),
        ("É", "é", set()),
        ("İ", "i", set()),
        ("\u212a", "k", set()),  # the Kelvin sign, which str.lower() makes a "k"
        ("ß", "ss", set()),
    ],
)
def test_which_names_are_equal(
    casemapping: Casemapping, left: str, right: str, equal_in: set[str]
) -> None:
    """Modern IRC: `ascii` "Defines the characters `a` to `z` to be considered the lower-case
    equivalents of the characters `A` to `Z` only"; `rfc1459` adds "`'{'`, `'}'`, `'|'`, and `'^'`";
    "in rfc1459-strict, `'^'` and `'~'` are not casefolded".
    """
    assert (fold(left, casemapping) == fold(right, casemapping)) is (casemapping in equal_in)


def test_the_relay_uses_ascii() -> None:
    assert fold("ALICE[1]\\~É") == "alice[1]\\~É"


def test_as_far_as_small_letters_for_precis() -> None:
    """What a client makes of the names that a server of RFC 8265 sends."""
    assert fold("ÄNNCHEN[]", "precis") == fold("a\u0308nnchen[]", "precis") == "ännchen[]"
    assert fold("ß", "precis") != fold("ss", "precis")
