"""Keeps over a restart what is published of accounts and channels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from securechat.server.backlog import Backlog
from securechat.server.context import Context
from securechat.server.effects import Effect, MetadataChanged
from securechat.server.network import Network
from securechat.server.store_thread import Store
from securechat.store.connection import Connection
from securechat.store.metadata import Metadata

__all__ = ["MetadataKeeper", "account_subject"]

_ACCOUNT: Final = "account "
_CHANNEL: Final = "channel "


class MetadataKeeper:
    """Hands changes of metadata to the store. Safe from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._backlog = Backlog(store, "metadata")

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
                thing = effect.account, effect.uid, effect.key
                self._backlog.write(thing, partial(_save, effect), context)

    def retry(self) -> None:
        """Have kept what could not be; for when the store has recovered."""
        self._backlog.retry()


def account_subject(account: str) -> str:
    """Return what the store calls the account (folded) whose metadata it keeps."""
    return _ACCOUNT + account


def _forget(subjects: Sequence[str], connection: Connection) -> None:
    for subject in subjects:
        Metadata(connection).clear(subject)


def _save(effect: MetadataChanged, connection: Connection) -> None:
    subject = _ACCOUNT + effect.account if effect.account else _CHANNEL + effect.uid
    if effect.value:
        Metadata(connection).set(subject, effect.key, effect.value)
    else:
        Metadata(connection).delete(subject, effect.key)
