"""Who of this relay's sessions gets what."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.net.connection import Connection
from securechat.net.io_thread import IoThread
from securechat.server.context import Context
from securechat.server.delivery import (
    channels,
    messages,
    metadata,
    monitors,
    operators,
    peers,
    read_markers,
    redactions,
    users,
)
from securechat.server.delivery.lines import Lines, to_origin
from securechat.server.delivery.table import Deliverers
from securechat.server.effects import Effect
from securechat.server.events import SessionId
from securechat.server.sessions import SessionRegistry
from securechat.server.state import Channel, User

if TYPE_CHECKING:
    from securechat.server.session import Session

__all__ = ["Delivery"]

_DELIVERERS: Final[Deliverers] = {
    **messages.DELIVERERS,
    **channels.DELIVERERS,
    **users.DELIVERERS,
    **monitors.DELIVERERS,
    **metadata.DELIVERERS,
    **read_markers.DELIVERERS,
    **redactions.DELIVERERS,
    **operators.DELIVERERS,
    **peers.DELIVERERS,
}
"""What delivers every effect."""


class _Group(NamedTuple):
    """Connections that get the same bytes from the same thread."""

    caps: int
    thread: IoThread
    connections: tuple[Connection, ...]


class Delivery:
    """Gives effects to the sessions attached here. Guarded by the network lock."""

    def __init__(self, registry: SessionRegistry) -> None:
        self._registry = registry
        self._groups: dict[Channel, dict[type[Lines], tuple[_Group, ...]]] = {}
        """For what is of one line, and of several: other capabilities matter to them."""

    def deliver(self, found: Iterable[Effect], context: Context) -> None:
        """Send each effect to whom it concerns; what the origin gets goes through ``context``."""
        for effect in found:
            _DELIVERERS[type(effect)](self, effect, context)

    def forget(self, user: User) -> None:
        """Forget what was kept for the channels of ``user``, whose sessions have changed."""
        for channel in user.channels.values():
            self._groups.pop(channel, None)

    def forget_members(self, channel: Channel) -> None:
        """Forget what was kept for ``channel``, whose members have changed."""
        self._groups.pop(channel, None)

    # ---- to whom ----

    def sessions(self, *users: User) -> list[Session]:
        """Return the sessions of ``users`` that are attached here."""
        return self._registry.find(key for user in users for key in user.sessions)

    def attached(self, session_ids: Iterable[SessionId]) -> list[Session]:
        """Return those of the sessions that are attached here."""
        return self._registry.find(session_ids)

    def members(self, channel: Channel) -> list[Session]:
        """Return the sessions of the members that are attached here."""
        return self.sessions(*(member.user for member in channel.members.values()))

    def to_all(
        self,
        sessions: Iterable[Session],
        lines: Lines,
        context: Context,
        needed: int = 0,
    ) -> None:
        """Send to those of ``sessions`` that have the capabilities ``needed``; origin included."""
        others = []
        for session in sessions:
            if session is not context.origin:
                others.append(session)
            elif session.caps & needed == needed:
                to_origin(lines, context)
        self.to_sessions(others, lines, needed)

    def to_sessions(self, sessions: Iterable[Session], lines: Lines, needed: int = 0) -> None:
        """Send to those of ``sessions`` that have the capabilities ``needed``; not the origin."""
        _send(_group((s for s in sessions if s.caps & needed == needed), lines), lines)

    def to_room(self, channel: Channel, lines: Lines, context: Context) -> None:
        """Send to all members, of whom the origin is one."""
        self.to_channel(channel, lines, skip=context.session)
        to_origin(lines, context)

    def to_channel(self, channel: Channel, lines: Lines, *, skip: Session) -> None:
        """Send to all members but ``skip``, through the groups kept for the channel."""
        kept = self._groups.get(channel)
        if kept is None:
            kept = self._groups[channel] = {}
        groups = kept.get(type(lines))
        if groups is None:
            groups = kept[type(lines)] = _group(self.members(channel), lines)
        _send(groups, lines, skip.connection)


def _group(sessions: Iterable[Session], lines: Lines) -> tuple[_Group, ...]:
    found: dict[tuple[int, IoThread], list[Connection]] = {}
    for session in sessions:
        connection = session.connection
        found.setdefault((lines.look(session.caps), connection.thread), []).append(connection)
    return tuple(
        _Group(mask, thread, tuple(connections)) for (mask, thread), connections in found.items()
    )


def _send(groups: Iterable[_Group], lines: Lines, skip: Connection | None = None) -> None:
    encoded: dict[int, bytes] = {}
    for group in groups:
        data = encoded.get(group.caps)
        if data is None:
            data = encoded[group.caps] = lines.encode(group.caps)
        if data:
            group.thread.send(group.connections, data, skip)
