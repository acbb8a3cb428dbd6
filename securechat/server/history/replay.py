"""What somebody has missed, for clients that do not ask for it.

"if a client requests this capability [draft/chathistory], the server (or bouncer) SHOULD NOT play
back any history that would otherwise be sent automatically": they fetch what they want. The others
are sent, at most ``[history] replay_lines`` for each conversation,

- on JOIN, what was said in the room since their account was last there;
- when a first device comes back to an account that is always on, what was said meanwhile in its
  rooms and to it.

Guests are sent nothing: nobody knows when they were there.

https://ircv3.net/specs/batches/chathistory
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from securechat.errors import StoreBusy
from securechat.irc import capabilities as caps
from securechat.irc.ctcp import has_request
from securechat.irc.multiline import join_pieces, split_pieces
from securechat.server.context import end_line
from securechat.server.history.access import (
    Source,
    find_source,
    newest_own,
    own_conversations,
    readable_rooms,
)
from securechat.server.history.entries import person
from securechat.server.history.playback import Listener, TaggedLine, batch_lines, entry_lines
from securechat.server.store_thread import Outcome
from securechat.store.entries import SPOKEN_KINDS, Entry, KeptEntry, Position, Readable
from securechat.store.history import History

if TYPE_CHECKING:
    from securechat.server.context import Context
    from securechat.server.session import Session

__all__ = ["replay_absence", "replay_room"]

_log = logging.getLogger(__name__)

_Missed = list[tuple[Source, list[KeptEntry]]]
_Find = Callable[[History, int], _Missed]
"""Takes the history, and how many messages of each conversation; on the store thread."""

_CONVERSATIONS: Final = 50
"""Direct conversations of which one is told what was missed; those with the latest messages."""

_ACTION: Final = "\x01ACTION "
_DAY_MS: Final = 86_400_000


def replay_room(context: Context, name: str, joined_ms: int) -> None:
    """Tell the devices of the origin, which has just joined, what they have missed there."""
    user, services = context.user, context.services
    if user.account is None or not services.history.enabled:
        return
    source = find_source(services, user, name)
    if source is None or source.readable is None:
        return
    before = Position.at(joined_ms)  # what comes from then on they see
    own = newest_own(source.readable.key, user.account)
    for session in services.delivery.sessions(user):
        _replay(context, session, partial(_missed_in_room, source, own, before), joined_ms)


def replay_absence(context: Context, gone_ms: int) -> None:
    """Tell the origin, the first device of its account since ``gone_ms``, what came meanwhile."""
    user, services = context.user, context.services
    if user.account is None or not services.history.enabled:
        return
    rooms = list(readable_rooms(services, user))
    own = person(user.nick, user.account, services.network.fold)
    now_ms = services.now_ms()
    # What was said in the millisecond of leaving may have been heard; better twice than never.
    find = partial(_missed, rooms, own, Position.at(gone_ms - 1), Position.at(now_ms))
    _replay(context, context.session, find, now_ms)


def _missed_in_room(
    source: Source, own: Readable, before: Position, history: History, limit: int
) -> _Missed:
    assert source.readable is not None
    last = history.page(own, before=before, limit=1, newest=True).entries
    if not last:
        return []
    found = history.page(
        source.readable,
        after=last[0].position,
        before=before,
        limit=limit,
        newest=True,
        kinds=SPOKEN_KINDS,
    )
    return [(source, found.entries)]


def _missed(
    rooms: Sequence[Source],
    own: str,
    after: Position,
    before: Position,
    history: History,
    limit: int,
) -> _Missed:
    keys = [conversation.key for conversation in own_conversations(history, own)]
    times = history.latest_times(map(Readable, keys), SPOKEN_KINDS)
    latest = sorted((at_ms, key) for key, at_ms in times.items() if at_ms > after.at_ms)
    people = [Source("", Readable(key), room=False) for _, key in latest[-_CONVERSATIONS:]]
    missed = []
    for source in (*rooms, *people):
        assert source.readable is not None
        found = history.page(
            source.readable,
            after=after,
            before=before,
            limit=limit,
            newest=True,
            kinds=SPOKEN_KINDS,
        )
        missed.append((source, found.entries))
    return missed


def _replay(context: Context, session: Session, find: _Find, now_ms: int) -> None:
    """Have ``find`` look on the store thread, and send what it finds to ``session``."""
    services = context.services
    limit = services.config.history.replay_lines
    if not limit or session.caps & caps.CHATHISTORY:
        return
    connection, mask, reference = session.connection, session.caps, session.new_batch_reference()

    def read(history: History) -> list[TaggedLine]:
        lines: list[TaggedLine] = []
        for number, (source, found) in enumerate(find(history, limit)):
            listener = Listener(services.name, mask, source.name if source.room else "")
            spoken = [
                line
                for kept in found
                if not kept.redacted and _may_be_heard_again(kept.entry)
                for line in _lines(kept, listener, now_ms)
            ]
            if spoken:
                # A person is called as they were when they spoke.
                name = source.name if source.room else found[-1].entry.source.partition("!")[0]
                inner = f"{reference}-{number}"
                lines += batch_lines(listener, inner, "chathistory", (name,), spoken)
        return lines

    def send(outcome: Outcome[list[TaggedLine]]) -> None:
        if outcome.error is not None:
            _log.error("what was missed is not told: %s", outcome.error)
        elif outcome.value:
            data = b"".join(end_line(*line) for line in outcome.value)
            # By way of the session's thread, so that it comes after the answers to the JOIN.
            connection.thread.post(lambda: connection.send(data))

    try:
        services.history.read(context, read, send)
    except StoreBusy as error:
        context.note(f"what was missed is not told: {error}")


def _may_be_heard_again(entry: Entry) -> bool:
    """Whether it asks nothing of the client, which would answer (CTCP)."""
    return not has_request(entry.text)


def _lines(kept: KeptEntry, listener: Listener, now_ms: int) -> Iterable[TaggedLine]:
    entry = kept.entry
    if listener.caps & caps.SERVER_TIME:
        return entry_lines(entry, listener)
    form = "[%H:%M] " if now_ms - entry.at_ms < _DAY_MS else "[%Y-%m-%d %H:%M] "
    said_at = time.strftime(form, time.gmtime(entry.at_ms // 1000))
    start = _ACTION if entry.text.startswith(_ACTION) else ""
    pieces = split_pieces(entry.text.removeprefix(start))
    first = pieces[0]._replace(text=f"{start}{said_at}{pieces[0].text}")
    return entry_lines(entry._replace(text=join_pieces([first, *pieces[1:]])), listener)
