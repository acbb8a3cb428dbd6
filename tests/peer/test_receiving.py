from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from securechat.errors import RemoteProtocolError
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    FileProgress,
)
from securechat.peer.files import HASH_STEP_BYTES, PARTIAL_FOLDER
from securechat.peer.records import (
    Chunk,
    ChunkAck,
    FileAccept,
    FileDone,
    FileEnd,
    FileOffer,
    FileReceived,
)
from tests.peer.transfer_harness import Alone

CONTENT = bytes(range(100))
SIZE = len(CONTENT)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = 7
OFFER = FileOffer(1, FILE, "a.bin", SIZE, 5)
DONE = FileDone(9, FILE, DIGEST)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    with closing(Alone()) as alone:
        alone.transfers.folder = tmp_path
        yield alone


def offered(alone: Alone, n: int = 1, file: int = FILE) -> int:
    """Have it offered; return the number of the transfer."""
    alone.hear(FileOffer(n, file, OFFER.name, SIZE, OFFER.modified_ns))
    alone.settle()
    return alone.events.last(FileOffered).transfer


def accepted(alone: Alone, folder: Path) -> FileAccept:
    """Have it offered, and accept it; return how that was said."""
    alone.transfers.accept(offered(alone), folder)
    alone.settle()
    return alone.take_one(FileAccept)


def with_part(alone: Alone, folder: Path, size: int) -> FileAccept:
    """The same, where an earlier try has left so many bytes."""
    accepted(alone, folder)
    alone.hear(chunk(0, size))
    alone.settle()
    alone.take(ChunkAck)
    alone.transfers.path_up(fresh=True)
    return accepted(alone, folder)


def chunk(start: int, end: int) -> Chunk:
    return Chunk(FILE, start, CONTENT[start:end])


def acknowledged(alone: Alone) -> list[int]:
    alone.settle()
    return [ack.offset for ack in alone.take(ChunkAck)]


def arrived(alone: Alone) -> bytes:
    """What is in its place; the sender was told."""
    alone.settle()
    assert alone.take_one(FileReceived).sha256 == DIGEST
    return alone.events.one(FileFinished).path.read_bytes()


def test_in_order(alone: Alone, tmp_path: Path) -> None:
    assert accepted(alone, tmp_path) == FileAccept(1, FILE, 0, "")
    alone.hear(chunk(0, 30), chunk(30, 60), chunk(60, SIZE), DONE)
    assert acknowledged(alone)[-1] == SIZE
    assert arrived(alone) == CONTENT


def test_the_last_word_may_come_first(alone: Alone, tmp_path: Path) -> None:
    """It is numbered, so it outlives a path, as chunks do not."""
    accepted(alone, tmp_path)
    alone.hear(DONE, chunk(0, 60), chunk(60, SIZE))
    assert arrived(alone) == CONTENT


def test_nothing_is_acknowledged_that_is_not_written(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(chunk(0, 30))
    assert alone.take(ChunkAck) == []
    assert acknowledged(alone) == [30]
    [part] = (tmp_path / PARTIAL_FOLDER).glob("*.part")
    assert part.read_bytes() == CONTENT[:30]


@pytest.mark.parametrize(
    ("chunks", "received"),
    [
        ([(0, 30), (0, 30)], 30),
        ([(0, 30), (10, 20)], 30),
        ([(0, 30), (10, 30)], 30),
        ([(0, 30), (10, 40)], 40),
        ([(0, 30), (29, 31), (30, 40)], 40),
        ([(0, 30), (29, 31), (31, 40)], 40),
        ([(0, 30), (31, 40)], 30),
        ([(1, 30)], 0),
        ([(0, 30), (31, 40), (30, 31), (31, 35)], 35),
    ],
)
def test_what_is_left_over_from_another_accept(
    alone: Alone, tmp_path: Path, chunks: list[tuple[int, int]], received: int
) -> None:
    accepted(alone, tmp_path)
    alone.hear(*(chunk(start, end) for start, end in chunks))
    assert [0, *acknowledged(alone)][-1] == received
    rest = [(start, start + 10) for start in range(received, SIZE, 10)]
    alone.hear(*(chunk(start, min(end, SIZE)) for start, end in rest), DONE)
    assert arrived(alone) == CONTENT


# ---- paths ----


def test_accepted_without_a_path(alone: Alone, tmp_path: Path) -> None:
    number = offered(alone)
    alone.up = False
    alone.transfers.accept(number, tmp_path)
    alone.settle()
    assert alone.said == []
    assert not alone.events.of(FileAccepted)
    alone.up = True
    alone.transfers.path_up(fresh=False)
    alone.settle()
    assert alone.take_one(FileAccept).offset == 0
    alone.events.one(FileAccepted)


def test_on_another_path_it_is_accepted_when_all_is_written(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(chunk(0, 30), chunk(30, 40))
    alone.transfers.path_up(fresh=False)
    alone.settle()
    expected = FileAccept(2, FILE, 40, hashlib.sha256(CONTENT[:40]).hexdigest())
    assert alone.take_one(FileAccept) == expected
    assert [event.offset for event in alone.events.of(FileAccepted)] == [0, 40]


def test_on_another_path_it_is_not_accepted_if_all_is_there(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(chunk(0, SIZE), DONE)
    alone.transfers.path_up(fresh=False)
    assert arrived(alone) == CONTENT
    assert not alone.take(FileAccept)


def test_before_it_is_accepted_another_path_means_nothing(alone: Alone) -> None:
    offered(alone)
    alone.transfers.path_up(fresh=False)
    alone.settle()
    assert alone.said == []


def test_what_is_offered_by_who_begins_anew_is_void(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(chunk(0, 30))
    alone.settle()
    alone.hear(FileOffer(2, 8, "b", 1, 0))  # of which the user has not heard yet
    alone.transfers.path_up(fresh=True)
    alone.settle()
    ended = alone.events.one(FileEnded)
    assert (ended.by_us, ended.kept_bytes) == (False, 30)
    assert not alone.take(FileEnd)
    assert len(alone.events.of(FileOffered)) == 1
    assert not alone.transfers.busy


# ---- an offer that is said again ----


def test_the_same_offer_before_it_is_accepted(alone: Alone) -> None:
    alone.hear(OFFER, OFFER)
    alone.settle()
    alone.hear(OFFER)
    alone.settle()
    alone.events.one(FileOffered)
    assert alone.said == []


def test_the_same_offer_after_an_accept_from_the_start(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(chunk(0, 30), OFFER, chunk(30, SIZE), DONE)
    assert arrived(alone) == CONTENT
    assert not alone.take(FileAccept)


def test_the_same_offer_after_an_accept_from_the_middle(alone: Alone, tmp_path: Path) -> None:
    assert with_part(alone, tmp_path, 50).offset == 50
    alone.hear(chunk(50, 60), chunk(60, 70), OFFER, chunk(70, 80))
    alone.settle()
    assert alone.take_one(FileAccept) == FileAccept(3, FILE, 0, "")
    [part] = (tmp_path / PARTIAL_FOLDER).glob("*.part")
    assert part.read_bytes() == b""
    alone.hear(OFFER)  # said for an accept that crossed it
    alone.hear(chunk(0, SIZE), DONE)
    assert arrived(alone) == CONTENT


def test_nothing_moves_backwards(alone: Alone, tmp_path: Path) -> None:
    with_part(alone, tmp_path, 50)
    alone.up = False
    alone.hear(OFFER)
    alone.settle()
    alone.clock.advance(2)
    alone.transfers.tick()
    progress = alone.events.one(FileProgress)
    assert (progress.done_bytes, progress.rate_bytes_per_s, progress.left_s) == (0, 0, None)


@pytest.mark.parametrize(
    "other",
    [
        FileOffer(2, FILE, "b.bin", SIZE, 5),
        FileOffer(2, FILE, "a.bin", SIZE + 1, 5),
        FileOffer(2, FILE, "a.bin", SIZE, 6),
    ],
)
def test_another_offer_under_the_same_number(alone: Alone, other: FileOffer) -> None:
    offered(alone)
    with pytest.raises(RemoteProtocolError, match="same number"):
        alone.hear(other)


# ---- what the sender must not do ----


@pytest.mark.parametrize(
    "record", [chunk(0, 10), DONE, Chunk(FILE, SIZE, b"x"), Chunk(FILE, 2**63 - 1, b"x")]
)
def test_what_was_not_asked_for(alone: Alone, record: Chunk | FileDone) -> None:
    offered(alone)
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        alone.hear(record)


@pytest.mark.parametrize("start", [0, 1, SIZE, SIZE + 1, 2**63 - 1])
def test_what_is_behind_the_end(alone: Alone, tmp_path: Path, start: int) -> None:
    accepted(alone, tmp_path)
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        alone.hear(Chunk(FILE, start, bytes(SIZE + 1)))


def test_two_digests(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(DONE, DONE)
    with pytest.raises(RemoteProtocolError):
        alone.hear(FileDone(10, FILE, "0" * 64))


def test_it_arrives_damaged(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(Chunk(FILE, 0, bytes(SIZE)), DONE)
    alone.settle()
    assert alone.take_one(FileEnd).reason == "the file arrived damaged"
    ended = alone.events.one(FileEnded)
    assert (ended.by_us, ended.kept_bytes) == (False, 0)
    assert not alone.take(FileReceived)
    assert [path.name for path in tmp_path.iterdir()] == [PARTIAL_FOLDER]
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_it_cannot_be_put_in_its_place(alone: Alone, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    accepted(alone, folder)
    alone.hear(chunk(0, SIZE))
    alone.settle()
    folder.rename(tmp_path / "elsewhere")
    alone.hear(DONE)
    alone.settle()
    assert alone.take_one(FileEnd).reason == "it cannot be stored: there is no place for it"
    assert alone.events.one(FileEnded).by_us
    assert not alone.take(FileReceived)


# ---- an earlier try ----


def test_from_where_an_earlier_try_ended(alone: Alone, tmp_path: Path) -> None:
    said = with_part(alone, tmp_path, 50)
    assert said == FileAccept(2, FILE, 50, hashlib.sha256(CONTENT[:50]).hexdigest())
    found = alone.events.last(FileOffered)
    assert (found.had_bytes, found.accepted_before) == (50, True)
    alone.hear(chunk(50, SIZE), DONE)
    assert arrived(alone) == CONTENT


def test_an_earlier_try_that_takes_long_to_hash(alone: Alone, tmp_path: Path) -> None:
    size = 2 * HASH_STEP_BYTES + 1
    alone.hear(FileOffer(1, FILE, "long", size, 5))
    alone.settle()
    alone.transfers.accept(alone.events.one(FileOffered).transfer, tmp_path)
    alone.settle()
    alone.take_one(FileAccept)
    alone.hear(Chunk(FILE, 0, b"\0"))
    alone.settle()
    alone.transfers.path_up(fresh=True)
    [part] = (tmp_path / PARTIAL_FOLDER).glob("*.part")
    os.truncate(part, size)
    alone.hear(FileOffer(1, FILE, "long", size, 5))
    alone.settle()
    alone.transfers.accept(alone.events.last(FileOffered).transfer, tmp_path)
    alone.settle()
    digest = hashlib.sha256(bytes(size)).hexdigest()
    assert alone.take_one(FileAccept) == FileAccept(2, FILE, size, digest)


def test_declined_with_a_part_that_is_kept(alone: Alone, tmp_path: Path) -> None:
    accepted(alone, tmp_path)
    alone.hear(chunk(0, 50))
    alone.settle()
    alone.transfers.path_up(fresh=True)
    alone.transfers.decline(offered(alone, file=8))
    assert alone.events.last(FileEnded).kept_bytes == 50
    assert alone.take_one(FileEnd).reason == "declined"
