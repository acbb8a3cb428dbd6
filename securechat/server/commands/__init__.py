"""The command handlers, one module for each group, and the table of them all.

A handler is a function of (context, message). It checks the form of the command, refuses by raising
``Refusal`` or ``Fail``, proposes events, and answers through the context. What every command has in
common (unknown, too early, too few parameters, operators only) is checked before, in ``dispatch``.
"""

from __future__ import annotations

from securechat.server.commands import (
    accounts,
    authentication,
    bans,
    batches,
    capabilities,
    certificates,
    channels,
    connection_password,
    devices,
    gateways,
    helpop,
    history,
    links,
    listing,
    messaging,
    metadata,
    modes,
    monitor,
    operators,
    peer,
    presence,
    read_markers,
    redaction,
    registration,
    room,
    search,
    server_queries,
    settings,
    user_modes,
    who,
    whois,
)
from securechat.server.dispatch import build_table

__all__ = ["COMMANDS"]

COMMANDS = build_table(
    (
        registration,
        connection_password,
        gateways,
        capabilities,
        authentication,
        accounts,
        settings,
        certificates,
        devices,
        channels,
        modes,
        user_modes,
        operators,
        bans,
        room,
        messaging,
        metadata,
        history,
        search,
        read_markers,
        redaction,
        monitor,
        peer,
        batches,
        presence,
        listing,
        who,
        whois,
        server_queries,
        links,
        helpop,
    )
)
"""Every command of the relay, by name."""
