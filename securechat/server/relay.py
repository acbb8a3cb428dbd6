"""The relay as a whole: builds its parts, starts them, stops them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from securechat.errors import NetworkError
from securechat.invite_link import CA_ALPN
from securechat.irc.peering import TUNNEL_ALPN
from securechat.net.connection import Connection, ConnectionHandler
from securechat.net.io_thread import IoThread
from securechat.net.listener import Listener, format_address
from securechat.net.timers import Clock
from securechat.net.tls_pipe import TlsPipe
from securechat.server.administration.control import ControlSocket, control_path
from securechat.server.administration.tools import TOOLS
from securechat.server.admission import Admission
from securechat.server.assembly import assemble
from securechat.server.caretaker import Caretaker, CaretakerBusy, Duty
from securechat.server.certificate import CertificateFiles, Protocols, ServedCertificate
from securechat.server.chat_port import ChatPortHandler
from securechat.server.config import Config
from securechat.server.databases import database_of
from securechat.server.hash_workers import HashWorkers
from securechat.server.history.retention import Retention
from securechat.server.session import Session
from securechat.server.store_thread import Outcome, StoreThread
from securechat.server.telemetry.counters import Mishap
from securechat.server.telemetry.exporter import Exporter
from securechat.server.upkeep import Upkeep, admission_limits
from securechat.server.websocket import ALPN as WEB_ALPN
from securechat.server.websocket import WebSocketHandler

if TYPE_CHECKING:
    from securechat.server.cluster.cluster import Cluster

__all__ = ["ALPN", "Relay"]

_log = logging.getLogger(__name__)

ALPN: Final = "irc"
"""The application protocol (RFC 7301, registered by IANA for IRC)."""

_MakeHandler = Callable[[Callable[[Connection], Session], Connection], ConnectionHandler]
"""Makes the handler of a connection, given what makes its session."""

_CROWDED_NAP_S: Final = 0.005
"""How long to wait, in seconds, before a new connection is given to an I/O thread that has many."""

_STORE_START_S: Final = 30.0
"""How long a PostgreSQL may take that is started together with the relay, in seconds."""

_GOODBYE_S: Final = 1.5
"""How long the last lines to the clients may take when the relay stops, in seconds."""


class Relay:
    """One relay. Made, started and stopped by one thread.

    :param clock: monotonic, in seconds; ``wall_clock``: seconds since 1970 UTC.
    :param on_crash: called, once or more, when a thread has crashed that the relay cannot do
        without; ``crash`` says how. On that thread: it should only ask for the end.
    :param load_config: returns the configuration anew, for a reload; does file I/O. Without it a
        reload reads the certificate only.
    :param on_reload: told the configuration that a reload has taken, on a thread of the relay.
    :raises ConfigError: the database was made under another casemapping.
    :raises TlsError: the certificate, key or CA cannot be used.
    :raises StoreError: the database cannot be used.
    :raises NetworkError: an address cannot be listened on.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        on_crash: Callable[[], object] = lambda: None,
        load_config: Callable[[], Config] | None = None,
        on_reload: Callable[[Config], None] = lambda config: None,
    ) -> None:
        self._config = config
        self._on_crash = on_crash
        self.crash: BaseException | None = None
        self._admission = Admission(*admission_limits(config), wall_clock=wall_clock)
        self._listeners: list[Listener] = []
        chat = (ALPN, *((TUNNEL_ALPN,) if config.peers.enabled else ()), CA_ALPN)
        web = (WEB_ALPN,)
        self._certificate = CertificateFiles(config.tls, (chat, web))
        with contextlib.ExitStack() as undo:
            undo.callback(self._stop_listening)
            self._listen("accept", config.server.listen, chat, self._on_chat)
            if config.websocket.listen:
                self._listen("accept-websocket", config.websocket.listen, web, self._on_web)
            database = database_of(
                config.store, alone=not config.cluster.nats, start_timeout_s=_STORE_START_S
            )
            self._store = StoreThread(database, on_crash=self.note_crash)
            undo.callback(self._store.close)
            self._cluster = self._make_cluster()
            if self._cluster is not None:
                undo.callback(self._cluster.close)
            self._hashers = HashWorkers(on_crash=self.note_crash)
            undo.callback(self._hashers.close)
            self._threads = [
                IoThread(f"io-{n}", clock=clock, on_crash=self.note_crash)
                for n in range(config.server.io_threads)
            ]
            for thread in self._threads:
                undo.callback(thread.stop, 0.0)
            self.services = assemble(
                config,
                store=self._store,
                hashers=self._hashers,
                threads=self._threads,
                admission=self._admission,
                certificate=self._certificate,
                cluster=self._cluster,
                reload=self._submit_reload,
                clock=clock,
                wall_clock=wall_clock,
            )
            self._upkeep = Upkeep(
                self.services,
                self._certificate,
                self._admission,
                load_config or (lambda: config),
                on_reload,
            )
            self._caretaker = Caretaker(self._duties())
            self._exporter = Exporter(config.metrics.listen, self.services)
            undo.callback(self._exporter.stop)
            self._control = self._make_control()
            undo.pop_all()
        self._turn = itertools.cycle(self._threads)  # safe from any thread: one step in C

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the relay listens, with the ports that were taken for 0."""
        return self._listeners[0].addresses

    @property
    def websocket_addresses(self) -> list[tuple[str, int]]:
        """The same for WebSocket; often empty."""
        return [address for listener in self._listeners[1:] for address in listener.addresses]

    @property
    def metrics_addresses(self) -> list[tuple[str, int]]:
        """The same for ``/metrics`` and ``/healthz``; often empty."""
        return self._exporter.addresses

    def start(self) -> None:
        """Begin to accept connections. One of several relays first becomes one of them.

        :raises SecureChatError: it could not; it must be stopped nevertheless.
        """
        for thread in self._threads:
            thread.start(self._threads)
        if self._cluster is not None:
            self._cluster.join(self.services)
        for listener in self._listeners:
            listener.start(self.note_crash)
        if self._config.history.enabled:
            Retention(self.services).start(self._threads[0])
        self._caretaker.start(self.note_crash)
        if self._control is not None:
            self._control.start()
        self._exporter.start(self.note_crash)
        for address in self.addresses:
            _log.info("listening on %s", format_address(*address))
        for address in self.websocket_addresses:
            _log.info("listening on %s for WebSocket", format_address(*address))

    def stop(self, reason: str) -> None:
        """Tell every client the reason, close all connections, the store, the threads. Blocks.

        Whether or not it was, or could be, started.
        """
        self._exporter.stop()
        if self._control is not None:
            self._control.stop()
        self._caretaker.stop()
        self._stop_listening()
        if self._cluster is not None:
            self._cluster.leave(reason)
        for session in self.services.registry.snapshot():
            session.connection.thread.post(partial(session.dismiss, reason))
        self.services.tunnels.stop()
        for thread in self._threads:
            # Posted, so that it comes after the last lines, which the calls above post.
            thread.post(partial(thread.begin_stop, _GOODBYE_S))
        for thread in self._threads:
            thread.join()
        self._hashers.close()
        with self.services.lock:
            self.services.event_log.keep_again()  # what waits since the store was full, or broken
        self._store.close()
        if self._cluster is not None:
            self._cluster.close()
        if self._control is not None:
            self._control.wait()  # last: if it takes too long, all else is in order by then
        _log.info("stopped: %s", reason)

    # ---- while it runs ----

    @property
    def certificate(self) -> ServedCertificate:
        """What new connections are shown. Safe from any thread."""
        return self._certificate.served

    def reload(self) -> list[str]:
        """Take the configuration and the certificate anew; return what a person should know of it.

        Safe from any thread but those of the relay itself. Blocks. What cannot be used changes
        nothing.

        :raises ConfigError: the configuration cannot be used.
        :raises TlsError: the certificate, key or CA cannot be used.
        :raises CaretakerBusy: many such commands wait already.
        """
        return self._caretaker.call(self._upkeep.reload)

    def begin_reload(self) -> None:
        """Have a reload done; its outcome is in the log. Never blocks; safe from any thread."""

        def note(outcome: Outcome[list[str]]) -> None:
            if outcome.error is not None:
                _log.error("reload: nothing has changed: %s", outcome.error)

        try:
            self._submit_reload(note)
        except CaretakerBusy as error:
            _log.error("reload: %s", error)

    def note_crash(self, error: BaseException) -> None:
        """Have the relay end: a thread that it cannot do without has crashed. Safe from any."""
        self.crash = error
        self._on_crash()

    def _submit_reload(
        self, done: Callable[[Outcome[list[str]]], None], *, lead: bool = True
    ) -> None:
        self._caretaker.submit(partial(self._upkeep.reload, lead=lead), done)

    def _make_cluster(self) -> Cluster | None:
        config = self._config.cluster
        if not config.nats:
            return None
        # Only here: what is imported with it is an extra, and an event loop.
        from securechat.server.cluster.cluster import Cluster

        return Cluster(config, self._store, on_crash=self.note_crash)

    def _duties(self) -> Iterator[Duty]:
        yield from self._upkeep.duties()
        if self._cluster is not None:
            yield from self._cluster.duties()

    def _make_control(self) -> ControlSocket | None:
        try:
            return ControlSocket(self, control_path(self._config), TOOLS)
        except NetworkError as error:
            _log.warning("%s: commands for this relay will not reach it", error)
            return None

    # ---- making ----

    def _listen(
        self,
        name: str,
        addresses: Iterable[tuple[str, int]],
        protocols: Protocols,
        make_handler: _MakeHandler,
    ) -> None:
        """Listen for some protocols on a thread of its own."""

        def accept(sock: socket.socket, address: str) -> None:
            self._accept(sock, address, protocols, make_handler)

        self._listeners.append(Listener(addresses, accept, name=name))

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.stop()

    def _accept(
        self, sock: socket.socket, address: str, protocols: Protocols, make_handler: _MakeHandler
    ) -> None:
        """Give a new connection to an I/O thread; on an accept thread."""
        seat = self._admission.take(address)
        if seat is None or seat.refusal:
            self.services.counters.count(Mishap.CONNECTION_REFUSED)
        if seat is None:
            sock.close()
            return
        limits = self.services.config.limits
        certificate = self._certificate.served
        thread = next(self._turn)
        while thread.crowded():
            time.sleep(_CROWDED_NAP_S)
        thread.adopt(
            sock,
            TlsPipe(
                certificate.contexts[protocols],
                required_protocols=protocols,
                buffers=thread.tls_buffers,
            ),
            partial(
                make_handler, partial(Session, self.services, seat=seat, certificate=certificate)
            ),
            handshake_timeout_s=limits.handshake_timeout_s,
            send_limit_bytes=limits.sendq_bytes,
        )

    def _on_chat(
        self, make_session: Callable[[Connection], Session], connection: Connection
    ) -> ConnectionHandler:
        return ChatPortHandler(connection, make_session, self.services.tunnels)

    def _on_web(
        self, make_session: Callable[[Connection], Session], connection: Connection
    ) -> ConnectionHandler:
        return WebSocketHandler(
            connection,
            make_session,
            origins=self.services.config.websocket.origins,
            timeout_s=self.services.config.limits.handshake_timeout_s,
        )
