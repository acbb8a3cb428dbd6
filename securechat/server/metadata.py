"""What metadata looks like in lines, and what of it a session is shown without asking.

https://ircv3.net/specs/extensions/metadata
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.server.context import as_batch
from securechat.server.rules.metadata import Subject, metadata_of
from securechat.server.state import Channel, User

if TYPE_CHECKING:
    from securechat.server.network import Network
    from securechat.server.session import Session

__all__ = [
    "SYNC_MEMBERS",
    "later_line",
    "members_and",
    "subscribed_batch",
    "subscribed_values",
    "value_line",
]

SYNC_MEMBERS: Final = 100
"""Members of a channel up to which a session gets their metadata on joining; else it is told to ask
for it later."""

Value = tuple[str, str, str]
"""Target, key, value."""


def value_line(relay: str, client: str, target: str, key: str, value: str) -> str:
    """Return the line that tells a value, or that there is none."""
    if value:
        return f":{relay} {numerics.RPL_KEYVALUE} {client} {target} {key} * :{value}"
    return f":{relay} {numerics.RPL_KEYNOTSET} {client} {target} {key} :Key is not set"


def later_line(relay: str, client: str, target: str, wait_s: int) -> str:
    """Return the line that tells a client to ask for the metadata of ``target`` later."""
    text = "Ask for the metadata with METADATA SYNC"
    return f":{relay} {numerics.RPL_METADATASYNCLATER} {client} {target} {wait_s} :{text}"


def members_and(channel: Channel) -> Iterator[Subject]:
    """Yield ``channel`` and its members."""
    yield channel
    for member in channel.members.values():
        yield member.user


def subscribed_values(
    network: Network, session: Session, subjects: Iterable[Subject]
) -> Iterator[Value]:
    """Yield what of ``subjects`` has the keys that ``session`` has subscribed to."""
    keys = network.subscriptions.get(session.id)
    if not keys:
        return
    for subject in subjects:
        values = metadata_of(network, subject)
        if values:
            target = subject.nick if isinstance(subject, User) else subject.name
            yield from ((target, key, values[key]) for key in keys if key in values)


def subscribed_batch(
    network: Network,
    session: Session,
    relay: str,
    target: str,
    subjects: Iterable[Subject],
) -> list[tuple[str, str]]:
    """Return what ``session`` is to be shown of ``subjects``, as a batch; nothing if it is none."""
    if not session.caps & caps.METADATA:
        return []
    values = subscribed_values(network, session, subjects)
    client = network.sessions[session.id].nick
    lines = [("", value_line(relay, client, *value)) for value in values]
    if not lines or not session.caps & caps.BATCH:
        return lines
    return as_batch(relay, session.new_batch_reference(), f"metadata {target}", lines)
