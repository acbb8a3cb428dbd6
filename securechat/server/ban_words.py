"""Bans as people write and read them: durations, masks, and what they are told.

No specification: K-lines and D-lines are as in most servers. A duration is written like in Ergo and
InspIRCd (``1d12h``); a number without a unit means minutes, as where ``KLINE`` comes from.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

from securechat.errors import SecureChatError
from securechat.irc.masks import normalise_mask
from securechat.server.addresses import parse_ip_range
from securechat.server.bans import Ban
from securechat.server.cloak import CLOAK_SUFFIX
from securechat.server.events import BanKind

__all__ = [
    "DURATION_MOST_S",
    "WIDEST_PREFIXES",
    "BadBan",
    "farewell",
    "normalise_ban_mask",
    "parse_duration",
    "until",
]

_UNITS: Final[Mapping[str, int]] = {
    "y": 365 * 86_400,
    "mo": 30 * 86_400,
    "w": 7 * 86_400,
    "d": 86_400,
    "h": 3_600,
    "m": 60,
    "s": 1,
}
"""What each unit of a duration is, in seconds."""

_PART: Final = re.compile(r"(\d{1,9})(mo|[ywdhms])")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_MINUTES: Final = re.compile(r"\d{1,9}")

DURATION_MOST_S: Final = 100 * _UNITS["y"]
"""Longest duration, in seconds: nobody will wait for it to end."""

WIDEST_PREFIXES: Final[Mapping[int, int]] = {4: 8, 6: 16}
"""Shortest prefix of a banned network, by IP version: no provider has a larger one, and some slips
of the hand are kept from banning half the world."""

_MASK_BYTES: Final = 128
"""Longest mask, as in the lists of channels: nick, user name and host have no more."""

_TELLS_NOBODY_APART: Final = frozenset("*?!@.:~")
"""What a mask may be made of and still cover about everybody."""


class BadBan(SecureChatError):
    """What somebody has given is no ban, or one that nobody can want."""


def parse_duration(text: str) -> int | None:
    """Return the seconds that ``text`` says, 0 for ever; ``None`` if it is no duration.

    :raises BadBan: it is longer than ``DURATION_MOST_S``.
    """
    if not text.isascii():
        return None
    lowered = text.lower()
    if _MINUTES.fullmatch(lowered):
        seconds = int(lowered) * _UNITS["m"]
    elif _DURATION.fullmatch(lowered):
        seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(lowered))
    else:
        return None
    if seconds > DURATION_MOST_S:
        raise BadBan("a ban lasts for 100 years at most; without a duration it has no end")
    return seconds


def normalise_ban_mask(kind: BanKind, text: str) -> str:
    """Return the mask of a ban in its final form.

    :raises BadBan: it is malformed, or would ban everybody, or whoever runs the relay.
    """
    return _normalise_network(text) if kind == "D" else _normalise_mask(text)


def _normalise_mask(text: str) -> str:
    if not text or text.startswith(":") or not text.isprintable() or " " in text:
        raise BadBan("a mask has no spaces: nick!user@host, with * and ?")
    mask = normalise_mask(text)
    if len(mask.encode()) > _MASK_BYTES:
        raise BadBan("a mask has {most} bytes at most", most=_MASK_BYTES)
    if _TELLS_NOBODY_APART.issuperset(mask.lower().removesuffix(CLOAK_SUFFIX)):
        raise BadBan("{mask} would ban everybody", mask=mask)
    return mask


def _normalise_network(text: str) -> str:
    try:
        network = parse_ip_range(text)
    except ValueError:
        raise BadBan("this is neither an IP address nor a network like 192.0.2.0/24") from None
    if network.is_loopback:
        raise BadBan("loopback cannot be banned: whoever runs the relay must get in")
    widest = WIDEST_PREFIXES[network.version]
    if network.prefixlen < widest:
        raise BadBan(
            "{mask} would ban too many: /{widest} is the widest", mask=network, widest=widest
        )
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if single else network)


def until(ban: Ban) -> str:
    """Return when the ban ends, as people read it."""
    if ban.expires_ms is None:
        return "without an end"
    return f"until {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(ban.expires_ms // 1000))}"


def farewell(reason: str) -> str:
    """Return what is said to whom a ban with that reason keeps out."""
    return f"You are banned from this relay: {reason}"
