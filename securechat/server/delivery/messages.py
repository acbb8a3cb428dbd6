"""Messages to lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc.modes import PREFIXES
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Lines, message_lines, to_origin
from securechat.server.delivery.table import Deliverers
from securechat.server.rules.ranks import at_least

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS"]


def _channel_message(delivery: Delivery, effect: effects.ChannelMessage, context: Context) -> None:
    lines = _lines(effect, effect.channel.name)
    delivery.to_channel(effect.channel, lines, skip=context.origin)
    _echo(lines, effect.kind, context)


def _status_message(delivery: Delivery, effect: effects.StatusMessage, context: Context) -> None:
    lines = _lines(effect, PREFIXES[effect.least] + effect.channel.name)
    ranked = {
        member.user
        for member in effect.channel.members.values()
        if at_least(member.ranks, effect.least)
    }
    sessions = delivery.sessions(*ranked | {effect.sender})
    delivery.to_sessions([s for s in sessions if s is not context.origin], lines)
    _echo(lines, effect.kind, context)


def _direct_message(delivery: Delivery, effect: effects.DirectMessage, context: Context) -> None:
    lines = _lines(effect, effect.recipient.nick)
    # The copy for a message to oneself carries no label: it does not go through the context.
    delivery.to_sessions(delivery.sessions(effect.recipient), lines)
    if effect.recipient is not effect.sender:
        others = [s for s in delivery.sessions(effect.sender) if s is not context.origin]
        delivery.to_sessions(others, lines)
    _echo(lines, effect.kind, context)


def _echo(lines: Lines, kind: str, context: Context) -> None:
    wanted = caps.ECHO_MESSAGE | (caps.MESSAGE_TAGS if kind == "TAGMSG" else 0)
    if context.origin is not None and context.origin.caps & wanted == wanted:
        to_origin(lines, context)


def _refused(delivery: Delivery, effect: effects.Refused, context: Context) -> None:
    if context.origin is not None:
        context.refuse(effect.refusal)


def _lines(
    effect: effects.ChannelMessage | effects.StatusMessage | effects.DirectMessage, target: str
) -> Lines:
    return message_lines(effect.stamp, effect.author, effect.kind, target, effect.text, effect.tags)


DELIVERERS: Final[Deliverers] = {
    effects.ChannelMessage: _channel_message,
    effects.StatusMessage: _status_message,
    effects.DirectMessage: _direct_message,
    effects.Refused: _refused,
}
"""What delivers each effect."""
