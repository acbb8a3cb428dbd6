"""The relay as a whole: builds its parts, starts them, stops them."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from securechat.errors import ConfigError
from securechat.irc.peering import TUNNEL_ALPN
from securechat.net.channel_binding import certificate_in, server_end_point
from securechat.net.connection import Connection, ConnectionHandler
from securechat.net.io_thread import IoThread
from securechat.net.listener import Listener, format_address
from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.net.tls import server_context
from securechat.net.tls_pipe import TlsPipe
from securechat.server.admission import Admission
from securechat.server.authentication import Authenticator
from securechat.server.commands import COMMANDS
from securechat.server.config import Config
from securechat.server.delivery.delivery import Delivery
from securechat.server.device_keeper import DeviceKeeper
from securechat.server.event_log import EventLog
from securechat.server.events import Stamp
from securechat.server.hash_workers import HashWorkers
from securechat.server.history.keeper import HistoryKeeper
from securechat.server.history.read_markers import ReadMarkerKeeper
from securechat.server.history.retention import Retention
from securechat.server.isupport import isupport_tokens
from securechat.server.metadata_keeper import MetadataKeeper
from securechat.server.names import Names, make_names
from securechat.server.network import Network, NetworkLimits
from securechat.server.room_keeper import RoomKeeper
from securechat.server.services import Services
from securechat.server.session import Session
from securechat.server.sessions import SessionRegistry
from securechat.server.settings_keeper import SettingsKeeper
from securechat.server.store_thread import StoreThread
from securechat.server.tunnel_end import ChatPortHandler
from securechat.server.tunnels import Tunnels
from securechat.server.websocket import ALPN as WEB_ALPN
from securechat.server.websocket import WebSocketHandler
from securechat.store.accounts import Accounts
from securechat.store.history import History
from securechat.store.rooms import Rooms

__all__ = ["ALPN", "Relay"]

_log = logging.getLogger(__name__)

ALPN: Final = "irc"
"""The application protocol (RFC 7301, registered by IANA for IRC)."""

_MakeHandler = Callable[[Callable[[Connection], Session], Connection], ConnectionHandler]
"""Makes the handler of a connection, given what makes its session."""

_LONGEST_NAME_BYTES: Final = 510
"""No stored name is longer: none could be in a line."""

_NAMES_SHOWN: Final = 5
"""Names that a complaint about all of them gives, at most."""

_GOODBYE_S: Final = 1.5
"""How long the last lines to the clients may take when the relay stops, in seconds."""


class Relay:
    """One relay. Made, started and stopped by one thread.

    :param clock: monotonic, in seconds; ``wall_clock``: seconds since 1970 UTC.
    :param ending: set when a thread that the relay cannot do without has crashed; ``crash`` then
        says how.
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
        ending: threading.Event | None = None,
    ) -> None:
        self._config = config
        self._ending = ending
        self.crash: BaseException | None = None
        self._admission = Admission(
            config.limits.connections,
            config.limits.connections_per_address,
            [network for gateway in config.webirc for network in gateway.addresses],
        )
        self._listeners: list[Listener] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self._stop_listening)
            protocols = (ALPN, TUNNEL_ALPN) if config.peers.enabled else (ALPN,)
            self._listen("accept", config.server.listen, protocols, self._on_chat)
            if config.websocket.listen:
                self._listen("accept-websocket", config.websocket.listen, (WEB_ALPN,), self._on_web)
            self._store = StoreThread(config.store.path)
            undo.callback(self._store.close)
            self._hashers = HashWorkers()
            undo.callback(self._hashers.close)
            self.services = self._build(clock, wall_clock)
            undo.pop_all()
        self._threads = [
            IoThread(f"io-{n}", clock=clock, on_crash=self._crashed)
            for n in range(config.server.io_threads)
        ]
        self._turn = itertools.cycle(self._threads)  # safe from any thread: one step in C

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the relay listens, with the ports that were taken for 0."""
        return self._listeners[0].addresses

    @property
    def websocket_addresses(self) -> list[tuple[str, int]]:
        """The same for WebSocket; often empty."""
        return [address for listener in self._listeners[1:] for address in listener.addresses]

    def start(self) -> None:
        """Begin to accept connections."""
        for thread in self._threads:
            thread.start(self._threads)
        for listener in self._listeners:
            listener.start(self._crashed)
        if self._config.history.enabled:
            Retention(self.services).start(self._threads[0])
        for address in self.addresses:
            _log.info("listening on %s", format_address(*address))
        for address in self.websocket_addresses:
            _log.info("listening on %s for WebSocket", format_address(*address))

    def stop(self, reason: str) -> None:
        """Tell every client the reason, close all connections, the store, the threads. Blocks."""
        self._stop_listening()
        for session in self.services.registry.snapshot():
            session.connection.thread.post(partial(session.dismiss, reason))
        self.services.tunnels.stop()
        for thread in self._threads:
            # Posted, so that it comes after the last lines, which the calls above post.
            thread.post(partial(thread.begin_stop, _GOODBYE_S))
        for thread in self._threads:
            thread.join()
        self._hashers.close()
        self.services.history.flush()
        self._store.close()
        _log.info("stopped: %s", reason)

    def _build(self, clock: Clock, wall_clock: Clock) -> Services:
        config = self._config
        names = make_names(config.server.casemapping)
        authenticator = Authenticator(
            config.accounts,
            self._store,
            self._hashers,
            clock=clock,
            wall_clock=wall_clock,
            fold=names.fold,
        )
        limits = NetworkLimits(
            channels_per_user=config.limits.channels_per_user,
            list_entries=config.limits.list_entries,
            rooms_per_account=config.limits.rooms_per_account,
            monitored_nicks=config.limits.monitored_nicks,
            always_on=config.accounts.always_on,
            metadata_keys=config.limits.metadata_keys,
            metadata_subscriptions=config.limits.metadata_subscriptions,
            whowas_entries=config.limits.whowas_entries,
        )
        network = Network(limits, names)
        _check_stored_names(self._store, names)
        for name in authenticator.account_names():
            network.add_account(name)
        rooms = RoomKeeper(self._store, network)
        rooms.load()
        settings = SettingsKeeper(self._store)
        now_ms = int(wall_clock() * 1000)
        settings.load(network, Stamp(0, now_ms, ""), config.accounts.oldest_presence_ms(now_ms))
        rooms.forget_absent()
        markers = ReadMarkerKeeper(self._store, names.fold)
        network.read_markers.update(markers.load())
        metadata = MetadataKeeper(self._store)
        metadata.load(network)
        registry = SessionRegistry()
        delivery = Delivery(registry)
        uids = [channel.uid for channel in network.channels.values()]
        self._store.call(lambda connection: History(connection).delete_other_rooms(uids))
        history = HistoryKeeper(self._store, enabled=config.history.enabled, fold=names.fold)
        devices = DeviceKeeper(self._store)
        keepers = (
            rooms.keep,
            settings.keep,
            markers.keep,
            metadata.keep,
            devices.keep,
            history.keep,
        )
        shown = certificate_in(config.tls.certificate)
        return Services(
            config=config,
            lock=make_lock("network", tier=3),
            network=network,
            delivery=delivery,
            event_log=EventLog(network, delivery, keepers),
            history=history,
            registry=registry,
            store=self._store,
            authenticator=authenticator,
            tunnels=Tunnels(config.peers, clock),
            commands=COMMANDS,
            cloak_secret=authenticator.relay_secret("cloak"),
            clock=clock,
            wall_clock=wall_clock,
            started_ms=int(wall_clock() * 1000),
            isupport=tuple(isupport_tokens(config, names)),
            channel_binding=server_end_point(shown) if shown is not None else None,
        )

    def _listen(
        self,
        name: str,
        addresses: Iterable[tuple[str, int]],
        protocols: tuple[str, ...],
        make_handler: _MakeHandler,
    ) -> None:
        """Listen for some protocols, the first of them preferred, on a thread of its own."""
        config = self._config.tls
        context = server_context(
            config.certificate,
            config.key,
            client_ca=config.client_ca,
            minimum_version=config.minimum_version,
            protocols=protocols,
        )

        def accept(sock: socket.socket, address: str) -> None:
            pipe = TlsPipe(context, required_protocols=protocols)
            self._accept(sock, address, pipe, make_handler)

        self._listeners.append(Listener(addresses, accept, name=name))

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.stop()

    def _accept(
        self, sock: socket.socket, address: str, pipe: TlsPipe, make_handler: _MakeHandler
    ) -> None:
        """Give a new connection to an I/O thread; on an accept thread."""
        seat = self._admission.take(address)
        if seat is None:
            sock.close()
            return
        limits = self._config.limits
        next(self._turn).adopt(
            sock,
            pipe,
            partial(make_handler, partial(Session, self.services, seat=seat)),
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
            origins=self._config.websocket.origins,
            timeout_s=self._config.limits.handshake_timeout_s,
        )

    def _crashed(self, error: BaseException) -> None:
        self.crash = error
        if self._ending is not None:
            self._ending.set()


def _check_stored_names(store: StoreThread, names: Names) -> None:
    """Check that the names in the store are what the configured casemapping would store.

    :raises ConfigError: the casemapping was another one when they were stored, and they differ.
    """
    accounts = store.call(lambda connection: Accounts(connection).names())
    rooms = store.call(lambda connection: Rooms(connection).names())
    stored = [(key, name, names.is_nick) for key, name in accounts]
    stored += [(key, name, names.is_channel_name) for key, name in rooms]
    strange = [
        name
        for key, name, is_legal in stored
        if names.fold(name) != key or not is_legal(name, _LONGEST_NAME_BYTES)
    ]
    if strange:
        shown = ", ".join(strange[:_NAMES_SHOWN]) + (" …" if strange[_NAMES_SHOWN:] else "")
        problem = f"[server] casemapping: it was another one when names were stored: {shown}"
        raise ConfigError([problem])
