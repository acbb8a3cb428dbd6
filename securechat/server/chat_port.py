"""What a new connection to the chat port is."""

from __future__ import annotations

from collections.abc import Callable

from securechat.errors import NetworkError
from securechat.invite_link import CA_ALPN
from securechat.irc.peering import TUNNEL_ALPN
from securechat.net.connection import Connection, ConnectionHandler
from securechat.server.authority import AuthorityGiver
from securechat.server.session import Session
from securechat.server.tunnel_end import TunnelEnd
from securechat.server.tunnels import Tunnels

__all__ = ["ChatPortHandler"]


class ChatPortHandler:
    """The handler of a connection to the chat port until the handshake is done. Then the protocol
    agreed on (ALPN) says whether it is a session, an end of a tunnel, or of somebody who has an
    invite and wants the CA. Owned by its I/O thread.

    :param make_session: called at once: what never comes to a handshake counts as a session.
    """

    __slots__ = ("_connection", "_session", "_tunnels")

    def __init__(
        self,
        connection: Connection,
        make_session: Callable[[Connection], Session],
        tunnels: Tunnels,
    ) -> None:
        self._connection = connection
        self._session = make_session(connection)
        self._tunnels = tunnels

    def opened(self) -> None:
        """Hand the connection on."""
        handler: ConnectionHandler = self._session
        protocol = self._connection.pipe.protocol
        if protocol == TUNNEL_ALPN:
            handler = TunnelEnd(self._connection, self._session.give_way(), self._tunnels)
        elif protocol == CA_ALPN:
            authority = self._session.served.authority
            handler = AuthorityGiver(self._connection, self._session.give_way(), authority)
        self._connection.hand_to(handler)
        handler.opened()

    def received(self, data: bytes) -> None:
        """Do nothing: before it is called, ``opened`` has handed the connection on."""

    def closed(self, error: NetworkError | None) -> None:
        """Let the session end."""
        self._session.closed(error)
