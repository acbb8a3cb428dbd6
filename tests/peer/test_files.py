from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from securechat.peer import files
from securechat.peer.files import (
    CHANGED,
    HASH_STEP_BYTES,
    NO_ROOM,
    PARTIAL_DAYS,
    PARTIAL_FOLDER,
    Block,
    Description,
    FileFailed,
    IncomingFile,
    OutgoingFile,
    Partial,
    Prefix,
    find_partial,
)
from securechat.peer.records import FileOffer
from tests.peer.transfer_harness import full_after

CONTENT = bytes(range(256)) * 400
OFFER = FileOffer(n=1, file=7, name="../a.bin", size=len(CONTENT), modified_ns=5)
NOTHING = Partial()
DAY_S = 86_400


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def prefix(size: int) -> Prefix:
    return Prefix(size, digest(CONTENT[:size]) if size else "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def outgoing(path: Path) -> Iterator[OutgoingFile]:
    file = OutgoingFile(path)
    file.open()
    yield file
    file.close()


@pytest.fixture
def incoming(tmp_path: Path) -> Iterator[IncomingFile]:
    file = IncomingFile(tmp_path, "bob", OFFER)
    yield file
    file.close(wanted=True)


def leave_part(folder: Path, size: int, *, wanted: bool = True, offer: FileOffer = OFFER) -> None:
    """Receive the first bytes of a file, and stop."""
    file = IncomingFile(folder, "bob", offer)
    file.open()
    if size:
        file.write([CONTENT[:size]])
    file.close(wanted=wanted)


def part_in(folder: Path, kind: str = "part") -> Path:
    [path] = (folder / PARTIAL_FOLDER).glob(f"*.{kind}")
    return path


def count_hashed(monkeypatch: pytest.MonkeyPatch, file: object) -> Callable[[], int]:
    """Return what tells how many bytes were read from the file since it was last asked."""
    read = 0
    plain = files._HashedFile._read

    def counting(self: files._HashedFile, size_bytes: int) -> bytes:
        nonlocal read
        data = plain(self, size_bytes)
        if self is file:
            read += len(data)
        return data

    def taken() -> int:
        nonlocal read
        found, read = read, 0
        return found

    monkeypatch.setattr(files._HashedFile, "_read", counting)
    return taken


# ---- a file that is sent ----


def test_what_is_sent_is_described(path: Path) -> None:
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    file = OutgoingFile(path)
    assert file.open() == Description("a.bin", len(CONTENT), 1_234_567_890_123_456_789)
    file.close()


def test_a_name_that_is_no_text_and_a_time_before_1970(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.bin"))
    path.write_bytes(b"")
    os.utime(path, ns=(-5, -5))
    file = OutgoingFile(path)
    assert file.open() == Description("a\N{REPLACEMENT CHARACTER}.bin", 0, 0)
    file.close()


def test_blocks_in_chunks_to_the_end(outgoing: OutgoingFile) -> None:
    first = outgoing.read(50_000, 20_000)
    assert [len(chunk) for chunk in first.chunks] == [20_000, 20_000, 10_000]
    assert first.sha256 == ""
    last = outgoing.read(1_000_000, 1_000_000)
    assert b"".join([*first.chunks, *last.chunks]) == CONTENT
    assert last.sha256 == digest(CONTENT)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    file = OutgoingFile(path)
    file.open()
    assert file.rewind(0) == Prefix(0, "")
    assert file.read(0, 10) == Block([], digest(b""))
    file.close()


@pytest.mark.parametrize("offset", [0, 1, 19_999, 20_000, 20_001, 60_000, len(CONTENT)])
def test_rewound_it_goes_on_from_there(outgoing: OutgoingFile, offset: int) -> None:
    for _ in range(3):
        outgoing.read(20_000, 20_000)
    assert outgoing.rewind(offset) == prefix(offset)
    block = outgoing.read(1_000_000, 1_000_000)
    assert b"".join(block.chunks) == CONTENT[offset:]
    assert block.sha256 == digest(CONTENT)


def test_what_was_passed_is_not_read_again(
    outgoing: OutgoingFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = count_hashed(monkeypatch, outgoing)
    for _ in range(4):
        outgoing.read(20_000, 20_000)
    assert taken() == 80_000
    assert outgoing.rewind(60_000) == prefix(60_000)
    assert taken() == 0
    assert outgoing.rewind(50_000) == prefix(50_000)
    assert taken() == 10_000
    assert outgoing.rewind(50_000) == prefix(50_000)
    assert taken() == 0
    for _ in range(files._PASSED):
        outgoing.rewind(50_000)
    assert outgoing.rewind(40_000) == prefix(40_000)
    assert outgoing.rewind(50_000) == prefix(50_000)
    assert taken() == 10_000
    # What lies behind was forgotten: it will be passed again.
    assert outgoing.rewind(60_000) == prefix(60_000)
    assert taken() == 10_000


def test_what_is_kept_of_that_is_limited(outgoing: OutgoingFile) -> None:
    for offset in range(3 * files._PASSED):
        outgoing.rewind(offset)
    assert len(outgoing._passed) == files._PASSED
    assert outgoing.rewind(3) == prefix(3)  # by reading again from 0


def test_a_long_prefix_is_hashed_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    size = 2 * HASH_STEP_BYTES + 1
    with path.open("wb") as raw:
        raw.truncate(size)
    file = OutgoingFile(path)
    file.open()
    assert file.rewind(size) is None
    assert file.catch_up() is None
    assert file.catch_up() == Prefix(size, digest(bytes(size)))
    # In the middle of it there may come another wish; what was hashed is not lost.
    assert file.rewind(size - 1) is None
    file.close()


def change(path: Path) -> None:
    path.write_bytes(b"other" + CONTENT[5:])
    os.utime(path, ns=(6, 6))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 10)


@pytest.mark.parametrize("spoil", [change, grow, shrink])
@pytest.mark.parametrize("use", [lambda file: file.read(10**6, 10**6), lambda file: file.rewind(9)])
def test_a_file_that_has_changed(
    path: Path,
    outgoing: OutgoingFile,
    spoil: Callable[[Path], None],
    use: Callable[[OutgoingFile], object],
) -> None:
    outgoing.read(20_000, 20_000)
    spoil(path)
    with pytest.raises(FileFailed, match=CHANGED):
        use(outgoing)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "it cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "it cannot be read: Is a directory"),
        (os.mkfifo, "it is not a regular file"),
        (lambda path: path.symlink_to("/dev/null"), "it is not a regular file"),
    ],
)
def test_what_cannot_be_sent(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    make(tmp_path / "x")
    file = OutgoingFile(tmp_path / "x")
    with pytest.raises(FileFailed) as caught:
        file.open()
    assert str(caught.value) == reason
    file.close()


# ---- a file that arrives ----


def test_it_is_written_and_put_in_its_place(tmp_path: Path, incoming: IncomingFile) -> None:
    assert incoming.open() == Prefix(0, "")
    assert incoming.write([CONTENT[:10], CONTENT[10:1_000]]) == prefix(1_000)
    assert part_in(tmp_path).read_bytes() == CONTENT[:1_000]
    assert incoming.write([CONTENT[1_000:]]) == prefix(len(CONTENT))
    assert incoming.finish(digest(CONTENT), "a.bin") == tmp_path / "a.bin"
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_nobody_else_can_read_it(tmp_path: Path, incoming: IncomingFile) -> None:
    incoming.open()
    incoming.write([CONTENT])
    mode = (tmp_path / PARTIAL_FOLDER).stat().st_mode
    assert mode & 0o777 == 0o700
    for kind in ("part", "json"):
        assert part_in(tmp_path, kind).stat().st_mode & 0o777 == 0o600
    path = incoming.finish(digest(CONTENT), "a.bin")
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_name_of_the_other_side_touches_the_disk(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    [key, other] = sorted((tmp_path / PARTIAL_FOLDER).iterdir())
    assert key.stem == other.stem
    assert len(key.stem) == 32
    assert set(key.stem) <= set("0123456789abcdef")
    assert json.loads(part_in(tmp_path, "json").read_text()) == {
        "account": "bob",
        "file": 7,
        "name": "../a.bin",
        "size": len(CONTENT),
        "modified_ns": 5,
        "accepted": True,
    }


def test_it_goes_on_where_an_earlier_try_ended(tmp_path: Path, incoming: IncomingFile) -> None:
    leave_part(tmp_path, 30_000)
    assert incoming.open() == prefix(30_000)
    incoming.write([CONTENT[30_000:]])
    path = incoming.finish(digest(CONTENT), "a.bin")
    assert path is not None
    assert path.read_bytes() == CONTENT


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from securechat.peer.files import IncomingFile
from securechat.peer.records import FileOffer
file = IncomingFile(Path({str(tmp_path)!r}), "bob", {OFFER!r})
file.open()
file.write([(bytes(range(256)) * 400)[:12_345]])
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    assert find_partial(tmp_path, "bob", OFFER) == Partial(12_345, 7, True)
    file = IncomingFile(tmp_path, "bob", OFFER)
    assert file.open() == prefix(12_345)
    file.close(wanted=True)


def test_a_long_part_is_hashed_in_steps(tmp_path: Path) -> None:
    size = HASH_STEP_BYTES + 1
    offer = FileOffer(1, 7, "long", size, 5)
    leave_part(tmp_path, 1, offer=offer)
    os.truncate(part_in(tmp_path), size)
    file = IncomingFile(tmp_path, "bob", offer)
    assert file.open() is None
    assert file.catch_up() == Prefix(size, digest(bytes(size)))
    file.close(wanted=True)


def test_from_the_start_again(tmp_path: Path, incoming: IncomingFile) -> None:
    leave_part(tmp_path, 30_000)
    incoming.open()
    incoming.write([b"x" * 10])
    assert incoming.restart() == Prefix(0, "")
    assert part_in(tmp_path).stat().st_size == 0
    incoming.write([CONTENT])
    path = incoming.finish(digest(CONTENT), "a.bin")
    assert path is not None
    assert path.read_bytes() == CONTENT


def test_damaged(tmp_path: Path, incoming: IncomingFile) -> None:
    incoming.open()
    incoming.write([CONTENT])
    assert incoming.finish(digest(b"other"), "a.bin") is None
    assert [path.name for path in tmp_path.iterdir()] == [PARTIAL_FOLDER]
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_nothing_that_exists_is_overwritten(tmp_path: Path, incoming: IncomingFile) -> None:
    (tmp_path / "a.bin").write_text("mine")
    (tmp_path / "elsewhere").write_text("mine too")
    (tmp_path / "a (1).bin").symlink_to("elsewhere")
    incoming.open()
    incoming.write([CONTENT])
    path = incoming.finish(digest(CONTENT), "a.bin")
    assert path == tmp_path / "a (2).bin"
    assert (tmp_path / "a.bin").read_text() == "mine"
    assert (tmp_path / "elsewhere").read_text() == "mine too"


def test_the_place_is_not_kept_if_the_file_cannot_be_put_there(
    tmp_path: Path, incoming: IncomingFile
) -> None:
    incoming.open()
    incoming.write([CONTENT])
    part_in(tmp_path).unlink()
    with pytest.raises(FileFailed, match="it cannot be stored"):
        incoming.finish(digest(CONTENT), "a.bin")
    assert [path.name for path in tmp_path.iterdir()] == [PARTIAL_FOLDER]


def test_a_folder_that_is_gone_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    file = IncomingFile(folder, "bob", OFFER)
    file.open()
    file.write([CONTENT])
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(FileFailed) as caught:
        file.finish(digest(CONTENT), "a.bin")
    assert str(caught.value) == "it cannot be stored: there is no place for it"
    assert part_in(tmp_path / "elsewhere").read_bytes() == CONTENT


def test_the_folder_is_made_but_not_those_above(tmp_path: Path) -> None:
    leave_part(tmp_path / "downloads", 10)
    assert part_in(tmp_path / "downloads").read_bytes() == CONTENT[:10]
    with pytest.raises(FileFailed, match="No such file or directory"):
        IncomingFile(tmp_path / "no" / "such", "bob", OFFER).open()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileFailed, match="it cannot be stored: Permission denied"):
        IncomingFile(tmp_path, "bob", OFFER).open()


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(FileFailed, match="it cannot be stored: File exists"):
        IncomingFile(tmp_path / "x", "bob", OFFER).open()


def test_no_room(tmp_path: Path) -> None:
    with pytest.raises(FileFailed, match=NO_ROOM):
        IncomingFile(tmp_path, "bob", FileOffer(1, 7, "a", 2**62, 5)).open()
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_a_disk_that_fills_up(tmp_path: Path, incoming: IncomingFile) -> None:
    incoming.open()
    incoming.write([CONTENT[:10_000]])
    with full_after(15_000), pytest.raises(FileFailed, match="it cannot be stored"):
        incoming.write([CONTENT[10_000:20_000]])
    incoming.close(wanted=True)
    # What did fit is there, and can be built on.
    assert find_partial(tmp_path, "bob", OFFER) == Partial(15_000, 7, True)
    again = IncomingFile(tmp_path, "bob", OFFER)
    assert again.open() == prefix(15_000)
    again.close(wanted=True)


# ---- what is found of earlier tries ----


def test_nothing_is_found_and_nothing_is_made(tmp_path: Path) -> None:
    assert find_partial(tmp_path, "bob", OFFER) == NOTHING
    assert find_partial(tmp_path / "missing", "bob", OFFER) == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_try_has_left_is_found(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    assert find_partial(tmp_path, "bob", OFFER) == Partial(10, 7, True)


def test_the_same_file_under_another_number_is_found(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    again = FileOffer(9, 8, OFFER.name, OFFER.size, OFFER.modified_ns)
    assert find_partial(tmp_path, "bob", again) == Partial(10, 7, True)
    leave_part(tmp_path, 0, offer=again)
    assert find_partial(tmp_path, "bob", again) == Partial(10, 8, True)


@pytest.mark.parametrize(
    "other",
    [
        FileOffer(1, 7, "b.bin", OFFER.size, OFFER.modified_ns),
        FileOffer(1, 7, OFFER.name, OFFER.size + 1, OFFER.modified_ns),
        FileOffer(1, 7, OFFER.name, OFFER.size, OFFER.modified_ns + 1),
    ],
)
def test_another_file_is_another_file(tmp_path: Path, other: FileOffer) -> None:
    leave_part(tmp_path, 10)
    assert find_partial(tmp_path, "bob", other) == NOTHING


def test_a_part_of_another_contact_is_not_found(tmp_path: Path) -> None:
    """Or that one could ask for the content's hash, and so for whether somebody has sent it."""
    leave_part(tmp_path, 10)
    assert find_partial(tmp_path, "carol", OFFER) == NOTHING


def test_what_the_user_did_not_want_is_kept_but_not_wanted(tmp_path: Path) -> None:
    leave_part(tmp_path, 10, wanted=False)
    assert find_partial(tmp_path, "bob", OFFER) == Partial(10, 7, False)
    leave_part(tmp_path, 0)  # wanted again
    assert find_partial(tmp_path, "bob", OFFER) == Partial(10, 7, True)


def test_an_empty_part_is_not_kept(tmp_path: Path) -> None:
    leave_part(tmp_path, 0)
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_to_close_what_was_never_opened(tmp_path: Path) -> None:
    IncomingFile(tmp_path, "bob", OFFER).close(wanted=False)
    OutgoingFile(tmp_path / "missing").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sidecar",
    [
        b"",
        b'{"account":"bob","file":7',
        b"[]",
        b"\xff",
        b"{}",
        b'{"account":"eve","file":7,"name":"../a.bin","size":102400,"modified_ns":5,"accepted":true}',
    ],
)
def test_a_part_without_a_good_sidecar_is_worth_nothing(tmp_path: Path, sidecar: bytes) -> None:
    leave_part(tmp_path, 10)
    part_in(tmp_path, "json").write_bytes(sidecar)
    assert find_partial(tmp_path, "bob", OFFER) == NOTHING
    file = IncomingFile(tmp_path, "bob", OFFER)
    assert file.open() == Prefix(0, "")
    assert part_in(tmp_path).stat().st_size == 0
    file.close(wanted=True)


def test_a_part_that_is_longer_than_the_file_is_worth_nothing(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    os.truncate(part_in(tmp_path), OFFER.size + 1)
    assert find_partial(tmp_path, "bob", OFFER) == NOTHING


def test_old_parts_go_when_they_are_looked_at(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    leave_part(tmp_path, 10, offer=FileOffer(2, 8, "b", OFFER.size, 5))
    old_s = time.time() - (PARTIAL_DAYS + 1) * DAY_S
    for path in (tmp_path / PARTIAL_FOLDER).iterdir():
        os.utime(path, (old_s, old_s))
    assert find_partial(tmp_path, "bob", OFFER) == NOTHING
    assert list((tmp_path / PARTIAL_FOLDER).iterdir()) == []


def test_parts_that_are_not_so_old_stay(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    recent_s = time.time() - (PARTIAL_DAYS - 1) * DAY_S
    for path in (tmp_path / PARTIAL_FOLDER).iterdir():
        os.utime(path, (recent_s, recent_s))
    assert find_partial(tmp_path, "bob", OFFER) == Partial(10, 7, True)
    leave_part(tmp_path, 0)  # taken up again: not old any more
    for path in (tmp_path / PARTIAL_FOLDER).iterdir():
        assert path.stat().st_mtime > time.time() - DAY_S


# ---- links ----


def test_a_link_in_place_of_a_part_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    leave_part(tmp_path, 10)
    part = part_in(tmp_path)
    part.unlink()
    part.symlink_to(secret)
    with pytest.raises(FileFailed, match="it cannot be stored"):
        IncomingFile(tmp_path, "bob", OFFER).open()
    assert secret.read_bytes() == CONTENT


def test_a_link_in_place_of_the_sidecar_is_not_followed(tmp_path: Path) -> None:
    leave_part(tmp_path, 10)
    sidecar = part_in(tmp_path, "json")
    elsewhere = tmp_path / "elsewhere"
    sidecar.rename(elsewhere)
    sidecar.symlink_to(elsewhere)
    with pytest.raises(FileFailed, match="it cannot be read"):
        find_partial(tmp_path, "bob", OFFER)
    before = elsewhere.read_bytes()
    with pytest.raises(FileFailed, match="it cannot be stored"):
        IncomingFile(tmp_path, "bob", OFFER).open()
    assert elsewhere.read_bytes() == before


def test_a_link_in_place_of_a_new_sidecar_is_not_followed(
    tmp_path: Path, incoming: IncomingFile
) -> None:
    leave_part(tmp_path, 10)
    mine = tmp_path / "mine"
    mine.write_bytes(CONTENT)
    part_in(tmp_path, "json").with_suffix(".new").symlink_to(mine)
    with pytest.raises(FileFailed, match="it cannot be stored"):
        incoming.open()
    assert mine.read_bytes() == CONTENT


def test_a_link_in_place_of_the_folder_for_parts_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / PARTIAL_FOLDER).symlink_to("elsewhere")
    with pytest.raises(FileFailed, match="not ours"):
        find_partial(tmp_path, "bob", OFFER)
    with pytest.raises(FileFailed, match="not ours"):
        IncomingFile(tmp_path, "bob", OFFER).open()
    assert list((tmp_path / "elsewhere").iterdir()) == []
