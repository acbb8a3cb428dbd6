"""One file that we send.

What leads to what::

    when                                            then
    ──────────────────────────────────────────────  ─────────────────────────────────────────
    it is opened                                    FileOffer is said
    FileAccept, of what this stream has passed      it counts as an acknowledgement
    any other FileAccept                            no stream; the disk rewinds and compares
    .. the prefix is the file's                     a stream begins there
    .. it is not                                    FileOffer is said again: accept from 0
    the stream has passed the end                   FileDone is said, if the file is unchanged
    FileReceived                                    it is finished
    the path is lost                                no stream, until the next FileAccept
    the other side has begun anew                   .. and FileOffer is said again
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from securechat.errors import RemoteProtocolError, gettext_noop
from securechat.peer.events import FileSending
from securechat.peer.files import Block, Description, OutgoingFile, Prefix
from securechat.peer.records import Chunk, FileAccept, FileDone, FileOffer
from securechat.peer.transfer import Transfer, TransferContext

__all__ = ["Sending"]


class Sending(Transfer):
    """A file that we send. Owned by the I/O thread.

    It reads on only when it is told to (``read``): all files share one path.

    :param wants_to_read: to be called when it may have become ``ready``.
    """

    outgoing = True

    def __init__(
        self,
        context: TransferContext,
        number: int,
        file: int,
        path: Path,
        wants_to_read: Callable[[], None],
    ) -> None:
        super().__init__(context, number, file, path.name, 0)
        self._path = path
        self._source = OutgoingFile(path)
        self._wants_to_read = wants_to_read
        self._known_there = False
        self._modified_ns = 0
        self._accept: FileAccept | None = None  # the newest, if no stream has begun for it yet
        self._misfit = False  # the last prefix was not the file's
        self._stream: int | None = None  # where it began; None: there is none
        self._ended = False  # the stream has passed the end
        self._requested = 0  # up to here the disk has read, or is reading
        self._said = 0  # up to here it was said
        self._acknowledged = 0
        self._flight: deque[tuple[int, float]] = deque()  # of each chunk: its end, when it was said
        self._sha256 = ""  # once the end was passed

    def open(self) -> None:
        """Open the file and offer it."""
        self._have_done(self._source.open, self._opened)

    @property
    def waiting(self) -> bool:
        """Whether the other side has not accepted it yet."""
        return not self._progress

    @property
    def done_bytes(self) -> int:
        """How much the other side has acknowledged."""
        return self._acknowledged

    @property
    def kept_bytes(self) -> int:
        """None that we would have received."""
        return 0

    @property
    def in_flight_bytes(self) -> int:
        """How much was read, or is to be, and is not acknowledged."""
        return 0 if self._stream is None else self._requested - self._acknowledged

    @property
    def ready(self) -> bool:
        """Whether it can read on."""
        return self._stream is not None and not self._ended and not self._busy

    def read(self, size_bytes: int, chunk_bytes: int) -> None:
        """Read on and say what is read, in chunks. Allowed when it is ``ready``."""
        count = min(size_bytes, self.size - self._requested)
        self._requested += count
        self._have_done(partial(self._source.read, count, chunk_bytes), self._has_read)

    # ---- what the other side says ----

    def accepted(self, accept: FileAccept) -> None:
        """Send from there.

        :raises RemoteProtocolError: there is no such place.
        """
        if accept.offset > self.size or (accept.offset == 0) is not (accept.prefix == ""):
            raise RemoteProtocolError("a file is accepted from where it cannot be")
        if self._stream is not None and self._stream <= accept.offset <= self._said:
            # It was said before this stream began, or while it ran. What is behind is on its way.
            self.acknowledged(accept.offset)
            return
        self._stream, self._accept = None, accept
        if not self._busy:
            self._next()

    def acknowledged(self, offset: int) -> tuple[int, float] | None:
        """Take note that it has arrived up to there.

        Return how much is new, in bytes, and how long the last chunk of it took, in seconds; if
        there is one. What does not fit the stream is of an earlier one, and worth nothing.
        """
        if self._stream is None or not self._acknowledged < offset <= self._said:
            return None
        count, self._acknowledged = offset - self._acknowledged, offset
        said_s = None
        while self._flight and self._flight[0][0] <= offset:
            said_s = self._flight.popleft()[1]
        return None if said_s is None else (count, self._context.clock() - said_s)

    def received(self, sha256: str) -> None:
        """The other side has all of it.

        :raises RemoteProtocolError: it cannot have.
        """
        if not self._sha256:
            raise RemoteProtocolError("a file is received that was not sent to its end")
        if sha256 == self._sha256:
            self._acknowledged = self.size
            self._finish(self._path, sha256)
        else:
            reason = gettext_noop("the other side has received something else")
            self.end(reason, by_us=False, tell=False)

    # ---- the path ----

    def path_down(self) -> None:
        """Send nothing until the file is accepted on another path."""
        self._stream = self._accept = None

    def offer_again(self) -> None:
        """The other side has begun anew: offer it again, if it was offered."""
        self.path_down()
        self._progress.clear()
        self._acknowledged = 0
        self._misfit = False
        if self._known_there:
            self._say_offer()

    # ---- inside ----

    def _opened(self, description: Description) -> None:
        self.name, self.size = description.name, description.size
        self._modified_ns = description.modified_ns
        self._known_there = True
        self._say_offer()
        context = self._context
        context.emit(
            FileSending(self.number, context.account, context.nick(), self.name, self.size)
        )

    def _say_offer(self) -> None:
        self._context.wire.say(
            FileOffer,
            file=self.file,
            name=self.name,
            size=self.size,
            modified_ns=self._modified_ns,
        )

    def _next(self) -> None:
        if self._accept is not None:
            rewind = partial(self._source.rewind, self._accept.offset)
            self._have_done(rewind, partial(self._rewound, self._accept))

    def _rewound(self, accept: FileAccept, prefix: Prefix | None) -> None:
        if accept is not self._accept:
            return  # there is a newer one, or another path
        if prefix is None:
            self._have_done(self._source.catch_up, partial(self._rewound, accept))
            return
        self._accept = None
        if prefix.sha256 == accept.prefix:
            self._begin_stream(accept.offset)
        elif not self._misfit:  # else it has been told, and this was said before it knew
            self._misfit = True
            self._say_offer()

    def _begin_stream(self, offset: int) -> None:
        self._stream = self._requested = self._said = self._acknowledged = offset
        self._flight.clear()
        self._ended = self._misfit = False
        self._begin(offset)
        self._wants_to_read()

    def _has_read(self, block: Block) -> None:
        if self._stream is None:
            return
        self._ended = block.sha256 != ""
        self._wants_to_read()  # first: so the disk reads on while we encrypt
        now = self._context.clock()
        for data in block.chunks:
            self._context.wire.say_now(Chunk(self.file, self._said, data))
            self._said += len(data)
            self._flight.append((self._said, now))
        if self._ended:
            self._sha256 = block.sha256
            self._context.wire.say(FileDone, file=self.file, sha256=block.sha256)

    def _close_file(self) -> None:
        self._context.disk.submit(self._source.close, lambda result: None)
