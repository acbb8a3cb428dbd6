"""All files between us and one contact, whichever way they go. What is said is in the package's
docstring; what becomes of one file, in ``sending`` and ``receiving``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from securechat.errors import LocalProtocolError, RemoteProtocolError, gettext_noop
from securechat.net.timers import Clock
from securechat.peer.disk import Disk, Result
from securechat.peer.events import FileEvent
from securechat.peer.files import Partial, find_partial
from securechat.peer.receiving import Receiving
from securechat.peer.records import (
    Chunk,
    ChunkAck,
    FileAccept,
    FileDone,
    FileEnd,
    FileOffer,
    FileReceived,
)
from securechat.peer.sending import Sending
from securechat.peer.transfer import Transfer, TransferContext, TransferSnapshot, Wire
from securechat.peer.window import Window

__all__ = ["OFFERS_OPEN", "RECEIVE_MOST", "TransferSnapshot", "Transfers", "Wire"]

OFFERS_OPEN: Final = 32
"""Most offers of a contact that wait for an answer, each way: more than a person answers, and few
enough to keep so many files open."""

RECEIVE_MOST: Final = 8_388_608
"""Most that is received from a contact and not written yet, in bytes: twice the largest window. Who
sends more does not wait for acknowledgements, and would fill our memory."""

_TOO_MANY: Final = gettext_noop("too many files wait for an answer")
_DECLINED: Final = gettext_noop("declined")
_ANEW: Final = gettext_noop("the other side has begun anew")
_NOT_OFFERED: Final = gettext_noop("it is not offered any more")
_TWICE: Final = gettext_noop("it is being received already")


class Transfers:
    """All files of one contact. Owned by the I/O thread.

    Events that follow from a call may come from within it.

    :param nick: how the contact is called now.
    :param numbers: of transfers, shared by all contacts of a client.
    :param clock: seconds that only go forward.
    :param random_file: returns a random number below 2**63.
    """

    def __init__(
        self,
        *,
        account: str,
        nick: Callable[[], str],
        wire: Wire,
        disk: Disk,
        emit: Callable[[FileEvent], None],
        numbers: Iterator[int],
        clock: Clock,
        random_file: Callable[[], int],
    ) -> None:
        self.folder: Path | None = None  # where to look for what earlier tries have left
        self._context = TransferContext(account, nick, wire, disk, emit, clock, self._forget)
        self._numbers = numbers
        self._random_file = random_file
        self._transfers: dict[int, Transfer] = {}  # by their number
        self._sending: dict[int, Sending] = {}  # by the file's number; whose turn it is comes first
        self._receiving: dict[int, Receiving] = {}  # by the file's number
        self._new: dict[int, FileOffer] = {}  # by the file's number; the disk looks for parts
        self._looking = 0  # how often the disk does; some of these may be withdrawn
        self._window = Window()

    # ---- what the user says ----

    def offer(self, path: Path) -> int:
        """Offer a file; return the number of the transfer. What becomes of it is told by events."""
        number = next(self._numbers)
        too_many = _count_waiting(self._sending.values()) >= OFFERS_OPEN
        sending = Sending(self._context, number, self._random_file(), path, self._fill)
        self._transfers[number] = self._sending[sending.file] = sending
        if too_many:
            sending.end(_TOO_MANY, by_us=True, tell=False)
        else:
            sending.open()
        return number

    def accept(self, transfer: int, folder: Path) -> None:
        """Have an offered file sent, into ``folder``.

        :raises LocalProtocolError: there is no such offer.
        """
        receiving = self._offered(transfer)
        if any(receiving.same_file(other) for other in self._running()):
            receiving.end(_TWICE, by_us=True, tell=True)
        else:
            receiving.accept(folder)

    def decline(self, transfer: int) -> None:
        """Refuse an offered file.

        :raises LocalProtocolError: there is no such offer.
        """
        self._offered(transfer).end(_DECLINED, by_us=True, tell=True)

    def cancel(self, transfer: int) -> None:
        """End a transfer, whichever way it goes; ignored when it is about to be finished anyway.

        :raises LocalProtocolError: there is no such transfer.
        """
        found = self._transfers.get(transfer)
        if found is None:
            raise LocalProtocolError("there is no transfer {transfer}", transfer=transfer)
        if not found.finishing:
            found.cancel()

    @property
    def busy(self) -> bool:
        """Whether there are transfers."""
        return bool(self._transfers)

    def snapshot(self) -> tuple[TransferSnapshot, ...]:
        """Return all transfers, in the order of their numbers."""
        return tuple(self._transfers[number].snapshot() for number in sorted(self._transfers))

    # ---- what the session says ----

    def received(
        self,
        record: FileOffer | FileAccept | FileEnd | FileDone | FileReceived | Chunk | ChunkAck,
    ) -> None:
        """Take what the other side says. About a file that we do not know (any more) it is ignored.

        :raises RemoteProtocolError: it breaks the rules.
        """
        match record:
            case Chunk() if record.file in self._receiving:
                self._chunk(record)
            case ChunkAck() if record.file in self._sending:
                self._acknowledged(record)
            case FileOffer():
                self._offer(record)
            case FileAccept() if record.file in self._sending:
                self._sending[record.file].accepted(record)
                self._fill()
            case FileAccept():
                self._context.wire.say(FileEnd, file=record.file, reason=_NOT_OFFERED)
            case FileEnd():
                self._new.pop(record.file, None)
                found = self._receiving.get(record.file) or self._sending.get(record.file)
                if found is not None and not found.finishing:
                    found.end(record.reason, by_us=False, tell=False)
            case FileDone() if record.file in self._receiving:
                self._receiving[record.file].sent(record.sha256)
            case FileReceived() if record.file in self._sending:
                self._sending[record.file].received(record.sha256)

    def path_up(self, *, fresh: bool) -> None:
        """There is a path. ``fresh``: the other side has begun anew, and knows of no transfer.

        What it had offered is void; what we have offered is offered again.
        """
        self._window = Window()
        if fresh:
            self._drop(self._receiving.values(), _ANEW)
            for sending in list(self._sending.values()):
                sending.offer_again()
        else:
            for receiving in list(self._receiving.values()):
                receiving.path_up()

    def path_down(self) -> None:
        """There is no path any more."""
        for sending in self._sending.values():
            sending.path_down()

    def tick(self) -> None:
        """Report how far the transfers are. To be called about once a second."""
        for transfer in list(self._transfers.values()):
            transfer.tick()

    def close(self, reason: str) -> None:
        """End all transfers: the session is over. What is about to be finished still is."""
        self._drop(self._transfers.values(), reason)

    # ---- inside ----

    def _offered(self, transfer: int) -> Receiving:
        found = self._transfers.get(transfer)
        if not isinstance(found, Receiving) or not found.waiting:
            raise LocalProtocolError("file {transfer} is not offered", transfer=transfer)
        return found

    def _running(self) -> list[Receiving]:
        return [receiving for receiving in self._receiving.values() if not receiving.waiting]

    def _drop(self, transfers: Iterable[Transfer], reason: str) -> None:
        self._new.clear()
        for transfer in list(transfers):
            if not transfer.finishing:
                transfer.end(reason, by_us=False, tell=False)

    def _forget(self, transfer: Transfer) -> None:
        del self._transfers[transfer.number]
        del (self._sending if transfer.outgoing else self._receiving)[transfer.file]
        self._fill()  # what was in flight for it counts no more

    def _offer(self, offer: FileOffer) -> None:
        if offer.file in self._receiving:
            self._receiving[offer.file].offered_again(offer)
        elif offer.file in self._sending:
            raise RemoteProtocolError("our own file is offered to us")
        elif self._looking + _count_waiting(self._receiving.values()) >= OFFERS_OPEN:
            self._context.wire.say(FileEnd, file=offer.file, reason=_TOO_MANY)
        else:
            self._new[offer.file] = offer
            self._looking += 1
            self._context.disk.submit(
                partial(_look, self.folder, self._context.account, offer),
                partial(self._looked, offer),
            )

    def _looked(self, offer: FileOffer, result: Result[Partial]) -> None:
        self._looking -= 1
        if self._new.get(offer.file) is not offer:
            return  # it was withdrawn, or said again
        del self._new[offer.file]
        # If the disk failed, the user will hear of it when accepting.
        found = result.get() if result.error is None else Partial()
        number = next(self._numbers)
        receiving = Receiving(self._context, number, offer, found)
        self._transfers[number] = self._receiving[offer.file] = receiving
        receiving.announce()

    def _chunk(self, chunk: Chunk) -> None:
        unwritten = sum(receiving.unwritten_bytes for receiving in self._receiving.values())
        if unwritten + len(chunk.data) > RECEIVE_MOST:
            raise RemoteProtocolError("too much of files at once")
        self._receiving[chunk.file].receive(chunk)

    def _acknowledged(self, record: ChunkAck) -> None:
        in_flight = self._in_flight_bytes
        acknowledged = self._sending[record.file].acknowledged(record.offset)
        if acknowledged is not None:
            self._window.acknowledged(*acknowledged, in_flight)
        self._fill()

    @property
    def _in_flight_bytes(self) -> int:
        return sum(sending.in_flight_bytes for sending in self._sending.values())

    def _fill(self) -> None:
        """Read on, one file after the other, as far as the window allows."""
        window = self._window
        while self._in_flight_bytes + window.read_bytes <= window.size_bytes:
            sending = next((one for one in self._sending.values() if one.ready), None)
            if sending is None:
                return
            sending.read(window.read_bytes, window.chunk_bytes)
            self._sending[sending.file] = self._sending.pop(sending.file)


def _count_waiting(transfers: Iterable[Transfer]) -> int:
    return sum(transfer.waiting for transfer in transfers)


def _look(folder: Path | None, account: str, offer: FileOffer) -> Partial:
    return Partial() if folder is None else find_partial(folder, account, offer)
