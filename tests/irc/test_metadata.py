from __future__ import annotations

import pytest

from securechat.irc.metadata import is_key


@pytest.mark.parametrize("key", ["avatar", "a", "x.y/z-0_9", "k" * 64])
def test_keys(key: str) -> None:
    """ "Key names are restricted to the ranges a-z, 0-9, and _./-." """
    assert is_key(key)


@pytest.mark.parametrize("key", ["", "Avatar", "$url$", "a b", "a:b", "é", "a\n", "k" * 65])
def test_no_keys(key: str) -> None:
    assert not is_key(key)
