"""Where a client listens for peers, and whom it lets in: those that it expects."""

from __future__ import annotations

import socket
from typing import Final, Protocol

from securechat.errors import NetworkError, TlsError
from securechat.irc.peering import Candidate
from securechat.net.connection import Connection
from securechat.net.io_thread import IoThread
from securechat.net.listener import Listener
from securechat.net.pipe import Pipe
from securechat.peer.path import Path, PathOwner
from securechat.peer.pipes import DirectPipe

__all__ = ["KNOCKING", "Door", "Host"]

KNOCKING: Final = 32
"""Most connections that were let in and have not said whom they want. Strangers may fill it; then
what we dial ourselves, and the tunnel, are left."""

WORD_S: Final = 10.0
"""For the first word and the handshake: who has dialled says the word at once."""


class Host(PathOwner, Protocol):
    """Who expects somebody at the door: a race."""

    def reachable_at(self, candidate: Candidate) -> None:
        """Take note of another way to the door."""


class Door:
    """A listening port, on all addresses. Owned by the I/O thread; accepts on one of its own.

    Who does not say a word that is expected is closed without an answer.

    :param send_limit_bytes: most that waits to be sent on a connection.
    :raises NetworkError: this machine lets us listen nowhere.
    """

    def __init__(self, io: IoThread, send_limit_bytes: int) -> None:
        self._io = io
        self._send_limit_bytes = send_limit_bytes
        self._expected: dict[bytes, Host] = {}
        self._guests: set[_Guest] = set()
        self._listener = Listener(
            [("", 0)],
            lambda sock, address: io.post(lambda: self._let_in(sock, address)),
            name="peer accept",
            share_port=True,  # with what is dialled from it
        )
        self._listener.start()

    @property
    def port(self) -> int:
        """The port, the same on all addresses."""
        return self._listener.addresses[0][1]

    @property
    def expecting(self) -> bool:
        """Whether anybody may come."""
        return bool(self._expected)

    def expect(self, word: bytes, owner: Host) -> None:
        """Let in those who say ``word``."""
        self._expected[word] = owner

    def reachable_at(self, candidate: Candidate) -> None:
        """Tell all who expect somebody that there is another way to the door."""
        for owner in list(self._expected.values()):
            owner.reachable_at(candidate)

    def forget(self, word: bytes) -> None:
        """Let in no more of those."""
        self._expected.pop(word, None)

    def close(self) -> None:
        """Listen no longer. What was let in stays. Blocks for a moment."""
        self._listener.stop()

    def _let_in(self, sock: socket.socket, address: str) -> None:
        if len(self._guests) >= KNOCKING:
            sock.close()
            return
        guest = _Guest(self._expected, self._guests, address)
        self._guests.add(guest)
        self._io.adopt(
            sock,
            DirectPipe(guest.find),
            guest.begin,
            handshake_timeout_s=WORD_S,
            send_limit_bytes=self._send_limit_bytes,
        )


class _Guest:
    """Somebody at the door, until the word is said: the handler of that connection till then."""

    def __init__(self, expected: dict[bytes, Host], guests: set[_Guest], address: str) -> None:
        self._expected = expected
        self._guests = guests
        self._address = address
        self._connection: Connection | None = None

    def begin(self, connection: Connection) -> _Guest:
        self._connection = connection
        return self

    def find(self, word: bytes) -> Pipe:
        """Hand the connection to whom the word is for; return the pipe that it goes on with."""
        owner = self._expected.get(word)
        if owner is None or self._connection is None:
            raise TlsError("a stranger at the door")
        path = Path(self._connection, "direct", self._address, owner)
        owner.adopt(path)
        self._connection.hand_to(path)
        self._guests.discard(self)
        return owner.make_pipe()

    def opened(self) -> None:
        """Never comes: the word is said before."""

    def received(self, data: bytes) -> None:
        """Never comes, as above."""

    def closed(self, error: NetworkError | None) -> None:
        self._guests.discard(self)
