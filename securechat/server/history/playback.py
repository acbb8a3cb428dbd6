"""Entries to lines: what was said and done, as a client hears it afterwards.

https://ircv3.net/specs/extensions/chathistory and https://ircv3.net/specs/batches/chathistory
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc.message import NO_TAGS
from securechat.irc.tags import client_only, parse_tags
from securechat.server.context import as_batch
from securechat.server.delivery.lines import Line, message_lines
from securechat.server.delivery.redactions import redact_body
from securechat.server.events import Stamp
from securechat.server.state import Author
from securechat.store.history import SPOKEN_KINDS, Entry

__all__ = ["Listener", "TaggedLine", "batch_lines", "entry_lines", "wanted_kinds"]

_EVENTS: Final = caps.EVENT_PLAYBACK | caps.BATCH

TaggedLine = tuple[str, str]
"""Tags without ``@``, and the rest of a line."""


class Listener(NamedTuple):
    """Who hears it. Immutable, so that lines can be made on any thread."""

    relay: str
    """The relay's name."""
    caps: int
    room: str
    """The name of the room, empty for a direct conversation."""


def wanted_kinds(mask: int) -> frozenset[str] | None:
    """Return the kinds of entries that a session with these capabilities gets, ``None`` for all.

    "If the client has not negotiated the draft/event-playback capability, the server MUST NOT send
    any lines other than PRIVMSG and NOTICE". Nor to one without batch, which would take a JOIN of
    yesterday for one of now.
    """
    return None if mask & _EVENTS == _EVENTS else SPOKEN_KINDS


def entry_lines(entry: Entry, listener: Listener) -> Sequence[TaggedLine]:
    """Return the lines of an entry; none if the listener cannot take it."""
    stamp = Stamp(0, entry.at_ms, entry.msgid)
    tags = parse_tags(entry.tags) if entry.tags else NO_TAGS
    author = Author(entry.source, entry.account, "bot" in tags, "draft/oper" in tags)
    target = listener.room or entry.detail
    match entry.kind:
        case "PRIVMSG" | "NOTICE" | "TAGMSG":
            sent = client_only(tags) if tags else tags
            lines = message_lines(stamp, author, entry.kind, target, entry.text, sent)
            return lines.parts(listener.caps)
        case "REDACT":
            msgid, _, nick = entry.detail.partition(" ")
            body = redact_body(entry.source, listener.room or nick, msgid, entry.text)
            return Line(stamp, author, body, needed=caps.MESSAGE_REDACTION).parts(listener.caps)
        case "RENAME":
            body = f":{entry.source} RENAME {entry.detail} :{entry.text}"
            return Line(stamp, author, body, needed=caps.CHANNEL_RENAME).parts(listener.caps)
        case _:
            body = _event_body(entry, listener)
            return Line(stamp, author, body).parts(listener.caps)


def batch_lines(
    listener: Listener,
    reference: str,
    kind: str,
    params: Iterable[str],
    lines: Iterable[TaggedLine],
    tags: str = "",
) -> list[TaggedLine]:
    """Return ``lines`` as a batch with ``tags``, or as they are to who cannot take a batch."""
    if not listener.caps & caps.BATCH:
        return list(lines)
    return as_batch(listener.relay, reference, " ".join((kind, *params)), lines, tags)


def _event_body(entry: Entry, listener: Listener) -> str:
    """Return the line of what happened in a room, without tags."""
    start = f":{entry.source} {entry.kind}"
    room = listener.room
    reason = f" :{entry.text}" if entry.text else ""
    match entry.kind:
        case "JOIN" if listener.caps & caps.EXTENDED_JOIN:
            return f"{start} {room} {entry.account or '*'} :{entry.detail}"
        case "JOIN":
            return f"{start} {room}"
        case "PART":
            return f"{start} {room}{reason}"
        case "QUIT":
            return f"{start}{reason}"
        case "KICK":
            return f"{start} {room} {entry.detail} :{entry.text}"
        case "TOPIC":
            return f"{start} {room} :{entry.text}"
        case "MODE":
            return f"{start} {room} {entry.text}"
        case "NICK":
            return f"{start} {entry.detail}"
    raise AssertionError(f"no line for {entry.kind}")
