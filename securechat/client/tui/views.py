"""What the panes show, made from the networks: functions from the model to rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from securechat.client.chat.buffers import Buffer
from securechat.client.tui.buffer_pane import BufferRow
from securechat.client.tui.header import HeaderState, SafetyLine
from securechat.client.tui.member_pane import MemberRow
from securechat.client.tui.network import Network
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, ngettext
from securechat.peer.known_peers import Safety

__all__ = ["buffer_rows", "header_state", "member_rows", "nicks_by_activity", "typing_words"]

SILENT_S: Final = 3.0
"""How long an answer of the relay may take before the user is told: more than any round trip."""

_TYPING_NAMES: Final = 3
"""How many are named that are typing; more are counted."""

_RECENT_ENTRIES: Final = 200
"""How far back is looked for who spoke last."""


def buffer_rows(networks: Sequence[Network], shown: Buffer | None) -> list[BufferRow]:
    """Return a row for each conversation; its key is the buffer."""
    return [
        _buffer_row(network, buffer, active=buffer is shown)
        for network in networks
        for buffer in network.chat.conversations
    ]


def _buffer_row(network: Network, buffer: Buffer, *, active: bool) -> BufferRow:
    activity = buffer.last_activity
    return BufferRow(
        key=buffer,
        network=network.name,
        title=buffer.title or _("relay"),
        kind=buffer.kind,
        connection=network.connection,
        unread=buffer.unread,
        mentions=buffer.mentions,
        active=active,
        joined=buffer.kind != "room" or buffer.joined,
        muted=buffer.notify == "none",
        peer=buffer.session or ("asked" if network.chat.desk.is_asked_by(buffer.name) else ""),
        verified=buffer.safety is Safety.VERIFIED,
        draft=bool(buffer.draft),
        last_activity=activity.timestamp() if activity is not None else 0.0,
    )


def member_rows(network: Network, buffer: Buffer) -> list[MemberRow]:
    """Return who is in a room; the two of a conversation between two."""
    conversations, client = network.chat.conversations, network.client
    me = make_safe(client.nick)
    if buffer.kind == "server":
        return []
    if buffer.kind == "person":
        other = MemberRow(
            buffer.title,
            away=bool(buffer.away),
            reachable=buffer.reachable,
            session=buffer.session,
        )
        return [other, MemberRow(me, me=True)]
    sessions = {
        each.name.lower(): each.session for each in conversations if each.session is not None
    }
    return [
        MemberRow(
            make_safe(member.nick),
            member.marks,
            away=member.away,
            reachable=conversations.is_reachable(member.nick),
            me=member.nick == client.nick,
            session=sessions.get(member.nick.lower()),
        )
        for member in buffer.members
    ]


def header_state(network: Network, buffer: Buffer, now: float, *, several: bool) -> HeaderState:
    """Return what the header says of the conversation that is shown.

    :param now: monotonic seconds.
    :param several: more than one network is open.
    """
    safety = None
    if buffer.session is not None:
        safety = SafetyLine(buffer.session, buffer.safety or Safety.NEW, buffer.title)
    retry, unanswered = network.retry_at, network.chat.unanswered_since
    silent_s = now - unanswered if unanswered is not None else 0.0
    return HeaderState(
        title=buffer.title or _("relay"),
        topic=buffer.topic or buffer.away,
        kind=buffer.kind,
        members=len(buffer.members),
        safety=safety,
        connection=network.connection,
        retry_in_s=max(0, math.ceil(retry - now)) if retry is not None else None,
        reason=network.reason,
        network=network.name if several else "",
        in_past=not buffer.live,
        silent_s=int(silent_s) if silent_s >= SILENT_S else None,
    )


def nicks_by_activity(network: Network, buffer: Buffer) -> list[str]:
    """Return who is in a conversation, safe, those that spoke last first; not us."""
    me = make_safe(network.client.nick)
    spoken = [entry.sender for entry in reversed(buffer.entries[-_RECENT_ENTRIES:])]
    names = [make_safe(member.nick) for member in buffer.members]
    if buffer.kind == "person":
        names.append(buffer.title)
    here = set(names)
    ordered = dict.fromkeys([*(nick for nick in spoken if nick in here), *names])
    return [nick for nick in ordered if nick != me]


def typing_words(nicks: Sequence[str]) -> str:
    """Return who is typing, in words; empty for nobody. The nicks are safe."""
    if not nicks:
        return ""
    if len(nicks) > _TYPING_NAMES:
        return ngettext("{count} person is typing…", "{count} people are typing…", len(nicks))
    if len(nicks) == 1:
        return _("{nick} is typing…", nick=nicks[0])
    names = ", ".join(nicks[:-1])
    return _("{nicks} and {nick} are typing…", nicks=names, nick=nicks[-1])
