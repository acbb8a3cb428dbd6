"""What HELP says beside the commands: modes, ranks, masks.

Only what the relay has is told: a letter that is in no table of ``securechat.irc.modes`` is left
out, and a test fails for one that is and has no text here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from securechat.irc.modes import CHANNEL_MODES, PREFIXES, USER_MODES

__all__ = ["CHANNEL_MODE_TEXTS", "RANK_TEXTS", "TOPICS", "USER_MODE_TEXTS", "Topic"]


class Topic(NamedTuple):
    """What HELP says on a subject: a title, then lines, at least one."""

    title: str
    lines: tuple[str, ...]


USER_MODE_TEXTS: Final[Mapping[str, str]] = {
    "B": "you are a bot, and marked as one",
    "R": "only people who are logged in may send you private messages",
    "i": "strangers do not find you in lists, nor the rooms you are in",
    "o": "you are an operator of the relay; OPER gives it, -o takes it away",
    "w": "you get what operators send to all (WALLOPS)",
}
"""What each flag of a user means."""

CHANNEL_MODE_TEXTS: Final[Mapping[str, str]] = {
    "b": "<mask>  banned: may not come in, nor speak",
    "e": "<mask>  excepted from bans",
    "I": "<mask>  may come in without an invitation",
    "k": "<key>   who comes in must know the key",
    "l": "<n>     room for n people",
    "C": "        no CTCP but /me",
    "M": "        only people who are logged in, or have a rank, may speak",
    "R": "        only people who are logged in may come in",
    "i": "        only who is invited may come in",
    "m": "        only people with a rank may speak",
    "n": "        no messages from outside",
    "s": "        secret: hidden from who is not in it",
    "t": "        only people with a rank above voice set the topic",
}
"""What each mode of a channel means."""

RANK_TEXTS: Final[Mapping[str, str]] = {
    "q": "founder: whose room it is; may do everything",
    "a": "admin: an operator whom operators cannot put out",
    "o": "operator: may change modes, the topic and ranks, and put people out",
    "h": "half-op: may give voice, invite, ban, set the topic, put out lower people",
    "v": "voice: may speak where only ranked people may (+m)",
}
"""What each rank in a channel means."""


def _modes(texts: Mapping[str, str], letters: str) -> tuple[str, ...]:
    return tuple(f"+{letter} {text}" for letter, text in texts.items() if letter in letters)


_CHANNEL_LETTERS: Final = CHANNEL_MODES.isupport()

TOPICS: Final[Mapping[str, Topic]] = {
    "MODES": Topic(
        "Modes of channels: MODE <channel> +<letters> [<parameters>]",
        (
            *_modes(CHANNEL_MODE_TEXTS, _CHANNEL_LETTERS),
            "A minus takes a mode away; a letter of a list without a mask shows the list.",
            "HELP RANKS tells of the ranks, HELP MASKS of masks.",
        ),
    ),
    "UMODES": Topic(
        "Your own modes: MODE <your nick> +<letters>",
        _modes(USER_MODE_TEXTS, USER_MODES.flag),
    ),
    "RANKS": Topic(
        "Ranks in channels: MODE <channel> +<letter> <nick>",
        tuple(f"{mark} +{letter} {RANK_TEXTS[letter]}" for letter, mark in PREFIXES.items()),
    ),
    "MASKS": Topic(
        "Masks: nick!user@host",
        (
            "* stands for any run of characters, ? for one; what is left out is completed:",
            "bob is bob!*@*, *@host is *!*@host.",
            "HELP EXTBANS tells of other masks.",
        ),
    ),
    "EXTBANS": Topic(
        "Extended masks: a letter, a colon, and what it is about",
        (
            "a:account is who is logged in to that account, a:* who is logged in at all.",
            "With m: before it, as in +b m:bob or m:a:account, a ban forbids speaking only.",
        ),
    ),
}
"""What is said on each topic, by its name. Immutable."""
