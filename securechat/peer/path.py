"""One connection to the other side, from its beginning until it is picked or closed."""

from __future__ import annotations

from typing import Protocol

from securechat.errors import NetworkError, RemoteProtocolError
from securechat.net.connection import Connection
from securechat.net.pipe import Pipe
from securechat.peer.events import PathKind
from securechat.peer.records import Record, RecordReader

__all__ = ["Path", "PathOwner"]


class PathOwner(Protocol):
    """Whom a path tells: the race that it is in."""

    def adopt(self, path: Path) -> None:
        """Take in a path.

        :raises TlsError: there are too many.
        """

    def make_pipe(self) -> Pipe:
        """Return our end of the TLS between the two devices."""

    def opened(self, path: Path) -> None:
        """Take note that its handshake is done."""

    def heard(self, path: Path, record: Record) -> None:
        """Take the first record.

        :raises RemoteProtocolError: it is none that may come first.
        """

    def closed(self, path: Path, error: NetworkError | None) -> None:
        """Take note that it is gone."""


class Path:
    """The handler of a connection that may become a session's. Owned by the I/O thread.

    :param address: of the other side, empty where that is the relay's.
    :param owner: of one that was accepted it is known with the first word.
    """

    def __init__(
        self, connection: Connection, kind: PathKind, address: str, owner: PathOwner | None = None
    ) -> None:
        self.connection = connection
        self.kind: PathKind = kind
        self.address = address
        self.owner = owner
        self._reader = RecordReader()

    def opened(self) -> None:
        """Tell that the handshake is done."""
        if self.owner is not None:
            self.owner.opened(self)

    def received(self, data: bytes) -> None:
        """Hand on the first record; what comes after the choice is the session's."""
        self._reader.feed(data)
        try:
            record = self._reader.next()
            if record is not None and self.owner is not None:
                self.owner.heard(self, record)
        except RemoteProtocolError as error:
            self.connection.drop(NetworkError(error.message, **error.values))

    def closed(self, error: NetworkError | None) -> None:
        """Tell that there is one path less."""
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.closed(self, error)

    def leave(self) -> bytes:
        """Tell the owner nothing more; return what has come behind the first record."""
        self.owner = None
        return self._reader.rest()
