from __future__ import annotations

import time

import pytest

from securechat.irc.masks import matches, normalise_mask

SOURCE = "alice!~al@host.example"


@pytest.mark.parametrize(
    "mask",
    [
        "*",
        "**",
        "*!*@*",
        "alice!~al@host.example",
        "ALICE!~AL@HOST.EXAMPLE",
        "alice!*@*",
        "*!*@host.example",
        "*!*@*.example",
        "*!*@host.*",
        "a*e!~*@h*t.e*e",
        "?????!~??@host.example",
        "a?ice!*@*",
        "*?!*@*?",
        "*a*l*i*c*e*",
        "*ice!~al@ho*",
        "alice!~al@host.example*",
        "*alice!~al@host.example",
        "*??ice*",
        "*h?st*ex?mple",
    ],
)
def test_matches(mask: str) -> None:
    assert matches(mask, SOURCE)


@pytest.mark.parametrize(
    "mask",
    [
        "",
        "?",
        "alice",
        "bob!*@*",
        "alice!~al@host.exampl",
        "lice!~al@host.example",
        "alice!~al@host.example?",
        "?alice!~al@host.example",
        "*!*@*.exampl",
        "*alice",
        "host.example*",
        "??????!*@*",
        "*a*l*i*c*e*c*",
        "alice!~al@host.examplehost.example",
        "alice!*!~al@host.example",
        "*.example*.example",
        "*h??st*",
    ],
)
def test_does_not_match(mask: str) -> None:
    assert not matches(mask, SOURCE)


@pytest.mark.parametrize(
    ("mask", "text", "match"),
    [
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?c", "abbc", False),
        ("a*c", "ac", True),
        ("a*c", "abc", True),
        ("a*c", "abbbc", True),
        ("a*c", "abcd", False),
        ("x*?b*b", "xabb", True),
        ("x*?b*b", "xab", False),
        ("", "", True),
        ("*", "", True),
        ("?", "", False),
    ],
)
def test_wildcards(mask: str, text: str, match: bool) -> None:
    """Modern IRC: "`('?', 0x3F)` to match one and only one character, and `('*', 0x2A)` to match
    any number of any characters".
    """
    assert matches(mask, text) is match


@pytest.mark.parametrize("character", "\\.[](){}^$+|-#&~ \n\r\té🎉")
def test_other_characters_stand_for_themselves(character: str) -> None:
    assert matches(f"a{character}b", f"a{character}b")
    assert matches(f"*{character}*", f"a{character}b")
    assert matches("a?b", f"a{character}b")
    assert not matches(f"a{character}b", "axb")


def test_capital_and_small_letters_are_the_same() -> None:
    assert matches("alice!*", "ALICE!x")
    assert matches("[A]*É", "[a]xÉ")
    assert matches("É*", "éx")  # there may be such nicks
    assert not matches("[a]*", "{a}x")


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        ("*a" * 255, "a" * 254 + "b"),
        ("*a?b" * 127, "a" * 510),
        ("*?a?b" * 60, "a" * 510),
        ("*a*b" * 127, "ab" * 126 + "a" * 258),
        ("*" + "a?" * 120 + "b", "a" * 510),
        ("*" + "?" * 250 + "b", "a" * 510),
        ("*" + "a" * 255 + "?b", "a" * 510),
        ("?*" * 255, "a" * 254),
    ],
)
def test_no_mask_takes_long(mask: str, text: str) -> None:
    before = time.thread_time()
    for _ in range(100):  # as many as a channel's lists have
        assert not matches(mask, text)
    assert time.thread_time() - before < 1


@pytest.mark.parametrize(
    ("mask", "complete"),
    [
        ("bob", "bob!*@*"),
        ("*@host", "*!*@host"),
        ("user@host", "*!user@host"),
        ("a!b", "a!b@*"),
        ("a!", "a!*@*"),
        ("!b@", "*!b@*"),
        ("@host", "*!*@host"),
        ("a!b@c", "a!b@c"),
        ("a!b@c@d", "a!b@c@d"),
        ("*", "*!*@*"),
        ("", "*!*@*"),
        ("b?b*", "b?b*!*@*"),
    ],
)
def test_normalise_mask(mask: str, complete: str) -> None:
    assert normalise_mask(mask) == complete
    assert normalise_mask(complete) == complete
