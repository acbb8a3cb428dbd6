from __future__ import annotations

import pytest

from securechat.errors import LocalProtocolError
from securechat.irc.tags import client_only, format_tags, parse_tags

# Value and escaped value, both ways.
ESCAPES = {
    "semicolon": (";", r"\:"),
    "space": (" ", r"\s"),
    "backslash": ("\\", r"\\"),
    "cr": ("\r", r"\r"),
    "lf": ("\n", r"\n"),
    "colon": (":", ":"),
    "equals sign": ("a=b=c", "a=b=c"),
    "not ascii": ("é\u2028", "é\u2028"),
    "looks like an escape": (r"\s", r"\\s"),
    "backslash before an escape": ("\\;", r"\\\:"),
    "all": (r"raw+:=,escaped; " + "\\", r"raw+:=,escaped\:\s\\"),
}


@pytest.mark.parametrize(("value", "escaped"), ESCAPES.values(), ids=ESCAPES)
def test_escapes(value: str, escaped: str) -> None:
    assert format_tags({"key": value}) == f"key={escaped}"
    assert parse_tags(f"key={escaped}") == {"key": value}


def test_lone_backslash_at_the_end() -> None:
    r"""message-tags: "the escaped value `test\` should unescape to `test`"."""
    assert parse_tags("a=test\\") == {"a": "test"}


@pytest.mark.parametrize(("escaped", "value"), [(r"\b", "b"), (r"\é\1\=", "é1="), (r"\S", "S")])
def test_invalid_escape(escaped: str, value: str) -> None:
    r"""message-tags: "If a `\` exists with no valid escape character (for example, `\b`), then the
    invalid backslash SHOULD be dropped".
    """
    assert parse_tags(f"a={escaped}") == {"a": value}


def test_empty_value_is_a_missing_one() -> None:
    """message-tags: "Implementations MUST interpret empty tag values (e.g. `foo=`) as equivalent
    to missing tag values (e.g. `foo`)".
    """
    assert parse_tags("foo=") == parse_tags("foo") == {"foo": ""}


def test_missing_value_is_not_made_an_empty_one() -> None:
    """message-tags: "MUST NOT convert values from missing to empty, to prevent size limit
    issues".
    """
    assert format_tags(parse_tags("foo;bar=")) == "foo;bar"


def test_names_are_case_sensitive() -> None:
    """message-tags: "MUST treat tag key names as case-sensitive opaque identifiers"."""
    assert parse_tags("a=1;A=2") == {"a": "1", "A": "2"}


@pytest.mark.parametrize(
    ("data", "tags"),
    [
        ("", {}),
        (";", {}),
        ("=", {}),
        ("=x;a", {"a": ""}),
        ("a==b", {"a": "=b"}),
        ("aaa=bbb;ccc;example.com/ddd=eee", {"aaa": "bbb", "ccc": "", "example.com/ddd": "eee"}),
    ],
)
def test_parse(data: str, tags: dict[str, str]) -> None:
    assert parse_tags(data) == tags


def test_order_is_kept() -> None:
    """message-tags: "Any server-sent tags attached to messages MUST be included before client-only
    tags": they stay where the caller puts them.
    """
    assert format_tags({"time": "1", "msgid": "2", "+a": "3"}) == "time=1;msgid=2;+a=3"


@pytest.mark.parametrize("key", ["", "a b", "a;b", "a=b"])
def test_names_that_would_not_survive(key: str) -> None:
    with pytest.raises(LocalProtocolError):
        format_tags({"good": "1", key: "2"})


def test_client_only() -> None:
    """message-tags: "Tags without the client-only prefix MUST be removed by the server before being
    relayed with any message to another client".
    """
    tags = parse_tags(r"+typing=active;time=1;+example.com/a=x\sy;batch=2;+;a+b=3;+c")
    assert client_only(tags) == {"+typing": "active", "+example.com/a": "x y", "+c": ""}


@pytest.mark.parametrize(
    ("denied", "left"),
    [
        ("", "abc"),
        ("a", "bc"),
        ("a,c", "b"),
        ("*", ""),
        ("*,-a", "a"),
        ("*,-a,-c", "ac"),
        ("d", "abc"),
    ],
)
def test_denied_client_only_tags(denied: str, left: str) -> None:
    """message-tags: "a comma separated list of blocked client-only tags. The client-only prefix (+)
    is omitted" "An asterisk indicates that all client-only tags are blocked" "A hyphen indicates
    that a block is negated" """
    tags = {"+a": "1", "+b": "2", "+c": "3", "d": "4"}
    assert "".join(key[1:] for key in client_only(tags, denied)) == left
