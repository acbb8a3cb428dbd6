"""Redactions: who may delete what was said.

One may delete what one has said oneself; in a channel its operators, and those of the relay, may
delete what others have said.

https://ircv3.net/specs/extensions/message-redaction
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.names import is_channel
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Refusal
from securechat.server.rules.messages import silenced_by
from securechat.server.rules.ranks import at_least
from securechat.server.rules.rule import Rule
from securechat.server.state import Channel, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "may_redact"]


def may_redact(channel: Channel | None, user: User, *, own: bool) -> bool:
    """Whether ``user`` may delete a message in ``channel`` (``None``: a direct one)."""
    if channel is None or own:
        return own
    return "o" in user.modes or at_least(channel.ranks(user), "o")


def redact_message(network: Network, event: events.RedactMessage) -> list[Effect]:
    """Delete a message."""
    user = network.sessions[event.stamp.session]
    channel = recipient = None
    if is_channel(event.target):
        channel = network.find_channel(event.target)
        if channel is None:
            raise Refusal(numerics.ERR_NOSUCHCHANNEL, event.target)
    else:
        recipient = network.find_user(event.target)
    if not may_redact(channel, user, own=event.own):
        raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, event.target)
    if channel is not None and silenced_by(channel, user):
        event = replace(event, reason="")
    return [effects.Redacted(event.stamp, channel, recipient, user, user.author, event)]


RULES: Final[Mapping[type[Event], Rule]] = {events.RedactMessage: redact_message}
"""The rule of each event."""
