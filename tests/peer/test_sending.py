from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from securechat.errors import RemoteProtocolError
from securechat.peer.events import FileAccepted, FileEnded, FileFinished, FileSending
from securechat.peer.files import HASH_STEP_BYTES
from securechat.peer.records import (
    Chunk,
    ChunkAck,
    FileAccept,
    FileDone,
    FileEnd,
    FileOffer,
    FileReceived,
)
from securechat.peer.window import CHUNK_LEAST, WINDOW_START
from tests.peer.transfer_harness import Alone

SIZE = 1_000_000
CONTENT = random.Random(1).randbytes(SIZE)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
OTHER_DIGEST = "0" * 64


@pytest.fixture
def alone() -> Iterator[Alone]:
    with closing(Alone()) as alone:
        yield alone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def file(alone: Alone, path: Path) -> int:
    """The number of a file that is offered and not accepted yet."""
    alone.transfers.offer(path)
    alone.settle()
    return alone.take_one(FileOffer).file


def accept(file: int, offset: int, n: int = 1) -> FileAccept:
    prefix = hashlib.sha256(CONTENT[:offset]).hexdigest() if offset else ""
    return FileAccept(n, file, offset, prefix)


def misfit(file: int, offset: int) -> FileAccept:
    return FileAccept(1, file, offset, OTHER_DIGEST)


def said(alone: Alone) -> bytes:
    """Return the content of the chunks that were said, which must be in order; forget them."""
    chunks = alone.take(Chunk)
    for before, after in pairwise(chunks):
        assert after.offset == before.offset + len(before.data)
    return b"".join(chunk.data for chunk in chunks)


def to_the_end(alone: Alone, file: int, offset: int) -> bytes:
    """Acknowledge all until the file has been said to its end; return what was said."""
    content = b""
    for _ in range(SIZE // CHUNK_LEAST + 2):
        alone.settle()
        content += said(alone)
        alone.hear(ChunkAck(file, offset + len(content)))
    assert [record.sha256 for record in alone.take(FileDone)] == [DIGEST]
    return content


def test_from_the_start_to_the_end(alone: Alone, file: int, path: Path) -> None:
    alone.hear(accept(file, 0))
    assert to_the_end(alone, file, 0) == CONTENT
    alone.hear(FileReceived(2, file, DIGEST))
    alone.settle()
    assert [type(event) for event in alone.events.all] == [FileSending, FileAccepted, FileFinished]
    assert alone.events.one(FileFinished).path == path


@pytest.mark.parametrize("offset", [1, 65_536, SIZE - 1, SIZE])
def test_from_the_middle(alone: Alone, file: int, offset: int) -> None:
    alone.hear(accept(file, offset))
    assert to_the_end(alone, file, offset) == CONTENT[offset:]
    assert alone.events.one(FileAccepted).offset == offset


@pytest.mark.parametrize(
    ("offset", "prefix"), [(SIZE + 1, DIGEST), (2**63 - 1, DIGEST), (1, ""), (0, DIGEST)]
)
def test_accepted_from_where_it_cannot_be(
    alone: Alone, file: int, offset: int, prefix: str
) -> None:
    with pytest.raises(RemoteProtocolError):
        alone.hear(FileAccept(1, file, offset, prefix))


def test_an_accept_of_what_the_stream_has_passed_is_an_acknowledgement(
    alone: Alone, file: int
) -> None:
    """One said before, on a path that was lost, and then one for this path."""
    alone.hear(accept(file, 0))
    alone.settle()
    assert said(alone) == CONTENT[:WINDOW_START]
    alone.hear(accept(file, 100_000))
    alone.settle()
    more = said(alone)
    assert more
    assert CONTENT[WINDOW_START:].startswith(more)
    assert len(alone.events.of(FileAccepted)) == 1


def test_an_accept_from_before_the_stream_begins_another(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 500_000))
    alone.settle()
    said(alone)
    alone.hear(accept(file, 100_000))
    assert to_the_end(alone, file, 100_000) == CONTENT[100_000:]


def test_the_window_grows_with_another_stream_too(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 500_000))
    alone.settle()
    said(alone)
    alone.hear(accept(file, 0))
    alone.settle()
    first = said(alone)
    alone.hear(ChunkAck(file, len(first)))
    alone.settle()
    assert len(said(alone)) > len(first) == WINDOW_START


def test_an_accept_further_on_begins_another(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 0))
    alone.settle()
    said(alone)
    alone.hear(accept(file, 900_000))
    assert to_the_end(alone, file, 900_000) == CONTENT[900_000:]


def test_what_the_disk_was_reading_for_another_stream_is_not_said(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 500_000))
    alone.loop.run_until(lambda: bool(alone.events.of(FileAccepted)))  # now it reads
    alone.hear(accept(file, 0))
    assert to_the_end(alone, file, 0) == CONTENT


def test_the_newest_accept_counts(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 1_000), accept(file, 0), accept(file, 2_000))
    assert to_the_end(alone, file, 2_000) == CONTENT[2_000:]
    assert [event.offset for event in alone.events.of(FileAccepted)] == [2_000]


def test_an_accept_that_the_path_did_not_outlive(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 500_000))
    alone.transfers.path_down()
    alone.settle()
    assert not alone.take(Chunk)
    assert not alone.events.of(FileAccepted)


def test_a_prefix_of_something_else(alone: Alone, file: int) -> None:
    """The offer is said again, once, although two accepts were on their way."""
    alone.hear(misfit(file, 500_000))
    alone.settle()
    alone.hear(misfit(file, 600_000))
    alone.settle()
    again = alone.take_one(FileOffer)
    assert (again.file, again.size) == (file, SIZE)
    assert not alone.take(Chunk)
    alone.hear(accept(file, 0))
    alone.settle()
    assert CONTENT.startswith(said(alone))
    alone.transfers.path_down()
    alone.hear(misfit(file, 10))
    alone.settle()
    alone.take_one(FileOffer)  # it has a part again, and that is another one


def test_a_prefix_that_takes_long_to_hash(alone: Alone, tmp_path: Path) -> None:
    size = 2 * HASH_STEP_BYTES + 1
    path = tmp_path / "long"
    with path.open("wb") as raw:
        raw.truncate(size)
    alone.transfers.offer(path)
    alone.settle()
    digest = hashlib.sha256(bytes(size)).hexdigest()
    alone.hear(FileAccept(1, alone.take_one(FileOffer).file, size, digest))
    alone.settle()
    assert alone.events.one(FileAccepted).offset == size
    assert alone.take_one(FileDone).sha256 == digest


def test_the_end_is_said_again_after_another_accept(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 0))
    to_the_end(alone, file, 0)
    alone.transfers.path_down()
    alone.transfers.path_up(fresh=False)
    alone.hear(accept(file, SIZE - 10))
    assert to_the_end(alone, file, SIZE - 10) == CONTENT[-10:]


@pytest.mark.parametrize("offset", [0, WINDOW_START + 1, SIZE, 2**63 - 1])
def test_acknowledgements_that_fit_no_chunk_are_ignored(
    alone: Alone, file: int, offset: int
) -> None:
    alone.hear(accept(file, 0))
    alone.settle()
    said(alone)
    alone.hear(ChunkAck(file, offset))
    alone.settle()
    assert said(alone) == b""
    assert alone.transfers.snapshot()[0].done_bytes == 0


def test_an_old_acknowledgement_changes_nothing(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 0))
    alone.settle()
    alone.hear(ChunkAck(file, 131_072))
    alone.settle()
    said(alone)
    alone.hear(ChunkAck(file, 131_072), ChunkAck(file, 65_536))
    alone.settle()
    assert said(alone) == b""
    assert alone.transfers.snapshot()[0].done_bytes == 131_072


def test_received_before_it_was_sent(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 0))
    alone.settle()
    with pytest.raises(RemoteProtocolError, match="not sent to its end"):
        alone.hear(FileReceived(1, file, DIGEST))


def test_something_else_was_received(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 0))
    to_the_end(alone, file, 0)
    alone.hear(FileReceived(2, file, OTHER_DIGEST))
    ended = alone.events.one(FileEnded)
    assert not ended.by_us
    assert not alone.events.of(FileFinished)
    assert not alone.take(FileEnd)


def test_received_counts_although_it_is_accepted_again_meanwhile(alone: Alone, file: int) -> None:
    """An accept that is older than the end, but was delivered on the next path only."""
    alone.hear(accept(file, 0))
    to_the_end(alone, file, 0)
    alone.transfers.path_down()
    alone.transfers.path_up(fresh=False)
    alone.hear(accept(file, 500_000), FileReceived(3, file, DIGEST))
    alone.settle()
    assert alone.events.one(FileFinished).sha256 == DIGEST


def test_who_has_begun_anew_is_offered_it_again(alone: Alone, file: int) -> None:
    alone.hear(accept(file, 0))
    alone.settle()
    said(alone)
    alone.transfers.path_down()
    alone.transfers.path_up(fresh=True)
    again = alone.take_one(FileOffer)
    assert (again.file, again.name, again.size) == (file, "a.bin", SIZE)
    alone.settle()
    assert not alone.take(Chunk)
    assert alone.transfers.snapshot()[0].state == "offered"
    alone.hear(accept(file, 0))
    assert to_the_end(alone, file, 0) == CONTENT


def test_it_is_offered_once_to_who_began_anew_before_it_was_opened(
    alone: Alone, path: Path
) -> None:
    alone.transfers.offer(path)
    alone.transfers.path_up(fresh=True)
    alone.settle()
    alone.take_one(FileOffer)
    alone.events.one(FileSending)
