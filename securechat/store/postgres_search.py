"""The search in PostgreSQL: which messages have which words, in which conversation, and by whom.

Words are made here, not by a configuration of the server, so that they are the same as with SQLite,
whatever dictionaries and extensions it has. Each message has a ``tsvector`` of them, and of what no
word can be: ``c:`` and the number of its conversation, ``n:`` its sender and ``a:`` its account in
hex. So the one index over all of them leaves out by itself what somebody may not read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from securechat.store.connection import Connection
from securechat.store.entries import SPOKEN_KINDS, Entry, Position, Readable
from securechat.store.reading import COLUMNS

__all__ = ["account_lexeme", "message_vector", "search", "words_of"]

_WORD: Final = re.compile(r"[^\W_]+")

_WORD_LENGTH: Final = 500
"""Characters of a word that count: PostgreSQL takes no more than 2,046 bytes."""

_WALKED: Final = 5_000
"""The newest entries that are looked at one by one, in some 10 ms, before the index of words is
asked. It has to collect all its hits to know the newest. If there are more than a hundred in these,
it never is; and if not, they are no more than a fiftieth of all, about."""

_CONVERSATIONS_A_QUERY: Final = 20
"""Conversations that are asked for at once. For each hit of the words all of them are looked at."""

_Found = tuple[int, int]
"""The id of a message, and the number of its conversation."""


class _Range(NamedTuple):
    """A part of the conversation of this number, by ids."""

    number: int
    low: int
    high: int


def words_of(text: str) -> list[str]:
    """Return the words of a text, without case and accents, in their order."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.casefold())
        text = "".join(each for each in text if not unicodedata.combining(each))
    return [word[:_WORD_LENGTH] for word in _WORD.findall(text.lower())]


def account_lexeme(account: str) -> str:
    """Return what stands for the account in the ``tsvector`` of its messages."""
    return f"a:{account.encode().hex()}"


def message_vector(conversation: int, entry: Entry) -> str | None:
    """Return the ``tsvector`` of an entry, as text; ``None`` if there is nothing to find in it."""
    if entry.kind not in SPOKEN_KINDS:
        return None
    places: dict[str, list[str]] = {}
    for place, word in enumerate(words_of(entry.text), start=1):
        places.setdefault(word, []).append(str(place))
    lexemes = [f"'{word}':{','.join(found)}" for word, found in places.items()]
    lexemes += [f"'{_conversation_lexeme(conversation)}'", f"'{_sender_lexeme(entry.sender)}'"]
    if entry.account is not None:
        lexemes.append(f"'{account_lexeme(entry.account)}'")
    return " ".join(lexemes)


def search(
    connection: Connection,
    readables: Mapping[int, Readable],
    *,
    text: str | None,
    sender: str | None,
    low: int,
    high: int,
    limit: int,
) -> list[tuple[Any, ...]]:
    """Return the newest ``limit`` rows that match, ascending, as ``Messages.search`` does."""
    terms = []
    if text is not None:
        phrases = [words for words in map(words_of, text.split()) if words]
        if not phrases:
            return []
        terms += [" <-> ".join(f"'{word}'" for word in words) for words in phrases]
    if sender is not None:
        terms.append(f"'{_sender_lexeme(sender)}'")
    if limit <= 0 or low > high or not readables:
        return []
    found = _Search(connection, readables, terms, limit).newest(low, high)
    if not found:
        return []
    ids, numbers = zip(*found, strict=True)
    return connection.execute(
        f"SELECT conversation, {COLUMNS}"
        " FROM unnest(?::bigint[], ?::bigint[]) AS found (id, conversation)"
        " JOIN messages USING (id, conversation) ORDER BY id, conversation",
        (list(ids), list(numbers)),
    ).fetchall()


class _Search:
    """One search, in two steps: what is newest is looked at, for what is older indexes are asked.

    Which of them it is is not left to the planner, by fences (OFFSET 0, MATERIALIZED) and an order
    that it cannot see (id + 0): it would guess how far to walk, and join as for a few rows.
    """

    def __init__(
        self,
        connection: Connection,
        readables: Mapping[int, Readable],
        terms: Sequence[str],
        limit: int,
    ) -> None:
        self._connection = connection
        self._readables = readables  # by the number of the conversation
        self._terms = terms
        self._limit = limit

    def newest(self, low: int, high: int) -> list[_Found]:
        """Return the newest from id ``low`` to ``high`` that may be read, ascending."""
        row = self._connection.execute(
            "SELECT id FROM messages WHERE id BETWEEN ? AND ? ORDER BY id DESC OFFSET ? LIMIT 1",
            (low, high, _WALKED),
        ).fetchone()
        walked = low if row is None else row[0]
        found = self._walk(walked, high)
        if len(found) < self._limit and walked > low:
            found += self._everybodys(low, walked - 1)
            found += self._own(low, walked - 1)
        return sorted(found)[-self._limit :]

    def _walk(self, low: int, high: int) -> list[_Found]:
        """Look at each entry between the ids."""
        query = " & ".join(self._terms)
        matches = "@@ ?7::tsquery" if query else "IS NOT NULL"
        return self._connection.execute(
            "SELECT id, conversation FROM ("
            " SELECT id, conversation, account, words FROM messages"
            " WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC OFFSET 0) AS newest"
            " JOIN unnest(?3::bigint[], ?4::bigint[], ?5::text[]) AS readable (number, floor, own)"
            " ON conversation = number AND (id >= floor OR account = own)"
            f" WHERE words {matches} ORDER BY id + 0 DESC, conversation DESC"
            " LIMIT ?6",
            (
                low,
                high,
                list(self._readables),
                [_floor_id(each) for each in self._readables.values()],
                [each.own_account for each in self._readables.values()],
                self._limit,
                *filter(None, [query]),
            ),
        ).fetchall()

    def _everybodys(self, low: int, high: int) -> list[_Found]:
        """Find what is above the floors."""
        ranges = [
            _Range(number, max(low, _floor_id(readable)), high)
            for number, readable in self._readables.items()
            if _floor_id(readable) <= high
        ]
        if not self._terms:
            return self._latest(ranges)
        queries = []
        for start in range(0, len(ranges), _CONVERSATIONS_A_QUERY):
            some = ranges[start : start + _CONVERSATIONS_A_QUERY]
            conversations = " | ".join(f"'{_conversation_lexeme(each.number)}'" for each in some)
            queries.append(" & ".join([*self._terms, f"({conversations})"]))
        return self._by_words(queries, ranges)

    def _own(self, low: int, high: int) -> list[_Found]:
        """Find what is one's own, below the floors."""
        ranges: defaultdict[str, list[_Range]] = defaultdict(list)
        for number, readable in self._readables.items():
            floor_id = _floor_id(readable)
            if floor_id > low and readable.own_account is not None:
                ranges[readable.own_account].append(_Range(number, low, min(high, floor_id - 1)))
        found = []
        for account, some in ranges.items():
            found += self._by_words(
                [" & ".join([*self._terms, f"'{account_lexeme(account)}'"])], some
            )
        return found

    def _by_words(self, queries: Sequence[str], ranges: Sequence[_Range]) -> list[_Found]:
        return self._connection.execute(
            "SELECT id, conversation FROM unnest(?1::text[]) AS part (query) CROSS JOIN LATERAL ("
            " WITH hit AS MATERIALIZED"
            " (SELECT id, conversation FROM messages WHERE words @@ query::tsquery)"
            " SELECT id, conversation FROM hit"
            " JOIN unnest(?2::bigint[], ?3::bigint[], ?4::bigint[]) AS readable (number, low, high)"
            " ON conversation = number AND id BETWEEN low AND high"
            " ORDER BY id DESC, conversation DESC LIMIT ?5)"
            " AS found ORDER BY id DESC, conversation DESC LIMIT ?5",
            (list(queries), *_columns(ranges), self._limit),
        ).fetchall()

    def _latest(self, ranges: Sequence[_Range]) -> list[_Found]:
        return self._connection.execute(
            "SELECT id, conversation"
            " FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[]) AS readable (number, low, high)"
            " CROSS JOIN LATERAL (SELECT id, conversation FROM messages"
            " WHERE conversation = number AND kind IN ('PRIVMSG', 'NOTICE')"
            " AND words IS NOT NULL AND id BETWEEN low AND high ORDER BY id DESC LIMIT ?4)"
            " AS found ORDER BY id DESC, conversation DESC LIMIT ?4",
            (*_columns(ranges), self._limit),
        ).fetchall()


def _columns(ranges: Sequence[_Range]) -> tuple[list[int], list[int], list[int]]:
    return (
        [each.number for each in ranges],
        [each.low for each in ranges],
        [each.high for each in ranges],
    )


def _floor_id(readable: Readable) -> int:
    return Position.at(readable.floor_ms).first_id


def _sender_lexeme(sender: str) -> str:
    return f"n:{sender.encode().hex()}"


def _conversation_lexeme(number: int) -> str:
    return f"c:{number}"
