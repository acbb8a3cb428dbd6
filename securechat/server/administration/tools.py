"""All commands of ``securechat-server``, in the order in which they are shown."""

from __future__ import annotations

from typing import Final

from securechat.server.administration import (
    accounts,
    backups,
    bans,
    certificates,
    checks,
    invites,
    passwords,
    service_files,
    status,
    store_copy,
)
from securechat.server.administration.tool import Tool

__all__ = ["TOOLS"]

TOOLS: Final[tuple[Tool, ...]] = (
    *invites.TOOLS,
    *accounts.TOOLS,
    *bans.TOOLS,
    *passwords.TOOLS,
    *backups.TOOLS,
    *store_copy.TOOLS,
    *certificates.TOOLS,
    *checks.TOOLS,
    *status.TOOLS,
    *service_files.TOOLS,
)
