"""What the history consists of: entries, their order, and who may read which.

Every entry has a ``Position``, first by time, then in the order in which entries were added, or in
that of the log of several relays. It is the number of its row: the time in milliseconds, shifted,
and a count within the millisecond. So a page, a time, an age and the newest hits of a search are
all ranges of row numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = [
    "COUNT_BITS",
    "FIRST_ID",
    "LAST_ID",
    "SPOKEN_KINDS",
    "Conversation",
    "Entry",
    "KeptEntry",
    "Page",
    "Position",
    "Readable",
]

SPOKEN_KINDS: Final = frozenset({"PRIVMSG", "NOTICE"})
"""What can be searched. The schema and ``store.reading`` name them too."""

COUNT_BITS: Final = 16
"""The bits of a row number below the time: 65,536 entries in one millisecond, more than any machine
adds."""

FIRST_ID: Final = 0
LAST_ID: Final = (1 << 63) - 1
"""The row numbers between which all are."""

# The year 4199; row numbers have 63 bits, and people ask for any time.
_MAX_MS = 1 << 46


class Conversation(NamedTuple):
    """A room, or what two people say to each other.

    ``key`` is opaque and unique. ``parties`` are the two people of a direct conversation.
    """

    key: str
    parties: tuple[str, str] | None = None


class Entry(NamedTuple):
    """One line of a conversation.

    ``at_ms`` is milliseconds since 1970, UTC; ``sender`` the folded nick of ``source``. ``detail``
    is whatever else the line needs, ``tags`` its client-only tags and the marks of its sender. The
    same ``msgid`` may be in several conversations, but only once in each. ``place`` is where in its
    millisecond it belongs, as the log says; the next free one after it if it is taken. SQLite, into
    which one relay writes in the order of its log, puts it behind those that are there. It is not
    read back: the ``Position`` tells.
    """

    conversation: Conversation
    msgid: str
    at_ms: int
    kind: str
    source: str
    sender: str
    account: str | None
    detail: str
    text: str
    tags: str
    place: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order of all entries: that of an entry, or a time. Immutable, opaque.

    What is before or after a time excludes all entries of that millisecond.
    """

    first_id: int
    last_id: int

    @classmethod
    def at(cls, at_ms: int) -> Position:
        """Return the position of a time; one far out of range is that of the end of time."""
        first = min(max(at_ms, 0), _MAX_MS) << COUNT_BITS
        return cls(first, first | ((1 << COUNT_BITS) - 1))

    @property
    def at_ms(self) -> int:
        """The time, in milliseconds since 1970, UTC."""
        return self.first_id >> COUNT_BITS


class KeptEntry(NamedTuple):
    """An entry as it was read back. Of a redacted one, text, tags and detail are empty."""

    entry: Entry
    position: Position
    redacted: bool


class Page(NamedTuple):
    """Some entries of a conversation, ascending.

    ``from_oldest`` tells that nothing readable of the kinds asked for is before them (or, without
    entries, before the place where they would be).
    """

    entries: list[KeptEntry]
    from_oldest: bool


@dataclass(frozen=True, slots=True)
class Readable:
    """What somebody may read of a conversation. Immutable.

    That is the entries at or after ``floor_ms``, and all of ``own_account``.
    """

    key: str
    floor_ms: int = 0
    own_account: str | None = None

    def allows(self, number: int, account: str | None) -> bool:
        """Tell whether it may be the entry of this row number and account."""
        return number >> COUNT_BITS >= self.floor_ms or (
            self.own_account is not None and account == self.own_account
        )
