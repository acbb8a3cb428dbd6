"""MARKREAD: how far one has read, told to all of one's devices.

https://ircv3.net/specs/extensions/read-marker
"""

from __future__ import annotations

from typing import Final

from securechat.irc.message import Message
from securechat.irc.names import is_channel
from securechat.server.commands.history import parse_timestamp
from securechat.server.context import Context, as_middle
from securechat.server.delivery.read_markers import marker_params
from securechat.server.dispatch import command
from securechat.server.events import MarkRead
from securechat.server.refusals import Fail
from securechat.server.visibility import sees_channel

__all__: list[str] = []

_MOST: Final = 10_000
"""Targets of one account, far above what people talk to: each stays in memory."""

_TIMESTAMP: Final = "timestamp="


@command("MARKREAD")
def markread(context: Context, message: Message) -> None:
    """MARKREAD <channel or nick> [timestamp=<time>].

    See how far you have read, or tell your other devices; clients do this by themselves.
    """
    if not message.params or not message.params[0]:
        raise Fail("MARKREAD", "NEED_MORE_PARAMS", text="Missing parameters")
    limits, network = context.services.config.limits, context.services.network
    target = message.params[0]
    if is_channel(target):
        legal = network.names.is_channel_name(target, limits.channel_length)
    else:
        legal = network.names.is_nick(target, limits.nick_length)
    if not legal:
        raise _invalid(target)
    channel = network.find_channel(target)
    seen = channel is not None and sees_channel(context.user, channel)
    name = channel.name if channel is not None and seen else target
    if len(message.params) < 2:
        _tell(context, name)
        return
    text = message.params[1]
    read_ms = parse_timestamp(text.removeprefix(_TIMESTAMP))
    if read_ms is None or not text.startswith(_TIMESTAMP):
        raise _invalid(text)
    markers = network.markers(context.user)
    if len(markers) >= _MOST and network.fold(target) not in markers:
        text = "The read timestamp could not be set: there are too many"
        raise Fail("MARKREAD", "INTERNAL_ERROR", name, text=text)
    context.propose(MarkRead(context.stamp(), name, read_ms), lambda: _tell(context, name))


def _tell(context: Context, name: str) -> None:
    context.send("MARKREAD", *marker_params(context.services.network, context.user, name))


def _invalid(given: str) -> Fail:
    return Fail("MARKREAD", "INVALID_PARAMS", as_middle(given), text="Invalid parameters")
