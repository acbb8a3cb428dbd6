from __future__ import annotations

import string

import pytest

from securechat.irc.message import Message
from securechat.irc.modes import PREFIXES
from securechat.irc.names import (
    CHANNEL_TYPES,
    clean_username,
    is_channel,
    is_channel_name,
    is_host,
    is_nick,
)

ALL_ASCII = [chr(code) for code in range(128)]


@pytest.mark.parametrize("name", ["alice", "A", "a1-", "[a]", "\\o_", "`a^{|}`", "_", "x" * 30])
def test_nick(name: str) -> None:
    assert is_nick(name, 30)


@pytest.mark.parametrize(
    "name",
    ["", "1a", "-a", "a.b", "a b", "é", "aé", "a\n", "a\0", "a:b", "a/b", "~a", "١", "x" * 31],  # noqa: RUF001
)
def test_not_a_nick(name: str) -> None:
    assert not is_nick(name, 30)


@pytest.mark.parametrize("name", ["a", "example.org", "user/alice", "2001:db8::1", "x" * 63])
def test_host(name: str) -> None:
    assert is_host(name, 63)


@pytest.mark.parametrize(
    "name", ["", ":a", "a b", "a!b", "a@b", "é", "a\n", "a*", "a?", "-", ".", "a.", "x" * 64]
)
def test_not_a_host(name: str) -> None:
    assert not is_host(name, 63)


@pytest.mark.parametrize("character", [*" ,*?!@.", *"$:"])
def test_characters_that_no_nick_has(character: str) -> None:
    """Modern IRC, of nicks: "MUST NOT contain any of the following characters: space, comma,
    asterisk, question mark, exclamation mark, at sign"; "SHOULD NOT contain any dot character".
    """
    assert not is_nick(f"a{character}b", 30)


@pytest.mark.parametrize("character", [*"$:", *CHANNEL_TYPES, *PREFIXES.values(), *string.digits])
def test_characters_that_no_nick_starts_with(character: str) -> None:
    """Modern IRC, of nicks: "MUST NOT start with any of the following characters: dollar, colon",
    nor "with a character listed as a channel type, channel membership prefix".
    """
    assert not is_nick(f"{character}ab", 30)


@pytest.mark.parametrize("name", ["#a", "##", "#café", "#a.b-c/d", "#[]", "#" + "é" * 31])
def test_channel_name(name: str) -> None:
    assert is_channel(name)
    assert is_channel_name(name, 63)


@pytest.mark.parametrize("name", ["", "#", "a", "&a", "a#", "#" + "x" * 63, "#" + "é" * 32])
def test_not_a_channel_name(name: str) -> None:
    assert not is_channel_name(name, 63)


@pytest.mark.parametrize("character", [" ", "\x07", ",", ":"])
def test_characters_that_no_channel_has(character: str) -> None:
    """Modern IRC: "it may not contain any spaces, a control G / `BELL`, or a comma"."""
    assert not is_channel_name(f"#a{character}b", 63)
    assert not is_channel_name(f"#a{character}", 63)


@pytest.mark.parametrize("code", [*range(0x21), *range(0x7F, 0xA0)])
def test_no_control_characters_in_channels(code: int) -> None:
    """Those above 0x7f too: 0x9b starts an escape sequence on a terminal."""
    assert not is_channel_name(f"#a{chr(code)}b", 63)


def test_a_channel_name_can_be_encoded() -> None:
    assert not is_channel_name("#a\ud800", 63)


@pytest.mark.parametrize(
    ("target", "channel"), [("#a", True), ("#", True), ("a", False), ("&a", False), ("", False)]
)
def test_is_channel(target: str, channel: bool) -> None:
    assert is_channel(target) is channel


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("alice", "~alice"),
        ("a!b@c d", "~abcd"),
        ("first.last_1-x", "~first.las"),
        ("", "~user"),
        ("é!@", "~user"),
        ("~root", "~root"),
        ("abcdefghijkl", "~abcdefghi"),
    ],
)
def test_clean_username(name: str, clean: str) -> None:
    assert clean_username(name, 10) == clean


def test_a_clean_username_never_breaks_a_source() -> None:
    user = clean_username("".join(ALL_ASCII), 200)
    message = Message.parse(f":nick!{user}@host QUIT")
    assert message.source == f"nick!{user}@host"
    assert message.params == ()
    assert not set("!@ *?") & set(user)
