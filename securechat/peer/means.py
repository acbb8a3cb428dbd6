"""What all contacts of a client share: the device, the thread, the way to the relay."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from securechat.irc.message import Message
from securechat.irc.peering import Candidate, FailCode, RelayPlace, Signal
from securechat.net.io_thread import IoThread
from securechat.net.pipe import Pipe
from securechat.net.tls_pipe import TlsPipe
from securechat.peer.disk import Disk
from securechat.peer.door import Door
from securechat.peer.events import PeerEvent
from securechat.peer.identity import Device
from securechat.peer.known_peers import KnownPeers

__all__ = ["Means", "RelayRoute", "SignalTaker"]


class SignalTaker(Protocol):
    """Whom the signals of one offer are for."""

    def signalled(self, signal: Signal) -> None:
        """Take a signal with the id of the offer."""

    def refused(self, code: FailCode | None, text: str) -> None:
        """Take note that the relay has refused what was said last; ``None``: for another reason."""


@dataclass(frozen=True, slots=True)
class RelayRoute:
    """The way to the relay, for a tunnel: where we are connected to it already. Immutable.

    :param context: verifies a relay as for the chat, and asks for ``TUNNEL_ALPN``.
    """

    address: tuple[str, int]
    host: str
    context: ssl.SSLContext

    @property
    def place(self) -> RelayPlace:
        """The same as others are told it."""
        return RelayPlace(self.host, self.address[1])

    def pipe(self, host: str) -> Pipe:
        """Return the client's end of a new connection to a relay, which is verified as ``host``."""
        return TlsPipe(self.context, server_hostname=host)


@dataclass(frozen=True, slots=True)
class Means:
    """What contacts work with. Immutable itself; all is used on the I/O thread alone.

    :param network: names the relay in ``known``.
    :param fold: gives the form that equal names of accounts share.
    :param signal: says something to the relay; dropped while there is no connection to it.
    :param claim: signals with that id are for the taker from now on; ``None``: for nobody.
    :param route: the way to the relay; ``None`` while we are not logged in there.
    :param door: opens the door where it is shut; ``None`` if this machine lets us listen nowhere.
    :param own_candidates: where we can be reached through a door.
    :param allow_loopback: whether a candidate may be of this machine; for tests.
    :param refuse_changed: whether a changed device is refused like one that is blocked.
    :param make_id: returns 32 random hex digits.
    :param make_file: returns a random number below 2**63.
    :param numbers: of transfers, for people.
    :param downloads: the folder for received files; made when the first comes.
    """

    io: IoThread
    device: Device
    known: KnownPeers
    network: str
    fold: Callable[[str], str]
    signal: Callable[[Message], None]
    claim: Callable[[str, SignalTaker | None], None]
    emit: Callable[[PeerEvent], None]
    route: Callable[[], RelayRoute | None]
    door: Callable[[], Door | None]
    own_candidates: Callable[[Door], list[Candidate]]
    allow_loopback: bool
    refuse_changed: bool
    make_id: Callable[[], str]
    make_file: Callable[[], int]
    now_ms: Callable[[], int]
    numbers: Iterator[int]
    disk: Disk
    downloads: Path
