from __future__ import annotations

import pytest

from securechat.irc.ctcp import format_ctcp, parse_ctcp

CANONICAL = [
    ("\x01ACTION waves\x01", ("ACTION", "waves")),
    ("\x01VERSION\x01", ("VERSION", "")),
    ("\x01PING 1473523796 918320\x01", ("PING", "1473523796 918320")),
    ("\x01ACTION  two  spaces \x01", ("ACTION", " two  spaces ")),
]


@pytest.mark.parametrize(("text", "parts"), CANONICAL)
def test_both_ways(text: str, parts: tuple[str, str]) -> None:
    assert parse_ctcp(text) == parts
    assert format_ctcp(*parts) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("\x01action waves\x01", ("ACTION", "waves")),
        ("\x01ACTION \x01", ("ACTION", "")),
        ("\x01ACTION \x02bold\x02\x01", ("ACTION", "\x02bold\x02")),
    ],
)
def test_parse(text: str, parts: tuple[str, str]) -> None:
    assert parse_ctcp(text) == parts


def test_last_delimiter_may_be_missing() -> None:
    """CTCP: "The final `<delim>` MUST be sent, but parsers SHOULD accept incoming messages which
    lack it (particularly for `CTCP ACTION`)".
    """
    assert parse_ctcp("\x01ACTION waves") == ("ACTION", "waves")
    assert parse_ctcp("\x01VERSION") == ("VERSION", "")
    assert parse_ctcp("\x01X") == ("X", "")


@pytest.mark.parametrize(
    "text", ["", "hello", "\x01", "\x01\x01", "\x01 \x01", "\x01 ACTION a\x01", "a\x01ACTION b\x01"]
)
def test_plain(text: str) -> None:
    """CTCP: "The entire message body must consist of either a CTCP message or plain text"."""
    assert parse_ctcp(text) is None
