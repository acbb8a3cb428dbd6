"""Keeps what accounts have set over a restart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection

from securechat.errors import StoreBusy
from securechat.server.context import Context
from securechat.server.effects import Effect, SettingChanged
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.settings import AccountSettings

__all__ = ["SettingsKeeper"]

_log = logging.getLogger(__name__)


class SettingsKeeper:
    """Hands changes of settings to the store. Safe from any thread: it has no state of its own."""

    def __init__(self, store: StoreThread) -> None:
        self._store = store

    def load(self) -> dict[str, dict[str, str]]:
        """Return the settings of all accounts. Blocks: for start-up."""
        return self._store.call(lambda connection: AccountSettings(connection).load())

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the settings among ``found`` kept. Does not block."""
        for effect in found:
            if isinstance(effect, SettingChanged):
                try:
                    self._store.submit(partial(_save, effect), _saved)
                except StoreBusy as error:
                    context.note(f"a setting of {effect.account} is not kept: {error}")


def _save(effect: SettingChanged, connection: Connection) -> None:
    settings = AccountSettings(connection)
    if effect.value:
        settings.set(effect.account, effect.key, effect.value)
    else:
        settings.delete(effect.account, effect.key)


def _saved(outcome: Outcome[None]) -> None:
    if outcome.error is not None:
        _log.error("a setting is not kept: %s", outcome.error)
