"""Messages: who may say what where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from securechat.irc import numerics
from securechat.irc.ctcp import has_request
from securechat.irc.modes import lowest_rank
from securechat.irc.names import is_channel
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event
from securechat.server.refusals import Refusal
from securechat.server.rules.rule import Rule
from securechat.server.rules.user_modes import check_may_write
from securechat.server.state import Channel, User

if TYPE_CHECKING:
    from securechat.server.network import Network

__all__ = ["RULES", "silenced_by"]


def send_message(network: Network, event: events.SendMessage) -> list[Effect]:
    """Say something to a channel or a user."""
    user = network.sessions[event.stamp.session]
    target = event.target
    if is_channel(target):
        channel = _speak_in(network, event, user, target)
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
    least, name = lowest_rank(target)
    if least and is_channel(name):
        return _send_to_ranks(network, event, user, least, name)
    recipient = network.nicks.get(network.fold(target))
    if recipient is None:
        raise Refusal(numerics.ERR_NOSUCHNICK, target)
    check_may_write(user, recipient)
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


def _send_to_ranks(
    network: Network, event: events.SendMessage, user: User, least: str, name: str
) -> list[Effect]:
    channel = _speak_in(network, event, user, name)
    return [
        effects.StatusMessage(
            event.stamp,
            channel,
            least,
            user,
            user.author,
            event.kind,
            event.text,
            event.tags,
        )
    ]


def _speak_in(network: Network, event: events.SendMessage, user: User, name: str) -> Channel:
    """Return the channel in which ``user`` speaks, and may."""
    channel = network.channels.get(network.fold(name))
    if channel is None:
        raise Refusal(numerics.ERR_NOSUCHCHANNEL, name)
    _check_may_speak(channel, user, event)
    user.active_ms = event.stamp.at_ms
    return channel


def silenced_by(channel: Channel, user: User) -> str:
    """Return the mode that forbids ``user`` to speak in ``channel``, empty if none does.

    It forbids all words of theirs that others there would read, whatever the command.
    """
    member, modes = channel.members.get(user.id), channel.modes
    if member is not None and member.ranks:
        return ""
    if "m" in modes:
        return "m"
    if user.account is None and ("R" in modes or "M" in modes):
        return "R" if "R" in modes else "M"
    return "b" if channel.muted(user) else ""


def _check_may_speak(channel: Channel, user: User, event: events.SendMessage) -> None:
    name, modes = channel.name, channel.modes
    member = channel.members.get(user.id)
    if member is None and "n" in modes:
        raise Refusal(numerics.ERR_CANNOTSENDTOCHAN, name, text="Cannot send to channel (+n)")
    if "C" in modes and has_request(event.text):
        raise Refusal(numerics.ERR_CANNOTSENDTOCHAN, name, text="Cannot send to channel (+C)")
    match silenced_by(channel, user):
        case "m":
            raise Refusal(numerics.ERR_CANNOTSENDTOCHAN, name, text="Cannot send to channel (+m)")
        case "R":
            raise Refusal(numerics.ERR_CANNOTSENDTOCHAN, name, text="Cannot send to channel (+R)")
        case "M":
            raise Refusal(numerics.ERR_CANNOTSENDTOCHAN, name, text="Cannot send to channel (+M)")
        case "b":
            raise Refusal(numerics.ERR_CANNOTSENDTOCHAN, name, text="Cannot send to channel (+b)")


RULES: Final[Mapping[type[Event], Rule]] = {events.SendMessage: send_message}
"""The rule of each event."""
