"""Keeps over a restart what is published of accounts and channels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection
from typing import Final

from securechat.errors import StoreBusy
from securechat.server.context import Context
from securechat.server.effects import Effect, MetadataChanged
from securechat.server.network import Network
from securechat.server.store_thread import Outcome, StoreThread
from securechat.store.metadata import Metadata

__all__ = ["MetadataKeeper"]

_log = logging.getLogger(__name__)

_ACCOUNT: Final = "account "
_CHANNEL: Final = "channel "


class MetadataKeeper:
    """Hands changes of metadata to the store. Safe from any thread: it has no state of its own."""

    def __init__(self, store: StoreThread) -> None:
        self._store = store

    def load(self, network: Network) -> None:
        """Give ``network``, which has its channels, their metadata and that of all accounts.

        What was kept of channels that are no more is forgotten. Blocks: for start-up.
        """
        channels = {channel.uid: channel for channel in network.channels.values()}
        gone = []
        for subject, values in self._store.call(lambda c: Metadata(c).load()).items():
            if subject.startswith(_ACCOUNT):
                network.metadata[subject.removeprefix(_ACCOUNT)] = values
            elif (channel := channels.get(subject.removeprefix(_CHANNEL))) is not None:
                channel.metadata.update(values)
            else:
                gone.append(subject)
        self._store.call(partial(_forget, gone))

    def keep(self, found: Sequence[Effect], context: Context) -> None:
        """Have the metadata among ``found`` kept. Does not block."""
        for effect in found:
            if isinstance(effect, MetadataChanged) and (effect.account or effect.uid):
                try:
                    self._store.submit(partial(_save, effect), _saved)
                except StoreBusy as error:
                    context.note(f"metadata of {effect.target} is not kept: {error}")


def _forget(subjects: Sequence[str], connection: Connection) -> None:
    for subject in subjects:
        Metadata(connection).clear(subject)


def _save(effect: MetadataChanged, connection: Connection) -> None:
    subject = _ACCOUNT + effect.account if effect.account else _CHANNEL + effect.uid
    if effect.value:
        Metadata(connection).set(subject, effect.key, effect.value)
    else:
        Metadata(connection).delete(subject, effect.key)


def _saved(outcome: Outcome[None]) -> None:
    if outcome.error is not None:
        _log.error("metadata is not kept: %s", outcome.error)
