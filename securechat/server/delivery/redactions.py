"""Deleted messages to lines.

https://ircv3.net/specs/extensions/message-redaction
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line, to_origin
from securechat.server.delivery.table import Deliverers
from securechat.server.state import Author

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery

__all__ = ["DELIVERERS", "redact_body"]

_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def redact_body(source: str, target: str, msgid: str, reason: str) -> str:
    """Return the line of a redaction, without tags."""
    return f":{source} REDACT {target} {msgid}" + (f" :{reason}" if reason else "")


def _redacted(delivery: Delivery, effect: effects.Redacted, context: Context) -> None:
    event, channel = effect.event, effect.channel
    if channel is not None:
        target = channel.name
        sessions = delivery.members(channel)
    else:
        users = [user for user in (effect.recipient, effect.sender) if user is not None]
        target = event.target if effect.recipient is None else effect.recipient.nick
        sessions = delivery.sessions(*dict.fromkeys(users))
    line = Line(
        effect.stamp,
        effect.author,
        redact_body(effect.author.source, target, event.msgid, event.reason),
    )
    others = [session for session in sessions if session is not context.origin]
    delivery.to_sessions(others, line, caps.MESSAGE_REDACTION)
    # "MUST not forward this REDACT to target recipients that have not negotiated this capability"
    older = [session for session in others if not session.caps & caps.MESSAGE_REDACTION]
    relay = Author(context.services.name, None)
    notice = Line(
        effect.stamp._replace(msgid=""),
        relay,
        f":{relay.source} NOTICE {target} :{_notice(effect)}",
    )
    delivery.to_sessions(older, notice)
    origin = context.origin
    # "in the same way as PRIVMSG messages"
    if origin is not None and origin.caps & caps.ECHO_MESSAGE:
        to_origin(line, context)


def _notice(effect: effects.Redacted) -> str:
    """Return what people are told whose client does not understand REDACT."""
    event = effect.event
    seconds = max(0, effect.stamp.at_ms - event.said_ms) // 1000
    length, unit = next(((n, unit) for n, unit in _UNITS if seconds >= n), _UNITS[-1])
    count = seconds // length
    age = f"{count} {unit}{'' if count == 1 else 's'}"
    by = effect.author.source.partition("!")[0]
    whose = "a message of theirs" if event.own else f"a message from {event.said_by}"
    return f"{by} deleted {whose} from {age} ago" + (f": {event.reason}" if event.reason else "")


DELIVERERS: Final[Deliverers] = {effects.Redacted: _redacted}
"""What delivers each effect."""
