"""A lost relay, to lines: everybody who was connected to it quits.

https://ircv3.net/specs/batches/netsplit
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.server.context import Context, end_line, in_batch
from securechat.server.delivery.lines import Line
from securechat.server.effects import Effect, Quit, RelayGone
from securechat.server.state import Author, Channel

if TYPE_CHECKING:
    from securechat.server.delivery.delivery import Delivery
    from securechat.server.session import Session

__all__ = ["Quits", "show_split"]

_NOT_IN_REFERENCE: Final = re.compile("[^A-Za-z0-9-]")


def show_split(delivery: Delivery, found: Sequence[Effect], context: Context) -> list[Effect]:
    """Tell who sees it that the people of a lost relay quit; return what is still to be delivered.

    "When a netsplit occurs, the server MUST put all resulting QUITs into a single netsplit batch."

    Thousands may quit, before thousands: those who are in the same channels get the same bytes, and
    each line is encoded once. So who sees a QUIT is not taken from its ``audience``. Nobody who is
    connected here has left a channel by the same event: it is whoever is in the channels now.

    :param found: all effects of the event, a ``RelayGone`` first.
    """
    quits = [effect for effect in found if isinstance(effect, Quit)]
    left: dict[Channel, list[int]] = {}  # channel → numbers of those who were in it
    for n, effect in enumerate(quits):
        for channel in effect.channels:
            left.setdefault(channel, []).append(n)
    for channel in left:
        delivery.forget_members(channel)
    split = _Split(found[0], quits, context.services.name)
    for channels, sessions in _watching(delivery, left).items():
        numbers = sorted(set().union(*(left[channel] for channel in channels)))
        delivery.to_sessions(sessions, Quits(split, numbers))
    return [effect for effect in found if not isinstance(effect, Quit)]


def _watching(
    delivery: Delivery, left: dict[Channel, list[int]]
) -> dict[frozenset[Channel], list[Session]]:
    """Return the sessions that are in any of these channels, by those in which they are."""
    users = {key: each.user for channel in left for key, each in channel.members.items()}
    found: dict[frozenset[Channel], list[Session]] = {}
    for user in users.values():
        sessions = delivery.sessions(user)
        if sessions:
            channels = frozenset(channel for channel in user.channels.values() if channel in left)
            found.setdefault(channels, []).extend(sessions)
    return found


class _Split:
    """The lines of all who quit, and of the batch that they are in."""

    def __init__(self, gone: Effect, quits: Sequence[Quit], relay: str) -> None:
        assert isinstance(gone, RelayGone)
        self._quits = [
            Line(each.stamp, each.author, f":{each.author.source} QUIT :{each.reason}")
            for each in quits
        ]
        stamp, author = gone.stamp._replace(msgid=""), Author(relay, None)
        self._reference = _NOT_IN_REFERENCE.sub("-", gone.stamp.msgid)
        batch = f":{relay} BATCH"
        self._start = Line(
            stamp, author, f"{batch} +{self._reference} netsplit {relay} {gone.relay}"
        )
        self._end = Line(stamp, author, f"{batch} -{self._reference}")
        self._encoded: dict[int, list[bytes]] = {}

    def look(self, mask: int) -> int:
        return self._start.look(mask) | mask & caps.BATCH

    def encode(self, mask: int, numbers: Sequence[int]) -> bytes:
        quits = self._encoded.get(mask)
        if quits is None:
            quits = self._encoded[mask] = [self._encode(line, mask) for line in self._quits]
        found = b"".join([quits[n] for n in numbers])
        if not mask & caps.BATCH:
            return found
        return self._start.encode(mask) + found + self._end.encode(mask)

    def _encode(self, line: Line, mask: int) -> bytes:
        parts = line.parts(mask)
        if mask & caps.BATCH:
            parts = in_batch(self._reference, parts)
        return b"".join(end_line(*part) for part in parts)


class Quits(NamedTuple):
    """Some of those who quit at once, for who knows batches in one, else by themselves."""

    split: _Split
    numbers: Sequence[int]

    def look(self, mask: int) -> int:
        """Return those of ``mask`` that matter: where these are equal, so are the bytes."""
        return self.split.look(mask)

    def encode(self, look: int) -> bytes:
        """Return the bytes of all lines, for what ``look`` has returned."""
        return self.split.encode(look, self.numbers)
