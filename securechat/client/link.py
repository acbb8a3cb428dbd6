"""One connection of a client, between ``net.Connection`` and ``ClientProtocol``; its liveness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from securechat.client.events import Connected, Event
from securechat.client.protocol import ClientProtocol
from securechat.client.words.translation import gettext_noop
from securechat.errors import ConnectionLost, NetworkError, RemoteProtocolError, SecureChatError
from securechat.net.channel_binding import server_end_point
from securechat.net.connection import Connection

__all__ = ["Link", "LinkOwner", "Timing"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a client waits for what, in seconds. Immutable."""

    dial_s: float = 10.0
    """To connect by TCP, over all addresses of the host."""

    handshake_s: float = 15.0
    """For the TLS handshake."""

    idle_s: float = 60.0
    """Of silence before the server is asked whether it is there: NATs forget idle connections, the
    impatient ones after about two minutes."""

    answer_s: float = 30.0
    """For its answer; then the connection is dead."""

    retry_first_s: float = 1.0
    """Before the first try after a lost connection; each further wait is twice as long."""

    retry_most_s: float = 120.0
    """The longest such wait."""

    retry_jitter: float = 0.5
    """Which part of a wait is left to chance, so that a relay that comes back is not stormed."""

    close_s: float = 3.0
    """For the goodbye: the server may send its last lines and close."""

    def retry_in_s(self, failures: int, chance: float) -> float:
        """Return the wait after ``failures`` tries in a row; ``chance`` is from 0 to 1."""
        # The exponent is limited only so that the float cannot overflow.
        wait_s = min(self.retry_most_s, self.retry_first_s * 2.0 ** min(failures, 32))
        return wait_s * (1 - self.retry_jitter * chance)


@dataclass(frozen=True, slots=True)
class LinkOwner:
    """Whom a link tells. Both are called on the connection's thread."""

    happened: Callable[[Link, list[Event]], None]
    ended: Callable[[Link, SecureChatError | None], None]


class Link:
    """A ``ConnectionHandler`` with its protocol. Owned by the thread of its connection."""

    def __init__(
        self,
        connection: Connection,
        protocol: ClientProtocol,
        owner: LinkOwner,
        *,
        host: str,
        port: int,
        timing: Timing,
    ) -> None:
        self.protocol = protocol
        self._connection = connection
        self._owner = owner
        self._host = host
        self._port = port
        self._timing = timing
        self._heard = False  # anything, since the last look
        self._error: SecureChatError | None = None
        self._over = False

    @property
    def host(self) -> str:
        """The server's name, as it is verified."""
        return self._host

    @property
    def port(self) -> int:
        """The server's port."""
        return self._port

    @property
    def server_address(self) -> tuple[str, int]:
        """Where the server is: an IP address and a port."""
        return self._connection.peer_address

    # ---- what the connection tells ----

    def opened(self) -> None:
        """TLS is up: begin."""
        pipe = self._connection.pipe
        certificate = pipe.peer_certificate
        if certificate is not None:
            self.protocol.session.channel_binding = server_end_point(certificate)
        connected = Connected(self._host, self._port, pipe.version, pipe.cipher)
        self._owner.happened(self, [connected])
        self.do(ClientProtocol.start)
        self._watch()

    def received(self, data: bytes) -> None:
        """Hand on what the server says."""
        self._heard = True
        try:
            events = self.protocol.receive_data(data)
        except RemoteProtocolError as error:
            self._owner.happened(self, self.protocol.take_events())
            self.end(
                RemoteProtocolError("the server does not speak IRC properly: {error}", error=error)
            )
            return
        self._flush()
        self._owner.happened(self, events)

    def closed(self, error: NetworkError | None) -> None:
        """Report the end."""
        self._over = True
        found = self._error or error
        reason = self.protocol.session.closing or (
            str(found) if found else gettext_noop("connection closed")
        )
        self._owner.happened(self, self.protocol.connection_lost(reason))
        self._owner.ended(self, found)

    # ---- what the client asks for ----

    def do(self, intent: Callable[[ClientProtocol], None]) -> None:
        """Let the protocol do something; send and report what comes of it."""
        intent(self.protocol)
        self._flush()
        events = self.protocol.take_events()
        if events:
            self._owner.happened(self, events)

    def end(self, error: SecureChatError | None) -> None:
        """Send what is queued and close; ``error`` is why."""
        if not self._over:
            self._error = self._error or error
            self._connection.finish()

    def _flush(self) -> None:
        data = self.protocol.data_to_send()
        if data:
            self._connection.queue(data)

    # ---- liveness ----

    def _watch(self) -> None:
        self._heard = False
        self._connection.thread.call_later(self._timing.idle_s, self._looked_idle)

    def _looked_idle(self) -> None:
        if self._over:
            return
        if self._heard or self.protocol.held:  # held: it is for the user to speak, not the server
            self._watch()
            return
        if self.protocol.registered:
            self.do(ClientProtocol.ping)
        self._connection.thread.call_later(self._timing.answer_s, self._looked_dead)

    def _looked_dead(self) -> None:
        if self._over:
            return
        if self._heard:
            self._watch()
            return
        self._connection.drop(ConnectionLost("the server does not answer any more"))
