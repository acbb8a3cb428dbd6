"""What one user may see of others."""

from __future__ import annotations

import pytest

from securechat.server.visibility import (
    sees_channel,
    sees_details,
    sees_user,
    shown_address,
    shown_channels,
)
from tests.server.network_transcripts import Chat

SCENE = """
    >> 1 attach ann
    >> 2 attach bob
    >> 3 attach carl
    >> 4 attach root
    >> 4 oper
    << umode root: +o
    >> 1 join #open
    << joined #open ann
    >> 1 join #hidden
    << joined #hidden ann
    >> 1 mode #hidden +s
    << mode #hidden by ann: +s
    >> 2 join #hidden
    << joined #hidden bob
"""

INVISIBLE = """
    >> 1 umode +i
    << umode ann: +i
"""


def channels(chat: Chat, asker: str) -> list[str]:
    return [channel.name for channel in shown_channels(chat.user(asker), chat.user("ann"))]


def test_a_secret_channel() -> None:
    """ "the channel is hidden from those who are not in it", but not from operators."""
    chat = Chat()
    chat.play(SCENE)
    seeing = {nick: sees_channel(chat.user(nick), chat.channel("#hidden")) for nick in NICKS}
    assert seeing == {"ann": True, "bob": True, "carl": False, "root": True}
    assert channels(chat, "carl") == ["#open"]
    assert channels(chat, "bob") == channels(chat, "root") == ["#open", "#hidden"]


NICKS = ("ann", "bob", "carl", "root")


def test_an_invisible_user() -> None:
    """ "If a user is set to 'invisible', they will not show up (…) unless they share a channel" """
    chat = Chat()
    chat.play(SCENE)
    assert all(sees_user(chat.user(nick), chat.user("ann")) for nick in NICKS)
    chat.play(INVISIBLE)
    seeing = {nick: sees_user(chat.user(nick), chat.user("ann")) for nick in NICKS}
    assert seeing == {"ann": True, "bob": True, "carl": False, "root": True}
    assert channels(chat, "carl") == []
    assert channels(chat, "bob") == ["#hidden"]
    assert channels(chat, "ann") == channels(chat, "root") == ["#open", "#hidden"]


def test_details_are_for_oneself_and_operators() -> None:
    chat = Chat()
    chat.play(SCENE)
    seeing = {nick: sees_details(chat.user(nick), chat.user("ann")) for nick in NICKS}
    assert seeing == {"ann": True, "bob": False, "carl": False, "root": True}


@pytest.mark.parametrize(
    ("address", "shown"),
    [("192.0.2.1", "192.0.2.1"), ("::1", "0::1"), ("2001:db8::", "2001:db8::")],
)
def test_addresses(address: str, shown: str) -> None:
    """ "IPv6 addresses such as "::1" are prefixed with a zero" """
    assert shown_address(address) == shown
