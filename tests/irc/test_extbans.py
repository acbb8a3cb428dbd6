from __future__ import annotations

import pytest

from securechat.irc.extbans import covers, is_mute, normalise_list_mask

SOURCE = "Alice!~al@host.example"


@pytest.mark.parametrize(
    ("mask", "whole"),
    [
        ("bob", "bob!*@*"),
        ("*@host", "*!*@host"),
        ("a:bob", "a:bob"),
        ("m:bob", "m:bob!*@*"),
        ("m:*@host", "m:*!*@host"),
        ("m:a:bob", "m:a:bob"),
        ("M:A:Bob", "m:a:Bob"),
        ("m:m:m:bob", "m:bob!*@*"),
        ("x:bob", "x:bob!*@*"),
    ],
)
def test_normalise(mask: str, whole: str) -> None:
    assert normalise_list_mask(mask) == whole
    assert normalise_list_mask(whole) == whole


@pytest.mark.parametrize(
    ("mask", "account", "covered"),
    [
        ("alice!*@*", None, True),
        ("m:ALICE!*@*", None, True),
        ("bob!*@*", "alice", False),
        ("a:alice", "Alice", True),
        ("a:ALICE", "alice", True),
        ("a:alice", None, False),
        ("a:alice", "bob", False),
        ("a:al", "alice", False),
        ("a:al*", "alice", True),
        ("a:*", "bob", True),
        ("a:*", None, False),
        ("m:a:alice", "alice", True),
        ("m:a:alice", None, False),
    ],
)
def test_covers(mask: str, account: str | None, covered: bool) -> None:
    """account-extban: "Servers MUST support matching exact account names. Servers MAY support
    matching account masks"."""
    assert covers(mask, SOURCE, account) is covered


def test_mutes() -> None:
    assert is_mute("m:a:bob")
    assert not is_mute("a:bob")
    assert not is_mute("m!*@*")
