"""Messages to lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line, to_origin
from securechat.server.delivery.table import Deliverers

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS"]


def _channel_message(delivery: Delivery, effect: effects.ChannelMessage, context: Context) -> None:
    line = _message(effect, effect.channel.name)
    delivery.to_channel(effect.channel, line, skip=context.session)
    _echo(line, effect.kind, context)


def _direct_message(delivery: Delivery, effect: effects.DirectMessage, context: Context) -> None:
    line = _message(effect, effect.recipient.nick)
    # The copy for a message to oneself carries no label: it does not go through the context.
    delivery.to_sessions(delivery.sessions(effect.recipient), line)
    if effect.recipient is not effect.sender:
        others = [s for s in delivery.sessions(effect.sender) if s is not context.session]
        delivery.to_sessions(others, line)
    _echo(line, effect.kind, context)


def _echo(line: Line, kind: str, context: Context) -> None:
    wanted = caps.ECHO_MESSAGE | (caps.MESSAGE_TAGS if kind == "TAGMSG" else 0)
    if context.session.caps & wanted == wanted:
        to_origin(line, context)


def _refused(delivery: Delivery, effect: effects.Refused, context: Context) -> None:
    context.refuse(effect.refusal)


def _message(effect: effects.ChannelMessage | effects.DirectMessage, target: str) -> Line:
    tag_only = effect.kind == "TAGMSG"
    body = f":{effect.author.source} {effect.kind} {target}"
    return Line(
        effect.stamp,
        effect.author,
        body if tag_only else f"{body} :{effect.text}",
        effect.tags,
        caps.MESSAGE_TAGS if tag_only else 0,
    )


DELIVERERS: Final[Deliverers] = {
    effects.ChannelMessage: _channel_message,
    effects.DirectMessage: _direct_message,
    effects.Refused: _refused,
}
"""What delivers each effect."""
