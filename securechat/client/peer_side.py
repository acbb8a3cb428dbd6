"""Between the client's connection to the relay and its peers: who tells whom what."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from securechat.client.events import (
    Delivered,
    Event,
    Failure,
    LoggedIn,
    LoggedOut,
    NickChanged,
    NotDelivered,
    PeerSignalled,
    Registered,
    TextReceived,
    Welcome,
)
from securechat.errors import StoreError
from securechat.irc import peering
from securechat.irc.message import Message
from securechat.net.io_thread import IoThread
from securechat.peer.events import PeerDelivered, PeerEvent, PeerNotDelivered, PeerText
from securechat.peer.hub import Hub, Settings
from securechat.peer.identity import Device
from securechat.peer.known_peers import FILE_NAME, KnownPeers
from securechat.peer.means import RelayRoute

if TYPE_CHECKING:
    from securechat.client.link import Link

__all__ = ["PeerSide"]


class PeerSide:
    """The peers of a client, as its connector sees them.

    Owned by the I/O thread, but for the constructor, ``tunnel_context``, which is set before the
    connection that it belongs to, and ``close``.

    :param network: names the relay among others that the user may have.
    :param nick: returns ours.
    :param say: says a message to the relay; drops it while there is no connection.
    :param push: takes events.
    :raises StoreError: what is known of other people's devices cannot be read.
    """

    def __init__(
        self,
        io: IoThread,
        device: Device,
        settings: Settings,
        network: str,
        *,
        nick: Callable[[], str],
        say: Callable[[Message], None],
        push: Callable[[Event], None],
    ) -> None:
        self.hub: Hub | None = None
        self.tunnel_context: ssl.SSLContext | None = None
        self._io = io
        self._device = device
        self._settings = settings
        self._network = network
        self._nick = nick
        self._say = say
        self._push = push
        # SQLite's connection belongs to the I/O thread; whoever makes a client hears of a failure.
        KnownPeers(settings.folder / FILE_NAME).close()

    def takes(self, event: Event) -> bool:
        """Take what is for the peers alone; whether it was."""
        if self.hub is None:
            return isinstance(event, PeerSignalled)
        match event:
            case PeerSignalled():
                self.hub.signalled(event.signal)
                return True
            case Failure(command=peering.COMMAND):
                return self.hub.refused(event.code, event.context, event.text)
            case _:
                return False

    def note(self, link: Link, event: Event) -> None:
        """Take note of who we are on the relay, and how others are called there."""
        session = link.protocol.session
        match event:
            case Welcome() | LoggedIn() | Registered() if link.protocol.registered:
                if session.account is not None and session.has(peering.CAPABILITY):
                    self._up(link, session.account)
            case LoggedOut():
                self.down()
            case NickChanged() if self.hub is not None:
                self.hub.renamed(event.old, event.new)
            case _:
                pass

    def down(self) -> None:
        """Take note that the connection to the relay, or the login, is gone."""
        if self.hub is not None:
            self.hub.relay_down()

    def end_all(self, reason: str) -> None:
        """End all sessions with peers: nobody will hear of what is said there."""
        if self.hub is not None:
            self.hub.end_all(reason)

    def stop(self, reason: str) -> None:
        """End all sessions with peers, for good."""
        if self.hub is not None:
            self.hub.stop(reason)

    def close(self) -> None:
        """Wait for the disk and the router, once the I/O thread has ended. Blocks; not for that
        thread.
        """
        if self.hub is not None:
            self.hub.close()

    def _up(self, link: Link, account: str) -> None:
        if self.tunnel_context is None:
            return
        if self.hub is None:
            try:
                self.hub = Hub(
                    self._io,
                    self._device,
                    self._settings,
                    self._network,
                    signal=self._say,
                    emit=lambda event: self._push(self._as_event(event)),
                )
            except StoreError as error:
                self._push(Failure(peering.COMMAND, "STORE", (), str(error)))
                return
        route = RelayRoute(link.server_address, link.host, self.tunnel_context)
        self.hub.relay_up(account, link.protocol.session.isupport.fold, route)

    def _as_event(self, event: PeerEvent) -> Event:
        """Return how a client tells what peers tell: texts and their fate look alike everywhere."""
        match event:
            case PeerText():
                us, them = self._nick(), event.nick
                return TextReceived(
                    them,
                    them if event.own else us,
                    us if event.own else them,
                    event.account,
                    event.text,
                    event.kind,
                    event.time,
                    direct=True,
                    own=event.own,
                    via=event.path,
                )
            case PeerDelivered():
                return Delivered(event.delivery)
            case PeerNotDelivered():
                return NotDelivered(event.delivery, event.nick, event.code, event.reason)
            case _:
                return event
