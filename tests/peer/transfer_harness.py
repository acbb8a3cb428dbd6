"""What the tests of transfers share: an I/O thread that is the test's own, and two sides.

Sessions, records, disks and files are real. What lies between the sides is memory, and can be cut
after any byte.
"""

from __future__ import annotations

import itertools
import os
import queue
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from securechat.errors import RemoteProtocolError
from securechat.peer.disk import Disk
from securechat.peer.events import FileEvent, FileFinished, FileOffered
from securechat.peer.records import Chunk, ChunkAck, Numbered, Record
from securechat.peer.session import FileSaid, Greeted, Session
from securechat.peer.transfers import Transfers
from tests.net.support import LONG_TIMEOUT_S, FakeClock

E = TypeVar("E")


@contextmanager
def full_after(size_bytes: int) -> Iterator[None]:
    """Let no file grow beyond that: a write takes what fits, the next one fails, as on a full disk.

    Only what the process may do can be limited without being root, so the error is another one
    (EFBIG); all else is the same.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


PIECE_BYTES = 65_536
"""How much comes out of a socket at a time."""


class Loop:
    """Calls what is posted to it; ``work`` is what there is to do beside that, false if nothing."""

    def __init__(self, work: Callable[[], bool] = lambda: False) -> None:
        self._work = work
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.get_ident()

    def post(self, work: Callable[[], None]) -> None:
        self._posted.put(work)

    def run_until(self, happened: Callable[[], bool]) -> None:
        assert threading.get_ident() == self._thread
        while not happened():
            try:
                work = self._posted.get_nowait()
            except queue.Empty:
                if self._work():
                    continue
                work = self._posted.get(timeout=LONG_TIMEOUT_S)
            work()

    def settle(self, *disks: Disk) -> None:
        """Run until there is nothing left to do for anybody."""
        idle = False
        while not idle:
            idle = not self._work()
            for disk in disks:
                reached: list[object] = []
                disk.submit(lambda: None, reached.append)
                while not reached:
                    work = self._posted.get(timeout=LONG_TIMEOUT_S)
                    work()
                    idle = idle and bool(reached)


class Events:
    """What one side has told."""

    def __init__(self) -> None:
        self.all: list[FileEvent] = []

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.all if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        [event] = self.of(kind)
        return event

    def last(self, kind: type[E]) -> E:
        return self.of(kind)[-1]


class Alone:
    """Transfers without another side: what they say is written down, what they hear is given."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.clock = FakeClock()
        self.disk = Disk(self.loop.post)
        self.up = True
        self.said: list[Record] = []
        self.events = Events()
        self.react: Callable[[FileEvent], None] = lambda event: None  # what the user does then
        self._numbers = itertools.count(1)
        self._files = itertools.count(1_000)
        self.transfers = Transfers(
            account="bob",
            nick=lambda: "Bob",
            wire=self,
            disk=self.disk,
            emit=self._emit,
            numbers=itertools.count(1),
            clock=self.clock,
            random_file=lambda: next(self._files),
        )

    def _emit(self, event: FileEvent) -> None:
        self.events.all.append(event)
        self.react(event)

    def say(self, kind: type[Numbered], **fields: Any) -> None:
        self.said.append(kind(n=next(self._numbers), **fields))  # type: ignore[arg-type]

    def say_now(self, record: Chunk | ChunkAck) -> None:
        if self.up:
            self.said.append(record)

    def hear(self, *records: Record) -> None:
        for record in records:
            self.transfers.received(record)  # type: ignore[arg-type]

    def settle(self) -> None:
        self.loop.settle(self.disk)

    def take(self, kind: type[E]) -> list[E]:
        """Return what was said of that kind, and forget it."""
        found = [record for record in self.said if isinstance(record, kind)]
        self.said = [record for record in self.said if not isinstance(record, kind)]
        return found

    def take_one(self, kind: type[E]) -> E:
        [record] = self.take(kind)
        return record

    def close(self) -> None:
        self.transfers.close("the test is over")
        self.disk.close()
        self.loop.settle()


class Side:
    """One of two clients. ``accept_all``: it accepts what is offered, as soon as it is."""

    def __init__(self, pair: Pair, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.disk = Disk(pair.loop.post)
        self.events = Events()
        self.accept_all = False
        self.broken: list[str] = []
        self._pair = pair
        self._incarnations = itertools.count(1)
        self._numbers = itertools.count(1)
        self.begin()

    def begin(self) -> None:
        """Take up a new session, as a client does that has just been started."""
        self.session = Session(f"{self.name.encode().hex():0>16}{next(self._incarnations):016x}")
        self.transfers = Transfers(
            account=f"other of {self.name}",
            nick=lambda: "Nick",
            wire=self,
            disk=self.disk,
            emit=self._emit,
            numbers=self._numbers,
            clock=self._pair.clock,
            random_file=lambda: int.from_bytes(os.urandom(7), "big"),
        )
        self.transfers.folder = self.folder

    @property
    def up(self) -> bool:
        return self.session.up

    def say(self, kind: type[Numbered], **fields: Any) -> None:
        self.session.say(kind, **fields)

    def say_now(self, record: Chunk | ChunkAck) -> None:
        self.session.say_now(record)

    def receive(self, data: bytes) -> None:
        try:
            for event in self.session.receive(data, self._pair.clock()):
                if isinstance(event, Greeted):
                    self.transfers.path_up(fresh=event.fresh)
                elif isinstance(event, FileSaid):
                    self.transfers.received(event.record)
        except RemoteProtocolError as error:
            self.broken.append(str(error))

    def _emit(self, event: FileEvent) -> None:
        self.events.all.append(event)
        if self.accept_all and isinstance(event, FileOffered):
            self.transfers.accept(event.transfer, self.folder)


class Pair:
    """Two sides, ``alice`` and ``bob``, and what lies between them."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.loop = Loop(self._move)
        self.bytes_left: int | None = None  # that still get through before the path is cut
        self.cuts = 0
        self._way: dict[str, bytearray] = {}
        for name in ("alice", "bob"):
            (folder / name).mkdir()
        self.alice = Side(self, "alice", folder / "alice")
        self.bob = Side(self, "bob", folder / "bob")
        self.bob.accept_all = True

    def connect(self, bytes_left: int | None = None) -> None:
        self.bytes_left = bytes_left
        self._way = {"alice": bytearray(), "bob": bytearray()}
        for side in (self.alice, self.bob):
            side.session.path_up(self.clock())

    def cut(self) -> None:
        self._way = {}
        self.cuts += 1
        for side in (self.alice, self.bob):
            side.session.path_down()
            side.transfers.path_down()

    def restart(self, side: Side) -> None:
        """End a client and start it again; the other one only sees the path go."""
        self.cut()
        side.transfers.close("the client was ended")
        self.loop.settle(side.disk)
        side.begin()

    def settle(self) -> None:
        self.loop.settle(self.alice.disk, self.bob.disk)
        assert (self.alice.broken, self.bob.broken) == ([], [])

    def send(self, path: Path) -> FileFinished:
        """Have Alice send a file to the end; return what Bob tells of it."""
        before = len(self.bob.events.of(FileFinished))
        self.alice.transfers.offer(path)
        self.settle()
        [finished] = self.bob.events.of(FileFinished)[before:]
        return finished

    def close(self) -> None:
        for side in (self.alice, self.bob):
            side.transfers.close("the test is over")
            side.disk.close()
        self.loop.settle()

    def _move(self) -> bool:
        """Bring a piece over, each way; false if there is none."""
        moved = False
        for one, other in ((self.alice, self.bob), (self.bob, self.alice)):
            if not self._way:
                return moved
            way = self._way[one.name]
            way += one.session.data_to_send()
            size = min(len(way), PIECE_BYTES)
            if self.bytes_left is not None:
                size = min(size, self.bytes_left)
                self.bytes_left -= size
            data = bytes(way[:size])
            del way[:size]
            if data:
                moved = True
                other.receive(data)
            if self.bytes_left == 0:
                self.cut()
        return moved


@contextmanager
def joined(folder: Path) -> Iterator[Pair]:
    """Two sides with a path, closed in the end."""
    pair = Pair(folder)
    try:
        pair.connect()
        yield pair
    finally:
        pair.close()
