"""Keeps over a restart what is set for accounts, and who is always on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from securechat.server.backlog import Backlog
from securechat.server.context import Context
from securechat.server.effects import Effect, SettingChanged
from securechat.server.events import Expire, Restore, Stamp
from securechat.server.network import Network
from securechat.server.rules.presence import PRESENCE
from securechat.server.store_thread import Store
from securechat.store.connection import Connection
from securechat.store.settings import AccountSettings

__all__ = ["SettingsKeeper"]


class SettingsKeeper:
    """Hands changes of settings to the store. Safe from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._backlog = Backlog(store, "settings")

    def load(self, network: Network, stamp: Stamp, oldest_ms: int) -> None:
        """Give ``network``, which knows its accounts, their settings and those who are always on.

        Whose last device left before ``oldest_ms`` is not put back. Blocks: for start-up.
        """
        settings = self._store.call(lambda connection: AccountSettings(connection).load())
        for account, values in settings.items():
            network.settings[account] = values
        found: list[Effect] = []
        for account in settings:
            fields = _presence(network.setting(account, PRESENCE))
            if fields is not None:
                name = network.accounts.get(account, account)
                found += network.apply(Restore(stamp, name, **fields))
        found += network.apply(Expire(stamp, oldest_ms))
        self._store.call(partial(_save_all, found))

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the settings among ``found`` kept. Does not block."""
        for effect in found:
            if isinstance(effect, SettingChanged):
                self._backlog.write((effect.account, effect.key), partial(_save, effect), context)

    def retry(self) -> None:
        """Have kept what could not be; for when the store has recovered."""
        self._backlog.retry()


def _presence(value: str) -> dict[str, Any] | None:
    """Return the fields of ``Restore``, ``None`` if ``value`` does not hold them."""
    try:
        fields = json.loads(value)
    except ValueError:
        return None
    kinds = {"username": str, "realname": str, "cloak": str, "gone_ms": int}
    if not isinstance(fields, dict) or {key: type(fields[key]) for key in fields} != kinds:
        return None
    return fields


def _save_all(found: Sequence[Effect], connection: Connection) -> None:
    for effect in found:
        if isinstance(effect, SettingChanged):
            _save(effect, connection)


def _save(effect: SettingChanged, connection: Connection) -> None:
    settings = AccountSettings(connection)
    if effect.value:
        settings.set(effect.account, effect.key, effect.value)
    else:
        settings.delete(effect.account, effect.key)
