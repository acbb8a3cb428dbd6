"""Keeps which devices each account has had, and when they were seen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection

from securechat.errors import StoreBusy
from securechat.server.context import Context
from securechat.server.effects import DeviceAnnounced, DeviceRetracted, Effect
from securechat.server.rules.peers import DEVICES_PER_ACCOUNT
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.devices import PeerDevices

__all__ = ["DeviceKeeper"]

_log = logging.getLogger(__name__)


class DeviceKeeper:
    """Hands devices to the store. Safe from any thread: it has no state of its own.

    Nothing of it is loaded: who can be reached now is known from those who are there now.
    """

    def __init__(self, store: StoreThread) -> None:
        self._store = store

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the devices among ``found`` kept, and when they were seen. Does not block."""
        for effect in found:
            match effect:
                case DeviceAnnounced():
                    work = partial(_add, effect)
                case DeviceRetracted():
                    work = partial(_seen, effect)
                case _:
                    continue
            try:
                self._store.submit(work, _kept)
            except StoreBusy as error:
                context.note(f"a device is not kept: {error}")


def _add(effect: DeviceAnnounced, connection: Connection) -> None:
    devices = PeerDevices(connection)
    devices.add(effect.account, effect.fingerprint, effect.certificate, effect.stamp.at_ms)
    devices.keep_latest(effect.account, DEVICES_PER_ACCOUNT, effect.announced)


def _seen(effect: DeviceRetracted, connection: Connection) -> None:
    PeerDevices(connection).seen(effect.account, effect.fingerprint, effect.stamp.at_ms)


def _kept(outcome: Outcome[None]) -> None:
    if outcome.error is not None:
        _log.error("a device is not kept: %s", outcome.error)
