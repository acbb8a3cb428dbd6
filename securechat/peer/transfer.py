"""What all transfers have in common, whichever way the file goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar

from securechat.errors import SecureChatError, gettext_noop
from securechat.net.timers import Clock
from securechat.peer.disk import Disk, Result
from securechat.peer.events import FileAccepted, FileEnded, FileEvent, FileFinished, FileProgress
from securechat.peer.records import Chunk, ChunkAck, FileEnd, Numbered

__all__ = [
    "CANCELLED",
    "PROGRESS_EVERY_S",
    "RATE_OVER_S",
    "Transfer",
    "TransferContext",
    "TransferSnapshot",
    "Wire",
]

PROGRESS_EVERY_S: Final = 1.0
"""Shortest time between two reports of how far a transfer is, in seconds."""

RATE_OVER_S: Final = 5.0
"""How far back the rate of a transfer looks, in seconds: steady to read, and soon right again."""

CANCELLED: Final = gettext_noop("cancelled")

T = TypeVar("T")


class Wire(Protocol):
    """What a session gives to its transfers. All of it is called on the I/O thread."""

    @property
    def up(self) -> bool:
        """Whether there is a path now."""

    def say(self, kind: type[Numbered], **fields: Any) -> None:
        """Say a numbered record: it arrives once and in order, whatever becomes of the paths.

        Does nothing when the session is over.
        """

    def say_now(self, record: Chunk | ChunkAck) -> None:
        """Say a record on the present path; it is dropped if there is none."""


@dataclass(frozen=True, slots=True)
class TransferSnapshot:
    """A transfer as it was at one moment. Immutable. Sizes are in bytes."""

    transfer: int
    account: str
    nick: str
    name: str
    outgoing: bool
    state: Literal["offered", "running"]
    done_bytes: int
    size: int


@dataclass(frozen=True, slots=True)
class TransferContext:
    """What the transfers of one contact share. Immutable itself; used on the I/O thread alone.

    :param clock: seconds that only go forward.
    :param forget: takes a transfer that is over.
    """

    account: str
    nick: Callable[[], str]
    wire: Wire
    disk: Disk
    emit: Callable[[FileEvent], None]
    clock: Clock
    forget: Callable[[Transfer], None]


class Transfer:
    """One file on its way. Owned by the I/O thread.

    At most one piece of its work is with the disk at a time. When that is done, ``_next`` looks at
    what is to be done then; so whatever happens meanwhile only has to be noted.

    :param number: of the transfer, among all of this client.
    :param file: the number that its sender has given to the file.
    """

    outgoing: ClassVar[bool]

    def __init__(
        self, context: TransferContext, number: int, file: int, name: str, size: int
    ) -> None:
        self.number = number
        self.file = file
        self.name = name
        self.size = size
        self.over = False
        self.finishing = False  # the file is being put into its place: it is too late to end it
        self._context = context
        self._known_there = True  # the other side has heard of it
        self._busy = False  # the disk works for it
        self._progress: deque[tuple[float, int]] = deque()  # when how much was done; empty: not yet

    # ---- for the one kind of transfer, and the other ----

    @property
    def waiting(self) -> bool:
        """Whether it waits for somebody to accept it."""
        raise NotImplementedError

    @property
    def done_bytes(self) -> int:
        """How much is known to have arrived."""
        raise NotImplementedError

    @property
    def kept_bytes(self) -> int:
        """How much of it stays here when it ends now."""
        raise NotImplementedError

    def _next(self) -> None:
        """Do what is to be done next; called when the disk has nothing to do for it."""
        raise NotImplementedError

    def _close_file(self) -> None:
        """Have the disk close the file, after what it is at."""
        raise NotImplementedError

    # ---- for all ----

    def snapshot(self) -> TransferSnapshot:
        """Return how it is now."""
        return TransferSnapshot(
            self.number,
            self._context.account,
            self._context.nick(),
            self.name,
            self.outgoing,
            "offered" if self.waiting else "running",
            self.done_bytes,
            self.size,
        )

    def end(self, reason: str, *, by_us: bool, tell: bool) -> None:
        """End it without the whole file. ``tell``: the other side too. Not while ``finishing``."""
        self._leave()
        if tell and self._known_there:
            self._context.wire.say(FileEnd, file=self.file, reason=reason)
        self._context.emit(
            FileEnded(
                self.number,
                self._context.account,
                self._context.nick(),
                self.name,
                self.outgoing,
                reason,
                by_us,
                self.kept_bytes,
            )
        )

    def cancel(self) -> None:
        """End it because the user wants that. Not while ``finishing``."""
        self.end(CANCELLED, by_us=True, tell=True)

    def tick(self) -> None:
        """Report how far it is, if it has begun and was not reported just now."""
        now = self._context.clock()
        if self.over or not self._progress or now - self._progress[-1][0] < PROGRESS_EVERY_S:
            return
        while len(self._progress) > 1 and self._progress[0][0] < now - RATE_OVER_S:
            self._progress.popleft()
        done = self.done_bytes
        since, before = self._progress[0]
        rate = max(0, done - before) / (now - since)
        self._progress.append((now, done))
        self._context.emit(
            FileProgress(
                self.number,
                self._context.account,
                self.name,
                self.outgoing,
                done,
                self.size,
                rate,
                (self.size - done) / rate if rate else None,
            )
        )

    def _begin(self, offset: int) -> None:
        """Report that it begins or goes on at ``offset``."""
        self._progress.clear()
        self._progress.append((self._context.clock(), offset))
        self._context.emit(
            FileAccepted(
                self.number,
                self._context.account,
                self._context.nick(),
                self.name,
                self.size,
                self.outgoing,
                offset,
            )
        )

    def _finish(self, path: Path, sha256: str) -> None:
        """Report that all has arrived."""
        self._leave()
        self._context.emit(
            FileFinished(
                self.number,
                self._context.account,
                self._context.nick(),
                self.name,
                self.outgoing,
                path,
                self.size,
                sha256,
            )
        )

    def _leave(self) -> None:
        self.over = True
        self._close_file()
        self._context.forget(self)

    def _have_done(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Have the disk do ``work`` and then, if the transfer is not over, call ``done``."""
        self._busy = True
        self._context.disk.submit(work, partial(self._done, done))

    def _done(self, done: Callable[[T], None], result: Result[T]) -> None:
        self._busy = False
        if self.over:
            return
        if result.error is None:
            done(result.get())
        else:
            told = isinstance(result.error, SecureChatError)
            self.end(
                str(result.error) if told else gettext_noop("internal error"), by_us=True, tell=True
            )
        if not self.over and not self._busy:
            self._next()
