"""A new configuration for a relay that runs: what of it can be taken, and taking it.

Connections stay as they are. What is about a connection's beginning (limits of addresses,
certificates, the rate of commands) counts for those that begin afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from securechat.irc.message import Message
from securechat.server.commands.capabilities import announce_changes
from securechat.server.commands.server_queries import send_isupport
from securechat.server.config import ClusterConfig, Config
from securechat.server.context import Context
from securechat.server.dispatch import run
from securechat.server.event_log import propose_for_relay
from securechat.server.events import Reload
from securechat.server.isupport import isupport_tokens
from securechat.server.network import NetworkLimits
from securechat.server.servers import announced_addresses
from securechat.server.services import Services
from securechat.server.session import Session

__all__ = [
    "FIXED",
    "announce_relays",
    "changed_settings",
    "network_limits",
    "take_config",
    "with_fixed",
]

FIXED: Final = frozenset(
    {
        *(("server", key) for key in ("name", "network", "listen", "casemapping", "io_threads")),
        ("websocket", "listen"),
        *(("store", key) for key in ("path", "url", "password_file")),
        ("history", "enabled"),
        ("peers", "enabled"),
        ("metrics", "listen"),
        *(("cluster", setting.name) for setting in dataclasses.fields(ClusterConfig)),
    }
)
"""Settings (section and key) that only a start can change: sockets, threads, files, and what the
clients have built upon."""


def network_limits(config: Config) -> NetworkLimits:
    """Return the limits of the chat state."""
    limits = config.limits
    return NetworkLimits(
        channels_per_user=limits.channels_per_user,
        list_entries=limits.list_entries,
        rooms_per_account=limits.rooms_per_account,
        monitored_nicks=limits.monitored_nicks,
        always_on=config.accounts.always_on,
        metadata_keys=limits.metadata_keys,
        metadata_subscriptions=limits.metadata_subscriptions,
        whowas_entries=limits.whowas_entries,
    )


def changed_settings(before: Config, after: Config) -> list[tuple[str, str]]:
    """Return what differs, as section and key; for a list of tables the key is empty."""
    return list(_changed(before, after))


def _changed(before: Config, after: Config) -> Iterator[tuple[str, str]]:
    for section in dataclasses.fields(Config):
        old, new = getattr(before, section.name), getattr(after, section.name)
        if not dataclasses.is_dataclass(old):
            if old != new:
                yield section.name, ""
            continue
        for item in dataclasses.fields(old):
            if getattr(old, item.name) != getattr(new, item.name):
                yield section.name, item.name


def with_fixed(running: Config, wanted: Config) -> Config:
    """Return ``wanted``, but with the ``FIXED`` settings of ``running``."""
    sections: dict[str, Any] = {}
    for name in dict.fromkeys(section for section, _ in FIXED):
        old = getattr(running, name)
        kept = {key: getattr(old, key) for section, key in FIXED if section == name}
        sections[name] = dataclasses.replace(getattr(wanted, name), **kept)
    return dataclasses.replace(wanted, **sections)


def take_config(services: Services, config: Config, *, lead: bool = True) -> None:
    """Have the relay work by ``config`` from now on, and tell clients what concerns them.

    Takes the network lock. ``config`` must have the ``FIXED`` settings of the one before.

    :param lead: whether the limits of the chat state are to be those of ``config``, and all other
        relays to take theirs anew; otherwise it is one of these others.
    :raises Fail: the chat state cannot be changed at the moment; nothing has changed.
    """
    if lead:
        limits = {key: str(value) for key, value in asdict(network_limits(config)).items()}
        relay = config.cluster.relay
        propose_for_relay(services, lambda stamp: Reload(stamp, relay, limits))
    with services.lock:
        before, old_tokens = services.config, services.isupport
        services.config = config
        services.isupport = tokens = _tokens(services)
    services.authenticator.configure(config.accounts)
    services.tunnels.configure(config.peers)
    news = _news(old_tokens, tokens)
    for session in services.registry.snapshot():
        session.connection.thread.post(partial(_tell, services, session, news, before))


def announce_relays(services: Services) -> None:
    """Tell all clients in 005 where the relays of the chat are, if that is not what they know.

    Safe from any thread that holds no lock. Takes the network lock for an instant; never blocks.
    """
    with services.lock:
        before = services.isupport
        services.isupport = tokens = _tokens(services)
    news = _news(before, tokens)
    if news:
        for session in services.registry.snapshot():
            session.connection.thread.post(partial(_tell, services, session, news))


def _tokens(services: Services) -> tuple[str, ...]:
    """Return the tokens of 005. Requires holding the network lock."""
    config, network = services.config, services.network
    relays = announced_addresses(network, config.cluster.relay)
    return tuple(isupport_tokens(config, network.names, relays))


def _news(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the tokens of 005 that are new, and those that are gone.

    "Tokens of the form `-PARAMETER` are used to negate a previously specified parameter."
    """
    names = {token.partition("=")[0] for token in after}
    old_names = [token.partition("=")[0] for token in before]
    gone = [f"-{name}" for name in old_names if name not in names]
    return [token for token in after if token not in before] + gone


def _tell(
    services: Services, session: Session, news: Sequence[str], before: Config | None = None
) -> None:
    """Tell a client, on its thread, what is new in 005, and offered otherwise than ``before``."""

    def tell() -> None:
        if session.registration.complete and not session.ended:
            if before is not None:
                announce_changes(context, before)
            if news:
                send_isupport(context, news)

    context = Context(services, session, Message("CAP"))
    run(context, tell)
