from __future__ import annotations

import hashlib
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.errors import LocalProtocolError, RemoteProtocolError
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileEvent,
    FileFinished,
    FileOffered,
    FileProgress,
    FileSending,
)
from securechat.peer.files import PARTIAL_FOLDER
from securechat.peer.records import (
    Chunk,
    ChunkAck,
    FileAccept,
    FileDone,
    FileEnd,
    FileOffer,
    FileReceived,
)
from securechat.peer.transfers import OFFERS_OPEN, RECEIVE_MOST, TransferSnapshot
from securechat.peer.window import CHUNK_LEAST, WINDOW_MOST, WINDOW_START
from tests.peer.transfer_harness import Alone, Pair, full_after, joined

EDGES = [CHUNK_LEAST, WINDOW_START // 4, WINDOW_START, WINDOW_START + CHUNK_LEAST]
SIZES = st.sampled_from([0, 1, *(edge + off for edge in EDGES for off in (-1, 0, 1))])
SIZES |= st.integers(0, 300_000)

OFFER = FileOffer(n=1, file=7, name="a.txt", size=100_000, modified_ns=5)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with joined(tmp_path) as pair:
        yield pair


@pytest.fixture
def alone() -> Iterator[Alone]:
    with closing(Alone()) as alone:
        yield alone


def make(folder: Path, size: int, name: str = "a.bin") -> Path:
    path = folder / name
    path.write_bytes(random.Random(size).randbytes(size))
    return path


def parts(folder: Path) -> list[str]:
    """What there is in the folder for parts, by the end of its names."""
    return sorted(path.suffix for path in (folder / PARTIAL_FOLDER).glob("*"))


def whole(folder: Path) -> dict[str, bytes]:
    """The files that have arrived."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# ---- from one end to the other ----


def test_a_file_arrives_and_both_sides_tell(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    content = path.read_bytes()
    number = pair.alice.transfers.offer(path)
    pair.settle()
    sha256 = hashlib.sha256(content).hexdigest()
    size = len(content)
    assert pair.alice.events.all == [
        FileSending(number, "other of alice", "Nick", "a.bin", size),
        FileAccepted(number, "other of alice", "Nick", "a.bin", size, True, 0),
        FileFinished(number, "other of alice", "Nick", "a.bin", True, path, size, sha256),
    ]
    there = pair.bob.folder / "a.bin"
    account = "other of bob"
    assert pair.bob.events.all == [
        FileOffered(1, account, "Nick", "a.bin", "a.bin", size, 0, False),
        FileAccepted(1, account, "Nick", "a.bin", size, False, 0),
        FileFinished(1, account, "Nick", "a.bin", False, there, size, sha256),
    ]
    assert whole(pair.bob.folder) == {"a.bin": content}
    assert parts(pair.bob.folder) == []
    assert not pair.alice.transfers.busy
    assert not pair.bob.transfers.busy


@given(size=SIZES)
def test_any_size(size: int) -> None:
    with tempfile.TemporaryDirectory() as name, joined(Path(name)) as pair:
        path = make(Path(name), size)
        pair.send(path)
        assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_several_at_once_both_ways(pair: Pair, tmp_path: Path) -> None:
    pair.alice.accept_all = True
    sent = {f"{n}.bin": make(tmp_path, 300_000 + n, f"{n}.bin") for n in range(6)}
    for n, path in enumerate(sent.values()):
        side = pair.alice if n % 2 else pair.bob
        side.transfers.offer(path)
    pair.settle()
    arrived = whole(pair.alice.folder) | whole(pair.bob.folder)
    assert arrived == {name: path.read_bytes() for name, path in sent.items()}


def accepted_from_us(alone: Alone, folder: Path, *sizes: int) -> list[int]:
    """Offer files of these sizes and have them accepted; return their numbers."""
    for size in sizes:
        alone.transfers.offer(make(folder, size, f"{size}.bin"))
    alone.settle()
    files = [offer.file for offer in alone.take(FileOffer)]
    alone.hear(*(FileAccept(n, file, 0, "") for n, file in enumerate(files, start=1)))
    alone.settle()
    return files


def acknowledge(alone: Alone, *chunks: Chunk) -> None:
    alone.hear(*(ChunkAck(chunk.file, chunk.offset + len(chunk.data)) for chunk in chunks))
    alone.settle()


def test_files_take_turns(alone: Alone, tmp_path: Path) -> None:
    """A short file need not wait for the end of a long one."""
    files = accepted_from_us(alone, tmp_path, 1_000_000, 1_000_001, 1_000_002)
    waiting = alone.take(Chunk)
    turns = [chunk.file for chunk in waiting]
    while len(turns) < 16:
        acknowledge(alone, waiting.pop(0))
        new = alone.take(Chunk)
        waiting += new
        turns += [chunk.file for chunk in new]
    counts = [turns.count(file) for file in files]
    assert max(counts) - min(counts) <= 1


def test_a_file_that_ends_leaves_its_part_of_the_window_to_others(
    alone: Alone, tmp_path: Path
) -> None:
    first, second = accepted_from_us(alone, tmp_path, 1_000_000, 1_000_001)
    assert sum(len(chunk.data) for chunk in alone.take(Chunk)) == WINDOW_START
    alone.hear(FileEnd(9, first, "cancelled"))
    alone.settle()
    assert {chunk.file for chunk in alone.take(Chunk)} == {second}


def test_each_path_has_a_window_of_its_own(alone: Alone, tmp_path: Path) -> None:
    [file] = accepted_from_us(alone, tmp_path, 2_000_000)
    acknowledge(alone, *alone.take(Chunk))
    assert sum(len(chunk.data) for chunk in alone.take(Chunk)) > WINDOW_START
    alone.transfers.path_down()
    alone.transfers.path_up(fresh=False)
    alone.hear(FileAccept(2, file, 0, ""))
    alone.settle()
    assert sum(len(chunk.data) for chunk in alone.take(Chunk)) == WINDOW_START


def test_a_name_that_is_taken(pair: Pair, tmp_path: Path) -> None:
    contents = []
    for n in range(3):
        path = make(tmp_path, 10 + n)
        contents.append(path.read_bytes())
        pair.send(path)
    arrived = whole(pair.bob.folder)
    assert len(arrived) == 3
    assert sorted(arrived.values()) == sorted(contents)
    assert arrived["a.bin"] == contents[0]


def test_a_name_cannot_leave_the_folder(alone: Alone, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    content = b"evil"
    alone.hear(FileOffer(1, 7, "../../x\n.txt", len(content), 0))
    alone.settle()
    offered = alone.events.one(FileOffered)
    assert offered.name == "../../x\n.txt"
    alone.transfers.accept(offered.transfer, folder)
    alone.settle()
    alone.hear(Chunk(7, 0, content), done_of(content))
    alone.settle()
    finished = alone.events.one(FileFinished)
    assert finished.path.parent == folder
    assert finished.path.name == offered.safe_name
    assert whole(folder) == {offered.safe_name: content}


# ---- the path is lost ----


@given(
    size=st.integers(0, 600_000),
    cuts=st.lists(st.integers(0, 300_000) | st.integers(0, 2_000), max_size=8),
)
def test_cut_anywhere_any_number_of_times(size: int, cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name, joined(Path(name)) as pair:
        pair.cut()
        path = make(Path(name), size)
        pair.alice.transfers.offer(path)
        for left in cuts:
            pair.connect(left)
            pair.settle()
            pair.cut()
        pair.connect()
        pair.settle()
        assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}
        assert parts(pair.bob.folder) == []
        assert len(pair.alice.events.of(FileFinished)) == 1
        assert len(pair.bob.events.of(FileFinished)) == 1
        assert len(pair.bob.events.of(FileOffered)) == 1


def test_what_was_written_is_not_sent_again(pair: Pair, tmp_path: Path) -> None:
    pair.cut()
    pair.connect(400_000)
    path = make(tmp_path, 1_000_000)
    pair.alice.transfers.offer(path)
    pair.settle()
    assert pair.cuts == 2
    pair.connect()
    pair.settle()
    first, again = pair.alice.events.of(FileAccepted)
    assert first.offset == 0
    assert 300_000 < again.offset < 400_000
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_nothing_is_sent_before_it_is_accepted_on_the_present_path(
    alone: Alone, tmp_path: Path
) -> None:
    path = make(tmp_path, 1_000_000)
    alone.transfers.offer(path)
    alone.settle()
    file = alone.take_one(FileOffer).file
    assert not alone.take(Chunk)
    alone.hear(FileAccept(1, file, 0, ""))
    alone.settle()
    assert alone.take(Chunk)
    alone.transfers.path_down()
    alone.transfers.path_up(fresh=False)
    alone.hear(ChunkAck(file, CHUNK_LEAST))
    alone.settle()
    assert not alone.take(Chunk)
    prefix = hashlib.sha256(path.read_bytes()[:CHUNK_LEAST]).hexdigest()
    alone.hear(FileAccept(2, file, CHUNK_LEAST, prefix))
    alone.settle()
    assert alone.take(Chunk)[0].offset == CHUNK_LEAST


# ---- a client is restarted ----


def cut_in_the_middle(pair: Pair, path: Path) -> int:
    """Send until some of it is there; return how much."""
    pair.cut()
    pair.connect(path.stat().st_size // 2)
    pair.alice.transfers.offer(path)
    pair.settle()
    [written] = [one.done_bytes for one in pair.bob.transfers.snapshot()]
    assert 0 < written < path.stat().st_size
    return written


def test_a_receiver_that_is_restarted_goes_on(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    written = cut_in_the_middle(pair, path)
    pair.restart(pair.bob)
    assert pair.bob.events.one(FileEnded).kept_bytes == written
    pair.connect()
    pair.settle()
    offered = pair.bob.events.last(FileOffered)
    assert offered.had_bytes == written
    assert offered.accepted_before
    assert pair.alice.events.last(FileAccepted).offset == written
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}
    assert len(pair.alice.events.of(FileFinished)) == 1


def test_a_sender_that_is_restarted_and_offers_again_goes_on(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    written = cut_in_the_middle(pair, path)
    pair.restart(pair.alice)
    pair.connect()
    pair.settle()
    ended = pair.bob.events.one(FileEnded)
    assert ended.kept_bytes == written
    assert not ended.by_us
    assert "begun anew" in ended.reason
    pair.send(path)
    offered = pair.bob.events.last(FileOffered)
    assert offered.had_bytes == written
    assert not offered.accepted_before  # the user has not seen this offer
    assert pair.alice.events.last(FileAccepted).offset == written
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_what_the_user_cancelled_is_not_taken_for_accepted_later(
    pair: Pair, tmp_path: Path
) -> None:
    path = make(tmp_path, 1_000_000)
    written = cut_in_the_middle(pair, path)
    [transfer] = [one.transfer for one in pair.bob.transfers.snapshot()]
    pair.bob.transfers.cancel(transfer)
    pair.bob.accept_all = False
    pair.restart(pair.bob)  # so Alice never hears of it, and offers the same again
    pair.connect()
    pair.settle()
    offered = pair.bob.events.last(FileOffered)
    assert offered.had_bytes == written
    assert not offered.accepted_before


@pytest.mark.parametrize("restarts", ["ab", "ba", "bb"])
def test_restarts_of_both(pair: Pair, tmp_path: Path, restarts: str) -> None:
    path = make(tmp_path, 1_000_000)
    cut_in_the_middle(pair, path)
    for who in restarts:
        pair.restart(pair.alice if who == "a" else pair.bob)
        pair.connect(200_000)
        pair.settle()
        if who == "a":
            pair.alice.transfers.offer(path)
            pair.settle()
    pair.cut()
    pair.connect()
    pair.settle()
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


@given(
    size=st.integers(0, 600_000),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["cut", "alice", "bob", "damage"]),
            st.integers(0, 300_000) | st.integers(0, 2_000),
        ),
        max_size=8,
    ),
)
def test_any_story_ends_well(size: int, steps: list[tuple[str, int]]) -> None:
    """Paths that are lost, clients that are restarted, parts that are damaged meanwhile."""
    with tempfile.TemporaryDirectory() as name, joined(Path(name)) as pair:
        path = make(Path(name), size)
        pair.alice.transfers.offer(path)
        for what, left in steps:
            if what == "cut":
                pair.cut()
            else:
                pair.restart(pair.alice if what == "alice" else pair.bob)
            if what == "damage":
                for part in (pair.bob.folder / PARTIAL_FOLDER).glob("*.part"):
                    part.write_bytes(bytes(part.stat().st_size))
            pair.connect(left)
            if not pair.alice.transfers.busy and not pair.alice.events.of(FileFinished):
                pair.alice.transfers.offer(path)
            pair.settle()
        pair.cut()
        pair.connect()
        pair.settle()
        # Who is restarted before it could say that it has received a file, is sent it once more.
        assert set(whole(pair.bob.folder).values()) == {path.read_bytes()}
        assert parts(pair.bob.folder) == []
        assert not pair.alice.transfers.busy
        assert not pair.bob.transfers.busy


def test_a_part_that_is_damaged_is_thrown_away(pair: Pair, tmp_path: Path) -> None:
    """As by a loss of power: the part has the right length, but not the right content."""
    path = make(tmp_path, 1_000_000)
    cut_in_the_middle(pair, path)
    pair.restart(pair.bob)
    [part] = (pair.bob.folder / PARTIAL_FOLDER).glob("*.part")
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.write_bytes(damaged)
    pair.connect()
    pair.settle()
    assert [event.offset for event in pair.bob.events.of(FileAccepted)] == [0, len(damaged), 0]
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_a_damaged_part_is_thrown_away_although_the_path_is_lost_meanwhile(
    pair: Pair, tmp_path: Path
) -> None:
    path = make(tmp_path, 1_000_000)
    cut_in_the_middle(pair, path)
    pair.restart(pair.bob)
    [part] = (pair.bob.folder / PARTIAL_FOLDER).glob("*.part")
    part.write_bytes(bytes(part.stat().st_size))
    for left in range(100, 3_000, 150):
        pair.connect(left)
        pair.settle()
        pair.cut()
    pair.connect()
    pair.settle()
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_a_file_that_is_there_in_full_is_only_compared(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 200_000)
    cut_in_the_middle(pair, path)
    pair.restart(pair.bob)
    [part] = (pair.bob.folder / PARTIAL_FOLDER).glob("*.part")
    part.write_bytes(path.read_bytes())
    pair.connect()
    pair.settle()
    assert pair.alice.events.last(FileAccepted).offset == 200_000
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


# ---- the file is not what it was ----


def end_of_a_changed_file(pair: Pair, path: Path) -> None:
    """Go on with the transfer, which must end on both sides without the file."""
    pair.connect()
    pair.settle()
    for side in (pair.alice, pair.bob):
        assert side.events.one(FileEnded).reason == "the file has changed while it was sent"
        assert not side.events.of(FileFinished)
        assert not side.transfers.busy
    assert pair.alice.events.one(FileEnded).by_us
    assert not pair.bob.events.one(FileEnded).by_us
    assert whole(pair.bob.folder) == {}


def test_a_file_that_was_changed(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    cut_in_the_middle(pair, path)
    with path.open("r+b") as file:
        file.seek(900_000)
        file.write(b"other")
    os.utime(path, ns=(0, 0))  # an other time of change, whatever the clock's steps are
    end_of_a_changed_file(pair, path)


def test_a_file_that_has_grown(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    cut_in_the_middle(pair, path)
    with path.open("ab") as file:
        file.write(b"more")
    end_of_a_changed_file(pair, path)


def test_a_file_that_was_cut_short(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    cut_in_the_middle(pair, path)
    os.truncate(path, 700_000)
    end_of_a_changed_file(pair, path)


def test_a_file_that_is_changed_after_the_path_came_back(alone: Alone, tmp_path: Path) -> None:
    """Found at the end of the file, and FileDone is not said."""
    path = make(tmp_path, 1_000_000)
    alone.transfers.offer(path)
    alone.settle()
    file = alone.take_one(FileOffer).file
    alone.hear(FileAccept(1, file, 0, ""))
    alone.settle()
    os.utime(path, ns=(0, 0))
    while not alone.events.of(FileEnded):
        [*_, last] = alone.take(Chunk)
        alone.hear(ChunkAck(file, last.offset + len(last.data)))
        alone.settle()
    assert {type(record) for record in alone.said} <= {Chunk, FileEnd}
    assert alone.take_one(FileEnd).reason == "the file has changed while it was sent"


def test_a_file_that_was_replaced_or_removed_is_sent_as_it_was_offered(
    pair: Pair, tmp_path: Path
) -> None:
    path = make(tmp_path, 1_000_000)
    content = path.read_bytes()
    cut_in_the_middle(pair, path)
    os.replace(make(tmp_path, 50, "other.bin"), path)
    path.unlink()
    pair.connect()
    pair.settle()
    assert whole(pair.bob.folder) == {"a.bin": content}


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_not_offered(alone: Alone, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    number = alone.transfers.offer(path)
    alone.settle()
    ended = alone.events.one(FileEnded)
    assert ended.transfer == number
    assert ended.by_us
    assert str(tmp_path) not in ended.reason
    assert alone.said == []
    assert not alone.transfers.busy


# ---- it cannot be stored ----


def test_a_folder_that_cannot_be_used(pair: Pair, tmp_path: Path) -> None:
    pair.bob.folder = tmp_path / "missing" / "folder"
    pair.alice.transfers.offer(make(tmp_path, 1_000))
    pair.settle()
    for side in (pair.alice, pair.bob):
        ended = side.events.one(FileEnded)
        assert ended.reason == "it cannot be stored: No such file or directory"
        assert ended.by_us is (side is pair.bob)


def test_the_disk_fills_up(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 2_000_000)
    with full_after(1_000_000):
        pair.alice.transfers.offer(path)
        pair.settle()
    for side in (pair.alice, pair.bob):
        assert side.events.one(FileEnded).reason == "it cannot be stored: File too large"
    kept = pair.bob.events.one(FileEnded).kept_bytes
    assert 0 < kept <= 1_000_000
    pair.send(path)
    assert pair.bob.events.last(FileOffered).had_bytes >= kept
    assert pair.alice.events.last(FileAccepted).offset >= kept
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_no_room(alone: Alone, tmp_path: Path) -> None:
    alone.hear(FileOffer(1, 7, "huge.bin", 2**62, 0))
    alone.settle()
    alone.transfers.accept(alone.events.one(FileOffered).transfer, tmp_path)
    alone.settle()
    assert alone.take_one(FileEnd).reason == "there is not enough room for it"
    assert alone.events.one(FileEnded).by_us
    assert parts(tmp_path) == []


# ---- no ----


def offered_to_bob(pair: Pair, tmp_path: Path, size: int = 1_000_000) -> tuple[int, int]:
    """Have a file offered; return the numbers of the transfer, of Alice and of Bob."""
    pair.bob.accept_all = False
    number = pair.alice.transfers.offer(make(tmp_path, size))
    pair.settle()
    return number, pair.bob.events.one(FileOffered).transfer


def both_ended(pair: Pair, reason: str, *, by: str) -> None:
    for side in (pair.alice, pair.bob):
        ended = side.events.one(FileEnded)
        assert (ended.reason, ended.by_us) == (reason, side.name == by)
        assert not side.transfers.busy
    assert whole(pair.bob.folder) == {}


def test_declined(pair: Pair, tmp_path: Path) -> None:
    _, number = offered_to_bob(pair, tmp_path)
    pair.bob.transfers.decline(number)
    pair.settle()
    both_ended(pair, "declined", by="bob")


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_cancelled_before_it_is_accepted(pair: Pair, tmp_path: Path, by: str) -> None:
    numbers = dict(zip(("alice", "bob"), offered_to_bob(pair, tmp_path), strict=True))
    getattr(pair, by).transfers.cancel(numbers[by])
    pair.settle()
    both_ended(pair, "cancelled", by=by)


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_cancelled_on_the_way(pair: Pair, tmp_path: Path, by: str) -> None:
    sent, received = offered_to_bob(pair, tmp_path)
    pair.bob.transfers.accept(received, pair.bob.folder)
    pair.loop.run_until(lambda: pair.alice.transfers.snapshot()[0].done_bytes > 0)
    side = getattr(pair, by)
    side.transfers.cancel(sent if by == "alice" else received)
    pair.settle()
    both_ended(pair, "cancelled", by=by)
    assert pair.bob.events.one(FileEnded).kept_bytes > 0
    assert parts(pair.bob.folder) == [".json", ".part"]


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_cancelled_while_there_is_no_path(pair: Pair, tmp_path: Path, by: str) -> None:
    numbers = dict(zip(("alice", "bob"), offered_to_bob(pair, tmp_path), strict=True))
    pair.bob.transfers.accept(numbers["bob"], pair.bob.folder)
    pair.cut()
    getattr(pair, by).transfers.cancel(numbers[by])
    pair.settle()
    pair.connect()
    pair.settle()
    both_ended(pair, "cancelled", by=by)
    assert parts(pair.bob.folder) == []  # there was nothing worth keeping


def test_cancelled_before_it_is_opened(alone: Alone, tmp_path: Path) -> None:
    number = alone.transfers.offer(make(tmp_path, 1_000))
    alone.transfers.cancel(number)
    alone.settle()
    assert alone.said == []
    assert alone.events.all == [alone.events.one(FileEnded)]


def test_withdrawn_before_the_user_hears_of_it(alone: Alone, tmp_path: Path) -> None:
    alone.hear(OFFER, FileEnd(2, OFFER.file, "cancelled"))
    alone.settle()
    assert alone.events.all == []
    assert not alone.transfers.busy


def test_cancelled_when_it_is_too_late(alone: Alone, tmp_path: Path) -> None:
    """Between the last word of the sender and the file's being in its place."""
    content = b"whole"
    number = accepted(alone, tmp_path, content)
    alone.hear(Chunk(OFFER.file, 0, content), done_of(content))
    alone.loop.run_until(lambda: alone.transfers._transfers[number].finishing)
    alone.transfers.cancel(number)
    alone.hear(FileEnd(9, OFFER.file, "cancelled"))
    alone.transfers.close("over")
    alone.settle()
    assert not alone.events.of(FileEnded)
    assert alone.events.one(FileFinished).path.read_bytes() == content


def test_the_end_of_the_session(pair: Pair, tmp_path: Path) -> None:
    cut_in_the_middle(pair, make(tmp_path, 1_000_000))
    for side in (pair.alice, pair.bob):
        side.transfers.close("it could not be reached again")
        ended = side.events.one(FileEnded)
        assert (ended.reason, ended.by_us) == ("it could not be reached again", False)
        assert not side.transfers.busy
    assert pair.bob.events.one(FileEnded).kept_bytes > 0


def test_numbers_that_mean_nothing(alone: Alone, tmp_path: Path) -> None:
    own = alone.transfers.offer(make(tmp_path, 10))
    alone.settle()
    for number in (own, 99):
        with pytest.raises(LocalProtocolError, match=f"file {number} is not offered"):
            alone.transfers.accept(number, tmp_path)
        with pytest.raises(LocalProtocolError, match=f"file {number} is not offered"):
            alone.transfers.decline(number)
    with pytest.raises(LocalProtocolError, match="transfer 99"):
        alone.transfers.cancel(99)
    incoming = accepted(alone, tmp_path, b"x")
    with pytest.raises(LocalProtocolError, match=f"file {incoming} is not offered"):
        alone.transfers.accept(incoming, tmp_path)  # it is already


# ---- limits, and who breaks the rules ----


def done_of(content: bytes, n: int = 8) -> FileDone:
    return FileDone(n, OFFER.file, hashlib.sha256(content).hexdigest())


def accepted(alone: Alone, folder: Path, content: bytes) -> int:
    """Have that content offered as ``OFFER``, and accept it; return the number of the transfer."""
    alone.hear(FileOffer(1, OFFER.file, OFFER.name, len(content), 0))
    alone.settle()
    number = alone.events.last(FileOffered).transfer
    alone.transfers.accept(number, folder)
    alone.settle()
    return number


def test_too_many_offers(alone: Alone) -> None:
    for file in range(OFFERS_OPEN + 2):
        alone.hear(FileOffer(file + 1, file, "a", 1, 0))
    alone.settle()
    offered = alone.events.of(FileOffered)
    assert len(offered) == OFFERS_OPEN
    assert {end.file for end in alone.take(FileEnd)} == {OFFERS_OPEN, OFFERS_OPEN + 1}
    alone.transfers.decline(offered[0].transfer)
    alone.take(FileEnd)
    alone.hear(FileOffer(99, 99, "b", 1, 0))
    alone.settle()
    assert alone.events.last(FileOffered).name == "b"
    assert not alone.said


def test_offers_that_are_withdrawn_at_once_do_not_pile_up_before_the_disk(alone: Alone) -> None:
    for file in range(10 * OFFERS_OPEN):
        alone.hear(FileOffer(2 * file + 1, file, "a", 1, 0), FileEnd(2 * file + 2, file, "no"))
    assert len(alone.take(FileEnd)) == 9 * OFFERS_OPEN
    alone.settle()
    assert alone.events.all == []


def test_too_many_offers_of_ours(alone: Alone, tmp_path: Path) -> None:
    path = make(tmp_path, 1)
    for _ in range(OFFERS_OPEN + 1):
        last = alone.transfers.offer(path)
    alone.settle()
    assert alone.events.one(FileEnded).transfer == last
    assert len(alone.take(FileOffer)) == OFFERS_OPEN
    assert not alone.said


def test_a_receiver_that_acknowledges_nothing_costs_a_window(alone: Alone, tmp_path: Path) -> None:
    accepted_from_us(alone, tmp_path, 1_000_000, 1_000_001, 1_000_002)
    assert sum(len(chunk.data) for chunk in alone.take(Chunk)) == WINDOW_START


def test_the_window_grows_up_to_its_limit(alone: Alone, tmp_path: Path) -> None:
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(16 * WINDOW_MOST)
    alone.transfers.offer(path)
    alone.settle()
    file_number = alone.take_one(FileOffer).file
    alone.hear(FileAccept(1, file_number, 0, ""))
    most = 0
    for _ in range(12):
        alone.settle()
        chunks = alone.take(Chunk)
        most = max(most, sum(len(chunk.data) for chunk in chunks))
        alone.hear(*(ChunkAck(file_number, one.offset + len(one.data)) for one in chunks))
    assert WINDOW_MOST // 2 < most <= WINDOW_MOST


def test_a_sender_that_waits_for_nothing(alone: Alone, tmp_path: Path) -> None:
    size = 4 * RECEIVE_MOST
    alone.hear(FileOffer(1, 7, "a", size, 0))
    alone.settle()
    alone.transfers.accept(alone.events.one(FileOffered).transfer, tmp_path)
    alone.settle()
    piece = bytes(262_144)
    room = RECEIVE_MOST // len(piece)
    for n in range(room):  # nothing of it is known to be written before the test lets it
        alone.hear(Chunk(7, n * len(piece), piece))
    with pytest.raises(RemoteProtocolError, match="too much"):
        alone.hear(Chunk(7, room * len(piece), piece))
    alone.settle()
    alone.hear(Chunk(7, room * len(piece), piece))


def test_one_file_twice_at_once(pair: Pair, tmp_path: Path) -> None:
    path = make(tmp_path, 1_000_000)
    for _ in range(2):
        pair.alice.transfers.offer(path)
    pair.settle()
    assert pair.bob.events.one(FileEnded).reason == "it is being received already"
    assert pair.alice.events.one(FileEnded).reason == "it is being received already"
    assert whole(pair.bob.folder) == {"a.bin": path.read_bytes()}


def test_what_is_about_unknown_files_is_harmless(alone: Alone) -> None:
    digest = "0" * 64
    alone.hear(
        Chunk(5, 0, b"x"),
        ChunkAck(5, 1),
        FileEnd(1, 5, "no"),
        FileDone(2, 5, digest),
        FileReceived(3, 5, digest),
    )
    assert alone.said == []
    alone.hear(FileAccept(4, 5, 0, ""))
    assert alone.take_one(FileEnd).file == 5
    alone.settle()
    assert alone.events.all == []


def test_our_own_number_is_not_theirs(alone: Alone, tmp_path: Path) -> None:
    alone.transfers.offer(make(tmp_path, 1))
    alone.settle()
    with pytest.raises(RemoteProtocolError, match="our own"):
        alone.hear(FileOffer(1, alone.take_one(FileOffer).file, "a", 1, 0))


def test_the_parts_that_cannot_be_looked_at_do_not_hide_the_offer(
    alone: Alone, tmp_path: Path
) -> None:
    (tmp_path / PARTIAL_FOLDER).symlink_to(tmp_path)
    alone.transfers.folder = tmp_path
    alone.hear(OFFER)
    alone.settle()
    offered = alone.events.one(FileOffered)
    assert (offered.had_bytes, offered.accepted_before) == (0, False)
    alone.transfers.accept(offered.transfer, tmp_path)
    alone.settle()
    assert "not ours" in alone.events.one(FileEnded).reason
    alone.take_one(FileEnd)


# ---- what a user sees of it ----


def test_progress(alone: Alone, tmp_path: Path) -> None:
    size = 1_000_000
    alone.hear(FileOffer(1, 7, "a", size, 0))
    alone.settle()
    number = alone.events.one(FileOffered).transfer
    alone.transfers.accept(number, tmp_path)
    alone.settle()

    def progress(seconds: float, count: int) -> list[FileProgress]:
        alone.clock.advance(seconds)
        [snapshot] = alone.transfers.snapshot()
        if count:
            alone.hear(Chunk(7, snapshot.done_bytes, bytes(count)))
        alone.settle()
        alone.transfers.tick()
        found, alone.events.all[:] = alone.events.of(FileProgress), []
        return found

    def report(done: int, rate: float, left: float | None) -> list[FileProgress]:
        return [FileProgress(number, "bob", "a", False, done, size, rate, left)]

    assert progress(1, 100_000) == report(100_000, 100_000, 9)
    assert progress(0.9, 100_000) == []  # too soon
    assert progress(1.1, 0) == report(200_000, 200_000 / 3, 12)
    for _ in range(4):
        progress(1, 50_000)
    assert progress(1, 50_000) == report(450_000, 250_000 / 5, 11)
    for _ in range(6):
        last = progress(1, 0)
    assert last == report(450_000, 0, None)


def test_nothing_is_reported_of_what_ended_just_now(alone: Alone, tmp_path: Path) -> None:
    accepted_from_us(alone, tmp_path, 1_000_000, 1_000_001)

    def cancel_the_other(event: FileEvent) -> None:
        if isinstance(event, FileProgress):
            alone.transfers.cancel(2)

    alone.react = cancel_the_other
    alone.clock.advance(2)
    alone.transfers.tick()
    assert alone.events.one(FileProgress).transfer == 1
    assert alone.events.one(FileEnded).transfer == 2


def test_nothing_to_report_before_it_begins(alone: Alone, tmp_path: Path) -> None:
    alone.hear(OFFER)
    alone.transfers.offer(make(tmp_path, 1))
    alone.settle()
    alone.clock.advance(10)
    alone.transfers.tick()
    assert not alone.events.of(FileProgress)


def test_snapshots(alone: Alone, tmp_path: Path) -> None:
    assert alone.transfers.snapshot() == ()
    sent = alone.transfers.offer(make(tmp_path, 1))
    alone.hear(OFFER)
    alone.settle()
    received = alone.events.one(FileOffered).transfer
    assert alone.transfers.busy
    assert alone.transfers.snapshot() == (
        TransferSnapshot(sent, "bob", "Bob", "a.bin", True, "offered", 0, 1),
        TransferSnapshot(received, "bob", "Bob", "a.txt", False, "offered", 0, OFFER.size),
    )
    alone.transfers.accept(received, tmp_path)
    alone.settle()
    alone.hear(Chunk(OFFER.file, 0, bytes(100)))
    alone.settle()
    running = alone.transfers.snapshot()[1]
    assert (running.state, running.done_bytes) == ("running", 100)
