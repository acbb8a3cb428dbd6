"""Which nicks and channel names are legal, which are equal, and which look alike.

One object says it for the whole relay (``[server] casemapping``): the chat state, accounts, the
throttle of logins and the commands all ask it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from securechat.irc.casemapping import fold
from securechat.irc.names import is_channel_name, is_nick

__all__ = [
    "ASCII_NAMES",
    "UNICODE_EXTRA",
    "Fold",
    "Names",
    "guest_nick",
    "make_names",
    "unicode_available",
]

Fold = Callable[[str], str]
"""Gives the form of a name that equal ones share; of what is no legal name, any form at all."""

UNICODE_EXTRA: Final = 'pip install "securechat[unicode]"'
"""What gives us the libraries for names beyond ASCII."""


class Names:
    """Names of ASCII: nicks have no other letters, channel names only fold these. Immutable."""

    utf8_mapping: str = ""
    """The value of UTF8MAPPING in 005, empty for none."""

    def fold(self, name: str) -> str:
        """Return the form of ``name`` that equal names share. Raises nothing."""
        return fold(name)

    def is_nick(self, name: str, limit_bytes: int) -> bool:
        """Whether ``name`` is a legal nick of at most that length."""
        return is_nick(name, limit_bytes)

    def is_channel_name(self, name: str, limit_bytes: int) -> bool:
        """Whether ``name`` is a legal name of a channel of at most that length."""
        return is_channel_name(name, limit_bytes)

    def skeletons(self, name: str) -> frozenset[str]:
        """Return what ``name`` looks like: names that share one of these can be mistaken.

        None here: nobody takes one ASCII nick for another who would not take any.
        """
        return frozenset()


ASCII_NAMES: Final = Names()


def guest_nick(limit: int) -> str:
    """Return a nick, of at most ``limit`` characters, for who has lost theirs to an account."""
    return f"guest{secrets.randbelow(10**8):08}"[:limit]


def unicode_available() -> bool:
    """Whether the libraries for names beyond ASCII are installed."""
    return all(find_spec(name) for name in ("precis_i18n", "confusable_homoglyphs"))


def make_names(casemapping: str) -> Names:
    """Return the names of a ``casemapping`` of the configuration, which has checked it."""
    if casemapping == "ascii":
        return ASCII_NAMES
    # An optional extra: imported only where it is wanted.
    made: Names = import_module("securechat.server.unicode_names").UnicodeNames()
    return made
