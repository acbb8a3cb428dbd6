"""The rules of all events in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from securechat.server.events import Event
from securechat.server.rules import (
    accounts,
    always_on,
    bans,
    belonging,
    channels,
    messages,
    metadata,
    modes,
    monitors,
    operators,
    peers,
    presence,
    read_markers,
    redactions,
    relays,
    settings,
    user_modes,
    users,
)
from securechat.server.rules.rule import Rule

__all__ = ["RULES"]

RULES: Final[Mapping[type[Event], Rule]] = {
    **accounts.RULES,
    **always_on.RULES,
    **users.RULES,
    **user_modes.RULES,
    **operators.RULES,
    **bans.RULES,
    **channels.RULES,
    **belonging.RULES,
    **modes.RULES,
    **messages.RULES,
    **metadata.RULES,
    **monitors.RULES,
    **peers.RULES,
    **presence.RULES,
    **settings.RULES,
    **read_markers.RULES,
    **redactions.RULES,
    **relays.RULES,
}
"""The rule of every event."""
