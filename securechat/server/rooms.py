"""What a room looks like in numerics: its topic, its names. Used on JOIN and when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from securechat.irc import capabilities as caps
from securechat.irc import numerics
from securechat.irc.message import BODY_BYTES
from securechat.server.state import Channel, Membership, User

__all__ = ["end_of_names", "names_replies", "shown_prefixes", "topic_replies", "words_lines"]

_NUMERIC_OVERHEAD_BYTES = 150
"""What the rest of a line may take, in bytes: the relay's name (63), the client's nick (64), the
numeric or command, signs and spaces."""


def topic_replies(channel: Channel) -> Iterator[tuple[str, ...]]:
    """Yield the numerics that tell the topic; none when there is no topic."""
    if channel.topic:
        yield numerics.RPL_TOPIC, channel.name, channel.topic
        yield (
            numerics.RPL_TOPICWHOTIME,
            channel.name,
            channel.topic_by,
            str(channel.topic_ms // 1000),
        )


def names_replies(channel: Channel, asker: User, mask: int) -> Iterator[tuple[str, ...]]:
    """Yield the numerics that tell the members of ``channel`` whom ``asker`` may see.

    :param mask: the asker's capabilities: ``multi-prefix``, ``userhost-in-names``.
    """
    inside = asker.id in channel.members
    symbol = "@" if "s" in channel.modes else "="
    names = [
        shown_prefixes(member, mask)
        + (member.user.author.source if mask & caps.USERHOST_IN_NAMES else member.user.nick)
        for member in channel.members.values()
        if inside or "i" not in member.user.modes
    ]
    if inside or "s" not in channel.modes:
        for line in words_lines(names, len(channel.name.encode())):
            yield numerics.RPL_NAMREPLY, symbol, channel.name, line
    yield end_of_names(channel.name)


def end_of_names(name: str) -> tuple[str, ...]:
    """Return the numeric that ends a list of names."""
    return numerics.RPL_ENDOFNAMES, name, "End of /NAMES list"


def shown_prefixes(member: Membership, mask: int) -> str:
    """Return the marks of a member: all with ``multi-prefix``, else the highest."""
    return member.prefixes if mask & caps.MULTI_PREFIX else member.prefixes[:1]


def words_lines(words: Iterable[str], used_bytes: int, joint: str = " ") -> Iterator[str]:
    """Yield ``words`` in pieces that fit the last parameter of a numeric.

    :param used_bytes: of the other parameters.
    :param joint: what is put between them, one byte.
    """
    limit = BODY_BYTES - _NUMERIC_OVERHEAD_BYTES - used_bytes
    line: list[str] = []
    size = 0
    for word in words:
        length = len(word.encode()) + 1
        if line and size + length > limit:
            yield joint.join(line)
            line, size = [], 0
        line.append(word)
        size += length
    if line:
        yield joint.join(line)
