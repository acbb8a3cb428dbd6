"""Whether a person is there: each of their devices may be away, and all may be gone.

An account can be *always on*: its user, if the nick is the account's name, stays on the network and
in its rooms while no device is attached. What a restart must find is kept as a setting.

https://modern.ircdocs.horse/#away-message, https://ircv3.net/specs/extensions/pre-away
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.rules.rule import Rule
from securechat.server.rules.settings import change_value
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = [
    "ALWAYS_ON",
    "PRESENCE",
    "RULES",
    "forget_presence",
    "keep_presence",
    "say_away",
    "show_away",
    "stays",
]

ALWAYS_ON: Final = "always-on"
"""The setting by which a person chooses: "on", "off", or nothing for what the relay has."""

PRESENCE: Final = "presence"
"""The setting that holds who is to be restored, as the fields of ``Restore`` in JSON."""

_WITHOUT_TEXT: Final = "*"
"""The text of a device that is away "for an unspecified reason"."""

_NOT_HERE: Final = "Not here at the moment"
"""What others are shown then: "Servers MAY substitute a human-readable message for the *"."""


def set_away(network: Network, event: events.SetAway) -> list[Effect]:
    """Mark a device as away, or back."""
    user = network.sessions[event.stamp.session]
    return say_away(network, event.stamp, user, event.text)


def say_away(network: Network, stamp: Stamp, user: User, text: str) -> list[Effect]:
    """Note ``text`` for the session of ``stamp``; return what others see change."""
    user.away_texts.pop(stamp.session, None)
    if text:
        user.away_texts[stamp.session] = text
    return show_away(network, stamp, user)


def show_away(network: Network, stamp: Stamp, user: User) -> list[Effect]:
    """Have others see whether ``user`` is away; return what they see change.

    Somebody is away when all their devices are, or have gone; what is shown then is the text of the
    last one that gave one.
    """
    before, user.away = user.away, _shown(user)
    if user.away == before:
        return []
    audience, watchers = network.audience(user), network.watching(user.nick)
    return [effects.AwayChanged(stamp, user, user.author, audience, watchers)]


def stays(network: Network, user: User) -> bool:
    """Whether ``user`` stays on the network when no device is attached."""
    if user.account is None or network.fold(user.account) != network.fold(user.nick):
        return False
    wish = network.setting(user.account, ALWAYS_ON)
    if network.limits.always_on == "opt-in":
        return wish == "on"
    return network.limits.always_on == "opt-out" and wish != "off"


def keep_presence(network: Network, stamp: Stamp, user: User) -> list[Effect]:
    """Keep for a restart that ``user`` is there; does nothing if they would not stay."""
    if user.account is None or not stays(network, user):
        return []
    kept = {
        "username": user.username,
        "realname": user.realname,
        "cloak": user.cloak,
        "gone_ms": user.gone_ms,
    }
    return change_value(network, stamp, user.account, PRESENCE, json.dumps(kept))


def forget_presence(network: Network, stamp: Stamp, user: User) -> list[Effect]:
    """Keep that the user of the account of ``user``, which has its nick, is there no more."""
    if user.account is None or network.fold(user.account) != network.fold(user.nick):
        return []
    return change_value(network, stamp, user.account, PRESENCE, "")


def _shown(user: User) -> str:
    if len(user.away_texts) < len(user.sessions):
        return ""
    texts = [text for text in user.away_texts.values() if text != _WITHOUT_TEXT]
    return texts[-1] if texts else _NOT_HERE


RULES: Final[Mapping[type[Event], Rule]] = {events.SetAway: set_away}
"""The rule of each event."""
