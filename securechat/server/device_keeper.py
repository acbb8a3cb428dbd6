"""Keeps which devices each account has had, and when they were seen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from securechat.server.backlog import Backlog
from securechat.server.context import Context
from securechat.server.effects import AccountClosed, DeviceAnnounced, DeviceRetracted, Effect
from securechat.server.rules.peers import DEVICES_PER_ACCOUNT
from securechat.server.store_thread import Store
from securechat.store.connection import Connection
from securechat.store.devices import PeerDevices

__all__ = ["DeviceKeeper"]


class DeviceKeeper:
    """Hands devices to the store. Safe from any thread.

    Nothing of it is loaded: who can be reached now is known from those who are there now.
    """

    def __init__(self, store: Store) -> None:
        self._backlog = Backlog(store, "devices")

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the devices among ``found`` kept, and when they were seen. Does not block."""
        write = self._backlog.write
        for effect in found:
            match effect:
                case DeviceAnnounced(account=account, fingerprint=fingerprint):
                    write(("announced", account, fingerprint), partial(_add, effect), context)
                case DeviceRetracted(account=account, fingerprint=fingerprint):
                    write(("seen", account, fingerprint), partial(_seen, effect), context)
                case AccountClosed(account=account, forgotten=True):
                    write(("forgotten", account), partial(_forget, account), context)
                case _:
                    pass

    def retry(self) -> None:
        """Have kept what could not be; for when the store has recovered."""
        self._backlog.retry()


def _add(effect: DeviceAnnounced, connection: Connection) -> None:
    devices = PeerDevices(connection)
    devices.add(effect.account, effect.fingerprint, effect.certificate, effect.stamp.at_ms)
    devices.keep_latest(effect.account, DEVICES_PER_ACCOUNT, effect.announced)


def _seen(effect: DeviceRetracted, connection: Connection) -> None:
    PeerDevices(connection).seen(effect.account, effect.fingerprint, effect.stamp.at_ms)


def _forget(account: str, connection: Connection) -> None:
    PeerDevices(connection).delete_account(account)
