"""An invite link as a client takes it: where it leads, and what it is worth there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from securechat.client.relays import check_host
from securechat.client.settings.address import Address
from securechat.errors import InviteLinkError
from securechat.invite_link import InviteLink, is_invite_link, parse_invite_link

__all__ = ["Invitation", "invite_code", "is_invite_link", "read_invitation"]

_PREFIX: Final = "invite:"
"""What stands before a token where an e-mail address might be."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invite link that has been read. Immutable."""

    link: InviteLink
    address: Address

    @property
    def code(self) -> str:
        """What makes an account at the server, in the place of an e-mail address."""
        return f"{_PREFIX}{self.link.token}"


def read_invitation(text: str) -> Invitation:
    """Return the invitation that is in a link.

    :raises InviteLinkError: it is no invite link, or a damaged one.
    :raises ConfigError: the host that it names cannot be one.
    """
    link = parse_invite_link(text)
    return Invitation(link, Address(check_host(link.host), link.port, link.room))


def invite_code(text: str, relays: Collection[str]) -> str:
    """Return what makes an account at one of the ``relays`` (each ``HOST:PORT`` in lower case) of a
    chat, for what a person has entered: a code or an e-mail address, which stay as they are, or an
    invite link.

    :raises InviteLinkError: the link is damaged, or for a relay that is none of these, which alone
        must see its token.
    :raises ConfigError: the host that it names cannot be one.
    """
    text = text.strip()
    if not is_invite_link(text):
        return text
    invitation = read_invitation(text)
    place = invitation.address.place
    if place not in relays:
        raise InviteLinkError("this invite is for another server: {place}", place=place)
    return invitation.code
