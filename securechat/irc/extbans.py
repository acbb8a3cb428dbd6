"""Masks of a channel's lists: of people, of accounts, of what they may not do.

Besides ``nick!user@host`` there are *extended* masks, a letter and a colon before something else:

- ``a:account`` covers who is logged in to the account (``*`` and ``?`` as in other masks)
- ``m:mask`` covers whom ``mask`` covers, and forbids only speaking, not joining

So ``m:a:account`` mutes an account. No letter can be mistaken for a nick, which has no colon.

https://modern.ircdocs.horse/#extban-parameter, https://ircv3.net/specs/extensions/account-extban
"""

from __future__ import annotations

from typing import Final

from securechat.irc.masks import matches, normalise_mask

__all__ = ["ACCOUNT", "EXTBANS", "covers", "is_mute", "normalise_list_mask"]

ACCOUNT: Final = "a"
"""The letter of ACCOUNTEXTBAN."""

_MUTE: Final = "m:"
_ACCOUNT: Final = f"{ACCOUNT}:"

EXTBANS: Final = f"{ACCOUNT}m"
"""The letters of EXTBAN; they need no prefix."""


def normalise_list_mask(mask: str) -> str:
    """Complete a mask of a list: ``m:bob`` → ``m:bob!*@*``; see ``normalise_mask``."""
    kind, rest = mask[:2].lower(), mask[2:]
    if kind == _MUTE:
        return _MUTE + normalise_list_mask(rest).removeprefix(_MUTE)
    return _ACCOUNT + rest if kind == _ACCOUNT else normalise_mask(mask)


def is_mute(mask: str) -> bool:
    """Whether ``mask`` is about speaking only."""
    return mask.startswith(_MUTE)


def covers(mask: str, source: str, account: str | None) -> bool:
    """Whether ``mask`` is of somebody with that source (``nick!user@host``) and account."""
    mask = mask.removeprefix(_MUTE)
    if mask.startswith(_ACCOUNT):
        return account is not None and matches(mask.removeprefix(_ACCOUNT), account)
    return matches(mask, source)
