"""Where a network is, as a person types or pastes it.

Links that bring the CA and an invitation with them are another thing, with a scheme of their own:
see ``invitation``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from securechat.client.client import DEFAULT_PORT
from securechat.client.words.translation import _, explain
from securechat.errors import ConfigError, PkiError
from securechat.irc.names import is_channel_name
from securechat.pki import parse_host

__all__ = ["ROOM_BYTES", "Address", "check_host", "parse_address"]

ROOM_BYTES: Final = 200
"""The longest name of a room in a link: that of RFC 1459, section 1.3, longer than any in use."""

_PLACE: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([^:]*))?")
"""``HOST``, ``HOST:PORT`` or ``[IPv6]:PORT``."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a network is. Immutable. ``host`` is as in ``check_host``, ``room`` may be empty."""

    host: str
    port: int = DEFAULT_PORT
    room: str = ""


def parse_address(text: str) -> Address:
    """Return what ``text`` says: ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT``, or a link such as
    ``ircs://HOST:PORT/#room``, of which port and room may be missing. Spaces around it are dropped.

    :raises ConfigError: it is none of these; the text says what is wrong.
    """
    scheme, is_link, rest = text.strip().partition("://")
    if not is_link:
        return Address(*_parse_place(scheme))
    if scheme.lower() == "irc":
        raise ConfigError(
            [_("irc:// is plain text, and this chat never is: use ircs://, with TLS")]
        )
    if scheme.lower() != "ircs":
        raise ConfigError([_("not a link to a chat: it begins with ircs:// or securechat://")])
    place, _slash, room = rest.partition("/")
    return Address(*_parse_place(place), _parse_room(room))


def check_host(host: str) -> str:
    """Return ``host`` as certificates and the resolver know it: an IP address without brackets, or
    a DNS name in lower case, in its ``xn--`` form where it is not ASCII.

    :raises ConfigError: it is neither.
    """
    try:
        return str(parse_host(host).value)
    except PkiError as error:
        raise ConfigError([explain(error)]) from error


def _parse_place(place: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(place)
    if found is None:
        raise ConfigError(
            [_("not an address: write HOST or HOST:PORT, an IPv6 address as [::1]:6697")]
        )
    host, port = found.groups()
    return check_host(host), DEFAULT_PORT if port is None else _parse_port(port)


def _parse_port(port: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ConfigError([_("the port must be a number from 1 to 65535")])
    return int(port)


def _parse_room(room: str) -> str:
    if not room:
        return ""
    name = unquote_to_bytes(room).decode(errors="replace")
    # "?" begins the key of the room in some links: as part of its name it would be seen by all.
    if "?" in room or "\N{REPLACEMENT CHARACTER}" in name or not is_channel_name(name, ROOM_BYTES):
        raise ConfigError([_("after the address a link names one room, such as /#room")])
    return name
