"""Files between two peers, directly and through the relay, against bare copies of the same file;
and what a file that goes through the relay does to the chat beside it.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmark.children import Children
from benchmark.copy import Copier, certify
from benchmark.crowd import LoadError, Target
from benchmark.person import Person
from benchmark.relay import cpu_s
from benchmark.room import Room
from securechat.client import PathKind

__all__ = ["Meeting", "files_folder", "make_file", "measure_peers"]

MEMORY: Final = Path("/dev/shm")
FILES: Final = 3
"""Files of the full size for which there must be room in memory: what is sent, what is received,
and as much again, so that the machine has some left."""

STEP_BYTES: Final = 1_048_576
SEED: Final = 3
GIB: Final = 1 << 30

HEARERS: Final = 20
PER_S: Final = 200.0
"""Messages said each second: a room of hundreds, in a discussion."""

ALONE: Final = "alone"
BESIDE: Final = "beside a file"


@dataclass(frozen=True, slots=True)
class _Copy:
    """How one copy of the file went. Seconds of processor time are for each GiB."""

    bytes_per_s: float
    cpu_s: dict[str, float]


def measure_peers(
    target: Target, pid: int, *, size: int, rounds: int, messages: int, timeout_s: float
) -> dict[str, Any]:
    """Return the figures, from ``rounds`` in which all that is compared takes turns.

    :param pid: of the relay.
    :param size: of the file, in bytes.
    :param messages: said in the room, for each figure of each round.
    """
    with files_folder(size) as folder, Children(timeout_s) as children:
        source = make_file(folder / "file", size)
        bare = _Bare(children, folder, source)
        direct = Meeting(children, target, folder, source, "direct")
        relayed = Meeting(children, target, folder, source, "relayed")
        through_relay = partial(relayed.copy, {**relayed.pids, "relay": pid})
        kinds = {
            "bare": partial(bare.copy, hashed=False),
            "hashed": partial(bare.copy, hashed=True),
            "direct": partial(direct.copy, direct.pids),
            "relayed": through_relay,
        }
        room = children.start(partial(Room, target, "b" + secrets.token_hex(2)[:3]))
        room.do(Room.gather, HEARERS + 1)
        found: dict[str, list[_Copy]] = {name: [] for name in kinds}
        heard: dict[str, list[list[int]]] = {ALONE: [], BESIDE: []}
        for _ in range(rounds):
            for name, copy in kinds.items():
                found[name].append(copy())
            heard[ALONE].append(room.do(Room.talk, messages, PER_S))
            latencies = room.begin(Room.talk, messages, PER_S)
            while not room.answered:
                through_relay()
            heard[BESIDE].append(latencies())
        return {
            "file_bytes": size,
            "rounds": rounds,
            "files_in": str(folder.parent),
            "cipher": bare.cipher,
            **{name: _figures(each) for name, each in found.items()},
            "direct_to_bare": _ratio(found["direct"], found["bare"]),
            "direct_to_hashed": _ratio(found["direct"], found["hashed"]),
            "relayed_to_direct": _ratio(found["relayed"], found["direct"]),
            "chat": {
                "hearers": HEARERS,
                "messages": messages,
                "messages_per_s": PER_S,
                "latency": {name: _latencies(each) for name, each in heard.items()},
            },
        }


# ---- who does it ----


class _Bare:
    """Two processes for bare copies."""

    def __init__(self, children: Children, folder: Path, source: Path) -> None:
        certified = certify(folder / "tls")
        self.cipher = ""
        self._source = source
        self._target = folder / "copy"
        self._sender = children.start(partial(Copier, certified))
        self._receiver = children.start(partial(Copier, certified))
        self._pids = {"sender": self._sender.pid, "receiver": self._receiver.pid}
        self._port = self._receiver.do(Copier.port)

    def copy(self, *, hashed: bool) -> _Copy:
        """Copy the file once."""
        with _meter(self._source, self._pids) as done:
            receive = self._receiver.begin(Copier.receive, self._target, hashed)
            sent = self._sender.do(Copier.send, self._source, self._port, hashed)
            received = receive()
        if sent.sha256 != received.sha256:
            raise LoadError("the bare copy is not the same")
        self.cipher = sent.cipher
        self._target.unlink()
        return done(received.ended_s - sent.began_s)


class Meeting:
    """Two people's processes, and a session of that kind between them, for as long as they run."""

    def __init__(
        self, children: Children, target: Target, folder: Path, source: Path, kind: PathKind
    ) -> None:
        self._source = source
        tag = secrets.token_hex(3)
        names = self._sender_name, self._receiver_name = f"from{tag}", f"to{tag}"
        self._sender, self._receiver = (
            children.start(partial(Person, target, name, folder / name)) for name in names
        )
        self.pids = {"sender": self._sender.pid, "receiver": self._receiver.pid}
        self._meet(kind)

    def copy(self, pids: dict[str, int]) -> _Copy:
        """Send the file once; measure the processor time of these processes."""
        with _meter(self._source, pids) as done:
            received = self._receiver.begin(Person.receive)
            ended = self._sender.do(Person.send, self._receiver_name, self._source)
            began, path = received()
        path.unlink()
        return done(ended - began)

    def _meet(self, kind: PathKind) -> None:
        sides = (self._sender, self._receiver_name), (self._receiver, self._sender_name)
        for person, _ in sides:
            person.do(Person.connect)
        for person, other in sides:
            person.do(Person.show_addresses, other, kind == "direct")
        answered = self._receiver.begin(Person.answer, self._sender_name)
        paths = {self._sender.do(Person.ask, self._receiver_name), answered()}
        if paths != {kind}:
            raise LoadError(f"no {kind} session came about")


@contextmanager
def _meter(source: Path, pids: dict[str, int]) -> Iterator[Callable[[float], _Copy]]:
    """Measure the processor time of a block, in which ``source`` is copied; given the seconds that
    it took, what is returned tells how the copy went.
    """
    gib = source.stat().st_size / GIB
    before = {who: cpu_s(pid) for who, pid in pids.items()}
    used: dict[str, float] = {}

    def done(seconds: float) -> _Copy:
        return _Copy(gib * GIB / seconds, used)

    yield done
    used.update({who: (cpu_s(pid) - before[who]) / gib for who, pid in pids.items()})


# ---- the files ----


@contextmanager
def files_folder(size: int) -> Iterator[Path]:
    """A folder for the files: in memory where that has room, so that no disk is measured."""
    fits = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= FILES * size
    place = MEMORY if fits and os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="securechat-bench-", dir=place) as name:
        yield Path(name)


def make_file(path: Path, size: int) -> Path:
    """Make a file of so many bytes at ``path``, which is returned."""
    block = random.Random(SEED).randbytes(min(size, STEP_BYTES))
    with path.open("wb") as file:
        for at in range(0, size, STEP_BYTES):
            file.write(block[: size - at])
    return path


# ---- the figures ----


def _figures(copies: Sequence[_Copy]) -> dict[str, Any]:
    """The medians."""
    return {
        "mb_per_s": round(statistics.median(each.bytes_per_s for each in copies) / 1e6, 1),
        "cpu_s_per_gib": {
            who: round(statistics.median(each.cpu_s[who] for each in copies), 3)
            for who in copies[0].cpu_s
        },
    }


def _ratio(these: Sequence[_Copy], those: Sequence[_Copy]) -> float:
    """The median of the rounds' own ratios: what else the machine does hurts both of a round."""
    pairs = zip(these, those, strict=True)
    return round(statistics.median(one.bytes_per_s / other.bytes_per_s for one, other in pairs), 3)


def _latencies(rounds: Sequence[Sequence[int]]) -> dict[str, float]:
    """The medians of the rounds' percentiles."""
    each = [statistics.quantiles(latencies, n=100) for latencies in rounds]
    return {
        f"p{percent}_ms": round(statistics.median(cuts[percent - 1] for cuts in each) / 1e6, 3)
        for percent in (50, 99)
    }
