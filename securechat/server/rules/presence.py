"""Whether a person is there: each of their devices may be away.

https://modern.ircdocs.horse/#away-message, https://ircv3.net/specs/extensions/pre-away
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.rules.rule import Rule
from securechat.server.state import User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "say_away"]

_WITHOUT_TEXT: Final = "*"
"""The text of a device that is away "for an unspecified reason"."""

_NOT_HERE: Final = "Not here at the moment"
"""What others are shown then: "Servers MAY substitute a human-readable message for the *"."""


def set_away(network: Network, event: events.SetAway) -> list[Effect]:
    """Mark a device as away, or back."""
    user = network.sessions[event.stamp.session]
    return say_away(network, event.stamp, user, event.text)


def say_away(network: Network, stamp: Stamp, user: User, text: str) -> list[Effect]:
    """Note ``text`` for the session of ``stamp``; return what others see change.

    Somebody is away when all their devices are; what is shown then is the text of the last one that
    gave one.
    """
    user.away_texts.pop(stamp.session, None)
    if text:
        user.away_texts[stamp.session] = text
    before, user.away = user.away, _shown(user)
    if user.away == before:
        return []
    audience, watchers = network.audience(user), network.watching(user.nick)
    return [effects.AwayChanged(stamp, user, user.author, audience, watchers)]


def _shown(user: User) -> str:
    if len(user.away_texts) < len(user.sessions):
        return ""
    texts = [text for text in user.away_texts.values() if text != _WITHOUT_TEXT]
    return texts[-1] if texts else _NOT_HERE


RULES: Final[Mapping[type[Event], Rule]] = {events.SetAway: set_away}
"""The rule of each event."""
