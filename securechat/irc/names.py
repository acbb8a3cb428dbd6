"""Which nicks, user names and channel names are legal.

https://modern.ircdocs.horse/#nick-message and #channels
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CHANNEL_TYPES", "clean_username", "is_channel", "is_channel_name", "is_host", "is_nick"]

CHANNEL_TYPES: Final = "#"
"""CHANTYPES of the relay: all channels are of one kind."""

_NICK: Final = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]*")
_CHANNEL: Final = re.compile(r"#[^\x00-\x20,:\x7f-\x9f\ud800-\udfff]+")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9:/_.-]*[A-Za-z0-9])?")
_NOT_IN_USERNAME: Final = re.compile(r"[^A-Za-z0-9._-]")


def is_nick(name: str, limit: int) -> bool:
    """Whether ``name`` is a legal nick of at most ``limit`` characters (all of them ASCII)."""
    return len(name) <= limit and _NICK.fullmatch(name) is not None


def is_channel(target: str) -> bool:
    """Whether ``target`` names a channel and not a user; says nothing of its being legal."""
    return target[:1] in CHANNEL_TYPES and target != ""


def is_channel_name(name: str, limit_bytes: int) -> bool:
    """Whether ``name`` is a legal channel name: ``#`` and at least one character.

    Spaces, commas, colons and control characters are not allowed: a channel name is a middle
    parameter, an item of comma lists, and seen on terminals.
    """
    return _CHANNEL.fullmatch(name) is not None and len(name.encode()) <= limit_bytes


def is_host(name: str, limit: int) -> bool:
    """Whether ``name`` can be shown as a host: at most ``limit`` characters, as in host names."""
    return len(name) <= limit and _HOST.fullmatch(name) is not None


def clean_username(name: str, limit: int) -> str:
    """Return ``name`` as the user part of a source, at most ``limit`` characters.

    The ``~`` says that nobody checked it (there is no ident look-up). Characters that would break a
    source are dropped.
    """
    return ("~" + (_NOT_IN_USERNAME.sub("", name) or "user"))[:limit]
