"""Ranks in a channel: who may do what, and to whom.

Founder (``q``) stands over admin (``a``), operator (``o``), half-op (``h``) and voice (``v``):

- a founder does everything, and alone makes and unmakes founders and admins
- admins and operators give and take the ranks from operator down, and set all modes
- half-ops give and take voice, set the lists of masks and the topic, invite, and put out people
- nobody puts out, or takes a rank from, one who stands higher; an admin no admin and a half-op no
  half-op either; anybody may step down

https://modern.ircdocs.horse/#channel-membership-prefixes
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from securechat.irc import numerics
from securechat.irc.modes import CHANNEL_MODES, PREFIXES
from securechat.server.refusals import Refusal
from securechat.server.state import Channel, User

__all__ = [
    "at_least",
    "check_may_change",
    "check_outranks",
    "check_rank",
    "may_give",
    "outranks",
]

_LEVELS: Final[Mapping[str, int]] = {
    letter: len(PREFIXES) - place for place, letter in enumerate(PREFIXES)
}

_GIVEN_BY: Final[Mapping[str, str]] = {"q": "q", "a": "q", "o": "o", "h": "o", "v": "h"}
"""Rank → the lowest rank that may give and take it."""

_NOT_BELOW: Final = "Their rank is not below yours"

_ABOVE_EQUALS: Final = {_LEVELS["o"], _LEVELS["q"]}
"""Those who may act against others of their own level."""


def _level(ranks: Iterable[str]) -> int:
    """Return the level of the highest of ``ranks``, 0 for none."""
    return max((_LEVELS[letter] for letter in ranks), default=0)


def at_least(ranks: Iterable[str], least: str) -> bool:
    """Whether the highest of ``ranks`` is ``least`` or stands over it."""
    return _level(ranks) >= _LEVELS[least]


def may_give(ranks: Iterable[str], letter: str) -> bool:
    """Whether somebody with ``ranks`` may give and take the rank ``letter``."""
    return at_least(ranks, _GIVEN_BY[letter])


def outranks(mine: Iterable[str], theirs: Iterable[str]) -> bool:
    """Whether somebody with the ranks ``mine`` may act against somebody with ``theirs``."""
    above, below = _level(mine), _level(theirs)
    return above > below or (above == below and above in _ABOVE_EQUALS)


def check_rank(channel: Channel, user: User, least: str) -> None:
    """Refuse unless ``user`` has the rank ``least`` in ``channel``, or a higher one."""
    if not at_least(channel.ranks(user), least):
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name)


def check_may_change(channel: Channel, user: User, letter: str) -> None:
    """Refuse unless ``user`` may change the mode ``letter`` of ``channel``, a rank or another."""
    is_list = CHANNEL_MODES.kind(letter) == "list"
    check_rank(channel, user, _GIVEN_BY.get(letter, "h" if is_list else "o"))


def check_outranks(channel: Channel, user: User, target: User) -> None:
    """Refuse unless ``user`` may act against ``target``, both members of ``channel``."""
    if user is not target and not outranks(channel.ranks(user), channel.ranks(target)):
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name, text=_NOT_BELOW)
