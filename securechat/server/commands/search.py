"""SEARCH: messages by their words, within what one may read.

The extension ``soju.im/search``: ``SEARCH <attributes>``, where the attributes are written as
message tags are. The answer is a batch of that type, oldest first.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import Message
from securechat.irc.tags import parse_tags
from securechat.server.commands.history import (
    answer_from_history,
    parse_limit,
    parse_timestamp,
)
from securechat.server.context import Context, as_middle
from securechat.server.dispatch import command
from securechat.server.history.access import (
    Source,
    find_source,
    own_conversations,
    readable_rooms,
)
from securechat.server.history.entries import person
from securechat.server.history.playback import Listener, TaggedLine, batch_lines, entry_lines
from securechat.server.refusals import Fail, Refusal
from securechat.store.entries import Readable
from securechat.store.history import History

__all__: list[str] = []

_BATCH_TYPE: Final = "soju.im/search"

_ATTRIBUTES: Final = frozenset({"in", "from", "after", "before", "text", "limit"})


class _Wanted(NamedTuple):
    """What is searched for. Times are exclusive."""

    text: str | None
    sender: str | None
    after_ms: int | None
    before_ms: int | None
    limit: int


@command("SEARCH", least=1)
def search(context: Context, message: Message) -> None:
    r"""SEARCH <attribute>=<value>{;<attribute>=<value>}.

    Find messages. Attributes: in (a channel or nick), from (a nick), after and before (times like
    2025-12-31T23:59:59.000Z), text (words; write \s for a space), limit.
    """
    services, session = context.services, context.session
    if not session.caps & caps.SEARCH:
        raise Refusal(numerics.ERR_UNKNOWNCOMMAND, message.command)
    attributes = parse_tags(message.params[0])
    wanted = _wanted(context, message.params[0], attributes)
    user, place = context.user, attributes.get("in")
    if place is not None:
        source = find_source(services, user, place)
        sources = [source] if source is not None else []
    else:
        sources = list(readable_rooms(services, user))
    readables = [source.readable for source in sources if source.readable is not None]
    everywhere = place is None and user.account is not None
    own = person(user.nick, user.account, services.network.fold) if everywhere else None
    listener = Listener(services.name, session.caps, "")
    names = _room_names(sources)
    reference = session.new_batch_reference()

    def read(history: History) -> list[TaggedLine]:
        direct = own_conversations(history, own) if own is not None else []
        found = history.search(
            [*readables, *(Readable(conversation.key) for conversation in direct)],
            **wanted._asdict(),
        )
        lines: list[TaggedLine] = []
        for entry, _, _ in found:
            room = names.get(entry.conversation.key, "")
            lines += entry_lines(entry, listener._replace(room=room))
        return batch_lines(listener, reference, _BATCH_TYPE, (), lines)

    failure = Fail("SEARCH", "INTERNAL_ERROR", text="The messages could not be searched")
    answer_from_history(context, read, lambda lines: lines, failure)


def _wanted(context: Context, given: str, attributes: dict[str, str]) -> _Wanted:
    """Return what ``attributes`` ask for.

    :raises Fail: one of them is unknown or cannot be read.
    """
    invalid = Fail("SEARCH", "INVALID_PARAMS", as_middle(given), text="Invalid attributes")
    times: list[int | None] = []
    for key in ("after", "before"):
        text = attributes.get(key)
        at_ms = None if text is None else parse_timestamp(text)
        if at_ms is None and text is not None:
            raise invalid
        times.append(at_ms)
    most = context.services.config.history.page
    limit = parse_limit(attributes.get("limit", str(most)), most)
    if limit is None or not attributes.keys() <= _ATTRIBUTES:
        raise invalid
    sender = attributes.get("from")
    folded = None if sender is None else context.services.network.fold(sender)
    return _Wanted(attributes.get("text"), folded, times[0], times[1], limit)


def _room_names(sources: list[Source]) -> dict[str, str]:
    return {
        source.readable.key: source.name
        for source in sources
        if source.room and source.readable is not None
    }
