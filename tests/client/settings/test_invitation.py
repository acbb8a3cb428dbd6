from __future__ import annotations

import pytest

from securechat.client.settings.address import Address
from securechat.client.settings.invitation import invite_code, read_invitation
from securechat.errors import ConfigError, InviteLinkError

LINK = "securechat://Chat.Example.org:7000/#token=t,room=%23friends"


def test_where_a_link_leads() -> None:
    invitation = read_invitation(LINK)
    assert invitation.address == Address("chat.example.org", 7000, "#friends")
    assert invitation.code == "invite:t"


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("securechat://chat.example.org", InviteLinkError),
        ("securechat://[::::]/#token=t", ConfigError),
        ("securechat://chat_.example.org/#token=t", ConfigError),
    ],
)
def test_what_leads_nowhere(link: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        read_invitation(link)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ""),
        (" abc ", "abc"),
        ("invite:abc", "invite:abc"),
        ("ann@example.org", "ann@example.org"),
        (f"\n{LINK} ", "invite:t"),
    ],
)
def test_what_makes_an_account(text: str, code: str) -> None:
    assert invite_code(text, {"b.example.org:1", "chat.example.org:7000"}) == code


@pytest.mark.parametrize("relay", ["chat.example.org:6697", "example.org:7000"])
def test_no_token_for_another_relay(relay: str) -> None:
    with pytest.raises(InviteLinkError, match=r"another server: chat.example.org:7000"):
        invite_code(LINK, {relay, "b.example.org:7000"})
