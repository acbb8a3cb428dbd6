"""Where a network is, as a person types or pastes it.

Links that bring the CA and an invitation with them are another thing, with a scheme of their own:
see ``invitation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from securechat.client.relays import DEFAULT_PORT, RelayAddress, check_host, parse_relay
from securechat.client.words.translation import _
from securechat.errors import ConfigError
from securechat.irc.names import is_channel_name
from securechat.net.listener import format_address

__all__ = ["ROOM_BYTES", "Address", "check_host", "parse_address"]

ROOM_BYTES: Final = 200
"""The longest name of a room in a link: that of RFC 1459, section 1.3, longer than any in use."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a network is. Immutable. ``host`` is as in ``check_host``, ``room`` may be empty.

    ``others``: further relays of it.
    """

    host: str
    port: int = DEFAULT_PORT
    room: str = ""
    others: tuple[RelayAddress, ...] = ()

    @property
    def place(self) -> str:
        """The address, of several relays the first, as ``HOST:PORT``."""
        return format_address(self.host, self.port)

    @property
    def places(self) -> str:
        """The addresses of all relays, with commas between them."""
        return ", ".join((self.place, *map(str, self.others)))


def parse_address(text: str) -> Address:
    """Return what ``text`` says: ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT``, several of these with
    commas between them, or a link such as ``ircs://HOST:PORT/#room``, of which port and room may be
    missing. Spaces around each are dropped.

    :raises ConfigError: it is none of these; the text says what is wrong.
    """
    scheme, is_link, rest = text.strip().partition("://")
    if not is_link:
        first, *others = (parse_relay(place.strip()) for place in scheme.split(","))
        return Address(first.host, first.port, others=tuple(others))
    if scheme.lower() == "irc":
        raise ConfigError(
            [_("irc:// is plain text, and this chat never is: use ircs://, with TLS")]
        )
    if scheme.lower() != "ircs":
        raise ConfigError([_("not a link to a chat: it begins with ircs:// or securechat://")])
    place, _slash, room = rest.partition("/")
    relay = parse_relay(place)
    return Address(relay.host, relay.port, _parse_room(room))


def _parse_room(room: str) -> str:
    if not room:
        return ""
    name = unquote_to_bytes(room).decode(errors="replace")
    # "?" begins the key of the room in some links: as part of its name it would be seen by all.
    if "?" in room or "\N{REPLACEMENT CHARACTER}" in name or not is_channel_name(name, ROOM_BYTES):
        raise ConfigError([_("after the address a link names one room, such as /#room")])
    return name
