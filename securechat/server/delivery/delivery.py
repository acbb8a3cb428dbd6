"""Who of this relay's sessions gets what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    relays,
    users,
)
from securechat.server.delivery.lines import Lines, to_origin
from securechat.server.delivery.table import Deliverers
from securechat.server.effects import Effect, RelayGone
from securechat.server.events import SessionId
from securechat.server.sessions import SessionRegistry
from securechat.server.state import Channel, User, relay_of

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


class _Share(NamedTuple):
    """The connections of one thread, those together that get the same bytes."""

    thread: IoThread
    looks: tuple[int, ...]  # the capabilities that matter, of each group
    groups: tuple[tuple[Connection, ...], ...]


class Delivery:
    """Gives effects to the sessions attached here. Guarded by the network lock."""

    def __init__(self, registry: SessionRegistry) -> None:
        self._registry = registry
        self._shares: dict[Channel, dict[type[Lines], tuple[_Share, ...]]] = {}
        """For what is of one line, and of several: other capabilities matter to them."""
        self._reach: dict[Channel, frozenset[int]] = {}

    def deliver(self, found: Sequence[Effect], context: Context) -> None:
        """Send each effect to whom it concerns; what the origin gets goes through ``context``."""
        if len(found) > 1 and type(found[0]) is RelayGone:
            found = relays.show_split(self, found, context)
        for effect in found:
            _DELIVERERS[type(effect)](self, effect, context)

    def forget(self, user: User) -> None:
        """Forget what was kept for the channels of ``user``, whose sessions have changed."""
        for channel in user.channels.values():
            self.forget_members(channel)

    def forget_members(self, channel: Channel) -> None:
        """Forget what was kept for ``channel``, whose members have changed."""
        self._shares.pop(channel, None)
        self._reach.pop(channel, None)

    # ---- to whom ----

    def reach(self, channel: Channel) -> frozenset[int]:
        """Return the relays (incarnations) that have sessions of members of ``channel``."""
        known = self._reach.get(channel)
        if known is None:
            users = (member.user for member in channel.members.values())
            known = frozenset(relay_of(key) for user in users for key in user.sessions)
            if channel.members:  # else nobody will leave, by which it would be forgotten
                self._reach[channel] = known
        return known

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

    def to_sessions(
        self, sessions: Iterable[Session], lines: Lines | relays.Quits, needed: int = 0
    ) -> None:
        """Send to those of ``sessions`` that have the capabilities ``needed``; not the origin."""
        _send(_share((s for s in sessions if s.caps & needed == needed), lines), lines)

    def to_room(self, channel: Channel, lines: Lines, context: Context) -> None:
        """Send to all members, of whom the origin is one."""
        self.to_channel(channel, lines, skip=context.origin)
        to_origin(lines, context)

    def to_channel(self, channel: Channel, lines: Lines, *, skip: Session | None) -> None:
        """Send to all members but ``skip``, through the groups kept for the channel."""
        kept = self._shares.get(channel)
        if kept is None:
            kept = self._shares[channel] = {}
        shares = kept.get(type(lines))
        if shares is None:
            shares = kept[type(lines)] = _share(self.members(channel), lines)
        _send(shares, lines, skip.connection if skip is not None else None)


def _share(sessions: Iterable[Session], lines: Lines | relays.Quits) -> tuple[_Share, ...]:
    found: dict[IoThread, dict[int, list[Connection]]] = {}
    for session in sessions:
        connection = session.connection
        groups = found.setdefault(connection.thread, {})
        groups.setdefault(lines.look(session.caps), []).append(connection)
    return tuple(
        _Share(thread, tuple(groups), tuple(map(tuple, groups.values())))
        for thread, groups in found.items()
    )


def _send(
    shares: Iterable[_Share], lines: Lines | relays.Quits, skip: Connection | None = None
) -> None:
    encoded: dict[int, bytes] = {}
    for thread, looks, groups in shares:
        pieces = []
        for look in looks:
            data = encoded.get(look)
            if data is None:
                data = encoded[look] = lines.encode(look)
            pieces.append(data)
        thread.send(groups, pieces, skip)
