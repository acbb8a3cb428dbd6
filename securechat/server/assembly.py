"""Putting a relay together: the chat as it was when the last one stopped, and who keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from securechat.errors import ConfigError
from securechat.net.io_thread import IoThread
from securechat.net.locks import make_lock
from securechat.net.timers import Clock
from securechat.server.admission import Admission
from securechat.server.authentication import Authenticator
from securechat.server.ban_keeper import BanKeeper
from securechat.server.certificate import CertificateFiles
from securechat.server.commands import COMMANDS
from securechat.server.config import Config
from securechat.server.delivery.delivery import Delivery
from securechat.server.device_keeper import DeviceKeeper
from securechat.server.event_log import EventLog
from securechat.server.events import Stamp
from securechat.server.hash_workers import HashWorkers
from securechat.server.history.keeper import HistoryKeeper
from securechat.server.history.read_markers import ReadMarkerKeeper
from securechat.server.isupport import isupport_tokens
from securechat.server.metadata_keeper import MetadataKeeper
from securechat.server.names import Names, make_names
from securechat.server.network import Network
from securechat.server.reload import network_limits
from securechat.server.room_keeper import RoomKeeper
from securechat.server.services import Reload, Services
from securechat.server.sessions import SessionRegistry
from securechat.server.settings_keeper import SettingsKeeper
from securechat.server.store_thread import StoreThread
from securechat.server.telemetry.health import Health
from securechat.server.tunnels import Tunnels
from securechat.store.accounts import Accounts
from securechat.store.history import History
from securechat.store.rooms import Rooms

if TYPE_CHECKING:
    from securechat.server.cluster.cluster import Cluster

__all__ = ["assemble"]

_LONGEST_NAME_BYTES: Final = 510
"""No stored name is longer: none could be in a line."""

_NAMES_SHOWN: Final = 5
"""Names that a complaint about all of them gives, at most."""


def assemble(
    config: Config,
    *,
    store: StoreThread,
    hashers: HashWorkers,
    threads: Sequence[IoThread],
    admission: Admission,
    certificate: CertificateFiles,
    cluster: Cluster | None,
    reload: Reload,
    clock: Clock,
    wall_clock: Clock,
) -> Services:
    """Return the services of a relay, with the chat as it is in ``store``. Blocks.

    The arguments are for ``Services``, or what its parts work with.

    :param cluster: where several relays are one chat.
    :raises ConfigError: the database was made under another casemapping.
    :raises StoreError: the database cannot be used.
    :raises NetworkError: the stream cannot be used.
    """
    names = make_names(config.server.casemapping)
    authenticator = Authenticator(
        config.accounts,
        store,
        hashers,
        clock=clock,
        wall_clock=wall_clock,
        fold=names.fold,
    )
    network = Network(network_limits(config), names)
    now_ms = int(wall_clock() * 1000)
    writes = cluster.state if cluster is not None else store
    rooms, settings = RoomKeeper(writes, network), SettingsKeeper(writes)
    markers, metadata = ReadMarkerKeeper(writes, names.fold), MetadataKeeper(writes)
    devices, bans = DeviceKeeper(writes), BanKeeper(writes, network, admission)

    def begin() -> None:
        """Put into the network what is kept."""
        _check_stored_names(store, names)
        for name in authenticator.account_names():
            network.add_account(name)
        rooms.load()
        oldest_ms = config.accounts.oldest_presence_ms(now_ms)
        settings.load(network, Stamp(0, now_ms, ""), oldest_ms)
        rooms.forget_absent()
        network.read_markers.update(markers.load())
        metadata.load(network)
        uids = [channel.uid for channel in network.channels.values()]
        store.call(lambda connection: History(connection).delete_other_rooms(uids))
        bans.load(now_ms)

    applied = 0
    if cluster is None:
        begin()
    else:
        applied = cluster.load(network, begin, now_ms)
    bans.begin()
    registry = SessionRegistry()
    delivery = Delivery(registry)
    history = HistoryKeeper(
        store,
        enabled=config.history.enabled,
        fold=names.fold,
        patient=config.store.url is not None,
    )
    keepers = (rooms, settings, markers, metadata, devices, bans)
    if cluster is None:
        event_log = EventLog(network, delivery, history, keepers)
    else:
        event_log = cluster.make_log(network, delivery, history, keepers, applied)
    return Services(
        config=config,
        lock=make_lock("network", tier=3),
        network=network,
        delivery=delivery,
        event_log=event_log,
        history=history,
        registry=registry,
        store=store,
        authenticator=authenticator,
        tunnels=Tunnels(config.peers, clock),
        commands=COMMANDS,
        cloak_secret=authenticator.relay_secret("cloak"),
        clock=clock,
        wall_clock=wall_clock,
        started_ms=int(wall_clock() * 1000),
        isupport=tuple(isupport_tokens(config, names)),
        reload=reload,
        certificate=lambda: certificate.served,
        health=Health(threads, store, clock),
        cluster=cluster,
    )


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
