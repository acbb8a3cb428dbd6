"""A history of made-up messages, and how long it takes to write, to read and to search it."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Final

from securechat.store.database import open_database
from securechat.store.history import (
    SPOKEN_KINDS,
    Conversation,
    Entry,
    History,
    Position,
    Readable,
)

__all__ = ["measure_history"]

ROOMS: Final = 100
PEOPLE: Final = 500
WORDS: Final = 50_000
WORDS_A_MESSAGE: Final = (1, 24)
FEW_ROOMS: Final = (20, 40, 60)
"""By size, the largest being 0: those of a reader who may read only these."""

FIRST_MS: Final = 1_700_000_000_000
STEP_MS: Final = 7_000
TURN: Final = 1_000
"""Messages in one transaction, about as many as the store thread takes of a busy relay."""

PAGE: Final = 100
PAGES: Final = 200
SEARCHES: Final = 20
SEED: Final = 3


def measure_history(folder: Path, messages: int) -> dict[str, Any]:
    """Fill a database in ``folder`` with so many messages; return the figures."""
    path = folder / "history.db"
    with closing(open_database(path)) as connection:
        history = History(connection)
        writing_s = 0.0
        made = _messages(messages)
        while entries := list(islice(made, TURN)):
            began = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            history.add(entries)
            connection.execute("COMMIT")
            writing_s += time.perf_counter() - began
        return {
            "messages": messages,
            "rooms": ROOMS,
            "messages_per_s": round(messages / writing_s),
            "file_bytes": path.stat().st_size,
            "reading": _pages(history, messages) | _searches(history, messages),
        }


def _messages(count: int) -> Iterator[Entry]:
    chance = random.Random(SEED)
    rooms = [Conversation(_room(number)) for number in range(ROOMS)]
    words = [_word(rank) for rank in range(WORDS)]
    room_weights, word_weights = _zipf(ROOMS), _zipf(WORDS)
    for number in range(count):
        (room,) = chance.choices(rooms, cum_weights=room_weights)
        length = chance.randint(*WORDS_A_MESSAGE)
        text = " ".join(chance.choices(words, cum_weights=word_weights, k=length))
        nick = f"person{chance.randrange(PEOPLE)}"
        yield Entry(
            conversation=room,
            msgid=f"0123456789abcdef{number:x}",  # as the relay makes them
            at_ms=FIRST_MS + number * STEP_MS,
            kind="PRIVMSG",
            source=f"{nick}!{nick}@0123456789abcdef.cloak",
            sender=nick,
            account=nick,
            detail="",
            text=text,
            tags="",
        )


def _zipf(count: int) -> list[float]:
    return list(accumulate(1 / (rank + 1) for rank in range(count)))


def _room(size_rank: int) -> str:
    return f"room-{size_rank}"


def _word(rank: int) -> str:
    """A word for each number, all of letters: the more common, the shorter."""
    letters = ""
    while rank >= 0:
        rank, letter = divmod(rank, 26)
        letters = chr(ord("a") + letter) + letters
        rank -= 1
    return "w" + letters


def _pages(history: History, messages: int) -> dict[str, Any]:
    """Pages of the largest room, and the latest of any."""
    chance = random.Random(SEED)
    largest, *_ = rooms = [Readable(_room(number)) for number in range(ROOMS)]
    span_ms = messages * STEP_MS
    newcomer = Readable(largest.key, FIRST_MS + span_ms, "person1")

    def latest(readable: Readable) -> None:
        history.page(readable, limit=PAGE, newest=True, kinds=SPOKEN_KINDS)

    def somewhere() -> Position:
        return Position.at(FIRST_MS + round(span_ms * chance.uniform(0.3, 0.7)))

    return {
        name: _timed(do, PAGES)
        for name, do in {
            "latest 100, largest room": lambda: latest(largest),
            "latest 100, any room": lambda: latest(chance.choice(rooms)),
            "latest 100, own below the floor": lambda: latest(newcomer),
            "100 before, largest room": lambda: history.page(
                largest, before=somewhere(), limit=PAGE, newest=True
            ),
            "100 around, largest room": lambda: history.around(largest, somewhere(), limit=PAGE),
        }.items()
    }


def _searches(history: History, messages: int) -> dict[str, Any]:
    """Searches for words of all frequencies, by those who may read much and little."""
    chance = random.Random(SEED)
    span_ms = messages * STEP_MS
    words = {"rare": WORDS - 1, "medium": WORDS // 100, "commonest": 0}
    everything = [Readable(_room(number)) for number in range(ROOMS)]
    readers = {
        "3 rooms": [everything[number] for number in FEW_ROOMS],
        "all rooms": everything,
        "newcomer": [
            Readable(room.key, FIRST_MS + round(span_ms * chance.random()), "person1")
            for room in everything
        ],
    }
    return {
        f"search, {word} word, {reader}": _timed(
            lambda rank=rank, rooms=rooms: history.search(rooms, text=_word(rank), limit=PAGE),
            SEARCHES,
        )
        for word, rank in words.items()
        for reader, rooms in readers.items()
    }


def _timed(do: Callable[[], object], repeats: int) -> dict[str, float]:
    times_ms = []
    for _ in range(repeats):
        began = time.perf_counter()
        do()
        times_ms.append((time.perf_counter() - began) * 1000)
    return {"median_ms": round(statistics.median(times_ms), 3), "worst_ms": round(max(times_ms), 3)}
