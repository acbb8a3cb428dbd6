"""Metadata, to lines for those who have subscribed to it.

https://ircv3.net/specs/extensions/metadata
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.server import effects
from securechat.server.context import Context
from securechat.server.delivery.lines import Line, to_session
from securechat.server.delivery.table import Deliverers
from securechat.server.events import SessionId
from securechat.server.metadata import (
    SYNC_MEMBERS,
    later_line,
    members_and,
    subscribed_batch,
    value_line,
)
from securechat.server.rules.metadata import metadata_of
from securechat.server.state import Author, Channel, User

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery
    from securechat.server.session import Session

__all__ = ["DELIVERERS", "show_metadata_of", "show_metadata_to", "synced_lines"]


def _metadata_changed(
    delivery: Delivery, effect: effects.MetadataChanged, context: Context
) -> None:
    relay = context.services.name
    body = value_line(relay, "*", effect.target, effect.key, effect.value)
    line = Line(effect.stamp._replace(msgid=""), Author(relay, None), body)
    told = [s for s in delivery.attached(effect.subscribers) if s.caps & caps.METADATA]
    delivery.to_all(told, line, context)


def synced_lines(session: Session, channel: Channel, context: Context) -> list[tuple[str, str]]:
    """Return what a session is told of the metadata in a channel that it is now in."""
    network, relay = context.services.network, context.services.name
    if session.id not in network.subscriptions or not session.caps & caps.METADATA:
        return []
    if len(channel.members) > SYNC_MEMBERS:
        client = network.sessions[session.id].nick
        return [("", later_line(relay, client, channel.name, 0))]
    return subscribed_batch(network, session, relay, channel.name, members_and(channel))


def show_metadata_of(
    delivery: Delivery, user: User, to: Iterable[SessionId], context: Context
) -> None:
    """Tell those of the sessions ``to`` that have subscribed what ``user`` publishes."""
    network = context.services.network
    if not metadata_of(network, user):
        return
    subscribed = [key for key in to if key in network.subscriptions and key not in user.sessions]
    for session in delivery.attached(subscribed):
        show_metadata_to(session, [user], context)


def show_metadata_to(session: Session, users: Iterable[User], context: Context) -> None:
    """Tell a session what these people publish under keys that it has subscribed to."""
    services = context.services
    for user in users:
        lines = subscribed_batch(services.network, session, services.name, user.nick, [user])
        to_session(session, lines, context)


DELIVERERS: Final[Deliverers] = {effects.MetadataChanged: _metadata_changed}
"""What delivers each effect."""
