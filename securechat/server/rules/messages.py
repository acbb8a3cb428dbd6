"""Messages: who may say what where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.names import is_channel
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Refusal
from securechat.server.rules.rule import Rule
from securechat.server.state import Channel, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES"]


def send_message(network: Network, event: events.SendMessage) -> list[Effect]:
    """Say something to a channel or a user."""
    user = network.sessions[event.stamp.session]
    target = event.target
    if is_channel(target):
        channel = network.channels.get(network.fold(target))
        if channel is None:
            raise Refusal(numerics.ERR_NOSUCHCHANNEL, target)
        _check_may_speak(channel, user)
        user.active_ms = event.stamp.at_ms
        return [
            effects.ChannelMessage(
                event.stamp,
                channel,
                user.author,
                event.kind,
                event.text,
                event.tags,
            )
        ]
    recipient = network.nicks.get(network.fold(target))
    if recipient is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, target)
    user.active_ms = event.stamp.at_ms
    return [
        effects.DirectMessage(
            event.stamp,
            recipient,
            user,
            user.author,
            event.kind,
            event.text,
            event.tags,
        )
    ]


def _check_may_speak(channel: Channel, user: User) -> None:
    member = channel.members.get(user.id)
    if member is None and "n" in channel.modes:
        raise Refusal(
            numerics.ERR_CANNOTSENDTOCHAN, channel.name, text="Cannot send to channel (+n)"
        )
    if member is not None and member.ranks:
        return
    if "m" in channel.modes:
        raise Refusal(
            numerics.ERR_CANNOTSENDTOCHAN, channel.name, text="Cannot send to channel (+m)"
        )
    if channel.listed("b", user):
        raise Refusal(
            numerics.ERR_CANNOTSENDTOCHAN, channel.name, text="Cannot send to channel (+b)"
        )


RULES: Final[Mapping[type[Event], Rule]] = {events.SendMessage: send_message}
"""The rule of each event."""
