"""One file that we receive.

What leads to what::

    state       when                                     then
    ──────────  ───────────────────────────────────────  ──────────────────────────────────────
    OFFERED     the user accepts                         OPENING: what there is, is hashed
    OPENING     that is done                             RECEIVING; FileAccept is owed
    RECEIVING   a chunk comes                            it is written, then acknowledged
    RECEIVING   all is written, FileDone was said        FINISHING: it is put into its place
    RECEIVING   FileAccept is owed, nothing waits to     it is said
                be written, and there is a path
    RECEIVING   there is another path                    FileAccept is owed
    RECEIVING   FileOffer, after an accept not from 0    RESTARTING: what there is, is removed
    RESTARTING  that is done                             RECEIVING; FileAccept is owed
    FINISHING   that is done                             FileReceived is said; it is finished
"""

from __future__ import annotations

import enum
from dataclasses import replace
from functools import partial
from pathlib import Path

from securechat.errors import RemoteProtocolError
from securechat.peer.events import FileOffered
from securechat.peer.file_names import safe_name
from securechat.peer.files import DAMAGED, IncomingFile, Partial, Prefix
from securechat.peer.records import Chunk, ChunkAck, FileAccept, FileOffer, FileReceived
from securechat.peer.transfer import Transfer, TransferContext

__all__ = ["Receiving"]


class _State(enum.Enum):
    OFFERED = enum.auto()
    OPENING = enum.auto()
    RESTARTING = enum.auto()
    RECEIVING = enum.auto()
    FINISHING = enum.auto()


class Receiving(Transfer):
    """A file that we receive. Owned by the I/O thread.

    :param found: what there is of it from an earlier try.
    """

    outgoing = False

    def __init__(
        self, context: TransferContext, number: int, offer: FileOffer, found: Partial
    ) -> None:
        super().__init__(context, number, offer.file, offer.name, offer.size)
        self._offer = offer
        self._found = found
        self._safe_name = safe_name(offer.name)
        self._state = _State.OFFERED
        self._target: IncomingFile | None = None  # until it is accepted
        self._wanted = True  # the user has not cancelled it
        self._owes_accept = False
        self._accepted_from = 0
        self._received = 0
        self._pending: list[bytes | memoryview] = []  # received, not given to the disk yet
        self._written = Prefix(0, "")
        self._sha256 = ""  # of the whole, once that was said

    def announce(self) -> None:
        """Tell the user of the offer."""
        context = self._context
        context.emit(
            FileOffered(
                self.number,
                context.account,
                context.nick(),
                self.name,
                self._safe_name,
                self.size,
                self._found.size_bytes,
                self._found.accepted and self._found.file == self.file,
            )
        )

    @property
    def waiting(self) -> bool:
        """Whether the user is to accept or decline it."""
        return self._state is _State.OFFERED

    @property
    def done_bytes(self) -> int:
        """How much is written."""
        return self._written.size_bytes

    @property
    def kept_bytes(self) -> int:
        """How much of it there is."""
        opened = self._state not in (_State.OFFERED, _State.OPENING)
        return self._written.size_bytes if opened else self._found.size_bytes

    @property
    def unwritten_bytes(self) -> int:
        """How much was received and is not written."""
        return self._received - self._written.size_bytes

    def same_file(self, other: Receiving) -> bool:
        """Whether both are of the same file, as far as offers tell."""
        return replace(other._offer, n=0, file=0) == replace(self._offer, n=0, file=0)

    # ---- what the user says ----

    def accept(self, folder: Path) -> None:
        """Have it sent, into ``folder``. Allowed while it is ``waiting``."""
        self._target = IncomingFile(folder, self._context.account, self._offer)
        self._state = _State.OPENING
        self._next()

    def cancel(self) -> None:
        """End it because the user wants that; it is not to go on by itself."""
        self._wanted = False
        super().cancel()

    # ---- what the other side says ----

    def offered_again(self, offer: FileOffer) -> None:
        """What we have is no part of the file: begin at 0. Ignored if we have nothing.

        :raises RemoteProtocolError: it is another file.
        """
        if replace(offer, n=self._offer.n) != self._offer:
            raise RemoteProtocolError("another file is offered under the same number")
        if self._state is _State.RECEIVING and self._accepted_from > 0:
            self._state = _State.RESTARTING
            self._pending.clear()
            self._go_on()

    def receive(self, chunk: Chunk) -> None:
        """Take the next chunk. What does not fit was said for an earlier accept; it is dropped.

        :raises RemoteProtocolError: it is behind the end, or not asked for.
        """
        end = chunk.offset + len(chunk.data)
        if end > self.size or self.waiting:
            raise RemoteProtocolError("a piece of a file that was not asked for")
        if self._state is not _State.RECEIVING or not chunk.offset <= self._received < end:
            return
        # One that we had in part: the window has another size now, so chunks end elsewhere.
        self._pending.append(chunk.data[self._received - chunk.offset :])
        self._received = end
        self._go_on()

    def sent(self, sha256: str) -> None:
        """All of it has been sent, and has that SHA-256.

        :raises RemoteProtocolError: it was not asked for, or had another before.
        """
        if self.waiting or self._sha256 not in ("", sha256):
            raise RemoteProtocolError("a file was sent that was not asked for")
        self._sha256 = sha256
        self._go_on()

    # ---- the path ----

    def path_up(self) -> None:
        """Accept it on this path too."""
        self._owes_accept = True
        self._go_on()

    # ---- inside ----

    def _go_on(self) -> None:
        if not self._busy:
            self._next()

    def _next(self) -> None:
        if self._target is None:
            return
        if self._state is _State.OPENING:
            self._have_done(self._target.open, self._opened)
        elif self._state is _State.RESTARTING:
            self._have_done(self._target.restart, self._opened)
        elif self._pending:
            chunks, self._pending = self._pending, []
            self._have_done(partial(self._target.write, chunks), self._wrote)
        elif self._sha256 and self._written.size_bytes == self.size:
            self._state, self.finishing = _State.FINISHING, True
            finish = partial(self._target.finish, self._sha256, self._safe_name)
            self._have_done(finish, self._placed)
        elif self._owes_accept and self._context.wire.up:
            self._say_accept()

    def _opened(self, prefix: Prefix | None) -> None:
        assert self._target is not None
        if prefix is None:
            self._have_done(self._target.catch_up, self._opened)
            return
        self._state = _State.RECEIVING
        self._written = prefix
        self._received = prefix.size_bytes
        self._owes_accept = True

    def _say_accept(self) -> None:
        self._owes_accept = False
        offset, prefix = self._written
        self._accepted_from = offset
        self._context.wire.say(FileAccept, file=self.file, offset=offset, prefix=prefix)
        self._begin(offset)

    def _wrote(self, prefix: Prefix) -> None:
        self._written = prefix
        self._context.wire.say_now(ChunkAck(self.file, prefix.size_bytes))

    def _placed(self, path: Path | None) -> None:
        if path is None:
            self._written = Prefix(0, "")
            self.end(DAMAGED, by_us=False, tell=True)
        else:
            self._context.wire.say(FileReceived, file=self.file, sha256=self._sha256)
            self._finish(path, self._sha256)

    def _close_file(self) -> None:
        if self._target is not None:
            close = partial(self._target.close, wanted=self._wanted)
            self._context.disk.submit(close, lambda result: None)
